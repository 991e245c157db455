"""NRRD images, and Slicer's segmentations in NRRD (.seg.nrrd) with names and colours."""

from __future__ import annotations

import bz2
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segmend.core.atomic import write_bytes
from segmend.core.geometry import Affine, mirrored, turned
from segmend.core.image import Image, LabelMap, bounds
from segmend.core.layers import Layering, label_mask, map_with
from segmend.core.session import Label
from segmend.errors import FileError
from segmend.io.axes import select_channels
from segmend.io.intensities import Numbers, check_finite, to_native, whole_labels
from segmend.io.sizes import check_claim
from segmend.io.sparse import gzipped

MAGIC = b"NRRD000"
# Bytes in which a header must end.
HEAD = 2**20
# Bytes of a text that become numbers at once.
PIECE = 2**18
TYPES = {
    "i1": "signed char, int8, int8_t",
    "u1": "uchar, unsigned char, uint8, uint8_t",
    "i2": "short, short int, signed short, signed short int, int16, int16_t",
    "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    "i4": "int, signed int, int32, int32_t",
    "u4": "uint, unsigned int, uint32, uint32_t",
    "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t",
    "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
    "f4": "float",
    "f8": "double",
}
KINDS = {name: code for code, names in TYPES.items() for name in names.split(", ")}
# The name under which each NumPy type is written.
WRITTEN = {code: names.split(", ")[-1] for code, names in TYPES.items()}
SPACES = {
    "right-anterior-superior": (1, 1, 1), "ras": (1, 1, 1), "left-anterior-superior": (-1, 1, 1), "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1), "lps": (-1, -1, 1),
}  # fmt: skip


@dataclass(frozen=True)
class Header:
    """The fields of a header in lower case, its `key:=value` pairs, and where the voxels start."""

    fields: dict[str, str]
    keys: dict[str, str]
    end: int

    def sizes(self, name: str) -> list[int]:
        return [_number(n, name) for n in self.needed("sizes", name).split()]

    def needed(self, field: str, name: str) -> str:
        if field not in self.fields:
            raise FileError(f"{name} is an NRRD file without its field {field!r}.")
        return self.fields[field]


