"""gzip for masks and the like, which are mostly zeros: runs of zeros are packed once, and not anew each time.

What comes of it is an ordinary gzip file: blocks of deflate that begin with nothing known before them may stand in any
order (a full flush, RFC 1951).
"""

from __future__ import annotations

import zlib
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

# Bytes that are looked at together: a run of zeros is so many, or a multiple.
BLOCK = 1 << 16
HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name, no time, of no system


def gzipped(values: NDArray[np.generic], level: int = 1) -> bytes:
    """Return the bytes of an array, packed by gzip.

    >>> import gzip
    >>> gzip.decompress(gzipped(np.zeros(200_000, np.uint8))) == bytes(200_000)
    True
    """
    data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    whole = len(data) // BLOCK
    filled: NDArray[np.bool_] = np.any(data[: whole * BLOCK].reshape(whole, BLOCK), axis=1)
    ends = [0, *(np.flatnonzero(np.diff(filled)) + 1).tolist(), whole]
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    pieces = [HEADER]
    for low, high in pairwise(ends):
        if low == high or filled[low]:
            pieces.append(packer.compress(data[low * BLOCK : high * BLOCK].data))
        else:
            pieces.append(packer.flush(zlib.Z_FULL_FLUSH))
            pieces.append(_zeros(level) * (high - low))
    pieces.append(packer.compress(data[whole * BLOCK :].data) + packer.flush())
    check = zlib.crc32(data.data).to_bytes(4, "little")
    return b"".join((*pieces, check, (len(data) % 2**32).to_bytes(4, "little")))


@cache
def _zeros(level: int) -> bytes:
    """Return a block of zeros, packed so that it may stand behind any other."""
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    return packer.compress(bytes(BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)
