"""Photographs and slides: PNG, JPEG, TIFF and BMP, grey or RGB, 8 or 16 bits.

A photograph has no place in the patient. Like other medical readers we take its columns
to run to the left and its rows to the back, in millimetres when the file says how large
a pixel is and one millimetre a pixel when not.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmend.core.atomic import write_atomically
from segmend.core.geometry import Affine, mirrored
from segmend.core.image import Image, scale_affine
from segmend.core.session import Colour
from segmend.errors import FileError, LimitError
from segmend.io.axes import select_channels
from segmend.io.intensities import Numbers, check_finite, to_native
from segmend.io.sizes import check_claim
from segmend.io.tiffpages import check_pages

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # bytes, of every kind of BMP there is
# Of one picture: Pillow takes more for an attack.
MAX_PIXELS = 178_956_970
# Bytes inflated at once.
PIECE = 2**20
# Dots an inch that software writes where no resolution is known.
SCREENS = (72.0, 96.0)


def _plane(spacing: Sequence[float]) -> Affine:
    return mirrored(scale_affine([s if np.isfinite(s) and s > 0 else 1.0 for s in spacing]))


@dataclass(frozen=True)
class PngHeader:
    """What a PNG says of its pixels, before any of them is unpacked."""

    columns: int
    rows: int
    bits: int
    samples: int
    interlaced: bool

    @property
    def deep_colour(self) -> bool:
        """True for 16 bits of colour or with transparency, of which Pillow keeps 8."""
        return self.bits == 16 and self.samples > 1

    @property
    def packed_bytes(self) -> int:
        """Bytes of all lines, each with a byte that says how it is filtered; of an interlaced PNG in seven passes."""
        passes = ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        sizes = [(-(-(self.rows - y) // dy), -(-(self.columns - x) // dx)) for y, x, dy, dx in passes]
        return sum(
            rows * (1 + (columns * self.samples * self.bits + 7) // 8) for rows, columns in sizes if rows and columns
        )


# Of each pass of an interlaced PNG: the first row and column, and the steps to the next ones.
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def read_png(path: Path, *, indices: bool = False) -> Image:
    """Return the one slice of a PNG; transparency is dropped, a palette of greys keeps its indices.

    With `indices` every palette does: a mask's values are the indices, and the colours only show them.
    """
    header = _png_header(path)
    _check_picture(path, header.rows, header.columns, header.samples, bytes_each=max(1, header.bits // 8))
    chunks = _chunks(path)
    _check_png_lines(path.name, chunks, header)
    values = _deep_png(path, header) if header.deep_colour else _pillow(path, indices=indices)
    return _photo(values, _png_spacing(chunks), path.name)


def _png_header(path: Path) -> PngHeader:
    with path.open("rb") as file:
        head = file.read(33)
    if len(head) < 33 or not head.startswith(PNG):
        raise FileError(f"{path.name} is cut short in its header.")
    columns, rows, bits, colour, *_, interlaced = struct.unpack(">IIBBBBB", head[16:29])
    return PngHeader(columns, rows, bits, {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour, 4), interlaced != 0)


def _check_picture(path: Path, rows: int, columns: int, samples: int, *, bytes_each: int = 1) -> None:
    """Refuse a picture by its header, before its pixels are unpacked: it may claim gigabytes in a megabyte."""
    check_claim(path.name, (rows, columns, samples), bytes_each, path.stat().st_size, packed=True)
    if rows * columns > MAX_PIXELS:
        raise LimitError(f"{path.name} has {rows} x {columns} pixels; at most {MAX_PIXELS} are read of one picture.")


def read_jpeg(path: Path) -> Image:
    """Return the one slice of a JPEG; its resolution counts unless it is a screen's 72 or 96 dots an inch."""
    from PIL import Image as Pillow

    with Pillow.open(path, formats=("JPEG",)) as photo:
        _check_picture(path, photo.height, photo.width, len(photo.getbands()))
        dots = photo.info.get("dpi", (72.0, 72.0))
        turned = photo.getexif().get(0x0112, 1) not in (0, 1)
    note = "The photo asks to be shown turned; its pixels are kept as they are stored."
    return _photo(_pillow(path), _of_dots(dots), path.name, (note,) if turned else ())


