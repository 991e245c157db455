"""The elements of a DICOM file, walked by their lengths alone, to see whether the file holds all of them.

pydicom reads a file that is cut short as far as it goes. An image then lacks pixels, which is noticed; a structure set
lacks outlines, and nothing else says that it had more.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from segmend.errors import FileError

# Types whose length in an explicit transfer syntax has four bytes behind two that are not used.
LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
META = 0x0002  # the group of the elements in front, which are always explicit and little endian
# Sequences in sequences; no file nests so deep.
MAX_DEPTH = 64


def check_whole(path: Path, *, explicit: bool, little: bool) -> None:
    """Raise FileError unless a DICOM file that is not deflated holds all of every element, to its end."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        walk = _Walk(data, path.name)
        at = 132 if data[128:132] == b"DICM" else 0
        while at + 8 <= len(data) and struct.unpack_from("<H", data, at)[0] == META:
            at = walk.element(at, True, "<", 0)
        order = "<" if little else ">"
        while len(data) - at >= 8:
            at = walk.element(at, explicit, order, 0)
        if data[at:].strip(b"\0"):
            walk.refuse(8, at)


class _Walk:
    def __init__(self, data: mmap.mmap, name: str) -> None:
        self._data, self._name = data, name

    def refuse(self, needed: int, at: int) -> None:
        raise FileError(
            f"{self._name} is cut short: {needed} bytes are needed at byte {at}, and there are {len(self._data)}."
        )

    def element(self, at: int, explicit: bool, order: str, depth: int) -> int:
        """Return where the element that starts at this byte ends."""
        kind = self._data[at + 4 : at + 6]
        long = explicit and kind in LONG
        self._check(12 if long else 8, at)
        if not explicit or not kind.isalpha():
            length, body = struct.unpack_from(f"{order}I", self._data, at + 4)[0], at + 8
        elif long:
            length, body = struct.unpack_from(f"{order}I", self._data, at + 8)[0], at + 12
        else:
            length, body = struct.unpack_from(f"{order}H", self._data, at + 6)[0], at + 8
        if length == UNDEFINED:
            return self._sequence(body, explicit and kind != b"UN", order, depth + 1)
        self._check(length, body)
        return int(body + length)

    def _sequence(self, at: int, explicit: bool, order: str, depth: int) -> int:
        """Return the end of a sequence, or of packed pixels, without a length of its own."""
        if depth > MAX_DEPTH:
            raise FileError(f"{self._name} is damaged: its sequences lie {depth} deep in each other.")
        while (found := self._tag(at, order))[0] != SEQUENCE_END:
            tag, length = found
            if tag != ITEM:
                raise FileError(f"{self._name} is damaged: at byte {at} an item of a sequence is needed.")
            at += 8
            if length != UNDEFINED:
                self._check(length, at)
                at += length
                continue
            while self._tag(at, order)[0] != ITEM_END:
                at = self.element(at, explicit, order, depth)
            at += 8
        return at + 8

    def _tag(self, at: int, order: str) -> tuple[tuple[int, int], int]:
        self._check(8, at)
        group, number, length = struct.unpack_from(f"{order}HHI", self._data, at)
        return (group, number), length

    def _check(self, needed: int, at: int) -> None:
        if at + needed > len(self._data):
            self.refuse(needed, at)
