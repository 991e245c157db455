"""The inner loop of `geos.py`: distances carried back and forth over the voxels that are free."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmend.solvers.compiled import compiled

Real = NDArray[np.float32]


@compiled
def carry(
    distance: Real,  # [z y x] changed where free
    free: NDArray[np.bool_],  # [z y x]
    values: Real,  # [c z y x]
    offsets: NDArray[np.int64],  # [k 3] the neighbours already passed in a forward pass
    lengths: Real,  # [k]
    contrast: float,
    turns: int,
) -> None:
    """Pass forward and backward `turns` times, or until nothing gets nearer."""
    channels, nz, ny, nx = values.shape
    steepness = np.float32(contrast * contrast)
    for _ in range(turns):
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
                            best = min(best, near + np.sqrt(lengths[n] * lengths[n] + steepness * fall))
                        if best < distance[z, y, x]:
                            distance[z, y, x] = best
                            changed = True
        if not changed:
            return
