"""The inner loops of `levelset.py`: one step of a front, visited only near the front."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmend.solvers.compiled import compiled

Real = NDArray[np.float32]
NEAR = 3.0  # cells either side of the front that move
ROUND = 0.03  # a height this near the plateau is on it, so that what lies far from the front rests
SMALL = 1e-6


@compiled
def step(
    height: Real,  # [z y x] above 0 inside
    out: Real,  # [z y x] written
    force: Real,  # [z y x] above 0 where the front should go outwards, -1 to 1
    edges: Real,  # [z y x] 1 on even ground, towards 0 on edges of the image
    free: NDArray[np.bool_],  # [z y x]
    spacing: Real,  # [3]
    tension: float,
    keep: float,
    pace: float,
) -> int:
    """Write the heights after one step; return how many cells changed sides.

    A cell moves by pace (force + tension div(edges n)) min(1, |slope|) + keep R, where n is the slope's direction and
    R draws the slope near the front to 1, as in Li et al. (TIP 2010). Slopes that a force moves along are upwind,
    and 1 at the front itself, so that a force can also move one that has become flat.
    """
    nz, ny, nx = height.shape
    crossed = 0
    central = np.zeros(3)
    rises = np.zeros((3, 2))
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                here = height[z, y, x]
                out[z, y, x] = here
                if not free[z, y, x]:
                    continue
                if abs(here) >= NEAR and not _beside_slope(height, z, y, x):
                    continue
                up = down = 0.0
                for axis in range(3):
                    for end in range(2):
                        w, v, u = _beside(z, y, x, axis, end)
                        rises[axis, end] = 0.0
                        if 0 <= w < nz and 0 <= v < ny and 0 <= u < nx:
                            rises[axis, end] = (height[w, v, u] - here) / spacing[axis]
                    central[axis] = 0.5 * (rises[axis, 1] - rises[axis, 0])
                    up += max(rises[axis, 0], rises[axis, 1], 0.0) ** 2
                    down += min(rises[axis, 0], rises[axis, 1], 0.0) ** 2
                steepest = central[0] ** 2 + central[1] ** 2 + central[2] ** 2
                bend = even = 0.0
                for axis in range(3):
                    across = steepest - central[axis] ** 2
                    for end in range(2):
                        w, v, u = _beside(z, y, x, axis, end)
                        if w < 0 or v < 0 or u < 0 or w >= nz or v >= ny or u >= nx:
                            continue
                        rise = rises[axis, end]
                        steep = np.sqrt(rise * rise + across) + SMALL
                        bend += 0.5 * (edges[z, y, x] + edges[w, v, u]) * rise / (steep * spacing[axis])
                        even += _rate(steep) * rise / spacing[axis]
                push = force[z, y, x]
                slope = 1.0 if abs(here) < 1.0 else min(1.0, np.sqrt(up if push > 0 else down))
                drag = min(1.0, np.sqrt(steepest))
                moved = here + pace * (push * slope + tension * bend * drag + keep * even)
                moved = min(max(moved, here - 0.9), here + 0.9)
                if abs(moved) > NEAR - ROUND:
                    moved = NEAR if moved > 0 else -NEAR
                out[z, y, x] = moved
                crossed += (moved > 0) != (here > 0)
    return crossed


@compiled
def _beside_slope(height: Real, z: int, y: int, x: int) -> bool:
    """Return whether a neighbour's height is another."""
    nz, ny, nx = height.shape
    here = height[z, y, x]
    return bool(
        (x > 0 and height[z, y, x - 1] != here)
        or (x + 1 < nx and height[z, y, x + 1] != here)
        or (y > 0 and height[z, y - 1, x] != here)
        or (y + 1 < ny and height[z, y + 1, x] != here)
        or (z > 0 and height[z - 1, y, x] != here)
        or (z + 1 < nz and height[z + 1, y, x] != here)
    )


@compiled
def _beside(z: int, y: int, x: int, axis: int, end: int) -> tuple[int, int, int]:
    """Return the neighbour along an axis, before (0) or behind (1)."""
    by = 2 * end - 1
    if axis == 0:
        return z + by, y, x
    if axis == 1:
        return z, y + by, x
    return z, y, x + by


@compiled
def _rate(steep: float) -> float:
    """Return p'(s) / s of the double-well potential: slopes tend to 1 near the front, to 0 far off."""
    if steep < 1.0:
        return float(np.sin(2 * np.pi * steep) / (2 * np.pi * steep))
    return 1.0 - 1.0 / steep
