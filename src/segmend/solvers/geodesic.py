"""Geodesic distance: steps are longer the more the image changes.

Passes back and forth over the grid (Toivanen 1996) carry the distance from neighbour to neighbour,
diagonals included. Passing until nothing changes is exact; two passes are close.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import MaskArray, Real
from segmend.errors import ShapeError
from segmend.solvers import grid_loops
from segmend.solvers.maxflow import offsets


def geodesic(
    values: Real,  # [c z y x]
    sources: MaskArray,  # [z y x]
    *,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    contrast: float = 1.0,
    passes: int = 1000,
) -> Real:
    """Return the geodesic distance from the sources to every voxel; infinite everywhere when there are none.

    A step of length s over a change d costs sqrt(s^2 + (contrast d)^2).

    >>> values = np.array([[[[0, 0, 3, 3]]]], np.float32)
    >>> geodesic(values, np.array([[[True, False, False, False]]]), contrast=10).round(1)
    array([[[ 0.,  1., 31., 32.]]], dtype=float32)
    """
    if values.ndim != 4 or values.shape[1:] != sources.shape:
        raise ShapeError(f"A geodesic distance needs values (c, z, y, x) of {sources.shape}; got {values.shape}.")
    distance = np.where(sources, 0, np.inf).astype(np.float32)
    if sources.any():
        back = -np.asarray(offsets(sources.shape, diagonal=True), np.int64)
        lengths = lengths_of(back, spacing)
        grid_loops.geodesic(
            distance, ~sources, np.ascontiguousarray(values, np.float32), back, lengths, contrast, passes
        )
    return distance


def lengths_of(steps: NDArray[np.int64], spacing: Sequence[float]) -> Real:
    """Return the length of each step [n 3].

    >>> lengths_of(np.array([[0, 3, 4]]), (1, 1, 1))
    array([5.], dtype=float32)
    """
    return np.asarray(np.linalg.norm(steps * np.asarray(spacing), axis=1), np.float32)
