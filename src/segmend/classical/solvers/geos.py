"""Geodesic symmetric filtering (Criminisi, Sharp and Blake, ECCV 2008): noise out of a unary, edges kept.

Distances are geodesic, long across edges, and soft: a way may end anywhere at a price that grows with how little the
place looks like the goal. The difference of the distances to the outside and to the inside is an altitude; a shore that
lies `dilation` lower or `erosion` higher makes the unary's objects wider or narrower, and the distances from these two
shores, put back to the middle, give objects without specks, holes and hairs of up to these widths.
Of all pairs of widths the one whose mask has the least energy is taken: voxels side with their unary, and the boundary
runs where neighbours differ.
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
    """What is tried, and what it costs.

    `tried` are dilations and erosions in units of `spacing`; `price` is the longest a way is charged for ending where
    it does not belong; `contrast` lengthens a step by that many units per unit of values; `boundary` is the
    price of a unit of even boundary in logits, which a difference d makes cheaper by exp(-sharpness d^2).
    """

    tried: tuple[float, ...] = (1.0, 3.0, 8.0)
    price: float = 20.0
    contrast: float = 0.3
    boundary: float = 4.0
    sharpness: float = 0.1


@dataclass(frozen=True, eq=False)
class Filtered:
    """The altitude after filtering, above 0 inside; the widths that made it, and its energy."""

    altitude: Real  # [z y x] in units of `spacing`
    dilation: float
    erosion: float
    energy: float

    @property
    def inside(self) -> MaskArray:
        return np.asarray(self.altitude > 0)


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
    >>> geos(unary, np.zeros((1, 1, 1, 12)), widths=Widths(tried=(1.5,))).inside.astype(int)
    array([[[0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]]])
    """
    widths = Widths() if widths is None else widths
    pinned = np.zeros(unary.shape, np.uint8) if pinned is None else pinned
    if values.ndim != 4 or values.shape[1:] != unary.shape or pinned.shape != unary.shape:
        raise ShapeError(
            "Geodesic filtering needs a unary (z, y, x), values (c, z, y, x) and pins of one grid; "
            f"got {unary.shape}, {values.shape} and {pinned.shape}."
        )
    ground = _Ground.of(values, pinned == UNKNOWN, spacing, widths)
    like = sigmoid(np.asarray(unary, np.float32))
    like[pinned == FOREGROUND], like[pinned == BACKGROUND] = 1, 0
    altitude: Real = np.asarray(ground.way(widths.price * like) - ground.way(widths.price * (1 - like)))
    altitude[pinned == FOREGROUND] = np.maximum(altitude[pinned == FOREGROUND], 1)
    altitude[pinned == BACKGROUND] = np.minimum(altitude[pinned == BACKGROUND], -1)
    best = Filtered(altitude, 0.0, 0.0, ground.energy(unary, altitude > 0))
    out = {width: ground.to((altitude <= -width) | (pinned == BACKGROUND)) for width in widths.tried}
    into = {width: ground.to((altitude > width) | (pinned == FOREGROUND)) for width in widths.tried}
    for dilation, away in out.items():
        for erosion, near in into.items():
            if away is None or near is None:  # one side is gone: there is no boundary to put back
                continue
            found = away - near + np.float32(erosion - dilation)
            energy = ground.energy(unary, found > 0)
            if energy < best.energy:
                best = Filtered(found, dilation, erosion, energy)
    return best


@dataclass(frozen=True, eq=False)
class _Ground:
    """The image as ground to walk on, and what a boundary costs on it."""

    values: Real
    free: MaskArray  # no way leads through a pinned voxel; it can only be a way's end
    back: NDArray[np.int64]  # [k 3]
    lengths: Real  # [k]
    contrast: float
    prices: Real  # [h z y x]
    steps: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, values: Real, free: MaskArray, spacing: Sequence[float], widths: Widths) -> _Ground:
        values = np.ascontiguousarray(values, np.float32)
        back = -np.asarray(offsets(values.shape[1:], diagonal=True), np.int64).reshape(-1, 3)
        steps = offsets(values.shape[1:])
        prices = likeness(values, steps, spacing=spacing, sharpness=widths.sharpness)
        return cls(values, free, back, lengths_of(back, spacing), widths.contrast, widths.boundary * prices, steps)

    def way(self, price: NDArray[np.floating]) -> Real:
        """Return the cheapest way from each voxel to any, its end paid for."""
        distance: Real = np.ascontiguousarray(price, np.float32)
        grid_loops.geodesic(distance, self.free, self.values, self.back, self.lengths, self.contrast, TURNS)
        return distance

    def to(self, goals: MaskArray) -> Real | None:
        """Return the way to the nearest goal; None when there is none."""
        return self.way(np.where(goals, np.float32(0), np.float32(np.inf))) if goals.any() else None

    def energy(self, unary: Real, inside: MaskArray) -> float:
        """Return what this mask costs, in logits."""
        total = -float(unary[inside].sum(dtype=np.float64))
        for price, step in zip(self.prices, self.steps, strict=True):
            here = tuple(slice(0, n - s) for n, s in zip(inside.shape, step, strict=True))
            there = tuple(slice(s, n) for n, s in zip(inside.shape, step, strict=True))
            total += float(price[here][inside[here] != inside[there]].sum(dtype=np.float64))
        return total
