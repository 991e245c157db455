"""Whole-slide images: TIFF files with a pyramid of tiles (SVS, OME-TIFF, generic), read a region at a time.

A slide is looked at in *levels* of our own: level 0 is the file's finest, and each further one halves its sides,
until the whole is a picture (`TOP_SIDE`). A level that the file has is read from its tiles; one that it lacks is
averaged from the next finer one. So a region of any level costs a few tiles, however large the slide is.

JPEG and JPEG 2000 tiles are decoded by Pillow, which is asked how large a tile is before it unpacks it; other packing
is tifffile's, for some of which it needs imagecodecs. Where the pixels are of another type than bytes they are shown
between the darkest and the lightest that the smallest level has.
"""

from __future__ import annotations

import io
import math
import re
import weakref
import zlib
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmend.core.atomic import DISK_FULL
from segmend.core.geometry import mirrored
from segmend.core.image import Image, scale_affine
from segmend.errors import FileError, LimitError, SegmendError
from segmend.io.sizes import FLOOR, MAX_BYTES, RATIO
from segmend.io.tiffpages import check_pages

Pixels = NDArray[np.uint8]  # [y x 3]
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MADE = "The file had no levels, so a copy with levels was made of it; its pixels are the same."
# Pixels of the longer side of the coarsest level.
TOP_SIDE = 1024
# Pixels of the longer side from which a picture with a pyramid is looked at as a slide.
LEAST_SIDE = 2048
# Pixels from which a TIFF without a pyramid is too large for a picture, and is given one.
PICTURE_PIXELS = 1 << 26
# Pixels of the longer side that the coarsest level of a file may have, so that all coarser ones are averaged quickly.
COARSEST_SIDE = 4096
# How many times finer the next level of a file may be.
MOST_STEP = 5.0
# Pixels of a file's level that are averaged at once.
AVERAGED_PIXELS = 1 << 22
# Of a slide, and of one tile of a file.
MAX_SIDE, MAX_TILE_SIDE = 1 << 20, 4096
# Pages that are looked at; further ones are no part of a pyramid.
MAX_PAGES = 64
# Bytes of unpacked tiles that are kept, of all slides together.
KEPT_BYTES = 32 << 20
# Bytes that a file may pack at once where it is given a pyramid.
MOST_AT_ONCE = 128 << 20
# Pixels of a side of the tiles of a pyramid that is made.
MADE_TILE = 256
JPEG, JPEG_2000 = 7, (33003, 33004, 33005, 34712)
# Light grey is the larger number, red, green and blue, or what JPEG makes of them.
GREY, RGB, YCBCR = PHOTOMETRICS = (1, 2, 6)


@dataclass(frozen=True)
class Plane:
    """One level of a file: a page of tiles."""

    page: Any
    height: int
    width: int
    factor: float  # pixels of the finest level to one of this

    @property
    def tile(self) -> tuple[int, int]:  # (y, x)
        return int(self.page.tilelength), int(self.page.tilewidth)


