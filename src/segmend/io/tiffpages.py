"""The pages of a TIFF, followed from one to the next before anybody decodes them.

Readers of TIFF take a chain of pages that leads out of the file for one that ends there, fill pixels that are missing
with zeros, and look for hundreds of thousands of pages in a file of a few megabytes. Here a file that is cut short is
refused, and so is one with more pages than a scan has.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segmend.errors import FileError

MAX_PAGES = 20_000
# Bytes of a value by its TIFF type.
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
WHOLE = {3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
# Tags that an image needs whole: description, colours, ImageJ's metadata; and where the pixels lie.
DESCRIPTION, COLOURS, IMAGEJ_COUNTS, IMAGEJ = 270, 320, 50838, 50839
STRIPS, STRIP_BYTES, TILES, TILE_BYTES = 273, 279, 324, 325
NEEDED = (DESCRIPTION, COLOURS, IMAGEJ_COUNTS, IMAGEJ, STRIPS, STRIP_BYTES, TILES, TILE_BYTES)


@dataclass(frozen=True)
class Layout:
    """How a TIFF counts: its byte order, and the sizes of the fields in which it keeps numbers and places."""

    order: str
    count: str  # of a page's tags
    entry: str  # a tag: number, type, how many values, where they are
    place: str

    @property
    def inline(self) -> int:
        """Bytes of values that stand in the tag itself."""
        return struct.calcsize(self.place)


def check_pages(path: Path) -> None:
    """Raise FileError unless every page of a TIFF, and every byte of its pixels, is in the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        layout, at = _start(file, path.name)
        seen: set[int] = set()
        while at:
            page = len(seen) + 1
            if at in seen:
                raise FileError(f"{path.name} is damaged: behind its page {page - 1} comes one that came before.")
            if page > MAX_PAGES:
                raise FileError(f"{path.name} has more than {MAX_PAGES} pages; at most so many are read.")
            seen.add(at)
            tags, at = _page(file, layout, at, size, f"{path.name} is cut short: its page {page}")
            _check_pixels(file, layout, tags, size, f"{path.name} is cut short: its page {page}")


def _start(file: BufferedReader, name: str) -> tuple[Layout, int]:
    """Return how the file counts, and where its first page is."""
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    layout = Layout(order, "Q", "HHQQ", "Q") if big else Layout(order, "H", "HHII", "I")
    start = 8 if big else 4
    if len(head) < start + layout.inline:
        raise FileError(f"{name} is cut short in its header.")
    return layout, int(struct.unpack_from(order + layout.place, head, start)[0])


Tags = dict[int, tuple[int, int, int]]  # by number: the type, how many values, where in the file


def _page(file: BufferedReader, layout: Layout, at: int, size: int, cut: str) -> tuple[Tags, int]:
    """Return where the values of a page's needed tags are, and where the next page is, 0 behind the last."""
    width, entry = struct.calcsize(layout.order + layout.count), layout.order + layout.entry
    file.seek(min(at, size))
    head = file.read(width)
    if len(head) < width:
        raise FileError(f"{cut} would be at byte {at}, and there are {size}.")
    count = int(struct.unpack(layout.order + layout.count, head)[0])
    length = count * struct.calcsize(entry)
    if length + layout.inline > size - at - width:
        raise FileError(f"{cut} needs {length + layout.inline} bytes for its tags; {max(0, size - at - width)} came.")
    body = file.read(length + layout.inline)
    tags: Tags = {}
    for number, (tag, kind, values, where) in enumerate(struct.iter_unpack(entry, body[:length])):
        if tag in NEEDED:
            needed = values * SIZES.get(kind, 1)
            inline = needed <= layout.inline
            place = at + width + (number + 1) * struct.calcsize(entry) - layout.inline if inline else where
            if place + needed > size:
                raise FileError(f"{cut} needs {needed} bytes at byte {place} for its tag {tag}, and there are {size}.")
            tags[tag] = kind, values, place
    return tags, int(struct.unpack(layout.order + layout.place, body[length:])[0])


def _check_pixels(file: BufferedReader, layout: Layout, tags: Tags, size: int, cut: str) -> None:
    for places, counts in ((STRIPS, STRIP_BYTES), (TILES, TILE_BYTES)):
        if places in tags and counts in tags:
            starts, lengths = (_numbers(file, layout, tags[tag]) for tag in (places, counts))
            shared = min(len(starts), len(lengths))
            ends = starts[:shared] + lengths[:shared]
            if shared and int(ends.max()) > size:
                raise FileError(f"{cut} has pixels up to byte {int(ends.max())}, and there are {size}.")


def _numbers(file: BufferedReader, layout: Layout, tag: tuple[int, int, int]) -> NDArray[np.uint64]:
    kind, values, place = tag
    if kind not in WHOLE:
        return np.zeros(0, np.uint64)
    file.seek(place)
    data = file.read(values * SIZES[kind])
    return np.minimum(np.frombuffer(data, layout.order + WHOLE[kind]).astype(np.uint64), 2**62)
