"""Random walker with priors: Grady, PAMI 2006, and Multilabel random walker segmentation, CVPR 2005.

The chance of a voxel is that of a walker who prefers even ground to reach a positive mark first, or to stop on the
way at a voxel that looks like the object. It is solved in a crop round the object, on a coarser grid where the
crop is large, and interpolated: it is smooth where that matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from segmend.image import Image, MaskArray, Real
from segmend.prompts import Prompt
from segmend.segmenter import Method, Prediction, Segmenter, Workspace

if TYPE_CHECKING:
    from segmend.solvers.evidence import Case

METHOD = Method(
    id="randomwalker",
    title="Random walker",
    paper="Grady, Random walks for image segmentation (PAMI 2006)",
    prompts=("click", "stroke", "box", "lasso", "mask"),
    dimensions=(2, 3),
    weights="none needed",
)

STOP = 0.05  # how readily a walker stops to look, beside a link of 1 to an equal neighbour
SHARPNESS = 0.1  # how fast a difference, in units of the noise, weakens a link
FLOOR = 1e-3  # of a link
TOLERANCE = 1e-3
CELLS = {2: 1 << 16, 3: 1 << 18}
STEPS = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def load() -> Segmenter:
    return RandomWalker()


class RandomWalker(Segmenter):
    """The method; it keeps nothing of an image but the image."""

    def open(self, image: Image) -> Workspace:
        return RandomWalkerWorkspace(image)


class RandomWalkerWorkspace(Workspace):
    def __init__(self, image: Image) -> None:
        self._image = image

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        from segmend.solvers.evidence import request
        from segmend.solvers.zoom import predicted, zoom

        METHOD.check(prompts)
        asked = request(prompts, previous)
        answer = zoom(self._image, asked, _chance, most=CELLS[2 if self._image.flat else 3])
        return predicted(self._image, answer, asked, previous, None)


def _chance(case: Case) -> Real:
    from segmend.solvers.edges import likeness
    from segmend.solvers.randomwalk import walk

    view = case.view
    links = likeness(view.values, STEPS, spacing=view.spacing, sharpness=SHARPNESS, power=2, floor=FLOOR)
    prior = np.asarray(1 / (1 + np.exp(-case.belief)), np.float32)
    return walk(links, case.pinned, stop=np.full(view.shape, STOP, np.float32), prior=prior, tolerance=TOLERANCE)
