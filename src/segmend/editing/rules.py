"""Rules for a whole mask: holes, connected components, smoothing, growing.

Each takes the mask of a crop that leaves room for what may change, and returns the mask of the same crop. Beyond the
crop there is nothing of the mask; beyond the image nothing is known, so a mask that the image's border cuts is not
taken to end there. Voxels are connected over corners, what a mask encloses only over faces.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmend.core.image import Index, MaskArray
from segmend.editing.distances import within_mm
from segmend.errors import PromptError

# A smoothed mask holds what is above a half; this much below it still is, so that rounding decides no voxel.
SLACK = 1e-6


def fill_holes(mask: MaskArray, axis: int | None) -> MaskArray:
    """Return the mask with what it encloses, in every plane across an axis, or on all sides.

    >>> ring = np.ones((1, 3, 4), bool); ring[0, 1, 1] = False
    >>> int(fill_holes(ring, 0).sum()), int(fill_holes(ring[:, :2], 0).sum())
    (12, 7)
    """
    outside = np.pad(~mask, _margin(axis), constant_values=True)
    numbers, _ = ndimage.label(outside, _faces(axis))
    open_to_rim = np.zeros(int(numbers.max()) + 1, bool)
    for side in range(3):
        if _margin(axis)[side][0]:
            for end in (0, -1):
                open_to_rim[np.take(numbers, end, side)] = True
    open_to_rim[0] = False
    inner = tuple(slice(low, numbers.shape[i] - high) for i, (low, high) in enumerate(_margin(axis)))
    return np.asarray(~open_to_rim[numbers[inner]])


def _margin(axis: int | None) -> tuple[tuple[int, int], ...]:
    return tuple((0, 0) if side == axis else (1, 1) for side in range(3))


def _faces(axis: int | None) -> NDArray[np.bool_]:
    """Return which neighbours touch a voxel by a face, within the planes across an axis."""
    near = np.asarray(ndimage.generate_binary_structure(3, 1))
    if axis is not None:
        across = np.moveaxis(near, axis, 0)
        across[0] = across[2] = False
    return near


def _corners(axis: int | None = None) -> NDArray[np.bool_]:
    near = np.ones((3, 3, 3), bool)
    if axis is not None:
        across = np.moveaxis(near, axis, 0)
        across[0] = across[2] = False
    return near


def keep_largest(mask: MaskArray) -> MaskArray:
    """Return the largest connected component; of two as large, the one that comes first in the grid.

    >>> keep_largest(np.array([[[1, 0, 1, 1, 0, 1, 1]]], bool)).astype(int).tolist()
    [[[0, 0, 1, 1, 0, 0, 0]]]
    """
    numbers, count = ndimage.label(mask, _corners())
    if count < 2:
        return mask
    sizes = np.bincount(numbers.ravel())
    sizes[0] = 0
    return np.asarray(numbers == int(sizes.argmax()))


def remove_small(mask: MaskArray, voxels: float) -> MaskArray:
    """Return the connected components that have so many voxels at least.

    >>> remove_small(np.array([[[1, 0, 1, 1]]], bool), 1.5).astype(int).tolist()
    [[[0, 0, 1, 1]]]
    """
    numbers, count = ndimage.label(mask, _corners())
    if count == 0:
        return mask
    stay = np.bincount(numbers.ravel()) >= voxels
    stay[0] = False
    return np.asarray(stay[numbers])


def component_at(mask: MaskArray, index: Index, axis: int | None) -> MaskArray:
    """Return the connected component of the mask at a voxel; PromptError where there is none."""
    numbers, _ = ndimage.label(mask, _corners(axis))
    number = int(numbers[index])
    if number == 0:
        raise PromptError("There is nothing of the mask at the voxel that was picked.")
    return np.asarray(numbers == number)


def hole_at(mask: MaskArray, index: Index, axis: int | None) -> MaskArray:
    """Return the hole in the mask at a voxel; PromptError where the mask does not enclose it."""
    if mask[index]:
        raise PromptError("The voxel that was picked is in the mask already; a hole is beside it.")
    holes = fill_holes(mask, axis) & ~mask
    if not holes[index]:
        raise PromptError("The place that was picked is not enclosed by the mask, so it is no hole.")
    numbers, _ = ndimage.label(holes, _faces(axis))
    return np.asarray(numbers == numbers[index])


def grow(mask: MaskArray, mm: float, spacing: Sequence[float]) -> MaskArray:
    """Return the mask grown by a distance, or shrunk by a negative one.

    >>> mask = np.array([[[0, 0, 1, 1, 1, 1, 1, 0, 0]]], bool)
    >>> [int(grow(mask, mm, (5, 1, 1)).sum()) for mm in (1.0, -1.0, -2.0)]
    [7, 3, 1]
    """
    return within_mm(mask, mm, spacing) if mm > 0 else mask & ~within_mm(~mask, -mm, spacing)


def smooth_gaussian(mask: MaskArray, sigma_mm: float, spacing: Sequence[float]) -> MaskArray:
    """Return where a mask blurred by a Gaussian is above a half."""
    sigmas = [sigma_mm / step if side > 1 else 0.0 for step, side in zip(spacing, mask.shape, strict=True)]
    values = ndimage.gaussian_filter(mask.astype(np.float32), sigmas, mode="nearest", truncate=3.0)
    return np.asarray(values > 0.5 - SLACK)


def smooth_median(mask: MaskArray, mm: float, spacing: Sequence[float]) -> MaskArray:
    """Return where most voxels of a block round each are in the mask; it reaches so far along each axis.

    >>> mask = np.array([[[0, 0, 1, 0, 0, 1, 1, 0, 1, 1]]], bool)
    >>> smooth_median(mask, 1.0, (5, 5, 1)).astype(int).tolist()
    [[[0, 0, 0, 0, 0, 1, 1, 1, 1, 1]]]
    """
    reach = [int(mm * (1 + SLACK) / step) for step in spacing]
    counts = mask.astype(np.int32)
    for axis, away in enumerate(reach):
        counts = _block_sums(counts, axis, away)
    return np.asarray(2 * counts.astype(np.int64) > np.prod([2 * away + 1 for away in reach]))


def _block_sums(counts: NDArray[np.int32], axis: int, reach: int) -> NDArray[np.int32]:
    """Return the sums over so many voxels to both sides along an axis; the outermost go on beyond the crop."""
    if reach == 0:
        return counts
    margin = [(reach + 1, reach) if side == axis else (0, 0) for side in range(3)]
    sums = np.moveaxis(np.cumsum(np.pad(counts, margin, mode="edge"), axis=axis, dtype=np.int32), axis, 0)
    length = counts.shape[axis]
    return np.moveaxis(sums[2 * reach + 1 : 2 * reach + 1 + length] - sums[:length], 0, axis)
