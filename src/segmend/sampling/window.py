"""Windows on a plane: a rectangle of pixels resampled to a square grid, and back again.

A network looks at N x N cells. A `Window` says which rectangle of a plane those cells
cover, in pixel edges: pixel i reaches from i to i + 1. `resample_to_grid` averages where a
cell holds several pixels and interpolates where a pixel holds several cells; what lies
outside the plane is 0. `resample_to_plane` interpolates the cells at the pixels' centres.
Both are two small matrix products, so a window costs well under a millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Real, bounds
from segmend.core.marks import in_plane
from segmend.sampling.resample import cell_weights, pixel_weights

Plane = NDArray[np.bool_]  # [y x]


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

    def cells(
        self, rows: NDArray[np.intp], columns: NDArray[np.intp], cells: int
    ) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
        """Return where the centres of many pixels fall on the grid; the numbers of `cell`, bit for bit."""
        return (
            (rows + 0.5 - self.top) * cells / self.height - 0.5,
            (columns + 0.5 - self.left) * cells / self.width - 0.5,
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


def _covered(low: float, high: float, count: int) -> slice:
    first = min(max(int(np.ceil(low - 0.5)), 0), count)
    last = min(max(int(np.ceil(high - 0.5)), first), count)
    return slice(first, last)


def resample_to_whole_plane(probability: Real, window: Window, rows: int, columns: int) -> Real:  # [n n] -> [y x]
    """Return a grid's probabilities on their plane, 0 outside the window."""
    values, where = resample_to_plane(probability, window, rows, columns)
    whole = np.zeros((rows, columns), np.float32)
    whole[where] = np.clip(values, 0, 1)
    return whole


def window_around_mask(mask: Plane, frame: Window, aspect: float, *, margin: float, least: float = 24.0) -> Window:
    """Return a window round a mask, or the whole plane's where that is no larger."""
    box = bounds(mask[None])
    if box is None:
        return frame
    (top, left), (bottom, right) = in_plane(box, 0)
    window = around(top, left, bottom, right, margin=margin, aspect=aspect, least=least)
    return frame if window.width >= frame.width else window


def touches_window_edge(mask: Plane, window: Window) -> bool:
    """Tell whether a plane's mask reaches an edge of the window that is not an edge of the plane."""
    rows, columns = mask.shape
    ys, xs = window.pixels(rows, columns)
    inner = mask[ys, xs]
    if not inner.any():
        return False
    return bool(
        (ys.start > 0 and inner[0].any())
        or (xs.start > 0 and inner[:, 0].any())
        or (ys.stop < rows and inner[-1].any())
        or (xs.stop < columns and inner[:, -1].any())
    )
