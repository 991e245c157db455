"""Arrays as .npy blobs: written slice by slice, mapped into memory from a local folder.

The voxels lie in C order (c, z, y, x) and little endian, so a mapped image shows its first
slice after one read of the disk, whatever its size.
"""

from __future__ import annotations

import gzip
import tokenize
import zlib
from pathlib import Path
from typing import IO, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import LabelMap
from segmend.errors import StoreError

Array = NDArray[np.generic]
# Bytes asked for at once.
PIECE = 1 << 22
# What a damaged header or body raises; NumPy reads a header as Python's own syntax.
DAMAGED = (
    ValueError,
    EOFError,
    SyntaxError,
    tokenize.TokenError,
    TypeError,
    LookupError,
    OverflowError,
    MemoryError,
    zlib.error,
)


class Writable(Protocol):
    def write(self, data: Any, /) -> object: ...


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def write(file: Writable, array: Array) -> None:
    """Write an array [c z y x] as .npy, one slice at a time."""
    kind = array.dtype.newbyteorder("<")
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(file, header)
    for volume in array:
        for plane in volume:
            file.write(np.ascontiguousarray(plane, kind).data.cast("B"))


def write_packed(file: Writable, label_map: LabelMap) -> None:
    """Write a label map [z y x] as .npy.gz, of the same map always the same bytes."""
    with gzip.GzipFile("", "wb", 1, cast(IO[bytes], file), mtime=0) as packed:
        write(packed, label_map[None])


def read(file: Readable, name: str) -> Array:
    """Return the array of a .npy file that cannot be mapped."""
    try:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"it is of version {version}")
        shape, _, kind = np.lib.format.read_array_header_1_0(file)
        array = np.empty(shape, kind)
        if _fill(file, array.reshape(-1).view(np.uint8).data) != array.nbytes:
            raise ValueError("it ends too early")
        if file.read(1):  # and this is where gzip compares its checksum
            raise ValueError("it goes on after its end")
    except DAMAGED as error:
        raise damage_error(name, error) from error
    return array


def middle_slice(file: IO[bytes], name: str, *, side: int) -> Array:
    """Return the middle slice [c y x] of a .npy file; of a large one every n-th row and column, `side` of them or more.

    Its checksum is not asked: it is a picture to know a case by, and the rest of the file would have to be read for it.
    """
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("it is of another version")
        (channels, depth, height, width), _, kind = np.lib.format.read_array_header_1_0(file)
        start, step = file.tell(), max(1, max(height, width) // side)
        row = np.empty(width, kind)
        found = np.empty((channels if channels == 3 else 1, -(-height // step), -(-width // step)), kind)
        for channel in range(len(found)):
            first = start + (channel * depth + depth // 2) * height * row.nbytes
            for number in range(found.shape[1]):
                file.seek(first + number * step * row.nbytes)
                if _fill(file, row.view(np.uint8).data) != row.nbytes:
                    raise ValueError("it ends too early")
                found[channel, number] = row[::step]
    except DAMAGED as error:
        raise damage_error(name, error) from error
    return found


def open_mapped(path: Path) -> Array:
    """Return the array of a local .npy file, mapped read-only: no voxel is read before it is needed."""
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise StoreError(f"The blob {path} cannot be read: {error.strerror or error}.") from error
    except DAMAGED as error:
        raise damage_error(str(path), error) from error
    return array


def _fill(file: Readable, target: memoryview) -> int:
    filled = 0
    while filled < len(target) and (piece := file.read(min(PIECE, len(target) - filled))):
        target[filled : filled + len(piece)] = piece
        filled += len(piece)
    return filled


def damage_error(name: str, reason: object) -> StoreError:
    """Return the sentence that says of a blob that it is damaged."""
    cure = "put back a copy of it, or delete the case and add it again"
    return StoreError(f"The blob {name} is damaged ({reason}); {cure}.")
