"""The pixel farthest inside a error: the robot of RITM's evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from segmend.core.image import MaskArray
from segmend.core.prompts import Click
from segmend.users.error_region import deepest, depth, error_region


@dataclass(frozen=True)
class FarthestError:
    """Click where the distance to the error's edge is largest, missed and false voxels apart.

    The border of the image is an edge. Whichever kind reaches deeper gets the click, false
    voxels on a tie; the seed decides between equal voxels. No voxel is clicked twice as long
    as the masks obey the marks, which `segmenter.answer` makes sure of: a marked voxel is
    no error any more.

    >>> truth = np.zeros((1, 5, 9), bool); truth[0, :, 4:] = True
    >>> FarthestError()(truth, np.zeros_like(truth))
    Click(index=(0, 2, 6), positive=True)
    """

    kinds: ClassVar[tuple[str, ...]] = ("click",)
    seed: int = 0

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Click | None:
        found = error_region(truth, mask)
        if found is None:
            return None
        wanted = truth[found.box.slices]
        missed, false = depth(found.wrong & wanted), depth(found.wrong & ~wanted)
        positive = bool(missed.max() > false.max())
        inner = deepest(missed if positive else false, found.generator(self.seed))
        return Click(found.place(np.asarray(inner)), positive)
