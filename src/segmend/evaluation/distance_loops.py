"""Distances to the nearest point of a surface on a grid, exact and in millimetres: loops in native/distance.c.

`rows` finds for every voxel the nearest surface voxel of its own row. `search` then looks, for each
asking voxel, through the rows round it that could still hold a nearer one; the row that answered the
voxel before gives the first bound, so neighbours cost a few rows each. Where two surfaces lie far
apart that would take long: `search` counts its steps, and beyond a budget the caller lets `transform`
find the distances of all voxels at once (lower envelopes of parabolas, Felzenszwalb and Huttenlocher
2012).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmend.native import loop


def rows(surface: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return each voxel's distance along x to the surface, in voxels; 2^30 in a row without one."""
    near = np.empty(surface.shape, np.int32)
    _rows(surface, near)
    return near


@loop("distance_rows", "b1[z y x]", "i4[z y x]!")
def _rows(surface: NDArray[np.bool_], near: NDArray[np.int32]) -> None:
    """Write what `rows` returns."""


@loop("distance_search", "i8[n]", "i4[z y x]", "f8[3]", "i8", "f8[n]!")
def search(
    asking: NDArray[np.intp],
    near: NDArray[np.int32],
    spacing: NDArray[np.float64],
    budget: int,
    squares: NDArray[np.float64],
) -> int:
    """Write each asking voxel's squared distance; return how many were done within the budget of steps.

    `asking` holds flat indices, best in rising order, and some row has a surface.
    """


def transform(near: NDArray[np.int32], spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return every voxel's squared distance."""
    squares = np.empty(near.shape, np.float64)
    _transform(near, spacing, squares)
    return squares


@loop("distance_transform", "i4[z y x]", "f8[3]", "f8[z y x]!")
def _transform(near: NDArray[np.int32], spacing: NDArray[np.float64], squares: NDArray[np.float64]) -> None:
    """Write what `transform` returns."""
