"""What a viewer needs of one image being annotated, wherever its answers are made.

Every change is an event of `segmend.core.session`, put down by `do`, which returns when it is answered. A viewer calls
it from a thread of its own, so that its window stays alive. Several threads may use an annotation; they take turns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Box, Index, LabelMap, MaskArray
from segmend.core.layers import flattened
from segmend.core.prompts import Prompt
from segmend.core.reach import Reach
from segmend.core.session import (
    PALETTE,
    Arranging,
    Colour,
    Defined,
    Deleted,
    Event,
    Label,
    Prompted,
    Redone,
    Removed,
    Session,
    SlicesLocked,
    Undone,
)
from segmend.errors import PromptError

Levels = NDArray[np.uint8]  # [z y x] of a box: uncertainty, 0 (sure) to 255
# The Dice below which no mask is called good enough.
ENOUGH_DICE = 0.9
# The Dice by which a mark raises what is expected of a mask, if it is taken to have bettered it.
RISE_DICE = 0.01
# Marks in a row that better nothing, after which a mask is good enough.
ENOUGH_MARKS = 2


@dataclass(frozen=True)
class Mark:
    """A prompt in effect, and the place of its event in the log."""

    event: int
    prompt: Prompt
    label: int


class Annotation(ABC):
    """One image being annotated: its log, its label map, and what the last answer said of itself."""

    method: str  # the one that prompts are answered by

    @property
    @abstractmethod
    def session(self) -> Session:
        """The log of events."""

    @property
    @abstractmethod
    def layers(self) -> Mapping[int, LabelMap]:
        """Copies of the label maps [z y x] by layer; there is more than one where labels may share voxels."""

    @property
    @abstractmethod
    def quality(self) -> float | None:
        """The Dice that is expected of the mask answered last; None where nothing reliable is known of it."""

    @abstractmethod
    def expected(self, event: int) -> float | None:
        """Return the Dice that was expected of the mask when this event was answered; None where nobody knows it."""

    @property
    @abstractmethod
    def uncertainty(self) -> tuple[tuple[Box, Levels], ...]:
        """Where the last answer is uncertain, in parts; nothing once the mask has changed since."""

    @abstractmethod
    def do(self, event: Event) -> Box | None:
        """Put down an event, and return the box in which the map changed when it is answered; None for nothing.

        PromptError says why an event makes no sense; nothing has changed then.
        """

    @abstractmethod
    def uncertain_place(self, rank: int) -> Index | None:
        """Return the most uncertain voxel of the last answer but `rank`, None where there are no more."""

    def close(self) -> None:  # noqa: B027 - most have nothing to do
        """Give back what was opened for it; what was annotated can still be read."""

    @property
    def shape(self) -> Index:
        return self.session.shape

    @property
    def map(self) -> LabelMap:
        """The labels as one map [z y x]; `core.layers.FLAT` says what it holds where they overlap."""
        return flattened(self.layers, self.session.labels)

    def mask(self, label: int) -> MaskArray:
        """Return the mask of one label; PromptError when there is no such label."""
        self.check_label(label)
        found = self.layers.get(self.session.labels[label].layer)
        return np.zeros(self.shape, bool) if found is None else np.asarray(found == label)

    def is_enough(self, label: int) -> bool:
        """Tell whether the last marks have raised the Dice that is expected of a label no more, and it is high."""
        expected: list[float] = []
        session = self.session
        for position in range(len(session.events) - 1, -1, -1):
            event = session.events[position]
            if isinstance(event, Arranging):
                continue
            if not isinstance(event, Prompted):
                break  # the mask was changed in another way, and what was known is of another mask
            if event.label != label:
                continue
            dice = self.expected(position)
            if dice is None:
                break
            expected.append(dice)
        return is_enough(expected[::-1])

    def check_label(self, label: int) -> None:
        """Raise PromptError unless a label is defined."""
        if label not in self.session.labels:
            there = sorted(self.session.labels) or "none"
            raise PromptError(f"Label {label} is not defined here; there are {there}.")

    @property
    def marks(self) -> tuple[Mark, ...]:
        """The prompts in effect, oldest first."""
        session = self.session
        found = [(i, session.events[i]) for i in session.prompted()]
        return tuple(Mark(i, event.prompt, event.label) for i, event in found if isinstance(event, Prompted))

    def add_label(self, name: str = "", colour: Sequence[int] | None = None) -> int:
        """Define a new label, and return its number."""
        used = {event.label.value for event in self.session.events if isinstance(event, Defined)}
        value = max(used, default=0) + 1  # never one that undo may bring back
        self.do(Defined(Label(value, name or f"object {value}", _colour(colour, value))))
        return value

    def mark(self, prompt: Prompt, label: int, *, overwrite: bool = False, reach: Reach | None = None) -> Box | None:
        """Put down a prompt on a label, and return the box in which the map changed; `reach` says how far it may."""
        return self.do(Prompted(prompt, label, self.method, overwrite=overwrite, reach=reach))

    @property
    def locked_slices(self) -> Mapping[int, frozenset[int]]:
        """The numbers of the locked slices by the axis that they are across."""
        return self.session.locked_slices()

    def lock_slices(self, slices: Iterable[int], *, axis: int = 0, locked: bool = True) -> None:
        """Let no mask change in these slices any longer, or again."""
        self.do(SlicesLocked(axis, tuple(slices), locked))

    @property
    def can_undo(self) -> bool:
        """True when something was done since it began with its first labels."""
        session = self.session
        first = next((i for i, event in enumerate(session.events) if not isinstance(event, Defined)), None)
        return first is not None and any(i >= first for i in session.done)

    def undo(self) -> Box | None:
        """Take the last event in effect back; PromptError when there is none, or only the labels it began with."""
        if not self.can_undo:
            raise PromptError("There is nothing to undo.")
        return self.do(Undone())

    def redo(self) -> Box | None:
        """Bring back what was taken back last; PromptError when there is none."""
        return self.do(Redone())

    def remove(self, event: int) -> Box | None:
        """Take an earlier mark away; its label is worked out again without it."""
        return self.do(Removed(event))

    def delete_label(self, label: int) -> Box | None:
        """Delete a label with its mask and its marks."""
        return self.do(Deleted(label))


def is_enough(expected: Sequence[float]) -> bool:
    """Tell whether the Dice that was expected of a mask after each mark, oldest first, is high and rises no more.

    >>> is_enough([0.8, 0.93, 0.935]), is_enough([0.8, 0.93, 0.935, 0.93])
    (False, True)
    """
    if len(expected) <= ENOUGH_MARKS:
        return False
    before = max(expected[:-ENOUGH_MARKS])
    since = expected[-ENOUGH_MARKS:]
    return before >= ENOUGH_DICE and since[-1] >= ENOUGH_DICE and all(dice - before < RISE_DICE for dice in since)


def _colour(colour: Sequence[int] | None, value: int) -> Colour:
    if colour is None:
        return PALETTE[(value - 1) % len(PALETTE)]
    parts = tuple(colour)
    if len(parts) != 3 or not all(isinstance(part, int) and 0 <= part <= 255 for part in parts):
        raise PromptError(f"A colour needs three whole numbers of 0 to 255; got {parts}.")
    return parts[0], parts[1], parts[2]
