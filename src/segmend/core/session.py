"""One image being annotated: an append-only log of events, from which everything follows.

An *event* is what the person did: defined a label, put down a prompt, edited a mask by hand or by
rule, removed an earlier prompt or edit, put another prompt in the place of one, deleted a label, locked slices, undid,
redid.
Nothing in the log is ever changed or taken out.
`done` folds the undo and redo events away and gives the indices of the events in effect. Events that one
action made, such as loading a mask of several objects, are `joined`: they are undone and
redone together.

An *answer* is what changed in the label map because of an event: a `Patch`, the exclusive
or of the map before and after, in its changed box. Because exclusive or undoes itself and
does not care about order, the label map of a session is the xor of the patches of the
events in effect: undo, redo and opening a session again compute no mask. A `Canvas`
holds that map and follows a session from state to state.

Labels of one *layer* share no voxel; those of different layers may. So a session has a label map for each layer, and
an answer changes that of its label alone. Which layer that is follows from the log: a label keeps its layer once
something was put down on it.

The voxels of locked slices are as they were when they were locked, whatever changes a mask later. An answer to an
event from before, which was still in the making, is what they were locked with.

An event is stored before its answer is computed. An event in effect without an answer is
*pending*; whoever opens the session next answers it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np

from segmend.core.codes import SegmentCodes, codes_from_json, codes_to_json
from segmend.core.edits import (
    MAX_SLICES,
    Combine,
    CopySlice,
    Draw,
    Edit,
    Merge,
    Paint,
    check_edit,
    edit_from_json,
    edit_to_json,
    other_label,
)
from segmend.core.image import Box, Index, LabelMap, MaskArray, bounds
from segmend.core.prompts import Mask, Prompt, Stroke, check, extent, kind_of
from segmend.core.prompts import from_json as prompt_from_json
from segmend.core.prompts import to_json as prompt_to_json
from segmend.core.reach import Reach, check_reach, reach_from_json, reach_to_json
from segmend.errors import PromptError, ShapeError, UserError

MAX_LABEL = 65535
# Layers of one session: each is a label map in memory, here and in the browser.
MAX_LAYERS = 16
Finetune = Literal[
    "auto", "on", "off"
]  # may a method's network learn this image: where marks call for it, always, never
FINETUNES: tuple[Finetune, ...] = get_args(Finetune)
GIVEN = "given"  # said in place of a method: a mask from elsewhere, taken as it is
Colour = tuple[int, int, int]  # red, green, blue, 0 to 255
PALETTE: tuple[Colour, ...] = (
    (230, 75, 60),
    (60, 160, 230),
    (90, 190, 90),
    (240, 180, 40),
    (160, 100, 220),
    (50, 200, 190),
    (235, 120, 175),
    (150, 110, 70),
)


@dataclass(frozen=True)
class Label:
    """A kind of object in this session; `value` is its number in the label map."""

    value: int
    name: str
    colour: Colour
    locked: bool = False  # a locked label's voxels never change
    opacity: float = 1.0  # of its mask, as a part of the opacity of all masks
    codes: SegmentCodes | None = None  # what it is in SNOMED CT; None: what its name says
    layer: int = 0  # labels of one layer share no voxel, those of different ones may
    instance: int | None = None  # its number among the objects that have its name; None: it is the only one

    @property
    def title(self) -> str:
        """The name with the number of the object.

        >>> Label(3, "nodule", PALETTE[0], instance=2).title, Label(3, "Object 1", PALETTE[0], instance=2).title
        ('nodule 2', 'Object 1.2')
        """
        if self.instance is None:
            return self.name
        return f"{self.name}{'.' if self.name[-1:].isdigit() else ' '}{self.instance}"


@dataclass(frozen=True)
class Defined:
    """A label was added, renamed, recoloured, locked or unlocked, or told what it is."""

    label: Label
    joined: bool = False  # to the event before: both are undone in one step


@dataclass(frozen=True)
class Ordered:
    """The labels are listed in this order from now on; those that are not named come behind, as they were."""

    labels: tuple[int, ...]


@dataclass(frozen=True)
class Prompted:
    """A prompt was put down on a label, to be answered by a method; a mask that was `GIVEN` is its own answer."""

    prompt: Prompt
    label: int
    method: str
    finetune: Finetune = "auto"  # as the person had it then, so that a replay is exact
    overwrite: bool = False  # may it take voxels of other labels; locked ones never change
    joined: bool = False  # to the event before: both are undone in one step
    replaces: int | None = None  # the event of an earlier prompt that was moved or changed to this one
    reach: Reach | None = None  # how far the answer may change the mask; None: as far as the method thinks right


@dataclass(frozen=True)
class Edited:
    """A label's mask was edited by hand or by rule, without a method.

    Another label loses voxels to it where the edit itself says so, or with `overwrite`; a locked one never does.
    """

    edit: Edit
    label: int
    overwrite: bool = False
    joined: bool = False  # to the event before: both are undone in one step


@dataclass(frozen=True)
class Removed:
    """The prompt or edit of an earlier event was taken away; its label is worked out again without it."""

    event: int


@dataclass(frozen=True)
class Deleted:
    """A label was deleted with its mask and its marks; its voxels belong to none."""

    label: int
    joined: bool = False  # to the event before: both are undone in one step


@dataclass(frozen=True)
class SlicesLocked:
    """Slices across an axis are done: no mask changes in them any longer; or they were unlocked again."""

    axis: int
    slices: tuple[int, ...]
    locked: bool = True


@dataclass(frozen=True)
class Undone:
    """The last event in effect was taken back, and those it is joined to."""


@dataclass(frozen=True)
class Redone:
    """The last event taken back came into effect again, and those joined to it."""


Event = Defined | Ordered | Prompted | Edited | Removed | Deleted | SlicesLocked | Undone | Redone
Arranging = Defined | Ordered | SlicesLocked  # what changes no mask
Marked = Prompted | Edited  # what a person put down, and may take away again
Asking = Prompted | Edited | Removed | Deleted  # what changes masks, and so has an answer


def taken_away(event: Event) -> int | None:
    """Return the place of the earlier prompt or edit that an event takes away, None where it takes none.

    >>> taken_away(Removed(4))
    4
    """
    match event:
        case Removed(event=earlier) | Prompted(replaces=earlier):
            return earlier
        case _:
            return None


def label_gone(event: Event) -> int | None:
    """Return the label that an event deletes or makes a part of another one, None where it does neither.

    >>> label_gone(Deleted(4)), label_gone(Edited(Merge(2), 1)), label_gone(Undone())
    (4, 2, None)
    """
    match event:
        case Deleted(label=label) | Edited(edit=Merge(other=label)):
            return label
        case _:
            return None


@dataclass(frozen=True)
class Patch:
    """What changed in the label map: the xor of before and after inside `box`, compressed.

    >>> before = np.zeros((1, 4, 4), np.uint16)
    >>> after = before.copy(); after[0, 1:3, 1:3] = 2
    >>> patch = Patch.between(before, after)
    >>> patch.box
    Box(low=(0, 1, 1), high=(1, 3, 3))
    """

    box: Box
    data: bytes = field(repr=False)  # zlib of the uint16 xor values, little endian, x fastest; empty for an empty box

    @classmethod
    def between(cls, before: LabelMap, after: LabelMap, low: Index = (0, 0, 0)) -> Patch:
        """Return the patch from one map to the other; both start at voxel `low` of the grid."""
        if before.shape != after.shape:
            raise ShapeError(f"A patch needs two maps of one shape; got {before.shape} and {after.shape}.")
        xor = before ^ after
        inner = bounds(xor)
        if inner is None:
            return EMPTY
        values = np.ascontiguousarray(xor[inner.slices]).astype("<u2")
        return cls(inner.moved(low), zlib.compress(values.tobytes(), 1))

    @property
    def values(self) -> LabelMap:  # [z y x] of the box
        """Return the xor values of the box."""
        if self.box.size == 0:
            return np.zeros((0, 0, 0), np.uint16)
        raw = np.frombuffer(zlib.decompress(self.data), "<u2")
        return raw.astype(np.uint16).reshape(self.box.shape)


EMPTY = Patch(Box((0, 0, 0), (0, 0, 0)), b"")


@dataclass(frozen=True, eq=False)
class Session:
    """An image's shape, the log of events, and the answers computed so far.

    >>> session = Session((1, 8, 8)).add(Defined(Label(1, "lesion", PALETTE[0])))
    >>> from segmend.core.prompts import Click
    >>> session = session.add(Prompted(Click((0, 3, 3)), 1, "mend"))
    >>> session.pending, session.add(Undone()).pending
    ((1,), ())
    """

    shape: Index
    events: tuple[Event, ...] = ()
    answers: Mapping[int, Patch] = field(default_factory=lambda: MappingProxyType({}))

    def __repr__(self) -> str:
        sides, names = " x ".join(map(str, self.shape)), ", ".join(label.name for label in self.labels.values())
        return (
            f"<Session on {sides} voxels: {len(self.done)} of {len(self.events)} events in effect, "
            f"{len(self.pending)} unanswered, labels: {names or 'none'}>"
        )

    def add(self, event: Event) -> Session:
        """Return the session with one more event; PromptError when it makes no sense here."""
        self._check(event)
        return replace(self, events=(*self.events, event))

    def answered(self, event: int, patch: Patch) -> Session:
        """Return the session with the answer to one of its events."""
        if not 0 <= event < len(self.events):
            raise PromptError(f"An answer needs an event of 0 to {len(self.events) - 1}; got {event}.")
        return replace(self, answers=MappingProxyType({**self.answers, event: patch}))

    @cached_property
    def _fold(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        done: list[int] = []
        undone: list[int] = []
        for i, event in enumerate(self.events):
            match event:
                case Undone():
                    undone.append(done.pop())
                    while done and self._is_joined(undone[-1]):
                        undone.append(done.pop())
                case Redone():
                    done.append(undone.pop())
                    while undone and self._is_joined(undone[-1]):
                        done.append(undone.pop())
                case _:
                    done.append(i)
                    undone.clear()
        return tuple(done), tuple(undone)

    def _is_joined(self, position: int) -> bool:
        event = self.events[position]
        return isinstance(event, Defined | Marked | Deleted) and event.joined

    @property
    def done(self) -> tuple[int, ...]:
        """Indices of the events in effect, oldest first."""
        return self._fold[0]

    @property
    def undone(self) -> tuple[int, ...]:
        """Indices of the events that redo would bring back, the next one last."""
        return self._fold[1]

    @property
    def pending(self) -> tuple[int, ...]:
        """Indices of the events in effect that change the mask and have no answer yet."""
        return tuple(i for i in self.done if isinstance(self.events[i], Asking) and i not in self.answers)

    @cached_property
    def labels(self) -> Mapping[int, Label]:
        """The labels in effect by value, in the order they were first defined or put in since."""
        labels: dict[int, Label] = {}
        for i in self.done:
            event = self.events[i]
            if isinstance(event, Defined):
                labels[event.label.value] = event.label
            elif isinstance(event, Ordered):
                named = {value: labels[value] for value in event.labels if value in labels}
                labels = named | {value: label for value, label in labels.items() if value not in named}
            elif (gone := label_gone(event)) is not None:
                labels.pop(gone, None)
        return MappingProxyType(labels)

    def locked_slices(self, *, before: int | None = None) -> Mapping[int, frozenset[int]]:
        """Return the numbers of the locked slices by the axis that they are across; none by an axis without any.

        `before` leaves out the events from that index on.

        >>> session = Session((9, 8, 8)).add(SlicesLocked(0, (2, 3))).add(SlicesLocked(0, (3,), locked=False))
        >>> dict(session.locked_slices()), sorted(session.locked_slices(before=1)[0])
        ({0: frozenset({2})}, [2, 3])
        """
        locked: dict[int, frozenset[int]] = {}
        for i in self.done if self._locks else ():
            event = self.events[i]
            if isinstance(event, SlicesLocked) and (before is None or i < before):
                known = locked.get(event.axis, frozenset())
                locked[event.axis] = known.union(event.slices) if event.locked else known.difference(event.slices)
        return MappingProxyType({axis: slices for axis, slices in locked.items() if slices})

    @cached_property
    def _locks(self) -> bool:
        return any(isinstance(event, SlicesLocked) for event in self.events)

    @cached_property
    def _layers(self) -> Mapping[int, int]:
        layers: dict[int, int] = {}  # by label, as of each event
        found: dict[int, int] = {}
        for i in self.done:
            event = self.events[i]
            if isinstance(event, Defined):
                layers[event.label.value] = event.label.layer
            elif isinstance(event, Asking):
                asked = self.events[event.event] if isinstance(event, Removed) else event
                assert isinstance(asked, Marked | Deleted), asked
                found[i] = layers.get(asked.label, 0)
        return MappingProxyType(found)

    def layer_of(self, position: int) -> int:
        """Return the layer whose map the answer to an event in effect changes.

        >>> session = Session((1, 8, 8)).add(Defined(Label(1, "lesion", PALETTE[0], layer=1)))
        >>> session.add(Deleted(1)).layer_of(1)
        1
        """
        return self._layers.get(position, 0)

    def prompted(self, label: int | None = None, *, before: int | None = None) -> tuple[int, ...]:
        """Return the events whose prompts are in effect: of one label, or of all.

        `before` leaves out the events from that index on, the state in which that
        event found the session.
        """
        return tuple(i for i in self.marked(label, before=before) if isinstance(self.events[i], Prompted))

    def marked(self, label: int | None = None, *, before: int | None = None) -> tuple[int, ...]:
        """Return the events whose prompts and edits are in effect: those of one label, or all.

        >>> from segmend.core.edits import KeepLargest
        >>> session = Session((1, 8, 8)).add(Defined(Label(1, "lesion", PALETTE[0]))).add(Edited(KeepLargest(), 1))
        >>> session.marked(), session.prompted()
        ((1,), ())
        """
        done = [i for i in self.done if before is None or i < before]
        removed = {taken_away(self.events[i]) for i in done}
        deleted = {gone: i for i in done if (gone := label_gone(self.events[i])) is not None}  # the last time
        return tuple(
            i
            for i in done
            if i not in removed
            and isinstance(event := self.events[i], Marked)
            and i > deleted.get(event.label, -1)
            and (label is None or event.label == label)
        )

    def _check(self, event: Event) -> None:
        match event:
            case Defined(label=label):
                if not 1 <= label.value <= MAX_LABEL:
                    raise PromptError(f"A label needs a value of 1 to {MAX_LABEL}; got {label.value}.")
                if not label.name.strip():
                    raise PromptError("A label needs a name; got an empty one.")
                if not all(0 <= part <= 255 for part in label.colour):
                    raise PromptError(f"A colour needs three numbers of 0 to 255; got {label.colour}.")
                if not 0 <= label.opacity <= 1:
                    raise PromptError(f"A label needs an opacity of 0 to 1; got {label.opacity:g}.")
                self._check_layer(label)
            case Ordered(labels=values):
                if len(set(values)) != len(values) or not set(values) <= self.labels.keys():
                    raise PromptError(
                        f"An order needs each of its labels once, of {sorted(self.labels)}; got {values}."
                    )
            case Prompted(prompt=prompt, label=value, method=method):
                self._check_label(value)
                check(prompt, self.shape)
                if method == GIVEN and not isinstance(prompt, Mask):
                    raise PromptError(f"Only a mask can be given as it is; got a {kind_of(prompt)}.")
                if event.replaces is not None:
                    self._check_replaces(event.replaces, value)
                if event.reach is not None:
                    check_reach(event.reach, prompt, self.shape)
                self._check_unlocked(None if method == GIVEN else extent(prompt))
            case Edited(edit=edit, label=value):
                self._check_label(value)
                self._check_other(edit, value)
                check_edit(edit, self.shape, apart=self._share_layer(edit, value))
                self._check_unlocked(_place_of_edit(edit, self.shape))
                if isinstance(edit, Merge):
                    self._check_whole(edit.other)
            case Removed(event=earlier):
                if earlier not in self.marked():
                    raise PromptError(f"Only a prompt or an edit in effect can be removed; event {earlier} is none.")
                marked = self.events[earlier]
                assert isinstance(marked, Marked)
                self._check_label(marked.label)
                if label_gone(marked) is not None:
                    raise PromptError(
                        f"A merge of labels can be undone, but not be taken away; event {earlier} is one."
                    )
            case Deleted(label=value):
                self._check_label(value)
                self._check_whole(value)
            case SlicesLocked(axis=axis, slices=slices):
                if not 0 <= axis < len(self.shape):
                    raise PromptError(f"Locked slices need an axis of 0, 1 or 2; got {axis}.")
                if not slices or not all(0 <= number < self.shape[axis] for number in slices):
                    raise PromptError(
                        f"Slices to be locked need numbers of 0 to {self.shape[axis] - 1} across axis {axis}; "
                        f"got {list(slices)}."
                    )
            case Undone():
                if not self.done:
                    raise PromptError("There is nothing to undo.")
            case Redone():
                if not self.undone:
                    raise PromptError("There is nothing to redo.")

    def _check_layer(self, label: Label) -> None:
        """Raise PromptError unless a label may be in its layer: one that has marks stays where it is."""
        if not 0 <= label.layer <= MAX_LABEL:
            raise PromptError(f"A label needs a layer of 0 to {MAX_LABEL}; got {label.layer}.")
        if label.instance is not None and not 1 <= label.instance <= MAX_LABEL:
            raise PromptError(f"An object needs a number of 1 to {MAX_LABEL}; got {label.instance}.")
        known = self.labels.get(label.value)
        if known is not None and known.layer != label.layer and self._is_touched(label.value):
            raise PromptError(
                f"Label {label.value} ({known.name}) has marks, so whether it may share voxels stays as it is."
            )
        layers = {0, label.layer, *(other.layer for other in self.labels.values())}
        if len(layers) > MAX_LAYERS:
            raise PromptError(f"A session has at most {MAX_LAYERS} layers of labels that may share voxels.")

    def _is_touched(self, label: int) -> bool:
        """Tell whether something in effect was put down on a label, or gave it voxels, since it was last deleted."""
        for i in reversed(self.done):
            event = self.events[i]
            if label_gone(event) == label:
                return False
            if isinstance(event, Marked) and event.label == label:
                return True
            if isinstance(event, Edited) and other_label(event.edit) == label:
                return True
        return False

    def _share_layer(self, edit: Edit, label: int) -> bool:
        """Tell whether the other label that an edit names, if any, is one that can have no voxel of this label."""
        other = self.labels.get(edit.other) if isinstance(edit, Combine) else None
        return other is None or other.layer == self.labels[label].layer

    def _check_unlocked(self, place: Box | None) -> None:
        """Raise PromptError where all of a place lies in locked slices, so that nothing can change there."""
        if place is None or not place.size:
            return
        for axis, locked in self.locked_slices().items():
            slices = range(place.low[axis], place.high[axis])
            if locked.issuperset(slices):
                numbers = f"Slice {slices[0]}" if len(slices) == 1 else f"Slices {slices[0]} to {slices[-1]}"
                verb = "is" if len(slices) == 1 else "are"
                raise PromptError(f"{numbers} across axis {axis} {verb} locked; unlock to change the mask there.")

    def _check_whole(self, label: int) -> None:
        """Raise PromptError where a label cannot go, because it may have voxels in locked slices."""
        if self.locked_slices() and self._is_touched(label):
            raise PromptError("A label with marks cannot go while slices are locked; unlock them first.")

    def _check_replaces(self, earlier: int, label: int) -> None:
        if earlier not in self.prompted(label):
            raise PromptError(f"Only a prompt in effect on the same label can be replaced; event {earlier} is none.")

    def _check_other(self, edit: Edit, label: int) -> None:
        """Raise PromptError unless the label that an edit takes voxels from or looks at is another one, and free."""
        changed = other_label(edit)
        named = edit.other if isinstance(edit, Combine) else changed
        if named is None:
            return
        if named == label:
            raise PromptError(f"An edit of label {label} needs another label beside it; got {named} twice.")
        if changed is not None:
            self._check_label(changed)
        elif named not in self.labels:
            raise PromptError(f"Label {named} is not defined here; there are {sorted(self.labels)}.")
        if not isinstance(edit, Combine) and self.labels[named].layer != self.labels[label].layer:
            raise PromptError(
                f"Labels {label} and {named} may share voxels, so neither can become a part of the other; "
                "add the one to the other (combine), and delete it."
            )

    def _check_label(self, value: int) -> None:
        if value not in self.labels:
            raise PromptError(f"Label {value} is not defined here; there are {sorted(self.labels) or 'none'}.")
        if self.labels[value].locked:
            raise PromptError(f"Label {value} ({self.labels[value].name}) is locked; unlock it to change it.")


def _place_of_edit(edit: Edit, shape: Sequence[int]) -> Box | None:
    """Return the box outside which an edit drawn by hand changes nothing; None for the rules, which know no place."""
    match edit:
        case Draw(drawn=drawn):
            return extent(drawn)
        case Paint(points=points, axis=int(axis)):
            around = extent(Stroke(points))
            assert around is not None
            low, high = [0, 0, 0], list(shape)
            low[axis], high[axis] = around.low[axis], around.high[axis]
            return Box.of(low, high)
        case CopySlice(axis=axis, target=target):
            low, high = [0, 0, 0], list(shape)
            low[axis], high[axis] = target, target + 1
            return Box.of(low, high)
        case _:
            return None


class Canvas:
    """The label maps of a session as arrays, one a layer, moved from state to state in place.

    The one mutable thing here: a cache that any process can rebuild from the session.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self._shape = tuple(shape)
        self._layers: dict[int, LabelMap] = {0: np.zeros(self._shape, np.uint16)}
        self._applied: dict[int, tuple[int, Patch]] = {}

    @property
    def map(self) -> LabelMap:
        """The map of the first layer, which is all there is where no labels may share voxels."""
        return self._layers[0]

    @property
    def layers(self) -> Mapping[int, LabelMap]:
        """The maps by layer, the first one always among them."""
        return MappingProxyType(self._layers)

    def layer(self, number: int) -> LabelMap:
        """Return the map of a layer, an empty one where nothing was painted on it yet."""
        if number not in self._layers:
            self._layers[number] = np.zeros(self._shape, np.uint16)
        return self._layers[number]

    def follow(self, session: Session) -> Mapping[int, Box]:
        """Bring the maps to the session's state; return the box that changed of each layer that did."""
        wanted = {i: (session.layer_of(i), session.answers[i]) for i in session.done if i in session.answers}
        changed: dict[int, Box] = {}
        for i in self._applied.keys() | wanted.keys():
            old, new = self._applied.get(i), wanted.get(i)
            if old is not None and new is not None and old[1] is new[1]:
                continue
            for layer, patch in (one for one in (old, new) if one is not None and one[1].box.size):
                self.layer(layer)[patch.box.slices] ^= patch.values
                changed[layer] = patch.box.union(changed.get(layer, patch.box))
        self._applied = wanted
        return changed

    def hold(self, event: int, patch: Patch, layer: int = 0) -> None:
        """Take note that the map already shows this answer, painted part by part as it came.

        >>> session = Session((1, 2, 2)).add(Defined(Label(1, "lesion", PALETTE[0])))
        >>> canvas = Canvas(session.shape)
        >>> before = canvas.map.copy(); canvas.map[0, 0, 0] = 1
        >>> patch = Patch.between(before, canvas.map)
        >>> canvas.hold(0, patch)
        >>> canvas.follow(session.answered(0, patch))
        {}
        """
        self._applied = {**self._applied, event: (layer, patch)}

    def mask(self, label: int) -> MaskArray:
        """Return a new boolean array of one label, in whichever layer it is."""
        found = np.zeros(self._shape, bool)
        for one in self._layers.values():
            found |= one == label
        return found


