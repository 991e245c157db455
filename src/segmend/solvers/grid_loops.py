"""The inner loops of `geodesic.py` and `edges.py`, in native/grid.c: passes over a grid that look at neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmend.native import loop

Real = NDArray[np.float32]


@loop("grid_geodesic", "f4[z y x]!", "b1[z y x]", "f4[c z y x]", "i8[k 3]", "f4[k]", "f8", "i8")
def geodesic(
    distance: Real,  # [z y x] changed where free: 0 or a price at the sources, infinite or a bound elsewhere
    free: NDArray[np.bool_],  # [z y x]
    values: Real,  # [c z y x]
    offsets: NDArray[np.int64],  # [k 3] the neighbours already passed in a forward pass
    lengths: Real,  # [k]
    contrast: float,
    most: int,
) -> int:
    """Pass forward and backward until nothing gets nearer, or `most` times; return how often."""


@loop("grid_likeness", "f4[c z y x]", "i8[h 3]", "f4[h]", "f8", "f8", "f4[h z y x]!")
def likeness(
    values: Real,  # [c z y x]
    offsets: NDArray[np.int64],  # [h 3]
    factors: Real,  # [h]
    sharpness: float,
    floor: float,
    out: Real,  # [h z y x]
) -> None:
    """Write factor * max(floor, exp(-sharpness * squared difference)) for every pair of neighbours."""


@loop("grid_soften", "b1[z y x]", "f4[z y x]!")
def soften(inside: NDArray[np.bool_], out: Real) -> None:
    """Write a probability that is above one half exactly inside, and nearer to it the more neighbours disagree."""
