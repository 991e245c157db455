"""Frames on a volume: a block of voxels resampled to a grid of cells, and back again.

What a `window.Window` is to a plane, a `Frame` is to a volume: a block, in voxel edges, that a network's cells
cover. Resampling to the grid averages where a cell holds several voxels and interpolates where a voxel holds several
cells; cells outside the volume are 0. Resampling back interpolates the cells at the voxels' centres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segmend.core.image import Box, Index, MaskArray, Real, three
from segmend.sampling.resample import cell_weights, pixel_weights

Three = tuple[float, float, float]

# How many voxels along each axis a cell averages at least, of those that lie in it.
SAMPLES = 2


@dataclass(frozen=True)
class Frame:
    """The block from `low` of this `length`, in voxel edges of a volume, in so many cells along each axis."""

    low: Three
    length: Three
    cells: Index

    def resample_to_grid(self, voxels: NDArray[np.generic]) -> Real:  # [z y x] -> [cells]
        """Return a volume's values on the grid; one slice at a time, so no float copy of it is made.

        A cell on the volume's border is the mean of its part that lies inside.

        >>> Frame((0, 0, 0), (2, 2, 4), (1, 1, 2)).resample_to_grid(np.arange(16).reshape(2, 2, 4)).tolist()
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

    def subsample_to_grid(self, voxels: NDArray[np.generic]) -> Real:  # [z y x] -> [cells]
        """Return every n-th voxel resampled to the grid, so that time does not grow with the volume.

        >>> frame = Frame((0, 0, 0), (1, 1, 6), (1, 1, 1))
        >>> frame.subsample_to_grid(np.arange(6.0).reshape(1, 1, 6)).item()  # of voxels 1 and 4
        2.5
        """
        edge = np.divide(self.length, self.cells)
        every = np.minimum(np.maximum(edge / SAMPLES, 1).astype(int), voxels.shape)
        if not (every > 1).any():
            return self.resample_to_grid(voxels)
        first = every // 2
        some = voxels[tuple(slice(start, None, step) for start, step in zip(first, every, strict=True))]
        low = (np.asarray(self.low) - first - 0.5) / every + 0.5
        length = np.asarray(self.length) / every
        return Frame(three(low), three(length), self.cells).resample_to_grid(some)

    def to_grid(self, points: NDArray[np.generic]) -> NDArray[np.float64]:  # [n 3] -> [n 3]
        """Return where voxels' centres fall on the grid, in cells, whose own centres are whole.

        >>> Frame((0, -2, 0), (2, 6, 4), (1, 3, 2)).to_grid(np.array([[1, 3, 2]])).tolist()
        [[0.25, 2.25, 0.75]]
        """
        return np.asarray((np.asarray(points, np.float64) + 0.5 - self.low) / self.length * self.cells - 0.5)

    def cells_in_volume(self, shape: Sequence[int]) -> MaskArray:  # [cells]
        """Return which cells have their centre in a volume of this shape."""
        z, y, x = (
            (at > 0) & (at < count) for at, count in zip((self._centres(axis) for axis in range(3)), shape, strict=True)
        )
        return np.asarray(z[:, None, None] & y[:, None] & x)

    def resample_to_voxels(self, grid: Real, box: Box) -> Real:  # [cells] -> [z y x] of the box
        """Return the grid's values at the voxels of a box, interpolated between the cells' centres.

        >>> frame, grid = Frame((0, 0, 0), (2, 2, 4), (1, 1, 2)), np.array([[[0, 1]]], np.float32)
        >>> frame.resample_to_voxels(grid, Box((0, 0, 0), (1, 1, 4)))
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
        return Box.of(low, high).clipped(shape)

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
    return Frame(three(low), three(length), cells)


def frame_around(box: Box, spacing: ArrayLike, *, margin: float, cells: Index, least: float = 0.0) -> Frame:
    """Return a frame round the middle of a box, whose cells are cubes in mm.

    The box takes 1/`margin` of the frame along the axis where it is longest for the frame; no side of the frame
    is shorter than `least` voxels of the finest spacing.

    >>> frame_around(Box((4, 10, 10), (6, 20, 15)), (2.0, 1.0, 1.0), margin=2, cells=(4, 4, 4))
    Frame(low=(0.0, 5.0, 2.5), length=(10.0, 20.0, 20.0), cells=(4, 4, 4))
    """
    step = np.asarray(spacing, np.float64)
    sides_mm = np.maximum(np.asarray(box.shape) * step * margin, least * float(step.min()))
    edge_mm = float(np.max(sides_mm / cells))
    length = edge_mm * np.asarray(cells) / step
    low = (np.add(box.low, box.high) - length) / 2
    return Frame(three(low), three(length), cells)
