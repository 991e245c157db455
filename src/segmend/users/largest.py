"""The centre of the largest error: the robot of the CVPR 2025 interactive 3D challenge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from segmend.core.image import Index, MaskArray
from segmend.core.prompts import Click
from segmend.users.error_region import ErrorRegion, deepest, depth, error_region, largest_component


@dataclass(frozen=True)
class LargestError:
    """Click the voxel deepest inside the largest component of the error.

    Components join by faces, edges and corners (26 neighbours, 8 in a flat image), the
    largest has the most voxels, depth is Euclidean in voxels, and the seed decides ties.
    Positive where the truth is.

    >>> truth = np.zeros((1, 5, 9), bool); truth[0, 1:4, 2:7] = True
    >>> LargestError()(truth, truth) is None
    True
    >>> mask = truth.copy(); mask[0, 1:4, 2:5] = False
    >>> LargestError()(truth, mask)
    Click(index=(0, 2, 3), positive=True)
    """

    kinds: ClassVar[tuple[str, ...]] = ("click",)
    seed: int = 0

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Click | None:
        found = error_region(truth, mask)
        if found is None:
            return None
        index = centre(found, found.generator(self.seed))
        return Click(index, bool(truth[index]))


def centre(found: ErrorRegion, generator: np.random.Generator) -> Index:
    """Return the voxel deepest inside the error's largest component."""
    part = largest_component(found.wrong)
    inner = deepest(depth(part.wrong), generator)
    return found.place(inner + part.box.low)
