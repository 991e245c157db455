"""The adjustment tool of interactive deep editing (Zhou, Chen and Wang, 2019): one number for the whole mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from segmend.core.image import MaskArray
from segmend.core.prompts import Adjust
from segmend.errors import ShapeError


@dataclass(frozen=True)
class Adjustment:
    """Say how much larger or smaller the mask should be: K = (V under - V over) / V truth, the paper's with a minus.

    Above 0 the mask must grow. `clip` bounds K, as in training (0.5); a person's is unlimited. An adjustment
    of less than `least` either way is not made, nor is one of an object that is not there.

    >>> truth = np.zeros((1, 4, 5), bool); truth[0, 1:3] = True
    >>> Adjustment()(truth, np.ones_like(truth)), Adjustment()(truth, np.zeros_like(truth))
    (Adjust(k=-1.0, of='truth'), Adjust(k=1.0, of='truth'))
    """

    kinds: ClassVar[tuple[str, ...]] = ("adjust",)
    seed: int = 0  # of no use here: this robot leaves nothing to chance
    clip: float | None = None
    least: float = 0.0

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Adjust | None:
        if truth.shape != mask.shape:
            raise ShapeError(f"A robot needs a truth and a mask of one shape; got {truth.shape} and {mask.shape}.")
        volume, over, under = (int(np.count_nonzero(where)) for where in (truth, mask & ~truth, truth & ~mask))
        if volume == 0 or over == under:
            return None
        k = (under - over) / volume
        if abs(k) < self.least:
            return None
        return Adjust(k if self.clip is None else max(-self.clip, min(self.clip, k)), of="truth")
