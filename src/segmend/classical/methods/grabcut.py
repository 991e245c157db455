"""GrabCut in 2D and 3D: Rother, Kolmogorov and Blake, SIGGRAPH 2004.

Inside and outside each have a mixture of Gaussians, and a cut and the mixtures take turns: each voxel is assigned to
the component that explains it best, the components are fitted to their voxels, and a graph cut gives the new labels. A
box starts it: all outside it is background, all inside it may be object. Strokes and clicks are the paper's
corrections; a mark also stands for its surroundings, as in every classical method here, because a click is one voxel
where the paper's brush covers many. A crop is cut on a coarse grid first, then a band round the boundary at full
resolution. 3 components inside and 5 outside are what bifseg compares with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from segmend.classical.solvers.components import Components
from segmend.classical.solvers.unary import SolverInput, request_of
from segmend.classical.solvers.zoom import whole_prediction, zoom
from segmend.core.image import Image, MaskArray, Real
from segmend.core.prompts import Prompt
from segmend.core.seeds import BACKGROUND, FOREGROUND, UNKNOWN
from segmend.core.segmenter import Prediction, Segmenter, Workspace
from segmend.runtime import cards
from segmend.solvers import grid_loops
from segmend.solvers.edges import likeness
from segmend.solvers.maxflow import cut, offsets, whole_numbers

METHOD = cards.method("grabcut")

GAMMA = {2: 8.0, 3: 3.0}  # the cost of an even boundary, by dimensions
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
        request = request_of(prompts, previous)
        most = CELLS[2 if self._image.flat else 3]
        answer = zoom(self._image, request, lambda case: _soft(grabcut(case).inside), most=most, rounds=1)
        fine = None
        if answer is not None:
            fitted = _fit_appearance(answer.case, answer.inside, None)
            fine = None if fitted is None else partial(_cut_softly, fitted)
        return whole_prediction(self._image, answer, request, previous, fine)


@dataclass(frozen=True, eq=False)
class Appearance:
    """The mixtures of the inside and the outside."""

    inside: Components
    outside: Components


@dataclass(frozen=True, eq=False)
class State:
    """A cut, the appearance it was made with, and the energy after each round."""

    inside: MaskArray
    appearance: Appearance | None
    energies: tuple[float, ...]


def grabcut(case: SolverInput, rounds: int = ROUNDS) -> State:
    """Return the cut after up to `rounds` rounds; it ends early when a round changes nothing.

    Where nothing of the object is left, the rounds start anew from the sign of the unary, and where they
    lose it, too, that is the answer; an even image has no unary, so that its answer to a box is the box.
    """
    first, by_unary = _first(case), _allowed(case, case.unary > 0)
    for labels in (first, by_unary):
        state = _rounds(case, labels, rounds)
        if state.inside.any():
            return state
    return State(by_unary if by_unary.any() else first, None, state.energies)


def _rounds(case: SolverInput, first: MaskArray, rounds: int) -> State:
    pairwise = _pairwise_costs(case)
    state = State(first, None, ())
    for _ in range(rounds):
        appearance = _fit_appearance(case, state.inside, state.appearance)
        inside, energy = _cut(case, appearance, pairwise)
        same = bool((inside == state.inside).all())
        state = State(inside, appearance, (*state.energies, energy))
        if same or appearance is None:
            break
    return state


def _first(case: SolverInput) -> MaskArray:
    """Return the first labels: the mask so far as marks change it, else what a box leaves free, else the unary."""
    if case.request.known is not None:
        return _allowed(case, case.location > 0)
    if case.request.frame is not None and not (case.pinned == FOREGROUND).any():
        return _allowed(case, np.ones(case.view.shape, bool))
    return _allowed(case, case.unary > 0)


def _allowed(case: SolverInput, inside: MaskArray) -> MaskArray:
    return np.asarray((inside | (case.pinned == FOREGROUND)) & (case.pinned != BACKGROUND))


def _fit_appearance(case: SolverInput, inside: MaskArray, appearance: Appearance | None) -> Appearance | None:
    """Return the appearance of the two sides, from the components so far where there are any."""
    if inside.all() or not inside.any():
        return None
    values = case.view.values
    if appearance is None:
        return Appearance(Components.fit(values, inside, INNER), Components.fit(values, ~inside, OUTER))
    return Appearance(appearance.inside.refit(values, inside), appearance.outside.refit(values, ~inside))


def _pairwise_costs(case: SolverInput) -> Real:
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


def _cut(case: SolverInput, appearance: Appearance | None, pairwise: Real) -> tuple[MaskArray, float]:
    """Return the cheapest labels and their energy."""
    view = case.view
    inner = outer = np.zeros(view.shape, np.float32)
    if appearance is not None:
        free = case.pinned == UNKNOWN
        inner = case.appearance_weight * appearance.inside.costs(view.values, free | (case.pinned == FOREGROUND))[0]
        outer = case.appearance_weight * appearance.outside.costs(view.values, free | (case.pinned != FOREGROUND))[0]
    unary = whole_numbers(outer - inner + case.location, scale=SCALE)
    steps = offsets(view.shape, diagonal=view.shape[0] == 1)
    found = cut(unary, whole_numbers(pairwise, scale=SCALE), steps=steps, fixed=case.pinned)
    even = np.minimum(outer, inner - case.location)  # the energy that any labels have
    return found.inside, found.cost / SCALE + float(even.sum(dtype=np.float64))


def _cut_softly(appearance: Appearance, case: SolverInput) -> Real:
    return _soft(_cut(case, appearance, _pairwise_costs(case))[0])


def _soft(inside: MaskArray) -> Real:
    probability = np.empty(inside.shape, np.float32)
    grid_loops.soften(inside, probability)
    return probability
