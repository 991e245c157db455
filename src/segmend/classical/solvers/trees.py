"""The inner loops of `forest.py`: sorting samples into a tree's leaves, splitting leaves, and asking all trees.

A tree is rows of arrays: node i asks whether `feature[i]` is below `threshold[i]` and leads to `child[i]` when it is,
to `child[i] + 1` when not; `feature[i]` is LEAF in a leaf. `counts[i]` is how many samples of each side came to it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmend.solvers.compiled import compiled

Real = NDArray[np.float32]

LEAF = -1


@compiled
def place(
    samples: Real,  # [n f]
    first: int,  # samples before this one have a leaf already
    inside: NDArray[np.bool_],  # [n]
    draws: NDArray[np.uint8],  # [n] how often this tree drew each
    feature: NDArray[np.int16],  # [nodes]
    threshold: Real,  # [nodes]
    child: NDArray[np.int32],  # [nodes]
    counts: Real,  # [nodes 2] changed
    leaves: NDArray[np.int32],  # [n] out from `first` on
) -> None:
    """Sort new samples into the leaves of one tree and count them there."""
    for s in range(first, len(samples)):
        i = 0
        while feature[i] != LEAF:
            i = child[i] + (0 if samples[s, feature[i]] < threshold[i] else 1)
        leaves[s] = i
        counts[i, 1 if inside[s] else 0] += draws[s]


@compiled
def split(
    samples: Real,  # [n f]
    inside: NDArray[np.bool_],  # [n]
    draws: NDArray[np.uint8],  # [n]
    weights: Real,  # [2] of a sample of each side
    tries: int,
    least: int,
    deepest: int,
    state: NDArray[np.uint64],  # [1] of the random numbers, changed
    feature: NDArray[np.int16],  # [nodes] changed, as are those below
    threshold: Real,
    child: NDArray[np.int32],
    depth: NDArray[np.uint8],
    counts: Real,
    leaves: NDArray[np.int32],  # [n]
    used: int,
) -> int:
    """Split every leaf of one tree that holds both sides, as long as it pays; return how many nodes there are."""
    room = len(feature)
    size = np.zeros(room + 1, np.int32)
    for s in range(len(samples)):
        if draws[s] > 0:
            size[leaves[s] + 1] += 1
    start = np.cumsum(size)
    order = np.empty(start[-1], np.int32)
    filled = start[:-1].copy()
    for s in range(len(samples)):
        if draws[s] > 0:
            order[filled[leaves[s]]] = s
            filled[leaves[s]] += 1

    low, high = start[:-1].copy(), start[1:].copy()
    stack = np.empty(room, np.int32)
    waiting = 0
    for i in range(used):
        if feature[i] == LEAF and high[i] > low[i]:
            stack[waiting] = i
            waiting += 1
    number = state[0]
    while waiting > 0:
        waiting -= 1
        i = stack[waiting]
        a, b = low[i], high[i]
        out, inn = counts[i, 0] * weights[0], counts[i, 1] * weights[1]
        if out == 0 or inn == 0 or b - a < least or depth[i] >= deepest or used + 2 > room:
            continue
        best = np.float32(out * inn / (out + inn)) * np.float32(0.9999)  # the impurity of the leaf
        chosen = np.int64(LEAF)
        cut = np.float32(0)
        for _ in range(tries):
            number ^= number << np.uint64(13)
            number ^= number >> np.uint64(7)
            number ^= number << np.uint64(17)
            f = np.int64(number % np.uint64(samples.shape[1]))
            number ^= number << np.uint64(13)
            number ^= number >> np.uint64(7)
            number ^= number << np.uint64(17)
            one = samples[order[a + np.int64(number % np.uint64(b - a))], f]
            number ^= number << np.uint64(13)
            number ^= number >> np.uint64(7)
            number ^= number << np.uint64(17)
            other = samples[order[a + np.int64(number % np.uint64(b - a))], f]
            if one == other:
                continue
            middle = one + (other - one) * np.float32(0.5)
            under_out, under_in = np.float32(0), np.float32(0)
            for j in range(a, b):
                s = order[j]
                if samples[s, f] < middle:
                    if inside[s]:
                        under_in += draws[s] * weights[1]
                    else:
                        under_out += draws[s] * weights[0]
            over_out, over_in = out - under_out, inn - under_in
            under, over = under_out + under_in, over_out + over_in
            if under <= 0 or over <= 0:
                continue
            impurity = under_out * under_in / under + over_out * over_in / over
            if impurity < best:
                best = impurity
                chosen = f
                cut = middle
        if chosen == LEAF:
            continue
        left, right = a, b - 1
        while left <= right:
            if samples[order[left], chosen] < cut:
                left += 1
            else:
                order[left], order[right] = order[right], order[left]
                right -= 1
        if left in (a, b):
            continue
        feature[i], threshold[i], child[i] = chosen, cut, used
        for k, (lo, hi) in enumerate(((a, left), (left, b))):
            c = used + k
            low[c], high[c] = lo, hi
            depth[c] = depth[i] + 1
            counts[c, 0] = counts[c, 1] = 0
            for j in range(lo, hi):
                s = order[j]
                leaves[s] = c
                counts[c, 1 if inside[s] else 0] += draws[s]
            stack[waiting] = c
            waiting += 1
        used += 2
    state[0] = number
    for s in range(len(samples)):  # samples this tree did not draw follow their leaf's new questions, too
        if draws[s] == 0:
            i = leaves[s]
            while feature[i] != LEAF:
                i = child[i] + (0 if samples[s, feature[i]] < threshold[i] else 1)
            leaves[s] = i
    return used


@compiled
def ask(
    values: Real,  # [f n]
    where: NDArray[np.bool_],  # [n]
    feature: NDArray[np.int16],  # [t nodes]
    threshold: Real,  # [t nodes]
    child: NDArray[np.int32],  # [t nodes]
    chances: Real,  # [t nodes] of a sample in each leaf to be inside
    out: Real,  # [n]
) -> None:
    """Write the mean of the trees' chances where it is asked for."""
    trees = len(feature)
    row = np.empty(len(values), np.float32)
    for p in range(values.shape[1]):
        if not where[p]:
            continue
        for f in range(len(values)):
            row[f] = values[f, p]
        total = np.float32(0)
        for t in range(trees):
            i = 0
            while feature[t, i] != LEAF:
                i = child[t, i] + (0 if row[feature[t, i]] < threshold[t, i] else 1)
            total += chances[t, i]
        out[p] = total / np.float32(trees)
