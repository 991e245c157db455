"""Geodesic symmetric filtering (Criminisi, Sharp and Blake, ECCV 2008): noise out of a unary, edges kept.

Distances are geodesic, long across edges, and soft: a path may end anywhere, at a cost that grows with how improbable
the target's label is there. The difference of the distances to the outside and to the inside is a signed distance. Its
level sets at -`dilation` and `erosion` are a wider and a narrower object, and the distances from these two, combined at
the middle, give objects without specks, holes and hairs of up to these widths.
Of all pairs of widths the one whose mask has the least energy is taken: the unary, and a boundary that costs less where
neighbours differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import MaskArray, Real
from segmend.core.logits import sigmoid
from segmend.core.seeds import BACKGROUND, FOREGROUND, UNKNOWN
from segmend.errors import ShapeError
from segmend.solvers import grid_loops
from segmend.solvers.edges import likeness
from segmend.solvers.geodesic import lengths_of
from segmend.solvers.maxflow import offsets

TURNS = 1  # passes forward and back for one distance: the paper's, and close (see `geodesic.py`)


@dataclass(frozen=True)
class Widths:
    """The widths to try, and the costs.

    `candidates` are dilations and erosions in units of `spacing`; `end_cost` is the most that a path costs for ending
    at a voxel of the other label; `contrast` lengthens a step by that many units per unit of values; `boundary` is the
    cost of a unit of even boundary in logits, which a difference d multiplies by exp(-sharpness d^2).
    """

    candidates: tuple[float, ...] = (1.0, 3.0, 8.0)
    end_cost: float = 20.0
    contrast: float = 0.3
    boundary: float = 4.0
    sharpness: float = 0.1


@dataclass(frozen=True, eq=False)
class Filtered:
    """The signed distance after filtering, above 0 inside; the widths that made it, and its energy."""

    signed_distance: Real  # [z y x] in units of `spacing`
    dilation: float
    erosion: float
    energy: float

    @property
    def inside(self) -> MaskArray:
        return np.asarray(self.signed_distance > 0)


def geos(
    unary: Real,  # [z y x] logits
    values: Real,  # [c z y x]
    *,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    pinned: NDArray[np.uint8] | None = None,
    widths: Widths | None = None,
) -> Filtered:
    """Return the filtered unary of least energy; `pinned` voxels stay FOREGROUND or BACKGROUND.

    >>> unary = np.array([[[-3, 3, -3, -3, -3, 3, 3, 3, 3, -3, 3, 3]]], np.float32)
    >>> geos(unary, np.zeros((1, 1, 1, 12)), widths=Widths(candidates=(1.5,))).inside.astype(int)
    array([[[0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]]])
    """
    widths = Widths() if widths is None else widths
    pinned = np.zeros(unary.shape, np.uint8) if pinned is None else pinned
    if values.ndim != 4 or values.shape[1:] != unary.shape or pinned.shape != unary.shape:
        raise ShapeError(
            "Geodesic filtering needs a unary (z, y, x), values (c, z, y, x) and pins of one grid; "
            f"got {unary.shape}, {values.shape} and {pinned.shape}."
        )
    distances = _Distances.of(values, pinned == UNKNOWN, spacing, widths)
    probability = sigmoid(np.asarray(unary, np.float32))
    probability[pinned == FOREGROUND], probability[pinned == BACKGROUND] = 1, 0
    signed_distance: Real = np.asarray(
        distances.cheapest(widths.end_cost * probability) - distances.cheapest(widths.end_cost * (1 - probability))
    )
    signed_distance[pinned == FOREGROUND] = np.maximum(signed_distance[pinned == FOREGROUND], 1)
    signed_distance[pinned == BACKGROUND] = np.minimum(signed_distance[pinned == BACKGROUND], -1)
    best = Filtered(signed_distance, 0.0, 0.0, distances.energy(unary, signed_distance > 0))
    out = {
        width: distances.nearest((signed_distance <= -width) | (pinned == BACKGROUND)) for width in widths.candidates
    }
    into = {width: distances.nearest((signed_distance > width) | (pinned == FOREGROUND)) for width in widths.candidates}
    for dilation, away in out.items():
        for erosion, near in into.items():
            if away is None or near is None:  # one side is gone: there is no boundary to put back
                continue
            found = away - near + np.float32(erosion - dilation)
            energy = distances.energy(unary, found > 0)
            if energy < best.energy:
                best = Filtered(found, dilation, erosion, energy)
    return best


@dataclass(frozen=True, eq=False)
class _Distances:
    """Geodesic distances in an image, and what a boundary costs in it."""

    values: Real
    free: MaskArray  # no path leads through a pinned voxel; it can only be a path's end
    back: NDArray[np.int64]  # [k 3]
    lengths: Real  # [k]
    contrast: float
    pairwise: Real  # [h z y x]
    steps: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, values: Real, free: MaskArray, spacing: Sequence[float], widths: Widths) -> _Distances:
        values = np.ascontiguousarray(values, np.float32)
        back = -np.asarray(offsets(values.shape[1:], diagonal=True), np.int64).reshape(-1, 3)
        steps = offsets(values.shape[1:])
        pairwise = likeness(values, steps, spacing=spacing, sharpness=widths.sharpness)
        return cls(values, free, back, lengths_of(back, spacing), widths.contrast, widths.boundary * pairwise, steps)

    def cheapest(self, price: NDArray[np.floating]) -> Real:
        """Return the cost of the cheapest path from each voxel to any, the cost of its end included."""
        distance: Real = np.ascontiguousarray(price, np.float32)
        grid_loops.geodesic(distance, self.free, self.values, self.back, self.lengths, self.contrast, TURNS)
        return distance

    def nearest(self, goals: MaskArray) -> Real | None:
        """Return the distance to the nearest goal; None when there is none."""
        return self.cheapest(np.where(goals, np.float32(0), np.float32(np.inf))) if goals.any() else None

    def energy(self, unary: Real, inside: MaskArray) -> float:
        """Return the energy of this mask, in logits."""
        total = -float(unary[inside].sum(dtype=np.float64))
        for price, step in zip(self.pairwise, self.steps, strict=True):
            here = tuple(slice(0, n - s) for n, s in zip(inside.shape, step, strict=True))
            there = tuple(slice(s, n) for n, s in zip(inside.shape, step, strict=True))
            total += float(price[here][inside[here] != inside[there]].sum(dtype=np.float64))
        return total
