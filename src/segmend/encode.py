"""Prompts as voxels: which voxels a mark pins down, and how prompts enter a network's grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmend.frame import Frame
from segmend.image import Box, Index, Real
from segmend.plane import Window
from segmend.prompts import Click, Extremes, Lasso, Prompt, Stroke, extent

Points = NDArray[np.intp]  # [n 3] (z, y, x)

CLICK_RADIUS = 3.0  # cells of a network's grid
STROKE_RADIUS = 2.0
BALL_RADIUS = 2.0  # of a click in a volume, in cells
TUBE_RADIUS = 1.5  # of a stroke there
GUESSED = 0.5  # what a box that nobody put down says, where one that somebody did says 1


@dataclass(frozen=True)
class Guess(Box):
    """A box that nobody put down: about as large, and about there, the object is thought to be."""


def widened(guess: Guess, prompts: Sequence[Prompt]) -> Guess:
    """Return a guess that holds all that was said to be inside.

    >>> widened(Guess((0, 0, 2), (1, 1, 4)), [Click((0, 0, 6)), Click((0, 0, 9), positive=False)])
    Guess(low=(0, 0, 2), high=(1, 1, 7))
    """
    box = Box(guess.low, guess.high)
    for prompt in prompts:
        there = extent(prompt) if getattr(prompt, "positive", True) else None
        box = box if there is None else box.union(there)
    return Guess(box.low, box.high)


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

    A click pins its voxel, a stroke the line through its points, extreme points themselves.
    Boxes, lassos, masks and adjustments guide but do not pin.
    """
    match prompt:
        case Click(index=index, positive=positive):
            return np.asarray([index], np.intp), positive
        case Stroke(points=points, positive=positive):
            return path(points), positive
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
    grid = (int(shape[0]), int(shape[1]), int(shape[2]))
    for prompt in prompts:
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


def stamp(grid: Real, rows: NDArray[np.floating[Any]], columns: NDArray[np.floating[Any]], radius: float) -> None:
    """Set to 1, in place, every cell within `radius` of one of the points.

    >>> grid = np.zeros((3, 5), np.float32)
    >>> stamp(grid, np.array([1.0]), np.array([1.0]), 1.0)
    >>> grid.astype(int).tolist()
    [[0, 1, 0, 0, 0], [1, 1, 1, 0, 0], [0, 1, 0, 0, 0]]
    """
    reach = int(np.ceil(radius))
    offsets = np.arange(-reach, reach + 1)
    dy, dx = (a.ravel() for a in np.meshgrid(offsets, offsets, indexing="ij"))
    y = np.rint(np.asarray(rows))[:, None] + dy
    x = np.rint(np.asarray(columns))[:, None] + dx
    near = (y - np.asarray(rows)[:, None]) ** 2 + (x - np.asarray(columns)[:, None]) ** 2 <= max(radius, 0.71) ** 2
    near &= (y >= 0) & (y < grid.shape[0]) & (x >= 0) & (x < grid.shape[1])
    grid[y[near].astype(np.intp), x[near].astype(np.intp)] = 1.0


def filled(points: NDArray[np.floating[Any]], rows: int, columns: int) -> NDArray[np.bool_]:
    """Return the pixels of a plane whose centres a closed line goes round (even-odd), and the line itself.

    >>> filled(np.array([[0, 0], [0, 2], [2, 2], [2, 0]]), 4, 4).astype(int).tolist()
    [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]
    """
    inside = np.zeros((rows, columns), bool)
    ends = np.roll(points, -1, axis=0)
    centres = np.arange(columns)
    for y in range(max(int(points[:, 0].min()), 0), min(int(points[:, 0].max()) + 1, rows)):
        crosses = (points[:, 0] <= y) != (ends[:, 0] <= y)
        (ay, ax), (by, bx) = points[crosses].T, ends[crosses].T
        at = ax + (y - ay) / (by - ay) * (bx - ax)
        inside[y] = (centres[None] >= at[:, None]).sum(axis=0) % 2 == 1
    for (ay, ax), (by, bx) in zip(points.tolist(), ends.tolist(), strict=True):
        drawn = line((0, round(ay), round(ax)), (0, round(by), round(bx)))[:, 1:]
        drawn = drawn[((drawn >= 0) & (drawn < (rows, columns))).all(axis=1)]
        inside[tuple(drawn.T)] = True
    return inside


def see_prompts(prompts: Sequence[Prompt], axis: int, index: int, window: Window, cells: int) -> Real:  # [3 n n]
    """Return the positive, negative and box channels of one plane."""
    out = np.zeros((3, cells, cells), np.float32)
    for prompt in prompts:
        match prompt:
            case Click(index=voxel, positive=positive):
                _stamp(out[0 if positive else 1], np.asarray([voxel]), axis, index, window, CLICK_RADIUS)
            case Stroke(points=points, positive=positive):
                if min(point[axis] for point in points) <= index <= max(point[axis] for point in points):
                    _stamp(out[0 if positive else 1], path(points), axis, index, window, STROKE_RADIUS)
            case Extremes(points=points):
                _stamp(out[0], np.asarray(points), axis, index, window, CLICK_RADIUS)
                _fill(out[2], extent(prompt), axis, index, window)
            case Box():
                _fill(out[2], prompt, axis, index, window)
            case _:
                pass
    return out


