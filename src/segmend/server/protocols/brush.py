"""Label Studio's own packing of brush masks: runs of bits, four values a pixel (RGBA), as its pages paint them.

    32 bits how many values there are | 5 bits their size less one | 4 x 4 bits the sizes of lengths, less one
    then for each block: 1 bit is it a run? | 2 bits which size its length has | the length less one | its value(s)

A run has one value, any other block as many as it is long.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segmend.server.replies import UnreadableError

# Bits of a value, and those that lengths of blocks can have.
VALUE_BITS, LENGTH_BITS = 8, (3, 4, 8, 16)
CHANNELS = 4
FULL = 255


def pack(inside: NDArray[np.bool_]) -> list[int]:
    """Return the numbers of a mask [y x].

    >>> unpack(pack(np.eye(3, dtype=bool)), (3, 3)).tolist()
    [[True, False, False], [False, True, False], [False, False, True]]
    """
    flat = inside.ravel()
    changes = np.flatnonzero(np.diff(flat)) + 1
    starts = np.concatenate([[0], changes, [flat.size]])
    bits = [f"{CHANNELS * flat.size:032b}", f"{VALUE_BITS - 1:05b}", *(f"{size - 1:04b}" for size in LENGTH_BITS)]
    most = 1 << LENGTH_BITS[-1]
    for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        value, left = f"{FULL if flat[start] else 0:0{VALUE_BITS}b}", CHANNELS * (end - start)
        while left:
            length = min(left, most)
            number, size = next((i, size) for i, size in enumerate(LENGTH_BITS) if length <= 1 << size)
            bits.append(f"1{number:02b}{length - 1:0{size}b}{value}")
            left -= length
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def unpack(numbers: Sequence[int], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask [y x] that some numbers are; UnreadableError for what is none of this shape."""
    size = CHANNELS * shape[0] * shape[1]
    try:
        bits = _Bits(bytes(numbers))
        if bits.take(32) != size:
            raise UnreadableError(f"A brush mask of {shape[1]} x {shape[0]} pixels needs {size} values.")
        value_bits = bits.take(5) + 1
        lengths = [bits.take(4) + 1 for _ in range(4)]
        values = np.zeros(size, bool)
        at = 0
        while at < size:
            is_run = bits.take(1)
            length = bits.take(lengths[bits.take(2)]) + 1
            if at + length > size:
                raise UnreadableError("A block of a brush mask is longer than the mask.")
            if is_run:
                values[at : at + length] = bits.take(value_bits) != 0
            else:
                for i in range(at, at + length):
                    values[i] = bits.take(value_bits) != 0
            at += length
    except (ValueError, TypeError, IndexError, OverflowError):
        raise UnreadableError("A brush mask needs a list of bytes, as Label Studio packs it.") from None
    return values[CHANNELS - 1 :: CHANNELS].reshape(shape)


class _Bits:
    """Bytes, read bit by bit."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def take(self, count: int) -> int:
        """Return the number that the next bits are; IndexError behind the last."""
        first, end = self._at // 8, (self._at + count + 7) // 8
        if end > len(self._content):
            raise IndexError
        behind = 8 * end - self._at - count
        self._at += count
        return (int.from_bytes(self._content[first:end], "big") >> behind) & ((1 << count) - 1)
