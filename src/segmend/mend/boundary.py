"""Moves a network's boundary to where the image has one: the network knows about where, the intensities exactly where.

How much more often an intensity is found inside the network's mask than round it is added, as logits, to half of the
network's logits, and a graph cut along the image's edges decides.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter1d

from segmend.core.image import Real
from segmend.core.logits import logit
from segmend.core.masks import dice
from segmend.core.seeds import BACKGROUND
from segmend.sampling.probability import clamp_to_mask
from segmend.solvers.finetune import Edges, Tuning

# Weights of the graph cut's edges.
TUNING = Tuning(smoothness=1.0, sigma=0.1)
# The weight of the network's logits; those of the intensities have a weight of 1. It belongs to the shipped weights.
NETWORK_WEIGHT = 0.5
# Probabilities of the network nearer to 0 or 1 than this count as this.
LEAST_PROBABILITY = 0.01
# Bins of the histograms of intensities.
BINS = 64
# The standard deviation, in bins, by which the histograms are smoothed.
SMOOTHING = 2.0
# The width in cells of the band round the mask that it is compared with.
BAND = 5
# The largest logit that an intensity says.
MAX_LOGIT = 2.0
# The Dice of the cut with the network's mask, below which it has found another object and does not count.
LEAST_DICE = 0.6


def cut_by_intensity(
    probability: Real,  # [*cells] of a network
    grey: Real,  # [*cells] 0 to 1, whose edges the cut follows
    equalised: Real,  # [*cells] 0 to 1, whose histograms tell inside from outside
    valid: NDArray[np.bool_],  # [*cells] what lies on the image
    seeds: NDArray[np.uint8],  # [*cells] which cells keep their side
) -> Real:
    """Return the probabilities on the side of one half that the cut gives them; unchanged where it finds another thing.

    >>> grey = np.full((1, 1, 40), 0.9, np.float32); grey[..., 20:] = 0.2
    >>> probability = np.full((1, 1, 40), 0.1, np.float32); probability[..., 12:22] = 0.7
    >>> unknown, everywhere = np.zeros((1, 1, 40), np.uint8), np.ones((1, 1, 40), bool)
    >>> np.flatnonzero(cut_by_intensity(probability, grey, grey, everywhere, unknown) > 0.5).tolist()
    [12, 13, 14, 15, 16, 17, 18, 19]
    """
    mask = probability > 0.5
    if not mask.any():
        return probability
    logits = NETWORK_WEIGHT * logit(probability, LEAST_PROBABILITY) + intensity_logits(probability, equalised, valid)
    sides = np.where(valid, seeds, BACKGROUND).astype(np.uint8)
    labels = Edges(grey, TUNING).cut(logits.astype(np.float32), sides)
    if dice(labels, mask) < LEAST_DICE:
        return probability
    return clamp_to_mask(probability, labels)


def intensity_logits(probability: Real, equalised: Real, valid: NDArray[np.bool_]) -> Real:
    """Return how much more often, in logits, each cell's intensity is found inside the mask than round it."""
    likely, mask = np.clip(probability, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY), probability > 0.5
    bins = np.clip((equalised * BINS).astype(np.intp), 0, BINS - 1)
    near = binary_dilation(mask, iterations=BAND) & valid
    inside, outside = (
        gaussian_filter1d(np.bincount(bins[cells], weights=weights[cells] ** 2, minlength=BINS), SMOOTHING)
        for cells, weights in ((valid, likely), (near, 1 - likely))
    )
    logits = np.log((inside / max(inside.sum(), 1e-6) + 1e-3) / (outside / max(outside.sum(), 1e-6) + 1e-3))
    return np.asarray(np.clip(logits, -MAX_LOGIT, MAX_LOGIT)[bins], np.float32)
