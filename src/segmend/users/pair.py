"""One click inside the object and one beside it, both at random: one interaction of iunet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from segmend.core.image import Index, MaskArray, bounds
from segmend.core.prompts import Click
from segmend.users.error_region import error_region

SURROUNDINGS = 0.5  # how far an object's surroundings reach, in its longer side
MIN_SURROUNDINGS = 5  # how far an object's surroundings reach at least, in voxels


@dataclass(frozen=True)
class RandomPair:
    """Click any voxel of the object and any voxel around it, whatever the mask says there.

    The robot of iunet: its clicks do not aim at errors, which also stands for a person who clicks carelessly.
    In a volume both clicks lie in the axial plane with the largest error. A plane that the object fills
    gets no negative click, one without the object no positive one.

    >>> truth = np.zeros((1, 1, 9), bool); truth[0, 0, 2] = True
    >>> positive, negative = RandomPair(seed=1)(truth, np.zeros_like(truth))
    >>> positive, negative.positive, truth[negative.index].item()
    (Click(index=(0, 0, 2), positive=True), False, False)
    """

    kinds: ClassVar[tuple[str, ...]] = ("click",)
    seed: int = 0

    def __call__(self, truth: MaskArray, mask: MaskArray) -> tuple[Click, ...] | None:
        found = error_region(truth, mask)
        if found is None:
            return None
        generator = found.generator(self.seed)
        z = found.box.low[0] + int(np.argmax(found.wrong.sum(axis=(1, 2))))
        inside = truth[z]
        clicks = ((inside, True), (surroundings(inside), False))
        return tuple(Click(_random_pixel(plane, z, generator), positive) for plane, positive in clicks if plane.any())


def surroundings(inside: np.ndarray) -> np.ndarray:  # [y x] bool
    """Return an object's surroundings in a plane: the outside of it in a box round it or, if that is none, anywhere.

    >>> surroundings(np.array([[False] * 7 + [True]])).sum().item()
    5
    """
    box = bounds(inside[None])
    if box is None:
        return ~inside
    reach = max(MIN_SURROUNDINGS, round(SURROUNDINGS * max(box.shape)))
    around = np.zeros_like(inside)
    around[box.grown(reach).clipped((1, *inside.shape)).slices[1:]] = True
    around &= ~inside
    return around if around.any() else ~inside


def _random_pixel(plane: np.ndarray, z: int, generator: np.random.Generator) -> Index:
    places = np.flatnonzero(plane)
    y, x = np.unravel_index(places[generator.integers(len(places))], plane.shape)
    return z, int(y), int(x)
