"""A method for tests: a click takes, or gives back, the cube of two voxels round it; a box takes its inside."""

import numpy as np

from segmend.core.image import Box, whole
from segmend.core.prompts import Click, Stroke
from segmend.core.segmenter import Method, Prediction, Segmenter, Workspace

METHOD = Method("ball", "Ball", "none", ("click", "stroke", "box"), (2, 3), "none needed", calibrated=(2, 3))
QUALITY = 0.75  # the Dice that it expects of its masks
REACH = 2


class BallWorkspace(Workspace):
    def predict(self, prompts, previous):
        mask = np.zeros_like(previous)
        for prompt in prompts:
            for box in boxes(prompt):
                mask[box.clipped(mask.shape).slices] = getattr(prompt, "positive", True)
        return Prediction(mask.astype(np.float32), whole(mask.shape), quality=QUALITY)


def boxes(prompt):
    match prompt:
        case Click(index=index):
            return [Box(index, tuple(i + 1 for i in index)).grown(REACH)]
        case Stroke(points=points):
            return [Box(index, tuple(i + 1 for i in index)) for index in points]
        case Box():
            return [prompt]


class Ball(Segmenter):
    def open(self, image):
        return BallWorkspace()


def load():
    return Ball()
