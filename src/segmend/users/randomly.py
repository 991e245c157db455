"""A click anywhere in the error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from segmend.core.image import MaskArray
from segmend.core.prompts import Click
from segmend.users.error_region import error_region


@dataclass(frozen=True)
class RandomError:
    """Click a voxel of the error, each as likely as any other.

    >>> truth = np.zeros((1, 5, 9), bool); truth[0, 3, 6] = True
    >>> RandomError(seed=5)(truth, np.zeros_like(truth))
    Click(index=(0, 3, 6), positive=True)
    """

    kinds: ClassVar[tuple[str, ...]] = ("click",)
    seed: int = 0

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Click | None:
        found = error_region(truth, mask)
        if found is None:
            return None
        voxels = np.flatnonzero(found.wrong)
        chosen = voxels[found.generator(self.seed).integers(len(voxels))]
        index = found.place(np.asarray(np.unravel_index(chosen, found.wrong.shape)))
        return Click(index, bool(truth[index]))
