"""Compile the inner loops of the classical solvers, or load them from disk, before somebody waits for them."""

from __future__ import annotations

import numpy as np

from segmend.classical.solvers.components import Components
from segmend.classical.solvers.densecrf import densecrf
from segmend.classical.solvers.forest import Forest
from segmend.classical.solvers.geos import geos
from segmend.classical.solvers.growcut import growcut
from segmend.classical.solvers.levelset import levelset
from segmend.classical.solvers.mixture import Gaussians
from segmend.classical.solvers.randomwalk import walk
from segmend.solvers.edges import likeness
from segmend.solvers.maxflow import offsets
from segmend.solvers.warm import warm_up as warm_up_solvers


def warm_up() -> None:
    """Run every solver once on a few voxels, those of `segmend.solvers` among them.

    >>> warm_up()
    """
    warm_up_solvers()
    values = np.arange(300, dtype=np.float32).reshape(1, 3, 10, 10)
    pinned = np.zeros(values.shape[1:], np.uint8)
    pinned[0, 0, 0], pinned[2, 9, 9] = 1, 2
    walk(likeness(values, offsets(values.shape[1:]))[::-1], pinned)
    densecrf(np.full(pinned.shape, 0.5, np.float32), values, pinned=pinned, rounds=1)
    geos(values[0], values, pinned=pinned)
    growcut(values, pinned)
    levelset(pinned == 1, values[0], values, pinned=pinned, most=1)
    Components.fit(values, pinned == 0, 2)
    Gaussians.fit(values.reshape(-1, 1), count=2, spread=np.ones(1, np.float32), volume=300.0).log_density(values)
    Forest.planted(1).grown(values.reshape(-1, 1), values.ravel() > 99).chances(values)
