"""GeoS: Criminisi, Sharp and Blake, GeoS: Geodesic Image Segmentation, ECCV 2008.

The unary of marks, appearance and the mask so far (`segmend.classical.solvers.unary`) is filtered by geodesic
distances: specks, holes and hairs go, edges of the image stay. How wide they may be is chosen by energy.
"""

from __future__ import annotations

from segmend.classical.solved import SolverMethod
from segmend.classical.solvers.geos import Widths, geos
from segmend.classical.solvers.unary import SolverInput
from segmend.core.image import Real
from segmend.core.logits import sigmoid
from segmend.core.seeds import BACKGROUND, FOREGROUND, UNKNOWN
from segmend.core.segmenter import Segmenter
from segmend.runtime import cards

METHOD = cards.method("geos")

CELLS = {2: 1 << 15, 3: 1 << 16}
WIDE, NARROW = (1.0, 3.0, 8.0), (1.0,)  # widths tried in a crop, and in a band, where all else is pinned
BOUNDARY = {2: 4.0, 3: 1.5}  # the cost of a voxel's side of even boundary, in logits, by dimensions


def load() -> Segmenter:
    return SolverMethod(METHOD, _probability, band=True, cells=CELLS)


def _probability(case: SolverInput) -> Real:
    view = case.view
    candidates = NARROW if float((case.pinned == UNKNOWN).mean()) < 0.5 else WIDE
    widths = Widths(candidates=candidates, boundary=BOUNDARY[2 if view.shape[0] == 1 else 3])
    found = geos(case.unary, view.values, spacing=view.spacing, pinned=case.pinned, widths=widths)
    probability = sigmoid(found.signed_distance)
    probability[case.pinned == FOREGROUND], probability[case.pinned == BACKGROUND] = 1, 0
    return probability
