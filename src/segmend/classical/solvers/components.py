"""Gaussian components as GrabCut has them: each voxel belongs to one (Rother et al., SIGGRAPH 2004).

A voxel's cost is that of the component that explains it best, D = -log share + log det / 2 + distance^2 / 2;
learning gives each component the share, mean and full covariance of the voxels that it explains best. `mixture.py`
has the other kind, in which components share every voxel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segmend.classical.solvers import assign
from segmend.classical.solvers.mixture import clusters
from segmend.core.image import MaskArray, Real
from segmend.errors import ShapeError

LEAST_VARIANCE = 0.25  # of values in units of the noise: a component is at least half a noise wide
FIRST_SAMPLES = 2000  # for the first clusters


@dataclass(frozen=True, eq=False)
class Components:
    """Gaussians with full covariances, each with its share of the voxels."""

    shares: NDArray[np.float64]  # [k]
    means: NDArray[np.float64]  # [k c]
    inverses: NDArray[np.float64]  # [k c c] Cholesky factors of the inverse covariances

    def costs(self, values: Real, where: MaskArray) -> tuple[Real, NDArray[np.uint8]]:
        """Return each voxel's least cost, and the component that has it, where asked for; 0 elsewhere."""
        channels = len(values)
        sizes = np.log(np.abs(np.diagonal(self.inverses, axis1=1, axis2=2))).sum(axis=1)
        constants = 0.5 * channels * np.log(2 * np.pi) - np.log(self.shares) - sizes
        flat = np.ascontiguousarray(values, np.float32).reshape(len(values), -1)
        costs, owners = np.zeros(flat.shape[1], np.float32), np.zeros(flat.shape[1], np.uint8)
        assign.cheapest(
            flat,
            self.means.astype(np.float32),
            self.inverses.astype(np.float32),
            constants.astype(np.float32),
            np.ascontiguousarray(where).ravel(),
            costs,
            owners,
        )
        return costs.reshape(values.shape[1:]), owners.reshape(values.shape[1:])

    @classmethod
    def of(cls, values: Real, where: MaskArray, owners: NDArray[np.uint8], count: int) -> Components:
        """Return the components that these voxels of values [c z y x], given to `count` owners, make."""
        channels = len(values)
        counts, sums = np.zeros(count), np.zeros((count, channels))
        products = np.zeros((count, channels, channels))
        flat = np.ascontiguousarray(values, np.float32).reshape(channels, -1)
        assign.gather(flat, np.ascontiguousarray(where).ravel(), owners.ravel(), counts, sums, products)
        kept = counts > 0
        counts, sums, products = counts[kept], sums[kept], products[kept]
        if len(counts) == 0:
            raise ShapeError("Gaussian components need at least one voxel to learn from; got none.")
        means = sums / counts[:, None]
        products += np.tril(products, -1).transpose(0, 2, 1)
        covariances = products / counts[:, None, None] - means[:, :, None] * means[:, None, :]
        covariances += LEAST_VARIANCE * np.eye(channels)
        return cls(counts / counts.sum(), means, np.linalg.cholesky(np.linalg.inv(covariances)))

    @classmethod
    def fit(cls, values: Real, where: MaskArray, count: int) -> Components:
        """Learn up to `count` components of the voxels where asked for, from clusters of their values.

        >>> values = np.array([[[[0, 0, 1, 9, 9, 8]]]], np.float32)
        >>> sorted(Components.fit(values, np.ones((1, 1, 6), bool), 2).means.round(1).tolist())
        [[0.3], [8.7]]
        """
        samples = values[:, where].T.astype(np.float64)
        if len(samples) == 0:
            raise ShapeError("Gaussian components need at least one voxel to learn from; got none.")
        _, centres = clusters(samples[:: -(-len(samples) // FIRST_SAMPLES)], count)
        size, channels = centres.shape
        even = cls(np.full(size, 1 / size), centres, np.broadcast_to(np.eye(channels), (size, channels, channels)))
        return cls.of(values, where, even.costs(values, where)[1], size)

    def refit(self, values: Real, where: MaskArray) -> Components:
        """Return the components fitted anew, each voxel assigned to the best of these."""
        return self.of(values, where, self.costs(values, where)[1], len(self.shares))