def _number(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise FileError(f"{name} needs a whole number in its header; got {text[:40]!r}.") from None


def read_header(path: Path) -> Header:
    """Return the header of an NRRD file."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head.startswith(MAGIC):
        raise FileError(f"{path.name} is not an NRRD file.")
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    at = head.find(b"\n") + 1
    while at > 0 and at < len(head):
        stop = head.find(b"\n", at)
        line = (head[at:] if stop < 0 else head[at:stop]).decode("utf-8", "replace").rstrip("\r")
        at = len(head) if stop < 0 else stop + 1
        if not line:
            break
        if line.startswith("#"):
            continue
        if ":=" in line:
            key, _, value = line.partition(":=")
            keys[key] = value
        elif ": " in line or line.endswith(":"):
            field, _, value = line.partition(":")
            fields[field.strip().lower().replace("datafile", "data file")] = value.strip()
    return Header(fields, keys, at)


def read_nrrd(path: Path, *, fourth: str = "channels", frame: int = 0) -> Image:
    """Return the image of an NRRD file; `fourth` says what an axis without a place in space is."""
    header = read_header(path)
    stored = _voxels(path, header)  # axes in file order reversed: the fastest axis last
    spatial, affine, notes = _geometry(header, stored.ndim, path.name)
    others = [axis for axis in range(stored.ndim) if axis not in spatial]
    if len(others) > 1:
        raise FileError(f"{path.name} has {len(others)} axes that are not in space; at most one can be read.")
    moved = np.transpose(stored, [stored.ndim - 1 - axis for axis in (*others, *reversed(spatial))])
    shape = (*(1,) * (3 - len(spatial)), *moved.shape[len(others) :])
    voxels = np.ascontiguousarray(moved.reshape(1, moved.shape[0] if others else 1, *shape))
    image = select_channels(to_native(voxels), fourth=fourth, frame=frame, name=path.name)
    return Image(check_finite(image, path.name), affine, notes, axes="zyx")


def _voxels(path: Path, header: Header) -> Numbers:
    name = path.name
    sizes = header.sizes(name)
    if not 1 <= len(sizes) <= 5:
        raise FileError(f"{name} needs 1 to 5 axes; its sizes are {header.fields['sizes'][:80]!r}.")
    kind = KINDS.get(header.needed("type", name).lower())
    if kind is None:
        raise FileError(f"{name} needs whole or real numbers; its type is {header.fields['type'][:40]!r}.")
    encoding = header.needed("encoding", name).lower()
    body = _body(path, header)
    packed = encoding in ("gzip", "gz", "bzip2", "bz2")
    in_text = encoding in ("ascii", "text", "txt")  # a digit at least for each number
    claimed = check_claim(name, sizes, 1 if in_text else np.dtype(kind).itemsize, len(body), packed=packed)
    count = claimed * np.dtype(kind).itemsize if in_text else claimed
    data = _decode(body, encoding, count, np.dtype(kind), name)
    big = header.fields.get("endian", "little").lower() == "big"
    return data.view(np.dtype(kind).newbyteorder(">" if big else "<")).reshape(sizes[::-1])


def _body(path: Path, header: Header) -> bytes:
    data_file = header.fields.get("data file")
    skip = _number(header.fields.get("byte skip", "0"), path.name)
    if _number(header.fields.get("line skip", "0"), path.name):
        raise FileError(f"{path.name} skips lines before its voxels, which is not read.")
    if data_file is None:
        with path.open("rb") as file:
            file.seek(header.end)
            body = file.read()
    else:
        body = detached_file(path, data_file).read_bytes()
    return body[skip:] if skip >= 0 else body


def detached_file(path: Path, name: str) -> Path:
    """Return the file of voxels that a header names; FileError unless it lies beside the header."""
    beside = path.with_name(Path(name).name)
    if Path(name).name != name.removeprefix("./") or not beside.is_file() or beside.is_symlink():
        raise FileError(f"{path.name} needs its voxels in a file beside it; it names {name[:80]!r}.")
    return beside


def _decode(body: bytes, encoding: str, count: int, kind: np.dtype[np.generic], name: str) -> NDArray[np.uint8]:
    try:
        match encoding:
            case "raw":
                data = body
            case "gzip" | "gz":
                data = zlib.decompressobj(47).decompress(body, count)
            case "bzip2" | "bz2":
                data = bz2.BZ2Decompressor().decompress(body, count)
            case "hex":
                data = bytes.fromhex(body.decode("ascii", "replace"))
            case "ascii" | "text" | "txt":
                data = _numbers_in(body, kind.newbyteorder("<")).tobytes()
            case _:
                raise FileError(f"{name} has the encoding {encoding[:40]!r}, which is not read.")
    except (zlib.error, OSError, ValueError, OverflowError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{name} is damaged: {error}.") from None
    if len(data) < count:
        raise FileError(f"{name} is cut short: {count} bytes of voxels are needed, {len(data)} came.")
    return np.frombuffer(data, np.uint8, count)


def _numbers_in(text: bytes, kind: np.dtype[np.generic]) -> Numbers:
    """Return the numbers in a text, a piece at a time: as words of Python they take twenty times the file."""
    found, start = [], 0
    while start < len(text):
        blank = re.compile(rb"\s").search(text, min(start + PIECE, len(text)))
        end = blank.start() if blank else len(text)
        found.append(np.array(text[start:end].split(), kind))
        start = end + 1
    return np.concatenate(found) if found else np.zeros(0, kind)


def _vector(text: str, name: str) -> list[float] | None:
    text = text.strip()
    if text == "none":
        return None
    try:
        return [float(v) for v in text.strip("()").split(",")]
    except ValueError:
        raise FileError(f"{name} needs a vector like (1,0,0) in its header; got {text[:40]!r}.") from None


def _geometry(header: Header, axes: int, name: str) -> tuple[list[int], Affine, tuple[str, ...]]:
    """Return the axes in space (in file order), the affine, and notes."""
    space = header.fields.get("space", "").lower()
    notes = () if space in SPACES else ("The file says no anatomical space: left, posterior and superior are taken.",)
    signs = SPACES.get(space, SPACES["lps"])
    if "space directions" in header.fields:
        vectors = [_vector(v, name) for v in _split(header.fields["space directions"])]
        if len(vectors) != axes:
            raise FileError(f"{name} has {axes} axes but {len(vectors)} space directions.")
        spatial = [i for i, vector in enumerate(vectors) if vector is not None]
        columns = [_position(vectors[i] or [], name) for i in spatial]
    else:
        spatial = _without_directions(header, axes)
        steps = [float(s) for s in header.fields.get("spacings", " ".join(["1"] * axes)).split()]
        if len(steps) != axes:
            raise FileError(f"{name} has {axes} axes but {len(steps)} spacings.")
        sized = [steps[i] if np.isfinite(steps[i]) and steps[i] != 0 else 1.0 for i in spatial]
        columns = [np.eye(3)[k] * step for k, step in enumerate(sized)]
    if not 1 <= len(columns) <= 3:
        raise FileError(f"{name} needs 1 to 3 axes in space; it has {len(columns)}.")
    origin = _position(_vector(header.fields.get("space origin", "(0,0,0)"), name) or [0.0, 0.0, 0.0], name)
    affine = np.eye(4)
    affine[:3, :3] = _complete_axes(columns)
    affine[:3, 3] = origin
    return spatial, turned(np.diag([*signs, 1.0]) @ affine), notes


def _split(text: str) -> list[str]:
    """Return the vectors of a list, blanks inside brackets taken out."""
    return text.replace(", ", ",").replace("( ", "(").replace(" )", ")").split()


def _position(vector: Sequence[float], name: str) -> NDArray[np.float64]:
    if len(vector) not in (2, 3):
        raise FileError(f"{name} needs positions of 2 or 3 numbers; got {len(vector)}.")
    return np.array([*vector, *[0.0] * (3 - len(vector))])


def _complete_axes(columns: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return three columns: a plane gets its normal of 1 mm, a line two."""
    while len(columns) < 3:
        if len(columns) == 1:
            columns = [*columns, np.roll(np.eye(3), 1, 0)[int(np.abs(columns[0]).argmax())]]
        else:
            along, across = (column / (float(np.linalg.norm(column)) or 1.0) for column in columns)
            normal = np.cross(along, across)
            columns = [*columns, normal / (float(np.linalg.norm(normal)) or 1.0)]
    return np.stack(columns, axis=1)


def _without_directions(header: Header, axes: int) -> list[int]:
    kinds = header.fields.get("kinds", "").lower().split()
    if len(kinds) == axes and not all(kind in ("domain", "space", "???", "none") for kind in kinds):
        return [i for i, kind in enumerate(kinds) if kind in ("domain", "space")]
    return list(range(min(axes, 3)))


def write_nrrd(path: Path, voxels: Numbers, affine: Affine, keys: dict[str, str] | None = None) -> None:
    """Write [c z y x] numbers as NRRD in LPS, gzip-packed; `keys` become its key:=value lines."""
    write_bytes(path, nrrd_bytes(voxels, affine, keys))


def nrrd_bytes(voxels: Numbers, affine: Affine, keys: dict[str, str] | None = None) -> bytes:
    """Return the file that `write_nrrd` writes."""
    data = np.ascontiguousarray(np.moveaxis(to_native(voxels), 0, -1) if len(voxels) > 1 else to_native(voxels)[0])
    out = turned(mirrored(affine))
    vectors = [_text(out[:3, k]) for k in range(3)]
    many = len(voxels) > 1
    lines = [
        "NRRD0004",
        f"type: {WRITTEN[data.dtype.str[1:]]}",
        f"dimension: {data.ndim}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(str(n) for n in data.shape[::-1])}",
        f"space directions: {' '.join((['none'] if many else []) + vectors)}",
        f"kinds: {'list ' if many else ''}domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_text(out[:3, 3])}",
        *(f"{key}:={value}" for key, value in (keys or {}).items()),
    ]
    body = gzipped(data.astype(data.dtype.newbyteorder("<"), copy=False), 3)
    return ("\n".join(lines) + "\n\n").encode() + body


def _text(vector: NDArray[np.float64]) -> str:
    return "(" + ",".join(repr(float(v)) for v in vector) + ")"


def segment_keys(label_map: LabelMap, labels: Sequence[Label]) -> dict[str, str]:
    """Return Slicer's description of the labels: one segment each, in the layer of the map that has it."""
    keys = {"Segmentation_MasterRepresentation": "Binary labelmap", "Segmentation_ContainedRepresentationNames": "|"}
    for i, label in enumerate(labels):
        box = bounds(label_mask(label_map, label.value))
        lows, highs = (box.low, [h - 1 for h in box.high]) if box else ((0, 0, 0), [-1, -1, -1])
        extent = " ".join(f"{low} {high}" for low, high in zip(reversed(lows), reversed(highs), strict=True))
        keys |= {
            f"Segment{i}_ID": f"Segment_{label.value}",
            f"Segment{i}_Name": " ".join(label.name.split()),
            f"Segment{i}_NameAutoGenerated": "0",
            f"Segment{i}_Color": " ".join(f"{c / 255:.6g}" for c in label.colour),
            f"Segment{i}_ColorAutoGenerated": "0",
            f"Segment{i}_LabelValue": str(label.value),
            f"Segment{i}_Layer": str(map_with(label_map, label.value)),
            f"Segment{i}_Extent": extent,
            f"Segment{i}_Tags": "|",
        }
    return keys


def read_segments(path: Path, *, layered: bool = False) -> tuple[NDArray[np.uint16], Affine]:
    """Return the label map of an NRRD mask and its affine; later segments of a .seg.nrrd lie on top of earlier ones.

    With `layered` those that share voxels stay whole, in maps [layer z y x].
    """
    image = read_nrrd(path)
    keys = read_header(path).keys
    layers = whole_labels(image.voxels, path.name)
    if len(layers) == 1:
        return layers[0], image.affine
    merged, layering = np.zeros(layers.shape[1:], np.uint16), Layering(layers.shape[1:])
    count = _segments(keys)
    numbers = _numbers_of_segments(keys, path.name)
    for i in range(count):
        layer = _number(keys.get(f"Segment{i}_Layer", "0"), path.name)
        if not 0 <= layer < len(layers):
            raise FileError(f"{path.name} has {len(layers)} layers; segment {i} is in layer {layer}.")
        value = _number(keys.get(f"Segment{i}_LabelValue", "1"), path.name)
        if layered:
            layering.add(numbers[i], layers[layer] == value)
        else:
            merged[layers[layer] == value] = numbers[i]
    if not count:
        raise FileError(f"{path.name} has {len(layers)} channels; a mask has one.")
    return layering.maps if layered else merged, image.affine


def _numbers_of_segments(keys: dict[str, str], name: str) -> list[int]:
    """Return the number of each segment of several layers: its own, or, where these repeat, its place among them."""
    values = [_number(keys.get(f"Segment{i}_LabelValue", "1"), name) for i in range(_segments(keys))]
    return values if len(set(values)) == len(values) else list(range(1, len(values) + 1))


def segment_names(path: Path) -> dict[int, str]:
    """Return the names of a .seg.nrrd's segments by their values in the label map that `read_segments` makes."""
    header = read_header(path)
    sizes, keys = header.sizes(path.name), header.keys
    in_space = _geometry(header, len(sizes), path.name)[0]
    layered = any(size > 1 for axis, size in enumerate(sizes) if axis not in in_space)
    values = (
        _numbers_of_segments(keys, path.name)
        if layered
        else [_number(keys.get(f"Segment{i}_LabelValue", "1"), path.name) for i in range(_segments(keys))]
    )
    return {value: keys.get(f"Segment{i}_Name", "") for i, value in enumerate(values)}


def _segments(keys: dict[str, str]) -> int:
    return sum(1 for key in keys if key.startswith("Segment") and key.endswith("_LabelValue"))
