"""The inner loops of `components.py` and `mixture.py`, in native/assign.c: which Gaussian explains a voxel best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmend.native import loop

Real = NDArray[np.float32]


@loop("assign_cheapest", "f4[c n]", "f4[k c]", "f4[k c c]", "f4[k]", "b1[n]", "f4[n]!", "u1[n]!")
def cheapest(
    values: Real,  # [c n]
    means: Real,  # [k c]
    inverses: Real,  # [k c c] lower triangles L with L L^T the inverse covariance
    constants: Real,  # [k]
    where: NDArray[np.bool_],  # [n] which voxels are asked for
    costs: Real,  # [n] out
    owners: NDArray[np.uint8],  # [n] out
) -> None:
    """Write the least cost of each voxel over the components, and which component has it."""


@loop("assign_gather", "f4[c n]", "b1[n]", "u1[n]", "f8[k]!", "f8[k c]!", "f8[k c c]!")
def gather(
    values: Real,  # [c n]
    where: NDArray[np.bool_],  # [n]
    owners: NDArray[np.uint8],  # [n]
    counts: NDArray[np.float64],  # [k] out
    sums: NDArray[np.float64],  # [k c] out
    products: NDArray[np.float64],  # [k c c] out
) -> None:
    """Add up the voxels of each component and their products."""


@loop("assign_likely", "f4[c n]", "f4[k c]", "f4[k c c]", "f4[k]", "f8", "f4[n]!")
def likely(
    values: Real,  # [c n]
    means: Real,  # [k c]
    inverses: Real,  # [k c c] lower triangles, as in `cheapest`
    sizes: Real,  # [k] the density of each component at its mean
    flat: float,  # the least density
    out: Real,  # [n]
) -> None:
    """Write the logarithm of the sum of all components and the flat one."""
