"""A slide's levels alone, for who must not learn whose it is: a TIFF of its tiles, packed as they were, bit for bit.

Of the pages only those of the pyramid are taken, and of their tags only those without which no tile can be unpacked:
descriptions, dates, makers, profiles and whatever else a scanner writes stay behind, and so do the pictures of the
label and of the whole glass. What stands beside the pixels inside of tiles of JPEG and JPEG 2000, such as comments,
goes, too. A slide that cannot be gone through in this way is refused.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

from segmend.core.image import Image
from segmend.errors import DiskFullError, FileError
from segmend.io.slides import JPEG, JPEG_2000, Plane, has_pyramid, planes_of, whole

PLAIN = "What described the slide, and the pictures of its label and of all of the glass, were taken out."
# Packing that holds nothing but pixels: none, LZW, PackBits, two kinds of Deflate, Zstandard.
BARE = (1, 5, 32773, 8, 32946, 50000)
# What begins the pages of pictures that show the label.
LABELS = re.compile(r"\b(label|macro|overview)", re.IGNORECASE)
# TIFF's types of values, and how they are packed.
SHORT, LONG, RATIONAL, UNDEFINED, LONG8 = 3, 4, 5, 7, 16
CODES = {SHORT: "H", LONG: "I", RATIONAL: "I", UNDEFINED: "B", LONG8: "Q"}
# Of JPEG: the begin, the end, a scan, comments, and what only programs read; Adobe's says what the colours are.
START, END, SCAN, COMMENT, ADOBE = 0xD8, 0xD9, 0xDA, 0xFE, 0xEE
NEXT_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
# Of JPEG 2000: the begin of the codes, of their size, of a tile's part and of its pixels, and comments.
CODES_BEGIN, TILE_PART, TILE_DATA, CODES_COMMENT = 0xFF4F, 0xFF90, 0xFF93, 0xFF64
BOXED = b"\0\0\0\x0cjP  "
# The boxes round the codes without which nobody knows their colours.
BOXES = (b"jP  ", b"ftyp", b"jp2h", b"jp2c")

Tag = tuple[int, int, Sequence[int]]  # number, type, values


def whole_plain(path: Path, target: Path) -> tuple[Image, Path]:
    """Return a picture of all of a slide, and the file at `target` that was written of its pixels alone."""
    if not has_pyramid(path):
        image, kept = whole(path, target)  # which takes the pixels alone
    else:
        copy_levels(path, target)
        image, kept = whole(target, target)
    return replace(image, notes=(*image.notes, PLAIN), axes="zyx"), kept


def copy_levels(path: Path, target: Path) -> None:
    """Write the levels of a slide with a pyramid, from fine to coarse; FileError where it cannot be gone through."""
    planes, um, _ = planes_of(path)
    for plane in planes:
        _check(path.name, plane, coarser=plane is not planes[0])
    try:
        with path.open("rb") as source, target.open("wb") as file:
            _Writer(file, planes[0].page.parent.byteorder).write(source, path.name, planes, um)
    except OSError as error:
        raise DiskFullError(f"There is no room to anonymise a slide: {error.strerror}.") from None


def _check(name: str, plane: Plane, *, coarser: bool) -> None:
    page = plane.page
    packing = int(page.compression)
    if packing not in (*BARE, JPEG, *JPEG_2000):
        raise FileError(f"{name} packs its tiles in a way ({packing}) in which nobody looks for texts: it is refused.")
    if int(page.bitspersample) % 8:
        raise FileError(f"{name} has pixels of {page.bitspersample} bits, which are not copied: it is refused.")
    if coarser and LABELS.search(str(page.description or "").split("|")[0]):
        raise FileError(f"{name} has a picture of its label among its levels, which may name somebody: it is refused.")


class _Writer:
    """A BigTIFF that is written from front to back, in the byte order of the tiles that go into it."""

    def __init__(self, file: BinaryIO, order: str) -> None:
        self._file = file
        self._order = order
        self._link = 8  # where the place of the next page is to be written
        file.write((b"II" if order == "<" else b"MM") + self._packed("HHHQ", 43, 8, 0, 0))

    def write(self, source: BinaryIO, name: str, planes: Sequence[Plane], um: tuple[float, float] | None) -> None:
        for number, plane in enumerate(planes):
            places, sizes = [], []
            for tile in _tiles(source, name, plane.page):
                places.append(self._file.tell() if tile else 0)
                sizes.append(len(tile))
                self._file.write(tile)
            size = [(324, LONG8, places), (325, LONG8, sizes)]
            self._page([*_tags(plane, number, None if um is None else (um[0], um[1])), *size])

    def _page(self, tags: Sequence[Tag]) -> None:
        entries = []
        for number, kind, values in sorted(tags):
            data = self._packed(f"{len(values)}{CODES[kind]}", *values)
            count = len(values) // 2 if kind == RATIONAL else len(values)
            if len(data) > 8:
                at = self._aligned()
                self._file.write(data)
                data = self._packed("Q", at)
            entries.append(self._packed("HHQ", number, kind, count) + data.ljust(8, b"\0"))
        at = self._aligned()
        self._file.write(self._packed("Q", len(entries)) + b"".join(entries) + self._packed("Q", 0))
        end = self._file.tell()
        self._file.seek(self._link)
        self._file.write(self._packed("Q", at))
        self._file.seek(end)
        self._link = end - 8

    def _aligned(self) -> int:
        self._file.write(bytes(-self._file.tell() % 8))
        return self._file.tell()

    def _packed(self, layout: str, *values: int) -> bytes:
        return struct.pack(self._order + layout, *values)


def _tags(plane: Plane, number: int, um: tuple[float, float] | None) -> Iterator[Tag]:
    """Yield what a page needs for its tiles to be unpacked, and how large its pixels are."""
    page = plane.page
    samples = int(page.samplesperpixel)
    yield 254, LONG, [1 if number else 0]
    yield 256, LONG, [plane.width]
    yield 257, LONG, [plane.height]
    yield 258, SHORT, [int(page.bitspersample)] * samples
    yield 259, SHORT, [int(page.compression)]
    yield 262, SHORT, [int(page.photometric)]
    yield 277, SHORT, [samples]
    yield 284, SHORT, [1]
    yield 322, LONG, [plane.tile[1]]
    yield 323, LONG, [plane.tile[0]]
    if int(page.predictor) != 1:
        yield 317, SHORT, [int(page.predictor)]
    if extra := [int(kind) for kind in page.extrasamples or ()]:
        yield 338, SHORT, extra
    yield 339, SHORT, [int(page.sampleformat)] * samples
    if page.jpegtables:
        yield 347, UNDEFINED, list(bare_jpeg(page.jpegtables))
    if int(page.photometric) == 6 and page.subsampling:
        yield 530, SHORT, [int(one) for one in page.subsampling]
    if um is not None:
        for tag, size in ((282, um[1]), (283, um[0])):
            exact = Fraction(10_000 / (size * plane.factor)).limit_denominator(100_000)
            yield tag, RATIONAL, [exact.numerator, exact.denominator]
        yield 296, SHORT, [3]


def _tiles(source: BinaryIO, name: str, page: Any) -> Iterator[bytes]:
    packing = int(page.compression)
    for place, size in zip(page.dataoffsets, page.databytecounts, strict=True):
        source.seek(int(place))
        data = source.read(int(size)) if size else b""
        if len(data) < size:
            raise FileError(f"{name} is cut short: {size} bytes of a tile are needed, {len(data)} came.")
        try:
            if data and packing == JPEG:
                data = bare_jpeg(data)
            elif data and packing in JPEG_2000:
                data = bare_jpeg_2000(data)
        except (IndexError, ValueError, struct.error) as error:
            raise FileError(f"{name} has a tile that cannot be gone through ({error}): it is refused.") from None
        yield data


def bare_jpeg(data: bytes) -> bytes:
    """Return a JPEG stream without comments and whatever else is no part of its pixels; ValueError where it is none.

    >>> bare_jpeg(bytes.fromhex("ffd8 fffe0006 4a616e65 ffda0002 01ff00 ffd9") + b"behind").hex()
    'ffd8ffda000201ff00ffd9'
    """
    if data[:2] != bytes((0xFF, START)):
        raise ValueError("no JPEG")
    kept, at = [data[:2]], 2
    while True:
        found = NEXT_MARKER.match(data, at)
        if found is None:
            raise ValueError("a JPEG without an end")
        kind, begin = found[0][-1], found.end()
        if kind == END:
            return b"".join((*kept, bytes((0xFF, END))))
        (length,) = struct.unpack_from(">H", data, begin)
        at = begin + length
        if length < 2 or at > len(data):
            raise ValueError("a JPEG that is cut short")
        if kind == SCAN:  # its pixels follow, up to the next marker
            end = NEXT_MARKER.search(data, at)
            if end is None:
                raise ValueError("a JPEG without an end")
            at = end.start()
        needed = kind != COMMENT and not 0xE0 <= kind <= 0xEF
        if needed or (kind == ADOBE and data[begin + 2 : begin + 7] == b"Adobe"):
            kept.append(bytes((0xFF, kind)) + data[begin:at])


def bare_jpeg_2000(data: bytes) -> bytes:
    """Return a JPEG 2000 stream without comments and descriptions; ValueError where it is none."""
    if not data.startswith(BOXED):
        return _bare_codes(data)
    kept, at = [], 0
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + length if length else len(data)
        if (length and length < 8) or end > len(data):
            raise ValueError("a JPEG 2000 whose boxes do not fit")
        if kind == b"jp2c":
            codes = _bare_codes(data[at + 8 : end])
            kept.append(struct.pack(">I4s", 8 + len(codes), kind) + codes)
        elif kind in BOXES:
            kept.append(data[at:end])
        at = end
    return b"".join(kept)


def _bare_codes(data: bytes) -> bytes:
    """Return the codes of JPEG 2000 without the comments of their head; ValueError for one in the head of a tile."""
    if struct.unpack_from(">H", data)[0] != CODES_BEGIN:
        raise ValueError("no JPEG 2000")
    kept, at = [data[:2]], 2
    while True:
        marker, length = struct.unpack_from(">HH", data, at)
        if marker == TILE_PART:
            break
        if length < 2 or marker >> 8 != 0xFF:
            raise ValueError("a JPEG 2000 that is cut short")
        if marker != CODES_COMMENT:
            kept.append(data[at : at + 2 + length])
        at += 2 + length
    begin = at
    while struct.unpack_from(">H", data, at)[0] == TILE_PART:
        (size,) = struct.unpack_from(">I", data, at + 6)
        inner = at + 12
        while (marker := struct.unpack_from(">H", data, inner)[0]) != TILE_DATA:
            if marker == CODES_COMMENT:
                raise ValueError("a JPEG 2000 with comments in its parts")
            inner += 2 + struct.unpack_from(">H", data, inner + 2)[0]
        at = at + size if size >= inner - at else len(data) - 2
    return b"".join((*kept, data[begin:at], b"\xff\xd9"))
