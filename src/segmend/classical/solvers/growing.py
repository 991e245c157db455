"""The inner loop of `growcut.py`: stronger cells conquer weaker neighbours, the strongest first.

Cells wait in queues by strength: positive float32 numbers are ordered as the whole numbers that their bits spell,
so a queue holds strengths that share the leading bits. Within a queue cells come first in, first out, and one that
was conquered anew comes again, so the rest state does not depend on how fine the queues are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmend.solvers.compiled import compiled

Real = NDArray[np.float32]
Links = NDArray[np.int32]
SHIFT = 16  # bits that a queue leaves open: strengths within 1 % of each other
ONE = 0x3F800000  # the bits of 1.0
QUEUES = (ONE >> SHIFT) + 1


@compiled
def grow(
    strength: Real,  # [z y x] changed; 0 to 1
    owner: NDArray[np.uint8],  # [z y x] changed; 0 where nobody is
    hops: Links,  # [z y x] changed: cells on the way from the seed
    values: Real,  # [c z y x]
    offsets: NDArray[np.int64],  # [k 3] all neighbours
    scale: float,  # a difference in values times this is what an attack loses
) -> None:
    """Let cells attack until nobody conquers.

    Of equal attacks the one from the nearer seed wins, then the owner of the larger number.
    """
    channels, nz, ny, nx = values.shape
    count = nz * ny * nx
    power = strength.reshape(count)
    bits = power.view(np.int32)
    who = owner.reshape(count)
    way = hops.reshape(count)
    looks = values.reshape(channels, count)
    loss = np.float32(scale)
    one = np.float32(1)
    first = np.full(QUEUES, -1, np.int32)
    last = np.full(QUEUES, -1, np.int32)
    behind = np.full(count, -1, np.int32)
    before = np.full(count, -1, np.int32)
    queue_of = np.full(count, -1, np.int32)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                p = (z * ny + y) * nx + x
                if who[p] > 0 and _beside_weaker(z, y, x, strength, offsets):
                    _join(p, (ONE - bits[p]) >> SHIFT, first, last, before, behind, queue_of)
    current = 0
    while current < QUEUES:
        p = first[current]
        if p < 0:
            current += 1
            continue
        _leave(p, first, last, before, behind, queue_of)
        z = p // (ny * nx)
        y = p // nx - z * ny
        x = p - (z * ny + y) * nx
        mine = power[p]
        for n in range(len(offsets)):
            w, v, u = z + offsets[n, 0], y + offsets[n, 1], x + offsets[n, 2]
            if w < 0 or v < 0 or u < 0 or w >= nz or v >= ny or u >= nx:
                continue
            q = (w * ny + v) * nx + u
            if power[q] > mine or (power[q] == mine and way[q] <= way[p]):
                continue
            fall = np.float32(0)
            for c in range(channels):
                d = looks[c, p] - looks[c, q]
                fall += d * d
            attack = max(np.float32(0), one - loss * np.sqrt(fall)) * mine
            if attack < power[q] or attack == 0:
                continue
            far = way[p] + 1
            if attack == power[q] and (far > way[q] or (far == way[q] and who[p] <= who[q])):
                continue
            power[q], who[q], way[q] = attack, who[p], far
            if queue_of[q] >= 0:
                _leave(q, first, last, before, behind, queue_of)
            _join(q, (ONE - bits[q]) >> SHIFT, first, last, before, behind, queue_of)


@compiled
def _beside_weaker(z: int, y: int, x: int, strength: Real, offsets: NDArray[np.int64]) -> bool:
    nz, ny, nx = strength.shape
    for n in range(len(offsets)):
        w, v, u = z + offsets[n, 0], y + offsets[n, 1], x + offsets[n, 2]
        if 0 <= w < nz and 0 <= v < ny and 0 <= u < nx and strength[w, v, u] < strength[z, y, x]:
            return True
    return False


@compiled
def _join(p: int, queue: int, first: Links, last: Links, before: Links, behind: Links, queue_of: Links) -> None:
    tail = last[queue]
    before[p], behind[p], queue_of[p] = tail, -1, queue
    last[queue] = p
    if tail < 0:
        first[queue] = p
    else:
        behind[tail] = p


@compiled
def _leave(p: int, first: Links, last: Links, before: Links, behind: Links, queue_of: Links) -> None:
    queue, left, right = queue_of[p], before[p], behind[p]
    if left < 0:
        first[queue] = right
    else:
        behind[left] = right
    if right < 0:
        last[queue] = left
    else:
        before[right] = left
    queue_of[p] = -1
