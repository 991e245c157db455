"""Prompts as channels of a network's grid, in a plane and in a volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Box, Real
from segmend.core.marks import Points, in_plane, path
from segmend.core.prompts import Click, Extremes, Lasso, Prompt, Stroke, extent, is_positive
from segmend.sampling.frame import Frame
from segmend.sampling.window import Window

# Radii of marks in cells of a network's grid. The shipped weights were trained with all of these.
# Of a click in a plane.
CLICK_RADIUS = 3.0
# Of a stroke in a plane.
STROKE_RADIUS = 2.0
# Of a click in a volume.
BALL_RADIUS = 2.0
# Of a stroke in a volume.
TUBE_RADIUS = 1.5
# The value of a guessed box in its channel, where a person's box has 1.
GUESS_VALUE = 0.5


@dataclass(frozen=True)
class Guess(Box):
    """A box that nobody put down: about as large, and about there, the object is thought to be."""


def widen(guess: Guess, prompts: Sequence[Prompt]) -> Guess:
    """Return a guess that holds all that was said to be inside.

    >>> widen(Guess((0, 0, 2), (1, 1, 4)), [Click((0, 0, 6)), Click((0, 0, 9), positive=False)])
    Guess(low=(0, 0, 2), high=(1, 1, 7))
    """
    box = Box(guess.low, guess.high)
    for prompt in prompts:
        there = extent(prompt) if is_positive(prompt) else None
        box = box if there is None else box.union(there)
    return Guess(box.low, box.high)


def stamp(grid: Real, rows: NDArray[np.floating[Any]], columns: NDArray[np.floating[Any]], radius: float) -> None:
    """Set to 1, in place, every cell within `radius` of one of the points.

    >>> grid = np.zeros((3, 5), np.float32)
    >>> stamp(grid, np.array([1.0]), np.array([1.0]), 1.0)
    >>> grid.astype(int).tolist()
    [[0, 1, 0, 0, 0], [1, 1, 1, 0, 0], [0, 1, 0, 0, 0]]
    """
    reach = int(np.ceil(radius))
    rows, columns = np.asarray(rows), np.asarray(columns)
    near = (rows > -reach - 1) & (rows < grid.shape[0] + reach)
    near &= (columns > -reach - 1) & (columns < grid.shape[1] + reach)
    rows, columns = rows[near], columns[near]
    offsets = np.arange(-reach, reach + 1)
    dy, dx = (a.ravel() for a in np.meshgrid(offsets, offsets, indexing="ij"))
    y = np.rint(rows)[:, None] + dy
    x = np.rint(columns)[:, None] + dx
    near = (y - rows[:, None]) ** 2 + (x - columns[:, None]) ** 2 <= max(radius, 0.71) ** 2
    near &= (y >= 0) & (y < grid.shape[0]) & (x >= 0) & (x < grid.shape[1])
    grid[y[near].astype(np.intp), x[near].astype(np.intp)] = 1.0


def plane_prompt_channels(
    prompts: Sequence[Prompt], axis: int, index: int, window: Window, cells: int
) -> Real:  # [3 n n]
    """Return the positive, negative and box channels of one plane."""
    out = np.zeros((3, cells, cells), np.float32)
    for channel, voxels in zip(out, _clicked(prompts), strict=False):
        _stamp(channel, voxels, axis, index, window, CLICK_RADIUS)
    for prompt in prompts:
        match prompt:
            case Click():
                pass  # all at once, above: there may be a thousand of them
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


def _clicked(prompts: Sequence[Prompt]) -> tuple[Points, Points]:
    """Return the voxels of the positive and of the negative clicks."""
    clicks = [prompt for prompt in prompts if isinstance(prompt, Click)]
    positive, negative = (
        np.asarray([click.index for click in clicks if click.positive is sign], np.intp).reshape(-1, 3)
        for sign in (True, False)
    )
    return positive, negative


def _stamp(grid: Real, voxels: NDArray[np.intp], axis: int, index: int, window: Window, radius: float) -> None:
    here = voxels[voxels[:, axis] == index]
    if len(here):
        rows, columns = np.delete(here, axis, axis=1).T
        stamp(grid, *window.cells(rows, columns, len(grid)), radius)


def _fill(grid: Real, box: Box | None, axis: int, index: int, window: Window) -> None:
    if box is None or not box.low[axis] <= index < box.high[axis]:
        return
    (top, left), (bottom, right) = in_plane(box, axis)
    y0, x0 = window.cell(top - 0.5, left - 0.5, len(grid))
    y1, x1 = window.cell(bottom - 0.5, right - 0.5, len(grid))
    rows, columns = np.arange(len(grid)), np.arange(len(grid))
    grid[((rows >= y0) & (rows < y1))[:, None] & ((columns >= x0) & (columns < x1))[None]] = 1.0


def volume_prompt_channels(prompts: Sequence[Prompt], frame: Frame) -> Real:  # [3 *cells]
    """Return the positive, negative and box channels of a volume: clicks as balls, strokes as tubes, boxes filled.

    Extreme points are positive balls and the box round them. A box one voxel thick is one cell thick at least.
    A lasso is seen as the box round it where it is positive; what it goes round comes with the mask so far. A guess
    is half a box.

    >>> frame = Frame((0, 0, 0), (1, 1, 8), (1, 1, 4))
    >>> prompts = [Click((0, 0, 7), positive=False), Box((0, 0, 2), (1, 1, 4))]
    >>> volume_prompt_channels(prompts, frame)[:, 0, 0].astype(int).tolist()
    [[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 0, 0]]
    """
    out = np.zeros((3, *frame.cells), np.float32)
    for channel, voxels in zip(out, _clicked(prompts), strict=False):
        _balls(channel, frame.to_grid(voxels), BALL_RADIUS)
    for prompt in prompts:
        match prompt:
            case Click():
                pass  # all at once, above: there may be a thousand of them
            case Stroke(points=points, positive=positive):
                _balls(out[0 if positive else 1], _tube(frame.to_grid(np.asarray(points))), TUBE_RADIUS)
            case Extremes(points=points):
                _balls(out[0], frame.to_grid(np.asarray(points)), BALL_RADIUS)
                _block(out[2], extent(prompt), frame)
            case Guess():
                _block(out[2], prompt, frame, GUESS_VALUE)
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
    lows = frame.to_grid(np.asarray(box.low) - 0.5)
    highs = frame.to_grid(np.asarray(box.high) - 0.5)
    parts = []
    for low, high, count in zip(lows, highs, grid.shape, strict=True):
        first, last = int(np.ceil(low)), int(np.ceil(high))
        if last <= first:
            first = round((low + high) / 2)
            last = first + 1
        parts.append(slice(min(max(first, 0), count), min(max(last, 0), count)))
    part = grid[tuple(parts)]
    np.maximum(part, value, out=part)
