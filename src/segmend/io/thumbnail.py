"""A slice as a picture of some kilobytes, for lists of cases: upright, windowed by itself, in true proportions."""

from __future__ import annotations

from io import BytesIO
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from segmend.core.geometry import Affine

# Pixels of the longer side.
SIDE = 96
# Pixels along a side of which the picture is made, more would not be seen.
LOOKED_AT = 4 * SIDE
# Shares of the values above the background that are shown black and white, as the annotator's "Auto" has them.
BLACK, WHITE = 0.01, 0.99
R, A, S = 0, 1, 2

Number = TypeVar("Number", bound=np.generic)


def thumbnail(plane: NDArray[Any], affine: Affine) -> bytes:
    """Return a slice [c y x] of an image as a PNG; with three channels in colours, otherwise the first in grey.

    >>> thumbnail(np.zeros((1, 40, 60)), np.eye(4))[1:4]
    b'PNG'
    """
    from PIL import Image as Pillow  # a tenth of a second

    step = max(1, *(-(-side // LOOKED_AT) for side in plane.shape[1:]))
    looked = plane[:3, ::step, ::step] if len(plane) == 3 else plane[:1, ::step, ::step]
    shown, mm = upright(windowed(looked), affine)
    height, width = shown.shape[1] * mm[0], shown.shape[2] * mm[1]
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    pixels = np.ascontiguousarray(np.moveaxis(shown, 0, -1))
    picture = Pillow.fromarray(pixels if len(shown) == 3 else pixels[..., 0]).resize(size, Pillow.Resampling.BOX)
    file = BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def windowed(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.dtype == np.uint8 and len(values) == 3:
        return values
    numbers = np.nan_to_num(np.asarray(values, np.float32), posinf=0.0, neginf=0.0)
    low, high = float(numbers.min()), float(numbers.max())
    if len(values) == 1 and (above := numbers[numbers > low]).size:
        black, white = np.quantile(above, (BLACK, WHITE)).tolist()
        low, high = min(black, low + 0.25 * (high - low)), white
    factor = 255 / (high - low) if high > low else 0.0
    shown: NDArray[np.uint8] = np.clip((numbers - low) * factor, 0, 255).astype(np.uint8)
    return shown


def upright(plane: NDArray[Number], affine: Affine) -> tuple[NDArray[Number], tuple[float, float]]:
    """Return a plane [c y x] as radiologists look at it, and how large its pixels are, down and to the right.

    The patient's right is on the left, or the front where the plane is sagittal; head or front is on top.
    """
    steps = np.asarray(affine, float)[:3, 1:3]  # [3 2] mm down a column, along a row
    spacing = np.linalg.norm(steps, axis=0)
    down, right = (int(np.abs(steps[:, axis]).argmax()) for axis in (0, 1))
    if down != right and down == (R if R in (down, right) else A):
        plane, steps, spacing = plane.swapaxes(1, 2), steps[:, ::-1], spacing[::-1]
        down, right = right, down
    if down in (A, S) and steps[down, 0] > 0:
        plane = plane[:, ::-1]
    if right in (R, A) and steps[right, 1] > 0:
        plane = plane[:, :, ::-1]
    height, width = (float(one) if np.isfinite(one) and one > 0 else 1.0 for one in spacing)
    return plane, (height, width)
