"""What only the first interaction with a method costs, paid before somebody waits for it.

Libraries are imported and networks are made ready for their shapes when they are first used. `warm` uses them all once:
it opens a small phantom and clicks in it, as a person would.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from segmend.core.image import Box, Image, Index, MaskArray
from segmend.core.prompts import Adjust, Click, Extremes, Prompt, Stroke
from segmend.core.segmenter import FIRST, Method, Segmenter, answer
from segmend.errors import SegmendError

SHAPES: dict[int, Index] = {2: (1, 64, 64), 3: (12, 32, 32)}  # of the phantom, by its dimensions


def warm(segmenter: Segmenter, card: Method, dimensions: int) -> None:
    """Use a method once on a phantom of 2 or 3 dimensions, with the first kinds of prompt that it takes."""
    image, mask = phantom(SHAPES[dimensions])
    nothing = np.zeros(image.shape, bool)
    with suppress(SegmendError):  # a method may refuse the phantom as it may refuse any image
        workspace = segmenter.open(image)
        answer(workspace, first_prompts(card, mask), nothing)
        if "adjust" in card.prompts:
            answer(workspace, [Adjust(0.1)], mask)


def phantom(shape: Index) -> tuple[Image, MaskArray]:
    """Return an image of a bright ball in noise, or of a disc in one slice, and where it is."""
    far = np.zeros(shape, np.float32)
    for at, side in zip(np.indices(shape), shape, strict=True):
        if side > 1:
            far += ((at - side // 2) / (side / 4)) ** 2
    inside = far < 1
    noise = np.random.default_rng(0).normal(0, 5, shape)
    return Image((100 * inside + noise).astype(np.float32)[None]), np.asarray(inside)


def first_prompts(card: Method, mask: MaskArray) -> list[Prompt]:
    """Return what somebody would begin with: a click, a stroke, extreme points, a box or nothing, as it allows."""
    z, y, x = (int(side // 2) for side in mask.shape)
    places = np.argwhere(mask[z])
    (top, left), (bottom, right) = places.min(axis=0).tolist(), places.max(axis=0).tolist()
    sides = ((z, top, x), (z, y, left), (z, bottom, x), (z, y, right))
    found: dict[str, Prompt] = {
        "click": Click((z, y, x)),
        "stroke": Stroke(((z, y, x - 3), (z, y, x + 3))),
        "extremes": Extremes(sides),
        "box": Box((0, top, left), (len(mask), bottom + 1, right + 1)),
    }
    return [next((prompt for kind, prompt in found.items() if kind in card.prompts), FIRST)]
