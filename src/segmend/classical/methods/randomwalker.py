"""Random walker with priors: Grady, PAMI 2006, and Multilabel random walker segmentation, CVPR 2005.

The probability of a voxel is that of a walker who prefers small differences to reach a positive mark first, or to stop
on the way at a voxel with the appearance of the object. It is solved in a crop round the object, on a coarser grid
where the crop is large, and interpolated: it is smooth where that matters.
"""

from __future__ import annotations

import numpy as np

from segmend.classical.solved import CELLS, SolverMethod
from segmend.classical.solvers.randomwalk import walk
from segmend.classical.solvers.unary import SolverInput
from segmend.core.image import Real
from segmend.core.logits import sigmoid
from segmend.core.segmenter import Segmenter
from segmend.runtime import cards
from segmend.solvers.edges import likeness

METHOD = cards.method("randomwalker")

STOP = 0.05  # the weight of the prior, where a link to an equal neighbour has 1
SHARPNESS = 0.1  # how fast a difference, in units of the noise, weakens a link
FLOOR = 1e-3  # of a link
TOLERANCE = 1e-3
STEPS = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def load() -> Segmenter:
    return SolverMethod(METHOD, _probability, band=False, cells=CELLS)


def _probability(case: SolverInput) -> Real:
    view = case.view
    links = likeness(view.values, STEPS, spacing=view.spacing, sharpness=SHARPNESS, power=2, floor=FLOOR)
    prior = sigmoid(case.unary)
    return walk(links, case.pinned, stop=np.full(view.shape, STOP, np.float32), prior=prior, tolerance=TOLERANCE)
