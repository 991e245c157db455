"""A box first, then another robot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from segmend.image import Box, MaskArray, bounds
from segmend.play import User
from segmend.prompts import Prompt
from segmend.users.largest import LargestError
from segmend.users.mistake import mistake


@dataclass(frozen=True)
class BoxFirst:
    """Draw a box round the truth while the mask is empty, then let `then` correct it.

    Each of the box's sides lies up to `margin` of the object's length along that axis
    outside the object, as the seed decides, and never outside the image. A robot sees masks,
    not turns, so a method that answers the box with an empty mask is shown the box again.

    >>> truth = np.zeros((1, 8, 9), bool); truth[0, 2:4, 3:7] = True
    >>> BoxFirst(margin=0)(truth, np.zeros_like(truth))
    Box(low=(0, 2, 3), high=(1, 4, 7))
    """

    kinds: ClassVar[tuple[str, ...]] = ("box", "click")
    seed: int = 0
    margin: float = 0.1
    then: User | None = None  # LargestError with the same seed

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Prompt | None:
        found = mistake(truth, mask)
        if found is None:
            return None
        if mask.any() or not truth.any():
            return (self.then or LargestError(self.seed))(truth, mask)
        return around(truth, self.margin, found.generator(self.seed))


def around(truth: MaskArray, margin: float, generator: np.random.Generator) -> Box:
    """Return a box round the truth, each side up to `margin` of the object's length outside it."""
    box = bounds(truth)
    assert box is not None
    lengths = np.asarray(box.shape)
    if truth.shape[0] == 1:
        lengths = lengths * (0, 1, 1)
    below, above = np.rint(generator.uniform(0, margin, (2, 3)) * lengths).astype(int)
    low, high = np.asarray(box.low) - below, np.asarray(box.high) + above
    (z0, y0, x0), (z1, y1, x1) = low.tolist(), high.tolist()
    return Box((z0, y0, x0), (z1, y1, x1)).clipped(truth.shape)
