"""A method for tests: it has learned the two rooms, finds each by its tone without a mark, and takes clicks."""

import numpy as np

from segmend.core.image import whole
from segmend.core.segmenter import Method, Prediction, Segmenter, Workspace

TONES = {1: ("box", 10), 2: ("bar", 20)}
METHOD = Method(
    "organs",
    "Organs",
    "none",
    ("click", "mask"),
    (2, 3),
    "none needed",
    guesses=True,
    labels=tuple((value, name) for value, (name, _) in TONES.items()),
)


class OrgansWorkspace(Workspace):
    def __init__(self, image):
        self.image = image

    @property
    def labels(self):
        return {value: name for value, (name, _) in TONES.items()}

    def predict(self, prompts, previous):
        return Prediction(previous.astype(np.float32), whole(previous.shape))

    def guess(self, label):
        yield Prediction((self.image.voxels[0] == TONES[label][1]).astype(np.float32), whole(self.image.shape))


class Organs(Segmenter):
    def open(self, image):
        return OrgansWorkspace(image)


def load():
    return Organs()