def painted(before: LabelMap, mask: MaskArray, label: int, locked: Iterable[int] = ()) -> LabelMap:
    """Return the label map after `label` got this mask; locked labels keep their voxels.

    >>> painted(np.array([[[0, 1, 2, 3]]], np.uint16), np.array([[[True, False, True, True]]]), 1, [3])
    array([[[1, 0, 1, 3]]], dtype=uint16)
    """
    after = before.copy()
    after[(before == label) & ~mask] = 0
    free = mask if not (values := list(locked)) else mask & ~np.isin(before, values)
    after[free] = label
    return after


def with_locked_slices(before: LabelMap, after: LabelMap, low: Index, locked: Mapping[int, Iterable[int]]) -> LabelMap:
    """Return a label map of a box that begins at voxel `low`, with its locked slices, by axis, as they were before.

    >>> before, after = np.zeros((3, 1, 2), np.uint16), np.ones((3, 1, 2), np.uint16)
    >>> with_locked_slices(before, after, (4, 0, 0), {0: [5], 2: [9]})[:, 0].tolist()
    [[1, 1], [0, 0], [1, 1]]
    """
    if not locked:
        return after
    kept = after.copy()
    for axis, numbers in locked.items():
        inside = [number - low[axis] for number in numbers if 0 <= number - low[axis] < after.shape[axis]]
        np.moveaxis(kept, axis, 0)[inside] = np.moveaxis(before, axis, 0)[inside]
    return kept


