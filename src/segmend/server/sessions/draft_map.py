"""The label maps of an open session, one a layer, and the answer that is being painted on one of them.

Each part of a draft is kept as an exclusive or, so that calling the draft off takes exactly it away
again. The lock of the session guards its maps; nothing here waits, sends or stores.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, reduce

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Box, Index, LabelMap, MaskArray, bounds
from segmend.core.marks import marks
from segmend.core.session import EMPTY, Canvas, Patch, Prompted, Session, painted, with_locked_slices
from segmend.server.sessions.answering import EditPart, Part, RestoredPart
from segmend.server.sessions.uncertainty import UncertaintyMap
from segmend.server.sessions.wire import EMPTY_BOX, pack

# Labels whose mask is cached, so that a click compares only what has changed since the last one.
MASKS_KEPT = 4

# Changed boxes a cached mask may wait for before they are joined into one.
STALE_BOXES = 32


@dataclass(eq=False)
class Draft:
    """What an unfinished answer has painted so far."""

    session: Session  # as it was when the answer began
    position: int
    label: int
    locked: tuple[int, ...]
    uncertainty_map: UncertaintyMap
    changes: list[tuple[Box, LabelMap]] = field(default_factory=list)  # exclusive or, each in its box
    parts: int = 0
    reached: Box = EMPTY_BOX  # the bounding box of all parts so far
    quality: float | None = None
    finetuned: bool = False
    found: int = 0  # voxels that the parts would have painted
    kept: Counter[int] = field(default_factory=Counter)  # how many of them other labels keep, by label
    planes: MaskArray | None = None  # [z] slices that a part has covered
    layer: int = 0  # that the label is in

    @cached_property
    def locked_slices(self) -> Mapping[int, frozenset[int]]:
        """By axis, the slices that were locked before the event came."""
        return self.session.locked_slices(before=self.position)

    @property
    def covered_by(self) -> int | None:
        """The label that keeps the most of what was found, where other labels keep more than half of it."""
        if 2 * self.kept.total() <= self.found:
            return None
        return self.kept.most_common(1)[0][0]

    def count(self, found: MaskArray, kept: LabelMap) -> None:
        """Count what a part would have painted, and the labels that keep some of it."""
        values, counts = np.unique(kept, return_counts=True)
        self.found += int(np.count_nonzero(found))
        self.kept.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))

    def told_quality(self, before: float | None) -> float | None:
        """Return the Dice to tell of the answer; `before` was told of the label's answer before it.

        A mark that said only what the mask said, or that changed nothing, makes no mask better.
        """
        if self.quality is None or (self.changes and self._answers_something_new()):
            return self.quality
        return None if before is None else min(before, self.quality)

    def _answers_something_new(self) -> bool:
        """Tell whether the mark that was answered contradicted the mask; one that names no voxel does."""
        event = self.session.events[self.position]
        if not isinstance(event, Prompted):
            return True
        places = [points for points in marks([event.prompt], self.session.shape) if len(points)]
        return not places or any(self._changed(points) for points in places)

    def _changed(self, points: NDArray[np.intp]) -> bool:
        """Tell whether any of these voxels, [n 3], is another one now."""
        for box, change in self.changes:
            inside = points[((points >= box.low) & (points < box.high)).all(axis=1)] - box.low
            if len(inside) and change[tuple(inside.T)].any():
                return True
        return False

    def patch(self) -> Patch:
        """Return all changes as one."""
        box = EMPTY_BOX
        for part, _ in self.changes:
            box = box.union(part)
        total = np.zeros(box.shape, np.uint16)
        for part, values in self.changes:
            total[part.within(box)] ^= values
        return Patch.between(np.zeros_like(total), total, box.low) if box.size else EMPTY


class DraftMap:
    """The maps, the draft on one of them, and the masks of the labels worked on lately."""

    def __init__(self, shape: Index) -> None:
        self.draft: Draft | None = None
        self._canvas = Canvas(shape)
        self._painted: dict[int, Box] = {}  # by layer, a box round everything that was ever painted
        self._masks: OrderedDict[int, tuple[int, MaskArray, list[Box]]] = OrderedDict()
        # by label: its layer, its mask, and what is out of date

    @property
    def layers(self) -> list[int]:
        """The layers that were ever painted on, the first one always among them."""
        return sorted({0, *self._painted})

    def painted(self, layer: int = 0) -> Box:
        """Return a box round everything that was ever painted in a layer."""
        return self._painted.get(layer, EMPTY_BOX)

    @property
    def size_bytes(self) -> int:
        """About how much memory the maps and masks hold; what was never painted holds none."""
        masks = sum(self.painted(layer).size for layer, _, _ in self._masks.values())
        return 2 * sum(box.size for box in self._painted.values()) + masks

    def follow(self, session: Session) -> Mapping[int, Box]:
        """Bring the maps in line with a log; return the box that changed of each layer that did."""
        changed = self._canvas.follow(session)
        for layer, box in changed.items():
            self._note(layer, box)
        return changed

    def hold(self, position: int, patch: Patch, layer: int) -> None:
        """Know that this event's answer, the draft, is on the map already."""
        self._canvas.hold(position, patch, layer)

    def paint(self, draft: Draft, part: Part | EditPart | RestoredPart) -> Box | None:
        """Paint one part of a draft; return the box that changed of its layer."""
        before = self._canvas.layer(draft.layer)[part.box.slices]
        if isinstance(part, Part):
            free = (before == 0) | (before == draft.label) if part.others_stay else ~np.isin(before, draft.locked)
            after = painted(before, part.mask & free, draft.label, draft.locked)
            draft.count(part.mask, before[part.mask & ~free])
            draft.quality = part.quality if part.quality is not None else draft.quality
            draft.finetuned = draft.finetuned or part.finetuned
        else:
            after = part.over(before, draft.label, draft.locked)
            if isinstance(part, EditPart):
                wanted = part.change.mask & (before != draft.label)
                draft.count(wanted, before[wanted & (after != draft.label)])
        after = with_locked_slices(before, after, part.box.low, draft.locked_slices)
        change = before ^ after
        inner = bounds(change) if change.size else None
        draft.parts += 1
        draft.reached = draft.reached.union(part.box)
        if inner is None:
            return None
        box = inner.moved(part.box.low)
        draft.changes.append((box, change[inner.slices].copy()))
        before[...] = after
        self._note(draft.layer, box)
        return box

    def revert(self) -> Mapping[int, Box]:
        """Take the draft off its map again; return the box that changed of its layer."""
        draft, self.draft = self.draft, None
        if draft is None or not draft.changes:
            return {}
        changed = EMPTY_BOX
        for box, values in draft.changes:
            self._canvas.layer(draft.layer)[box.slices] ^= values
            changed = changed.union(box)
        self._note(draft.layer, changed)
        return {draft.layer: changed}

    def previous(self, label: int, layer: int = 0) -> MaskArray:
        """Return the label's mask, brought up to date only where the map of its layer has changed."""
        if label in self._masks and self._masks[label][0] != layer:
            del self._masks[label]
        whole_map = self._canvas.layer(layer)
        if label not in self._masks:
            self._masks[label] = (layer, np.zeros(whole_map.shape, bool), [self.painted(layer)])
        self._masks.move_to_end(label)
        if len(self._masks) > MASKS_KEPT:
            self._masks.popitem(last=False)
        _, mask, stale = self._masks[label]
        for box in stale:
            np.equal(whole_map[box.slices], label, out=mask[box.slices])
        stale.clear()
        view = mask.view()
        view.flags.writeable = False
        return view

    def without_draft(self) -> dict[int, LabelMap]:
        """Return copies of the maps without the draft, by layer."""
        copies = {}
        for layer in self.layers:
            copy, box = np.zeros(self._canvas.map.shape, np.uint16), self.painted(layer)
            copy[box.slices] = self.values(box, layer)
            copies[layer] = copy
        return copies

    def values(self, box: Box, layer: int = 0) -> LabelMap:
        """Return a copy of a layer's map in a box without the draft."""
        copy = self._canvas.layer(layer)[box.slices].copy()
        for changed, values in self.draft.changes if self.draft is not None and self.draft.layer == layer else ():
            shared = changed.intersection(box)
            if shared.size:
                copy[shared.within(box)] ^= values[shared.within(changed)]
        return copy

    def frame(self, position: int, box: Box, layer: int = 0) -> bytes:
        """Return the frame of a box of a layer as it is now."""
        return pack(position, box, self._canvas.layer(layer)[box.slices], layer)

    def whole_frame(self, position: int, layer: int = 0) -> bytes:
        """Return everything that is painted in a layer as one frame."""
        painted_box = self.painted(layer)
        inner = bounds(self._canvas.layer(layer)[painted_box.slices]) if painted_box.size else None
        if inner is None:
            return pack(position, EMPTY_BOX, np.zeros((0, 0, 0), np.uint16), layer)
        return self.frame(position, inner.moved(painted_box.low), layer)

    def _note(self, layer: int, changed: Box) -> None:
        if not changed.size:
            return
        self._painted[layer] = self.painted(layer).union(changed)
        for of, _, stale in self._masks.values():
            if of != layer:
                continue
            stale.append(changed)
            if len(stale) > STALE_BOXES:
                stale[:] = [reduce(Box.union, stale)]
