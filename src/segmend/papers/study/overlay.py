"""A picture with a mask over it, beside the truth: what reports and training show to people."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]  # [y x 3]
Flat = NDArray[np.bool_]  # [y x]


def painted(picture: NDArray[np.generic], truth: Flat, mask: Flat) -> Bytes:  # [c y x]
    """Return a picture with what a mask has right in red, what it missed in green and what is too much in blue.

    >>> right, missed = np.array([[True, False]]), np.array([[True, True]])
    >>> painted(np.zeros((1, 1, 2)), missed, right).tolist()
    [[[100, 0, 0], [0, 100, 0]]]
    """
    intensities = picture.astype(np.float32)
    low, high = np.percentile(intensities, (1, 99))
    grey = np.clip((intensities - low) / max(float(high - low), 1e-6), 0, 1) * 255
    out = np.broadcast_to(grey, (3, *grey.shape[1:])).transpose(1, 2, 0).copy()
    for channel, where in enumerate((truth & mask, truth & ~mask, mask & ~truth)):
        out[where] *= 0.6
        out[where, channel] += 100
    return np.asarray(np.clip(out, 0, 255), np.uint8)


def png(picture: Bytes, *, scale: int = 1) -> bytes:
    """Return a picture as a PNG's bytes, every pixel `scale` times as large."""
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.fromarray(picture.repeat(scale, axis=0).repeat(scale, axis=1)).save(buffer, format="PNG")
    return buffer.getvalue()
