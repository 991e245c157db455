"""Slic-Seg: Wang et al., Medical Image Analysis 2016 (and MICCAI 2015): one slice is marked, the volume follows.

A random forest learns texture from the marks, a graph cut of its probabilities gives the mask, and the finished slice
joins the forest's samples before the next slice is segmented, whose mask must lie near the mask before.
Trees only ever grow: new samples are sorted into the leaves there are, which split where sides are mixed.

Where only the object is marked, the rim of the crop stands for the background; and a mark also stands for its
surroundings, as in every classical method here, since a robot's click is one voxel where a scribble is many. The
second phase of the paper, which joins volumes seen from several sides, needs more than one image and is not here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion

from segmend.classical.methods import graphcut
from segmend.classical.slicewise import Slicewise, depth_in, reach_between
from segmend.classical.solvers.forest import Forest
from segmend.classical.solvers.texture import features
from segmend.classical.solvers.unary import PREVIOUS_LOGIT, Request, SolverInput, View, crop_view
from segmend.classical.solvers.zoom import whole_prediction, zoom
from segmend.core.image import Box, Image, MaskArray, Real, bounds
from segmend.core.logits import logit
from segmend.core.seeds import BACKGROUND, FOREGROUND, UNKNOWN
from segmend.core.segmenter import Prediction, Segmenter
from segmend.runtime import cards
from segmend.sampling.window import Plane
from segmend.solvers import grid_loops
from segmend.solvers.edges import likeness
from segmend.solvers.maxflow import cut, offsets, whole_numbers

METHOD = cards.method("slicseg")

CELLS = 1 << 14  # of a first slice's coarse grid; the band is finer
BOUNDARY = 3.0  # the cost of an even boundary, in logits
SHARPNESS = 0.1  # how fast a difference, in units of the noise, makes it cheaper
FOREST_LIMIT = 3.0  # the largest unary of the forest, in logits
SHAPE_LIMIT = 3.0  # the largest unary of the mask before
SCALE = 1000  # whole numbers a unit of logits
BRUSH = 2  # pixels round a mark that are samples of its label
SURE = 1  # pixels from a finished mask's boundary: nearer ones are no samples
MOST = 300  # samples of each side from a slice
ROUNDS = 2  # of a first slice without a mask: the second learns from the first one's answer


def load() -> Segmenter:
    return Slicewise(METHOD, SlicSegSteps)


class SlicSegSteps:
    """The slices of one request; the forest is trained on those that are finished."""

    def __init__(self, image: Image, request: Request) -> None:
        self._image = image
        self._reach = reach_between(image)
        self._forest: Forest | None = None
        self._learned: set[int] = set()

    def first(self, index: int, request: Request) -> Prediction:
        image = self._slice(index)
        answer = zoom(image, request, _without_neighbour, most=CELLS, rounds=1)
        return whole_prediction(image, answer, request, request.start, _without_neighbour)

    def following(self, index: int, before: int, mask: Plane, request: Request) -> Prediction:
        margin = round(2 * self._reach) + SURE
        inner = bounds(mask[None])
        assert inner is not None
        box = inner.grown((0, margin, margin)).clipped((1, *mask.shape))
        part = mask[box.slices[1:]]
        forest = self._learning(before, box, part)
        view = crop_view(self._slice(index), box, most=box.size)
        depth = depth_in(part, self._image)
        pinned = np.where(depth < -self._reach, BACKGROUND, 0).astype(np.uint8)[None]
        for points, sign in ((request.positive, FOREGROUND), (request.negative, BACKGROUND)):
            pinned[tuple(view.cells(points).T)] = sign
        location = (SHAPE_LIMIT * np.clip(depth / self._reach, -1, 1)).astype(np.float32)[None]
        case = SolverInput(view, pinned, location, request, location, np.ones_like(location))
        probability = _cut(case, forest)
        return Prediction(np.where(pinned == BACKGROUND, np.float32(0), probability), box)

    def _slice(self, index: int) -> Image:
        return Image(self._image.voxels[:, index : index + 1], self._image.affine)

    def _learning(self, index: int, box: Box, mask: Plane) -> Forest:
        """Return the forest after this finished slice has joined its samples."""
        if self._forest is None or index not in self._learned:
            self._learned.add(index)
            values = _features(crop_view(self._slice(index), box, most=box.size))
            sure = binary_erosion(mask, np.ones((3, 3), bool), iterations=SURE, border_value=1)
            object_cells = sure if sure.any() else mask
            background_cells = ~binary_dilation(mask, np.ones((3, 3), bool), iterations=SURE)
            self._forest = _learn_appearance(
                self._forest or Forest.planted(len(values)), values, object_cells, background_cells
            )
        return self._forest


def _without_neighbour(case: SolverInput) -> Real:
    """Return the probabilities of a slice on its own, from a forest trained on its marks."""
    values = _features(case.view)
    object_cells, background_cells = _samples(case)
    if not object_cells.any() or not background_cells.any():  # a forest needs both sides; graph cut does not
        return graphcut.probability(case)
    rounds = ROUNDS if case.request.known is None else 1
    probability = np.zeros(case.view.shape, np.float32)
    for _ in range(rounds):
        forest = _learn_appearance(Forest.planted(len(values)), values, object_cells[0], background_cells[0])
        probability = _cut(case, forest, values)
        inside = probability > 0.5
        object_cells, background_cells = (
            object_cells | (inside & ~background_cells),
            background_cells | (~inside & ~object_cells),
        )
    return probability


def _samples(case: SolverInput) -> tuple[MaskArray, MaskArray]:
    """Return the training cells inside and outside: pinned, round marks, and far from the boundary of a mask so far."""
    view = case.view
    sides = []
    for points, sign in ((case.request.positive, 1), (case.request.negative, -1)):
        marked = np.zeros(view.shape, bool)
        marked[tuple(view.cells(points).T)] = True
        brushed = binary_dilation(marked, np.ones((1, 3, 3), bool), iterations=BRUSH) if marked.any() else marked
        sure = (
            sign * case.location >= 0.9 * PREVIOUS_LOGIT
            if case.request.known is not None
            else np.zeros(view.shape, bool)
        )
        sides.append(brushed | sure | (case.pinned == (FOREGROUND if sign > 0 else BACKGROUND)))
    object_cells, background_cells = sides
    if case.request.frame is not None and not object_cells.any():
        object_cells = case.unary > 0
    object_cells = object_cells & (case.pinned != BACKGROUND)
    return object_cells, background_cells & (case.pinned != FOREGROUND) & ~object_cells


def _features(view: View) -> Real:
    """Return the features of a slice in the image's own units, so that slices and crops can be compared."""
    raw = view.values * view.unit[:, None, None, None] + view.middle[:, None, None, None]
    return features(raw[:, 0])


