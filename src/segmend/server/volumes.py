"""A case's voxels as an uncompressed NIfTI-1 file, streamed slice by slice for the viewer.

NIfTI counts (x, y, z) with x fastest, which is how our (z, y, x) arrays already lie in
memory, so only the affine's columns are reversed; no voxel is moved.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from segmend.core.image import Image
from segmend.errors import LimitError, NotFoundError
from segmend.io.nifti import HEADER_BYTES, nifti_header

PIECE_BYTES = 4 << 20


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
        return nifti_header(self._image.shape[::-1], self._kind, self._image.affine, colour=self._coloured)


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
