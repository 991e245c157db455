"""Prompts as voxels: which voxels a mark pins down, and how prompts enter a network's grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Box, Index
from segmend.core.prompts import Click, Drawn, Extremes, Prompt, Stroke

Points = NDArray[np.intp]  # [n 3] (z, y, x)


def line(start: Index, end: Index) -> Points:
    """Return the voxels of a straight line, both ends included, with no gaps.

    >>> line((0, 0, 0), (0, 1, 3)).tolist()
    [[0, 0, 0], [0, 0, 1], [0, 1, 2], [0, 1, 3]]
    """
    return path((start, end))


def path(points: Sequence[Index]) -> Points:
    """Return the voxels of a line through all the points, each voxel once, in order.

    >>> path([(0, 0, 0), (0, 0, 2), (0, 0, 1)]).tolist()
    [[0, 0, 0], [0, 0, 1], [0, 0, 2]]
    """
    corners = np.asarray(points, np.intp)
    if len(points) == 1:
        return corners
    ways = np.diff(corners, axis=0)  # all lines at once: a person's scribbles have thousands of corners
    steps = np.abs(ways).max(axis=1)
    counts = steps + 1
    number = np.repeat(np.arange(len(ways)), counts)
    t = (np.arange(len(number)) - np.repeat(np.cumsum(counts) - counts, counts))[:, None]
    least = np.maximum(steps, 1)[number, None]
    voxels = corners[number] + (2 * ways[number] * t + least) // (2 * least)
    _, first = np.unique(voxels, axis=0, return_index=True)
    return np.asarray(voxels[np.sort(first)], np.intp)


def mark(prompt: Prompt) -> tuple[Points, bool] | None:
    """Return the voxels that a prompt pins down, and their sign; None for the other kinds.

    A click pins its voxel, a stroke the line through its points, a drawing its voxels, extreme points themselves.
    Boxes, lassos, masks and adjustments guide but do not pin.
    """
    match prompt:
        case Click(index=index, positive=positive):
            return np.asarray([index], np.intp), positive
        case Stroke(points=points, positive=positive):
            return path(points), positive
        case Drawn(points=points, positive=positive):
            return points, positive
        case Extremes(points=points):
            return np.asarray(points, np.intp), True
        case _:
            return None


def marks(prompts: Sequence[Prompt], shape: Sequence[int]) -> tuple[Points, Points]:
    """Return the voxels pinned to the object and those pinned outside it.

    Where marks contradict each other the later one holds.

    >>> a, b = marks([Click((0, 1, 1)), Click((0, 1, 1), positive=False)], (1, 4, 4))
    >>> a.tolist(), b.tolist()
    ([], [[0, 1, 1]])
    """
    pinned: dict[int, bool] = {}
    grid = depth, rows, columns = int(shape[0]), int(shape[1]), int(shape[2])
    for prompt in prompts:
        if isinstance(prompt, Click):  # there may be a thousand of them
            z, y, x = prompt.index
            if 0 <= z < depth and 0 <= y < rows and 0 <= x < columns:
                pinned[(z * rows + y) * columns + x] = prompt.positive
                continue
        found = mark(prompt)
        if found is not None:
            voxels, positive = found
            for flat in np.ravel_multi_index(tuple(voxels.T), grid).tolist():
                pinned[flat] = positive
    return tuple(_unravel([i for i, sign in pinned.items() if sign is want], grid) for want in (True, False))  # type: ignore[return-value]


def _unravel(flat: list[int], shape: Index) -> Points:
    if not flat:
        return np.zeros((0, 3), np.intp)
    return np.stack(np.unravel_index(np.asarray(flat), shape), axis=1).astype(np.intp)


def fill_polygon(corners: NDArray[np.floating[Any]], rows: int, columns: int) -> NDArray[np.bool_]:
    """Return the pixels of a plane whose centres lie inside a closed line, by the even-odd rule.

    A centre on the line counts where the line is above or to the left of the area.

    >>> fill_polygon(np.array([[-0.5, -0.5], [-0.5, 1.5], [0.5, 1.5], [0.5, -0.5]]), 2, 3).astype(int).tolist()
    [[1, 1, 0], [0, 0, 0]]
    """
    flips = np.zeros((rows, columns + 1), np.uint8)
    for (ay, ax), (by, bx) in zip(corners.tolist(), np.roll(corners, -1, 0).tolist(), strict=True):
        if ay == by:
            continue
        first, last = int(np.ceil(min(ay, by))), int(np.ceil(max(ay, by)))
        y = np.arange(max(first, 0), min(last, rows))
        x = np.ceil(ax + (y - ay) * ((bx - ax) / (by - ay)))
        flips[y, np.clip(x, 0, columns).astype(np.intp)] ^= 1
    return np.bitwise_xor.accumulate(flips, axis=1)[:, :columns].astype(bool)


def fill_lasso(corners: NDArray[np.integer[Any]], rows: int, columns: int) -> NDArray[np.bool_]:
    """Return the pixels of a plane that lie inside a closed line of pixels (even-odd), or on it.

    >>> fill_lasso(np.array([[0, 0], [0, 2], [2, 2], [2, 0]]), 4, 4).astype(int).tolist()
    [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]
    """
    area = fill_polygon(corners.astype(float), rows, columns)
    for (ay, ax), (by, bx) in zip(corners.tolist(), np.roll(corners, -1, axis=0).tolist(), strict=True):
        drawn = line((0, ay, ax), (0, by, bx))[:, 1:]
        drawn = drawn[((drawn >= 0) & (drawn < (rows, columns))).all(axis=1)]
        area[tuple(drawn.T)] = True
    return area


def in_plane(box: Box, axis: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the low and the high corner of a box seen along an axis.

    >>> in_plane(Box((1, 2, 3), (4, 5, 6)), 1)
    ((1, 3), (4, 6))
    """
    (a, b), (c, d) = (tuple(v for i, v in enumerate(end) if i != axis) for end in (box.low, box.high))
    return (a, b), (c, d)
