"""Dense CRF: Kraehenbuehl and Koltun, NIPS 2011, as the refiner of what marks and a mask so far make probable.

The probability comes from `segmend.classical.solvers.evidence`: a mask so far is softened by looks learnt from it and
by the marks that contradict it; with no mask, marks alone say where and how the object looks. Networks' probabilities
are refined by the same solver, `segmend.classical.solvers.densecrf.densecrf`.
"""

from __future__ import annotations

import numpy as np

from segmend.classical.solved import Solved
from segmend.classical.solvers.densecrf import Kernels, densecrf
from segmend.classical.solvers.evidence import SolverInput
from segmend.core.image import Real
from segmend.core.logits import sigmoid
from segmend.core.segmenter import Segmenter
from segmend.runtime import cards
from segmend.solvers.edges import noise

METHOD = cards.method("densecrf")


CELLS = {2: 1 << 14, 3: 1 << 16}
TONE = 1.5  # how different voxels look that still heed each other, in units of the noise of a channel
FINEST = 24  # at least one part in so many of the widest channel


def load() -> Segmenter:
    return Solved(METHOD, _chance, band=True, cells=CELLS)


def _chance(case: SolverInput) -> Real:
    view = case.view
    probability = sigmoid(case.unary)
    widest = float(np.ptp(view.values, axis=(1, 2, 3)).max())
    unit = max(1.0, float(np.linalg.norm(noise(view.values))))  # cells of one voxel are noisier than large ones
    kernels = Kernels(tone=max(TONE * unit, widest / FINEST))
    return densecrf(probability, view.values, spacing=view.spacing, pinned=case.pinned, kernels=kernels)
