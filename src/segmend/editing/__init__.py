"""Edits of a mask by hand and by rule, worked out: pure functions of a mask, the image and what was asked for.

`edit_map` takes any edit; `take_steps` takes prompts and edits in turn. The other modules hold one kind of rule each.
They work in the box of what they look at, never on the whole grid, and the same input gives the same mask on every
machine.

>>> import numpy as np
>>> from segmend import Image
>>> ring = np.array([[[1, 1, 1], [1, 0, 1], [1, 1, 1]]], np.uint16)
>>> int(edit_map(ring, FillHoles(), Image(np.zeros((1, 1, 3, 3))), label=1).sum())
9
"""

from segmend.core.edits import (
    Combine,
    Component,
    CopySlice,
    Cut,
    Draw,
    Edit,
    FillHoles,
    Grow,
    Interpolate,
    KeepLargest,
    Merge,
    Paint,
    RemoveSmall,
    Smooth,
    Threshold,
)
from segmend.editing.edited import edit_map
from segmend.editing.steps import Stepped, take_steps

__all__ = [
    "Combine",
    "Component",
    "CopySlice",
    "Cut",
    "Draw",
    "Edit",
    "FillHoles",
    "Grow",
    "Interpolate",
    "KeepLargest",
    "Merge",
    "Paint",
    "RemoveSmall",
    "Smooth",
    "Stepped",
    "Threshold",
    "edit_map",
    "take_steps",
]
