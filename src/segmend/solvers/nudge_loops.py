"""The inner loop of `nudge.py`, in native/nudge.c: a front takes voxels one by one, the cheapest to reach first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmend.native import loop

Real = NDArray[np.float32]


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
    order = np.empty(count, np.int64)
    return order[: _reach(start, price, barred, spacing, order)]


@loop("nudge_reach", "b1[z y x]", "f4[z y x]", "b1[z y x]", "f4[3]", "i8[count]!")
def _reach(
    start: NDArray[np.bool_], price: Real, barred: NDArray[np.bool_], spacing: Real, order: NDArray[np.int64]
) -> int:
    """Write the order of `reached` and return how many voxels it has."""
