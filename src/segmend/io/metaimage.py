"""MetaImage: .mha, and .mhd with its voxels in a file beside it."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np

from segmend.core.atomic import write_bytes
from segmend.core.geometry import Affine, mirrored, turned
from segmend.core.image import Image
from segmend.errors import FileError
from segmend.io.axes import select_channels
from segmend.io.intensities import Numbers, check_finite, to_native
from segmend.io.nrrd import detached_file
from segmend.io.sizes import check_claim

TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
# The name under which each NumPy type is written, where two names read as one.
WRITTEN = {kind: name for name, kind in TYPES.items() if name not in ("MET_LONG", "MET_ULONG")}
# Bytes in which a header must end.
HEAD = 65536


def is_metaimage(head: bytes) -> bool:
    """Say whether a file that starts so is MetaImage: lines of `Key = value`, the dimensions among them.

    >>> is_metaimage(b"ObjectType = Image\\nNDims = 3\\n")
    True
    """
    return re.match(rb"\s*[A-Za-z]+\s*=", head) is not None and re.search(rb"(^|\n)NDims\s*=", head) is not None


def _header(path: Path) -> tuple[dict[str, str], int]:
    """Return the keys of the header and where it ends."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    keys: dict[str, str] = {}
    at = 0
    while at < len(head):
        stop = head.find(b"\n", at)
        line = head[at : stop if stop >= 0 else len(head)].decode("utf-8", "replace")
        at = stop + 1 if stop >= 0 else len(head)
        key, sign, value = line.partition("=")
        if not sign:
            raise FileError(f"{path.name} is damaged: its header has the line {line[:40]!r}.")
        keys[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            return keys, at
    raise FileError(f"{path.name} is cut short: its header has no ElementDataFile.")


def _numbers(keys: dict[str, str], names: tuple[str, ...], count: int, default: list[float], file: str) -> list[float]:
    text = next((keys[name] for name in names if name in keys), None)
    if text is None:
        return default
    try:
        numbers = [float(v) for v in text.split()]
    except ValueError:
        numbers = []
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise FileError(f"{file} needs {count} numbers as {names[0]}; got {text[:60]!r}.")
    return numbers


def read_metaimage(path: Path, *, fourth: str = "channels", frame: int = 0) -> Image:
    """Return the image of a MetaImage file; `fourth` says what a fourth axis is."""
    keys, end = _header(path)
    name = path.name
    axes = int(_numbers(keys, ("NDims",), 1, [0.0], name)[0])
    if not 1 <= axes <= 4:
        raise FileError(f"{name} needs 1 to 4 axes; it has {axes}.")
    sizes = [int(n) for n in _numbers(keys, ("DimSize",), axes, [0.0] * axes, name)]
    channels = int(_numbers(keys, ("ElementNumberOfChannels",), 1, [1.0], name)[0])
    kind = TYPES.get(keys.get("ElementType", "").removesuffix("_ARRAY"))
    if kind is None:
        raise FileError(f"{name} needs whole or real numbers; its type is {keys.get('ElementType', '')[:40]!r}.")
    shape = (*reversed(sizes), channels)
    stored = _voxels(path, keys, end, shape, np.dtype(kind))
    full = stored.reshape((1,) * (5 - len(shape)) + shape)  # [t z y x c]
    voxels = select_channels(to_native(np.moveaxis(full, -1, 0)), fourth=fourth, frame=frame, name=name)
    return Image(check_finite(np.ascontiguousarray(voxels), name), _affine(keys, axes, name), axes="zyx")


def _voxels(path: Path, keys: dict[str, str], end: int, shape: tuple[int, ...], kind: np.dtype[np.generic]) -> Numbers:
    name, inside = path.name, keys["ElementDataFile"].upper() == "LOCAL"
    source = path if inside else detached_file(path, keys["ElementDataFile"])
    packed = keys.get("CompressedData", "False").lower() == "true"
    start = end if inside else 0
    count = check_claim(name, shape, kind.itemsize, source.stat().st_size - start, packed=packed)
    skip = int(_numbers(keys, ("HeaderSize",), 1, [0.0], name)[0])
    with source.open("rb") as file:
        if skip == -1:
            start = source.stat().st_size - count
        file.seek(max(0, start if skip == -1 else start + skip))
        data = file.read()
    if packed:
        try:
            data = zlib.decompressobj(47).decompress(data, count)
        except zlib.error as error:
            raise FileError(f"{name} is damaged: {error}.") from None
    if len(data) < count:
        raise FileError(f"{name} is cut short: {count} bytes of voxels are needed, {len(data)} came.")
    big = any(keys.get(k, "False").lower() == "true" for k in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB"))
    return np.frombuffer(data, kind.newbyteorder(">" if big else "<"), count // kind.itemsize).reshape(shape)


def _affine(keys: dict[str, str], axes: int, name: str) -> Affine:
    ones, zeros = [1.0] * axes, [0.0] * axes
    spacing = _numbers(keys, ("ElementSpacing", "ElementSize"), axes, ones, name)
    origin = _numbers(keys, ("Offset", "Position", "Origin"), axes, zeros, name)
    matrix = ("TransformMatrix", "Rotation", "Orientation")
    vectors = np.reshape(_numbers(keys, matrix, axes * axes, np.eye(axes).ravel().tolist(), name), (axes, axes))
    count = min(axes, 3)
    affine = np.eye(4)
    affine[:count, :count] = vectors[:count, :count].T * [s or 1.0 for s in spacing[:count]]
    affine[:count, 3] = origin[:count]
    return mirrored(turned(affine))


def write_metaimage(path: Path, voxels: Numbers, affine: Affine) -> None:
    """Write [c z y x] numbers as one .mha file, packed."""
    data = np.ascontiguousarray(np.moveaxis(to_native(voxels), 0, -1))
    out = turned(mirrored(affine))
    spacing = np.linalg.norm(out[:3, :3], axis=0)
    directions = (out[:3, :3] / spacing).T
    body = zlib.compress(data.astype(data.dtype.newbyteorder("<"), copy=False).data, 3)
    lines = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = True",
        f"CompressedDataSize = {len(body)}",
        f"TransformMatrix = {_text(directions.ravel())}",
        f"Offset = {_text(out[:3, 3])}",
        "CenterOfRotation = 0 0 0",
        f"ElementSpacing = {_text(spacing)}",
        f"DimSize = {' '.join(str(n) for n in data.shape[2::-1])}",
        *([f"ElementNumberOfChannels = {len(voxels)}"] if len(voxels) > 1 else []),
        f"ElementType = {WRITTEN[data.dtype.str[1:]]}",
        "ElementDataFile = LOCAL",
    ]
    write_bytes(path, ("\n".join(lines) + "\n").encode() + body)


def _text(numbers: Numbers) -> str:
    return " ".join(repr(float(v)) for v in numbers)
