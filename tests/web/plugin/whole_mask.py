"""A method for tests: it takes areas and whole masks, refines a mask by one voxel, and is uncertain of its rim."""

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion

from segmend.classical.solvers.unary import inside_of
from segmend.core.image import whole
from segmend.core.prompts import Adjust, Extremes, Lasso, Mask, extent
from segmend.core.segmenter import Method, Prediction, Segmenter, Workspace

METHOD = Method(
    "whole_mask",
    "Whole",
    "none",
    ("lasso", "extremes", "adjust", "mask"),
    (2, 3),
    "none needed",
    refines=True,
    guesses=True,
)


class WholeWorkspace(Workspace):
    def predict(self, prompts, previous):
        mask = previous.copy()
        match prompts[-1]:
            case Lasso() as lasso:
                mask[inside_of(lasso, mask.shape)] = lasso.positive
            case Extremes() as points:
                mask[extent(points).slices] = True
            case Adjust(k=k):
                mask = binary_dilation(mask) if k > 0 else binary_erosion(mask)
            case Mask(inside=inside) as given:
                mask[:] = False
                mask[given.box.slices] = inside
                mask = binary_dilation(mask) if mask.any() else middle(mask)
        uncertainty = (binary_dilation(mask) & ~mask).astype(np.float32)
        return Prediction(mask.astype(np.float32), whole(mask.shape), quality=0.5, uncertainty=uncertainty)


def middle(mask):
    first = mask.copy()
    first[tuple(n // 2 for n in mask.shape)] = True
    return first


class Whole(Segmenter):
    def open(self, image):
        return WholeWorkspace()


def load():
    return Whole()
