"""The inner loops of `maxflow.py`: the algorithm of Boykov and Kolmogorov (PAMI 2004) on a grid.

No graph is stored. Voxel p of the grid is node `pad + p`; its k-th arc leads to node
`p + steps[k]`, and arcs 2i and 2i + 1 lead opposite ways, so that arc k of p and arc `k ^ 1` of
that neighbour are one edge. Arcs that would leave the grid have capacity 0 both ways and are
never followed; the padding makes looking at them harmless.

Two trees grow from the terminals. `parent[p]` is the arc to p's parent, or TERMINAL or ORPHAN;
`tree[p]` is FREE, SOURCE or SINK. When the trees touch, the path between the terminals is
filled up; voxels whose arc to the parent is full become orphans and are adopted or set free.
`stamp` and `depth` are the marking heuristic: a depth is known to be right at time `stamp`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmend.solvers.compiled import compiled

FREE, SOURCE, SINK = 0, 1, 2
TERMINAL, ORPHAN, NONE = 100, 101, 102
INSIDE, OUTSIDE = 1, 2  # what `fixed` says of a voxel
FAR = 1 << 30


@compiled
def build(
    pull: NDArray[np.int32],  # [n]
    there: NDArray[np.int32],  # [h n]
    back: NDArray[np.int32],  # [h n]
    fixed: NDArray[np.uint8],  # [n]
    offsets: NDArray[np.int64],  # [h 3]
    shape: NDArray[np.int64],  # [3]
    pad: int,
    room: NDArray[np.int32],  # [pad + n + pad, 2 h] out: what each arc can still carry
    supply: NDArray[np.int32],  # [pad + n + pad] out: left from the source (> 0) or to the sink (< 0)
) -> int:
    """Fill `room` and `supply` and return what any cut must pay; fixed voxels become part of the terminals."""
    nz, ny, nx = shape[0], shape[1], shape[2]
    half = there.shape[0]
    must = 0
    p = 0
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                kind = fixed[p]
                give = max(pull[p], 0)
                take = max(-pull[p], 0)
                if kind == INSIDE:
                    must += take
                elif kind == OUTSIDE:
                    must += give
                for i in range(half):
                    dz, dy, dx = offsets[i, 0], offsets[i, 1], offsets[i, 2]
                    step = (dz * ny + dy) * nx + dx
                    if 0 <= z + dz < nz and 0 <= y + dy < ny and 0 <= x + dx < nx:
                        other = fixed[p + step]
                        if kind == 0:
                            if other == 0:
                                room[pad + p, 2 * i] = there[i, p]
                                room[pad + p + step, 2 * i + 1] = back[i, p]
                            elif other == INSIDE:
                                give += back[i, p]
                            else:
                                take += there[i, p]
                        elif kind == INSIDE and other == OUTSIDE:
                            must += there[i, p]
                        elif kind == OUTSIDE and other == INSIDE:
                            must += back[i, p]
                    if kind == 0 and 0 <= z - dz < nz and 0 <= y - dy < ny and 0 <= x - dx < nx:
                        other = fixed[p - step]
                        if other == INSIDE:
                            give += there[i, p - step]
                        elif other == OUTSIDE:
                            take += back[i, p - step]
                if kind == 0:
                    must += min(give, take)
                    supply[pad + p] = give - take
                p += 1
    return must


@compiled
def fill(
    room: NDArray[np.int32],  # [m k]
    supply: NDArray[np.int32],  # [m]
    steps: NDArray[np.int64],  # [k]
    tree: NDArray[np.uint8],  # [m] out: SOURCE where the voxel stays with the source
) -> int:
    """Push as much as fits from the source to the sink and return how much it was."""
    m, arcs = room.shape
    parent = np.full(m, NONE, np.uint8)
    stamp = np.zeros(m, np.int32)
    depth = np.zeros(m, np.int32)
    queue = np.empty(m, np.int32)  # active voxels, a ring
    waiting = np.zeros(m, np.bool_)
    first, count = 0, 0
    orphans = np.empty(m, np.int32)  # a ring, too: those cut off by a push in front, their children behind
    lost, lost_first = 0, 0
    total = 0

    for p in range(m):
        if supply[p] != 0:
            tree[p] = SOURCE if supply[p] > 0 else SINK
            parent[p] = TERMINAL
            depth[p] = 1
            queue[count] = p
            waiting[p] = True
            count += 1

    now = 0
    while count > 0:
        p = queue[first]
        first = first + 1 if first + 1 < m else 0
        count -= 1
        waiting[p] = False
        while tree[p] != FREE:
            # Grow p's tree until it meets the other one.
            start = -1
            through = 0
            mine = tree[p]
            for k in range(arcs):
                q = p + steps[k]
                if mine == SOURCE:
                    if room[p, k] == 0:
                        continue
                elif room[q, k ^ 1] == 0:
                    continue
                theirs = tree[q]
                if theirs == FREE:
                    tree[q] = mine
                    parent[q] = k ^ 1
                    stamp[q] = stamp[p]
                    depth[q] = depth[p] + 1
                    if not waiting[q]:
                        waiting[q] = True
                        slot = first + count
                        queue[slot if slot < m else slot - m] = q
                        count += 1
                elif theirs != mine:
                    if mine == SOURCE:
                        start, through = p, k
                    else:
                        start, through = q, k ^ 1
                    break
                elif stamp[q] <= stamp[p] and depth[q] > depth[p]:
                    parent[q] = k ^ 1
                    stamp[q] = stamp[p]
                    depth[q] = depth[p] + 1
            if start < 0:
                break
            now += 1

            # Fill the path from the source through start's arc to the sink.
            end = start + steps[through]
            push = room[start, through]
            i = start
            while parent[i] != TERMINAL:
                k = parent[i]
                i += steps[k]
                push = min(push, room[i, k ^ 1])
            push = min(push, supply[i])
            i = end
            while parent[i] != TERMINAL:
                k = parent[i]
                push = min(push, room[i, k])
                i += steps[k]
            push = min(push, -supply[i])
            total += push
            room[start, through] -= push
            room[end, through ^ 1] += push
            i = start
            while True:
                k = parent[i]
                if k == TERMINAL:
                    supply[i] -= push
                    full = supply[i] == 0
                    j = i
                else:
                    j = i + steps[k]
                    room[i, k] += push
                    room[j, k ^ 1] -= push
                    full = room[j, k ^ 1] == 0
                if full:
                    parent[i] = ORPHAN
                    lost_first = lost_first - 1 if lost_first > 0 else m - 1
                    orphans[lost_first] = i
                    lost += 1
                if k == TERMINAL:
                    break
                i = j
            i = end
            while True:
                k = parent[i]
                if k == TERMINAL:
                    supply[i] += push
                    full = supply[i] == 0
                    j = i
                else:
                    j = i + steps[k]
                    room[j, k ^ 1] += push
                    room[i, k] -= push
                    full = room[i, k] == 0
                if full:
                    parent[i] = ORPHAN
                    lost_first = lost_first - 1 if lost_first > 0 else m - 1
                    orphans[lost_first] = i
                    lost += 1
                if k == TERMINAL:
                    break
                i = j

            # Find every orphan a new parent in its tree, or set it free.
            while lost > 0:
                i = orphans[lost_first]
                lost_first = lost_first + 1 if lost_first + 1 < m else 0
                lost -= 1
                mine = tree[i]
                best = NONE
                nearest = FAR
                for k in range(arcs):
                    q = i + steps[k]
                    if tree[q] != mine:
                        continue
                    if (room[q, k ^ 1] if mine == SOURCE else room[i, k]) == 0:
                        continue
                    far = 0  # how far q is from its terminal, FAR when it hangs on an orphan
                    j = q
                    while True:
                        if stamp[j] == now:
                            far += depth[j]
                            break
                        a = parent[j]
                        if a == ORPHAN:
                            far = FAR
                            break
                        far += 1
                        if a == TERMINAL:
                            stamp[j] = now
                            depth[j] = 1
                            break
                        j += steps[a]
                    if far < FAR:
                        if far < nearest:
                            nearest = far
                            best = k
                        j = q
                        while stamp[j] != now:
                            stamp[j] = now
                            depth[j] = far
                            far -= 1
                            j += steps[parent[j]]
                parent[i] = best
                if best != NONE:
                    stamp[i] = now
                    depth[i] = nearest + 1
                    continue
                tree[i] = FREE
                for k in range(arcs):
                    q = i + steps[k]
                    if tree[q] != mine:
                        continue
                    if (room[q, k ^ 1] if mine == SOURCE else room[i, k]) > 0 and not waiting[q]:
                        waiting[q] = True
                        slot = first + count
                        queue[slot if slot < m else slot - m] = q
                        count += 1
                    if parent[q] == k ^ 1:
                        parent[q] = ORPHAN
                        slot = lost_first + lost
                        orphans[slot if slot < m else slot - m] = q
                        lost += 1
    return total
