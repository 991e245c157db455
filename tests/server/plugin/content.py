"""A method for tests whose expected Dice is known to be near the truth, and soon rises no more."""

import numpy as np
from flood import FloodWorkspace

from segmend.core.image import whole
from segmend.core.segmenter import Method, Prediction, Segmenter

METHOD = Method("content", "Content", "none", ("click",), (2, 3), "none needed", calibrated=(2, 3))


class ContentWorkspace(FloodWorkspace):
    def stream(self, prompts, previous):
        mask = previous.copy()
        mask[prompts[-1].index] = prompts[-1].positive
        quality = (0.8, 0.93, 0.935, 0.93, 0.99)[len(prompts) - 1]
        yield Prediction(mask.astype(np.float32), whole(mask.shape), quality=quality)


class Content(Segmenter):
    def open(self, image):
        return ContentWorkspace(image)


def load():
    return Content()