class Kept:
    """Unpacked tiles that were used last."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit, self._size = limit_bytes, 0
        self._tiles: OrderedDict[tuple[object, int, int], Pixels] = OrderedDict()
        self._lock = Lock()

    def get(self, key: tuple[object, int, int]) -> Pixels | None:
        with self._lock:
            tile = self._tiles.get(key)
            if tile is not None:
                self._tiles.move_to_end(key)
            return tile

    def put(self, key: tuple[object, int, int], tile: Pixels) -> None:
        with self._lock:
            if key not in self._tiles:
                self._size += tile.nbytes
            self._tiles[key] = tile
            while self._size > self._limit and len(self._tiles) > 1:
                self._size -= self._tiles.popitem(last=False)[1].nbytes

    def forget(self, owner: object) -> None:
        with self._lock:
            for key in [key for key in self._tiles if key[0] is owner]:
                self._size -= self._tiles.pop(key).nbytes


TILES = Kept(KEPT_BYTES)


class Slide(ABC):
    """A slide that is open; any thread may read it.

    `um` is how large a pixel of the finest level is, down and across, None where the file does not say.
    """

    def __init__(
        self, name: str, height: int, width: int, um: tuple[float, float] | None, notes: tuple[str, ...]
    ) -> None:
        self.name, self.height, self.width, self.um, self.notes = name, height, width, um, notes

    @property
    def levels(self) -> int:
        """How many levels there are."""
        return levels_of(self.height, self.width)

    def shape(self, level: int) -> tuple[int, int]:
        """Return the pixels of a level, down and across."""
        return shape_at(self.height, self.width, level)

    def um_at(self, level: int) -> tuple[float, float] | None:
        """Return how large a pixel of a level is, down and across, None where nobody knows."""
        return None if self.um is None else (self.um[0] * 2**level, self.um[1] * 2**level)

    def read(self, level: int, y: int, x: int, height: int, width: int) -> Pixels:
        """Return a region of a level in red, green and blue; what lies outside the slide is white."""
        rows, columns = self.shape(level)
        found: Pixels = np.full((height, width, 3), 255, np.uint8)
        top, left, bottom, right = max(0, y), max(0, x), min(rows, y + height), min(columns, x + width)
        if top < bottom and left < right:
            inside = self.read_inside(level, top, left, bottom - top, right - left)
            found[top - y : bottom - y, left - x : right - x] = inside
        return found

    def image(self, level: int, low: tuple[int, int], high: tuple[int, int]) -> Image:
        """Return a region of a level as a picture, (y, x) from `low` to just before `high`, at its place in mm."""
        pixels = self.read(level, *low, high[0] - low[0], high[1] - low[1])
        voxels = np.ascontiguousarray(np.moveaxis(pixels, -1, 0)[:, None])
        return Image(voxels, self.affine(level, low), axes="zyx")

    def affine(self, level: int, low: tuple[int, int] = (0, 0)) -> NDArray[np.float64]:
        """Return the affine of a region of a level, in millimetres from the middle of the slide's first pixel.

        Where the file does not say how large a pixel is, one of any level is a millimetre, as in a photo.
        """
        um = self.um_at(level)
        size = (1.0, 1.0) if um is None else (um[0] / 1000, um[1] / 1000)
        affine = scale_affine((1.0, *size))
        half = (1 - 2.0**-level) / 2  # the middle of a coarse pixel is between those of the fine ones
        affine[1, 3], affine[0, 3] = size[0] * (low[0] + half), size[1] * (low[1] + half)
        return mirrored(affine)

    @abstractmethod
    def read_inside(self, level: int, y: int, x: int, height: int, width: int) -> Pixels:
        """Return a region that lies within a level."""

    @abstractmethod
    def forget(self) -> None:
        """Give up what is kept of it; whoever still reads goes on."""

    @abstractmethod
    def close(self) -> None:
        """End it: nobody reads it any more."""


class SlideFile(Slide):
    """A slide whose file this process reads; of a file that nobody vouches for, `apart.SlideApart` reads it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        weakref.finalize(self, self._file.close)  # whoever let it go may still be reading
        self._key = object()  # of its tiles among those of all slides
        self._lock = Lock()
        try:
            self._planes, um, notes = planes_of(path)
            super().__init__(path.name, self._planes[0].height, self._planes[0].width, um, notes)
            if not _is_pyramid(self._planes):
                raise FileError(f"{path.name} needs levels from coarse to fine, in tiles, to be looked at as a slide.")
            with _told_damaged(path.name):
                self._window = self._darkest_and_lightest()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        self.forget()
        with self._lock:
            self._file.close()

    def forget(self) -> None:
        """Give up the tiles that are kept; the last one that reads closes the file."""
        TILES.forget(self._key)

    def read_inside(self, level: int, y: int, x: int, height: int, width: int) -> Pixels:
        with _told_damaged(self.name):
            return self._read(level, y, x, height, width)

    def _read(self, level: int, y: int, x: int, height: int, width: int) -> Pixels:
        wanted = 2.0**level
        number = max(i for i, plane in enumerate(self._planes) if i == 0 or plane.factor <= wanted * 1.01)
        plane = self._planes[number]
        if abs(plane.factor / wanted - 1) < 0.01 and self.shape(level) == (plane.height, plane.width):
            return self._region(number, y, x, height, width)
        if height * width * (wanted / plane.factor) ** 2 > AVERAGED_PIXELS and max(height, width) > 1:
            return self._halves(level, y, x, height, width)
        return self._averaged(number, level, y, x, height, width)

    def _halves(self, level: int, y: int, x: int, height: int, width: int) -> Pixels:
        """Return a region read in two parts, because its pixels in the file are many."""
        if height >= width:
            half = height // 2
            parts = [
                self._read(level, y, x, half, width),
                self._read(level, y + half, x, height - half, width),
            ]
            return np.concatenate(parts)
        half = width // 2
        parts = [
            self._read(level, y, x, height, half),
            self._read(level, y, x + half, height, width - half),
        ]
        return np.concatenate(parts, axis=1)

    def _averaged(self, number: int, level: int, y: int, x: int, height: int, width: int) -> Pixels:
        from PIL import Image as Pillow

        plane = self._planes[number]
        # Of the file's level: its sides may be rounded otherwise than ours, so each axis has its own step.
        down, across = (2**level * plane.height / self.height, 2**level * plane.width / self.width)
        top, bottom = y * down, min((y + height) * down, plane.height)
        left, right = x * across, min((x + width) * across, plane.width)
        t, l = math.floor(top), math.floor(left)
        b, r = min(plane.height, math.ceil(bottom - 1e-6)), min(plane.width, math.ceil(right - 1e-6))
        b, r = max(b, t + 1), max(r, l + 1)
        pixels = Pillow.fromarray(self._region(number, t, l, b - t, r - l))
        box = (left - l, top - t, min(right - l, r - l), min(bottom - t, b - t))
        return np.asarray(pixels.resize((width, height), Pillow.Resampling.BOX, box=box))

    def _region(self, number: int, y: int, x: int, height: int, width: int) -> Pixels:
        """Return a region of a level of the file, put together of its tiles."""
        plane = self._planes[number]
        rows, columns = plane.tile
        across = -(-plane.width // columns)
        found: Pixels = np.empty((height, width, 3), np.uint8)
        for row in range(y // rows, (y + height - 1) // rows + 1):
            for column in range(x // columns, (x + width - 1) // columns + 1):
                tile = self._tile(number, row * across + column)
                ty, tx = row * rows, column * columns
                top, left = max(y, ty), max(x, tx)
                bottom, right = min(y + height, ty + rows), min(x + width, tx + columns)
                found[top - y : bottom - y, left - x : right - x] = tile[top - ty : bottom - ty, left - tx : right - tx]
        return found

    def _tile(self, number: int, index: int) -> Pixels:
        tile = TILES.get((self._key, number, index))
        if tile is None:
            tile = self._as_shown(self._raw(number, index))
            TILES.put((self._key, number, index), tile)
        return tile

    def _as_shown(self, tile: NDArray[Any]) -> Pixels:
        values = tile if tile.ndim == 3 else tile[..., None]
        if values.dtype != np.uint8:
            low, high = self._window
            values = np.clip((values.astype(np.float32) - low) * (255 / max(high - low, 1e-6)), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(
            values[..., :3] if values.shape[-1] >= 3 else np.repeat(values[..., :1], 3, axis=-1)
        )

    def _raw(self, number: int, index: int) -> NDArray[Any]:
        """Return one tile [y x] or [y x c] as the file has it, whole; one that the file leaves out is white."""
        plane = self._planes[number]
        page, (rows, columns) = plane.page, plane.tile
        offset, size = int(page.dataoffsets[index]), int(page.databytecounts[index])
        kind, samples = np.dtype(page.dtype), int(page.samplesperpixel)
        blank = np.full((rows, columns, samples), np.iinfo(kind).max if kind.kind == "u" else 1, kind)
        if size == 0:
            return blank
        with self._lock:
            if self._file.closed:
                raise FileError(f"{self.name} was closed.")
            self._file.seek(offset)
            data = self._file.read(size)
        if len(data) < size:
            raise FileError(f"{self.name} is cut short: {size} bytes of a tile are needed, {len(data)} came.")
        tile = _decode(self.name, page, data, index, (rows, columns, samples), kind)
        blank[: tile.shape[0], : tile.shape[1]] = tile  # tiles at the border may come short
        return blank

    def _darkest_and_lightest(self) -> tuple[float, float]:
        number = len(self._planes) - 1
        plane = self._planes[number]
        if np.dtype(plane.page.dtype) == np.uint8:
            return 0.0, 255.0
        count = len(plane.page.dataoffsets)
        values = np.concatenate([self._raw(number, i)[::4, ::4].ravel() for i in range(0, count, max(1, count // 16))])
        low, high = np.quantile(values, (0.001, 0.999)).tolist()
        return float(low), float(high)


@contextmanager
def _told_damaged(name: str) -> Iterator[None]:
    """Say in a sentence what parsers of others say of damage in many ways."""
    try:
        yield
    except SegmendError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise LimitError(f"There is no room to give {name} a pyramid.") from None
        raise FileError(f"{name} is damaged and cannot be read as a slide ({type(error).__name__}).") from None


def levels_of(height: int, width: int) -> int:
    """Return how many levels a slide has, the coarsest of them a picture.

    >>> levels_of(30_000, 40_000), levels_of(1000, 500)
    (7, 1)
    """
    return 1 + max(0, math.ceil(math.log2(max(height, width) / TOP_SIDE)))


def shape_at(height: int, width: int, level: int) -> tuple[int, int]:
    """Return the pixels of a level of a slide, down and across.

    >>> shape_at(30_001, 40_000, 1)
    (15001, 20000)
    """
    return -(-height // (1 << level)), -(-width // (1 << level))


def may_be_slide(path: Path) -> bool:
    """Say whether a file begins as a slide does."""
    with path.open("rb") as file:
        return file.read(4).startswith(TIFF)


def is_slide(path: Path) -> bool:
    """Say whether a file is a slide: a TIFF with a pyramid, or one too large to be looked at as a picture."""
    if not may_be_slide(path):
        return False
    with suppress(FileError, LimitError):
        planes, _, _ = planes_of(path)
        first = planes[0]
        return (_is_pyramid(planes) and max(first.height, first.width) >= LEAST_SIDE) or (
            first.height * first.width >= PICTURE_PIXELS
        )
    return False


def has_pyramid(path: Path) -> bool:
    """Say whether a slide's file can be read at all levels as it is."""
    return _is_pyramid(planes_of(path)[0])


def _is_pyramid(planes: tuple[Plane, ...]) -> bool:
    """Say whether every region of every level can be read from a few tiles of a file."""
    if not all(plane.page.is_tiled for plane in planes) or max(planes[-1].height, planes[-1].width) > COARSEST_SIDE:
        return False
    factors = [plane.factor for plane in planes]
    return len(planes) > 1 and all(b / a <= MOST_STEP for a, b in pairwise(factors))


def planes_of(path: Path) -> tuple[tuple[Plane, ...], tuple[float, float] | None, tuple[str, ...]]:
    """Return the levels of a file from fine to coarse, how large a pixel is, and notes on what was left out."""
    import tifffile

    check_pages(path)
    with _told_damaged(path.name), tifffile.TiffFile(path) as file:
        return _planes_in(file, path.name)


def _planes_in(file: Any, name: str) -> tuple[tuple[Plane, ...], tuple[float, float] | None, tuple[str, ...]]:
    pages = [file.pages[i] for i in range(min(len(file.pages), MAX_PAGES))]
    pages = [page if isinstance(page, type(file.pages.first)) else page.aspage() for page in pages]
    first = max(pages, key=lambda page: page.imagelength * page.imagewidth)
    alike = sum(page.shape == first.shape for page in pages)
    if alike > 1 and not file.is_ome:
        raise FileError(f"{name} has {alike} pages of one size: they are slices, not a slide.")
    height, width = int(first.imagelength), int(first.imagewidth)
    kind = first.dtype
    if kind is None or np.dtype(kind).kind not in "uif" or max(height, width) > MAX_SIDE:
        raise FileError(f"{name} needs real numbers as pixels, and at most {MAX_SIDE} of them a side.")
    sound = first.planarconfig == 1 and first.imagedepth == 1 and first.photometric in PHOTOMETRICS
    if first.samplesperpixel not in (1, 3, 4) or not sound:
        raise FileError(f"{name} needs grey or colours that lie side by side to be a slide.")
    inner = [page if hasattr(page, "imagelength") else page.aspage() for page in (first.pages or ())]
    planes = [Plane(first, height, width, 1.0)]
    for page in sorted([*pages, *inner], key=lambda page: -page.imagewidth):
        factor = width / page.imagewidth
        like = page.is_tiled and page.samplesperpixel == first.samplesperpixel and page.dtype == kind
        if like and factor > 1.5 * planes[-1].factor and abs(height / page.imagelength / factor - 1) < 0.03:
            planes.append(Plane(page, int(page.imagelength), int(page.imagewidth), factor))
    for plane in planes:
        if plane.page.is_tiled and max(plane.tile) > MAX_TILE_SIDE:
            raise LimitError(f"{name} has tiles of {plane.tile[0]} x {plane.tile[1]} pixels; at most {MAX_TILE_SIDE}.")
    others = len(pages) - sum(any(page is plane.page for plane in planes) for page in pages)
    um = _um(file, first)
    notes = () if um is not None else ("The file does not say how large a pixel is.",)
    if alike > 1:
        notes = (*notes, f"The first of {alike} channels or planes is shown.")
    elif others:
        notes = (*notes, "The pictures of its label and of all of it were left out.")
    return tuple(planes), um, notes


def _um(file: Any, page: Any) -> tuple[float, float] | None:
    """Return how large a pixel is in micrometres, down and across: as the maker, OME or the TIFF itself says."""
    with suppress(Exception):  # a description that is none
        if file.is_svs:
            said = dict(part.split("=", 1) for part in page.description.split("|")[1:] if "=" in part)
            size = float({key.strip(): value for key, value in said.items()}["MPP"])
            return _sound(size, size)
    with suppress(Exception):
        if file.is_ome:
            found = _of_ome(file.ome_metadata)
            if found is not None:
                return found
    unit = {2: 25_400.0, 3: 10_000.0}.get(int(page.resolutionunit or 1))
    with suppress(Exception):
        across, down = (float(a) for a in page.resolution)
        if unit is not None and not (unit == 25_400.0 and across in (72.0, 96.0)):
            return _sound(unit / down, unit / across)
    return None


def _of_ome(text: str) -> tuple[float, float] | None:
    """Return the size of a pixel in OME's description, which is looked at as text: nobody vouches for its XML."""
    units = {"": 1.0, "µm": 1.0, "\u03bcm": 1.0, "nm": 0.001, "mm": 1000.0, "cm": 10_000.0, "m": 1e6}
    sizes = []
    for axis in "YX":
        size = re.search(rf'PhysicalSize{axis}="([^"]{{1,40}})"', text)
        unit = re.search(rf'PhysicalSize{axis}Unit="([^"]{{1,40}})"', text)
        if size is None:
            return None
        sizes.append(float(size[1]) * units[unit[1] if unit else ""])
    return _sound(*sizes)


def _sound(down: float, across: float) -> tuple[float, float] | None:
    """Return the size of a pixel where it is one: a scan's is a part of a micrometre to some hundred."""
    return (down, across) if all(math.isfinite(v) and 0.001 <= v <= 10_000 for v in (down, across)) else None


def _decode(
    name: str, page: Any, data: bytes, index: int, shape: tuple[int, int, int], kind: np.dtype[Any]
) -> NDArray[Any]:
    """Return a tile [y x c], at most of this shape."""
    if page.compression == JPEG and kind == np.uint8:
        tile = _pillow(name, _with_tables(data, page.jpegtables, page.photometric), shape)
    elif page.compression in JPEG_2000 and kind == np.uint8:
        tile = _pillow(name, data, shape, ycbcr=page.compression == 33003)
    elif page.compression in (8, 32946) and page.predictor == 1 and page.bitspersample == 8 * kind.itemsize:
        unpacked = zlib.decompressobj().decompress(data, math.prod(shape) * kind.itemsize)
        tile = np.frombuffer(unpacked, kind.newbyteorder(page.parent.byteorder)).reshape(shape)
    else:
        try:
            segment, _, _ = page.decode(data, index, jpegtables=page.jpegtables)
        except ValueError as error:
            hint = " (pip install 'segmend[jpeg]')" if "imagecodecs" in str(error) else ""
            raise FileError(f"{name} has a tile that cannot be unpacked{hint}.") from None
        tile = segment.reshape(segment.shape[-3:])
    return tile[: shape[0], : shape[1], : shape[2]]


def _with_tables(data: bytes, tables: bytes | None, photometric: int) -> bytes:
    """Return a tile as a JPEG file of its own: with the tables that all tiles share, and what its colours are."""
    transform = 1 if photometric == YCBCR else 0
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])
    shared = (tables or b"\xff\xd8\xff\xd9")[2:-2]
    return b"\xff\xd8" + adobe + shared + data[2:]


def _pillow(name: str, data: bytes, shape: tuple[int, int, int], *, ycbcr: bool = False) -> Pixels:
    from PIL import Image as Pillow

    try:
        with Pillow.open(io.BytesIO(data), formats=("JPEG", "JPEG2000")) as picture:
            if picture.width > shape[1] or picture.height > shape[0]:
                size = f"{picture.height} x {picture.width}"
                raise FileError(f"{name} has a tile of {size} pixels where {shape[0]} x {shape[1]} are expected.")
            picture.load()
            bands = picture.split()
            shown = Pillow.merge("YCbCr", bands).convert("RGB") if ycbcr and len(bands) == 3 else picture
            values = np.asarray(shown if shown.mode == "L" else shown.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{name} has a tile that cannot be unpacked.") from None
    return values if values.ndim == 3 else values[..., None]


def whole(path: Path, target: Path) -> tuple[Image, Path]:
    """Return a picture of all of a slide, and the file to keep of it: without a pyramid it is one made at `target`."""
    kept = path
    if not has_pyramid(path):
        with _told_damaged(path.name):
            make_pyramid(path, target)
        kept = target
    slide = SlideFile(kept)
    try:
        top = slide.levels - 1
        image = slide.image(top, (0, 0), slide.shape(top))
        return replace(image, notes=slide.notes if kept == path else (*slide.notes, MADE), axes="zyx"), kept
    finally:
        slide.close()


# Files without a pyramid


def make_pyramid(path: Path, target: Path) -> None:
    """Write a slide of our own from a TIFF without a pyramid, some rows at a time.

    LimitError where the file packs so much at once that it cannot be read in parts.
    """
    import tifffile

    planes, um, _ = planes_of(path)
    first = planes[0]
    _check_flat(path, first)
    resolution = None if um is None else (10_000 / um[1], 10_000 / um[0])
    options: dict[str, Any] = {
        "tile": (MADE_TILE, MADE_TILE),
        "compression": "zlib",
        "compressionargs": {"level": 1},
        "dtype": first.page.dtype,
        "photometric": "rgb" if first.page.samplesperpixel >= 3 else "minisblack",
        "resolution": resolution,
        "resolutionunit": "CENTIMETER" if resolution else None,
        "metadata": None,
        "software": "Segmend",
    }
    samples = 3 if first.page.samplesperpixel >= 3 else 1
    height, width = first.height, first.width
    with tifffile.TiffWriter(target, bigtiff=True) as writer:
        rows: Iterator[NDArray[Any]] = _rows(path, first)
        for level in range(levels_of(height, width)):
            if level:
                rows = _halved(target, level - 1)
            size = shape_at(height, width, level)
            shape = (*size, samples) if samples > 1 else size
            writer.write(_tiles(rows, size, samples), shape=shape, subfiletype=1 if level else 0, **options)


def _check_flat(path: Path, plane: Plane) -> None:
    """Refuse pixels that are more than a file of this size can hold, or than anybody scans without a pyramid."""
    needed = plane.height * plane.width * int(plane.page.samplesperpixel) * np.dtype(plane.page.dtype).itemsize
    size = path.stat().st_size
    if needed > max(FLOOR, RATIO * size):
        raise FileError(f"{path.name} claims {plane.height} x {plane.width} pixels but holds only {size} bytes.")
    if needed > MAX_BYTES:
        raise LimitError(
            f"{path.name} has {plane.height} x {plane.width} pixels and no pyramid; at most {MAX_BYTES >> 30} GB of "
            "pixels are given one here."
        )


def _tiles(rows: Iterator[NDArray[Any]], size: tuple[int, int], samples: int) -> Iterator[NDArray[Any]]:
    """Yield the tiles of a page from bands of its rows [y x c], each at most as high as a tile or a multiple of it."""
    for band in rows:
        for y in range(0, len(band), MADE_TILE):
            for x in range(0, size[1], MADE_TILE):
                part = band[y : y + MADE_TILE, x : x + MADE_TILE, :samples]
                tile = np.zeros((MADE_TILE, MADE_TILE, samples), part.dtype)
                tile[: part.shape[0], : part.shape[1]] = part
                yield tile if samples > 1 else tile[..., 0]


def _rows(path: Path, plane: Plane) -> Iterator[NDArray[Any]]:
    """Yield a page in bands of `MADE_TILE` rows [y x c], unpacking the tiles or strips of a band at a time."""
    page, samples = plane.page, int(plane.page.samplesperpixel)
    kind = np.dtype(page.dtype)
    rows = int(page.tilelength if page.is_tiled else page.rowsperstrip)
    columns = int(page.tilewidth) if page.is_tiled else plane.width
    packed = int(page.compression) != 1
    if packed and rows * columns * samples * kind.itemsize > MOST_AT_ONCE:
        raise LimitError(
            f"{path.name} packs {rows} x {columns} pixels at once; at most 128 MB are unpacked at a time: save it in "
            "tiles or smaller strips."
        )
    across = -(-plane.width // columns)
    held: list[NDArray[Any]] = []
    count = 0
    with path.open("rb") as file:
        for row in range(-(-plane.height // rows)):
            for band in _bands(file, path.name, plane, row, across, rows, columns):
                held.append(band)
                count += len(band)
                while count >= MADE_TILE:
                    joined = np.concatenate(held) if len(held) > 1 else held[0]
                    yield joined[:MADE_TILE]
                    held, count = [joined[MADE_TILE:]], count - MADE_TILE
    if count:
        yield np.concatenate(held)


def _bands(
    file: io.BufferedReader, name: str, plane: Plane, row: int, across: int, rows: int, columns: int
) -> Iterator[NDArray[Any]]:
    """Yield the rows [y x c] of one line of tiles or of one strip; of plain pixels a few at a time."""
    page, samples = plane.page, int(plane.page.samplesperpixel)
    kind = np.dtype(page.dtype)
    height = min(rows, plane.height - row * rows)
    if not page.is_tiled and page.compression == 1 and page.predictor == 1:
        line = plane.width * samples * kind.itemsize
        file.seek(int(page.dataoffsets[row]))
        for y in range(0, height, MADE_TILE):
            count = min(MADE_TILE, height - y)
            data = file.read(count * line)
            if len(data) < count * line:
                raise FileError(
                    f"{name} is cut short: {count * line} bytes of its pixels are needed, {len(data)} came."
                )
            yield (
                np.frombuffer(data, kind.newbyteorder(page.parent.byteorder))
                .astype(kind)
                .reshape(count, plane.width, samples)
            )
        return
    band = np.zeros((height, plane.width, samples), kind)
    for column in range(across):
        index = row * across + column
        file.seek(int(page.dataoffsets[index]))
        data = file.read(int(page.databytecounts[index]))
        if data:
            tile = _decode(name, page, data, index, (rows if page.is_tiled else height, columns, samples), kind)
            part = band[:, column * columns : (column + 1) * columns]
            part[: tile.shape[0], : tile.shape[1]] = tile[: part.shape[0], : part.shape[1]]
    yield band


def _halved(path: Path, level: int) -> Iterator[NDArray[Any]]:
    """Yield the rows of the next coarser level of a pyramid that is being written, from its last page."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        page: Any = file.pages[level]
        plane = Plane(page, int(page.imagelength), int(page.imagewidth), 1.0)
        held: list[NDArray[Any]] = []
        for band in _rows(path, plane):
            rows = np.pad(band, ((0, len(band) % 2), (0, plane.width % 2), (0, 0)), mode="edge")
            wide: NDArray[Any] = rows.astype(np.uint32 if rows.dtype.kind == "u" else np.float64)
            four = wide[::2, ::2] + wide[1::2, ::2] + wide[::2, 1::2] + wide[1::2, 1::2]
            held.append((four // 4 if rows.dtype.kind == "u" else four / 4).astype(rows.dtype))
            if len(held) == 2:
                yield np.concatenate(held)
                held = []
        if held:
            yield held[0]
