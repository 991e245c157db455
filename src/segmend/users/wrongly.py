"""A person who is mistaken: marks that contradict the truth, to see how little they spoil."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import ndimage

from segmend.core.image import Index, MaskArray
from segmend.core.prompts import Click, Stroke
from segmend.errors import ShapeError
from segmend.users.error_region import depth


@dataclass(frozen=True)
class WrongEdit:
    """Mark healthy tissue as the object, or erase the object where the mask is right.

    Healthy tissue is a voxel at least `away` voxels from truth and mask (or as far from them as there is); what
    is erased is a voxel inside both, in the deeper half of them. `erase` None and `brush` None let the seed
    decide. A stroke runs along x through that voxel, up to `length` voxels, and stays in such tissue. None when
    there is nothing of the kind.

    >>> truth = np.zeros((1, 9, 12), bool); truth[0, 2:7, 1:6] = True
    >>> WrongEdit(erase=True, brush=False)(truth, truth).positive
    False
    """

    kinds: ClassVar[tuple[str, ...]] = ("click", "stroke")
    seed: int = 0
    erase: bool | None = None
    brush: bool | None = None
    away: float = 5.0
    length: int = 9

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Click | Stroke | None:
        if truth.shape != mask.shape:
            raise ShapeError(f"A robot needs a truth and a mask of one shape; got {truth.shape} and {mask.shape}.")
        key = zlib.crc32(np.packbits(mask).tobytes(), zlib.crc32(np.packbits(truth).tobytes()))
        generator = np.random.default_rng((self.seed, key))
        erase = bool(generator.integers(2)) if self.erase is None else self.erase
        brush = bool(generator.integers(2)) if self.brush is None else self.brush
        if self.erase is None and not (truth & mask).any():
            erase = False  # there is nothing right yet that could be erased
        tissue = truth & mask if erase else ~(truth | mask)
        if not tissue.any():
            return None
        deep = depth(tissue) if erase else _distance_to_other(tissue)
        least = deep.max() / 2 if erase else min(self.away, deep.max())
        fit = np.argwhere(deep >= least)
        z, y, x = fit[generator.integers(len(fit))].tolist()
        if not brush:
            return Click((z, y, x), not erase)
        return Stroke(self._line(tissue, (z, y, x)), not erase)

    def _line(self, tissue: MaskArray, middle: Index) -> tuple[Index, ...]:
        z, y, x = middle
        low = high = x
        while low > 0 and tissue[z, y, low - 1] and x - low < self.length // 2:
            low -= 1
        while high + 1 < tissue.shape[2] and tissue[z, y, high + 1] and high - x < self.length // 2:
            high += 1
        return ((z, y, low), (z, y, high)) if low < high else ((z, y, x),)


def _distance_to_other(tissue: MaskArray) -> np.ndarray:
    """Return each voxel's distance to what is no tissue; the image's border is none."""
    if tissue.all():
        return np.full(tissue.shape, np.inf)
    return np.asarray(ndimage.distance_transform_edt(tissue))
