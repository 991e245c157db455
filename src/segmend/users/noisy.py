"""A person's clicks: near the centre of the error, sometimes near its edge, now and then wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from segmend.core.image import Index, MaskArray
from segmend.core.prompts import Click
from segmend.users.error_region import ErrorRegion, depth, error_region, largest_component
from segmend.users.largest import centre


@dataclass(frozen=True)
class NoisyHuman:
    """Click about where LargestError does, as people do.

    The aim is the centre of the largest error or, with probability `edge`, a voxel on its
    rim. The hand misses it by about `jitter` voxels along each axis (not along z in a
    flat image). With probability `wrong` the sign is the opposite of what the aim wanted.
    A person clicks where the mask is visibly wrong: a click that tells the mask nothing
    new is taken again, at last without jitter.

    >>> truth = np.zeros((1, 9, 9), bool); truth[0, 1:8, 1:8] = True
    >>> NoisyHuman(seed=1, jitter=0, edge=0, wrong=0)(truth, np.zeros_like(truth))
    Click(index=(0, 4, 4), positive=True)
    """

    kinds: ClassVar[tuple[str, ...]] = ("click",)
    seed: int = 0
    jitter: float = 2.0
    edge: float = 0.2
    wrong: float = 0.05

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Click | None:
        found = error_region(truth, mask)
        if found is None:
            return None
        generator = found.generator(self.seed)
        aim = _boundary_voxel(found, generator) if generator.random() < self.edge else centre(found, generator)
        flip = bool(generator.random() < self.wrong)
        positive = bool(truth[aim]) != flip
        for _ in range(8):
            index = self._jittered(aim, truth.shape, generator)
            if flip or bool(mask[index]) != positive:
                return Click(index, positive)
        return Click(aim, positive)

    def _jittered(self, aim: Index, shape: tuple[int, ...], generator: np.random.Generator) -> Index:
        moved = np.rint(np.asarray(aim) + generator.normal(0, self.jitter, 3)).astype(int)
        z, y, x = np.clip(moved, 0, np.asarray(shape) - 1).tolist()
        return z, y, x


def _boundary_voxel(found: ErrorRegion, generator: np.random.Generator) -> Index:
    """Return a voxel of the largest error that touches its outside."""
    part = largest_component(found.wrong)
    voxels = np.argwhere(part.wrong & (depth(part.wrong) <= 1))
    return found.place(voxels[generator.integers(len(voxels))] + part.box.low)
