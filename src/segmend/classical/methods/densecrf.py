"""Dense CRF: Kraehenbuehl and Koltun, NIPS 2011, as the refiner of the unary of marks and a mask so far.

The probability comes from `segmend.classical.solvers.unary`: a mask so far is softened by the appearance learnt from
it and by the marks that contradict it; without a mask, location and appearance come from marks alone. Networks'
probabilities are refined by the same solver, `segmend.classical.solvers.densecrf.densecrf`.
"""

from __future__ import annotations

import numpy as np

from segmend.classical.solved import SolverMethod
from segmend.classical.solvers.densecrf import Kernels, densecrf
from segmend.classical.solvers.unary import SolverInput
from segmend.core.image import Real
from segmend.core.logits import sigmoid
from segmend.core.segmenter import Segmenter
from segmend.runtime import cards
from segmend.solvers.edges import noise

METHOD = cards.method("densecrf")


CELLS = {2: 1 << 14, 3: 1 << 16}
INTENSITY = 1.5  # standard deviation of the appearance kernel, in units of the noise of a channel
FINEST = 24  # at least one part in so many of the widest channel


def load() -> Segmenter:
    return SolverMethod(METHOD, _probability, band=True, cells=CELLS)


def _probability(case: SolverInput) -> Real:
    view = case.view
    probability = sigmoid(case.unary)
    widest = float(np.ptp(view.values, axis=(1, 2, 3)).max())
    unit = max(1.0, float(np.linalg.norm(noise(view.values))))  # cells of one voxel are noisier than large ones
    kernels = Kernels(intensity=max(INTENSITY * unit, widest / FINEST))
    return densecrf(probability, view.values, spacing=view.spacing, pinned=case.pinned, kernels=kernels)
