"""mend slice by slice: the slices with new marks first, then their neighbours, until the object ends.

The plane of the newest prompt is answered first, then every other plane with marks that are new; their masks are
propagated from slice to slice in both directions until the object ends. A picture is one slice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Box, MaskArray, Real, bounds
from segmend.core.marks import in_plane
from segmend.core.prompts import Click, Mask, Prompt, Stroke, extent
from segmend.core.segmenter import Prediction
from segmend.mend.plane import PlanePredictor
from segmend.mend.plane_networks import Question, WindowAnswer
from segmend.sampling.propagation import Step, apply_change, limit_to_change, propagate
from segmend.sampling.slice_prompts import (
    disobeyed_slices,
    has_marks,
    key_index,
    newest_mark_last,
    plane_axis,
    slice_range,
)
from segmend.sampling.slices import continues, nearly_equal
from segmend.sampling.window import Plane

# The factor by which the expected Dice falls from slice to slice away from the marked ones. It was fitted to answers of
# the shipped weights (docs/mend-experiments.md).
SLICE_FACTOR = 0.82


def answer_slices(planes: PlanePredictor, prompts: Sequence[Prompt], mask: MaskArray) -> Iterator[Prediction]:
    """Yield the plane of the newest prompt, others with new marks, then the neighbours that change with them."""
    axis = plane_axis(prompts[-1], planes.windows.image)
    index = key_index(prompts[-1], axis)
    quality = _StackQuality(prompts, mask, axis)
    answered: dict[int, Plane] = {}
    for plane in (index, *disobeyed_slices(prompts, mask, axis, index)):
        here = np.take(mask, plane, axis).copy()
        question = Question(newest_mark_last(prompts, axis, plane), axis, plane, here)
        answer = planes.answer(question)
        here[answer.where] = answer.mask
        expected = quality.add(answer, plane, here)
        part = _prediction(answer.probability, answer.uncertainty, answer.where, axis, plane, expected)
        yield replace(part, finetuned=answer.finetuned)
        answered[plane] = here
    if planes.windows.image.shape[axis] > 1:
        yield from _propagated(planes, prompts, mask, axis, answered, quality)


def _propagated(
    planes: PlanePredictor,
    prompts: Sequence[Prompt],
    mask: MaskArray,
    axis: int,
    answered: Mapping[int, Plane],
    quality: _StackQuality,
) -> Iterator[Prediction]:
    """Yield the slices on both sides of the answered ones, each with what changed in the slice beside it.

    A slice that has a mask already keeps it away from the change, so that a correction mends what is near it and
    spoils nothing further off.
    """

    def step(before: int, after: int, fresh: Plane) -> Step[Plane, Prediction]:
        was, old = np.take(mask, before, axis), np.take(mask, after, axis)
        question = Question(prompts, axis, after, apply_change(old, was, fresh))
        probability, answer = _answer_beside(planes, question, old, fresh ^ was)
        now = np.asarray(probability > 0.5)
        onward = None if nearly_equal(old, now) else now
        if not now.any() and not old.any():
            return Step(None, onward, final=False)
        where = _bounds(probability, old)
        uncertainty = np.zeros(old.shape, np.float32)
        if answer is not None:
            uncertainty[answer.where] = answer.uncertainty
        expected = quality.add(answer, after, now)
        part = _prediction(probability[where], uncertainty[where], where, axis, after, expected)
        return Step(part, onward, final=True)

    first, last = slice_range(prompts, axis, planes.windows.image.shape[axis])
    yield from propagate(answered, step, slices=range(first, last), fixed=lambda index: has_marks(prompts, axis, index))


def _answer_beside(
    planes: PlanePredictor, question: Question, old: Plane, changed: Plane
) -> tuple[Real, WindowAnswer | None]:
    """Return the probability of a slice beside an answered one, and the networks' answer, if it counts."""
    probability = np.zeros(old.shape, np.float32)
    answer = None
    if question.here.any():
        answer = planes.propagate(question)
        probability[answer.where] = answer.probability
    if not continues(question.here, probability > 0.5):
        probability[:] = 0
        answer = None
    return limit_to_change(probability, old, changed), answer


class _StackQuality:
    """The Dice that is expected of all slices: the mean of those that were answered, each counting by its size.

    It is less, the further the mask goes from the slices that a person marked.
    """

    def __init__(self, prompts: Sequence[Prompt], mask: MaskArray, axis: int) -> None:
        self.total = 0.0
        self.size = 0
        self.there = np.asarray(np.moveaxis(mask, axis, 0).reshape(mask.shape[axis], -1).any(axis=1))
        away = np.ones_like(self.there)
        for prompt in prompts:
            box = extent(prompt)
            if isinstance(prompt, Click | Stroke) and box is not None:
                away[box.low[axis] : box.high[axis]] = False
            elif box is not None and not isinstance(prompt, Mask):
                away[key_index(prompt, axis)] = False
        self.away = _distances(away)

    def add(self, answer: WindowAnswer | None, index: int, now: Plane) -> float | None:
        """Return it with one slice more, which has this mask now."""
        self.there[index] = now.any()
        if answer is not None and answer.quality is not None:
            size = int(answer.mask.sum())
            self.total += answer.quality * size
            self.size += size
        if not self.size:
            return None
        far = float(self.away[self.there].mean()) if self.there.any() else 0.0
        return float(self.total / self.size * SLICE_FACTOR**far)


def _distances(away: NDArray[np.bool_]) -> Real:  # [n]
    """Return how many steps each place lies from the nearest that is not away; 0 where all are.

    >>> _distances(np.array([True, False, True, True])).tolist()
    [1.0, 0.0, 1.0, 2.0]
    """
    at, near = np.arange(len(away)), np.flatnonzero(~away)
    if not len(near):
        return np.zeros(len(away), np.float32)
    return np.asarray(np.abs(at[:, None] - near).min(axis=1), np.float32)


def _prediction(
    probability: Real, uncertainty: Real, where: tuple[slice, slice], axis: int, index: int, quality: float | None
) -> Prediction:
    low, high = [s.start for s in where], [s.stop for s in where]
    low.insert(axis, index)
    high.insert(axis, index + 1)
    box = Box.of(low, high)
    return Prediction(np.expand_dims(probability, axis), box, quality, np.expand_dims(uncertainty, axis))


def _bounds(probability: Real, old: Plane) -> tuple[slice, slice]:
    """Return where in a plane the answer or the old mask says anything."""
    box = bounds(((probability > 0.01) | old)[None])
    assert box is not None
    (top, left), (bottom, right) = in_plane(box, 0)
    return slice(top, bottom), slice(left, right)
