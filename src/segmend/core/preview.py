"""Small pictures of a slice for notebooks: windowed, as wide as the object is in millimetres, with a mask's outline."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SIDE = 256  # pixels of the longer side
OUTLINE = (230, 75, 60)  # red, green, blue
WINDOW = (1.0, 99.0)  # percentiles of a slice that are shown black and white


def picture(plane: NDArray[np.generic], spacing: Sequence[float], mask: NDArray[np.bool_] | None = None) -> str:
    """Return [c y x] numbers of a slice as an <img> of a PNG, perhaps with a mask's outline; `spacing` is (y, x).

    Bytes of three channels are colours and shown as they are, as is a probability, which has a mask.
    """
    from PIL import Image as Pillow

    colours = plane[:3] if len(plane) in (3, 4) else plane[:1]
    values = colours.astype(np.float32)
    if mask is not None:
        low, high = 0.0, 1.0
    elif plane.dtype == np.uint8 and len(colours) == 3:
        low, high = 0.0, 255.0
    else:
        low, high = np.percentile(values, WINDOW)
    grey = np.clip((values - low) / max(float(high - low), 1e-12), 0, 1) * 255
    rgb = np.moveaxis(np.broadcast_to(grey, (3, *grey.shape[1:])), 0, -1).astype(np.uint8)
    height, width = (n * float(step) for n, step in zip(grey.shape[1:], spacing, strict=True))
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    shown = np.asarray(Pillow.fromarray(rgb).resize(size, Pillow.Resampling.BILINEAR)).copy()
    if mask is not None:
        inside = np.asarray(Pillow.fromarray(mask).resize(size, Pillow.Resampling.NEAREST), bool)
        shown[_edge(inside)] = OUTLINE
    file = io.BytesIO()
    Pillow.fromarray(shown).save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="" width="{size[0]}" height="{size[1]}" src="data:image/png;base64,{data}">'


def _edge(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of a mask that have a neighbour outside it.

    >>> _edge(np.ones((3, 3), bool)).sum()
    np.int64(8)
    """
    padded = np.pad(inside, 1)
    all_round = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(inside & ~all_round)
