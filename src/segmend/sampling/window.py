"""Windows on a plane: a rectangle of pixels resampled to a square grid, and back again.

A network looks at N x N cells. A `Window` says which rectangle of a plane those cells
cover, in pixel edges: pixel i reaches from i to i + 1. `resample_to_grid` averages where a
cell holds several pixels and interpolates where a pixel holds several cells; what lies
outside the plane is 0. `resample_to_plane` interpolates the cells at the pixels' centres.
Both are two small matrix products, so a window costs well under a millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Real


def colour_or_grey(channels: NDArray[np.generic]) -> NDArray[np.generic]:  # [c ...]
    """Return the channels that networks see: the first three as colours, else the first alone.

    >>> len(colour_or_grey(np.zeros((4, 2, 2)))), len(colour_or_grey(np.zeros((2, 2, 2))))
    (3, 1)
    """
    return channels[: 3 if len(channels) >= 3 else 1]


@dataclass(frozen=True)
class Window:
    """The rectangle from `top`, `left` of this height and width, in pixel edges of a plane."""

    top: float
    left: float
    height: float
    width: float

    @property
    def bottom(self) -> float:
        return self.top + self.height

    @property
    def right(self) -> float:
        return self.left + self.width

    def pixels(self, rows: int, columns: int) -> tuple[slice, slice]:
        """Return the pixels of a plane of this size whose centres the window covers.

        >>> Window(-2, 1, 4, 2.4).pixels(10, 10)
        (slice(0, 2, None), slice(1, 3, None))
        """
        return _covered(self.top, self.bottom, rows), _covered(self.left, self.right, columns)

    def cell(self, row: float, column: float, cells: int) -> tuple[float, float]:
        """Return where a pixel's centre falls on the grid, in cells (their centres are whole)."""
        return (
            (row + 0.5 - self.top) * cells / self.height - 0.5,
            (column + 0.5 - self.left) * cells / self.width - 0.5,
        )


def around(
    top: float, left: float, bottom: float, right: float, *, margin: float, aspect: float = 1.0, least: float = 1.0
) -> Window:
    """Return a window round a rectangle, square in millimetres, `margin` times its longer side.

    `aspect` is the row spacing over the column spacing; `least` the smallest side in columns.

    >>> around(10, 10, 20, 40, margin=2)
    Window(top=-15.0, left=-5.0, height=60.0, width=60.0)
    """
    side = float(max((bottom - top) * aspect, right - left, least) * margin)  # in column pixels
    height = side / aspect
    return Window((top + bottom - height) / 2, (left + right - side) / 2, height, side)


def resample_to_grid(plane: NDArray[np.generic], window: Window, cells: int) -> Real:  # [y x] -> [cells cells]
    """Return the plane's values in the window, resampled to the grid.

    >>> resample_to_grid(np.arange(16.0).reshape(4, 4), Window(0, 0, 4, 4), 2)
    array([[ 2.5,  4.5],
           [10.5, 12.5]], dtype=float32)
    """
    rows, columns = plane.shape
    y, down = cell_weights(window.top, window.height, rows, cells)
    x, across = cell_weights(window.left, window.width, columns, cells)
    part = plane[y, x].astype(np.float32)
    return np.asarray(down @ part @ across.T, np.float32)


def resample_to_plane(grid: Real, window: Window, rows: int, columns: int) -> tuple[Real, tuple[slice, slice]]:
    """Return the grid's values at the pixels it covers, and which pixels these are.

    >>> values, where = resample_to_plane(np.eye(2, dtype=np.float32), Window(0, 0, 4, 4), 4, 4)
    >>> values[0].tolist(), where[0]
    ([1.0, 0.75, 0.25, 0.0], slice(0, 4, None))
    """
    ys, xs = window.pixels(rows, columns)
    down = pixel_weights(ys, window.top, window.height, len(grid))
    across = pixel_weights(xs, window.left, window.width, len(grid))
    return np.asarray(down @ grid @ across.T, np.float32), (ys, xs)


def cells_on_plane(window: Window, rows: int, columns: int, cells: int) -> NDArray[np.bool_]:  # [cells cells]
    """Return which cells have their centre on the plane.

    >>> cells_on_plane(Window(-2, 0, 4, 4), 4, 4, 2).tolist()
    [[False, False], [True, True]]
    """
    y = window.top + (np.arange(cells) + 0.5) * window.height / cells
    x = window.left + (np.arange(cells) + 0.5) * window.width / cells
    return np.asarray(((y > 0) & (y < rows))[:, None] & ((x > 0) & (x < columns))[None])


def plane_intensity_channels(seen: Real, valid: NDArray[np.bool_]) -> Real:  # [1|3 n n], [n n] -> [4 n n]
    """Return red, green, blue and equalised grey, 0 to 1; cells outside the image are 0.

    >>> seen = np.arange(4.0, dtype=np.float32).reshape(1, 2, 2)
    >>> (plane_intensity_channels(seen, np.ones((2, 2), bool))[0] * 3).round().tolist()
    [[0.0, 1.0], [2.0, 3.0]]
    """
    out = np.zeros((4, *valid.shape), np.float32)
    if not valid.any():
        return out
    values = seen[:, valid]
    low, high = np.percentile(values, (0.5, 99.5))
    scaled = np.clip((values - low) / max(float(high - low), 1e-6), 0, 1)
    out[:3, valid] = scaled
    grey = np.rint(scaled.mean(axis=0) * 255).astype(np.intp)
    share = np.cumsum(np.bincount(grey, minlength=256)) / len(grey)
    out[3, valid] = share[grey]
    return out


def _covered(low: float, high: float, count: int) -> slice:
    first = min(max(int(np.ceil(low - 0.5)), 0), count)
    last = min(max(int(np.ceil(high - 0.5)), first), count)
    return slice(first, last)


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
