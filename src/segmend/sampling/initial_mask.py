"""Rules for masks from elsewhere, which prompts refine: what came after them, and when a network outweighs them."""

from __future__ import annotations

from collections.abc import Sequence

from segmend.core.prompts import Mask, Prompt

# The Dice of an answer with a mask from elsewhere, below which the answer is of another object.
# Measured on answers of the shipped weights (docs/mend-experiments.md).
LEAST_DICE_WITH_MASK = 0.65
# How much more Dice than it has in common with the mask an answer must expect of itself to be trusted over it.
# Measured on answers of the shipped weights (docs/mend-experiments.md).
LEAST_GAIN = 0.03


def prompts_since_mask(prompts: Sequence[Prompt]) -> Sequence[Prompt] | None:
    """Return the prompts after the newest mask from elsewhere; None where there is none, or it is empty.

    >>> import numpy as np
    >>> from segmend.core.prompts import Click
    >>> click, ones = Click((0, 1, 1)), np.ones((1, 2, 2), bool)
    >>> prompts_since_mask([click, Mask(ones), click])
    [Click(index=(0, 1, 1), positive=True)]
    >>> prompts_since_mask([Mask(ones), click, Mask(~ones), click]) is None
    True
    """
    for at in range(len(prompts) - 1, -1, -1):
        prompt = prompts[at]
        if isinstance(prompt, Mask):
            return prompts[at + 1 :] if prompt.inside.any() else None
    return None


def trusts_network_over_mask(quality: float, dice_with_mask: float) -> bool:
    """Tell whether an answer to the first mark on a mask from elsewhere is believed farther than round the mark.

    It has to be of the same object, and to expect more of itself than it has in common with the mask: else the mask
    is as good, and its maker may have seen what no network sees.

    >>> trusts_network_over_mask(0.85, 0.7), trusts_network_over_mask(0.85, 0.9), trusts_network_over_mask(0.85, 0.3)
    (True, False, False)
    """
    return dice_with_mask >= LEAST_DICE_WITH_MASK and quality >= dice_with_mask + LEAST_GAIN
