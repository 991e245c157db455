"""A method for tests: a click paints its own voxel; slice by slice it doubts a block, and a smaller one."""

import numpy as np

from segmend.core.image import Box
from segmend.core.segmenter import Method, Prediction, Segmenter, Workspace

METHOD = Method("doubter", "Doubter", "none", ("click",), (2, 3), "none needed")


class DoubterWorkspace(Workspace):
    def predict(self, prompts, previous):
        raise AssertionError("the server streams")

    def stream(self, prompts, previous):
        mask = previous.copy()
        mask[prompts[-1].index] = True
        doubt = np.zeros(mask.shape, np.float32)
        if prompts[-1].positive:
            doubt[:, 2:7, 20:25] = doubt[:, 15:18, 3:6] = 1
        for z in range(len(mask)):
            part = np.s_[z : z + 1]
            yield Prediction(
                mask[part].astype(np.float32),
                Box((z, 0, 0), (z + 1, *mask.shape[1:])),
                quality=0.5,
                doubt=doubt[part],
            )


class Doubter(Segmenter):
    def open(self, image):
        return DoubterWorkspace()


def load():
    return Doubter()