def event_to_json(event: Event) -> dict[str, Any]:
    """Return the event as plain JSON values.

    >>> event_to_json(Removed(4))
    {'event': 'removed', 'of': 4}
    """
    match event:
        case Defined(label=label, joined=joined):
            return {"event": "defined", "label": label_to_json(label), "joined": joined}
        case Ordered(labels=order):
            return {"event": "ordered", "labels": list(order)}
        case Prompted(prompt=prompt, label=value, method=method, finetune=finetune):
            values = {"event": "prompted", "prompt": prompt_to_json(prompt), "label": value, "method": method}
            values |= {"finetune": finetune, "overwrite": event.overwrite, "joined": event.joined}
            values |= {} if event.replaces is None else {"replaces": event.replaces}
            return values if event.reach is None else {**values, "reach": reach_to_json(event.reach)}
        case Edited(edit=edit, label=value, overwrite=overwrite, joined=joined):
            values = {"event": "edited", "edit": edit_to_json(edit), "label": value}
            return {**values, "overwrite": overwrite, "joined": joined}
        case Removed(event=earlier):
            return {"event": "removed", "of": earlier}
        case Deleted(label=value, joined=joined):
            return {"event": "deleted", "label": value, "joined": joined}
        case SlicesLocked(axis=axis, slices=slices, locked=locked):
            return {"event": "slices_locked", "axis": axis, "slices": list(slices), "locked": locked}
        case Undone():
            return {"event": "undone"}
        case Redone():
            return {"event": "redone"}


