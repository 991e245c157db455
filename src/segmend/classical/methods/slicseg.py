"""Slic-Seg: Wang et al., Medical Image Analysis 2016 (and MICCAI 2015): one slice is marked, the volume follows.

A random forest learns from the marks what the object's surroundings look like, a graph cut makes its chances a mask,
and the finished slice joins the forest's samples before the next slice is asked, which must lie near the mask before.
Trees only ever grow: new samples are sorted into the leaves there are, which split where sides are mixed.

Where only the object is marked, the rim of the crop stands for the background; and a mark also speaks for its
surroundings, as in every method of this house, since a robot's click is one voxel where a scribble is many. The
second phase of the paper, which joins volumes seen from several sides, needs more than one image and is not here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion

from segmend.classical.methods import graphcut
from segmend.classical.slicewise import Slicewise, depth_in, reach_between
from segmend.classical.solvers.evidence import MEMORY, Request, SolverInput, View, look
from segmend.classical.solvers.forest import Forest
from segmend.classical.solvers.texture import features
from segmend.classical.solvers.zoom import predicted, zoom
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
BOUNDARY = 3.0  # the price of an even boundary, in logits
SHARPNESS = 0.1  # how fast a difference, in units of the noise, makes it cheaper
LOOKS = 3.0  # the most that the forest can say, in logits
SHAPE = 3.0  # the most that the mask before can say
SCALE = 1000  # whole numbers a unit of logits
BRUSH = 2  # pixels round a mark that look like it
SURE = 1  # pixels from a finished mask's boundary from which it teaches
MOST = 300  # samples of each side that a slice teaches
ROUNDS = 2  # of a first slice without a mask: the second learns from the first one's answer


def load() -> Segmenter:
    return Slicewise(METHOD, SlicSegSteps)


class SlicSegSteps:
    """The slices of one request; the forest remembers those that are finished."""

    def __init__(self, image: Image, asked: Request) -> None:
        self._image = image
        self._reach = reach_between(image)
        self._forest: Forest | None = None
        self._learn_appearance: set[int] = set()

    def first(self, index: int, asked: Request) -> Prediction:
        image = self._slice(index)
        answer = zoom(image, asked, _alone, most=CELLS, rounds=1)
        return predicted(image, answer, asked, asked.start, _alone)

    def following(self, index: int, before: int, mask: Plane, asked: Request) -> Prediction:
        margin = round(2 * self._reach) + SURE
        inner = bounds(mask[None])
        assert inner is not None
        box = inner.grown((0, margin, margin)).clipped((1, *mask.shape))
        part = mask[box.slices[1:]]
        forest = self._learning(before, box, part)
        view = look(self._slice(index), box, most=box.size)
        depth = depth_in(part, self._image)
        pinned = np.where(depth < -self._reach, BACKGROUND, 0).astype(np.uint8)[None]
        for points, sign in ((asked.positive, FOREGROUND), (asked.negative, BACKGROUND)):
            pinned[tuple(view.cells(points).T)] = sign
        place = (SHAPE * np.clip(depth / self._reach, -1, 1)).astype(np.float32)[None]
        case = SolverInput(view, pinned, place, asked, place, np.ones_like(place))
        chance = _cut(case, forest)
        return Prediction(np.where(pinned == BACKGROUND, np.float32(0), chance), box)

    def _slice(self, index: int) -> Image:
        return Image(self._image.voxels[:, index : index + 1], self._image.affine)

    def _learning(self, index: int, box: Box, mask: Plane) -> Forest:
        """Return the forest after this finished slice has joined its samples."""
        if self._forest is None or index not in self._learn_appearance:
            self._learn_appearance.add(index)
            values = _features(look(self._slice(index), box, most=box.size))
            sure = binary_erosion(mask, np.ones((3, 3), bool), iterations=SURE, border_value=1)
            like = sure if sure.any() else mask
            unlike = ~binary_dilation(mask, np.ones((3, 3), bool), iterations=SURE)
            self._forest = _learn_appearance(self._forest or Forest.planted(len(values)), values, like, unlike)
        return self._forest


def _alone(case: SolverInput) -> Real:
    """Return the chances of a slice on its own, from a forest that its marks have taught."""
    values = _features(case.view)
    like, unlike = _samples(case)
    if not like.any() or not unlike.any():  # one side alone teaches nothing; graph cut knows what to believe then
        return graphcut.chance(case)
    rounds = ROUNDS if case.seen.known is None else 1
    chance = np.zeros(case.view.shape, np.float32)
    for _ in range(rounds):
        forest = _learn_appearance(Forest.planted(len(values)), values, like[0], unlike[0])
        chance = _cut(case, forest, values)
        inside = chance > 0.5
        like, unlike = like | (inside & ~unlike), unlike | (~inside & ~like)
    return chance


def _samples(case: SolverInput) -> tuple[MaskArray, MaskArray]:
    """Return the cells that teach what is inside and what is outside: those pinned, those round marks, sure ones."""
    view = case.view
    sides = []
    for points, sign in ((case.seen.positive, 1), (case.seen.negative, -1)):
        marked = np.zeros(view.shape, bool)
        marked[tuple(view.cells(points).T)] = True
        brushed = binary_dilation(marked, np.ones((1, 3, 3), bool), iterations=BRUSH) if marked.any() else marked
        sure = sign * case.place >= 0.9 * MEMORY if case.seen.known is not None else np.zeros(view.shape, bool)
        sides.append(brushed | sure | (case.pinned == (FOREGROUND if sign > 0 else BACKGROUND)))
    like, unlike = sides
    if case.seen.frame is not None and not like.any():
        like = case.unary > 0
    like = like & (case.pinned != BACKGROUND)
    return like, unlike & (case.pinned != FOREGROUND) & ~like


def _features(view: View) -> Real:
    """Return the features of a slice in the image's own units, so that slices and crops can be compared."""
    raw = view.values * view.unit[:, None, None, None] + view.middle[:, None, None, None]
    return features(raw[:, 0])


def _learn_appearance(forest: Forest, values: Real, like: Plane, unlike: Plane) -> Forest:
    """Return the forest after it has seen some pixels of each side."""
    chosen, sides = [], []
    for side, where in ((True, like), (False, unlike)):
        some: NDArray[np.intp] = np.flatnonzero(where)
        some = some[:: max(1, -(-len(some) // MOST))]
        chosen.append(some)
        sides.append(np.full(len(some), side))
    samples = values.reshape(len(values), -1)[:, np.concatenate(chosen)].T
    return forest.grown(np.ascontiguousarray(samples), np.concatenate(sides))


def _cut(case: SolverInput, forest: Forest, values: Real | None = None) -> Real:
    """Return the cut of the forest's chances and the place, soft at its boundary."""
    view = case.view
    values = _features(view) if values is None else values
    looks = np.clip(logit(forest.chances(values, case.pinned[0] == UNKNOWN)[None], 1e-3), -LOOKS, LOOKS)
    prices = likeness(view.values, offsets(view.shape), spacing=view.spacing, sharpness=SHARPNESS)
    pull = whole_numbers(case.place + case.appearance_weight * looks, scale=SCALE)
    found = cut(pull, whole_numbers(prices, scale=SCALE * BOUNDARY), fixed=case.pinned)
    soft = np.empty(view.shape, np.float32)
    grid_loops.soften(found.inside, soft)
    return soft
