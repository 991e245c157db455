"""Distances to the nearest point of a surface on a grid, exact and in millimetres: compiled loops.

`rows` finds for every voxel the nearest surface voxel of its own row. `search` then looks, for each
asking voxel, through the rows round it that could still hold a nearer one; the row that answered the
voxel before gives the first bound, so neighbours cost a few rows each. Where two surfaces lie far
apart that would take long: `search` counts its steps, and beyond a budget the caller lets `transform`
find the distances of all voxels at once (lower envelopes of parabolas, Felzenszwalb and Huttenlocher
2012). Importing this module loads numba and, the first time on a machine, compiles for some seconds.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

NOTHING = 1 << 30  # the distance, in voxels, in a row without a surface


def _compiled(loop: Any) -> Any:
    """Return the loop as machine code, kept on disk where some folder can be written."""
    try:
        return numba.njit(cache=True, nogil=True)(loop)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        return numba.njit(nogil=True)(loop)


@_compiled
def rows(surface: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return each voxel's distance along x to the surface, in voxels."""
    depth, height, width = surface.shape
    near = np.empty(surface.shape, np.int32)
    for z in range(depth):
        for y in range(height):
            steps = NOTHING
            for x in range(width):
                steps = 0 if surface[z, y, x] else min(steps + 1, NOTHING)
                near[z, y, x] = steps
            for x in range(width - 2, -1, -1):
                steps = near[z, y, x + 1] + 1
                near[z, y, x] = min(near[z, y, x], steps)
    return near


@_compiled
def search(
    asking: NDArray[np.intp],
    near: NDArray[np.int32],
    spacing: NDArray[np.float64],
    budget: int,
    squares: NDArray[np.float64],
) -> int:
    """Write each asking voxel's squared distance; return how many were done within the budget of steps.

    `asking` holds flat indices, best in rising order, and some row has a surface.
    """
    depth, height, width = near.shape
    step_z, step_y, step_x = spacing
    hint_z, hint_y, steps = -1, -1, 0
    for i in range(len(asking)):
        if steps > budget:
            return i
        z, rest = divmod(asking[i], height * width)
        y, x = divmod(rest, width)
        best = np.inf
        if hint_z >= 0:
            best = (step_z * (z - hint_z)) ** 2 + (step_y * (y - hint_y)) ** 2 + (step_x * near[hint_z, hint_y, x]) ** 2
        away_z = 0
        while away_z < depth and (step_z * away_z) ** 2 < best:
            square_z = (step_z * away_z) ** 2
            for side_z in range(-1, 2, 2):
                row_z = z + side_z * away_z
                if row_z < 0 or row_z >= depth or (away_z == 0 and side_z == 1):
                    continue
                away_y = 0
                while away_y < height:
                    square = square_z + (step_y * away_y) ** 2
                    if square >= best:
                        break
                    steps += 1
                    for side_y in range(-1, 2, 2):
                        row_y = y + side_y * away_y
                        if row_y < 0 or row_y >= height:
                            continue
                        found = near[row_z, row_y, x]
                        if found < NOTHING and square + (step_x * found) ** 2 < best:
                            best = square + (step_x * found) ** 2
                            hint_z, hint_y = row_z, row_y
                    away_y += 1
            away_z += 1
        squares[i] = best
    return len(asking)


@_compiled
def transform(near: NDArray[np.int32], spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return every voxel's squared distance."""
    depth, height, width = near.shape
    squares = np.empty(near.shape, np.float64)
    longest = max(depth, height)
    line, lower, ends = np.empty(longest), np.empty(longest), np.empty(longest)
    corners = np.empty(longest, np.int64)
    for z in range(depth):
        for x in range(width):
            for y in range(height):
                found = near[z, y, x]
                line[y] = np.inf if found >= NOTHING else (spacing[2] * found) ** 2
            _envelope(line, height, spacing[1], corners, ends, lower)
            for y in range(height):
                squares[z, y, x] = lower[y]
    for y in range(height):
        for x in range(width):
            for z in range(depth):
                line[z] = squares[z, y, x]
            _envelope(line, depth, spacing[0], corners, ends, lower)
            for z in range(depth):
                squares[z, y, x] = lower[z]
    return squares


@_compiled
def _envelope(
    line: NDArray[np.float64],
    count: int,
    step: float,
    corners: NDArray[np.int64],
    ends: NDArray[np.float64],
    lower: NDArray[np.float64],
) -> None:
    """Write the lowest of the parabolas line[i] + (step (q - i))^2 at every q below count."""
    last, cut = -1, -np.inf
    for i in range(count):
        if line[i] == np.inf:
            continue
        while last >= 0:
            j = corners[last]
            cut = ((line[i] - line[j]) / (step * step) + i * i - j * j) / (2.0 * (i - j))
            if cut > ends[last]:
                break
            last -= 1
        last += 1
        corners[last] = i
        ends[last] = cut if last > 0 else -np.inf
    if last < 0:
        for q in range(count):
            lower[q] = np.inf
        return
    here = 0
    for q in range(count):
        while here < last and ends[here + 1] < q:
            here += 1
        lower[q] = line[corners[here]] + (step * (q - corners[here])) ** 2
