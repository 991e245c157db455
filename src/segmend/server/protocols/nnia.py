"""Arrays as nnInteractive's viewers send them: a container "NNIA" of Blosc2 chunks, little endian.

    bytes 0-3    "NNIA"
    bytes 4-7    u8 version (1), codec (1 Zstandard, 2 LZ4), number of axes, length of the type's name
    then         the type's name in ASCII, such as "int16"
    then         i64 shape, one number for each axis
    then         u32 number of chunks, and of each
                 u64 length of its numbers in bytes, u64 length as packed, and the packed bytes: one Blosc2 chunk

Nothing here is believed. A chunk of 32 bytes may claim a gigabyte of zeros, and what unpacks it writes as many bytes as
the chunk's own header says, whatever room there is. So all lengths are held against each other before memory is taken,
and a chunk may only ask for what viewers use: LZ4 or Zstandard, plain or shuffled; nothing that stays as memory was.
"""

from __future__ import annotations

import importlib
import math
import struct
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmend.errors import LimitError, SettingsError
from segmend.server.replies import UnreadableError

Array = NDArray[Any]
MAGIC, VERSION, ZSTD, LZ4 = b"NNIA", 1, 1, 2
# Numbers that an array may have.
TYPES = frozenset(
    ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64"]
)
MOST_AXES = 4
# Bytes of numbers in one chunk: Blosc2 counts with 31 bits, viewers cut at 2^30.
CHUNK_BYTES = 1 << 30
HEADER_BYTES = 32
# Bytes of one block of a chunk; unpacking takes a few times as much for each thread.
BLOCK_BYTES = 1 << 24
# Fields of a chunk's header: version, codec's version, flags, size of a number; bytes unpacked, of a block, and packed;
# filters, codec once more, codec's and filters' settings; two kinds of flags of Blosc2.
CHUNK = struct.Struct("<4B3i6s2B6s2B")
# Formats of Blosc2 that are read: 3 to 5 are chunks with a header of 32 bytes.
FORMATS = range(3, 6)
# Flags: a header of 32 bytes is told by both kinds of shuffling at once.
EXTENDED = 0x5
# The codec's number, in the three upper bits of the flags, and once more among Blosc2's own.
CODECS, OWN_CODECS = (1, 4), (0, 1, 5)
# Flag of a chunk that is not packed at all, and then of no codec.
COPIED = 0x2
FILTERS = frozenset([0, 1, 2])  # none, by bytes, by bits
# Flags of Blosc2: all numbers are the same, in bits 4 to 6; zeros, NaN and one value are known.
SPECIAL, SPECIALS = 0x70, (0x00, 0x10, 0x20, 0x30)

MISSING = (
    "Viewers of nnInteractive need one more package here; whoever runs the server: pip install 'segmend[viewers]'."
)


@cache
def blosc2() -> Any:
    """Return the module that packs and unpacks; SettingsError names the extra where it is missing."""
    try:
        module = importlib.import_module("blosc2")
    except ImportError:
        raise SettingsError(MISSING) from None
    module.set_releasegil(True)  # others go on meanwhile
    return module


def pack(array: Array) -> bytes:
    """Return a mask as a container; it needs a voxel at least.

    >>> unpack(pack(np.array([[[0, 1, 1]]], np.uint8)), fits=lambda shape, size: None).tolist()
    [[[0, 1, 1]]]
    """
    library = blosc2()
    numbers = np.ascontiguousarray(array)
    name = numbers.dtype.name.encode()
    parts = [struct.pack(f"<4s4B{len(name)}s", MAGIC, VERSION, ZSTD, numbers.ndim, len(name), name)]
    raw = numbers.reshape(-1).view(np.uint8).data
    starts = range(0, len(raw), CHUNK_BYTES)
    parts.append(struct.pack(f"<{numbers.ndim}qI", *numbers.shape, len(starts)))
    for start in starts:
        piece = raw[start : start + CHUNK_BYTES]
        packed = library.compress2(
            piece,
            typesize=numbers.dtype.itemsize,
            codec=library.Codec.ZSTD,
            clevel=1,
            filters=[library.Filter.NOFILTER],
        )
        parts += [struct.pack("<QQ", len(piece), len(packed)), packed]
    return b"".join(parts)


