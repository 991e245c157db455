"""Distances in mm on a grid whose voxels need not be cubes: what lies near a mask, and how far each voxel is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmend.core.image import MaskArray

# A distance is taken as within a limit up to this share above it, so that rounding decides no voxel.
SLACK = 1e-5
# Voxels along all axes together up to which shifting the grid is quicker than a transform of all distances.
MOST_SHIFTS = 30


def within_mm(mask: MaskArray, mm: float, spacing: Sequence[float]) -> MaskArray:
    """Return the voxels whose centre is at most `mm` from the centre of a voxel of the mask.

    >>> mask = np.zeros((1, 5, 7), bool); mask[0, 2, 3] = True
    >>> within_mm(mask, 2.0, (1, 2, 1))[0].astype(int).tolist()[1:4]
    [[0, 0, 0, 1, 0, 0, 0], [0, 1, 1, 1, 1, 1, 0], [0, 0, 0, 1, 0, 0, 0]]
    """
    reach = [min(int(mm * (1 + SLACK) / step), side - 1) for step, side in zip(spacing, mask.shape, strict=True)]
    limit = (mm * (1 + SLACK)) ** 2
    if sum(reach) > MOST_SHIFTS:
        distances = ndimage.distance_transform_edt(~mask, sampling=tuple(spacing)) if mask.any() else np.inf
        return np.broadcast_to(np.asarray(distances) ** 2 <= limit, mask.shape).copy()
    squares = np.where(mask, np.float32(0), np.float32(np.inf))
    for axis in sorted(range(3), key=lambda a: reach[a]):
        squares = _lowest(squares, axis, reach[axis], float(spacing[axis]))
    return np.asarray(squares <= np.float32(limit))


def _lowest(squares: NDArray[np.float32], axis: int, reach: int, step: float) -> NDArray[np.float32]:
    """Return for each voxel the least of the others in its row, each with the square of how far away it is."""
    if reach == 0:
        return squares
    out = squares.copy()
    into = np.moveaxis(out, axis, 0)
    for away in range(1, reach + 1):
        farther = np.moveaxis(squares + np.float32((away * step) ** 2), axis, 0)
        np.minimum(into[away:], farther[:-away], out=into[away:])
        np.minimum(into[:-away], farther[away:], out=into[:-away])
    return out


def signed_distances(shape: NDArray[np.bool_], spacing: Sequence[float]) -> NDArray[np.float64]:
    """Return how deep each pixel lies inside a shape, in mm; outside it is negative, and beyond the plane is outside.

    >>> signed_distances(np.array([[False, True, True, False]]), (3.0, 2.0)).tolist()
    [[-2.0, 2.0, 2.0, -2.0]]
    """
    padded = np.pad(shape, 1)
    inside = ndimage.distance_transform_edt(padded, sampling=tuple(spacing))
    outside = ndimage.distance_transform_edt(~padded, sampling=tuple(spacing))
    return np.asarray(inside - outside, np.float64)[1:-1, 1:-1]
