"""NIfTI-1 and NIfTI-2, in one file (.nii) or as a header with its voxels beside it (.hdr and .img), packed or not.

The place of the voxels follows the standard: the sform when its code says so, else the
qform, else the spacing alone. Units of metres and microns are turned to millimetres.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from segmend.core.atomic import write_atomically
from segmend.core.geometry import Affine, sheared, turned
from segmend.core.image import Image, is_flat
from segmend.errors import FileError
from segmend.io.axes import TIMED, select_channels
from segmend.io.intensities import Numbers, check_finite, rescale, to_native
from segmend.io.sizes import check_claim

TYPES: dict[int, str] = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
RGB24, RGBA32 = 128, 2304
COLOURS = {RGB24: 3, RGBA32: 4}  # bytes a voxel
UNITS_MM = {1: 1000.0, 2: 1.0, 3: 0.001}
UNITS_TIME = {8: "s", 16: "ms", 24: "\u00b5s"}
# Kinds of scan that one file holds, such as T1, T2, FLAIR and contrast: more volumes are taken for times.
MOST_KINDS = 4
GZIP = b"\x1f\x8b"

# Of a NIfTI-1 file that is written: the header's 348, and four zeros that say that no extension follows.
HEADER_BYTES = 352

Header = dict[str, tuple[Any, ...]]  # the fields below, by name

# name: (offset, format) in each header
VERSION_1 = {
    "dim": (40, "8h"), "datatype": (70, "h"), "pixdim": (76, "8f"), "offset": (108, "f"), "slope": (112, "f"),
    "intercept": (116, "f"), "units": (123, "B"), "qform": (252, "h"), "sform": (254, "h"), "quaternion": (256, "3f"),
    "shift": (268, "3f"), "rows": (280, "12f"),
}  # fmt: skip
VERSION_2 = {
    "dim": (16, "8q"), "datatype": (12, "h"), "pixdim": (104, "8d"), "offset": (168, "q"), "slope": (176, "d"),
    "intercept": (184, "d"), "units": (500, "i"), "qform": (344, "i"), "sform": (348, "i"), "quaternion": (352, "3d"),
    "shift": (376, "3d"), "rows": (400, "12d"),
}  # fmt: skip


def is_nifti(head: bytes) -> bool:
    """Say whether a file that starts so (unpacked) is NIfTI, a header of a pair included."""
    if len(head) < 348:
        return False
    size = {struct.unpack(f"{order}i", head[:4])[0] for order in "<>"}
    return (348 in size and head[344:348] in (b"n+1\0", b"ni1\0")) or (540 in size and head[4:7] in (b"n+2", b"ni2"))


def read_nifti(path: Path, *, fourth: str = "channels", frame: int = 0) -> Image:
    """Return the image of a NIfTI file, or of a pair by its header; `fourth` says what a 4th axis is."""
    with open_unpacked(path) as file:
        head = file.read(540)
        if not is_nifti(head):
            raise FileError(f"{path.name} is not a NIfTI file.")
        header, order = _header(head)
        if b"ni" not in (head[344:346], head[4:6]):
            stored = stored_voxels(file, path, header, order, least=len(head[:348]))
            return _image(stored, header, path.name, fourth, frame)
    with open_unpacked(source := voxels_file(path)) as file:
        return _image(stored_voxels(file, source, header, order, least=0), header, path.name, fourth, frame)


def _image(stored: Numbers, header: Header, name: str, fourth: str, frame: int) -> Image:
    affine, notes = _affine(header)
    if stored.ndim == 6:
        return Image(rgb_channels(stored, name), affine, notes, axes="zyx")
    voxels = select_channels(stored, fourth=fourth, frame=frame, name=name)
    if fourth == "channels" and _is_timed(header, len(voxels)):
        notes = (*notes, f"{TIMED}: {len(voxels)} volumes, {header['pixdim'][4]:.4g} {_time_unit(header)} apart.")
    return Image(check_finite(_rescale(to_native(voxels), header), name), affine, notes, axes="zyx")


@contextmanager
def open_unpacked(path: Path) -> Iterator[BufferedIOBase]:
    """Give a file that may be packed by gzip as the bytes in it."""
    with path.open("rb") as raw:
        packed = raw.read(2) == GZIP
        raw.seek(0)
        if not packed:
            yield raw
            return
        with gzip.GzipFile(fileobj=raw) as file:
            yield file


def voxels_file(header: Path) -> Path:
    """Return the .img file beside a header of a pair; FileError when there is none."""
    return _other_of_pair(header, ".hdr", ".img") or _refuse_missing(header)


def header_file(voxels: Path) -> Path | None:
    """Return the .hdr file beside an .img file, if there is one."""
    return _other_of_pair(voxels, ".img", ".hdr")


def _other_of_pair(path: Path, ending: str, other: str) -> Path | None:
    """Return the other file of a pair, packed or not, in either case of letters."""
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    if not name.lower().endswith(ending):
        return None
    wanted = {f"{name[: -len(ending)]}{other}{packed}".lower() for packed in ("", ".gz")}
    found = [p for p in sorted(path.parent.iterdir()) if p.name.lower() in wanted]
    return next((p for p in found if p.is_file() and not p.is_symlink()), None)


def _refuse_missing(header: Path) -> NoReturn:
    raise FileError(f"{header.name} is a header without its voxels; it needs the .img file of its name beside it.")


def stored_voxels(file: BufferedIOBase, path: Path, header: Header, order: str, *, least: int) -> Numbers:
    """Return [u t z y x] of a file's numbers as they are stored, of colours with one axis more.

    What the header claims is compared with the file before memory is taken; voxels start at byte `least` or later.
    """
    shape = _shape(header["dim"], path.name)
    code = header["datatype"][0]
    if code not in TYPES and code not in COLOURS:
        raise FileError(f"{path.name} needs whole or real numbers or RGB; its NIfTI datatype is {code}.")
    kind = np.dtype(f"{order}{TYPES[code]}") if code in TYPES else np.dtype("u1")
    offset = header["offset"][0]
    if not least <= offset <= 2**31:
        raise FileError(f"{path.name} is damaged: its voxels start at byte {offset}.")
    stored_shape = (*shape, COLOURS[code]) if code in COLOURS else shape
    packed, present = isinstance(file, gzip.GzipFile), path.stat().st_size
    room = present if packed else present - int(offset)
    claimed = check_claim(path.name, stored_shape, kind.itemsize, room, packed=packed)
    file.seek(int(offset))
    return read_bytes(file, claimed, path.name).view(kind).reshape(stored_shape)


def rgb_channels(stored: Numbers, name: str) -> Numbers:
    """Return [c z y x] of one volume [1 1 z y x c] of colours, transparency left out."""
    if stored.shape[:2] != (1, 1):
        raise FileError(f"{name} has {stored.shape[0] * stored.shape[1]} RGB volumes; one is needed.")
    return np.ascontiguousarray(np.moveaxis(stored[0, 0, ..., :3], -1, 0))


def _header(head: bytes) -> tuple[Header, str]:
    order = "<" if struct.unpack("<i", head[:4])[0] in (348, 540) else ">"
    fields = VERSION_1 if struct.unpack(f"{order}i", head[:4])[0] == 348 else VERSION_2
    return {name: struct.unpack_from(order + form, head, offset) for name, (offset, form) in fields.items()}, order


def _shape(dim: tuple[int, ...], name: str) -> tuple[int, int, int, int, int]:
    """Return (u, t, z, y, x); axes past the fifth must be single."""
    if not 1 <= dim[0] <= 7:
        raise FileError(f"{name} needs 1 to 7 axes; its header says {dim[0]}.")
    sizes = [dim[i] if i <= dim[0] else 1 for i in range(1, 8)]
    if any(n != 1 for n in sizes[5:]):
        raise FileError(f"{name} has more than 5 axes: {sizes[: dim[0]]}.")
    x, y, z, t, u = sizes[:5]
    return u, t, z, y, x


def read_bytes(file: BufferedIOBase, count: int, name: str) -> Numbers:
    """Return the next `count` bytes of a file; FileError when it ends before."""
    values = np.empty(count, np.uint8)
    done = 0
    while done < count:
        got = file.readinto(values[done : done + 2**24].data)
        if not got:
            raise FileError(f"{name} is cut short: {count} bytes of voxels are needed, {done} came.")
        done += got
    return values


def _is_timed(header: Header, channels: int) -> bool:
    """Tell whether a file says that its fourth axis is time: scans of a few kinds are often kept as if it were."""
    step = float(header["pixdim"][4])
    return channels > MOST_KINDS and header["dim"][4] == channels and bool(_time_unit(header)) and 0 < step < np.inf


def _time_unit(header: Header) -> str:
    return UNITS_TIME.get(header["units"][0] & 0x38, "")


def _rescale(voxels: Numbers, header: Header) -> Numbers:
    slope, intercept = header["slope"][0], header["intercept"][0]
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        return voxels
    return rescale(voxels, slope, intercept)


def _affine(header: Header) -> tuple[Affine, tuple[str, ...]]:
    unit = UNITS_MM.get(header["units"][0] & 7, 1.0)
    steps = [abs(d) if np.isfinite(d) and d != 0 else 1.0 for d in header["pixdim"][1:4]]
    found: Affine | None = None
    notes: tuple[str, ...] = ()
    if header["sform"][0] > 0:
        found = np.vstack([np.reshape(header["rows"], (3, 4)), [0, 0, 0, 1]]).astype(np.float64)
    if (found is None or is_flat(found)) and header["qform"][0] > 0:
        found = _from_quaternion(header, steps)
    if found is None or is_flat(found):
        affine = turned(np.diag([*steps, 1.0]))
        notes = ("The file says no orientation: its axes are taken as right, anterior and superior.",)
    else:
        affine = turned(found)
    affine[:3] *= unit
    return affine, notes


def _from_quaternion(header: Header, steps: list[float]) -> Affine:
    b, c, d = (float(v) for v in header["quaternion"])
    a = np.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
    a, b, c, d = np.array([a, b, c, d]) / max(np.linalg.norm([a, b, c, d]), 1e-12)
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    handed = -1.0 if header["pixdim"][0] < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = rotation * np.array([steps[0], steps[1], steps[2] * handed])
    affine[:3, 3] = header["shift"]
    return affine


def write_nifti(path: Path, voxels: Numbers, affine: Affine) -> None:
    """Write [c z y x] numbers as NIfTI-1; three channels of bytes as RGB24, packed when it ends in .gz."""
    data = to_native(voxels)
    colour = data.shape[0] == 3 and data.dtype == np.uint8
    sizes = data.shape[:0:-1] if colour or data.shape[0] == 1 else (*data.shape[:0:-1], data.shape[0])
    header = nifti_header(sizes, data.dtype, affine, colour=colour)
    body = np.ascontiguousarray(np.moveaxis(data, 0, -1) if colour else data)
    body = body.astype(body.dtype.newbyteorder("<"), copy=False)

    def write(part: Path) -> None:
        with part.open("wb") as raw:
            if path.name.lower().endswith(".gz"):
                with gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=3, mtime=0) as file:
                    file.write(header)
                    file.write(body.data)
            else:
                raw.write(header)
                raw.write(body.data)

    write_atomically(path, write)


def nifti_header(sizes: Sequence[int], kind: np.dtype[Any], affine: Affine, *, colour: bool = False) -> bytes:
    """Return the header of a NIfTI-1 file, little endian, and its empty extension.

    `sizes` are those of the axes in the file, (x, y, z) or more; `affine` is of (z, y, x). With `colour` a voxel
    is three bytes, RGB24.
    """
    if max(sizes) > 32767:
        raise FileError(f"NIfTI holds at most 32767 voxels along an axis; got {max(sizes)}.")
    code = RGB24 if colour else next(code for code, name in TYPES.items() if np.dtype(name) == kind.newbyteorder("="))
    voxel_bytes = 3 if colour else kind.itemsize
    affine = turned(affine)
    head = bytearray(HEADER_BYTES)
    square = not sheared(affine)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    handed, quaternion = _to_quaternion(affine[:3, :3] / spacing) if square else (1.0, (0.0, 0.0, 0.0))
    values: dict[str, tuple[Any, ...]] = {
        "dim": (len(sizes), *sizes, *[1] * (7 - len(sizes))),
        "datatype": (code,),
        "pixdim": (handed, *spacing, *[1.0] * 4),
        "offset": (float(HEADER_BYTES),),
        "slope": (1.0,),
        "intercept": (0.0,),
        "units": (2,),
        "qform": (int(square),),
        "sform": (1,),
        "quaternion": quaternion,
        "shift": tuple(affine[:3, 3]),
        "rows": tuple(affine[:3].ravel()),
    }
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<h", head, 72, voxel_bytes * 8)
    for name, (offset, form) in VERSION_1.items():
        struct.pack_into("<" + form, head, offset, *values[name])
    head[344:348] = b"n+1\0"
    return bytes(head)


def _to_quaternion(axes: Affine) -> tuple[float, tuple[float, ...]]:
    """Return the handedness and (b, c, d) of three unit axes at right angles."""
    handed = 1.0 if np.linalg.det(axes) > 0 else -1.0
    r = axes * np.array([1.0, 1.0, handed])
    k = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], 0, 0, 0],
            [r[0, 1] + r[1, 0], r[1, 1] - r[0, 0] - r[2, 2], 0, 0],
            [r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], r[2, 2] - r[0, 0] - r[1, 1], 0],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], r.trace()],
        ]
    )
    b, c, d, a = np.linalg.eigh(k)[1][:, -1]  # the rotation's axis and half angle
    sign = -1.0 if a < 0 else 1.0
    return handed, (sign * b, sign * c, sign * d)
