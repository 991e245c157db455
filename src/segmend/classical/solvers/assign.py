"""The inner loops of `components.py` and `mixture.py`: which Gaussian explains a voxel best, or how well all do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmend.solvers.compiled import compiled

Real = NDArray[np.float32]


@compiled
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
    channels, count = values.shape
    away = np.zeros(channels, np.float32)
    for p in range(count):
        if not where[p]:
            continue
        best = np.float32(np.inf)
        for k in range(len(means)):
            cost = constants[k]
            for c in range(channels):
                away[c] = values[c, p] - means[k, c]
            for d in range(channels):
                part = np.float32(0)
                for c in range(d, channels):
                    part += away[c] * inverses[k, c, d]
                cost += np.float32(0.5) * part * part
            if cost < best:
                best = cost
                owners[p] = k
        costs[p] = best


@compiled
def gather(
    values: Real,  # [c n]
    where: NDArray[np.bool_],  # [n]
    owners: NDArray[np.uint8],  # [n]
    counts: NDArray[np.float64],  # [k] out
    sums: NDArray[np.float64],  # [k c] out
    products: NDArray[np.float64],  # [k c c] out
) -> None:
    """Add up the voxels of each component and their products."""
    channels, count = values.shape
    for p in range(count):
        if where[p]:
            k = owners[p]
            counts[k] += 1
            for c in range(channels):
                sums[k, c] += values[c, p]
                for d in range(c + 1):
                    products[k, c, d] += np.float64(values[c, p]) * np.float64(values[d, p])


@compiled
def likely(
    values: Real,  # [c n]
    means: Real,  # [k c]
    inverses: Real,  # [k c c] lower triangles, as in `cheapest`
    sizes: Real,  # [k] the density of each component at its mean
    flat: float,  # the least density
    out: Real,  # [n]
) -> None:
    """Write the logarithm of the sum of all components and the flat one."""
    channels, count = values.shape
    away = np.zeros(channels, np.float32)
    for p in range(count):
        total = np.float32(flat)
        for k in range(len(means)):
            square = np.float32(0)
            for c in range(channels):
                away[c] = values[c, p] - means[k, c]
            for d in range(channels):
                part = np.float32(0)
                for c in range(d, channels):
                    part += away[c] * inverses[k, c, d]
                square += part * part
            total += sizes[k] * np.exp(np.float32(-0.5) * square)
        out[p] = np.log(max(total, np.float32(1e-30)))