def is_bmp(head: bytes) -> bool:
    """Say whether a file that starts so is a Windows bitmap.

    >>> is_bmp(b"BM" + bytes(12) + b"\\x28\\0\\0\\0"), is_bmp(b"BMI of all patients")
    (True, False)
    """
    return head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in BMP_HEADERS


def read_bmp(path: Path) -> Image:
    """Return the one slice of a BMP; its resolution counts unless it is a screen's 72 or 96 dots an inch."""
    from PIL import Image as Pillow

    with Pillow.open(path, formats=("BMP",)) as photo:
        _check_picture(path, photo.height, photo.width, len(photo.getbands()))
        dots = photo.info.get("dpi", (72.0, 72.0))
    return _photo(_pillow(path), _of_dots([float(round(d)) for d in dots]), path.name)  # it counts dots a metre


def _of_dots(dots: Sequence[float]) -> tuple[float, float]:
    """Return (y, x) mm a pixel from dots an inch across and down, 1 where that says nothing."""
    if all(np.isfinite(d) and d > 0 and d not in SCREENS for d in dots):
        return 25.4 / float(dots[1]), 25.4 / float(dots[0])
    return 1.0, 1.0


def _pillow(path: Path, *, indices: bool = False) -> Numbers:
    """Return [y x] or [y x c] as Pillow decodes it: grey stays grey, the rest becomes RGB."""
    from PIL import Image as Pillow

    with Pillow.open(path, formats=("PNG", "JPEG", "BMP")) as photo:
        photo.load()
        mode = photo.mode
        as_it_is = mode in ("1", "I;16", "I;16B", "I;16L", "I")
        as_it_is |= mode == "P" and (indices or ("transparency" not in photo.info and _is_index(photo.getpalette())))
        wanted = "L" if mode in ("L", "LA", "La") else "RGB"
        values = np.array(photo if as_it_is else photo.convert(wanted))
    return values.astype(np.uint16) if mode == "I" and values.min() >= 0 and values.max() < 65536 else values


