"""Graph cut with the neighbour's shape: after Kitrungrotsakul, Han and Chen, ICIP 2015, as refinenet compares with it.

The slice with the marks is cut as graph cut cuts it. Every next slice is cut with three opinions of each pixel: what
the slice before taught of looks, how deep the pixel lies inside or outside the mask before, and the boundary's price.
Pixels further from the mask before than the object may move between slices are outside for good. The paper's graph
has superpixels for nodes; here they are pixels, which the solver cuts in a few milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion

from segmend.classical.methods import graphcut
from segmend.classical.slicewise import Slicewise, depth_in, reach_between
from segmend.classical.solved import CELLS
from segmend.classical.solvers.evidence import Request, SolverInput, View, closer, densities, look, looks
from segmend.classical.solvers.mixture import Density
from segmend.classical.solvers.zoom import predicted, zoom
from segmend.core.image import Image, MaskArray, Real, bounds
from segmend.core.seeds import BACKGROUND, FOREGROUND
from segmend.core.segmenter import Prediction, Segmenter
from segmend.runtime import cards
from segmend.sampling.window import Plane

METHOD = cards.method("graphcut_shape")

SHAPE = 3.5  # the most that the shape can say, in logits; less than looks can, so that an object may end
FIRST = 0.8  # how much what the first slice taught counts beside what the last one did
SURE = 2  # pixels from the boundary of the mask before from which looks are learnt


def load() -> Segmenter:
    return Slicewise(METHOD, ShapeSteps)


@dataclass(frozen=True, eq=False)
class Taught:
    """What a slice taught of looks, and the view whose units they are in."""

    view: View
    inside: Density
    outside: Density


class ShapeSteps:
    """The slices of one request; what the first of them teaches of looks is remembered."""

    def __init__(self, image: Image, asked: Request) -> None:
        self._image = image
        self._reach = reach_between(image)
        self._learn_appearance: Taught | None = None

    def first(self, index: int, asked: Request) -> Prediction:
        image = self._slice(index)
        answer = zoom(image, asked, graphcut.chance, most=CELLS[2])
        return predicted(image, answer, asked, asked.start, graphcut.chance)

    def following(self, index: int, before: int, mask: Plane, asked: Request) -> Prediction:
        case = self._with_shape(index, before, mask, asked)
        chance = np.where(case.pinned == 2, np.float32(0), graphcut.chance(case))
        return Prediction(chance, case.view.box)

    def _slice(self, index: int) -> Image:
        return Image(self._image.voxels[:, index : index + 1], self._image.affine)

    def _with_shape(self, index: int, before: int, mask: Plane, asked: Request) -> SolverInput:
        """Return the case of a slice, in the box that the object may have reached."""
        inner = bounds(mask[None])
        assert inner is not None
        margin = round(2 * self._reach) + SURE
        box = inner.grown((0, margin, margin)).clipped((1, *mask.shape))
        learning = look(self._slice(before), box, most=box.size)
        view = closer(self._slice(index), learning, box)
        part = mask[box.slices[1:]]
        depth = depth_in(part, self._image)
        pinned = np.where(depth < -self._reach, BACKGROUND, 0).astype(np.uint8)[None]
        for points, sign in ((asked.positive, FOREGROUND), (asked.negative, BACKGROUND)):
            pinned[tuple(view.cells(points).T)] = sign
        place = (SHAPE * np.clip(depth / self._reach, -1, 1)).astype(np.float32)[None]
        unary = place + self._looks(index, view, _learn_appearance(learning, part[None]))
        return SolverInput(view, pinned, unary, asked, place, np.ones_like(place))

    def _looks(self, index: int, view: View, taught: Taught | None) -> Real:
        """Return what the slice before says of looks, and what the first one said, half and half."""
        self._learn_appearance = self._learn_appearance or taught
        if taught is None or self._learn_appearance is None:
            return np.zeros(view.shape, np.float32)
        first = closer(self._slice(index), self._learn_appearance.view, view.box)
        old = looks(first.values, self._learn_appearance.inside, self._learn_appearance.outside)
        return np.asarray(FIRST * old + (1 - FIRST) * looks(view.values, taught.inside, taught.outside))


def _learn_appearance(view: View, mask: MaskArray) -> Taught | None:
    """Return what a slice teaches of looks, from pixels away from its mask's boundary where there are any."""
    disc = np.ones((1, 3, 3), bool)
    sure = binary_erosion(mask, disc, iterations=SURE, border_value=1)
    found = densities(view, sure if sure.any() else mask, ~binary_dilation(mask, disc, iterations=SURE))
    return None if found is None else Taught(view, *found)