def event_from_json(values: Mapping[str, Any]) -> Event:
    """Return the event that `event_to_json` wrote; PromptError says what is missing or wrong.

    >>> event_from_json({"event": "undone"})
    Undone()
    """
    kind = values.get("event") if isinstance(values, Mapping) else None
    try:
        match kind:
            case "defined":
                return Defined(label_from_json(values["label"]), _flag(values, "joined", default=False))
            case "ordered":
                if not isinstance(values["labels"], list) or len(values["labels"]) > MAX_LABEL:
                    raise PromptError("An order needs a list of labels.")
                return Ordered(tuple(_whole(value) for value in values["labels"]))
            case "prompted":
                finetune = finetune_of(values.get("finetune", values.get("adapt", "auto")))  # "adapt" before 0.2
                prompt = prompt_from_json(values["prompt"])
                label, method = _whole(values["label"]), str(values["method"])
                overwrite = _flag(values, "overwrite", default=True)  # as it was before it could be said
                replaces = None if values.get("replaces") is None else _whole(values["replaces"])
                joined = _flag(values, "joined", default=False)
                reach = None if values.get("reach") is None else reach_from_json(values["reach"])
                return Prompted(prompt, label, method, finetune, overwrite, joined, replaces, reach)
            case "edited":
                overwrite, joined = (_flag(values, name, default=False) for name in ("overwrite", "joined"))
                return Edited(edit_from_json(values["edit"]), _whole(values["label"]), overwrite, joined)
            case "removed":
                return Removed(_whole(values["of"]))
            case "deleted":
                return Deleted(_whole(values["label"]), _flag(values, "joined", default=False))
            case "slices_locked":
                if not isinstance(values["slices"], list) or len(values["slices"]) > MAX_SLICES:
                    raise PromptError(f"Slices to be locked need a list of at most {MAX_SLICES} numbers.")
                slices = tuple(_whole(number) for number in values["slices"])
                return SlicesLocked(_whole(values["axis"]), slices, _flag(values, "locked", default=True))
            case "undone":
                return Undone()
            case "redone":
                return Redone()
            case _:
                raise PromptError(f"An event needs a known kind; got {kind!r}.")
    except KeyError as missing:
        raise PromptError(f"An event of kind {kind!r} needs {missing.args[0]!r}; it is not there.") from None
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, UserError):
            raise
        raise PromptError(f"An event of kind {kind!r} could not be read: {error}.") from None


