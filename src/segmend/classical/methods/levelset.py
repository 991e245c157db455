"""Level set: a region-based active contour after Li et al., TBME 2013, with the regularisation of Li et al., TIP 2010.

A front starts from the mask so far, a box, or a disc round each positive mark, and moves until it encloses what has
the object's appearance and location (`segmend.classical.solvers.unary`). Marks are hard constraints. How far a volume's
object reaches is found by graph cuts first: they are quicker, and a front in too small a crop cannot tell.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt

from segmend.classical.methods import graphcut
from segmend.classical.solved import SolverMethod, middle
from segmend.classical.solvers.levelset import HEIGHT, levelset
from segmend.classical.solvers.unary import SolverInput
from segmend.core.image import MaskArray, Real
from segmend.core.seeds import BACKGROUND, FOREGROUND, UNKNOWN
from segmend.core.segmenter import Segmenter
from segmend.runtime import cards

METHOD = cards.method("levelset")

CELLS = {2: 1 << 14, 3: 1 << 16}
DISC = 4.0  # radius round a positive mark, in cells
STEPS = {True: 100, False: 50}  # at most: from a mark or box, and from a mask so far
BOX = 0.6  # of a box's half sides: the ball that starts in it


def load() -> Segmenter:
    return SolverMethod(METHOD, _probability, band=False, cells=CELLS, finder=graphcut.probability)


def _probability(case: SolverInput) -> Real:
    view = case.view
    coarse_first = case.request.known is None
    height = levelset(
        _start(case),
        case.unary,
        view.values,
        spacing=view.spacing,
        pinned=case.pinned,
        coarse_first=coarse_first,
        most=STEPS[coarse_first],
    )
    probability = np.asarray(0.5 + height / (2 * HEIGHT), np.float32)  # linear, so that the front can run between cells
    probability[case.pinned == FOREGROUND], probability[case.pinned == BACKGROUND] = 1, 0
    return probability


def _start(case: SolverInput) -> MaskArray:
    if case.request.known is not None:
        return np.asarray(case.location > 0)
    marked = case.pinned == FOREGROUND
    start = np.zeros(marked.shape, bool)
    if case.request.frame is not None:
        start |= middle(case.pinned == UNKNOWN, BOX)
    if marked.any():
        shape, spacing = case.view.shape, case.view.spacing
        cell = min((side for side, count in zip(spacing, shape, strict=True) if count > 1), default=1.0)
        start |= distance_transform_edt(~marked, sampling=spacing) < DISC * cell
    return start
