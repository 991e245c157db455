"""The inner loops of `densecrf.py`: onto a coarse grid of place and tone, blur there, and back.

A voxel's place on the grid is its index over `strides`, its tone is given in levels; it shares its value among
the nearest cells, linearly. A row of voxels is gathered first and then added to the rows of cells beside it,
so a voxel touches two cells per tone and the passes stay in the processor's cache.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmend.solvers.compiled import compiled

Real = NDArray[np.float32]
Sizes = NDArray[np.int64]


@compiled
def splat(
    source: Real,  # [z y x]
    taken: NDArray[np.bool_],  # [z y x] the voxels that count
    tones: Real,  # [c z y x] in levels
    levels: Sizes,  # [c]
    table: Sizes,  # [levels] which column of the grid a tone is
    strides: Sizes,  # [3]
    grid: Real,  # [z y x t] added to
) -> None:
    nz, ny, nx = source.shape
    channels = len(levels)
    row = np.empty(grid.shape[2:], np.float32)
    index = np.empty(1 << channels, np.int64)
    share = np.empty(1 << channels, np.float32)
    one = np.float32(1)
    for z in range(nz):
        w = z // strides[0]
        down_z = np.float32(z - w * strides[0]) / np.float32(strides[0])
        for y in range(ny):
            row[:] = 0
            for x in range(nx):
                if not taken[z, y, x]:
                    continue
                u = x // strides[2]
                right = np.float32(x - u * strides[2]) / np.float32(strides[2])
                index[0], share[0] = 0, source[z, y, x]
                corners = 1
                for c in range(channels):
                    tone = tones[c, z, y, x]
                    low = int(tone)
                    up = tone - np.float32(low)
                    for k in range(corners):
                        at = index[k] * levels[c] + low
                        index[k], index[corners + k] = at, at + 1
                        whole = share[k]
                        share[k], share[corners + k] = whole * (one - up), whole * up
                    corners *= 2
                for k in range(corners):
                    column = table[index[k]]
                    row[u, column] += share[k] * (one - right)
                    if right > 0:
                        row[u + 1, column] += share[k] * right
            v = y // strides[1]
            down_y = np.float32(y - v * strides[1]) / np.float32(strides[1])
            for i in range(2):
                part_z = down_z if i else one - down_z
                if part_z == 0:
                    continue
                for j in range(2):
                    part = np.float32(part_z * (down_y if j else one - down_y))
                    if part > 0:
                        _add(row, part, grid[w + i, v + j])


@compiled
def gather(
    grid: Real,  # [z y x t]
    taken: NDArray[np.bool_],  # [z y x] the voxels that are wanted
    tones: Real,  # [c z y x] in levels
    levels: Sizes,  # [c]
    table: Sizes,  # [levels] which column of the grid a tone is
    strides: Sizes,  # [3]
    out: Real,  # [z y x] written where taken
) -> None:
    nz, ny, nx = out.shape
    channels = len(levels)
    row = np.empty(grid.shape[2:], np.float32)
    index = np.empty(1 << channels, np.int64)
    share = np.empty(1 << channels, np.float32)
    one = np.float32(1)
    for z in range(nz):
        w = z // strides[0]
        down_z = np.float32(z - w * strides[0]) / np.float32(strides[0])
        for y in range(ny):
            if not taken[z, y].any():
                continue
            v = y // strides[1]
            down_y = np.float32(y - v * strides[1]) / np.float32(strides[1])
            row[:] = 0
            for i in range(2):
                part_z = down_z if i else one - down_z
                if part_z == 0:
                    continue
                for j in range(2):
                    part = np.float32(part_z * (down_y if j else one - down_y))
                    if part > 0:
                        _add(grid[w + i, v + j], part, row)
            for x in range(nx):
                if not taken[z, y, x]:
                    continue
                u = x // strides[2]
                right = np.float32(x - u * strides[2]) / np.float32(strides[2])
                index[0], share[0] = 0, one
                corners = 1
                for c in range(channels):
                    tone = tones[c, z, y, x]
                    low = int(tone)
                    up = tone - np.float32(low)
                    for k in range(corners):
                        at = index[k] * levels[c] + low
                        index[k], index[corners + k] = at, at + 1
                        whole = share[k]
                        share[k], share[corners + k] = whole * (one - up), whole * up
                    corners *= 2
                total = np.float32(0)
                for k in range(corners):
                    column = table[index[k]]
                    total += share[k] * (one - right) * row[u, column]
                    if right > 0:
                        total += share[k] * right * row[u + 1, column]
                out[z, y, x] = total


@compiled
def _add(source: Real, part: np.float32, out: Real) -> None:
    rows, columns = source.shape
    for i in range(rows):
        for j in range(columns):
            out[i, j] += part * source[i, j]


@compiled
def blur(source: Real, taps: Real, out: Real) -> None:  # [outer n inner], [1 + radius], like source
    """Write the source blurred along its middle axis by symmetric taps; beyond its ends it is 0."""
    outer, count, inner = source.shape
    nothing = np.zeros(inner, np.float32)
    for o in range(outer):
        for i in range(count):
            line = out[o, i]
            here = source[o, i]
            before = source[o, i - 1] if i > 0 else nothing
            behind = source[o, i + 1] if i + 1 < count else nothing
            for k in range(inner):
                line[k] = taps[0] * here[k] + taps[1] * (before[k] + behind[k])
            for d in range(2, len(taps)):
                before = source[o, i - d] if i >= d else nothing
                behind = source[o, i + d] if i + d < count else nothing
                for k in range(inner):
                    line[k] += taps[d] * (before[k] + behind[k])


@compiled
def mix(
    source: Real,  # [cells t]
    taps: Real,  # [2]
    before: Sizes,  # [t] the column of the tone one level lower; t - 1, which is empty, where there is none
    behind: Sizes,  # [t]
    out: Real,  # [cells t]
) -> None:
    """Write the source blurred over neighbouring tones."""
    cells, columns = source.shape
    for i in range(cells):
        line = source[i]
        for t in range(columns - 1):
            out[i, t] = taps[0] * line[t] + taps[1] * (line[before[t]] + line[behind[t]])
        out[i, columns - 1] = 0


@compiled
def agree(
    unary: Real,  # [z y x] logits
    free: NDArray[np.bool_],  # [z y x]
    weights: Real,  # [k]
    roots: Real,  # [k z y x] 1 / square root of a voxel's neighbours
    alone: Real,  # [k] what of its neighbours is the voxel itself
    seen: Real,  # [k z y x] what the neighbours say
    side: Real,  # [z y x] from -1 (outside) to 1 (inside); changed
) -> float:
    """Take up what the neighbours say; return the largest change of a side."""
    nz, ny, nx = unary.shape
    most = np.float32(0)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if not free[z, y, x]:
                    continue
                logits = unary[z, y, x]
                old = side[z, y, x]
                for k in range(len(weights)):
                    root = roots[k, z, y, x]
                    logits += weights[k] * root * (seen[k, z, y, x] - alone[k] * old * root)
                new = np.tanh(logits / np.float32(2))
                most = max(most, abs(new - old))
                side[z, y, x] = new
    return float(most)
