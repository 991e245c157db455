"""DICOM whole-slide images (VL Whole Slide Microscopy): a series of levels, copied into one TIFF with levels.

Each level is an instance, or several that belong together, whose frames are tiles. Tiles of JPEG and JPEG 2000 are
copied as they are, bit for bit; others are unpacked and packed again without loss. The pictures of the glass's label,
which often shows whose it is, and of all of the glass are left out.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from segmend.errors import FileError, LimitError
from segmend.io import dicom
from segmend.io.slides import MAX_SIDE, MAX_TILE_SIDE

if TYPE_CHECKING:
    from pydicom import Dataset

WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"  # the storage class of these images
# Bytes of a file in which its storage class stands.
HEAD = 1024
# Transfer syntaxes whose tiles are copied, and what TIFF calls them.
COPIED = {
    "1.2.840.10008.1.2.4.50": "jpeg",
    "1.2.840.10008.1.2.4.90": "jpeg2000",
    "1.2.840.10008.1.2.4.91": "jpeg2000",
}
GREY = "MONOCHROME2"
ITEM, PIXELS = b"\xfe\xff\x00\xe0", b"\xe0\x7f\x10\x00"
# Of one file.
MAX_FRAMES = 4_000_000


@dataclass(frozen=True)
class SlideSeries:
    """A series of whole-slide images, and all its files, those of the label and the whole glass among them."""

    name: str
    paths: tuple[Path, ...]
    patient: str = ""  # name and id
    study_date: str = ""  # YYYY-MM-DD; empty: unknown


@dataclass(frozen=True)
class _Part:
    """An instance of a level."""

    path: Path
    data: Dataset  # without its pixels

    @property
    def size(self) -> tuple[int, int]:  # (y, x)
        return int(self.data.TotalPixelMatrixRows), int(self.data.TotalPixelMatrixColumns)

    @property
    def tile(self) -> tuple[int, int]:  # (y, x)
        return int(self.data.Rows), int(self.data.Columns)

    @property
    def frames(self) -> int:
        return int(self.data.get("NumberOfFrames") or 1)


def may_be_whole_slide(path: Path) -> bool:
    """Say whether a file begins as a DICOM whole-slide image does."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    return head[128:132] == b"DICM" and WHOLE_SLIDE.encode() in head


def slide_series(paths: Sequence[Path]) -> list[SlideSeries]:
    """Return the series of whole-slide images among some files, with all their files."""
    series: dict[str, list[_Part]] = {}
    for path in paths:
        if may_be_whole_slide(path):
            data = dicom.load(path, pixels=False)
            series.setdefault(str(data.get("SeriesInstanceUID", "")), []).append(_Part(path, data))
    found = []
    for parts in series.values():
        if any(_is_volume(part.data) for part in parts):
            first = parts[0].data
            said = (first.get(tag) for tag in ("SeriesDescription", "ContainerIdentifier", "StudyDescription"))
            name = next((str(text) for text in said if text and str(text) != "Unknown"), "slide")
            about = dicom.patient_of(first), dicom.day_of(first)
            found.append(SlideSeries(name, tuple(part.path for part in parts), *about))
    return found


def write_slide(paths: Sequence[Path], target: Path) -> None:
    """Write the levels of a series as one TIFF, from fine to coarse."""
    import tifffile

    levels = _levels([_Part(path, dicom.load(path, pixels=False)) for path in paths])
    finest = levels[0][0]
    um = _um(finest)
    resolution = None if um is None else (10_000 / um[1], 10_000 / um[0])
    grey = _photometric(finest) == "minisblack"
    with tifffile.TiffWriter(target, bigtiff=True) as writer:
        for number, parts in enumerate(levels):
            kind = _kind(parts[0])
            writer.write(
                _tiles(parts, kind),
                shape=parts[0].size if grey else (*parts[0].size, 3),
                dtype=np.uint8,
                tile=parts[0].tile,
                photometric=_photometric(parts[0]),
                compression=kind or "zlib",
                subfiletype=1 if number else 0,
                resolution=resolution,
                resolutionunit="CENTIMETER" if resolution else None,
                metadata=None,
                software="Segmend",
            )


def _is_volume(data: Dataset) -> bool:
    """Say whether an instance is a level of the slide, not a picture of its label or of all of the glass."""
    kind = [str(word) for word in data.get("ImageType") or []]
    return "VOLUME" in kind and "LABEL" not in kind and "OVERVIEW" not in kind


