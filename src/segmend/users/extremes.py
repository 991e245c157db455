"""Extreme points of the object first, then one more point on its edge where the mask is most wrong: DEXTR's robot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmend.core.image import Index, MaskArray
from segmend.core.prompts import Extremes
from segmend.users.mistake import largest, mistake


@dataclass(frozen=True)
class ExtremePoints:
    """Mark the outermost voxels along each axis, four in a flat image and six in a volume; then more edge voxels.

    Where several voxels are outermost the middle one of them is marked, and each is a voxel of the object. What
    comes after is the voxel of the object's edge that lies nearest to the middle of the largest mistake. An
    object that is gone has no such points, so there this robot stops.

    >>> truth = np.zeros((1, 5, 9), bool); truth[0, 1:4, 2:7] = True
    >>> ExtremePoints().opening(truth, np.zeros_like(truth)).points
    ((0, 1, 4), (0, 3, 4), (0, 2, 2), (0, 2, 6))
    """

    kinds: ClassVar[tuple[str, ...]] = ("extremes",)
    seed: int = 0
    slack: int = 0  # voxels off the outermost that a careless hand may be: any voxel of the object so near is as likely

    def opening(self, truth: MaskArray, mask: MaskArray) -> Extremes | None:
        """Return the first prompt of a game."""
        found = mistake(truth, mask)
        if found is None or not truth.any():
            return None
        return Extremes(extreme_points(truth, slack=self.slack, generator=found.generator(self.seed)))

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Extremes | None:
        found = mistake(truth, mask)
        if found is None or not truth.any():
            return None
        part = largest(found.wrong)
        voxels = np.argwhere(part.wrong) + np.asarray(part.box.low) + np.asarray(found.box.low)
        missed = rim(truth) & ~rim(mask)  # no point twice, and none where the edge is right already
        edge = np.argwhere(missed if missed.any() else rim(truth))
        apart = ((edge - voxels.mean(axis=0)) ** 2).sum(axis=1)
        nearest = edge[apart == apart.min()]
        return Extremes((_index(nearest[found.generator(self.seed).integers(len(nearest))]),))


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
            points.append(_index(outermost[generator.integers(len(outermost)) if slack and generator else middle]))
    return tuple(points)


def rim(mask: MaskArray) -> MaskArray:
    """Return the voxels of a mask that touch its outside by a face; a flat image has no outside above or below.

    >>> rim(np.ones((1, 3, 3), bool))[0].astype(int).tolist()
    [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
    """
    if mask.shape[0] == 1:
        return np.asarray(mask & ~ndimage.binary_erosion(mask[0])[None])
    return np.asarray(mask & ~ndimage.binary_erosion(mask))


def _index(voxel: NDArray[np.intp]) -> Index:
    z, y, x = (int(v) for v in voxel)
    return z, y, x
