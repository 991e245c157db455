"""Graph cut with the neighbour's shape: after Kitrungrotsakul, Han and Chen, ICIP 2015, as refinenet compares with it.

The slice with the marks is cut as by graph cut. Every next slice is cut with three terms: appearance as learnt from the
slice before, how deep the pixel lies inside or outside the mask before, and the cost of the boundary. Pixels further
from the mask before than the object may move between slices are background. The paper's graph
has superpixels for nodes; here they are pixels, which the solver cuts in a few milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion

from segmend.classical.methods import graphcut
from segmend.classical.slicewise import Slicewise, depth_in, reach_between
from segmend.classical.solved import CELLS
from segmend.classical.solvers.mixture import Density
from segmend.classical.solvers.unary import (
    Request,
    SolverInput,
    View,
    appearance_logits,
    crop_view,
    densities,
    full_resolution_view,
)
from segmend.classical.solvers.zoom import whole_prediction, zoom
from segmend.core.image import Image, MaskArray, Real, bounds
from segmend.core.seeds import BACKGROUND, FOREGROUND
from segmend.core.segmenter import Prediction, Segmenter
from segmend.runtime import cards
from segmend.sampling.window import Plane

METHOD = cards.method("graphcut_shape")

# The largest unary of the shape, in logits; less than that of appearance, so that an object may end.
SHAPE_LIMIT = 3.5
# The weight of the appearance of the first slice; the rest is that of the slice before.
FIRST_SHARE = 0.8
SURE = 2  # pixels from the boundary of the mask before from which the appearance is learnt


def load() -> Segmenter:
    return Slicewise(METHOD, ShapeSteps)


@dataclass(frozen=True, eq=False)
class SliceAppearance:
    """The appearance in a slice, and the view whose units it is in."""

    view: View
    inside: Density
    outside: Density


class ShapeSteps:
    """The slices of one request; the appearance in the first of them is remembered."""

    def __init__(self, image: Image, request: Request) -> None:
        self._image = image
        self._mark_reach = reach_between(image)
        self._first_appearance: SliceAppearance | None = None

    def first(self, index: int, request: Request) -> Prediction:
        image = self._slice(index)
        answer = zoom(image, request, graphcut.probability, most=CELLS[2])
        return whole_prediction(image, answer, request, request.start, graphcut.probability)

    def following(self, index: int, before: int, mask: Plane, request: Request) -> Prediction:
        case = self._with_shape(index, before, mask, request)
        probability = np.where(case.pinned == 2, np.float32(0), graphcut.probability(case))
        return Prediction(probability, case.view.box)

    def _slice(self, index: int) -> Image:
        return Image(self._image.voxels[:, index : index + 1], self._image.affine)

    def _with_shape(self, index: int, before: int, mask: Plane, request: Request) -> SolverInput:
        """Return the solver's input for a slice, in the box that the object may have reached."""
        inner = bounds(mask[None])
        assert inner is not None
        margin = round(2 * self._mark_reach) + SURE
        box = inner.grown((0, margin, margin)).clipped((1, *mask.shape))
        learning = crop_view(self._slice(before), box, most=box.size)
        view = full_resolution_view(self._slice(index), learning, box)
        part = mask[box.slices[1:]]
        depth = depth_in(part, self._image)
        pinned = np.where(depth < -self._mark_reach, BACKGROUND, 0).astype(np.uint8)[None]
        for points, sign in ((request.positive, FOREGROUND), (request.negative, BACKGROUND)):
            pinned[tuple(view.cells(points).T)] = sign
        location = (SHAPE_LIMIT * np.clip(depth / self._mark_reach, -1, 1)).astype(np.float32)[None]
        unary = location + self._appearance_logits(index, view, _fit_appearance(learning, part[None]))
        return SolverInput(view, pinned, unary, request, location, np.ones_like(location))

    def _appearance_logits(self, index: int, view: View, appearance: SliceAppearance | None) -> Real:
        """Return the unary of the appearance in the first slice and in the slice before, weighted by FIRST_SHARE."""
        self._first_appearance = self._first_appearance or appearance
        if appearance is None or self._first_appearance is None:
            return np.zeros(view.shape, np.float32)
        first = full_resolution_view(self._slice(index), self._first_appearance.view, view.box)
        old = appearance_logits(first.values, self._first_appearance.inside, self._first_appearance.outside)
        return np.asarray(
            FIRST_SHARE * old
            + (1 - FIRST_SHARE) * appearance_logits(view.values, appearance.inside, appearance.outside)
        )


def _fit_appearance(view: View, mask: MaskArray) -> SliceAppearance | None:
    """Return the appearance in a slice, from pixels away from its mask's boundary where there are any."""
    disc = np.ones((1, 3, 3), bool)
    sure = binary_erosion(mask, disc, iterations=SURE, border_value=1)
    found = densities(view, sure if sure.any() else mask, ~binary_dilation(mask, disc, iterations=SURE))
    return None if found is None else SliceAppearance(view, *found)
