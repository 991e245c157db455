"""A method for tests that adapts: it paints the voxels beside a click, and a wider part once it knows the image."""

import numpy as np

from segmend.core.image import whole
from segmend.core.prompts import extent
from segmend.core.segmenter import Method, Prediction, Segmenter, Workspace

METHOD = Method("learner", "Learner", "none", ("click", "box"), (2, 3), "none needed", adapts=True)


class LearnerWorkspace(Workspace):
    def __init__(self, adapt="auto"):
        self.adapt = adapt

    def adapting(self, adapt):
        return LearnerWorkspace(adapt)

    def predict(self, prompts, previous):
        place = extent(prompts[-1])
        adapted = self.adapt == "on" or (self.adapt == "auto" and bool(previous[place.slices].any()))
        mask = previous.copy()
        mask[place.grown(2 if adapted else 1).clipped(mask.shape).slices] = True
        return Prediction(mask.astype(np.float32), whole(mask.shape), quality=0.5, adapted=adapted)


class Learner(Segmenter):
    def open(self, image):
        return LearnerWorkspace()


def load():
    return Learner()