def _is_thumbnail(part: _Part) -> bool:
    """Say whether an instance is a small picture of all of the slide that serves as its coarsest level."""
    if "THUMBNAIL" not in [str(word) for word in part.data.get("ImageType") or []]:
        return False
    with suppress(FileError, LimitError):
        _check(part)
        return True
    return False  # it may be of one tile of any size, and is not needed


def _levels(parts: Sequence[_Part]) -> list[list[_Part]]:
    """Return the instances of each level, from fine to coarse; of several pictures of one size the first."""
    levels: dict[tuple[int, int], list[_Part]] = {}
    wanted = [part for part in parts if _is_volume(part.data) or _is_thumbnail(part)]
    for part in sorted(wanted, key=lambda part: _place_in_series(part.data)):
        _check(part)
        known = levels.setdefault(part.size, [])
        together = part.data.get("ConcatenationUID")
        if not known or (together is not None and together == known[0].data.get("ConcatenationUID")):
            known.append(part)
    found = [levels[size] for size in sorted(levels, reverse=True)]
    if not any(_is_volume(part.data) for part in parts):
        raise FileError("There is no level of a slide in these files, only its label or a picture of the glass.")
    samples = int(found[0][0].data.SamplesPerPixel)
    return [level for level in found if int(level[0].data.SamplesPerPixel) == samples]


def _place_in_series(data: Dataset) -> tuple[int, int]:
    return int(data.get("InstanceNumber") or 0), int(data.get("ConcatenationFrameOffsetNumber") or 0)


def _check(part: _Part) -> None:
    name = part.path.name
    try:
        (height, width), (rows, columns), frames = part.size, part.tile, part.frames
        bits, samples = int(part.data.BitsAllocated), int(part.data.SamplesPerPixel)
    except (AttributeError, TypeError, ValueError) as error:
        raise FileError(f"{name} does not say how large its slide and its tiles are: {error}.") from None
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise FileError(f"{name} needs a slide of at most {MAX_SIDE} pixels a side; it has {height} x {width}.")
    if not (0 < rows <= MAX_TILE_SIDE and 0 < columns <= MAX_TILE_SIDE) or rows % 16 or columns % 16:
        raise LimitError(f"{name} has tiles of {rows} x {columns} pixels; multiples of 16, at most {MAX_TILE_SIDE}.")
    if bits != 8 or samples not in (1, 3) or (samples == 1 and part.data.PhotometricInterpretation != GREY):
        raise FileError(f"{name} needs colours or greys of 8 bits to be a slide.")
    if not 0 < frames <= MAX_FRAMES:
        raise LimitError(f"{name} has {frames} tiles; at most {MAX_FRAMES}.")


def _um(part: _Part) -> tuple[float, float] | None:
    """Return how large a pixel is in micrometres, down and across."""
    shared = part.data.get("SharedFunctionalGroupsSequence") or []
    measures = shared[0].get("PixelMeasuresSequence") if shared else None
    if measures and "PixelSpacing" in measures[0]:
        down, across = (1000 * float(mm) for mm in measures[0].PixelSpacing)
    else:
        height, width = (part.data.get(f"ImagedVolume{side}") for side in ("Height", "Width"))
        if not height or not width:
            return None
        down, across = 1000 * float(height) / part.size[0], 1000 * float(width) / part.size[1]
    return (down, across) if all(math.isfinite(v) and v > 0 for v in (down, across)) else None


def _kind(part: _Part) -> str | None:
    """Return how TIFF calls the packing of tiles that are copied; None where they are unpacked."""
    return COPIED.get(str(part.data.file_meta.TransferSyntaxUID))


def _photometric(part: _Part) -> str:
    said = str(part.data.PhotometricInterpretation)
    if said == GREY:
        return "minisblack"
    return "ycbcr" if _kind(part) == "jpeg" and said.startswith("YBR") else "rgb"


