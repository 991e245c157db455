"""The random walker (Grady, PAMI 2006; with priors, CVPR 2005) on a grid.

The value of a voxel is the probability that a walker who starts there and prefers strong links reaches
a voxel marked inside before one marked outside. With a prior, the walker may also stop at any
voxel, and then is inside with the probability of the prior there.

That probability solves a weighted Laplace equation. It is solved by conjugate gradients, with one
multigrid cycle on ever coarser grids as preconditioner: the number of iterations hardly depends on
the size of the grid, and each costs a few passes over it (bench/solvers.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from segmend.classical.solvers import relax
from segmend.core.image import Real
from segmend.core.seeds import BACKGROUND, FOREGROUND
from segmend.errors import SettingsError, ShapeError
from segmend.native import bound

COARSEST = 160  # unknowns of the grid that is solved directly
WEAK = 0.2  # an axis whose links are weaker than this part of the strongest is not made coarser
DAMPING = 0.8
Flat = NDArray[np.float32]
Sizes = NDArray[np.int64]


def walk(
    links: Real,  # [3 z y x]
    pinned: NDArray[np.uint8],  # [z y x]
    *,
    stop: Real | None = None,
    prior: Real | None = None,
    tolerance: float = 1e-4,
    most: int = 1000,
) -> Real:
    """Return the probability of every voxel to be inside.

    `links[a]` joins each voxel to the next one along axis a. `stop` [z y x] is how readily a walker stops
    at a voxel, and `prior` its probability to be inside there. `tolerance` is the largest residual relative to the
    right-hand side, reached within `most` steps. Without marks and prior it is 0.5.

    >>> links = np.ones((3, 1, 1, 5), np.float32)
    >>> walk(links, np.array([[[1, 0, 0, 0, 2]]], np.uint8)).round(2)
    array([[[1.  , 0.75, 0.5 , 0.25, 0.  ]]], dtype=float32)
    """
    if links.shape != (3, *pinned.shape):
        raise ShapeError(
            f"A random walk on {pinned.shape} needs links of shape {(3, *pinned.shape)}; got {links.shape}."
        )
    for name, array in (("stops", stop), ("a prior", prior)):
        if array is not None and array.shape != pinned.shape:
            raise ShapeError(f"A random walk on {pinned.shape} needs {name} of that shape; got {array.shape}.")
    if (stop is None) != (prior is None):
        raise ShapeError("A random walk needs stops and a prior together; got one of them.")
    grid, b = _finest(links, pinned, stop, prior)
    u = _conjugate_gradients(_hierarchy(grid), b, max(tolerance, 1e-7), most)
    probability = np.clip(u[grid.pad : grid.pad + pinned.size].reshape(pinned.shape), 0, 1)
    if not grid.anchor.any():
        probability[:] = 0.5
    probability[pinned == FOREGROUND] = 1
    probability[pinned == BACKGROUND] = 0
    return probability


@dataclass(frozen=True, eq=False)
class _Grid:
    """The operator on one grid, with memory for its part of a cycle."""

    shape: Sizes  # [3]
    links: Flat  # [3 m]
    anchor: Flat  # [m]
    diagonal: Flat
    inverse: Flat
    u: Flat
    b: Flat
    product: Flat
    factor: Sizes  # [3] how the next grid is coarser; all 1 for the coarsest

    @property
    def pad(self) -> int:
        return _pad(self.shape)

    @property
    def strides(self) -> Sizes:
        return np.asarray([self.shape[1] * self.shape[2], self.shape[2], 1], np.int64)


def _pad(shape: Sizes) -> int:
    return int(shape[1] * shape[2]) + 1


def _empty(shape: Sizes, links: Flat, anchor: Flat) -> _Grid:
    diagonal, inverse, u, b, product = np.zeros((5, len(anchor)), np.float32)
    return _Grid(shape, links, anchor, diagonal, inverse, u, b, product, _factor(shape, links))


def _factor(shape: Sizes, links: Flat) -> Sizes:
    if np.prod(shape) <= COARSEST:
        return np.ones(3, np.int64)
    mean = links.sum(axis=1, dtype=np.float64) / np.maximum(1, np.prod(shape) * (1 - 1 / shape))
    strong = (mean >= WEAK * mean[shape > 1].max(initial=0)) & (shape > 1)
    return np.where(strong, 2, 1)


def _finest(links: Real, pinned: NDArray[np.uint8], stop: Real | None, prior: Real | None) -> tuple[_Grid, Flat]:
    shape = np.asarray(pinned.shape, np.int64)
    pad, n = _pad(shape), pinned.size
    flat = np.zeros((3, n + 2 * pad), np.float32)
    inner = flat[:, pad : pad + n].reshape(links.shape)
    inner[0, :-1], inner[1, :, :-1], inner[2, :, :, :-1] = links[0, :-1], links[1, :, :-1], links[2, :, :, :-1]
    anchor, b = np.zeros((2, n + 2 * pad), np.float32)
    if stop is not None and prior is not None:
        anchor[pad : pad + n] = stop.ravel()
        b[pad : pad + n] = (stop * prior).ravel()
    grid = _empty(shape, flat, anchor)
    relax.set_up(flat, np.ascontiguousarray(pinned).ravel(), anchor, b, grid.diagonal, grid.inverse, grid.strides, pad)
    return grid, b


def _hierarchy(grid: _Grid) -> list[_Grid]:
    grids = [grid]
    while (grid.factor > 1).any():
        shape = -(-grid.shape // grid.factor)
        pad = _pad(shape)
        m = int(np.prod(shape)) + 2 * pad
        links, anchor = np.zeros((3, m), np.float32), np.zeros(m, np.float32)
        diagonal, inverse = np.zeros((2, m), np.float32)
        relax.coarsen(
            grid.links, grid.anchor, grid.shape, grid.pad, grid.factor, links, anchor, shape, pad, diagonal, inverse
        )
        wide = _empty(shape, links, anchor)
        wide.diagonal[:], wide.inverse[:] = diagonal, inverse
        grids.append(wide)
        grid = wide
    return grids


@dataclass(frozen=True, eq=False)
class _Passes:
    """The loops over one grid that has a coarser one, on their arrays."""

    begin: Callable[[], None]
    multiply: Callable[[], None]
    smooth: Callable[[], None]
    restrict: Callable[[], None]
    prolong: Callable[[], None]

    @classmethod
    def between(cls, grid: _Grid, wide: _Grid) -> _Passes:
        pad, coarser = grid.pad, (grid.shape, grid.pad, grid.factor)
        return cls(
            bound(relax.begin, grid.u, grid.b, grid.inverse, DAMPING, pad),
            bound(relax.multiply, grid.links, grid.diagonal, grid.u, grid.product, grid.strides, pad),
            bound(relax.smooth, grid.u, grid.b, grid.product, grid.inverse, DAMPING, pad),
            bound(relax.restrict, grid.b, grid.product, *coarser, wide.b, wide.shape, wide.pad),
            bound(relax.prolong, grid.u, grid.inverse, *coarser, wide.u, wide.shape, wide.pad),
        )


def _cycle(passes: list[_Passes], level: int, coarsest: _Grid, bottom: NDArray[np.float32]) -> None:
    """Improve `u` of a grid from 0, given its `b`: smooth, correct on the next grid twice, smooth."""
    if level == len(passes):
        inner = slice(coarsest.pad, -coarsest.pad)
        coarsest.u[inner] = bottom @ coarsest.b[inner]
        return
    on = passes[level]
    on.begin()
    on.multiply()
    on.smooth()
    for _ in range(1 if level + 1 == len(passes) else 2):
        on.multiply()
        on.restrict()
        _cycle(passes, level + 1, coarsest, bottom)
        on.prolong()
    for _ in range(2):
        on.multiply()
        on.smooth()


def _bottom(grid: _Grid) -> NDArray[np.float32]:
    """Return the inverse of the coarsest grid's operator; blocks without unknowns stay 0."""
    n, pad = int(np.prod(grid.shape)), grid.pad
    matrix = np.zeros((n, n))
    unit, out = np.zeros((2, n + 2 * pad), np.float32)
    multiply = bound(relax.multiply, grid.links, grid.diagonal, unit, out, grid.strides, pad)
    for i in range(n):
        unit[pad + i] = 1
        multiply()
        matrix[i] = out[pad : pad + n]
        unit[pad + i] = 0
    empty = grid.diagonal[pad : pad + n] <= 0
    matrix[empty, empty] = 1
    # A sliver on the diagonal: a part that no mark or prior reaches has no answer of its own.
    matrix[np.diag_indices(n)] *= 1 + 1e-6
    inverse = np.linalg.inv(matrix)
    inverse[empty, empty] = 0
    return np.asarray(inverse, np.float32)


def _conjugate_gradients(grids: list[_Grid], b: Flat, tolerance: float, most: int) -> Flat:
    grid = grids[0]
    bottom = _bottom(grids[-1])
    passes = [_Passes.between(grid, wide) for grid, wide in pairwise(grids)]
    u, direction, product = np.zeros_like(b), np.zeros_like(b), np.zeros_like(b)
    r = b.copy()
    squares, with_u = bound(relax.dot, r, r), bound(relax.dot, r, grid.u)
    turn, along = bound(relax.turn, direction, grid.u), bound(relax.dot, direction, product)
    multiply = bound(relax.multiply, grid.links, grid.diagonal, direction, product, grid.strides, grid.pad)
    advance = bound(relax.advance, u, r, direction, product)
    enough = tolerance**2 * relax.dot(b, b)
    rho = 1.0
    iterations = 0
    while squares() > enough:
        if iterations == most:
            raise SettingsError(f"A random walk needs a tolerance that {most} steps reach; {tolerance} took more.")
        grid.b[:] = r
        _cycle(passes, 0, grids[-1], bottom)
        before, rho = rho, with_u()
        turn(rho / before if iterations else 0.0)
        multiply()
        advance(rho / along())
        iterations += 1
    return u
