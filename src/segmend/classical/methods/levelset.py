"""Level set: a region-based active contour after Li et al., TBME 2013, with the regularisation of Li et al., TIP 2010.

A front starts from the mask so far, a box, or a disc round each positive mark, and moves until it encloses what looks
and lies like the object (`segmend.classical.solvers.evidence`). Marks hold it where they are.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt

from segmend.classical.solved import Solved, middle
from segmend.classical.solvers.evidence import SolverInput
from segmend.classical.solvers.levelset import HEIGHT, levelset
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
    return Solved(METHOD, _chance, band=False, cells=CELLS)


def _chance(case: SolverInput) -> Real:
    view = case.view
    far = case.seen.known is None
    height = levelset(
        _start(case), case.unary, view.values, spacing=view.spacing, pinned=case.pinned, far=far, most=STEPS[far]
    )
    chance = np.asarray(0.5 + height / (2 * HEIGHT), np.float32)  # linear, so that the front can run between cells
    chance[case.pinned == FOREGROUND], chance[case.pinned == BACKGROUND] = 1, 0
    return chance


def _start(case: SolverInput) -> MaskArray:
    if case.seen.known is not None:
        return np.asarray(case.place > 0)
    marked = case.pinned == FOREGROUND
    start = np.zeros(marked.shape, bool)
    if case.seen.frame is not None:
        start |= middle(case.pinned == UNKNOWN, BOX)
    if marked.any():
        shape, spacing = case.view.shape, case.view.spacing
        cell = min((side for side, count in zip(spacing, shape, strict=True) if count > 1), default=1.0)
        start |= distance_transform_edt(~marked, sampling=spacing) < DISC * cell
    return start
