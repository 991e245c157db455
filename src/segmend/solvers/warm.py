"""Compile the inner loops of the solvers, or load them from disk, before somebody waits for them."""

from __future__ import annotations

import numpy as np

from segmend.solvers.edges import likeness
from segmend.solvers.geodesic import geodesic
from segmend.solvers.grid_loops import soften
from segmend.solvers.maxflow import cut, offsets, whole_numbers
from segmend.solvers.nudge import nudge


def warm_up() -> None:
    """Run every solver once on a few voxels.

    >>> warm_up()
    """
    values = np.arange(300, dtype=np.float32).reshape(1, 3, 10, 10)
    alike = likeness(values, offsets(values.shape[1:]))
    pinned = np.zeros(values.shape[1:], np.uint8)
    pinned[0, 0, 0], pinned[2, 9, 9] = 1, 2
    labels = cut(whole_numbers(values[0] - 100, scale=10), whole_numbers(alike, scale=10), fixed=pinned)
    soften(labels.inside, np.empty(pinned.shape, np.float32))
    nudge(labels.inside, -0.5)
    geodesic(values, pinned == 1)
