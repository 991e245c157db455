"""The inner loop of `nudge.py`: a front that takes voxels one by one, the cheapest to reach first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmend.solvers.compiled import compiled

Real = NDArray[np.float32]


@compiled
def reached(
    start: NDArray[np.bool_],  # [z y x] where the front comes from
    price: Real,  # [z y x] of a millimetre in each voxel
    barred: NDArray[np.bool_],  # [z y x] never taken, though the front goes past
    spacing: Real,  # [3] mm
    count: int,
) -> NDArray[np.int64]:  # [at most count] flat
    """Return the first `count` voxels outside `start` that a front from it reaches, in order.

    A step costs its length times the mean price of its ends; it goes to all neighbours, corners included. The order
    does not depend on `count`. Among equals a voxel with more of `start` beside it is taken first, then the one
    whose place, stirred, is smaller, so that half a ring of equals is taken all round and not on one side.
    """
    nz, ny, nx = start.shape
    size = nz * ny * nx
    best = np.full(size, np.inf, np.float32)
    done = np.zeros(size, np.bool_)
    heap_cost = np.empty(1024, np.float32)
    heap_at = np.empty(1024, np.int64)
    filled = 0
    order = np.empty(count, np.int64)
    taken = 0
    for at in range(-size, size):  # first the rim, then what the heap holds
        if at < 0:
            here = at + size
            z, rest = divmod(here, ny * nx)
            y, x = divmod(rest, nx)
            if not start[z, y, x] or _within(start, z, y, x):
                continue
            cost = np.float32(0)
        else:
            if filled == 0 or taken == count:
                break
            here = np.int64(-1)
            while filled > 0:  # the cheapest that is not done
                cost, here = heap_cost[0], heap_at[0]
                filled -= 1
                last_cost, last_at = heap_cost[filled], heap_at[filled]
                hole = 0
                while True:
                    child = 2 * hole + 1
                    if child >= filled:
                        break
                    if child + 1 < filled and heap_cost[child + 1] < heap_cost[child]:
                        child += 1
                    if heap_cost[child] >= last_cost:
                        break
                    heap_cost[hole], heap_at[hole] = heap_cost[child], heap_at[child]
                    hole = child
                heap_cost[hole], heap_at[hole] = last_cost, last_at
                if not done[here]:
                    break
                here = np.int64(-1)
            if here < 0:
                break
            done[here] = True
            z, rest = divmod(here, ny * nx)
            y, x = divmod(rest, nx)
            if not barred[z, y, x]:
                order[taken] = here
                taken += 1
        for dz in range(-1, 2):
            w = z + dz
            if w < 0 or w >= nz:
                continue
            for dy in range(-1, 2):
                v = y + dy
                if v < 0 or v >= ny:
                    continue
                for dx in range(-1, 2):
                    u = x + dx
                    if u < 0 or u >= nx or start[w, v, u]:
                        continue
                    there = (w * ny + v) * nx + u
                    if done[there]:
                        continue
                    length = np.sqrt((dz * spacing[0]) ** 2 + (dy * spacing[1]) ** 2 + (dx * spacing[2]) ** 2)
                    own = price[z, y, x] if at >= 0 else price[w, v, u]
                    further = np.float32(cost + 0.5 * length * (own + price[w, v, u]))
                    if at < 0:
                        stirred = ((there * 2654435761) % 4294967296) / 4294967296.0
                        further *= np.float32((1.2 - 0.4 * _share(start, w, v, u)) * (1.0 + 1e-3 * stirred))
                    if further >= best[there]:
                        continue
                    best[there] = further
                    if filled == len(heap_at):
                        heap_cost = np.concatenate((heap_cost, np.empty(filled, np.float32)))
                        heap_at = np.concatenate((heap_at, np.empty(filled, np.int64)))
                    hole = filled
                    filled += 1
                    while hole > 0:
                        parent = (hole - 1) // 2
                        if heap_cost[parent] <= further:
                            break
                        heap_cost[hole], heap_at[hole] = heap_cost[parent], heap_at[parent]
                        hole = parent
                    heap_cost[hole], heap_at[hole] = further, there
    return order[:taken]


@compiled
def _within(inside: NDArray[np.bool_], z: int, y: int, x: int) -> bool:
    """Tell whether all six neighbours of a voxel are inside; beyond the grid's edge nothing lies outside."""
    nz, ny, nx = inside.shape
    return bool(
        (z == 0 or inside[z - 1, y, x])
        and (z == nz - 1 or inside[z + 1, y, x])
        and (y == 0 or inside[z, y - 1, x])
        and (y == ny - 1 or inside[z, y + 1, x])
        and (x == 0 or inside[z, y, x - 1])
        and (x == nx - 1 or inside[z, y, x + 1])
    )


@compiled
def _share(inside: NDArray[np.bool_], z: int, y: int, x: int) -> float:
    """Return which share of a voxel's neighbours on the grid is inside."""
    nz, ny, nx = inside.shape
    found = near = 0
    for w in range(max(z - 1, 0), min(z + 2, nz)):
        for v in range(max(y - 1, 0), min(y + 2, ny)):
            for u in range(max(x - 1, 0), min(x + 2, nx)):
                near += 1
                found += inside[w, v, u]
    return found / near
