"""Extreme points of the object first, then one more point on its edge where the mask is most wrong: DEXTR's robot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from segmend.core.image import MaskArray, index_of
from segmend.core.masks import extreme_points, rim
from segmend.core.prompts import Extremes
from segmend.users.error_region import error_region, largest_component


@dataclass(frozen=True)
class ExtremePoints:
    """Mark the outermost voxels along each axis, four in a flat image and six in a volume; then more edge voxels.

    Where several voxels are outermost the middle one of them is marked, and each is a voxel of the object. What
    comes after is the voxel of the object's edge that lies nearest to the middle of the largest error. An
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
        found = error_region(truth, mask)
        if found is None or not truth.any():
            return None
        return Extremes(extreme_points(truth, slack=self.slack, generator=found.generator(self.seed)))

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Extremes | None:
        found = error_region(truth, mask)
        if found is None or not truth.any():
            return None
        part = largest_component(found.wrong)
        voxels = np.argwhere(part.wrong) + np.asarray(part.box.low) + np.asarray(found.box.low)
        missed = rim(truth) & ~rim(mask)  # no point twice, and none where the edge is right already
        edge = np.argwhere(missed if missed.any() else rim(truth))
        apart = ((edge - voxels.mean(axis=0)) ** 2).sum(axis=1)
        nearest = edge[apart == apart.min()]
        return Extremes((index_of(nearest[found.generator(self.seed).integers(len(nearest))]),))
