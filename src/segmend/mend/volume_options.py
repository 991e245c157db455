"""Options of how mend answers a volume, apart from the networks."""

from __future__ import annotations

from dataclasses import dataclass

from segmend.core.session import Finetune
from segmend.solvers.finetune import Tuning

# How the last layers are fine-tuned to a frame. A click is one cell of a hundred thousand, so it weighs more than a
# stroke of the paper does.
TUNING = Tuning(smoothness=1.0, sigma=0.1, marks=100.0, rounds=2, sure=2.2)


@dataclass(frozen=True, kw_only=True)
class VolumeOptions:
    """Which steps an answer for a volume takes; each of these was measured (docs/mend-experiments.md)."""

    # The side of a frame in cells.
    cells: int = 48
    # The side in cells of the frames from which marks alone are looked at.
    first: int = 48
    # The ratio of the sides of one such frame and the next.
    doubling: float = 2.0
    # The least side of a frame, as a share of its object's longest side; with the steps of sizes it is 1.3 to 1.9.
    margin: float = 1.3
    # How often an answer that reaches its frame's side is asked for again from a wider one.
    further: int = 3
    # Give the networks the mask so far even where it is a correction of their own.
    shown: bool = False
    # How far a correction is taken, in depths of the mistake; from there on it fades.
    depths: float = 1.0
    # Fine-tune the last layers to the frame: where marks are not obeyed, with every correction, or never.
    finetune: Finetune = "auto"
    tuning: Tuning = TUNING
    # Move the boundary to where the frame's intensities have one.
    boundary_cut: bool = True
    # Predict a second time, from further away, for the answer's quality and its uncertainty.
    second_prediction: bool = True
    # Ask the planes through a click what is wrong there.
    across: bool = True
    # The number of marks up to which the volume's own answer is taken beside the planes'.
    together: int = 3
    # Cut round marks that are not obeyed.
    obey: bool = True
    # The distance in cells within which a change of a mask from elsewhere is no more than the mark's own dot.
    dot: float = 7.0
    # How often at most the networks are asked once more, with their answer as the mask so far.
    again: int = 0
    # The expected Dice from which they are not asked once more. It belongs to the shipped weights.
    sure: float = 0.93
    # The least gain in expected Dice for which they are asked once more. It belongs to the shipped weights.
    rise: float = 0.005
