"""The numbers of an image as float32 that methods can compare, whatever unit the file counts in.

Methods compute in float32, take squares, and have small constants against divisions by zero. A diffusion map in m2/s,
whose values are 10^-9 apart, would drown in such constants; numbers of 10^30 would overflow; and whole numbers near
2^63 that differ by hundreds are one and the same float32. So an image is shifted and scaled before a method sees it.
Scaling is by a power of two and loses nothing: the same picture in another unit gets the same mask. Images in a usual
range, which nearly all are, stay as they are.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Image
from segmend.errors import ShapeError

# Ranges between the darkest and the brightest voxel that methods take as they are.
USUAL = (0.1, 2.0**24)
# The power of two below which a range is brought that is not usual: that of twelve bits, as scanners have.
BITS = 12
# Whole numbers beyond are not all float32.
MOST_WHOLE = 2**24
# A range smaller than this share of the largest number is lost in float32: eight bits of contrast would be left.
LEAST_SHARE = 2.0**-16
LARGEST = float(np.finfo(np.float32).max)


def in_usual_range(image: Image) -> Image:
    """Return the image with voxels that float32 holds with their contrast; the same image when it is so already.

    >>> map_in_m2_s = Image(np.array([[[[0, 1e-9, 3e-9]]]], np.float32))
    >>> in_usual_range(map_in_m2_s).voxels.ravel().round(-2).tolist()
    [0.0, 1100.0, 3300.0]
    """
    voxels = image.voxels
    if voxels.dtype.kind in "ui" and voxels.dtype.itemsize <= 2:
        return image
    low, high = voxels.min(), voxels.max()
    if voxels.dtype.kind in "ui":
        return _whole_in_usual_range(image, int(low), int(high))
    return _real_in_usual_range(image, float(low), float(high))


def _whole_in_usual_range(image: Image, low: int, high: int) -> Image:
    largest = max(abs(low), abs(high))
    if largest <= MOST_WHOLE:
        return image
    offset = low if high - low < LEAST_SHARE * largest or largest > 2**53 else 0
    exact = image.voxels.astype(np.uint64) - np.uint64(offset % 2**64)  # modulo 2^64, so that no difference overflows
    wide = exact.astype(np.float64) if offset or low >= 0 else image.voxels.astype(np.float64)
    return _scaled(image, wide, float(high - low))


def _real_in_usual_range(image: Image, low: float, high: float) -> Image:
    largest = max(abs(low), abs(high))
    if largest > LARGEST:
        raise ShapeError(f"An image needs numbers that float32 holds, up to {LARGEST:.3g}; got {largest:.3g}.")
    spread = high - low  # of Python's floats, whose range is wider
    lost = image.voxels.dtype.itemsize > 4 and 0 < spread < LEAST_SHARE * largest
    if spread == 0 or (USUAL[0] <= spread <= USUAL[1] and not lost):
        return image
    wide: NDArray[Any] = image.voxels.astype(np.float32 if image.voxels.dtype.itemsize <= 4 else np.float64)
    return _scaled(image, wide - low if lost else wide, spread)


def _scaled(image: Image, voxels: NDArray[np.floating[Any]], spread: float) -> Image:
    """Return the image with these numbers, by a power of two in a usual range, as float32."""
    power = 0 if USUAL[0] <= spread <= USUAL[1] else BITS - math.frexp(spread)[1]
    values = np.ldexp(voxels, power) if power else voxels
    return Image(np.asarray(values, np.float32), image.affine, image.notes, axes="zyx")
