"""GrowCut (Vezhnevets and Konouchine, Graphicon 2005): seeds grow until every cell belongs to the strongest.

In the paper's automaton a cell attacks its neighbours with its strength times g = 1 - |difference| / largest, and
takes those that are weaker. Where it comes to rest, the strength of a cell is the largest product of g along any
path from a seed: a shortest path in which lengths are -log g. So, as in "fast GrowCut" (Zhu et al., MICCAI 2014), cells
attack once, the strongest first, and the answer equals the automaton's bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segmend.classical.solvers import growing
from segmend.core.image import Real
from segmend.core.seeds import UNKNOWN
from segmend.errors import ShapeError
from segmend.solvers.maxflow import offsets


@dataclass(frozen=True, eq=False)
class Grown:
    """Who owns each cell, UNKNOWN where no seed could reach, and how strongly."""

    owner: NDArray[np.uint8]  # [z y x]
    strength: Real  # [z y x] 1 at seeds, down to 0


def growcut(
    values: Real,  # [c z y x]
    seeds: NDArray[np.uint8],  # [z y x]
    *,
    largest: float | None = None,
    diagonal: bool = True,
) -> Grown:
    """Return the rest state of the automaton with 8 neighbours in a slice and 26 in a volume, or 4 and 6.

    `largest` is the difference in values that no attack survives, the extent of the values by default. Of
    equally strong attacks the one from the nearer seed holds, then the one from outside.

    >>> values = np.array([[[[0, 1, 2, 8, 9, 10]]]], np.float32)
    >>> growcut(values, np.array([[[1, 0, 0, 0, 0, 2]]], np.uint8)).owner
    array([[[1, 1, 1, 2, 2, 2]]], dtype=uint8)
    """
    if values.ndim != 4 or values.shape[1:] != seeds.shape:
        raise ShapeError(f"GrowCut needs values (c, z, y, x) of {seeds.shape}; got {values.shape}.")
    extent = float(np.linalg.norm(np.ptp(values, axis=(1, 2, 3)))) if largest is None else largest
    owner = np.array(seeds, np.uint8, order="C")
    strength = (owner != UNKNOWN).astype(np.float32)
    hops = np.zeros(seeds.shape, np.int32)
    half = np.asarray(offsets(seeds.shape, diagonal=diagonal), np.int64).reshape(-1, 3)
    loss = 1 / extent if extent > 0 else 0.0
    around = np.concatenate([half, -half])
    growing.grow(strength, owner, hops, np.ascontiguousarray(values, np.float32), around, loss)
    return Grown(owner, strength)
