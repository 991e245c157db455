"""Flood, but some clicks end the process that answers them after the first part: x says how. It knows one label."""

import os
import signal
import time
from pathlib import Path

import flood
import numpy as np

from segmend.core.image import whole
from segmend.core.segmenter import Method, Prediction, Segmenter

METHOD = Method("dying", "Dying", "none", ("click",), (2, 3), "none needed")


class DyingWorkspace(flood.FloodWorkspace):
    def stream(self, prompts, previous):
        for number, part in enumerate(super().stream(prompts, previous)):
            if number == 1:
                end(prompts[-1].index)
            yield part

    @property
    def labels(self):
        return {2: "bar"}

    def guess(self, label):
        yield Prediction((self.image.voxels[0] == 20).astype(np.float32), whole(self.image.shape), quality=0.9)


def end(index):
    match index[2]:
        case 0:
            os.kill(os.getpid(), signal.SIGSEGV)
        case 2:
            time.sleep(3600)
        case 4:
            ended = Path(os.environ["DYING_ONCE"])
            if not ended.exists():
                ended.touch()
                os.kill(os.getpid(), signal.SIGKILL)


class Dying(Segmenter):
    def open(self, image):
        return DyingWorkspace(image)


def load():
    return Dying()
