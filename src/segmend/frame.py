"""Frames on a volume: the whole of it seen through a grid of cells, and back again.

What `plane.Window` is to a plane, a `Frame` is to a volume: a block, in voxel edges, that a network's cells
cover. Looking averages where a cell holds several voxels and interpolates where a voxel holds several cells;
cells outside the volume are 0. Laying back interpolates the cells at the voxels' centres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segmend.image import Box, Index, MaskArray, Real
from segmend.plane import cell_weights, pixel_weights

Three = tuple[float, float, float]


@dataclass(frozen=True)
class Frame:
    """The block from `low` of this `length`, in voxel edges of a volume, in so many cells along each axis."""

    low: Three
    length: Three
    cells: Index

    def see(self, voxels: NDArray[np.generic]) -> Real:  # [z y x] -> [cells]
        """Return what the grid sees of a volume; one slice at a time, so no float copy of it is made.

        A cell on the volume's border sees the part of it that lies inside.

        >>> Frame((0, 0, 0), (2, 2, 4), (1, 1, 2)).see(np.arange(16).reshape(2, 2, 4)).tolist()
        [[[6.5, 8.5]]]
        """
        (z, deep), (y, down), (x, across) = (
            _evened(*cell_weights(low, length, count, cells))
            for low, length, count, cells in zip(self.low, self.length, voxels.shape, self.cells, strict=True)
        )
        if deep.shape[1] == 0:
            return np.zeros(self.cells, np.float32)
        planes = np.stack([down @ plane[y, x].astype(np.float32) @ across.T for plane in voxels[z]])
        return np.asarray(np.tensordot(deep, planes, axes=1), np.float32)

    def inside(self, shape: Sequence[int]) -> MaskArray:  # [cells]
        """Return which cells have their centre in a volume of this shape."""
        z, y, x = (
            (at > 0) & (at < count) for at, count in zip((self._centres(axis) for axis in range(3)), shape, strict=True)
        )
        return np.asarray(z[:, None, None] & y[:, None] & x)

    def lay(self, grid: Real, box: Box) -> Real:  # [cells] -> [z y x] of the box
        """Return the grid's values at the voxels of a box, interpolated between the cells' centres.

        >>> Frame((0, 0, 0), (2, 2, 4), (1, 1, 2)).lay(np.array([[[0, 1]]], np.float32), Box((0, 0, 0), (1, 1, 4)))
        array([[[0.  , 0.25, 0.75, 1.  ]]], dtype=float32)
        """
        deep, down, across = (
            pixel_weights(part, low, length, cells)
            for part, low, length, cells in zip(box.slices, self.low, self.length, self.cells, strict=True)
        )
        return np.asarray(np.tensordot(deep, down @ grid @ across.T, axes=1), np.float32)

    def cell(self, points: NDArray[np.integer]) -> NDArray[np.intp]:  # [n 3] -> [n 3]
        """Return the cells that hold these voxels' centres, the nearest ones for voxels outside.

        >>> Frame((0, -2, 0), (2, 6, 4), (1, 3, 2)).cell(np.array([[1, 3, 2]])).tolist()
        [[0, 2, 1]]
        """
        at = (np.asarray(points) + 0.5 - self.low) / self.length * self.cells
        return np.clip(np.floor(at), 0, np.asarray(self.cells) - 1).astype(np.intp)

    def box(self, cells: Box, shape: Sequence[int]) -> Box:
        """Return the voxels that a box of cells reaches, as a part of a volume of this shape.

        >>> Frame((0, -2, 0), (2, 6, 4), (1, 3, 2)).box(Box((0, 0, 0), (1, 2, 1)), (2, 4, 4))
        Box(low=(0, 0, 0), high=(2, 2, 2))
        """
        edge = np.divide(self.length, self.cells)
        low = np.floor(np.asarray(self.low) + edge * cells.low).astype(int).tolist()
        high = np.ceil(np.asarray(self.low) + edge * cells.high).astype(int).tolist()
        return Box((low[0], low[1], low[2]), (high[0], high[1], high[2])).clipped(shape)

    def _centres(self, axis: int) -> NDArray[np.float64]:
        cells = self.cells[axis]
        return np.asarray(self.low[axis] + (np.arange(cells) + 0.5) * self.length[axis] / cells)


def _evened(where: slice, weights: Real) -> tuple[slice, Real]:
    """Return the weights with a sum of 1 for every cell that sees anything."""
    total = weights.sum(axis=1, keepdims=True)
    return where, np.asarray(weights / np.where(total > 0, total, 1), np.float32)


def whole_frame(shape: Sequence[int], spacing: ArrayLike, cells: Index) -> Frame:
    """Return the frame of a whole volume in its middle, cells as long in mm along every axis.

    >>> whole_frame((10, 20, 20), (2.0, 1.0, 0.5), (10, 10, 5))
    Frame(low=(0.0, 0.0, 0.0), length=(10.0, 20.0, 20.0), cells=(10, 10, 5))
    """
    step = np.asarray(spacing, np.float64)
    edge_mm = float(np.max(np.asarray(shape) * step / cells))
    length = edge_mm * np.asarray(cells) / step
    low = (np.asarray(shape) - length) / 2
    (a, b, c), (d, e, f) = low.tolist(), length.tolist()
    return Frame((a, b, c), (d, e, f), cells)