def _tiles(parts: Sequence[_Part], kind: str | None) -> Iterator[Any]:
    """Yield the tiles of a level row by row; those that were not scanned are None, or packed in nothing."""
    height, width = parts[0].size
    rows, columns = parts[0].tile
    across, down = -(-width // columns), -(-height // rows)
    places: dict[int, tuple[int, int]] = {}  # the part and the frame of it, by the tile's place
    for number, part in enumerate(parts):
        if part.tile != parts[0].tile or _kind(part) != kind:
            raise FileError(f"{part.path.name} has other tiles than the rest of its level.")
        for frame, place in enumerate(_places(part, across, down)):
            if place is not None:
                places.setdefault(place, (number, frame))
    readers = [_Frames(part) for part in parts]
    try:
        for place in range(across * down):
            found = places.get(place)
            if found is None:
                yield None if kind is None else b""
            elif kind is None:
                yield readers[found[0]].pixels(found[1])
            else:
                yield readers[found[0]].packed(found[1])
    finally:
        for reader in readers:
            reader.close()


def _places(part: _Part, across: int, down: int) -> Iterator[int | None]:
    """Yield where in its level each frame of a part is, counted row by row; None for one at another depth."""
    count = across * down
    if str(part.data.get("DimensionOrganizationType", "")) == "TILED_FULL":
        first = int(part.data.get("ConcatenationFrameOffsetNumber") or 0)
        if "ConcatenationUID" not in part.data and part.frames < count:
            raise FileError(f"{part.path.name} needs {count} tiles; it has {part.frames}.")
        for frame in range(part.frames):
            yield first + frame if first + frame < count else None
        return
    groups = part.data.get("PerFrameFunctionalGroupsSequence") or []
    if len(groups) != part.frames:
        raise FileError(f"{part.path.name} says it has {part.frames} tiles but describes {len(groups)}.")
    rows, columns = part.tile
    for group in groups:
        try:
            at = group.PlanePositionSlideSequence[0]
            y, x = int(at.RowPositionInTotalImagePixelMatrix) - 1, int(at.ColumnPositionInTotalImagePixelMatrix) - 1
        except (AttributeError, IndexError, TypeError, ValueError):
            raise FileError(f"{part.path.name} does not say where one of its tiles lies.") from None
        if y % rows or x % columns or not (0 <= y // rows < down and 0 <= x // columns < across):
            raise FileError(f"{part.path.name} has a tile at ({y}, {x}), which is in no grid of {rows} x {columns}.")
        yield y // rows * across + x // columns


class _Frames:
    """The frames of one file, each read when it is asked for."""

    def __init__(self, part: _Part) -> None:
        self._part = part
        self._file: BinaryIO | None = None
        self._spans: list[list[tuple[int, int]]] = []  # of each frame, where its pieces lie and how long they are

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def pixels(self, frame: int) -> NDArray[np.uint8]:
        """Return a frame [y x] or [y x 3], unpacked, in grey or red, green and blue."""
        from pydicom.pixels import pixel_array  # type: ignore[attr-defined]

        try:
            values = pixel_array(self._part.path, index=frame)
        except (ValueError, RuntimeError, NotImplementedError, AttributeError) as error:
            raise FileError(f"{self._part.path.name} has a tile that cannot be unpacked: {error}.") from None
        return np.asarray(values, np.uint8)

    def packed(self, frame: int) -> bytes:
        """Return a frame as it is packed."""
        if self._file is None:
            self._file = self._part.path.open("rb")
            self._spans = _spans(self._file, self._part)
        data = bytearray()
        for start, length in self._spans[frame]:
            self._file.seek(start)
            data += self._file.read(length)
        return bytes(data)


def _spans(file: BinaryIO, part: _Part) -> list[list[tuple[int, int]]]:
    """Return where the pieces of each packed frame of a file lie."""
    name = part.path.name
    _, begin = dicom.load_header(part.path)
    file.seek(begin)
    if file.read(4) != PIXELS:
        raise FileError(f"{name} is cut short: it ends before its pixels.")
    file.read(8)  # the kind of element, and that its length is not known
    pieces: list[tuple[int, int]] = []  # the first is the table of offsets
    while (tag := file.read(4)) == ITEM:
        (length,) = struct.unpack("<I", file.read(4).ljust(4, b"\0"))
        pieces.append((file.tell(), length))
        file.seek(length, 1)
        if len(pieces) > 4 * MAX_FRAMES:
            raise LimitError(f"{name} has its tiles in too many pieces.")
    if len(tag) < 4 or not pieces:
        raise FileError(f"{name} is cut short: its tiles have no end.")
    table, *fragments = pieces
    if len(fragments) == part.frames:
        return [[piece] for piece in fragments]
    file.seek(table[0])
    starts = np.frombuffer(file.read(table[1]), "<u4").astype(np.int64)
    extended = part.data.get("ExtendedOffsetTable")
    if extended is not None:
        starts = np.frombuffer(extended, "<u8").astype(np.int64)
    if len(starts) != part.frames or not fragments:
        raise FileError(f"{name} has {part.frames} tiles in {len(fragments)} pieces and does not say which are whose.")
    begins = np.array([start - 8 - (fragments[0][0] - 8) for start, _ in fragments])
    owner = np.searchsorted(starts, begins, side="right") - 1
    spans: list[list[tuple[int, int]]] = [[] for _ in range(part.frames)]
    for piece, frame in zip(fragments, owner.tolist(), strict=True):
        spans[max(0, frame)].append(piece)
    return spans
