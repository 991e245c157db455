"""How good an answer for a volume is likely to be: its expected Dice and its uncertainty.

A second prediction, from further away and without the mask so far, finds what is wrong elsewhere. The constants here
calibrate the networks' quality to real cases, so they belong to the shipped weights (docs/mend-experiments.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segmend.core.image import MaskArray, Real
from segmend.core.logits import sigmoid
from segmend.core.masks import dice
from segmend.core.prompts import Prompt
from segmend.mend.boundary import intensity_logits
from segmend.mend.volume_frames import frame_in_cells, wider_frame
from segmend.mend.volume_networks import FrameAnswer, FrameNetworks
from segmend.mend.volume_options import VolumeOptions

# The weight of the second prediction's own quality in the expected Dice.
SECOND_WEIGHT = 0.25
# The weight of the Dice of the mask that was made with the networks' answer in the expected Dice.
LIKENESS_WEIGHT = 0.25
# The weight in uncertainty of what the second prediction contradicts, besides the answer's own uncertainty.
DISAGREED_WEIGHT = 0.3


def predict_from_further(
    frames: FrameNetworks, prompts: Sequence[Prompt], answer: FrameAnswer, options: VolumeOptions
) -> FrameAnswer:
    """Return the networks' answer from twice as far, not shown the mask so far: a real object is found again."""
    frame = wider_frame(frames.image, answer, options)
    return frames.predict(prompts, frame, np.zeros(frame.cells, np.float32))


def expected_dice(answer: FrameAnswer, second_prediction: FrameAnswer, mask: MaskArray) -> float:
    """Return the Dice to be expected of the mask that was made, on the cells of the answer's frame.

    Mostly from how likely each of its cells is to be wrong by the answer's own uncertainty; less from what the second
    prediction expects of itself, and from how much of the answer was taken: what was mended by other means is not what
    it judged.
    """
    wrong = answer.uncertainty / 2
    right = float(mask.sum() - wrong[mask].sum())
    expected = 2 * right / (right + float(mask.sum() + wrong[~mask].sum()) + 1)
    likeness = dice(answer.mask, mask, empty=0.0)
    own = (1 - SECOND_WEIGHT - LIKENESS_WEIGHT) * expected
    return own + SECOND_WEIGHT * second_prediction.quality + LIKENESS_WEIGHT * likeness


def uncertainty_map(
    frames: FrameNetworks, answer: FrameAnswer, second_prediction: FrameAnswer | None, now: Real
) -> Real:  # [*cells]
    """Return how uncertain each cell is of the mask that was made, whose probability is `now`.

    Where it has not the intensity of its side, as much as the answer itself is uncertain; and more where the second
    prediction, or the answer, of which not all may have been taken, contradicts the mask.
    """
    mask = now > 0.5
    disagreed = np.abs(mask - answer.probability)
    if second_prediction is not None:
        elsewhere = frame_in_cells(second_prediction.frame, answer.frame).resample_to_grid(
            second_prediction.probability
        )
        disagreed = np.maximum(disagreed, np.abs(mask - elsewhere))
    _, _, equalised, valid = frames.channels(answer.frame)
    unlike = np.abs(mask - sigmoid(intensity_logits(now, equalised, valid > 0)))
    return np.asarray(np.clip((answer.uncertainty + DISAGREED_WEIGHT * disagreed) * unlike, 0, 1), np.float32)
