"""The inner loops of `densecrf.py`, in native/bilateral.c: onto a grid of position and intensity, blur, and back.

A voxel's position on the grid is its index over `strides`, its intensity is given in levels; its value is divided
linearly among the nearest cells. A row of voxels is gathered first and then added to the adjacent rows of cells, so a
voxel touches two cells per level and the passes stay in the processor's cache.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmend.native import loop

Real = NDArray[np.float32]
Sizes = NDArray[np.int64]


@loop("bilateral_splat", "f4[z y x]", "b1[z y x]", "f4[c z y x]", "i8[c]", "i8[levels]", "i8[3]", "f4[gz gy gx t]!")
def splat(
    source: Real,  # [z y x]
    taken: NDArray[np.bool_],  # [z y x] the voxels that count
    intensities: Real,  # [c z y x] in levels
    levels: Sizes,  # [c]
    table: Sizes,  # [levels] the column of the grid of each level
    strides: Sizes,  # [3]
    grid: Real,  # [z y x t] added to
) -> None:
    """Add the voxels that count to the grid."""


@loop("bilateral_gather", "f4[gz gy gx t]", "b1[z y x]", "f4[c z y x]", "i8[c]", "i8[levels]", "i8[3]", "f4[z y x]!")
def gather(
    grid: Real,  # [z y x t]
    taken: NDArray[np.bool_],  # [z y x] the voxels that are wanted
    intensities: Real,  # [c z y x] in levels
    levels: Sizes,  # [c]
    table: Sizes,  # [levels] the column of the grid of each level
    strides: Sizes,  # [3]
    out: Real,  # [z y x] written where taken
) -> None:
    """Write the grid's values at the voxels that are wanted."""


@loop("bilateral_blur", "f4[outer n inner]", "f4[radius]", "f4[outer n inner]!")
def blur(source: Real, taps: Real, out: Real) -> None:  # [outer n inner], [1 + radius] at least 2, like source
    """Write the source blurred along its middle axis by symmetric taps; beyond its ends it is 0."""


@loop("bilateral_mix", "f4[cells t]", "f4[2]", "i8[t]", "i8[t]", "f4[cells t]!")
def mix(
    source: Real,  # [cells t]
    taps: Real,  # [2]
    before: Sizes,  # [t] the column one level lower; t - 1, which is empty, where there is none
    behind: Sizes,  # [t]
    out: Real,  # [cells t]
) -> None:
    """Write the source blurred over neighbouring levels."""


@loop("bilateral_agree", "f4[z y x]", "b1[z y x]", "f4[k]", "f4[k z y x]", "f4[k]", "f4[k z y x]", "f4[z y x]!")
def agree(
    unary: Real,  # [z y x] logits
    free: NDArray[np.bool_],  # [z y x]
    weights: Real,  # [k]
    roots: Real,  # [k z y x] 1 / square root of a voxel's neighbours
    alone: Real,  # [k] the share of the voxel itself among its neighbours
    seen: Real,  # [k z y x] the messages of the neighbours
    side: Real,  # [z y x] from -1 (outside) to 1 (inside); changed
) -> float:
    """Update every free voxel from its neighbours' messages; return the largest change."""
