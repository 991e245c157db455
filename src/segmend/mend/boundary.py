"""Where a network's boundary is moved to: it knows about where the object is, the block's tones know where it ends.

What is inside by the network and what lies round that have tones of their own. How much more often a tone is seen
inside is added to half of what the network says, and a graph cut along the image's edges decides.
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

TUNING = Tuning(smoothness=1.0, tone=0.1)
BELIEVED = 0.5  # the share of the network's logits
LEAST = 0.01  # and no more sure than that it is
BINS = 64  # of tones ...
SPREAD = 2.0  # ... which are alike within so many
BAND = 5  # cells round the object that are what it is told apart from
CLEAR = 2.0  # logits that a tone says at most
TRUSTED = 0.6  # a cut that is less like the network's mask than this Dice has found another thing


def by_tones(
    chance: Real,  # [*cells] of a network
    level: Real,  # [*cells] tones of 0 to 1, which have the edges
    shades: Real,  # [*cells] tones of 0 to 1 that tell inside from outside
    valid: NDArray[np.bool_],  # [*cells] what lies on the image
    fixed: NDArray[np.uint8],  # [*cells] which cells keep their side
) -> Real:
    """Return the chances on the side of one half that the cut gives them; as they came where it finds another thing.

    >>> tones = np.full((1, 1, 40), 0.9, np.float32); tones[..., 20:] = 0.2
    >>> chance = np.full((1, 1, 40), 0.1, np.float32); chance[..., 12:22] = 0.7
    >>> free, everywhere = np.zeros((1, 1, 40), np.uint8), np.ones((1, 1, 40), bool)
    >>> np.flatnonzero(by_tones(chance, tones, tones, everywhere, free) > 0.5).tolist()
    [12, 13, 14, 15, 16, 17, 18, 19]
    """
    mask = chance > 0.5
    if not mask.any():
        return chance
    logits = BELIEVED * logit(chance, LEAST) + intensity_logits(chance, shades, valid)
    sides = np.where(valid, fixed, BACKGROUND).astype(np.uint8)
    labels = Edges(level, TUNING).cut(logits.astype(np.float32), sides)
    if dice(labels, mask) < TRUSTED:
        return chance
    return clamp_to_mask(chance, labels)


def intensity_logits(chance: Real, tones: Real, valid: NDArray[np.bool_]) -> Real:
    """Return how much more often, in logits, each cell's tone is seen inside than round it."""
    likely, mask = np.clip(chance, LEAST, 1 - LEAST), chance > 0.5
    shade = np.clip((tones * BINS).astype(np.intp), 0, BINS - 1)
    near = binary_dilation(mask, iterations=BAND) & valid
    inside, outside = (
        gaussian_filter1d(np.bincount(shade[cells], weights=weights[cells] ** 2, minlength=BINS), SPREAD)
        for cells, weights in ((valid, likely), (near, 1 - likely))
    )
    logits = np.log((inside / max(inside.sum(), 1e-6) + 1e-3) / (outside / max(outside.sum(), 1e-6) + 1e-3))
    return np.asarray(np.clip(logits, -CLEAR, CLEAR)[shade], np.float32)
