"""Options of how mend answers a plane, apart from the networks."""

from __future__ import annotations

from dataclasses import dataclass, replace

from segmend.core.session import Finetune
from segmend.solvers.finetune import IN_2D, Tuning

# The paper's price of edges isolates single clicks, and its weight of marks is for strokes: both are other here.
TUNING = replace(IN_2D, smoothness=1.0, marks=100.0)


@dataclass(frozen=True, kw_only=True)
class PlaneOptions:
    """Which steps an answer for a plane takes; each of these was measured (docs/mend-experiments.md)."""

    # Sizes of windows that marks alone are looked at from, in steps of the root of 2 down from the whole plane.
    first: tuple[int, ...] = (0, 1, 2, 3, 4, 6)
    # Answer once more from near at the newest mark of a large object.
    near: bool = True
    # The width in pixels of a window's cells from which its object is large.
    coarse: float = 1.5
    # How often at most the networks are asked once more, with their answer as the mask so far.
    again: int = 2
    # The expected Dice from which they are not asked once more. It belongs to the shipped weights.
    sure: float = 0.93
    # The least gain in expected Dice for which they are asked once more. It belongs to the shipped weights.
    rise: float = 0.005
    # Raise the first answer to a box until it all but reaches the box's sides.
    span: bool = True
    # Change a mask only where the change reaches the newest mark.
    hold: bool = True
    # The number of marks from which on a large change is taken near the newest mark only.
    later: int = 3
    # Move the boundary to where the window's intensities have one.
    boundary_cut: bool = True
    # Predict a second time, from further away, for the answer's quality and its uncertainty.
    second_prediction: bool = True
    # Answer marks on thin lines of a picture along the lines.
    lines: bool = True
    # Fine-tune the last layers to this image: where marks disagree with the mask, with every correction, or never.
    finetune: Finetune = "auto"
    tuning: Tuning = TUNING
