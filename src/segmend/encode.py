"""Prompts as voxels: which voxels a mark pins down, and how prompts enter a network's grid."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from segmend.image import Index
from segmend.prompts import Click, Extremes, Prompt, Stroke

Points = NDArray[np.intp]  # [n 3] (z, y, x)


def line(start: Index, end: Index) -> Points:
    """Return the voxels of a straight line, both ends included, with no gaps.

    >>> line((0, 0, 0), (0, 1, 3)).tolist()
    [[0, 0, 0], [0, 0, 1], [0, 1, 2], [0, 1, 3]]
    """
    a, b = np.asarray(start), np.asarray(end)
    steps = int(np.abs(b - a).max())
    if steps == 0:
        return a[None].astype(np.intp)
    t = np.arange(steps + 1)[:, None]
    return np.asarray(a + (2 * (b - a) * t + steps) // (2 * steps), np.intp)


def path(points: Sequence[Index]) -> Points:
    """Return the voxels of a line through all the points, each voxel once, in order.

    >>> path([(0, 0, 0), (0, 0, 2), (0, 0, 1)]).tolist()
    [[0, 0, 0], [0, 0, 1], [0, 0, 2]]
    """
    if len(points) == 1:
        return np.asarray(points, np.intp)
    pieces = [line(a, b) for a, b in pairwise(points)]
    voxels = np.concatenate(pieces)
    _, first = np.unique(voxels, axis=0, return_index=True)
    return voxels[np.sort(first)]


def mark(prompt: Prompt) -> tuple[Points, bool] | None:
    """Return the voxels that a prompt pins down, and their sign; None for the other kinds.

    A click pins its voxel, a stroke the line through its points, extreme points themselves.
    Boxes, lassos, masks and adjustments guide but do not pin.
    """
    match prompt:
        case Click(index=index, positive=positive):
            return np.asarray([index], np.intp), positive
        case Stroke(points=points, positive=positive):
            return path(points), positive
        case Extremes(points=points):
            return np.asarray(points, np.intp), True
        case _:
            return None


def marks(prompts: Sequence[Prompt], shape: Sequence[int]) -> tuple[Points, Points]:
    """Return the voxels pinned to the object and those pinned outside it.

    Where marks contradict each other the later one holds.

    >>> a, b = marks([Click((0, 1, 1)), Click((0, 1, 1), positive=False)], (1, 4, 4))
    >>> a.tolist(), b.tolist()
    ([], [[0, 1, 1]])
    """
    pinned: dict[int, bool] = {}
    grid = (int(shape[0]), int(shape[1]), int(shape[2]))
    for prompt in prompts:
        found = mark(prompt)
        if found is not None:
            voxels, positive = found
            for flat in np.ravel_multi_index(tuple(voxels.T), grid).tolist():
                pinned[flat] = positive
    return tuple(_unravel([i for i, sign in pinned.items() if sign is want], grid) for want in (True, False))  # type: ignore[return-value]


def _unravel(flat: list[int], shape: Index) -> Points:
    if not flat:
        return np.zeros((0, 3), np.intp)
    return np.stack(np.unravel_index(np.asarray(flat), shape), axis=1).astype(np.intp)
