"""The inner loops of `levelset.py`, in native/levelset.c: one step of a front, visited only near the front."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmend.native import loop

Real = NDArray[np.float32]
NEAR = 3.0  # cells either side of the front that move
ROUND = 0.03  # a height this near the plateau is on it, so that what lies far from the front rests
SMALL = 1e-6


@loop("levelset_step", "f4[z y x]", "f4[z y x]!", "f4[z y x]", "f4[z y x]", "b1[z y x]", "f4[3]", "f8", "f8", "f8")
def step(
    height: Real,  # [z y x] above 0 inside
    out: Real,  # [z y x] written
    force: Real,  # [z y x] above 0 where the front should go outwards, -1 to 1
    edges: Real,  # [z y x] 1 on even ground, towards 0 on edges of the image
    free: NDArray[np.bool_],  # [z y x]
    spacing: Real,  # [3]
    tension: float,
    keep: float,
    pace: float,
) -> int:
    """Write the heights after one step; return how many cells changed sides.

    A cell moves by pace (force + tension div(edges n)) min(1, |slope|) + keep R, where n is the slope's direction and
    R draws the slope near the front to 1, as in Li et al. (TIP 2010). Slopes that a force moves along are upwind,
    and 1 at the front itself, so that a force can also move one that has become flat.
    """