def _is_index(palette: list[int] | None) -> bool:
    """Say whether a palette is the plain ramp of greys, so that indices are the greys."""
    return palette is not None and palette == [v for v in range(len(palette) // 3) for _ in range(3)]


def _photo(values: Numbers, spacing: Sequence[float], name: str, notes: tuple[str, ...] = ()) -> Image:
    stacked = values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)
    voxels = np.ascontiguousarray(to_native(stacked)[:, None])
    return Image(check_finite(voxels, name), _plane((1.0, *spacing)), notes)


Chunks = list[tuple[bytes, bytes]]


def _chunks(path: Path) -> Chunks:
    """Return the kinds and contents of a PNG's parts; FileError where one claims more than the file holds.

    Pillow takes the memory that a part claims before it reads the part.
    """
    data = path.read_bytes()
    found, at = [], len(PNG)
    while at + 12 <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        if size > (rest := len(data) - at - 8):
            name = kind.decode("ascii", "replace")
            raise FileError(f"{path.name} is cut short: {size} bytes of its part {name!r} are needed, {rest} came.")
        found.append((kind, data[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def _png_spacing(chunks: Chunks) -> tuple[float, float]:
    """Return (y, x) millimetres a pixel of the pHYs chunk, 1 without one."""
    for kind, data in chunks:
        if kind == b"pHYs" and len(data) == 9:
            across, down, unit = struct.unpack(">IIB", data)
            if unit == 1 and across and down:
                return 1000.0 / down, 1000.0 / across
    return 1.0, 1.0


def _check_png_lines(name: str, chunks: Chunks, header: PngHeader) -> None:
    """Refuse a PNG whose lines are not all there: Pillow fills in what is missing."""
    inflater, done = zlib.decompressobj(), 0
    try:
        for data in (data for kind, data in chunks if kind == b"IDAT"):
            piece = data
            while piece and done < header.packed_bytes:
                done += len(inflater.decompress(piece, PIECE))
                piece = inflater.unconsumed_tail
    except zlib.error as error:
        raise FileError(f"{name} is damaged: {error}.") from None
    if done < header.packed_bytes:
        raise FileError(f"{name} is cut short: {header.packed_bytes} bytes of pixels are needed, {done} came.")


def _deep_png(path: Path, header: PngHeader) -> Numbers:
    """Return [y x c] of a PNG with 16 bits and colour or transparency, of which Pillow gives 8 bits at once."""
    if header.samples == 2:  # grey with transparency is unpacked as four bytes a pixel
        data = bytearray(path.read_bytes())
        data[24:26] = 8, 6
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
        return _unpacked(io.BytesIO(data)).view(">u2")[..., 0]
    mode = "RGB" if header.samples == 3 else "RGBA"
    high, low = (_unpacked(path, f"{mode};16{half}")[..., :3] for half in "BL")  # the first bytes, and the second
    return (high.astype(np.uint16) << 8) | low


def _unpacked(file: Path | io.BytesIO, raw: str = "") -> Numbers:
    """Return the bytes that Pillow unpacks of a PNG, in its own order or another one of raw pixels."""
    from PIL import Image as Pillow

    with Pillow.open(file, formats=("PNG",)) as photo:
        if raw:
            photo.tile = [tile._replace(args=raw) for tile in photo.tile]
        return np.array(photo)


def read_tiff(path: Path, *, fourth: str = "channels", frame: int = 0) -> Image:
    """Return a TIFF: its pages are slices, or what its ImageJ or OME description says.

    Of a scanned slide, in a format of its maker, it is the slide itself; its label and its small pictures are left out,
    and a note says so. Other files whose pictures do not make one image are refused.
    """
    import tifffile

    check_pages(path)
    with _Within(path) as raw, tifffile.TiffFile(raw, name=path.name) as file:
        parts, notes = _parts(file, path.name)
        page = parts[0].keyframe
        shape, kind = (*((len(parts),) if len(parts) > 1 else ()), *parts[0].shape), parts[0].dtype
        check_claim(path.name, shape, kind.itemsize, path.stat().st_size, packed=page.compression > 1)
        spacing = _tiff_spacing(file, page)
        axes = ("Z" if len(parts) > 1 else "") + parts[0].axes.upper()
        try:
            pages = [part.asarray() for part in parts]
            values = np.stack(pages) if len(pages) > 1 else pages[0]
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            values = _pillow_pages(path, shape, kind)
        if values.shape != shape:  # of a description that says more pages than there are
            said, held = (" x ".join(map(str, sizes)) for sizes in (shape, values.shape))
            raise FileError(f"{path.name} says that it has {said} pixels; it holds {held} of them.")
        if page.photometric == 3 and page.colormap is not None:
            values, axes = _apply_palette(values, page.colormap), axes + "S"
    return _stack(values, axes, spacing, fourth, frame, path.name, notes)


# Whose descriptions, or none, a TIFF of slices has; others are of makers of slide scanners.
STACKS = ("shaped", "uniform", "generic", "imagej", "ome")


def _parts(file: Any, name: str) -> tuple[list[Any], tuple[str, ...]]:
    """Return the series of a TIFF that are the slices of one image, mostly one series of all of them, and notes."""
    found = [series for series in file.series if not series.keyframe.is_reduced] or list(file.series[:1])
    for series in found:
        _check_series(series, name)
    _check_imagej(file, found[0], name)
    if len(found) == 1:
        return found, ()
    if found[0].kind not in STACKS:
        return found[:1], (f"The file holds {len(found) - 1} more pictures, such as a label, which are left out.",)
    same = len({(series.shape, series.dtype, series.axes) for series in found}) == 1
    if not same or found[0].axes.upper() not in ("YX", "YXS"):
        sizes = "; ".join(" x ".join(map(str, series.shape)) for series in found[:4])
        more = f"; and {len(found) - 4} more" if len(found) > 4 else ""
        raise FileError(f"{name} holds {len(found)} pictures that make no one image ({sizes}{more}); save one alone.")
    return found, ()


def _check_series(series: Any, name: str) -> None:
    """Refuse a series that lacks pages, or strips or tiles of them: tifffile fills in millions of them, in Python."""
    pages = list(series.pages)
    if None in pages:
        held = sum(page is not None for page in pages)
        raise FileError(f"{name} says that it has {len(pages)} pages; it holds {held} of them.")
    needed = math.prod(series.keyframe.chunked)
    held = min(len(page.dataoffsets) for page in pages)
    if held < needed:
        raise FileError(f"{name} needs {needed} strips or tiles of pixels a page; it has {held}.")


def _check_imagej(file: Any, series: Any, name: str) -> None:
    """Refuse a file of ImageJ that has fewer slices than it says."""
    said = int((file.imagej_metadata or {}).get("images", 0)) if file.is_imagej else 0
    held = math.prod(size for axis, size in zip(series.axes.upper(), series.shape, strict=True) if axis not in "YXS")
    if said > held:
        raise FileError(f"{name} says that it has {said} slices; it holds {held} of them.")


class _Within(io.BufferedReader):
    """A file of which nobody reads more than there is: a damaged TIFF asks for gigabytes, which would be reserved."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._length = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(self._length - self.tell(), 0)
        return super().read(left if size is None or size < 0 else min(size, left))


def _pillow_pages(path: Path, shape: tuple[int, ...], kind: np.dtype[Any]) -> Numbers:
    """Return the pages of a TIFF whose packing only Pillow undoes (LZW, JPEG)."""
    from PIL import Image as Pillow
    from PIL import ImageSequence

    with Pillow.open(path, formats=("TIFF",)) as photo:
        values = np.stack([np.array(page) for page in ImageSequence.Iterator(photo)])
    if values.dtype != kind or values.size != np.prod(shape):  # Pillow cuts 16 bits of colour to 8
        raise FileError(f"{path.name} is packed in a way that is not read; save it with deflate or unpacked.")
    return values.reshape(shape)


def _apply_palette(values: Numbers, colours: Numbers) -> Numbers:
    return (np.moveaxis(colours, 0, -1)[values] >> 8).astype(np.uint8)


def _stack(
    values: Numbers, axes: str, spacing: Sequence[float], fourth: str, frame: int, name: str, notes: tuple[str, ...]
) -> Image:
    """Return the image of an array whose axes are named as TIFF writers do."""
    known = "".join(a if a in "TZCYXS" else "Z" if "Z" not in axes and axes.count(a) == 1 else "?" for a in axes)
    if sorted(set(known)) != sorted(known) or "?" in known or not {"Y", "X"} <= set(known):
        raise FileError(f"{name} has the axes {axes}, of shape {values.shape}; time, slices, channels, rows are read.")
    present = [a for a in "TCSZYX" if a in known]
    ordered = values.transpose([known.index(a) for a in present])
    sizes = dict(zip(present, ordered.shape, strict=True))
    times, colours = sizes.get("T", 1), sizes.get("C", 1) * sizes.get("S", 1)
    full = ordered.reshape(times, colours, sizes.get("Z", 1), sizes["Y"], sizes["X"])
    if sizes.get("S", 1) == 4 and colours == 4:
        full = full[:, :3]  # the fourth is transparency
    if full.shape[0] > 1:
        voxels = select_channels(full.swapaxes(0, 1), fourth=fourth, frame=frame, name=name)
    else:
        voxels = full[0]
    return Image(check_finite(to_native(np.ascontiguousarray(voxels)), name), _plane(spacing), notes)


def _tiff_spacing(file: Any, page: Any) -> tuple[float, float, float]:
    """Return (z, y, x) mm of the OME or ImageJ description or the resolution tags, 1 where nothing is said."""
    if file.is_ome and file.ome_metadata:
        return _ome_spacing(file.ome_metadata)
    imagej = file.imagej_metadata or {}
    scale = {"um": 0.001, "µm": 0.001, "\\u00B5m": 0.001, "micron": 0.001, "nm": 1e-6, "cm": 10.0, "inch": 25.4}
    unit_mm = scale.get(str(imagej.get("unit", "mm")), 1.0)
    if not imagej:
        unit_mm = {2: 25.4, 3: 10.0}.get(int(page.resolutionunit or 1), 0.0)
    across, down = page.resolution
    if unit_mm == 0.0 or not (across > 0 and down > 0) or (not imagej and across in SCREENS):
        return float(imagej.get("spacing", 1.0)), 1.0, 1.0
    return float(imagej.get("spacing", 1.0)) * (unit_mm if imagej else 1.0), unit_mm / down, unit_mm / across


def _ome_spacing(text: str) -> tuple[float, float, float]:
    scale = {"nm": 1e-6, "µm": 1e-3, "mm": 1.0, "cm": 10.0, "m": 1000.0}
    z, y, x = (
        float((re.search(f'PhysicalSize{a}="([0-9.eE+-]+)"', text) or [0, 0])[1])
        * scale.get((re.search(f'PhysicalSize{a}Unit="([^"]+)"', text) or ["", "µm"])[1], 1.0)
        or 1.0
        for a in "ZYX"
    )
    return z, y, x


def check_flat(slices: int) -> None:
    """Raise FileError unless there is one slice, which is what a PNG holds."""
    if slices != 1:
        raise FileError(f"A PNG holds one slice and this has {slices}; choose .nii.gz, .nrrd or .tif.")


def write_png(path: Path, voxels: Numbers, spacing: Sequence[float]) -> None:
    """Write [c z y x] numbers of one slice as PNG: 8 or 16 bits of grey, or 8 bits of RGB."""
    from PIL import Image as Pillow

    check_flat(voxels.shape[1])
    if voxels.dtype not in (np.uint8, np.uint16) or (len(voxels), voxels.dtype.itemsize) not in (
        (1, 1),
        (1, 2),
        (3, 1),
    ):
        raise FileError(f"A PNG holds 8 or 16 bits of grey or 8 of RGB; this has {len(voxels)} x {voxels.dtype}.")
    photo = Pillow.fromarray(
        np.ascontiguousarray(voxels[0, 0] if len(voxels) == 1 else np.moveaxis(voxels[:, 0], 0, -1))
    )
    dots = (25.4 / float(spacing[2]), 25.4 / float(spacing[1]))
    write_atomically(path, lambda part: photo.save(part, "PNG", dpi=dots))


def write_png_labels(
    path: Path, labels: NDArray[np.uint8], colours: Mapping[int, Colour], spacing: Sequence[float]
) -> None:
    """Write [z y x] labels of one slice as PNG: the values stay what they are, a palette shows them in colours."""
    from PIL import Image as Pillow

    check_flat(labels.shape[0])
    palette = np.zeros((256, 3), np.uint8)
    for value, colour in colours.items():
        palette[value] = colour
    picture = Pillow.fromarray(np.ascontiguousarray(labels[0]))
    picture.putpalette(palette.tobytes())
    dots = (25.4 / float(spacing[2]), 25.4 / float(spacing[1]))
    write_atomically(path, lambda part: picture.save(part, "PNG", dpi=dots, bits=8))


def write_tiff(path: Path, voxels: Numbers, spacing: Sequence[float]) -> None:
    """Write [c z y x] numbers as TIFF, a page a slice, deflated, with its spacing the way ImageJ reads it."""
    import tifffile

    data = to_native(voxels)
    colour = len(data) == 3 and data.dtype == np.uint8
    if not colour and len(data) != 1:
        raise FileError(f"A TIFF holds one channel or 8 bits of RGB here; this has {len(data)} x {data.dtype}.")
    if data.dtype not in (np.uint8, np.uint16, np.float32):
        raise FileError(f"A TIFF holds 8 or 16 whole bits or floats here; this has {data.dtype}.")
    pages = np.ascontiguousarray(np.moveaxis(data, 0, -1)) if colour else data[0]
    z, y, x = (float(s) for s in spacing)

    def write(part: Path) -> None:
        tifffile.imwrite(
            part,
            pages,
            imagej=True,
            photometric="rgb" if colour else "minisblack",
            resolution=(1.0 / x, 1.0 / y),
            compression="zlib",
            metadata={"axes": "ZYXS" if colour else "ZYX", "spacing": z, "unit": "mm"},
        )

    write_atomically(path, write)