def unpack(data: bytes | memoryview, *, fits: Callable[[tuple[int, ...], int], None]) -> Array:
    """Return the array in a container.

    `fits` is called with the shape and the bytes of the numbers before memory is taken, and raises when they are too
    many. UnreadableError when the container is none or contradicts itself.
    """
    body = memoryview(data).cast("B")
    kind, shape, place = _header(body)
    size = math.prod(shape) * kind.itemsize
    fits(shape, size)
    chunks = _chunks(body, place, kind.itemsize)
    if sum(length for length, _ in chunks) != size:
        raise UnreadableError(
            f"An array of shape {list(shape)} and type {kind.name} needs {size} bytes; it has others."
        )
    flat = np.zeros(math.prod(shape), kind)
    room = flat.view(np.uint8)
    written = 0
    for length, packed in chunks:
        try:
            blosc2().decompress2(packed, dst=room[written : written + length])
        except (ValueError, RuntimeError):
            raise UnreadableError("A chunk of the array is damaged.") from None
        written += length
    if kind == np.bool_ and (room > 1).any():
        raise UnreadableError("An array of bool has other numbers than 0 and 1.")
    return flat.reshape(shape)


def _header(body: memoryview) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Return the type, the shape, and where the chunks begin."""
    try:
        magic, version, codec, axes, length = struct.unpack_from("<4s4B", body, 0)
        name = bytes(body[8 : 8 + length]).decode("ascii", "replace")
        place = 8 + length
        shape = struct.unpack_from(f"<{axes}q", body, place)
    except struct.error:
        raise UnreadableError("The array ends in its header.") from None
    if magic != MAGIC or version != VERSION or codec not in (ZSTD, LZ4):
        raise UnreadableError("The body needs an array as nnInteractive packs them: NNIA, version 1, Zstandard or LZ4.")
    if name not in TYPES:
        raise UnreadableError(f"An array needs numbers of a type among {', '.join(sorted(TYPES))}; got {name[:40]!r}.")
    if not 0 < axes <= MOST_AXES or min(shape) < 1:
        raise UnreadableError(f"An array needs 1 to {MOST_AXES} axes, none of them empty; got shape {list(shape)}.")
    return np.dtype(name), shape, place + 8 * axes


def _chunks(body: memoryview, place: int, number_bytes: int) -> Sequence[tuple[int, memoryview]]:
    """Return the chunks and how long each is unpacked, all checked."""
    try:
        (count,) = struct.unpack_from("<I", body, place)
        place += 4
        if count * (16 + HEADER_BYTES) > len(body) - place:
            raise UnreadableError(f"The array has no room for the {count} chunks that it claims.")
        found = []
        for _ in range(count):
            length, packed_length = struct.unpack_from("<QQ", body, place)
            packed = body[place + 16 : place + 16 + packed_length]
            _check_chunk(packed, length, packed_length, number_bytes)
            found.append((length, packed))
            place += 16 + packed_length
    except struct.error:
        raise UnreadableError("The array ends among its chunks.") from None
    if place != len(body):
        raise UnreadableError("The array goes on behind its last chunk.")
    return found


def _check_chunk(packed: memoryview, length: int, packed_length: int, number_bytes: int) -> None:
    """Raise unless a chunk is as long as was said, unpacks to what was said, and asks for nothing unusual."""
    if not 0 < length <= CHUNK_BYTES or length % number_bytes:
        raise UnreadableError(f"A chunk needs 1 to {CHUNK_BYTES} bytes of whole numbers; got {length}.")
    if len(packed) != packed_length or packed_length < HEADER_BYTES:
        raise UnreadableError("A chunk of the array ends too early.")
    version, _, flags, size, unpacked, block, own_length, filters, *settings, flags2, special = CHUNK.unpack_from(
        packed, 0
    )
    usual = (
        version in FORMATS
        and flags & EXTENDED == EXTENDED
        and (flags >> 5 in CODECS or (flags >> 5 == 0 and (flags & COPIED or special & SPECIAL)))
        and settings[0] in OWN_CODECS
        and not any([*settings[1:2], *settings[2]])
        and 0 < size <= 8
        and 0 < block <= BLOCK_BYTES
        and FILTERS.issuperset(filters)
        and not flags2
        and not special & ~SPECIAL
        and special & SPECIAL in SPECIALS
    )
    if not usual or unpacked != length or own_length != packed_length:
        raise UnreadableError(
            "A chunk of the array is not as its lengths say, or is of a kind that viewers do not send."
        )


def within(most_bytes: int) -> Callable[[tuple[int, ...], int], None]:
    """Return what refuses an array of more bytes.

    >>> within(10)((4, 4), 16)
    Traceback (most recent call last):
    ...
    segmend.errors.LimitError: An array of shape [4, 4] needs 16 bytes; at most 10 are taken here.
    """

    def fits(shape: tuple[int, ...], size: int) -> None:
        if size > most_bytes:
            raise LimitError(
                f"An array of shape {list(shape)} needs {size} bytes; at most {most_bytes} are taken here."
            )

    return fits
