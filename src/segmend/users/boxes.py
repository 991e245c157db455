"""A box first, then another robot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segmend.core.image import Box, MaskArray, bounds
from segmend.users.error_region import error_region
from segmend.users.largest import LargestError
from segmend.users.play import Marks, User


@dataclass(frozen=True)
class BoxFirst:
    """Open with a box round the truth, then let `then` correct the mask.

    Each of the box's sides lies up to `margin` of the object's length along that axis
    outside the object, as the seed decides, and never outside the image. A game that
    starts from a mask, or has no object, needs no box: `then` opens it too.

    >>> truth = np.zeros((1, 8, 9), bool); truth[0, 2:4, 3:7] = True
    >>> BoxFirst(margin=0).opening(truth, np.zeros_like(truth))
    Box(low=(0, 2, 3), high=(1, 4, 7))
    """

    seed: int = 0
    margin: float = 0.1
    then: User | None = None  # LargestError with the same seed

    @property
    def kinds(self) -> tuple[str, ...]:
        return ("box", *getattr(self._corrector, "kinds", ()))

    def opening(self, truth: MaskArray, mask: MaskArray) -> Marks | None:
        """Return the first prompt of a game."""
        found = error_region(truth, mask)
        if found is None or mask.any():
            return self(truth, mask)
        return box_around(truth, self.margin, found.generator(self.seed))

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Marks | None:
        return self._corrector(truth, mask)

    @property
    def _corrector(self) -> User:
        return self.then or LargestError(self.seed)


def box_around(truth: MaskArray, margin: float, generator: np.random.Generator) -> Box:
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
