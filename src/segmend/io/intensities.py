"""Stored numbers as real ones: byte order, slope and intercept, only finite values; and as labels."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import LabelMap
from segmend.errors import FileError

Numbers = NDArray[Any]
LARGEST = float(np.finfo(np.float32).max)
WHOLE_TYPES = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32)


def to_native(values: Numbers) -> Numbers:
    """Return the same numbers in this machine's byte order; truths become 0 and 1, half floats float32.

    >>> to_native(np.array([1, 2], ">i2")).dtype
    dtype('int16')
    """
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype == np.float16:
        return values.astype(np.float32)
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def check_finite(values: Numbers, name: str) -> Numbers:
    """Return the values; FileError when some are NaN, infinite, or beyond what float32 holds.

    Methods and viewers compute in float32. No scanner's numbers are so large: the bytes of a file are in another order
    then than its header says, or damaged.

    >>> check_finite(np.array([1.0, np.nan]), "scan.nii")
    Traceback (most recent call last):
    ...
    segmend.errors.FileError: scan.nii has 1 voxels that are not finite numbers (NaN or infinite).
    """
    if values.dtype.kind == "f":
        bad = sum(int(part.size - np.isfinite(part).sum()) for part in values)
        if bad:
            raise FileError(f"{name} has {bad} voxels that are not finite numbers (NaN or infinite).")
        if values.dtype.itemsize > 4 and (largest := max(float(values.max()), -float(values.min()))) > LARGEST:
            raise FileError(f"{name} needs numbers that float32 holds, up to {LARGEST:.3g}; it has {largest:.3g}.")
    return values


def rescale(values: Numbers, slope: float, intercept: float, *, spare: bool = False) -> Numbers:
    """Return slope * values + intercept: whole numbers where nothing is lost by it, else floats.

    With `spare` the values are not needed any more, and are overwritten where that saves memory.

    >>> rescale(np.array([0, 4095], np.uint16), 1, -1024)
    array([-1024,  3071], dtype=int16)
    >>> rescale(np.array([0, 10], np.uint16), 0.5, 0).dtype
    dtype('float32')
    """
    if slope == 1 and intercept == 0:
        return values
    kind = _rescaled_type(values, slope, intercept)
    whole = kind.kind in "ui" and values.dtype.itemsize == kind.itemsize
    out = values.view(kind) if spare and whole else np.empty(values.shape, kind)
    for k in range(len(values)):  # part by part: wide copies stay small
        part, to = values[k : k + 1], out[k : k + 1]
        if kind.kind == "f":
            to[...] = part.astype(np.float64) * np.float64(slope) + np.float64(intercept)
            continue
        # Whole numbers are counted round in their own size, as in any other: what comes of it fits, so it is exact.
        to[...] = part.astype(kind, copy=False)
        if slope != 1:
            np.multiply(to, _round(slope, kind), out=to)
        np.add(to, _round(intercept, kind), out=to)
    return out


def _round(value: float, kind: np.dtype[Any]) -> NDArray[Any]:
    """Return a whole number as one of this kind, which counts round where it does not hold it."""
    bits = 8 * kind.itemsize
    return np.frombuffer((int(value) % 2**bits).to_bytes(kind.itemsize, sys.byteorder), kind)


def _rescaled_type(values: Numbers, slope: float, intercept: float) -> np.dtype[Any]:
    if values.dtype.kind in "ui" and float(slope).is_integer() and float(intercept).is_integer():
        ends = sorted(int(v) * int(slope) + int(intercept) for v in (values.min(), values.max()))
        for kind in (values.dtype.type, *WHOLE_TYPES[2:]):
            limits = np.iinfo(kind)
            if limits.min <= ends[0] and ends[1] <= limits.max:
                return np.dtype(kind)
    exact = (values.dtype.kind == "f" and values.dtype.itemsize <= 4) or values.dtype.itemsize <= 2
    return np.dtype(np.float32 if exact else np.float64)


def whole_labels(voxels: Numbers, name: str) -> LabelMap:
    """Return the numbers as labels 0 to 65535; FileError when they are something else.

    >>> whole_labels(np.array([0.0, 2.0]), "mask.nii").dtype
    dtype('uint16')
    """
    low, high = float(voxels.min()), float(voxels.max())
    if low < 0 or high > 65535:
        raise FileError(f"{name} needs labels of 0 to 65535; it has {low:g} to {high:g}.")
    labels = voxels.astype(np.uint16)
    if voxels.dtype.kind == "f" and (labels != voxels).any():
        raise FileError(f"{name} needs whole numbers as labels; it has fractions.")
    return labels
