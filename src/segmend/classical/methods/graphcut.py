"""Graph cut with seeds: Boykov and Jolly, ICCV 2001, with the location prior of Price et al., CVPR 2010.

Voxels are cut into inside and outside so that marks hold, the unary is of appearance and location, and
the boundary costs less where neighbours differ. The crop is cut on a coarse grid first; then only a band round
that boundary is cut at full resolution (Lombaert et al., ICCV 2005), so time does not grow with the image.
"""

from __future__ import annotations

import numpy as np

from segmend.classical.solved import CELLS, SolverMethod
from segmend.classical.solvers.unary import SolverInput
from segmend.core.image import Real
from segmend.core.segmenter import Segmenter
from segmend.runtime import cards
from segmend.solvers import grid_loops
from segmend.solvers.edges import likeness
from segmend.solvers.maxflow import cut, offsets, whole_numbers

METHOD = cards.method("graphcut")

BOUNDARY = {2: 4.0, 3: 1.5}  # the cost of a voxel's side of even boundary, in logits, by dimensions
SHARPNESS = 0.1  # how fast a difference, in units of the noise, makes it cheaper
SCALE = 1000  # whole numbers a unit of logits


def load() -> Segmenter:
    return SolverMethod(METHOD, probability, band=True, cells=CELLS)


def probability(case: SolverInput) -> Real:
    """Return the cut as probabilities that are soft at its boundary."""
    view = case.view
    steps = offsets(view.shape)
    pairwise = likeness(view.values, steps, spacing=view.spacing, sharpness=SHARPNESS)
    unary = whole_numbers(case.unary, scale=SCALE)
    labels = cut(unary, whole_numbers(pairwise, scale=SCALE * BOUNDARY[len(steps)]), fixed=case.pinned)
    probability = np.empty(view.shape, np.float32)
    grid_loops.soften(labels.inside, probability)
    return probability