def _stamp(grid: Real, voxels: NDArray[np.intp], axis: int, index: int, window: Window, radius: float) -> None:
    here = voxels[voxels[:, axis] == index]
    if len(here):
        rows, columns = np.delete(here, axis, axis=1).T
        cells = [window.cell(row, column, len(grid)) for row, column in zip(rows, columns, strict=True)]
        y, x = np.asarray(cells).T
        stamp(grid, y, x, radius)


def _fill(grid: Real, box: Box | None, axis: int, index: int, window: Window) -> None:
    if box is None or not box.low[axis] <= index < box.high[axis]:
        return
    (top, left), (bottom, right) = in_plane(box, axis)
    y0, x0 = window.cell(top - 0.5, left - 0.5, len(grid))
    y1, x1 = window.cell(bottom - 0.5, right - 0.5, len(grid))
    rows, columns = np.arange(len(grid)), np.arange(len(grid))
    grid[((rows >= y0) & (rows < y1))[:, None] & ((columns >= x0) & (columns < x1))[None]] = 1.0


def in_plane(box: Box, axis: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the low and the high corner of a box seen along an axis.

    >>> in_plane(Box((1, 2, 3), (4, 5, 6)), 1)
    ((1, 3), (4, 6))
    """
    (a, b), (c, d) = (tuple(v for i, v in enumerate(end) if i != axis) for end in (box.low, box.high))
    return (a, b), (c, d)


def see_marks(prompts: Sequence[Prompt], frame: Frame) -> Real:  # [3 *cells]
    """Return the positive, negative and box channels of a volume: clicks as balls, strokes as tubes, boxes filled.

    Extreme points are positive balls and the box round them. A box one voxel thick is one cell thick at least.
    A lasso is seen as the box round it where it is positive; what it goes round comes with the mask so far. A guess
    is half a box.

    >>> frame = Frame((0, 0, 0), (1, 1, 8), (1, 1, 4))
    >>> see_marks([Click((0, 0, 7), positive=False), Box((0, 0, 2), (1, 1, 4))], frame)[:, 0, 0].astype(int).tolist()
    [[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 0, 0]]
    """
    out = np.zeros((3, *frame.cells), np.float32)
    for prompt in prompts:
        match prompt:
            case Click(index=index, positive=positive):
                _balls(out[0 if positive else 1], frame.at(np.asarray([index])), BALL_RADIUS)
            case Stroke(points=points, positive=positive):
                _balls(out[0 if positive else 1], _tube(frame.at(np.asarray(points))), TUBE_RADIUS)
            case Extremes(points=points):
                _balls(out[0], frame.at(np.asarray(points)), BALL_RADIUS)
                _block(out[2], extent(prompt), frame)
            case Guess():
                _block(out[2], prompt, frame, GUESSED)
            case Box() | Lasso(positive=True):
                _block(out[2], extent(prompt), frame)
            case _:
                pass
    return out


def _tube(points: NDArray[np.float64]) -> NDArray[np.float64]:  # [n 3] -> [m 3]
    """Return the cells along a line through points on the grid, each once, with no gaps."""
    starts, ways = points[:-1], np.diff(points, axis=0)
    counts = np.ceil(np.abs(ways).max(axis=1, initial=0)).astype(np.intp) if len(ways) else np.zeros(0, np.intp)
    number = np.repeat(np.arange(len(ways)), counts)
    share = (np.arange(len(number)) - np.repeat(np.cumsum(counts) - counts, counts)) / counts[number]
    between = starts[number] + share[:, None] * ways[number]
    return np.unique(np.rint(np.concatenate([between, points[-1:]])), axis=0)


def _balls(grid: Real, centres: NDArray[np.float64], radius: float) -> None:
    """Set to 1, in place, every cell within `radius` of one of the points."""
    reach = int(np.ceil(radius))
    near = ((centres > -reach - 1) & (centres < np.asarray(grid.shape) + reach)).all(axis=1)
    steps = np.indices((2 * reach + 1,) * 3).reshape(3, -1).T - reach
    cells = np.rint(centres[near])[:, None] + steps
    ball = ((cells - centres[near][:, None]) ** 2).sum(axis=2) <= radius**2
    ball &= ((cells >= 0) & (cells < grid.shape)).all(axis=2)
    grid[tuple(cells[ball].astype(np.intp).T)] = 1.0


def _block(grid: Real, box: Box | None, frame: Frame, value: float = 1.0) -> None:
    """Raise, in place, the cells whose centre lies in a box, and at least those that its middle lies in."""
    if box is None:
        return
    lows = frame.at(np.asarray(box.low) - 0.5)
    highs = frame.at(np.asarray(box.high) - 0.5)
    parts = []
    for low, high, count in zip(lows, highs, grid.shape, strict=True):
        first, last = int(np.ceil(low)), int(np.ceil(high))
        if last <= first:
            first = round((low + high) / 2)
            last = first + 1
        parts.append(slice(min(max(first, 0), count), min(max(last, 0), count)))
    part = grid[tuple(parts)]
    np.maximum(part, value, out=part)
