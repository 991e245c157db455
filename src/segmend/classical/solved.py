"""What methods of a single solver share: a request, the crop that fits it, and the solver's probabilities.

This is no method itself: it has no card of its own. A method whose whole idea is one solver is a card, a function
from a `SolverInput` to probabilities, and `SolverMethod`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from segmend.classical.given import given_slices, holding, with_slices
from segmend.classical.solvers.unary import request_of
from segmend.classical.solvers.zoom import Solver, whole_prediction, zoom
from segmend.core.image import Image, MaskArray, bounds
from segmend.core.prompts import Mask, Prompt
from segmend.core.segmenter import Method, Prediction, Segmenter, Workspace

CELLS: Mapping[int, int] = {2: 1 << 16, 3: 1 << 18}  # of the coarse grid, by dimensions


@dataclass(frozen=True, eq=False)
class SolverMethod(Segmenter):
    """A method that is one solver; it keeps nothing of an image but the image.

    `band` says whether the solver solves again at full resolution in a band round the coarse boundary;
    without it the probabilities of cells are interpolated. In volumes `finder`, where there is one, finds the crop.
    """

    card: Method
    solver: Solver
    band: bool
    cells: Mapping[int, int]
    finder: Solver | None = None

    def open(self, image: Image) -> Workspace:
        return SolverWorkspace(self, image)


def middle(free: MaskArray, share: float) -> MaskArray:
    """Return the ball, or ellipsoid, in the middle of these voxels' box whose radii are this share of its half sides.

    >>> middle(np.ones((1, 3, 7), bool), 0.7)[0].astype(int)
    array([[0, 0, 0, 1, 0, 0, 0],
           [0, 1, 1, 1, 1, 1, 0],
           [0, 0, 0, 1, 0, 0, 0]])
    """
    box = bounds(free)
    if box is None:
        return np.zeros(free.shape, bool)
    axes = np.ogrid[tuple(slice(0, n) for n in free.shape)]
    away = [
        ((axis - (low + high - 1) / 2) / max(share * (high - low) / 2, 0.5)) ** 2
        for axis, low, high in zip(axes, box.low, box.high, strict=True)
    ]
    return np.asarray(away[0] + away[1] + away[2] <= 1.0)


class SolverWorkspace(Workspace):
    def __init__(self, method: SolverMethod, image: Image) -> None:
        self._method = method
        self._image = image

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        method = self._method
        method.card.check(prompts)
        given = given_slices(prompts, previous.shape)
        newest = bool(given) and isinstance(prompts[-1], Mask)
        request = with_slices(request_of(prompts, previous), given, newest=newest)
        flat = self._image.flat
        finder, most = None if flat else method.finder, method.cells[2 if flat else 3]
        answer = zoom(self._image, request, method.solver, most=most, finder=finder)
        found = whole_prediction(self._image, answer, request, previous, method.solver if method.band else None)
        return holding(found, given, previous)
