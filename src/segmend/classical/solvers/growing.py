"""The inner loop of `growcut.py`, in native/growcut.c: stronger cells conquer weaker neighbours, the strongest first.

Cells wait in queues by strength: positive float32 numbers are ordered as the whole numbers that their bits spell,
so a queue holds strengths that share the leading bits. Within a queue cells come first in, first out, and one that
was conquered anew comes again, so the rest state does not depend on how fine the queues are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmend.native import loop

Real = NDArray[np.float32]
Links = NDArray[np.int32]
SHIFT = 16  # bits that a queue leaves open: strengths within 1 % of each other
ONE = 0x3F800000  # the bits of 1.0
QUEUES = (ONE >> SHIFT) + 1


@loop("growcut_grow", "f4[z y x]!", "u1[z y x]!", "i4[z y x]!", "f4[c z y x]", "i8[k 3]", "f8")
def grow(
    strength: Real,  # [z y x] changed; 0 to 1
    owner: NDArray[np.uint8],  # [z y x] changed; 0 where nobody is
    hops: Links,  # [z y x] changed: cells on the path from the seed
    values: Real,  # [c z y x]
    offsets: NDArray[np.int64],  # [k 3] all neighbours
    scale: float,  # a difference in values times this is what an attack loses
) -> None:
    """Let cells attack until nobody conquers.

    Of equal attacks the one from the nearer seed wins, then the owner of the larger number.
    """
