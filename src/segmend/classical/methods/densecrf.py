"""Dense CRF: Kraehenbuehl and Koltun, NIPS 2011, as the refiner of the unary of marks and a mask so far.

The probability comes from `segmend.classical.solvers.unary`: a mask so far is softened by the appearance learnt from
it and by the marks that contradict it; without a mask, location and appearance come from marks alone. Networks'
probabilities are refined by the same solver, `segmend.classical.solvers.densecrf.densecrf`.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np

from segmend.classical.solved import SolverMethod, SolverWorkspace
from segmend.classical.solvers.densecrf import Kernels, densecrf
from segmend.classical.solvers.unary import SolverInput
from segmend.core.image import Image, MaskArray, Real, whole
from segmend.core.logits import sigmoid
from segmend.core.marks import marks
from segmend.core.prompts import Prompt
from segmend.core.seeds import BACKGROUND, FOREGROUND, UNKNOWN
from segmend.core.segmenter import Prediction, Segmenter, Workspace
from segmend.errors import ShapeError
from segmend.runtime import cards
from segmend.solvers.edges import noise

METHOD = cards.method("densecrf")


CELLS = {2: 1 << 14, 3: 1 << 16}
INTENSITY = 1.5  # standard deviation of the appearance kernel, in units of the noise of a channel
FINEST = 24  # at least one part in so many of the widest channel


def load() -> Segmenter:
    return DenseCrf(METHOD, _probability, band=True, cells=CELLS)


@dataclass(frozen=True, eq=False)
class DenseCrf(SolverMethod):
    """The method; its workspaces may also be given a probability, such as a network's, to refine."""

    def open(self, image: Image) -> Workspace:
        return DenseCrfWorkspace(self, image)


class DenseCrfWorkspace(SolverWorkspace):
    """One image; with a probability of its voxels, that is refined in place of what marks and a mask tell."""

    probability: Real | None = None  # [z y x]

    def with_probability(self, probability: Real) -> DenseCrfWorkspace:
        """Return a workspace that refines this probability, in which marks hold; ShapeError on another grid."""
        if probability.shape != self._image.shape:
            raise ShapeError(f"A probability needs the image's shape {self._image.shape}; got {probability.shape}.")
        other = copy(self)
        other.probability = np.asarray(probability, np.float32)
        return other

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        if self.probability is None:
            return super().predict(prompts, previous)
        METHOD.check(prompts)
        pinned = np.full(previous.shape, UNKNOWN, np.uint8)
        for points, side in zip(marks(prompts, previous.shape), (FOREGROUND, BACKGROUND), strict=True):
            pinned[tuple(points.T)] = side
        values = self._image.voxels.astype(np.float32)
        spacing = (self._image.spacing / self._image.spacing.min()).tolist()
        widths = np.ptp(values, axis=(1, 2, 3))
        unit = np.maximum(noise(values), np.maximum(0.01 * widths, 1e-6))[:, None, None, None]
        found = densecrf(self.probability, values / unit, spacing=spacing, pinned=pinned)
        return Prediction(found, whole(previous.shape), uncertainty=np.asarray(1 - np.abs(2 * found - 1), np.float32))


def _probability(case: SolverInput) -> Real:
    view = case.view
    probability = sigmoid(case.unary)
    widest = float(np.ptp(view.values, axis=(1, 2, 3)).max())
    unit = max(1.0, float(np.linalg.norm(noise(view.values))))  # cells of one voxel are noisier than large ones
    kernels = Kernels(intensity=max(INTENSITY * unit, widest / FINEST))
    return densecrf(probability, view.values, spacing=view.spacing, pinned=case.pinned, kernels=kernels)
