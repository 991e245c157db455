"""A method that fails: after its first part for a positive click, at once for a negative one."""

import numpy as np

from segmend.core.image import Box
from segmend.core.segmenter import Method, Prediction, Segmenter, Workspace
from segmend.errors import ModelError

METHOD = Method("broken", "Broken", "none", ("click", "box"), (2, 3), "none needed")


class BrokenWorkspace(Workspace):
    def predict(self, prompts, previous):
        raise ValueError("Jane Doe's file says: secret")

    def stream(self, prompts, previous):
        if isinstance(prompts[-1], Box):
            raise ModelError("The weights of Broken are damaged; reinstall segmend.")
        if prompts[-1].positive:
            _, y, x = previous.shape
            yield Prediction(np.ones((1, y, x), np.float32), Box((0, 0, 0), (1, y, x)))
        yield self.predict(prompts, previous)


class Broken(Segmenter):
    def open(self, image):
        return BrokenWorkspace()


def load():
    return Broken()
