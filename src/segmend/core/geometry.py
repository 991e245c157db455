"""Grids in millimetres: turning foreign axis orders, comparing two grids, evening out a stack.

Our affines take (z, y, x, 1) to RAS millimetres. Most files count (x, y, z), and DICOM,
MetaImage and most NRRD files count millimetres to the left and back (LPS).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segmend.core.image import Index, LabelMap
from segmend.errors import GeometryError, ShapeError

Affine = NDArray[np.float64]  # [4 4]


def turned(affine: ArrayLike) -> Affine:
    """Return an affine of (x, y, z) as one of (z, y, x), or back: the columns change places.

    >>> turned(np.diag([1.0, 2.0, 3.0, 1.0]))[:3, :3].tolist()
    [[0.0, 0.0, 1.0], [0.0, 2.0, 0.0], [3.0, 0.0, 0.0]]
    """
    return np.asarray(affine, np.float64)[:, [2, 1, 0, 3]]


def mirrored(affine: ArrayLike) -> Affine:
    """Return an affine to LPS millimetres as one to RAS, or back.

    >>> mirrored(np.eye(4)).diagonal().tolist()
    [-1.0, -1.0, 1.0, 1.0]
    """
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(affine, np.float64)


def from_columns(z: ArrayLike, y: ArrayLike, x: ArrayLike, origin: ArrayLike) -> Affine:
    """Return the affine with these steps per voxel and this position of voxel (0, 0, 0).

    >>> from_columns((0, 0, 3), (0, 2, 0), (1, 0, 0), (5, 6, 7))[:3].tolist()
    [[0.0, 0.0, 1.0, 5.0], [0.0, 2.0, 0.0, 6.0], [3.0, 0.0, 0.0, 7.0]]
    """
    affine = np.eye(4)
    affine[:3] = np.stack([np.asarray(v, np.float64) for v in (z, y, x, origin)], axis=1)
    return affine


def sheared(affine: ArrayLike, *, tolerance: float = 1e-4) -> bool:
    """Say whether the grid's axes are not at right angles, as behind a tilted gantry.

    >>> sheared(from_columns((0, 1, 3), (0, 2, 0), (1, 0, 0), (0, 0, 0)))
    True
    """
    axes = np.asarray(affine, np.float64)[:3, :3]
    unit = axes / np.linalg.norm(axes, axis=0)
    return bool(np.abs(unit.T @ unit - np.eye(3)).max() > tolerance)


def same_grid(one: ArrayLike, other: ArrayLike, shape: Sequence[int], *, tolerance: float = 0.05) -> bool:
    """Say whether two affines put every voxel of a grid in the same place, within a part of a voxel.

    >>> same_grid(np.eye(4), np.eye(4) * [1.001, 1, 1, 1], (4, 4, 4))
    True
    """
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    corners = np.stack(np.meshgrid(*[(0.0, n - 1.0) for n in shape], (1.0,), indexing="ij"), axis=-1).reshape(-1, 4)
    apart = np.linalg.norm(((a - b) @ corners.T)[:3], axis=0).max()
    return bool(apart <= tolerance * np.linalg.norm(a[:3, :3], axis=0).min())


@dataclass(frozen=True)
class Fit:
    """How one grid's voxels are voxels of another: axes in this order, some mirrored, from `low` on."""

    order: tuple[int, int, int]
    mirrored: tuple[int, ...]
    low: Index

    def turn(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return an array of the one grid with its axes as the other's."""
        return np.flip(values.transpose(self.order), axis=self.mirrored)


def fit(affine: ArrayLike, shape: Sequence[int], target: ArrayLike) -> Fit:
    """Return how a grid lies on another; GeometryError unless their voxels coincide.

    >>> fit(np.eye(4), (1, 1, 3), np.diag([1.0, 1.0, -1.0, 1.0]))
    Fit(order=(0, 1, 2), mirrored=(2,), low=(0, 0, -2))
    """
    steps = np.linalg.solve(np.asarray(target, np.float64), np.asarray(affine, np.float64))
    whole_steps = np.rint(steps)
    axes = np.abs(whole_steps[:3, :3])
    if not ((axes.sum(axis=0) == 1).all() and (axes.sum(axis=1) == 1).all()) or not _close(steps, shape):
        raise GeometryError("The mask lies on another grid than the image: their voxels do not coincide.")
    order = axes.argmax(axis=1)  # the map's axis that runs along each axis of the target
    signs = whole_steps[np.arange(3), order]
    lows = whole_steps[:3, 3] + np.minimum(0, signs * (np.asarray(shape)[order] - 1))
    return Fit(index_shape(order), tuple(np.flatnonzero(signs < 0).tolist()), index_shape(lows))


def _close(steps: Affine, shape: Sequence[int], tolerance: float = 0.05) -> bool:
    """Say whether rounding the map's index transform moves no corner by more than `tolerance` voxels."""
    corners = np.stack(np.meshgrid(*[(0.0, n - 1.0) for n in shape], (1.0,), indexing="ij"), axis=-1).reshape(-1, 4)
    return bool(np.abs((steps - np.rint(steps)) @ corners.T).max() <= tolerance)


def onto(values: LabelMap, affine: ArrayLike, shape: Sequence[int], target: ArrayLike) -> LabelMap:
    """Return a label map laid on another grid with the same voxels: turned, mirrored, cropped or padded.

    Nothing is interpolated: GeometryError unless every voxel of the map is a voxel of the
    target grid, and no labelled voxel lies outside it.

    >>> mirror = np.diag([1.0, 1.0, -1.0, 1.0]); mirror[2, 3] = 2
    >>> onto(np.array([[[7, 0, 0]]], np.uint16), np.eye(4), (1, 1, 3), mirror).tolist()
    [[[0, 0, 7]]]
    """
    found = fit(affine, values.shape, target)
    laid = np.zeros(index_shape(shape), np.uint16)
    lay(laid, found.turn(values), found.low)
    return laid


def lay(laid: LabelMap, values: NDArray[Any], low: Index) -> None:
    """Put the labels of a smaller or larger map into one, from voxel `low` on; GeometryError when some lie outside."""
    inside, outside = [], []
    for first, size, room in zip(low, values.shape, laid.shape, strict=True):
        start, stop = max(0, first), max(0, first, min(room, first + size))
        inside.append(slice(start, stop))
        outside.append(slice(start - first, stop - first))
    part = values[tuple(outside)]
    if np.count_nonzero(part) != np.count_nonzero(values):
        raise GeometryError("The mask lies on another grid than the image: part of it is outside the image.")
    np.copyto(laid[tuple(inside)], part, where=part != 0)


def evened(slices: NDArray[np.generic], positions_mm: ArrayLike, count: int) -> NDArray[np.generic]:
    """Return `count` evenly spaced slices from slices at uneven positions, interpolated linearly.

    The first and the last slice stay; whole numbers are rounded and keep their type.

    >>> evened(np.array([[[0]], [[30]]], np.int16), (0, 3), 4).ravel().tolist()
    [0, 10, 20, 30]
    """
    at = np.asarray(positions_mm, np.float64)
    if slices.ndim != 3 or at.shape != slices.shape[:1]:
        raise ShapeError(f"A stack needs one position a slice; got {slices.shape} and {at.shape}.")
    wanted = np.linspace(at[0], at[-1], count)
    above = np.clip(np.searchsorted(at, wanted, side="left"), 1, len(at) - 1)
    weights = (wanted - at[above - 1]) / (at[above] - at[above - 1])
    even = np.empty((count, *slices.shape[1:]), slices.dtype)
    for k, (j, weight) in enumerate(zip(above.tolist(), weights.tolist(), strict=True)):
        mixed = slices[j - 1] * (1.0 - weight) + slices[j] * weight
        even[k] = np.rint(mixed) if slices.dtype.kind in "ui" else mixed
    return even


def index_shape(shape: Sequence[int]) -> Index:
    """Return a shape as three plain whole numbers (z, y, x).

    >>> index_shape(np.zeros((2, 3, 4)).shape)
    (2, 3, 4)
    """
    z, y, x = (int(n) for n in shape)
    return z, y, x
