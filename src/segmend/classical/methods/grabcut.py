"""GrabCut in 2D and 3D: Rother, Kolmogorov and Blake, SIGGRAPH 2004.

Inside and outside each have a mixture of Gaussians, and a cut and the mixtures take turns: each voxel chooses the
component that explains it best, the components learn from the voxels that chose them, and the cheapest cut says anew
which voxels are inside. A box starts it: all outside it is background for good, all inside it may be object. Strokes
and clicks are the paper's corrections; a mark also speaks for its surroundings, as in every method of this house,
because a click is one voxel where the paper's brush covers many. A crop is cut on a coarse grid first, then a band
round the boundary at full resolution. 3 components inside and 5 outside are what bifseg compares with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from segmend.classical.solvers.components import Components
from segmend.classical.solvers.evidence import SolverInput, request
from segmend.classical.solvers.zoom import predicted, zoom
from segmend.core.image import Image, MaskArray, Real
from segmend.core.prompts import Prompt
from segmend.core.seeds import BACKGROUND, FOREGROUND, UNKNOWN
from segmend.core.segmenter import Prediction, Segmenter, Workspace
from segmend.runtime import cards
from segmend.solvers import grid_loops
from segmend.solvers.edges import likeness
from segmend.solvers.maxflow import cut, offsets, whole_numbers

METHOD = cards.method("grabcut")

GAMMA = {2: 8.0, 3: 3.0}  # the price of an even boundary, by dimensions
INNER, OUTER = 3, 5  # components
ROUNDS = 5
SCALE = 1000  # whole numbers a unit of energy
CELLS = {2: 1 << 16, 3: 1 << 16}  # of the coarse grid, cut once a round


def load() -> Segmenter:
    return GrabCut()


class GrabCut(Segmenter):
    """The method; it keeps nothing of an image but the image."""

    def open(self, image: Image) -> Workspace:
        return GrabCutWorkspace(image)


class GrabCutWorkspace(Workspace):
    def __init__(self, image: Image) -> None:
        self._image = image

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        METHOD.check(prompts)
        asked = request(prompts, previous)
        most = CELLS[2 if self._image.flat else 3]
        answer = zoom(self._image, asked, lambda case: _soft(grabcut(case).inside), most=most, rounds=1)
        fine = None
        if answer is not None:
            learnt = _learnt(answer.case, answer.inside, None)
            fine = None if learnt is None else partial(_finer, learnt)
        return predicted(self._image, answer, asked, previous, fine)


@dataclass(frozen=True, eq=False)
class Looks:
    """The mixtures of the inside and the outside."""

    inside: Components
    outside: Components


@dataclass(frozen=True, eq=False)
class State:
    """A cut, the looks it was made with, and the energy after each round."""

    inside: MaskArray
    looks: Looks | None
    energies: tuple[float, ...]


def grabcut(case: SolverInput, rounds: int = ROUNDS) -> State:
    """Return the cut after up to `rounds` rounds; it ends early when a round changes nothing.

    Where nothing of the object is left, the rounds start anew from what the case believes, and where that loses it,
    too, the unary is the answer; an even image has none, so that its answer to a box is the box.
    """
    first, believed = _first(case), _allowed(case, case.unary > 0)
    for labels in (first, believed):
        state = _rounds(case, labels, rounds)
        if state.inside.any():
            return state
    return State(believed if believed.any() else first, None, state.energies)


def _rounds(case: SolverInput, first: MaskArray, rounds: int) -> State:
    prices = _prices(case)
    state = State(first, None, ())
    for _ in range(rounds):
        looks = _learnt(case, state.inside, state.looks)
        inside, energy = _cut(case, looks, prices)
        same = bool((inside == state.inside).all())
        state = State(inside, looks, (*state.energies, energy))
        if same or looks is None:
            break
    return state


def _first(case: SolverInput) -> MaskArray:
    """Return the first labels: the mask so far as marks change it, else what a box leaves free, else the unary."""
    if case.seen.known is not None:
        return _allowed(case, case.place > 0)
    if case.seen.frame is not None and not (case.pinned == FOREGROUND).any():
        return _allowed(case, np.ones(case.view.shape, bool))
    return _allowed(case, case.unary > 0)


def _allowed(case: SolverInput, inside: MaskArray) -> MaskArray:
    return np.asarray((inside | (case.pinned == FOREGROUND)) & (case.pinned != BACKGROUND))


def _learnt(case: SolverInput, inside: MaskArray, looks: Looks | None) -> Looks | None:
    """Return what the two sides look like, from components so far where there are any."""
    if inside.all() or not inside.any():
        return None
    values = case.view.values
    if looks is None:
        return Looks(Components.fit(values, inside, INNER), Components.fit(values, ~inside, OUTER))
    return Looks(looks.inside.learnt(values, inside), looks.outside.learnt(values, ~inside))


def _prices(case: SolverInput) -> Real:
    """Return what it costs to cut between neighbours: gamma exp(-beta d^2) over their distance."""
    view = case.view
    steps = offsets(view.shape, diagonal=view.shape[0] == 1)
    gamma = GAMMA[2 if view.shape[0] == 1 else 3]
    return likeness(view.values, steps, spacing=view.spacing, sharpness=sharpness(view.values)) * np.float32(gamma)


def sharpness(values: Real) -> float:
    """Return the paper's beta, one over twice the mean squared difference of neighbours; 0 for an even image.

    >>> sharpness(np.array([[[[0, 2, 0]]]], np.float32))
    0.125
    """
    falls = [np.diff(values, axis=axis) for axis in (1, 2, 3)]
    count = sum(fall[0].size for fall in falls)
    total = float(sum(float((fall.astype(np.float64) ** 2).sum()) for fall in falls))
    return count / (2 * total) if total > 0 else 0.0


def _cut(case: SolverInput, looks: Looks | None, prices: Real) -> tuple[MaskArray, float]:
    """Return the cheapest labels and their energy."""
    view = case.view
    inner = outer = np.zeros(view.shape, np.float32)
    if looks is not None:
        free = case.pinned == UNKNOWN
        inner = case.appearance_weight * looks.inside.costs(view.values, free | (case.pinned == FOREGROUND))[0]
        outer = case.appearance_weight * looks.outside.costs(view.values, free | (case.pinned != FOREGROUND))[0]
    pull = whole_numbers(outer - inner + case.place, scale=SCALE)
    steps = offsets(view.shape, diagonal=view.shape[0] == 1)
    found = cut(pull, whole_numbers(prices, scale=SCALE), steps=steps, fixed=case.pinned)
    even = np.minimum(outer, inner - case.place)  # what any labels pay
    return found.inside, found.cost / SCALE + float(even.sum(dtype=np.float64))


def _finer(looks: Looks, case: SolverInput) -> Real:
    return _soft(_cut(case, looks, _prices(case))[0])


def _soft(inside: MaskArray) -> Real:
    chance = np.empty(inside.shape, np.float32)
    grid_loops.soften(inside, chance)
    return chance
