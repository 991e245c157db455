"""What the methods that solve one energy at once share: a request, the crop that fits it, and a solver's chances.

This is no method itself: it has no card of its own. A method whose whole idea is one solver is a card, a function
from a `Case` to chances, and `Solved`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segmend.image import Image, MaskArray, Real
from segmend.prompts import Prompt
from segmend.segmenter import Method, Prediction, Segmenter, Workspace

if TYPE_CHECKING:
    from segmend.solvers.evidence import Case

Chance = Callable[["Case"], Real]  # -> [z y x] the chance of each cell

CELLS: Mapping[int, int] = {2: 1 << 16, 3: 1 << 18}  # of the coarse grid, by dimensions


@dataclass(frozen=True, eq=False)
class Solved(Segmenter):
    """A method that is one solver; it keeps nothing of an image but the image.

    `band` says whether the solver solves again at full resolution in a band round the coarse boundary;
    without it the chances of cells are interpolated.
    """

    card: Method
    chance: Chance
    band: bool
    cells: Mapping[int, int]

    def open(self, image: Image) -> Workspace:
        return SolvedWorkspace(self, image)


class SolvedWorkspace(Workspace):
    def __init__(self, method: Solved, image: Image) -> None:
        self._method = method
        self._image = image

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        from segmend.solvers.evidence import request
        from segmend.solvers.zoom import predicted, zoom

        method = self._method
        method.card.check(prompts)
        asked = request(prompts, previous)
        answer = zoom(self._image, asked, method.chance, most=method.cells[2 if self._image.flat else 3])
        return predicted(self._image, answer, asked, previous, method.chance if method.band else None)
