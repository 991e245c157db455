"""The interface of every method: open an image once, predict often.

A `Segmenter` opens an image into a `Workspace`, which may keep what costs time (features,
graphs, seeds). A workspace answers the prompts of *one* label at a time; what other labels
forbid comes to it as negative prompts. `answer` and `answers` are how everybody asks a
workspace: they hold each prediction to the marks, so "marks are law" is kept in one place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from segmend.encode import marks
from segmend.errors import PromptError, ShapeError
from segmend.image import Box, Image, MaskArray, Real
from segmend.prompts import KINDS, Prompt, check, kind_of
from segmend.session import Adapt


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a method thinks of the voxels inside `box`; outside it nothing changes."""

    probability: Real  # [z y x] of the box, 0 to 1
    box: Box
    quality: float | None = None  # the Dice it expects of its own mask
    doubt: Real | None = None  # [z y x] of the box, 0 (sure) to 1
    adapted: bool = False  # the network was taught this image for it

    def __post_init__(self) -> None:
        if self.probability.shape != self.box.shape:
            raise ShapeError(f"A prediction for {self.box} needs shape {self.box.shape}; got {self.probability.shape}.")

    @property
    def mask(self) -> MaskArray:  # [z y x] of the box
        return np.asarray(self.probability > 0.5)

    def over(self, previous: MaskArray) -> MaskArray:
        """Return the whole mask: this prediction laid over the previous mask.

        >>> half = Prediction(np.ones((1, 1, 2), np.float32), Box((0, 0, 2), (1, 1, 4)))
        >>> half.over(np.array([[[True, False, False, False]]]))
        array([[[ True, False,  True,  True]]])
        """
        mask = previous.copy()
        mask[self.box.slices] = self.mask
        return mask


class Workspace(ABC):
    """One opened image; used by one thread at a time."""

    @abstractmethod
    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        """Return the mask of one object from all its prompts, oldest first, and its mask so far."""

    def stream(self, prompts: Sequence[Prompt], previous: MaskArray) -> Iterator[Prediction]:
        """Yield the answer in parts, the most wanted first; stopping early stops the work.

        Each part speaks for its own box; laid over each other in order they are the answer.
        """
        yield self.predict(prompts, previous)

    def adapting(self, adapt: Adapt) -> Workspace:
        """Return a workspace of this image that teaches its network the image as said; one just opened is "auto".

        What costs time is shared by both. A method that cannot adapt gives the same one.
        """
        return self


class Segmenter(ABC):
    """A method, ready to run."""

    @abstractmethod
    def open(self, image: Image) -> Workspace:
        """Return a workspace of this image; whatever is worth doing once happens here."""


@dataclass(frozen=True)
class Method:
    """A method's card: what the menus, the CLI and the server say of it before it is loaded.

    `prompts` are kinds from `prompts.KINDS`; `dimensions` holds 2, 3 or both; `weights`
    is "none needed", "shipped" or the one line that trains them. Without any other
    mark, one that `refines` answers a `Mask` with a better one, one that `guesses` an empty mask with its own.
    One that `adapts` can teach its network the image while a person works (`Workspace.adapting`).
    """

    id: str
    title: str
    paper: str
    prompts: tuple[str, ...]
    dimensions: tuple[int, ...]
    weights: str
    refines: bool = False
    guesses: bool = False
    adapts: bool = False

    def __post_init__(self) -> None:
        assert set(self.prompts) <= set(KINDS), self.prompts

    def check(self, prompts: Sequence[Prompt]) -> None:
        """Raise PromptError when a prompt is of a kind that this method cannot take."""
        for prompt in prompts:
            if kind_of(prompt) not in self.prompts:
                raise PromptError(f"{self.title} takes {', '.join(self.prompts)}; got {kind_of(prompt)}.")


def answers(workspace: Workspace, prompts: Sequence[Prompt], previous: MaskArray) -> Iterator[Prediction]:
    """Yield the workspace's answer in parts, each obeying every mark inside its box.

    The last part also covers marks that no part reached.
    """
    for prompt in prompts:
        check(prompt, previous.shape)
    positive, negative = marks(prompts, previous.shape)
    reached: list[Box] = []
    for part in workspace.stream(prompts, previous):
        reached.append(part.box)
        yield _obeying(part, positive, negative)
    for points, value in ((positive, 1.0), (negative, 0.0)):
        missed = np.ones(len(points), bool)
        for box in reached:
            missed &= ~((points >= box.low) & (points < box.high)).all(axis=1)
        for z, y, x in points[missed].tolist():
            if bool(previous[z, y, x]) != bool(value):
                box = Box((z, y, x), (z + 1, y + 1, x + 1))
                yield Prediction(np.full((1, 1, 1), value, np.float32), box)


def answer(workspace: Workspace, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
    """Return the whole answer as one prediction; every marked voxel has its mark's label."""
    return merged(list(answers(workspace, prompts, previous)), previous)


def merged(parts: Sequence[Prediction], previous: MaskArray) -> Prediction:
    """Return parts, laid over each other and over the previous mask, as one prediction.

    Its quality is the one that the last part to judge gave; where no part doubts, doubt is 0. One part that is
    adapted makes it adapted.

    >>> ones = np.ones((1, 1, 1), np.float32)
    >>> parts = [Prediction(ones, Box((0, 0, x), (1, 1, x + 1))) for x in (1, 3)]
    >>> merged(parts, np.array([[[False, False, True, False]]])).probability.tolist()
    [[[1.0, 1.0, 1.0]]]
    """
    if len(parts) == 1:
        return parts[0]
    box = parts[0].box
    for part in parts[1:]:
        box = box.union(part.box)
    probability = previous[box.slices].astype(np.float32)
    doubt = np.zeros(box.shape, np.float32) if any(part.doubt is not None for part in parts) else None
    for part in parts:
        low = [at - start for at, start in zip(part.box.low, box.low, strict=True)]
        z, y, x = (slice(at, at + count) for at, count in zip(low, part.box.shape, strict=True))
        probability[z, y, x] = part.probability
        if doubt is not None:
            doubt[z, y, x] = 0 if part.doubt is None else part.doubt
    qualities = [part.quality for part in parts if part.quality is not None]
    adapted = any(part.adapted for part in parts)
    return Prediction(probability, box, qualities[-1] if qualities else None, doubt, adapted)


def _obeying(part: Prediction, positive: np.ndarray, negative: np.ndarray) -> Prediction:
    probability = part.probability
    for points, value in ((positive, 1.0), (negative, 0.0)):
        inside = ((points >= part.box.low) & (points < part.box.high)).all(axis=1)
        if inside.any():
            probability = probability.copy() if probability is part.probability else probability
            probability[tuple((points[inside] - part.box.low).T)] = value
    return part if probability is part.probability else replace(part, probability=probability)
