"""Analyze 7.5: a header of 348 bytes (.hdr) and the voxels beside it (.img), which NIfTI has replaced.

The format has no orientation that programs agree on, and none that says which side of the patient is left. As SPM,
FSL and nibabel do, columns are taken to run to the left (radiological order), rows to the front and slices upwards;
the image's notes say so. Where SPM left a scale or an origin in the header, they count.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from segmend.core.geometry import Affine, turned
from segmend.core.image import Image
from segmend.io.axes import select_channels
from segmend.io.intensities import check_finite, rescale, to_native
from segmend.io.nifti import (
    VERSION_1,
    Header,
    open_unpacked,
    rgb_channels,
    stored_voxels,
    voxels_file,
)

SIZE = 348  # bytes of the header
BITS = {2: 8, 4: 16, 8: 32, 16: 32, 64: 64, 128: 24}  # of each datatype; bits and complex numbers are not read
FIELDS = {name: VERSION_1[name] for name in ("dim", "datatype", "pixdim", "offset")}
# Where SPM keeps a factor, and the origin as a voxel counted from 1, in fields that Analyze leaves unused.
SCALE, ORIGIN = (112, "f"), (253, "3h")
NOTE = (
    "An Analyze file does not say which side is left; its columns are taken to run to the left, as SPM and nibabel "
    "take them. Check this before left and right matter."
)


def is_analyze(head: bytes) -> bool:
    """Say whether a file that starts so is a header of Analyze 7.5: of its size, with sensible axes and numbers."""
    order = _order(head)
    if not order or head[344:347] in (b"ni1", b"n+1"):
        return False
    axes, code, bits = (struct.unpack_from(f"{order}h", head, at)[0] for at in (40, 70, 72))
    return bool(1 <= axes <= 7 and BITS.get(code) == bits)


def _order(head: bytes) -> str:
    """Return the byte order of a header, empty when the file is none."""
    if len(head) < SIZE:
        return ""
    return next((order for order in "<>" if struct.unpack_from(f"{order}i", head)[0] == SIZE), "")


def read_analyze(path: Path, *, fourth: str = "channels", frame: int = 0) -> Image:
    """Return the image of an Analyze header and the .img file beside it; `fourth` says what a 4th axis is."""
    with open_unpacked(path) as file:
        head = file.read(SIZE)
    order, source = _order(head), voxels_file(path)
    header = {name: struct.unpack_from(order + form, head, at) for name, (at, form) in FIELDS.items()}
    with open_unpacked(source) as file:
        stored = stored_voxels(file, source, header, order, least=0)
    affine = _affine(header, struct.unpack_from(order + ORIGIN[1], head, ORIGIN[0]))
    if stored.ndim == 6:
        return Image(rgb_channels(stored, path.name), affine, (NOTE,), axes="zyx")
    voxels = to_native(select_channels(stored, fourth=fourth, frame=frame, name=path.name))
    scale = struct.unpack_from(order + SCALE[1], head, SCALE[0])[0]
    if np.isfinite(scale) and scale != 0:
        voxels = rescale(voxels, scale, 0)
    return Image(check_finite(voxels, path.name), affine, (NOTE,), axes="zyx")


def _affine(header: Header, origin: tuple[int, ...]) -> Affine:
    """Return where the voxels lie: the origin is SPM's voxel where there is one, else the middle of the image."""
    sizes = np.array([n if k < header["dim"][0] else 1 for k, n in enumerate(header["dim"][1:4])], float)
    steps = np.array([abs(d) if np.isfinite(d) and d != 0 else 1.0 for d in header["pixdim"][1:4]])
    said = np.array(origin, float)
    sensible = said.any() and (said > -sizes).all() and (said < 2 * sizes).all()
    middle = said - 1 if sensible else (sizes - 1) / 2
    affine = np.diag([-steps[0], steps[1], steps[2], 1.0])
    affine[:3, 3] = -affine[:3, :3] @ middle
    return turned(affine)
