"""What a real person scribbled, put down again; then another robot corrects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from segmend.core.image import MaskArray
from segmend.core.prompts import Stroke
from segmend.errors import SettingsError
from segmend.users.largest import LargestError
from segmend.users.play import Marks, User
from segmend.users.seeds import strokes

Scribbles = Mapping[int, MaskArray]  # by label value, 0 the background: which voxels [z y x] a person drew through


@runtime_checkable
class ScribblePlayer(User, Protocol):
    """A robot that plays what a person scribbled on one object of one case."""

    def of(self, scribbles: Scribbles | None, value: int) -> User: ...


@dataclass(frozen=True)
class Human:
    """The robot `human`: one round of a person's scribbles on an object, then clicks like `LargestError`.

    Evaluation gives it the scribbles of each case first (`of`); a robot without any clicks.
    """

    kinds: ClassVar[tuple[str, ...]] = ("stroke", "click")
    seed: int = 0

    def of(self, scribbles: Scribbles | None, value: int) -> Scribbled:
        """Return the robot that puts down a case's scribbles on the object of this label value."""
        if scribbles is None:
            raise SettingsError("The user 'human' needs a person's scribbles; the case has none.")
        return Scribbled(scribble_strokes(scribbles, value), self.seed)

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Marks | None:
        return LargestError(self.seed)(truth, mask)


@dataclass(frozen=True)
class Scribbled:
    """Open with these strokes, all at once; without any, or from a mask, with a click."""

    given: tuple[Stroke, ...]
    seed: int = 0

    def opening(self, truth: MaskArray, mask: MaskArray) -> Marks | None:
        """Return the first prompts of a game."""
        return self(truth, mask) if mask.any() or not self.given else self.given

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Marks | None:
        return LargestError(self.seed)(truth, mask)


def scribble_strokes(scribbles: Scribbles, value: int) -> tuple[Stroke, ...]:
    """Return a round of scribbles as strokes: those of one label value positive, all others negative.

    Strokes run through just the voxels that were drawn. The slice in which most of the object was drawn comes last, so
    that its strokes are the newest. Nothing was said where nobody drew on the object.

    >>> drawn = np.zeros((2, 1, 4), bool); drawn[1, 0, 1:] = True
    >>> scribble_strokes({0: np.roll(drawn, 1, axis=0), 2: drawn}, 2)[-1]
    Stroke(points=((1, 0, 1), (1, 0, 3)), positive=True, radius=0.5)
    """
    mine = scribbles.get(value)
    if mine is None or not mine.any():
        return ()
    beside = np.zeros_like(mine)
    for other, drawn in scribbles.items():
        if other != value:
            beside |= drawn
    found: list[Stroke] = []
    for plane in np.argsort(mine.sum(axis=(1, 2)), kind="stable").tolist():
        found += strokes(beside[plane] & ~mine[plane], plane, positive=False)
        found += strokes(mine[plane], plane, positive=True)
    return tuple(found)
