"""A method for tests: a click paints its own voxel; slice by slice it is uncertain of a block, and of a smaller one."""

import numpy as np

from segmend.core.image import Box
from segmend.core.segmenter import Method, Prediction, Segmenter, Workspace

METHOD = Method("unsure", "Unsure", "none", ("click",), (2, 3), "none needed")


class UnsureWorkspace(Workspace):
    def predict(self, prompts, previous):
        raise AssertionError("the server streams")

    def stream(self, prompts, previous):
        mask = previous.copy()
        mask[prompts[-1].index] = True
        uncertainty = np.zeros(mask.shape, np.float32)
        if prompts[-1].positive:
            uncertainty[:, 2:7, 20:25] = uncertainty[:, 15:18, 3:6] = 1
        for z in range(len(mask)):
            part = np.s_[z : z + 1]
            yield Prediction(
                mask[part].astype(np.float32),
                Box((z, 0, 0), (z + 1, *mask.shape[1:])),
                quality=0.5,
                uncertainty=uncertainty[part],
            )


class Unsure(Segmenter):
    def open(self, image):
        return UnsureWorkspace()


def load():
    return Unsure()
