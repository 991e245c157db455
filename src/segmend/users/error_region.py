"""Where a mask is wrong: what every robot looks at first.

All of it works on the bounding box of the errors, not on the whole grid, and in a flat image on
one plane: training asks a robot tens of thousands of times.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmend.core.image import Box, Index, MaskArray, bounds
from segmend.errors import ShapeError


@dataclass(frozen=True, eq=False)
class ErrorRegion:
    """The voxels where mask and ground truth differ, cut to their bounding box."""

    wrong: MaskArray  # [z y x] of the box
    box: Box

    def place(self, where: NDArray[np.intp]) -> Index:
        """Return an index of the box's array as an index of the grid."""
        z, y, x = (int(w) + l for w, l in zip(where, self.box.low, strict=True))
        return z, y, x

    def generator(self, seed: int) -> np.random.Generator:
        """Return a generator that the seed and this error decide.

        The same robot shown the same error always does the same, in whatever order,
        process or thread it is asked.
        """
        key = zlib.crc32(np.packbits(self.wrong).tobytes(), zlib.crc32(repr(self.box).encode()))
        return np.random.default_rng((seed, key))


def error_region(truth: MaskArray, mask: MaskArray) -> ErrorRegion | None:
    """Return where the mask is wrong, None when it is right everywhere.

    >>> truth = np.zeros((1, 4, 5), bool); truth[0, 1:3, 2:4] = True
    >>> error_region(truth, np.zeros_like(truth)).box
    Box(low=(0, 1, 2), high=(1, 3, 4))
    """
    if truth.shape != mask.shape:
        raise ShapeError(f"A robot needs a truth and a mask of one shape; got {truth.shape} and {mask.shape}.")
    wrong = truth != mask
    box = bounds(wrong)
    return None if box is None else ErrorRegion(wrong[box.slices], box)


def depth(inside: MaskArray) -> NDArray[np.float64]:
    """Return each voxel's Euclidean distance to the outside, in voxels; beyond the array is outside.

    >>> depth(np.ones((1, 3, 5), bool))[0]
    array([[1., 1., 1., 1., 1.],
           [1., 2., 2., 2., 1.],
           [1., 1., 1., 1., 1.]])
    """
    flat = inside.shape[0] == 1
    padded = np.pad(inside[0] if flat else inside, 1)
    distance = np.asarray(ndimage.distance_transform_edt(padded), np.float64)
    return distance[None, 1:-1, 1:-1] if flat else distance[1:-1, 1:-1, 1:-1]


def largest_component(wrong: MaskArray) -> ErrorRegion:
    """Return the component with the most voxels, neighbours by faces, edges and corners; the first of equals."""
    flat = wrong.shape[0] == 1
    plane = wrong[0] if flat else wrong
    found, count = ndimage.label(plane, np.ones((3,) * plane.ndim, bool))
    labels = np.asarray(found)
    if count == 1:
        return ErrorRegion(wrong, Box((0, 0, 0), _shape(wrong)))
    best = int(np.bincount(labels.ravel())[1:].argmax()) + 1
    part = labels == best
    part = part[None] if flat else part
    box = bounds(part)
    assert box is not None
    return ErrorRegion(part[box.slices], box)


def _shape(array: MaskArray) -> Index:
    z, y, x = array.shape
    return z, y, x


def deepest(distance: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.intp]:
    """Return the index of the largest distance; between equals the generator decides."""
    best = np.flatnonzero(distance == distance.max())
    chosen = best[0] if len(best) == 1 else best[generator.integers(len(best))]
    return np.asarray(np.unravel_index(chosen, distance.shape), np.intp)
