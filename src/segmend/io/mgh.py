"""FreeSurfer's MGH and MGZ: a header of 284 bytes, big endian, the voxels, and a footer that is left alone.

The header gives the directions of the axes and where the middle of the grid lies, in RAS millimetres; the middle is
at half the sizes, half a voxel behind the centre of the middle voxel. Where its flag says that they are not known,
FreeSurfer takes coronal slices of 1 mm; so does this, and a note says so.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

from segmend.core.geometry import Affine, turned
from segmend.core.image import Image, is_flat
from segmend.errors import FileError
from segmend.io.axes import select_channels
from segmend.io.intensities import check_finite, to_native
from segmend.io.nifti import open_unpacked, read_bytes
from segmend.io.sizes import check_claim

SIZE = 284  # bytes of the header
TYPES = {0: "u1", 1: ">i4", 3: ">f4", 4: ">i2", 10: ">u2"}
# Directions of the axes that FreeSurfer takes where a file gives none.
CORONAL = (-1.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 1.0, 0.0)
NOTE = "The file says no orientation: coronal slices of 1 mm are taken, as FreeSurfer takes them."


def is_mgh(head: bytes) -> bool:
    """Say whether a file that starts so (unpacked) is MGH: version 1, sizes above 0 and a type of numbers."""
    if len(head) < SIZE:
        return False
    version, *sizes, kind, _ = struct.unpack_from(">7i", head)
    return version == 1 and min(sizes) > 0 and 0 <= kind <= 10 and struct.unpack_from(">h", head, 28)[0] in (-1, 0, 1)


def read_mgh(path: Path, *, fourth: str = "channels", frame: int = 0) -> Image:
    """Return the image of an MGH or MGZ file; `fourth` says what its frames are."""
    with open_unpacked(path) as file:
        head = file.read(SIZE)
        if not is_mgh(head):
            raise FileError(f"{path.name} is not an MGH file.")
        _, width, height, depth, frames, code, _ = struct.unpack_from(">7i", head)
        if code not in TYPES:
            raise FileError(f"{path.name} needs whole or real numbers; its MGH type is {code}.")
        kind, shape = np.dtype(TYPES[code]), (frames, depth, height, width)
        packed, present = isinstance(file, gzip.GzipFile), path.stat().st_size
        claimed = check_claim(path.name, shape, kind.itemsize, present if packed else present - SIZE, packed=packed)
        stored = read_bytes(file, claimed, path.name).view(kind).reshape(1, *shape)
    voxels = to_native(select_channels(stored, fourth=fourth, frame=frame, name=path.name))
    known = struct.unpack_from(">h", head, 28)[0] > 0
    affine = _affine(head, (width, height, depth), known=known, name=path.name)
    return Image(check_finite(voxels, path.name), affine, () if known else (NOTE,), axes="zyx")


def _affine(head: bytes, sizes: tuple[int, int, int], *, known: bool, name: str) -> Affine:
    spacing, directions, middle = (struct.unpack_from(f">{n}f", head, at) for n, at in ((3, 30), (9, 42), (3, 78)))
    if not known:
        spacing, directions, middle = (1.0, 1.0, 1.0), CORONAL, (0.0, 0.0, 0.0)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(directions, (3, 3)).T * spacing  # a direction after the other in the file
    affine[:3, 3] = np.array(middle) - affine[:3, :3] @ np.array(sizes) / 2
    if is_flat(affine):
        raise FileError(f"{name} is damaged: its axes do not span a space.")
    return turned(affine)
