"""What masks have in common, and what can be said of one: connected components, extreme points, its rim."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from segmend.core.image import Index, MaskArray, index_of
from segmend.errors import ShapeError


def dice(one: ArrayLike, other: ArrayLike, *, empty: float = 1.0) -> float:
    """Return twice what two masks of one shape have in common, over the size of each; `empty` where both are empty.

    >>> dice(np.array([True, True]), np.array([True, False]))
    0.6666666666666666
    """
    a, b = np.asarray(one, bool), np.asarray(other, bool)
    if a.shape != b.shape:
        raise ShapeError(f"A comparison needs two masks of one shape; got {a.shape} and {b.shape}.")
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2 * int(np.count_nonzero(a & b)) / total if total else empty


def components_touching(
    mask: NDArray[np.bool_], seeds: NDArray[np.bool_], *, corners: bool = True
) -> NDArray[np.bool_]:
    """Return the connected components of a mask that hold a seed; with `corners`, voxels connect over corners too.

    >>> mask = np.array([[1, 0, 0, 1], [0, 1, 0, 1]], bool)
    >>> components_touching(mask, np.array([[1, 0, 0, 0], [0, 0, 0, 0]], bool)).astype(int).tolist()
    [[1, 0, 0, 0], [0, 1, 0, 0]]
    >>> components_touching(mask, np.array([[1, 0, 0, 0], [0, 0, 0, 0]], bool), corners=False).astype(int).tolist()
    [[1, 0, 0, 0], [0, 0, 0, 0]]
    """
    labels, count = ndimage.label(mask, np.ones((3,) * mask.ndim, bool) if corners else None)
    touched = np.zeros(count + 1, bool)
    touched[labels[seeds]] = True
    touched[0] = False
    return np.asarray(touched[labels])


def extreme_points(
    truth: MaskArray, *, slack: int = 0, generator: np.random.Generator | None = None
) -> tuple[Index, ...]:
    """Return the lowest and the highest voxel along each axis; a flat image has none above or below.

    With slack they are drawn from the object's voxels that are at most so far from the outermost.
    """
    voxels = np.argwhere(truth)
    points = []
    for axis in (1, 2) if truth.shape[0] == 1 else (0, 1, 2):
        along = voxels[:, axis]
        for near in (along <= along.min() + slack, along >= along.max() - slack):
            outermost = voxels[near]
            middle = ((outermost - outermost.mean(axis=0)) ** 2).sum(axis=1).argmin()
            points.append(index_of(outermost[generator.integers(len(outermost)) if slack and generator else middle]))
    return tuple(points)


def rim(mask: MaskArray) -> MaskArray:
    """Return the voxels of a mask that touch its outside by a face; a flat image has no outside above or below.

    >>> rim(np.ones((1, 3, 3), bool))[0].astype(int).tolist()
    [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
    """
    if mask.shape[0] == 1:
        return np.asarray(mask & ~ndimage.binary_erosion(mask[0])[None])
    return np.asarray(mask & ~ndimage.binary_erosion(mask))
