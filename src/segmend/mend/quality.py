"""How good an answer is likely to be: its expected Dice and its uncertainty.

The networks predict both for their own answers. A second prediction, from further away and without the mask so far,
finds what is wrong elsewhere. The constants here calibrate the networks' quality to real cases, so they belong to the
shipped weights (docs/mend-experiments.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from segmend.core.image import Real
from segmend.core.logits import sigmoid
from segmend.core.prompts import Click, Prompt, Stroke
from segmend.mend.boundary import intensity_logits
from segmend.mend.plane_networks import Question, Where, WindowAnswer, WindowNetworks
from segmend.mend.plane_windows import wider_window
from segmend.sampling.window import Plane, resample_to_plane

# The weight of the likeness to the second prediction in an answer's expected Dice; the rest is the answer's own.
SECOND_WEIGHT = 0.2
# The Dice that is added to the expected one for an answer to many marks.
MANY_MARKS_GAIN = 0.06
# The Dice that is taken from the expected one for an answer to one mark, which may mean many things; for more marks it
# is divided by their number.
ONE_MARK_LOSS = 0.2
# The weight in uncertainty of what the second prediction and the intensities both contradict; the rest is the answer's.
DISAGREED_WEIGHT = 0.85
# The Dice that is taken from the one that probabilities along lines imply: they are too high on train cases.
LINES_LOSS = 0.045


def add_second_prediction(windows: WindowNetworks, question: Question, answer: WindowAnswer) -> WindowAnswer:
    """Return an answer with the quality and the uncertainty that follow from a second prediction.

    An answer that follows from the mask so far relies on it, and is uncertain along its own boundary only. The second
    prediction is made from twice as far without the mask so far; it finds what is wrong elsewhere, most reliably
    where a pixel has not the intensity of its side (docs/mend-experiments.md).
    """
    if answer.quality is None:
        return answer
    window = wider_window(windows, answer.window, question.axis)
    second_prediction = windows.predict(question.with_mask(np.zeros_like(question.here)), window)
    whole = np.zeros(question.here.shape, np.float32)
    whole[second_prediction.where] = second_prediction.probability
    by_intensity = _probability_by_intensity(windows, question, answer)
    disagreed = np.abs(answer.mask - whole[answer.where]) * np.abs(answer.mask - by_intensity)
    uncertainty = DISAGREED_WEIGHT * disagreed + (1 - DISAGREED_WEIGHT) * answer.uncertainty
    alike = overlap((answer.mask, answer.where), (second_prediction.mask, second_prediction.where))
    quality = (1 - SECOND_WEIGHT) * answer.quality + SECOND_WEIGHT * alike + mark_count_gain(question.prompts)
    return replace(answer, quality=min(max(quality, 0.0), 1.0), uncertainty=np.asarray(uncertainty, np.float32))


def _probability_by_intensity(windows: WindowNetworks, question: Question, answer: WindowAnswer) -> Real:
    """Return the probability of each pixel of the answer's `where` to be inside by its intensity alone."""
    rows, columns = question.here.shape
    *_, equalised = windows.features(question.axis, question.index, answer.window).channels
    valid = windows.cells_on_image(question, answer.window)
    logits = intensity_logits(sigmoid(answer.logits)[None], equalised[None], valid)[0]
    return sigmoid(resample_to_plane(logits, answer.window, rows, columns)[0])


def mark_count_gain(prompts: Sequence[Prompt]) -> float:
    """Return how much more, or less, Dice than the networks expect is to be expected after this number of marks.

    >>> round(mark_count_gain([Click((0, 1, 1))]), 2), round(mark_count_gain([Click((0, 1, 1))] * 4), 2)
    (-0.14, 0.01)
    """
    if not all(isinstance(prompt, Click | Stroke) for prompt in prompts):
        return 0.0
    return MANY_MARKS_GAIN - ONE_MARK_LOSS / max(len(prompts), 1)


def lines_quality(probability: Real) -> float:
    """Return the Dice to be expected of a mask along lines, from each pixel's probability.

    >>> round(lines_quality(np.array([[1.0, 0.9, 0.1, 0.0]])), 3)
    0.905
    """
    inside = probability > 0.5
    expected = 2 * float(probability[inside].sum()) / max(float(inside.sum() + probability.sum()), 1e-6)
    return max(expected - LINES_LOSS, 0.0)


def agreements(masks: Sequence[tuple[Plane, Where]]) -> list[float]:
    """Return the Dice of each mask with the one before or after it that is more like it; 0 for one alone.

    An object is seen from two distances; an artefact, from one.

    >>> one, all_of_it = (np.array([[True, False]]), np.s_[0:1, 0:2]), (np.array([[True, True]]), np.s_[0:1, 0:2])
    >>> agreements([one, one, all_of_it])
    [1.0, 1.0, 0.6666666666666666]
    """
    beside = [overlap(one, other) for one, other in pairwise(masks)]
    return [max(some) for some in zip([0.0, *beside], [*beside, 0.0], strict=True)]


def overlap(one: tuple[Plane, Where], other: tuple[Plane, Where]) -> float:
    """Return the Dice of two masks, each on its part of a plane; 0 where both are empty."""
    (mask, where), (near, there) = one, other
    both = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(where, there, strict=True)]
    if any(part.start >= part.stop for part in both):
        return 0.0
    part, beside = (
        m[tuple(slice(common.start - at.start, common.stop - at.start) for common, at in zip(both, w, strict=True))]
        for m, w in (one, other)
    )
    return float(2 * (part & beside).sum() / max(int(mask.sum()) + int(near.sum()), 1))
