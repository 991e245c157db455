"""A whole method in one file: everything about as bright as the voxels that were clicked on.

Put it into `src/segmend/methods/`, or into a package of your own that names it as an entry
point of the group `segmend.methods`; the command line, the annotator, the evaluation and
the server then offer it without another line.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segmend import Image, MaskArray, Method, Prediction, Prompt, Segmenter, Workspace
from segmend.core.image import whole
from segmend.core.marks import marks

METHOD = Method(
    id="threshold",
    title="Threshold",
    paper="nobody's",
    prompts=("click", "stroke"),
    dimensions=(2, 3),
    weights="none needed",
)


def load() -> Segmenter:
    """Return the method, ready to run."""
    return Threshold()


class Threshold(Segmenter):
    """Opens an image; what costs time once belongs here."""

    def open(self, image: Image) -> Workspace:
        return ThresholdWorkspace(image)


@dataclass(frozen=True, eq=False)
class ThresholdWorkspace(Workspace):
    """One opened image."""

    image: Image

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        grey = self.image.voxels.mean(axis=0, dtype=np.float32)  # [z y x]
        positive, _ = marks(prompts, self.image.shape)  # [n 3] voxels
        if len(positive) == 0:
            return Prediction(np.zeros(grey.shape, np.float32), whole(grey.shape))
        values = grey[tuple(positive.T)]
        reach = max(float(values.std()), 0.1 * float(grey.std()), 1e-6)
        distance = np.abs(grey - values.mean()) / reach
        return Prediction((distance < 2).astype(np.float32), whole(grey.shape))
