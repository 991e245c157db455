"""What is known of each voxel before a solver decides the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from segmend.core.thinning import Plane, thin

UNKNOWN, FOREGROUND, BACKGROUND = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Seeds:
    """Foreground and background seed pixels of one plane."""

    foreground: Plane
    background: Plane


def seeds_of_errors(truth: Plane, guess: Plane) -> Seeds:
    """Return the seeds of a guess: the skeleton of what it missed, and that of what it has too many.

    >>> truth = np.zeros((5, 9), bool); truth[1:4, 1:8] = True
    >>> seeds = seeds_of_errors(truth, np.zeros_like(truth))
    >>> seeds.foreground[2].astype(int).tolist(), bool(seeds.background.any())
    ([0, 0, 1, 1, 1, 1, 1, 0, 0], False)
    """
    return Seeds(thin(truth & ~guess), thin(guess & ~truth))


def seeds_of_mask(mask: Plane, *, away: int = 3) -> Seeds:
    """Return the seeds that a slice's mask gives its neighbours: its skeleton, and the rim of the dilated mask.

    `away` is how many pixels the mask is dilated, by a disc.

    >>> mask = np.zeros((7, 7), bool); mask[3, 3] = True
    >>> seeds_of_mask(mask, away=2).background.astype(int)[1:4].tolist()
    [[0, 0, 0, 1, 0, 0, 0], [0, 0, 1, 0, 1, 0, 0], [0, 1, 0, 0, 0, 1, 0]]
    """
    if not mask.any():
        return Seeds(np.zeros_like(mask), np.zeros_like(mask))
    near = np.asarray(ndimage.distance_transform_edt(~mask)) <= away
    inner = np.asarray(ndimage.binary_erosion(near, border_value=1))
    return Seeds(thin(mask), near & ~inner)
