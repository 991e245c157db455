"""Densities of intensities inside and outside, learnt from samples of voxels.

One channel is a smoothed histogram; more are a mixture of Gaussians. Both are made for few samples as well
as many: a spread, from the image's noise, is the least width that a density may have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.special import logsumexp

from segmend.classical.solvers import assign
from segmend.core.image import Real
from segmend.errors import ShapeError

LEVELS = 256
MOST_SAMPLES = 1500
ROUNDS = 8
RARE = 1e-4  # no value is impossible: each density has this share of a flat one


class Density(Protocol):
    def log_density(self, values: Real) -> Real:
        """Return the natural logarithm of the density of values [c ...]."""
        ...


@dataclass(frozen=True, eq=False)
class Histogram:
    """The density of one channel between two values, in LEVELS steps."""

    low: float
    high: float
    logarithms: Real  # [LEVELS]

    @classmethod
    def fit(cls, samples: Real, *, low: float, high: float, spread: float) -> Histogram:
        """Learn from samples [n]; `spread` is the standard deviation by which each is blurred.

        >>> seen = Histogram.fit(np.array([2, 2, 8]), low=0, high=10, spread=0.5)
        >>> likely = seen.log_density(np.array([[2.0, 8.0, 5.0]]))
        >>> bool(likely[0] > likely[1] > likely[2])
        True
        """
        if samples.size == 0:
            raise ShapeError("A density needs at least one sample; got none.")
        width = (high - low) / LEVELS
        counts = np.bincount(_levels(samples, low, high), minlength=LEVELS) / samples.size
        smooth = gaussian_filter1d(counts, float(np.clip(spread / width, 0.5, LEVELS)), mode="constant")
        density = ((1 - RARE) * smooth / max(smooth.sum(), 1e-9) + RARE / LEVELS) / width
        return cls(low, high, np.log(density).astype(np.float32))

    def log_density(self, values: Real) -> Real:
        """Return the natural logarithm of the density of values [1 ...]; beyond the ends it is the ends'."""
        return np.asarray(self.logarithms[_levels(values[0], self.low, self.high)])


def _levels(values: Real, low: float, high: float) -> NDArray[np.intp]:
    return np.asarray(np.clip((values - low) * (LEVELS / (high - low)), 0, LEVELS - 1), np.intp)


