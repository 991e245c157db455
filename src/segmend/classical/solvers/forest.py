"""A random forest that goes on growing with new samples: Saffari et al., ICCV workshops 2009, as Slic-Seg uses it.

Every tree draws each sample a Poisson number of times, which is bagging for samples that come one after another. A
leaf keeps the samples that came to it and is split when it holds both sides: of a few random features, with thresholds
between two of its samples, by the one that separates the sides best. Object and background may come in any proportion:
each has half of the weight, which is computed anew whenever samples come.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from segmend.classical.solvers import trees
from segmend.classical.solvers.trees import LEAF
from segmend.core.image import MaskArray, Real
from segmend.errors import ShapeError

TREES = 20
NODES = 1023  # of a tree at most
DEEPEST = 12
LEAST = 4  # samples that a leaf needs to be split
PRIOR_COUNT = 0.5  # samples of each side that are added to a leaf's counts, for the probability of a few


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees and the samples they have seen; `grown` returns the forest that has seen more."""

    samples: Real  # [n f]
    inside: NDArray[np.bool_]  # [n]
    draws: NDArray[np.uint8]  # [t n]
    leaves: NDArray[np.int32]  # [t n]
    feature: NDArray[np.int16]  # [t nodes]
    threshold: Real  # [t nodes]
    child: NDArray[np.int32]  # [t nodes]
    depth: NDArray[np.uint8]  # [t nodes]
    counts: Real  # [t nodes 2] samples outside and inside
    used: NDArray[np.int64]  # [t] nodes
    state: NDArray[np.uint64]  # [t 1] of the random numbers

    @classmethod
    def planted(cls, features: int, seed: int = 0) -> Forest:
        """Return a forest that has seen nothing.

        >>> forest = Forest.planted(2).grown(np.array([[0, 0], [0, 1], [5, 0], [5, 1]]), np.array([0, 0, 1, 1], bool))
        >>> low, high = forest.probabilities(np.array([[1, 4], [0, 1]], np.float32)).tolist()
        >>> low < high
        True
        """
        random = np.random.default_rng(seed)
        return cls(
            np.zeros((0, features), np.float32),
            np.zeros(0, bool),
            np.zeros((TREES, 0), np.uint8),
            np.zeros((TREES, 0), np.int32),
            np.full((TREES, NODES), LEAF, np.int16),
            np.zeros((TREES, NODES), np.float32),
            np.zeros((TREES, NODES), np.int32),
            np.zeros((TREES, NODES), np.uint8),
            np.zeros((TREES, NODES, 2), np.float32),
            np.ones(TREES, np.int64),
            random.integers(1, 1 << 63, (TREES, 1), np.uint64),
        )

    def grown(self, samples: Real, inside: NDArray[np.bool_]) -> Forest:
        """Return the forest after it has seen these samples [n f] as well."""
        if samples.ndim != 2 or samples.shape[1] != self.samples.shape[1] or len(samples) != len(inside):
            wanted = self.samples.shape[1]
            raise ShapeError(
                f"A forest of {wanted} features needs samples of shape (n, {wanted}) and n sides; "
                f"got {samples.shape} and {len(inside)}."
            )
        before, count = len(self.samples), len(samples)
        every = np.concatenate([self.samples, np.asarray(samples, np.float32)])
        sides = np.concatenate([self.inside, np.asarray(inside, bool)])
        state = self.state.copy()
        new = np.stack([np.random.default_rng(int(one[0])).poisson(1.0, count) for one in state]).astype(np.uint8)
        forest = replace(
            self,
            samples=every,
            inside=sides,
            draws=np.concatenate([self.draws, new], axis=1),
            leaves=np.concatenate([self.leaves, np.zeros((TREES, count), np.int32)], axis=1),
            feature=self.feature.copy(),
            threshold=self.threshold.copy(),
            child=self.child.copy(),
            depth=self.depth.copy(),
            counts=self.counts.copy(),
            used=self.used.copy(),
            state=state,
        )
        weights = forest.weights
        for t in range(TREES):
            rows = forest.draws[t], forest.feature[t], forest.threshold[t], forest.child[t]
            trees.sort_samples(every, before, sides, *rows, forest.counts[t], forest.leaves[t])
            forest.used[t] = trees.split(
                every,
                sides,
                forest.draws[t],
                weights,
                max(4, round(2 * np.sqrt(every.shape[1]))),
                LEAST,
                DEEPEST,
                state[t],
                *rows[1:],
                forest.depth[t],
                forest.counts[t],
                forest.leaves[t],
                int(forest.used[t]),
            )
        return forest

    @property
    def weights(self) -> Real:  # [2]
        """How much one sample of each side counts, so that the sides count the same."""
        inside = int(self.inside.sum())
        outside = len(self.inside) - inside
        half = len(self.inside) / 2
        return np.asarray([half / max(outside, 1), half / max(inside, 1)], np.float32)

    def probabilities(self, values: Real, where: MaskArray | None = None) -> Real:
        """Return the probability to be inside of values [f ...], where it is wanted; 0 elsewhere."""
        shape = values.shape[1:]
        flat = np.ascontiguousarray(values, np.float32).reshape(len(values), -1)
        wanted = np.ones(flat.shape[1], bool) if where is None else np.ascontiguousarray(where).ravel()
        sides = (self.counts + PRIOR_COUNT) * self.weights if len(self.samples) else self.counts + PRIOR_COUNT
        probabilities = np.asarray(sides[..., 1] / sides.sum(axis=2), np.float32)
        out = np.zeros(flat.shape[1], np.float32)
        trees.predict(flat, wanted, self.feature, self.threshold, self.child, probabilities, out)
        return out.reshape(shape)
