"""What follows from the probability of every pixel: uncertainty, expected Dice, a mask's side of one half."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Real


def uncertainty_of(wrong: Real) -> Real:
    """Return how uncertain a mask is where it is wrong with some probability: not at all, or 1 from one half on.

    >>> uncertainty_of(np.array([0.0, 0.25, 0.5, 1.0], np.float32)).tolist()
    [0.0, 0.5, 1.0, 1.0]
    """
    return np.asarray(np.minimum(2 * wrong, 1), np.float32)


def clamp_to_mask(probability: Real, mask: NDArray[np.bool_]) -> Real:
    """Return probabilities above one half in a mask and below it outside; those that agree with it stay.

    >>> (clamp_to_mask(np.array([0.4, 0.6], np.float32), np.array([True, False])) > 0.5).tolist()
    [True, False]
    """
    return np.asarray(np.where(mask, np.maximum(probability, 0.501), np.minimum(probability, 0.499)), np.float32)


def expected_dice(probability: Real) -> float | None:
    """Return the Dice that a mask would have if the probabilities were true; None for an empty mask.

    Good for choosing between answers; too hopeful to be shown to people, so no prediction carries it.

    >>> expected_dice(np.array([[1.0, 0.9, 0.1]], np.float32))
    0.95
    """
    mask = probability > 0.5
    if not mask.any():
        return None
    return round(float(2 * probability[mask].sum() / (probability.sum() + mask.sum())), 4)
