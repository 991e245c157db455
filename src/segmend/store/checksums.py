"""Checksums of blobs and rows: CRC-32, 3 GB a second, so that everything that is read can be checked.

They are against damage, not against somebody who forges: a disk that returns other bytes than it was given is
noticed, a person who may write the database is not.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from segmend.core.session import Patch

# Bytes read at once.
PIECE = 1 << 22


@dataclass(frozen=True)
class Checksum:
    """How long a blob is, and its CRC-32."""

    size: int  # bytes
    crc32: int

    def __str__(self) -> str:
        return f"{self.size} bytes, checksum {self.crc32:08x}"


class Summed:
    """A file to write or read that adds up what passes through it.

    >>> from io import BytesIO
    >>> summed = Summed(BytesIO())
    >>> _ = summed.write(b"scan"), summed.write(b"s")
    >>> summed.checksum == checksum_of(BytesIO(b"scans"))
    True
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._size, self._crc = 0, 0

    @property
    def checksum(self) -> Checksum:
        return Checksum(self._size, self._crc)

    def write(self, data: Any, /) -> int:
        self._note(data)
        return self._file.write(data)

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self._note(data)
        return data

    def flush(self) -> None:
        self._file.flush()

    def _note(self, data: Any) -> None:
        self._crc = zlib.crc32(data, self._crc)
        self._size += memoryview(data).nbytes


def checksum_of(file: IO[bytes]) -> Checksum:
    """Return the checksum of all that is still to be read."""
    summed = Summed(file)
    while summed.read(PIECE):
        pass
    return summed.checksum


def file_checksum(path: Path) -> Checksum:
    """Return the checksum of a local file, without a copy of it in memory."""
    piece = memoryview(bytearray(PIECE))
    size, crc = 0, 0
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(piece):
            crc = zlib.crc32(piece[:count], crc)
            size += count
    return Checksum(size, crc)


def values_crc(values: Mapping[str, Any]) -> int:
    """Return the CRC-32 of plain JSON values.

    >>> values_crc({"shape": (1, 2, 3)}) == values_crc({"shape": [1, 2, 3]})
    True
    """
    return zlib.crc32(json.dumps(values, separators=(",", ":"), sort_keys=True).encode())


def event_crc(session: str, position: int, text: str) -> int:
    """Return the CRC-32 of an event's JSON text at its place in its log."""
    return zlib.crc32(text.encode(), zlib.crc32(f"{session} {position} ".encode()))


def patch_crc(session: str, position: int, patch: Patch) -> int:
    """Return the CRC-32 of the answer to an event."""
    values = {"session": session, "position": position, "low": patch.box.low, "high": patch.box.high}
    return zlib.crc32(patch.data, values_crc(values))
