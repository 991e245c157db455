"""A slab, which is a plane with the planes before and behind it, as a network's input channels.

The networks for slabs (`segmend.nets.folded`) read pictures and volumes alike: a picture is a slab whose neighbours are
the picture itself. What is known of other planes, such as the mask of the plane before when a mask is carried through a
volume, or a mark in a plane further away, is given the weaker the further away it is (`fade`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Real
from segmend.core.prompts import Prompt
from segmend.sampling.channels import plane_prompt_channels
from segmend.sampling.intensity import (
    LEAST_MIDDLE,
    LEAST_MIDDLE_RANGE,
    MIDDLE_PERCENTILES,
    equalise,
    intensity_range,
)
from segmend.sampling.window import Window

IMAGE_CHANNELS = 6  # red, green, blue, equalised grey, the plane before, the plane behind
PROMPT_CHANNELS = 7  # own mask, another's mask, positive, negative, boxes, the newest marks, a neighbour's mask
FADE_CELLS = 12.0  # the distance in cells over which what is known of another plane fades to 1 / e
# The range below which all intensities are the same, as a share of the largest one.
LEAST_RANGE = 1e-6

Flat = NDArray[np.bool_]  # [n n]


def slab_image_channels(planes: Real, beside: Real | None, valid: Flat) -> Real:  # [1|3 n n], [2 n n] -> [6 n n]
    """Return a slab's input channels, 0 to 1; cells outside the image are 0.

    Of a grey plane red is the grey between the window level of the middle third, as are the planes beside it; green and
    blue are the grey between its own percentiles. Of a colour picture they are its colours.

    >>> grid, everywhere = np.arange(16.0, dtype=np.float32).reshape(1, 4, 4), np.ones((4, 4), bool)
    >>> slab_image_channels(grid, None, everywhere).shape
    (6, 4, 4)
    """
    out = np.zeros((IMAGE_CHANNELS, *valid.shape), np.float32)
    if not valid.any():
        return out
    values = planes[:, valid]
    low, high = (float(bound) for bound in intensity_range(values))
    least = LEAST_RANGE * max(abs(low), abs(high), float(np.finfo(np.float32).tiny))
    if high - low <= least:
        return out
    full = np.clip((values - low) / (high - low), 0, 1)
    if len(planes) == 1:
        start, end = window_level(planes[0], valid, low, high)
        grey = np.clip((values[0] - start) / (end - start), 0, 1)
        out[0, valid], out[1:3, valid] = grey, full
    else:
        start, end = low, high
        grey = full.mean(axis=0)
        out[:3, valid] = full
    out[3, valid] = equalise(grey)
    if beside is None:
        out[4:, valid] = grey
    else:
        out[4:, valid] = np.clip((beside[:, valid] - start) / (end - start), 0, 1)
    return out


def window_level(grey: Real, valid: Flat, low: float, high: float) -> tuple[float, float]:
    """Return which intensities become 0 and 1: the range of the middle third and half as much again on either side."""
    third = len(valid) // 3
    inner = slice(third, len(valid) - third)
    middle = grey[inner, inner][valid[inner, inner]]
    if middle.size < LEAST_MIDDLE:
        return low, high
    dark, bright = (float(bound) for bound in np.percentile(middle, MIDDLE_PERCENTILES))
    if bright - dark < LEAST_MIDDLE_RANGE * (high - low):
        return low, high
    return max(1.5 * dark - 0.5 * bright, low), min(1.5 * bright - 0.5 * dark, high)


def fade(distance: float) -> float:
    """Return how strongly what is known of another plane, so many cells away, is given.

    >>> fade(0.0), round(fade(12.0), 2)
    (1.0, 0.37)
    """
    return float(np.exp(-abs(distance) / FADE_CELLS))


def neighbour_channel(mask: Flat, distance: float) -> Real:  # [n n] -> [n n]
    """Return the mask of a neighbouring plane as a channel: positive inside, negative outside, 0 where none is given.

    >>> neighbour_channel(np.array([[True, False]]), 0.0).tolist()
    [[1.0, -1.0]]
    """
    return np.asarray(np.where(mask, 1.0, -1.0) * fade(distance), np.float32)


@dataclass(frozen=True, eq=False)
class Shown:
    """What a network is shown of one turn besides the image, on the window's grid."""

    prompts: Sequence[Prompt]  # of this plane, oldest first
    newest: int  # how many of them, the last ones, were put down since the last answer
    mask: Real | Flat  # [n n] the mask so far
    own: bool  # the mask is the network's own answer, not a person's or another method's
    context: Real | None = None  # [3 n n] positive and negative marks of other planes, and a neighbour's mask


def slab_prompt_channels(shown: Shown, axis: int, index: int, window: Window, cells: int) -> Real:  # [7 n n]
    """Return the decoder's input for one turn.

    >>> from segmend.core.prompts import Click
    >>> shown = Shown([Click((0, 4, 4)), Click((0, 9, 9), positive=False)], 1, np.zeros((16, 16), bool), own=True)
    >>> channels = slab_prompt_channels(shown, 0, 0, Window(0, 0, 16, 16), 16)
    >>> channels[2, 4, 4], channels[3, 9, 9], channels[5, 9, 9], channels[5, 4, 4]
    (np.float32(1.0), np.float32(1.0), np.float32(-1.0), np.float32(0.0))
    """
    out = np.zeros((PROMPT_CHANNELS, cells, cells), np.float32)
    out[0 if shown.own else 1] = shown.mask
    out[2:5] = plane_prompt_channels(shown.prompts, axis, index, window, cells)
    if shown.newest:
        newest = plane_prompt_channels(shown.prompts[-shown.newest :], axis, index, window, cells)
        out[5] = newest[0] - newest[1]
    if shown.context is not None:
        np.maximum(out[2:4], shown.context[:2], out=out[2:4])
        out[6] = shown.context[2]
    return out
