"""A box of voxels as a block of cells of another size, and back: how a network of a fixed size sees any object.

Where a cell holds several voxels it is their mean, where a voxel holds several cells they are interpolated; and
the same in the other direction. Axes are independent, so both are three small matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Box, Index, Real
from segmend.core.marks import Points
from segmend.sampling.resample import line_weights
from segmend.solvers.finetune import one_thread


@dataclass(frozen=True)
class Grid:
    """A box of an image, resampled to this many cells along each axis."""

    box: Box
    cells: Index


def resample_to_cells(voxels: NDArray[np.generic], grid: Grid) -> Real:  # [z y x] of the image -> cells
    """Return an image's values in the cells.

    >>> resample_to_cells(np.arange(8).reshape(1, 1, 8), Grid(Box((0, 0, 2), (1, 1, 6)), (1, 1, 2)))
    array([[[2.5, 4.5]]], dtype=float32)
    """
    return _resample_axes(voxels[grid.box.slices].astype(np.float32), grid.cells)


def resample_to_box(cells: Real, grid: Grid) -> Real:  # cells -> [z y x] of the box
    """Return the cells' values at the voxels of their box.

    >>> resample_to_box(np.array([[[0.0, 1.0]]], np.float32), Grid(Box((0, 0, 2), (1, 1, 6)), (1, 1, 2)))
    array([[[0.  , 0.25, 0.75, 1.  ]]], dtype=float32)
    """
    return _resample_axes(cells, grid.box.shape)


def cells_of(points: Points, grid: Grid) -> Points:
    """Return the cell of each voxel that lies in the box.

    >>> cells_of(np.array([[0, 0, 5], [0, 0, 6]]), Grid(Box((0, 0, 2), (1, 1, 6)), (1, 1, 2))).tolist()
    [[0, 0, 1]]
    """
    low, sides = np.asarray(grid.box.low), np.asarray(grid.box.shape)
    here = points[((points >= low) & (points < low + sides)).all(axis=1)]
    return np.asarray((2 * (here - low) + 1) * np.asarray(grid.cells) // (2 * sides), np.intp)


def planar(box: Box, spacing: Sequence[float], *, shorter: int, most: int) -> Grid:
    """Return the grid of a flat box whose shorter side, in mm, gets `shorter` cells and its longer one `most` at most.

    >>> planar(Box((0, 0, 0), (1, 20, 30)), (1, 1, 1), shorter=96, most=256).cells
    (1, 96, 144)
    """
    sides = np.asarray(box.shape[1:]) * np.asarray(spacing[1:])
    rows, columns = np.clip(np.rint(sides * shorter / sides.min()), 1, most).astype(int).tolist()
    return Grid(box, (1, rows, columns))


def solid(box: Box, spacing: Sequence[float], *, longest: int) -> Grid:
    """Return the grid of a box whose longest side, in mm, gets `longest` cells, and the others their part.

    Slices, across the first axis, that are much thicker than the pixels in them stay as they are.

    >>> solid(Box((0, 0, 0), (20, 30, 40)), (1, 1, 1), longest=80).cells
    (40, 60, 80)
    >>> solid(Box((0, 0, 0), (5, 30, 40)), (8, 1, 1), longest=80).cells
    (5, 60, 80)
    """
    sides = np.asarray(box.shape) * np.asarray(spacing)
    slices, rows, columns = np.maximum(np.rint(sides * longest / sides.max()), 1).astype(int).tolist()
    thick = spacing[0] > 1.5 * min(spacing[1], spacing[2])
    return Grid(box, (min(slices, box.shape[0]) if thick else slices, rows, columns))


def _resample_axes(values: Real, shape: Index) -> Real:
    with one_thread():
        for axis, count in enumerate(shape):
            if values.shape[axis] != count:
                weights = line_weights(values.shape[axis], count)
                values = np.moveaxis(np.tensordot(weights, values, (1, axis)), 0, axis)
    return np.ascontiguousarray(values, np.float32)
