"""How alike neighbours look: the price of cutting between them, or the ease of walking across."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segmend.core.image import Index, Real
from segmend.solvers import grid_loops
from segmend.solvers.geodesic import lengths_of


def likeness(
    values: Real,  # [c z y x]
    steps: Sequence[Index],
    *,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    sharpness: float = 1.0,
    power: float = 1.0,
    floor: float = 0.0,
) -> Real:
    """Return exp(-sharpness d^2), at least `floor`, divided by length^power, per step and voxel [h z y x].

    d is the difference over the step and length its length in `spacing`; where a step leaves the grid it is 0.
    Power 1 makes the price of a cut its area, power 2 a walk a diffusion, whatever the spacing.

    >>> likeness(np.array([[[[0, 0, 9]]]], np.float32), [(0, 0, 1)], spacing=(1, 1, 2)).round(3)
    array([[[[0.5, 0. , 0. ]]]], dtype=float32)
    """
    out = np.zeros((len(steps), *values.shape[1:]), np.float32)
    arms = np.asarray(steps, np.int64).reshape(-1, 3)
    factors = lengths_of(arms, spacing) ** np.float32(-power)
    grid_loops.likeness(np.ascontiguousarray(values, np.float32), arms, factors, sharpness, floor, out)
    return out


def noise(values: Real) -> Real:
    """Return the standard deviation of each channel's noise, from differences of neighbours along x and y.

    The median makes edges count little; a channel without noise gives 0.

    >>> values = np.random.default_rng(0).normal(0, 2, (1, 1, 99, 99)).astype(np.float32)
    >>> bool(abs(noise(values)[0] - 2) < 0.1)
    True
    """
    falls = [np.abs(np.diff(values, axis=axis)).reshape(len(values), -1) for axis in (2, 3)]
    every = np.concatenate(falls, axis=1)
    if every.shape[1] == 0:
        return np.zeros(len(values), np.float32)
    thinned = every[:, :: max(1, every.shape[1] // 20000)]
    return np.asarray(np.median(thinned, axis=1) / 0.954, np.float32)
