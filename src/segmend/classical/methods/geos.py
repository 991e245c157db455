"""GeoS: Criminisi, Sharp and Blake, GeoS: Geodesic Image Segmentation, ECCV 2008.

What marks, looks and the mask so far make of each voxel (`segmend.classical.solvers.evidence`) is filtered by geodesic
distances: specks, holes and hairs go, edges of the image stay. How wide they may be is chosen by energy.
"""

from __future__ import annotations

from segmend.classical.solved import Solved
from segmend.classical.solvers.evidence import SolverInput
from segmend.classical.solvers.geos import Widths, geos
from segmend.core.image import Real
from segmend.core.logits import sigmoid
from segmend.core.seeds import BACKGROUND, FOREGROUND, UNKNOWN
from segmend.core.segmenter import Segmenter
from segmend.runtime import cards

METHOD = cards.method("geos")

CELLS = {2: 1 << 15, 3: 1 << 16}
WIDE, NARROW = (1.0, 3.0, 8.0), (1.0,)  # widths tried in a crop, and in a band, where all else is pinned
BOUNDARY = {2: 4.0, 3: 1.5}  # the price of a voxel's side of even boundary, in logits, by dimensions


def load() -> Segmenter:
    return Solved(METHOD, _chance, band=True, cells=CELLS)


def _chance(case: SolverInput) -> Real:
    view = case.view
    tried = NARROW if float((case.pinned == UNKNOWN).mean()) < 0.5 else WIDE
    widths = Widths(tried=tried, boundary=BOUNDARY[2 if view.shape[0] == 1 else 3])
    found = geos(case.unary, view.values, spacing=view.spacing, pinned=case.pinned, widths=widths)
    chance = sigmoid(found.altitude)
    chance[case.pinned == FOREGROUND], chance[case.pinned == BACKGROUND] = 1, 0
    return chance