def _learn_appearance(forest: Forest, values: Real, object_cells: Plane, background_cells: Plane) -> Forest:
    """Return the forest after it has seen some pixels of each side."""
    chosen, sides = [], []
    for side, where in ((True, object_cells), (False, background_cells)):
        some: NDArray[np.intp] = np.flatnonzero(where)
        some = some[:: max(1, -(-len(some) // MOST))]
        chosen.append(some)
        sides.append(np.full(len(some), side))
    samples = values.reshape(len(values), -1)[:, np.concatenate(chosen)].T
    return forest.grown(np.ascontiguousarray(samples), np.concatenate(sides))


def _cut(case: SolverInput, forest: Forest, values: Real | None = None) -> Real:
    """Return the cut of the forest's probabilities and the location, soft at its boundary."""
    view = case.view
    values = _features(view) if values is None else values
    forest_logits = np.clip(
        logit(forest.probabilities(values, case.pinned[0] == UNKNOWN)[None], 1e-3), -FOREST_LIMIT, FOREST_LIMIT
    )
    pairwise = likeness(view.values, offsets(view.shape), spacing=view.spacing, sharpness=SHARPNESS)
    unary = whole_numbers(case.location + case.appearance_weight * forest_logits, scale=SCALE)
    found = cut(unary, whole_numbers(pairwise, scale=SCALE * BOUNDARY), fixed=case.pinned)
    soft = np.empty(view.shape, np.float32)
    grid_loops.soften(found.inside, soft)
    return soft
