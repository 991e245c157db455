"""An adjustment of the mask so far: its boundary moves by K (`segmend.solvers.nudge`), and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from segmend.core.image import Box, Image, MaskArray, Real
from segmend.core.marks import marks
from segmend.core.prompts import Adjust, Prompt
from segmend.core.seeds import BACKGROUND, FOREGROUND
from segmend.core.segmenter import Prediction
from segmend.solvers.nudge import nudge, nudge_box


def no_logits(_: Box) -> Real | None:
    """Return None: the boundary moves by distance alone."""
    return None


def move_boundary(
    newest: Adjust,
    prompts: Sequence[Prompt],
    previous: MaskArray,
    image: Image,
    logits_in: Callable[[Box], Real | None] = no_logits,
) -> Prediction:
    """Return the mask so far with its boundary moved; `logits_in` gives a network's logits in a box, or None."""
    spacing = image.spacing.tolist()
    box = nudge_box(previous, spacing)
    if box is None:  # nothing has no boundary
        return Prediction(np.zeros((1, 1, 1), np.float32), Box((0, 0, 0), (1, 1, 1)))
    pinned = np.zeros(box.shape, np.uint8)
    for points, side in zip(marks(prompts, previous.shape), (FOREGROUND, BACKGROUND), strict=True):
        inside = ((points >= box.low) & (points < box.high)).all(axis=1)
        pinned[tuple((points[inside] - box.low).T)] = side
    moved = nudge(previous[box.slices], newest.k_of_truth, logits=logits_in(box), pinned=pinned, spacing=spacing)
    return Prediction(moved.astype(np.float32), box)
