"""One energy a file, and what leads up to it: marks and looks in, labels or chances out."""

from __future__ import annotations


def warm_up() -> None:
    """Compile, or load from disk, the solvers' inner loops, so that the first click need not wait for them.

    >>> warm_up()
    """
    import numpy as np

    from segmend.solvers.components import Components
    from segmend.solvers.densecrf import densecrf
    from segmend.solvers.edges import likeness
    from segmend.solvers.forest import Forest
    from segmend.solvers.geodesic import geodesic
    from segmend.solvers.geos import geos
    from segmend.solvers.growcut import growcut
    from segmend.solvers.levelset import levelset
    from segmend.solvers.maxflow import cut, offsets, whole_numbers
    from segmend.solvers.mixture import Gaussians
    from segmend.solvers.nudge import nudged
    from segmend.solvers.randomwalk import walk
    from segmend.solvers.sweep import soften

    values = np.arange(300, dtype=np.float32).reshape(1, 3, 10, 10)
    steps = offsets(values.shape[1:])
    alike = likeness(values, steps)
    pinned = np.zeros(values.shape[1:], np.uint8)
    pinned[0, 0, 0], pinned[2, 9, 9] = 1, 2
    labels = cut(whole_numbers(values[0] - 100, scale=10), whole_numbers(alike, scale=10), fixed=pinned)
    soften(labels.inside, np.empty(pinned.shape, np.float32))
    nudged(labels.inside, -0.5)
    walk(alike[::-1], pinned)
    geodesic(values, pinned == 1)
    densecrf(np.full(pinned.shape, 0.5, np.float32), values, pinned=pinned, rounds=1)
    geos(values[0], values, pinned=pinned)
    growcut(values, pinned)
    levelset(pinned == 1, values[0], values, pinned=pinned, most=1)
    Components.fit(values, pinned == 0, 2)
    Gaussians.fit(values.reshape(-1, 1), count=2, spread=np.ones(1, np.float32), volume=300.0).log_density(values)
    Forest.planted(1).grown(values.reshape(-1, 1), values.ravel() > 99).chances(values)
