"""The inner loops of `maxflow.py`, in native/maxflow.c: the algorithm of Boykov and Kolmogorov (PAMI 2004) on a grid.

Voxel p of the grid is node `pad + p`; its k-th arc leads to node `p + steps[k]`, and arcs 2i and 2i + 1 lead opposite
ways. Arcs that would leave the grid have capacity 0 both ways.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmend.native import loop

SOURCE = 1  # what `fill` writes where a voxel stays with the source


@loop("maxflow_build", "i4[n]", "i4[h n]", "i4[h n]", "u1[n]", "i8[h 3]", "i8[3]", "i8", "i4[m a]!", "i4[m]!")
def build(
    unary: NDArray[np.int32],  # [n]
    there: NDArray[np.int32],  # [h n]
    back: NDArray[np.int32],  # [h n]
    fixed: NDArray[np.uint8],  # [n]
    offsets: NDArray[np.int64],  # [h 3]
    shape: NDArray[np.int64],  # [3]
    pad: int,
    capacity: NDArray[np.int32],  # [pad + n + pad, 2 h] out: what each arc can still carry
    supply: NDArray[np.int32],  # [pad + n + pad] out: left from the source (> 0) or to the sink (< 0)
) -> int:
    """Fill `capacity` and `supply` and return what any cut must pay; fixed voxels become part of the terminals."""


@loop("maxflow_fill", "i4[m k]!", "i4[m]!", "i8[k]", "u1[m]!")
def fill(
    capacity: NDArray[np.int32],  # [m k]
    supply: NDArray[np.int32],  # [m]
    steps: NDArray[np.int64],  # [k]
    tree: NDArray[np.uint8],  # [m] out: SOURCE where the voxel stays with the source
) -> int:
    """Push as much as fits from the source to the sink and return how much it was."""
