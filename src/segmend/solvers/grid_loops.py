"""The inner loops of `geodesic.py` and `edges.py`: passes over a grid that look at neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmend.solvers.compiled import compiled

Real = NDArray[np.float32]


@compiled
def geodesic(
    distance: Real,  # [z y x] changed where free: 0 or a price at the sources, infinite or a bound elsewhere
    free: NDArray[np.bool_],  # [z y x]
    values: Real,  # [c z y x]
    offsets: NDArray[np.int64],  # [k 3] the neighbours already passed in a forward pass
    lengths: Real,  # [k]
    contrast: float,
    most: int,
) -> int:
    """Pass forward and backward until nothing gets nearer, or `most` times; return how often."""
    channels, nz, ny, nx = values.shape
    steepness = np.float32(contrast * contrast)
    for turn in range(most):
        changed = False
        for sign in (1, -1):
            for i in range(nz):
                z = i if sign == 1 else nz - 1 - i
                for j in range(ny):
                    y = j if sign == 1 else ny - 1 - j
                    for k in range(nx):
                        x = k if sign == 1 else nx - 1 - k
                        if not free[z, y, x]:
                            continue
                        best = distance[z, y, x]
                        for n in range(len(offsets)):
                            w = z + sign * offsets[n, 0]
                            v = y + sign * offsets[n, 1]
                            u = x + sign * offsets[n, 2]
                            if w < 0 or v < 0 or u < 0 or w >= nz or v >= ny or u >= nx:
                                continue
                            near = distance[w, v, u]
                            if near + lengths[n] >= best:
                                continue
                            fall = np.float32(0)
                            for c in range(channels):
                                d = values[c, z, y, x] - values[c, w, v, u]
                                fall += d * d
                            far = near + np.sqrt(lengths[n] * lengths[n] + steepness * fall)
                            if far < best:
                                best = far
                        if best < distance[z, y, x]:
                            distance[z, y, x] = best
                            changed = True
        if not changed:
            return turn + 1
    return most


@compiled
def likeness(
    values: Real,  # [c z y x]
    offsets: NDArray[np.int64],  # [h 3]
    factors: Real,  # [h]
    sharpness: float,
    floor: float,
    out: Real,  # [h z y x]
) -> None:
    """Write factor * max(floor, exp(-sharpness * squared difference)) for every pair of neighbours."""
    channels, nz, ny, nx = values.shape
    sharp = np.float32(sharpness)
    least = np.float32(floor)
    for n in range(len(offsets)):
        dz, dy, dx = offsets[n]
        for z in range(max(0, -dz), min(nz, nz - dz)):
            for y in range(max(0, -dy), min(ny, ny - dy)):
                for x in range(max(0, -dx), min(nx, nx - dx)):
                    fall = np.float32(0)
                    for c in range(channels):
                        d = values[c, z, y, x] - values[c, z + dz, y + dy, x + dx]
                        fall += d * d
                    out[n, z, y, x] = factors[n] * max(least, np.exp(-sharp * fall))


@compiled
def soften(inside: NDArray[np.bool_], out: Real) -> None:
    """Write a chance that is above one half exactly inside, and nearer to it the more neighbours disagree."""
    nz, ny, nx = inside.shape
    half = np.float32(0.5)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                here = inside[z, y, x]
                agree, seen = 1, 1
                for dz in range(-1, 2):
                    for dy in range(-1, 2):
                        for dx in range(-1, 2):
                            w, v, u = z + dz, y + dy, x + dx
                            if 0 <= w < nz and 0 <= v < ny and 0 <= u < nx:
                                seen += 1
                                agree += inside[w, v, u] == here
                share = half * np.float32(agree) / np.float32(seen)
                out[z, y, x] = half + share if here else half - share
