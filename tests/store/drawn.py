"""Small values drawn by hand, with unequal sides and spacing."""

from __future__ import annotations

import numpy as np

from segmend.core.image import Image, scale_affine
from segmend.core.prompts import Click
from segmend.core.session import PALETTE, Defined, Label, Patch, Prompted

SHAPE = (3, 4, 5)
LESION = Defined(Label(1, "lesion", PALETTE[0]))
CLICK = Prompted(Click((1, 2, 3)), 1, "mend")


def image(kind: str = "int16", channels: int = 1, size: int = 5) -> Image:
    """Return an image of shape (3, 4, size), every voxel another number."""
    voxels = np.arange(channels * 12 * size).reshape(channels, 3, 4, size).astype(kind)
    return Image(voxels, scale_affine((3, 2, 0.5)), ("One slice was missing.",))


def patch(number: int) -> Patch:
    """Return a patch that only this number gives."""
    before = np.zeros(SHAPE, np.uint16)
    after = before.copy()
    after[number % 3, number % 4, number % 5] = number % 60000 + 1
    return Patch.between(before, after)


def large_patch(number: int, rows: int = 100) -> Patch:
    """Return a patch of about 600 bytes a row that does not compress."""
    noise = np.random.default_rng(number).integers(1, 65536, (1, rows, 300), np.uint16)
    return Patch.between(np.zeros_like(noise), noise)
