"""GrowCut: Vezhnevets and Konouchine, Graphicon 2005, solved as Zhu et al., MICCAI 2014, do.

Marks are seeds that grow until every voxel belongs to the side that reaches it over the least change. What surrounds
the object is seeded where the crop ends, so that one click is enough to begin; with a box alone its middle is. A mask
so far is seeded too, but for a band round its boundary and the reach of marks that contradict it: there they grow anew.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from segmend.classical.solved import SolverMethod, middle
from segmend.classical.solvers.growcut import growcut
from segmend.classical.solvers.unary import SolverInput
from segmend.core.image import Real
from segmend.core.seeds import BACKGROUND, FOREGROUND, UNKNOWN
from segmend.core.segmenter import Segmenter
from segmend.runtime import cards
from segmend.solvers import grid_loops

METHOD = cards.method("growcut")

CELLS = {2: 1 << 16, 3: 1 << 16}
SMOOTH = 1.0  # the blur, in cells, that keeps noise from stopping growth
BAND = 0.25  # of the mask's half width: how far from its boundary a mask so far is not seeded
LEAST = 2.0  # cells of that band
BOX = 0.3  # of a box's half sides: the ball in it that is seeded when nothing else is
LEAST_APPEARANCE_WEIGHT = 0.5  # of the appearance; where it is lower, a mark has contradicted the mask


def load() -> Segmenter:
    return SolverMethod(METHOD, _probability, band=True, cells=CELLS)


def _probability(case: SolverInput) -> Real:
    """Return the labels as probabilities that are soft at their boundary."""
    view = case.view
    blur = [SMOOTH * (n > 1) * _cell(case) / s for n, s in zip(view.shape, view.spacing, strict=True)]
    values = np.stack([gaussian_filter(channel, blur) for channel in view.values])
    owner = growcut(values, _seeds(case), diagonal=len(view.values[0]) == 1).owner
    probability = np.empty(view.shape, np.float32)
    grid_loops.soften(owner == FOREGROUND, probability)
    return probability


def _seeds(case: SolverInput) -> NDArray[np.uint8]:
    seeds = case.pinned.copy()
    start = case.location > 0
    held = int((seeds == FOREGROUND).sum()) > len(case.request.positive)  # in a band everything else is pinned already
    if case.request.known is not None and start.any() and not start.all() and not held:
        within = distance_transform_edt(start, sampling=case.view.spacing)
        around = distance_transform_edt(~start, sampling=case.view.spacing)
        band = max(LEAST * _cell(case), BAND * float(within.max()))
        sure = (seeds == UNKNOWN) & (case.appearance_weight > LEAST_APPEARANCE_WEIGHT)
        seeds[sure & (within > min(band, 0.8 * float(within.max())))] = FOREGROUND
        seeds[sure & (around > band) & (case.location < 0)] = BACKGROUND  # where it is 0 there is no mask
    if not (seeds == FOREGROUND).any() and case.request.frame is not None:
        seeds[middle(seeds == UNKNOWN, BOX) & (seeds == UNKNOWN)] = FOREGROUND
    if not (seeds == BACKGROUND).any():
        for axis, count in enumerate(seeds.shape):
            if count > 2:
                faces = np.moveaxis(seeds, axis, 0)[[0, -1]]
                np.moveaxis(seeds, axis, 0)[[0, -1]] = np.where(faces == UNKNOWN, BACKGROUND, faces)
    return seeds


def _cell(case: SolverInput) -> float:
    """Return the shortest side of a cell, in the units of its spacing."""
    view = case.view
    return min((side for side, count in zip(view.spacing, view.shape, strict=True) if count > 1), default=1.0)
