"""The label map of an open session, and the answer that is being painted on it.

Each part of a draft is kept as an exclusive or, so that calling the draft off takes exactly it away
again. The lock of the session guards its map; nothing here waits, sends or stores.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from functools import reduce

import numpy as np

from segmend.core.image import Box, Index, LabelMap, MaskArray, bounds
from segmend.core.session import EMPTY, Canvas, Patch, Session, painted
from segmend.server.answering import EditPart, Part, RestoredPart
from segmend.server.uncertainty import UncertaintyMap
from segmend.server.wire import EMPTY_BOX, pack

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
    """The map, the draft on it, and the masks of the labels worked on lately."""

    def __init__(self, shape: Index) -> None:
        self.draft: Draft | None = None
        self._canvas = Canvas(shape)
        self._painted = EMPTY_BOX  # a box round everything that was ever painted
        self._masks: OrderedDict[int, tuple[MaskArray, list[Box]]] = OrderedDict()  # by label, with what is out of date

    @property
    def painted(self) -> Box:
        """A box round everything that was ever painted."""
        return self._painted

    @property
    def size_bytes(self) -> int:
        """About how much memory the map and its masks hold; what was never painted holds none."""
        return self._painted.size * (2 + len(self._masks))

    def follow(self, session: Session) -> Box | None:
        """Bring the map in line with a log; return the box that changed."""
        return self._note(self._canvas.follow(session))

    def hold(self, position: int, patch: Patch) -> None:
        """Know that this event's answer, the draft, is on the map already."""
        self._canvas.hold(position, patch)

    def paint(self, draft: Draft, part: Part | EditPart | RestoredPart) -> Box | None:
        """Paint one part of a draft; return the box that changed."""
        before = self._canvas.map[part.box.slices]
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
        change = before ^ after
        inner = bounds(change) if change.size else None
        draft.parts += 1
        draft.reached = draft.reached.union(part.box)
        if inner is None:
            return None
        box = inner.moved(part.box.low)
        draft.changes.append((box, change[inner.slices].copy()))
        before[...] = after
        return self._note(box)

    def revert(self) -> Box | None:
        """Take the draft off the map again; return the box that changed."""
        draft, self.draft = self.draft, None
        if draft is None or not draft.changes:
            return None
        changed = EMPTY_BOX
        for box, values in draft.changes:
            self._canvas.map[box.slices] ^= values
            changed = changed.union(box)
        return self._note(changed)

    def previous(self, label: int) -> MaskArray:
        """Return the label's mask, brought up to date only where the map has changed."""
        if label not in self._masks:
            self._masks[label] = (np.zeros(self._canvas.map.shape, bool), [self._painted])
        self._masks.move_to_end(label)
        if len(self._masks) > MASKS_KEPT:
            self._masks.popitem(last=False)
        mask, stale = self._masks[label]
        for box in stale:
            np.equal(self._canvas.map[box.slices], label, out=mask[box.slices])
        stale.clear()
        view = mask.view()
        view.flags.writeable = False
        return view

    def without_draft(self) -> LabelMap:
        """Return a copy of the map without the draft."""
        copy = np.zeros(self._canvas.map.shape, np.uint16)
        copy[self._painted.slices] = self._canvas.map[self._painted.slices]
        if self.draft is not None:
            for box, values in self.draft.changes:
                copy[box.slices] ^= values
        return copy

    def values(self, box: Box) -> LabelMap:
        """Return a copy of the map in a box without the draft."""
        copy = self._canvas.map[box.slices].copy()
        for changed, values in self.draft.changes if self.draft is not None else ():
            shared = changed.intersection(box)
            if shared.size:
                copy[shared.within(box)] ^= values[shared.within(changed)]
        return copy

    def frame(self, position: int, box: Box) -> bytes:
        """Return the frame of a box as it is now."""
        return pack(position, box, self._canvas.map[box.slices])

    def whole_frame(self, position: int) -> bytes:
        """Return everything that is painted as one frame."""
        inner = bounds(self._canvas.map[self._painted.slices]) if self._painted.size else None
        if inner is None:
            return pack(position, EMPTY_BOX, np.zeros((0, 0, 0), np.uint16))
        box = inner.moved(self._painted.low)
        return self.frame(position, box)

    def _note(self, changed: Box | None) -> Box | None:
        if changed is not None and changed.size:
            self._painted = self._painted.union(changed)
            for _, stale in self._masks.values():
                stale.append(changed)
                if len(stale) > STALE_BOXES:
                    stale[:] = [reduce(Box.union, stale)]
        return changed
