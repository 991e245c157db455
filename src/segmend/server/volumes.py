"""A case's voxels as an uncompressed NIfTI-1 file, streamed slice by slice for the viewer.

NIfTI counts (x, y, z) with x fastest, which is how our (z, y, x) arrays already lie in
memory, so only the affine's columns are turned; no voxel is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from segmend.core.image import Image
from segmend.errors import LimitError, NotFoundError

HEADER_BYTES = 352  # 348 and four zeros: no extensions
PIECE_BYTES = 4 << 20
RGB24 = 128
CODES = {  # NumPy type -> NIfTI data type
    "u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "i1": 256, "u2": 512, "u4": 768, "i8": 1024, "u8": 1280,
}  # fmt: skip


class Volume:
    """One channel of an image, or its three as colours, ready to be sent."""

    def __init__(self, image: Image, channel: int | None = None) -> None:
        if channel is not None and not 0 <= channel < image.channels:
            raise NotFoundError(f"This image has channels 0 to {image.channels - 1}; there is no {channel}.")
        if max(image.shape) > 32767:
            raise LimitError(f"A NIfTI-1 file holds at most 32767 voxels along an axis; this image has {image.shape}.")
        self._image = image
        self._coloured = image.channels == 3 and channel is None
        self._channel = channel or 0
        kind = image.voxels.dtype
        self._kind = np.dtype("<f4") if kind == np.float16 else kind.newbyteorder("<")
        if self._coloured:
            self._kind = np.dtype("u1")

    @property
    def size_bytes(self) -> int:
        """The length of the file."""
        z, y, x = self._image.shape
        return HEADER_BYTES + z * y * x * self._kind.itemsize * (3 if self._coloured else 1)

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Yield the file, a few megabytes at a time."""
        yield self.header()
        z, y, x = self._image.shape
        step = max(1, PIECE_BYTES // (y * x * self._kind.itemsize))
        scale = _to_bytes(self._image) if self._coloured else None
        for low in range(0, z, step):
            if scale is not None:
                yield _colours(self._image.voxels[:, low : low + step], *scale)
            else:
                yield np.ascontiguousarray(self._image.voxels[self._channel, low : low + step], self._kind).data.cast(
                    "B"
                )

    def header(self) -> bytes:
        """Return the NIfTI-1 header and its empty extension."""
        z, y, x = self._image.shape
        code, bits = CODES.get(self._kind.str[1:], 0), self._kind.itemsize * 8
        if self._coloured:
            code, bits = RGB24, 24
        affine = np.asarray(self._image.affine)[:3, [2, 1, 0, 3]]  # columns for x, y, z, offset
        spacing = self._image.spacing[::-1].tolist()
        header = bytearray(HEADER_BYTES)
        struct.pack_into("<i", header, 0, 348)
        struct.pack_into("<8h", header, 40, 3, x, y, z, 1, 1, 1, 1)
        struct.pack_into("<2h", header, 70, code, bits)
        struct.pack_into("<8f", header, 76, 1.0, *spacing, 1.0, 1.0, 1.0, 1.0)
        struct.pack_into("<3f", header, 108, HEADER_BYTES, 1.0, 0.0)
        header[123] = 2  # millimetres
        struct.pack_into("<2h", header, 252, 0, 1)  # the affine is the sform, scanner coordinates
        struct.pack_into("<12f", header, 280, *affine.ravel().tolist())
        header[344:348] = b"n+1\0"
        return bytes(header)


def _to_bytes(image: Image) -> tuple[float, float]:
    """Return the offset and factor that bring colours to 0..255."""
    voxels = image.voxels
    if voxels.dtype == np.uint8:
        return 0.0, 1.0
    if voxels.dtype == np.uint16:
        return 0.0, 255 / 65535
    low, high = float(voxels.min()), float(voxels.max())
    return low, 255 / (high - low) if high > low else 1.0


def _colours(voxels: np.ndarray, low: float, factor: float) -> bytes:
    scaled = voxels if voxels.dtype == np.uint8 else ((voxels - low) * factor).round().astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(scaled, 0, -1), np.uint8).tobytes()  # [z y x c]