@dataclass(frozen=True, eq=False)
class Gaussians:
    """A sum of Gaussians with full covariances."""

    shares: NDArray[np.float64]  # [k]
    means: NDArray[np.float64]  # [k c]
    inverses: NDArray[np.float64]  # [k c c] Cholesky factors of the inverse covariances
    flat: float  # the density of the flat one, RARE of the whole

    @classmethod
    def fit(cls, samples: Real, *, count: int, spread: Real, volume: float) -> Gaussians:
        """Learn `count` Gaussians from samples [n c]; `spread` [c] is their least standard deviation.

        `volume` is that of the space of values, over which a little probability is spread evenly.

        >>> samples = np.array([[0, 0, 0]] * 9 + [[5, 5, 5]] * 3, np.float32)
        >>> two = Gaussians.fit(samples, count=2, spread=np.full(3, 0.5), volume=1000)
        >>> sorted(two.shares.round(2).tolist())
        [0.25, 0.75]
        """
        if len(samples) == 0:
            raise ShapeError("A density needs at least one sample; got none.")
        points = np.asarray(samples, np.float64)
        weights, _ = clusters(points, count)
        floor = np.diag(np.maximum(np.asarray(spread, np.float64), 1e-6) ** 2)
        mixture = cls._from(points, weights, floor, volume)
        for _ in range(ROUNDS):
            logarithms = mixture._parts(points)
            weights = np.exp(logarithms - logsumexp(logarithms, axis=1, keepdims=True))
            mixture = cls._from(points, weights, floor, volume)
        return mixture

    @classmethod
    def _from(
        cls, points: NDArray[np.float64], weights: NDArray[np.float64], floor: NDArray[np.float64], volume: float
    ) -> Gaussians:
        totals = weights.sum(axis=0)
        weights, totals = weights[:, totals > 1e-6], totals[totals > 1e-6]
        means = (weights.T @ points) / totals[:, None]
        away = points[:, None, :] - means[None]
        covariances = np.einsum("nk,nki,nkj->kij", weights, away, away) / totals[:, None, None] + floor
        inverses = np.linalg.cholesky(np.linalg.inv(covariances))
        return cls(totals / totals.sum(), means, inverses, RARE / max(volume, 1e-12))

    def _parts(self, points: NDArray[np.float64]) -> NDArray[np.float64]:  # [n k]
        scaled = np.einsum("nkc,kcd->nkd", points[:, None, :] - self.means[None], self.inverses)
        sizes = np.log(np.abs(np.diagonal(self.inverses, axis1=1, axis2=2))).sum(axis=1)
        constant = np.log(self.shares) + sizes - 0.5 * points.shape[1] * np.log(2 * np.pi)
        return np.asarray(constant - 0.5 * (scaled**2).sum(axis=2))

    def log_density(self, values: Real) -> Real:
        """Return the natural logarithm of the density of values [c ...]."""
        channels = len(values)
        diagonals = np.abs(np.diagonal(self.inverses, axis1=1, axis2=2))
        sizes = self.shares * (1 - RARE) * diagonals.prod(axis=1) / (2 * np.pi) ** (channels / 2)
        flat = np.ascontiguousarray(values, np.float32).reshape(channels, -1)
        out = np.empty(flat.shape[1], np.float32)
        shapes = self.means.astype(np.float32), self.inverses.astype(np.float32), sizes.astype(np.float32)
        assign.likely(flat, *shapes, self.flat, out)
        return out.reshape(values.shape[1:])


def clusters(points: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return which of up to `count` clusters each sample is in, 1 or 0 [n k], and their centres [k c].

    >>> clusters(np.array([[0.0], [1.0], [9.0]]), 2)[0].tolist()
    [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    """
    centres = _spread_out(points, count)
    for _ in range(4):
        owner = ((points[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
        ones = (owner[:, None] == np.arange(len(centres))).astype(np.float64)
        totals = np.maximum(ones.sum(axis=0), 1e-9)
        centres = (ones.T @ points) / totals[:, None]
    return np.asarray(ones), np.asarray(centres)


def _spread_out(points: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return up to `count` distinct samples: one from the middle, then each the farthest from those before it."""
    chosen = [int(np.argmin(((points - np.median(points, axis=0)) ** 2).sum(axis=1)))]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < count:
        nearest = np.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
        if nearest.max() == 0:
            break
        chosen.append(int(np.argmax(nearest)))
    return np.asarray(points[chosen])


def thin_out(samples: Real) -> Real:
    """Return at most MOST_SAMPLES of the samples [n c], evenly spread over them.

    >>> len(thin_out(np.zeros((9001, 3)))) <= MOST_SAMPLES
    True
    """
    return np.asarray(samples[:: -(-max(1, len(samples)) // MOST_SAMPLES)])


def fit(samples: Real, *, low: Real, high: Real, spread: Real, count: int = 4) -> Density:
    """Return the density of samples [n c] whose values lie between `low` and `high` [c].

    >>> fit(np.zeros((5, 1)), low=np.zeros(1), high=np.ones(1), spread=np.full(1, 0.1)).__class__.__name__
    'Histogram'
    """
    if samples.shape[1] == 1:
        return Histogram.fit(samples[:, 0], low=float(low[0]), high=float(high[0]), spread=float(spread[0]))
    few = thin_out(samples)
    volume = float(np.prod(np.asarray(high, np.float64) - low))
    return Gaussians.fit(few, count=min(count, 1 + len(few) // 40), spread=spread, volume=volume)
