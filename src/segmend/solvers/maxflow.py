"""The smallest cut of a grid into inside and outside, exactly.

Every voxel has a unary, what it costs to put it outside or inside, and every pair of neighbours a
cost when the cut runs between them; `cut` returns the labels whose total cost is least.
Costs are whole numbers so that "least" is exact: `whole_numbers` scales real ones.

A `fixed` voxel keeps its label and costs next to nothing: cutting again only in a `band`
round a boundary is how live refinement stays fast, and marks are fixed voxels too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Index, MaskArray
from segmend.core.seeds import FOREGROUND, UNKNOWN
from segmend.errors import SettingsError, ShapeError
from segmend.solvers import maxflow_loops

Costs = NDArray[np.int32]
LARGEST = 1 << 24  # of a single cost: the sum of a voxel's 27 costs stays within 32 bits


def offsets(shape: Sequence[int], *, diagonal: bool = False) -> tuple[Index, ...]:
    """Return the steps (z, y, x) to half of a voxel's neighbours; the other half are their opposites.

    A single slice has 4 neighbours, a volume 6; with diagonals 8 and 26.

    >>> offsets((1, 9, 9)), offsets((5, 9, 9))
    (((0, 0, 1), (0, 1, 0)), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))
    >>> len(offsets((1, 9, 9), diagonal=True)), len(offsets((5, 9, 9), diagonal=True))
    (4, 13)
    """
    reach = [(0,) if size == 1 and axis == 0 else (-1, 0, 1) for axis, size in enumerate(shape)]
    steps = [(z, y, x) for z, y, x in product(*reach) if (z, y, x) > (0, 0, 0)]
    return tuple(step for step in steps if diagonal or sum(map(abs, step)) == 1)


@dataclass(frozen=True, eq=False)
class Cut:
    """The labels that cost least, and what they cost.

    `cost` counts a voxel's unary where its label is the other one, and an arc where it leads from inside to outside.
    """

    inside: MaskArray  # [z y x]
    cost: int


def cut(
    unary: Costs,  # [z y x]
    arcs: Costs,  # [h z y x]
    *,
    steps: Sequence[Index] | None = None,
    back: Costs | None = None,
    fixed: NDArray[np.uint8] | None = None,
) -> Cut:
    """Return the cheapest cut of a grid.

    `unary` is what it costs to put a voxel outside (> 0) or inside (< 0). `arcs[i]` is what it costs to cut
    between each voxel and its neighbour at `steps[i]` (as from `offsets`, whose order is the default);
    `back` makes it dearer or cheaper when the neighbour is the one inside. `fixed` holds UNKNOWN, FOREGROUND or
    BACKGROUND. Undecided voxels, which cost the same either way, are outside.

    >>> unary = np.array([[[9, 0, 0, 0, -9]]], np.int32)
    >>> arcs = np.array([[[[5, 5, 2, 5, 0]]], [[[0, 0, 0, 0, 0]]]], np.int32)
    >>> cut(unary, arcs)
    Cut(inside=array([[[ True,  True,  True, False, False]]]), cost=2)
    """
    shape = unary.shape
    if unary.ndim != 3:
        raise ShapeError(f"A cut needs a unary with 3 axes (z, y, x); got shape {shape}.")
    steps = offsets(shape) if steps is None else steps
    back = arcs if back is None else back
    fixed = np.zeros(shape, np.uint8) if fixed is None else fixed
    for name, array, wanted in (
        ("arcs", arcs, (len(steps), *shape)),
        ("arcs back", back, (len(steps), *shape)),
        ("fixed voxels", fixed, shape),
    ):
        if array.shape != wanted:
            raise ShapeError(f"A cut of {shape} needs {name} of shape {wanted}; got {array.shape}.")
    _check_costs(unary, arcs, back)

    voxels = unary.size
    strides = np.asarray([(z * shape[1] + y) * shape[2] + x for z, y, x in steps], np.int64)
    pad = int(np.abs(strides).max(initial=0))
    capacity = np.zeros((voxels + 2 * pad, 2 * len(steps)), np.int32)
    supply = np.zeros(voxels + 2 * pad, np.int32)
    cost = maxflow_loops.build(
        np.ascontiguousarray(unary, np.int32).ravel(),
        _lines(arcs),
        _lines(back),
        np.ascontiguousarray(fixed, np.uint8).ravel(),
        np.asarray(steps, np.int64).reshape(len(steps), 3),
        np.asarray(shape, np.int64),
        pad,
        capacity,
        supply,
    )
    tree = np.zeros(voxels + 2 * pad, np.uint8)
    cost += maxflow_loops.fill(capacity, supply, np.stack([strides, -strides], axis=1).ravel(), tree)
    inside = (tree[pad : pad + voxels] == maxflow_loops.SOURCE).reshape(shape)
    return Cut((inside & (fixed == UNKNOWN)) | (fixed == FOREGROUND), int(cost))


def _check_costs(unary: Costs, arcs: Costs, back: Costs) -> None:
    for name, array in (("a unary", unary), ("arcs", arcs), ("arcs", back)):
        if array.dtype.kind not in "iu":
            raise ShapeError(f"A cut needs whole numbers; got {name} of {array.dtype}.")
    low = min(int(arcs.min(initial=0)), int(back.min(initial=0)))
    high = max(int(np.abs(unary).max(initial=0)), int(arcs.max(initial=0)), int(back.max(initial=0)))
    if low < 0 or high > LARGEST:
        raise SettingsError(f"A cut needs arcs of at least 0 and costs of at most {LARGEST}; got {low} and {high}.")


def _lines(arcs: Costs) -> Costs:
    return np.ascontiguousarray(arcs, np.int32).reshape(len(arcs), -1)


def whole_numbers(costs: NDArray[np.floating], *, scale: float) -> Costs:
    """Return real costs times `scale`, rounded and kept within what `cut` takes.

    >>> whole_numbers(np.array([0.126, -1e12]), scale=100)
    array([       13, -16777216], dtype=int32)
    """
    return np.asarray(np.rint(np.clip(costs * scale, -LARGEST, LARGEST)), np.int32)
