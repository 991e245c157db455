"""What a header claims, checked against what the file holds before any memory is taken for it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from segmend.errors import FileError

MAX_BYTES = 16 * 2**30  # of one image's voxels
# Bytes that one packed byte may claim; deflate packs at most 1032 into one.
RATIO = 1040
# Bytes that any packed file may claim, however small it is.
FLOOR = 64 * 2**20


def check_claim(name: str, shape: Sequence[int], voxel_bytes: int, present: int, *, packed: bool = False) -> int:
    """Return the bytes that voxels of this shape take; FileError when the file cannot hold them.

    >>> check_claim("scan.nii", (2, 3, 4), 2, 48)
    48
    >>> check_claim("scan.nii", (999, 999, 999), 2, 48)
    Traceback (most recent call last):
    ...
    segmend.errors.FileError: scan.nii claims 999 x 999 x 999 voxels (1994005998 bytes) but holds only 48 bytes.
    """
    if any(n < 1 for n in shape):
        raise FileError(f"{name} claims {_times(shape)} voxels; every axis needs at least one.")
    claimed = math.prod(int(n) for n in shape) * voxel_bytes
    room = max(FLOOR, RATIO * present) if packed else present
    if claimed > room:
        raise FileError(f"{name} claims {_times(shape)} voxels ({claimed} bytes) but holds only {present} bytes.")
    if claimed > MAX_BYTES:
        raise FileError(f"{name} needs {claimed} bytes of memory; at most {MAX_BYTES} are taken for one image.")
    return claimed


def _times(shape: Sequence[int]) -> str:
    return " x ".join(str(int(n)) for n in shape)