def finetune_of(value: object) -> Finetune:
    """Return whether to fine-tune, as somebody wrote it.

    >>> finetune_of("always")
    Traceback (most recent call last):
    ...
    segmend.errors.PromptError: Fine-tuning to the image needs auto, on or off; got 'always'.
    """
    if value not in FINETUNES:
        raise PromptError(
            f"Fine-tuning to the image needs {', '.join(FINETUNES[:-1])} or {FINETUNES[-1]}; got {value!r}."
        )
    return value


def _flag(values: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = values.get(name, default)
    if not isinstance(value, bool):
        raise PromptError(f"'{name}' needs true or false; got {value!r}.")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or int(value) != value:
        raise PromptError(f"An event needs whole numbers; got {value!r}.")
    return int(value)


def label_to_json(label: Label) -> dict[str, Any]:
    """Return the label as plain JSON values."""
    codes = None if label.codes is None else codes_to_json(label.codes)
    values = {"value": label.value, "name": label.name, "colour": list(label.colour), "locked": label.locked}
    return {**values, "opacity": label.opacity, "codes": codes, "layer": label.layer, "instance": label.instance}


def label_from_json(values: Mapping[str, Any]) -> Label:
    """Return the label that `label_to_json` wrote."""
    r, g, b = (_whole(v) for v in values["colour"])
    name, locked = values["name"], values.get("locked", False)
    if not isinstance(name, str):
        raise PromptError(f"A label needs text as its name; got {name!r}.")
    if not isinstance(locked, bool):
        raise PromptError(f"'locked' needs true or false; got {locked!r}.")
    opacity = values.get("opacity", 1.0)
    if isinstance(opacity, bool) or not isinstance(opacity, int | float):
        raise PromptError(f"'opacity' needs a number of 0 to 1; got {opacity!r}.")
    codes = None if values.get("codes") is None else codes_from_json(values["codes"])
    layer, instance = _whole(values.get("layer", 0)), values.get("instance")
    number = None if instance is None else _whole(instance)
    return Label(_whole(values["value"]), name, (r, g, b), locked, float(opacity), codes, layer, number)
