"""What methods in the plane share: one slice is answered from its marks, the next ones from the slice beside them.

A subclass answers a slice (`answer`) and the slice beside an answered one (`propagate`). The slice of the newest
prompt is answered first, then every other one whose marks are not obeyed yet. Propagation through a volume ends where
a slice is marked itself, where the new mask no longer goes on from the one before, where the intensities inside it are
no longer those of the slice that was answered, or where nothing changes any more. A slice that has a mask already
changes only near what changed beside it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Box, Image, MaskArray, Real
from segmend.core.masks import dice
from segmend.core.prompts import Prompt
from segmend.core.segmenter import Prediction, Workspace, merged
from segmend.errors import PromptError
from segmend.sampling.intensity import colour_or_grey
from segmend.sampling.propagation import Step, limit_to_change, propagate
from segmend.sampling.slice_prompts import (
    apply_lassos,
    disobeyed_slices,
    has_marks,
    key_index,
    newest_mark_last,
    plane_axis,
    slice_range,
)
from segmend.sampling.window import Plane, Window, around


@dataclass(frozen=True, eq=False)
class PlaneAnswer:
    """The probability of every pixel of a plane, and the Dice that the method expects of its mask."""

    probability: Real  # [y x]
    quality: float | None = None

    @property
    def mask(self) -> Plane:
        return np.asarray(self.probability > 0.5)


class SliceWorkspace(Workspace):
    """One image, answered a slice at a time."""

    title: ClassVar[str]

    def __init__(self, image: Image) -> None:
        self.image = image

    @abstractmethod
    def answer(self, prompts: Sequence[Prompt], axis: int, index: int, here: Plane) -> PlaneAnswer:
        """Return the answer for a plane from the prompts and its mask so far."""

    @abstractmethod
    def propagate(self, prompts: Sequence[Prompt], axis: int, index: int, beside: Plane) -> PlaneAnswer:
        """Return the answer for a plane whose neighbour has this mask, which is not empty."""

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        return merged(list(self.stream(prompts, previous)), previous)

    def stream(self, prompts: Sequence[Prompt], previous: MaskArray) -> Iterator[Prediction]:
        if not prompts:
            raise PromptError(f"{self.title} needs at least one prompt; got none.")
        axis = plane_axis(prompts[-1], self.image)
        index = key_index(prompts[-1], axis)
        mask = apply_lassos(prompts, previous)
        answered: dict[int, Plane] = {}
        for plane in (index, *disobeyed_slices(prompts, mask, axis, index)):
            first = self.answer(newest_mark_last(prompts, axis, plane), axis, plane, np.take(mask, plane, axis))
            yield plane_prediction(first, axis, plane)
            if first.mask.any():
                answered[plane] = first.mask
        if self.image.shape[axis] > 1:
            yield from self._propagate_to_both_sides(prompts, mask, axis, answered)

    def channels(self, axis: int, index: int) -> NDArray[np.generic]:  # [c y x]
        """Return one plane of the image: red, green and blue, or one grey."""
        plane: NDArray[np.generic] = np.take(self.image.voxels, index, axis + 1)
        return colour_or_grey(plane)

    def aspect(self, axis: int) -> float:
        """Return the row spacing over the column spacing of a plane."""
        rows, columns = np.delete(self.image.spacing, axis)
        return float(rows / columns)

    def whole_window(self, axis: int) -> Window:
        """Return the window of a whole plane."""
        rows, columns = np.delete(self.image.shape, axis)
        return around(0, 0, int(rows), int(columns), margin=1.0, aspect=self.aspect(axis))

    def _propagate_to_both_sides(
        self, prompts: Sequence[Prompt], mask: MaskArray, axis: int, answered: Mapping[int, Plane]
    ) -> Iterator[Prediction]:
        """Yield the slices on both sides of the answered ones, each from the mask of the slice beside it."""

        def step(_: int, after: int, beside: _Slice) -> Step[_Slice, Prediction] | None:
            fresh = self.propagate(prompts, axis, after, beside.mask)
            if not continues(beside.mask, fresh.mask):
                return None
            if abs(float(self._intensities(axis, after, fresh.mask).mean()) - beside.mean) > 1.5 * beside.spread:
                return None
            old = np.take(mask, after, axis)
            fresh = replace(fresh, probability=limit_to_change(fresh.probability, old, beside.changed))
            onward = replace(beside, mask=fresh.mask, changed=old ^ fresh.mask)
            state = None if nearly_equal(old, fresh.mask) else onward
            return Step(plane_prediction(fresh, axis, after), state, final=True)

        first, last = slice_range(prompts, axis, self.image.shape[axis])
        begun = {
            index: _Slice(here, here ^ np.take(mask, index, axis), *self._intensity_range(axis, index, here))
            for index, here in answered.items()
        }
        yield from propagate(
            begun, step, slices=range(first, last), fixed=lambda index: has_marks(prompts, axis, index)
        )

    def _intensity_range(self, axis: int, index: int, here: Plane) -> tuple[float, float]:
        """Return the mean of the intensities inside a mask, and their spread, of which there is always some."""
        inside = self._intensities(axis, index, here)
        whole = float(np.ptp(self.channels(axis, index).astype(np.float32)))
        return float(inside.mean()), max(float(inside.std()), 0.05 * whole)

    def _intensities(self, axis: int, index: int, here: Plane) -> Real:
        return np.asarray(self.channels(axis, index).astype(np.float32).mean(axis=0)[here])


@dataclass(frozen=True, eq=False)
class _Slice:
    """What the next slice follows from: a mask, what changed in it, and the intensities of the slice answered first."""

    mask: Plane
    changed: Plane
    mean: float
    spread: float


def plane_prediction(answer: PlaneAnswer, axis: int, index: int) -> Prediction:
    """Return a plane's answer as a prediction."""
    low, high = [0, 0], list(answer.probability.shape)
    low.insert(axis, index)
    high.insert(axis, index + 1)
    box = Box.of(low, high)
    return Prediction(np.expand_dims(answer.probability, axis), box, quality=answer.quality)


def continues(before: Plane, after: Plane) -> bool:
    """Tell whether a slice's mask goes on from its neighbour's: they overlap and are alike in size."""
    common, was, now = int((before & after).sum()), int(before.sum()), int(after.sum())
    return now >= 4 and common >= 0.3 * min(was, now) and 0.15 * was <= now <= 3 * was + 20


def nearly_equal(old: Plane, fresh: Plane) -> bool:
    """Tell whether two masks agree by a Dice of more than .98."""
    return dice(old, fresh, empty=0.0) > 0.98
