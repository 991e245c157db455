"""What a header claims, checked before any memory is taken for it: against the file, the limits set, and what is free.

A file that claims more than it can hold is damaged (FileError). One that is sound and too large is refused with a
LimitError: because it unpacks to so much more than it weighs that it is hardly a scan, or because there is no room.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from segmend.errors import FileError, LimitError
from segmend.runtime.memory import free_memory

MAX_BYTES = 16 * 2**30  # of one image's voxels
# Bytes that one packed byte may claim; deflate packs at most 1032 into one.
RATIO = 1040
# Bytes that any packed file may claim, however small it is.
FLOOR = 64 * 2**20


@dataclass(frozen=True)
class Limits:
    """What is taken of one file, for whoever reads files that nobody vouches for.

    Scans are packed to a half or a fifth, drawn masks to a hundredth; a file of zeros to a thousandth.
    """

    max_bytes: int = MAX_BYTES  # of one image's voxels
    max_ratio: int = RATIO  # bytes that one packed byte may become, if they are more than FLOOR


USUAL = Limits()
_limits: ContextVar[Limits] = ContextVar("limits", default=USUAL)


@contextmanager
def limited(limits: Limits) -> Iterator[None]:
    """Hold everything that is read inside to these limits.

    >>> with limited(Limits(max_bytes=40)):
    ...     check_claim("scan.nii", (2, 3, 4), 2, 48)
    Traceback (most recent call last):
    ...
    segmend.errors.LimitError: scan.nii has 2 x 3 x 4 voxels, which need 48 bytes; at most 40 are taken for one image.
    """
    token = _limits.set(limits)
    try:
        yield
    finally:
        _limits.reset(token)


def check_claim(name: str, shape: Sequence[int], voxel_bytes: int, present: int, *, packed: bool = False) -> int:
    """Return the bytes that voxels of this shape take; FileError when the file cannot hold them.

    LimitError when they are more than the limits, or the machine, have room for.

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
    limits = _limits.get()
    if packed and claimed > unpacked_room(present):
        raise LimitError(
            f"{name} has {_times(shape)} voxels, which need {claimed} bytes, and is packed into {present}; at most "
            f"{limits.max_ratio} times as many are taken."
        )
    check_room(f"{name} has {_times(shape)} voxels, which need", claimed)
    return claimed


def unpacked_room(present: int) -> int:
    """Return the bytes that an archive of so many may become."""
    return max(FLOOR, _limits.get().max_ratio * present)


def check_room(what: str, needed: int) -> None:
    """Raise LimitError when an image of so many bytes is over the limit, or more than the memory that is free."""
    limits = _limits.get()
    if needed > limits.max_bytes:
        raise LimitError(f"{what} {needed} bytes; at most {limits.max_bytes} are taken for one image.")
    if needed > FLOOR and needed > (free := free_memory()):
        raise LimitError(f"{what} {needed} bytes of memory; {free} are free.")


def _times(shape: Sequence[int]) -> str:
    return " x ".join(str(int(n)) for n in shape)
