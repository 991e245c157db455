"""Images of one patient on grids of their own: whether their millimetres are the same ones, and one on another's grid.

An image is related to another by their affines alone: nothing is registered here. What says no place, and what DICOM
says to be of another frame of reference, is refused instead of being shown where it does not belong.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from segmend.core.geometry import Affine
from segmend.core.image import Image, Index
from segmend.errors import GeometryError

# What readers note of an image whose place in the patient nobody knows.
NO_PLACE = ("says no orientation", "say no place")
# Bits of whole numbers that are kept as they are: larger ones become real numbers, as those of the file are.
WHOLE_BITS = 16
# Voxels by which a place may miss the end of an image and still be inside: what rounding does to an affine.
NEAR = 1e-6
# Voxels by which axes may turn away from each other across a whole block and still count as running along each other.
SKEW = 1e-4


def check_related(main: Image, main_frame: str, other: Image, frame: str, *, name: str, photo: bool = False) -> None:
    """Raise GeometryError unless an image can be shown beside another one by where both lie in the patient.

    >>> image = Image(np.zeros((1, 2, 3, 4)))
    >>> check_related(image, "1.2", image, "1.3", name="T2")
    Traceback (most recent call last):
    ...
    segmend.errors.GeometryError: 'T2' is of another frame of reference than the case's image: register it first.
    """
    if other.channels != 1:
        raise GeometryError(f"A series needs one channel to be shown beside an image; {name!r} has {other.channels}.")
    if main_frame and frame and main_frame != frame:
        raise GeometryError(f"{name!r} is of another frame of reference than the case's image: register it first.")
    for image, what, is_photo in ((main, "The case's image", photo), (other, repr(name), False)):
        if is_photo or not _has_place(image):
            raise GeometryError(f"{what} says no place in a patient, so nothing tells how the two lie to each other.")
    low, high = _reach(main, other)
    if any(h < -0.5 or l > n - 0.5 for l, h, n in zip(low, high, main.shape, strict=True)):
        raise GeometryError(f"{name!r} lies beside the case's image: no place of it is in both.")


def _has_place(image: Image) -> bool:
    if any(said in note for note in image.notes for said in NO_PLACE):
        return False
    return not (image.flat and not image.affine[:3, 3].any())  # a photograph, or a slice from nowhere


def _reach(main: Image, other: Image) -> tuple[list[float], list[float]]:
    """Return the lowest and the highest index of one image's grid that the other's voxels reach."""
    ends = [(-0.5, n - 0.5) for n in other.shape]
    corners = np.stack(np.meshgrid(*ends, (1.0,), indexing="ij"), axis=-1).reshape(-1, 4)
    there = (np.linalg.inv(main.affine) @ other.affine @ corners.T)[:3]
    return there.min(axis=1).tolist(), there.max(axis=1).tolist()


def on_grid_of(
    other: Image, affine: ArrayLike, shape: Index, low: int, high: int, *, outside: float = 0.0
) -> NDArray[Any]:  # [z y x] of slices low to high
    """Return slices of a grid as another image has them: its values between voxels by linear interpolation.

    A place counts as inside as far as the outermost voxels reach, which is half a voxel beyond their middles.

    >>> line = Image(np.array([[[[0, 10, 20]]]], np.int16))
    >>> from segmend.core.image import scale_affine
    >>> on_grid_of(line, scale_affine((1, 1, 0.5)), (1, 1, 8), 0, 1, outside=-1)[0, 0].tolist()
    [0, 5, 10, 15, 20, 20, -1, -1]
    """
    steps: Affine = np.asarray(np.linalg.solve(other.affine, np.asarray(affine, np.float64)), np.float64)
    offset = steps[:3, 3] + steps[:3, 0] * low
    wanted = (high - low, shape[1], shape[2])
    kind = kind_on_grid(other.voxels.dtype)
    values = np.asarray(other.voxels[0], np.float32 if other.voxels.dtype == np.float16 else None)
    square = steps[:3, :3]
    turns = square - np.diag(np.diag(square))
    straight = bool((np.abs(turns) @ wanted < SKEW).all())
    out = (_straight if straight else _slanted)(values, square, offset, wanted, kind, outside)
    return out if kind.kind == "f" else np.rint(out, out=out).astype(kind)


def _slanted(
    values: NDArray[Any], steps: Affine, offset: Affine, wanted: Index, kind: np.dtype[Any], outside: float
) -> NDArray[Any]:
    out = np.empty(wanted, kind if kind.kind == "f" else np.float32)
    ndimage.affine_transform(values, steps, offset, wanted, out, order=1, mode="nearest", prefilter=False)
    lines = [np.arange(n, dtype=np.float64) for n in wanted]
    for axis, size in enumerate(values.shape):
        z, y, x = (steps[axis, k] * line for k, line in enumerate(lines))
        at = (z[:, None, None] + offset[axis]) + y[:, None] + x
        out[(at < -0.5 - NEAR) | (at >= size - 0.5 + NEAR)] = outside
    return out


def _straight(
    values: NDArray[Any], steps: Affine, offset: Affine, wanted: Index, kind: np.dtype[Any], outside: float
) -> NDArray[Any]:
    """Do the same where the axes of both grids run along each other: one after the other, in a fifth of the time."""
    number = kind if kind.kind == "f" else np.dtype(np.float32)
    out = values
    gone = []
    for axis, size in enumerate(values.shape):
        at = np.arange(wanted[axis]) * steps[axis, axis] + offset[axis]
        gone.append((at < -0.5 - NEAR) | (at >= size - 0.5 + NEAR))
        at = np.clip(at, 0, size - 1)
        below = np.minimum(at.astype(np.intp), max(size - 2, 0))
        share = (at - below).astype(number).reshape([-1 if k == axis else 1 for k in range(3)])
        first = np.take(out, below, axis).astype(number, copy=False)
        second = np.take(out, np.minimum(below + 1, size - 1), axis).astype(number, copy=False)
        out = first + share * (second - first)
    out[gone[0]] = outside
    out[:, gone[1]] = outside
    out[:, :, gone[2]] = outside
    return out


def kind_on_grid(kind: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of an image's numbers on another grid: small whole numbers stay, others become real.

    >>> kind_on_grid(np.dtype("i2")), kind_on_grid(np.dtype("i4"))
    (dtype('int16'), dtype('float32'))
    """
    if kind.kind in "ui" and kind.itemsize * 8 <= WHOLE_BITS:
        return kind
    return kind if kind == np.float64 else np.dtype(np.float32)
