"""A method for tests: a click takes, or gives back, its region of one grey value, slice by slice."""

import numpy as np
from scipy.ndimage import label

from segmend.core.image import Box
from segmend.core.prompts import Click, Stroke
from segmend.core.segmenter import Method, Prediction, Segmenter, Workspace

METHOD = Method("flood", "Flood", "none", ("click", "stroke", "box"), (2, 3), "none needed")


class FloodWorkspace(Workspace):
    def __init__(self, image):
        self.image = image

    def predict(self, prompts, previous):
        raise AssertionError("the server streams")

    def stream(self, prompts, previous):
        mask = previous.copy()
        for prompt in prompts:
            for index in places(prompt):
                mask[self.region(index)] = getattr(prompt, "positive", True)
        z, y, x = mask.shape
        newest = places(prompts[-1])[0][0]
        for plane in sorted(range(z), key=lambda k: abs(k - newest)):
            self.pause()
            box = Box((plane, 0, 0), (plane + 1, y, x))
            yield Prediction(mask[box.slices].astype(np.float32), box, quality=0.5)

    def region(self, index):
        voxels = self.image.voxels[0]
        regions, _ = label(voxels == voxels[index])
        return regions == regions[index]

    def pause(self):
        pass


def places(prompt):
    match prompt:
        case Click(index=index):
            return [index]
        case Stroke(points=points):
            return list(points)
        case Box(low=low):
            return [low]


class Flood(Segmenter):
    def open(self, image):
        return FloodWorkspace(image)


def load():
    return Flood()
