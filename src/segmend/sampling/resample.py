"""The weights that resample a line of pixels to a line of cells, and back.

The axes of a plane and of a volume are independent, so `window` and `frame` multiply by one matrix of weights an axis.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from segmend.core.image import Real


@lru_cache(maxsize=256)
def cell_weights(start: float, length: float, count: int, cells: int) -> tuple[slice, Real]:
    """Return the pixels of a line that the cells touch, and how much each cell takes of each: [cells pixels].

    >>> where, weights = cell_weights(0.0, 4.0, 4, 2)
    >>> where, weights.tolist()
    (slice(0, 4, None), [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]])
    """
    step = length / cells
    low = max(int(np.floor(start - 1)), 0)
    high = min(int(np.ceil(start + length + 1)), count)
    if high <= low:
        return slice(0, 0), np.zeros((cells, 0), np.float32)
    centres = start + (np.arange(cells) + 0.5) * step
    pixels = np.arange(low, high) + 0.5
    if step >= 1:  # the share of the cell that the pixel fills
        reach = np.minimum(centres[:, None] + step / 2, pixels + 0.5) - np.maximum(
            centres[:, None] - step / 2, pixels - 0.5
        )
        weights = np.maximum(reach, 0) / step
    else:  # a tent as wide as a pixel
        weights = np.maximum(1 - np.abs(centres[:, None] - pixels), 0)
        inside = (centres >= 0) & (centres <= count)
        weights *= (inside / np.maximum(weights.sum(axis=1), 1e-6))[:, None]
    return slice(low, high), weights.astype(np.float32)


def pixel_weights(pixels: slice, start: float, length: float, cells: int) -> Real:
    """Return how much each pixel of a line takes of each cell: [pixels cells].

    >>> pixel_weights(slice(0, 4), 0.0, 4.0, 2).tolist()
    [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]
    """
    places = (np.arange(pixels.start, pixels.stop) + 0.5 - start) * cells / length - 0.5
    places = np.clip(places, 0, cells - 1)
    return np.asarray(np.maximum(1 - np.abs(places[:, None] - np.arange(cells)), 0), np.float32)


def line_weights(count: int, wanted: int) -> Real:
    """Return how much each of the elements wanted takes of each of those there are: [wanted count].

    They cover the same line: fewer are means of those there are, more are interpolated between them.

    >>> line_weights(4, 2).tolist(), line_weights(2, 3).round(2).tolist()
    ([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]], [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    """
    if count >= wanted:
        return cell_weights(0.0, float(count), count, wanted)[1]
    return pixel_weights(slice(0, wanted), 0.0, float(wanted), count)
