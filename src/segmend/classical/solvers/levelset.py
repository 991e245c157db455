"""A region-based level set: a front that moves until it encloses what has the object's appearance and location.

The front is the zero of a height, positive inside. It is driven by two region terms, as in Li et al., "A likelihood
and local constraint level set model" (TBME 2013), the method that liver papers compare with:

    likelihood  the unary, in logits
    local       whether it is nearer to the mean inside or outside, in a window round it (Li et al., TIP 2008)

by the tension of the front, which is less on edges of the image, and by the regularisation of Li et al. (TIP 2010),
which draws the slope near the front to 1, so that the height never needs to be rebuilt. Only a narrow band moves.
A front that has far to go first goes there on coarser grids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from segmend.classical.solvers import fronts
from segmend.core.image import MaskArray, Real
from segmend.core.seeds import BACKGROUND, FOREGROUND, UNKNOWN
from segmend.errors import SettingsError, ShapeError

HEIGHT = 3.0  # of the plateaus inside and outside, in cells
CHECK_EVERY = 10  # steps after which the local means, and whether the front still moves, are computed again
COARSEST = 32  # cells: the longest side of the coarsest grid
STILL = 2e-4  # of the cells: a front that crosses fewer between two checks has settled


@dataclass(frozen=True)
class Forces:
    """How strongly what moves the front; `window` is the local term's standard deviation, in cells."""

    likelihood: float = 0.7
    local: float = 0.3
    window: float = 4.0
    tension: float = 0.3
    sharpness: float = 0.1  # how fast a slope of the values makes the front less tense
    keep: float = 0.15
    pace: float = 0.8


def levelset(
    start: MaskArray,  # [z y x]
    unary: Real,  # [z y x] logits
    values: Real,  # [c z y x]
    *,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    pinned: NDArray[np.uint8] | None = None,
    forces: Forces | None = None,
    coarse_first: bool = False,
    most: int = 100,
) -> Real:
    """Return the height of the front that began round `start`, after it settled or moved `most` times.

    Inside is above 0; `pinned` voxels stay FOREGROUND or BACKGROUND. The front can only move from where it is:
    without a start or a FOREGROUND pin there is nothing to grow, and the height is below 0 everywhere. With
    `coarse_first` it settles on coarser grids first: a front moves less than a voxel a step.

    >>> unary = np.array([[[-2, -2, 2, 2, 2, 2, 2, -2]]], np.float32)
    >>> start = np.array([[[0, 0, 0, 1, 0, 0, 0, 0]]], bool)
    >>> (levelset(start, unary, np.zeros((1, 1, 1, 8))) > 0).astype(int)
    array([[[0, 0, 1, 1, 1, 1, 1, 0]]])
    """
    forces = Forces() if forces is None else forces
    pinned = np.zeros(start.shape, np.uint8) if pinned is None else pinned
    if values.ndim != 4 or not start.shape == unary.shape == pinned.shape == values.shape[1:]:
        raise ShapeError(
            "A level set needs a start, a unary, values and pins of one grid; "
            f"got {start.shape}, {unary.shape}, {values.shape} and {pinned.shape}."
        )
    if min(forces.window, forces.pace, *spacing) <= 0 or min(forces.tension, forces.keep) < 0:
        raise SettingsError(
            f"A level set needs a window, pace and spacing above 0 and no negative tension; got {forces}."
        )
    if coarse_first and max(start.shape) > COARSEST:
        start = _settle_on_coarser_grid(start, unary, values, spacing, pinned, forces, most)
        most //= 2  # what is left is near
    least = min((side for side, count in zip(spacing, start.shape, strict=True) if count > 1), default=1.0)
    sides = np.asarray(spacing, np.float32) / np.float32(least)
    free = np.asarray(pinned == UNKNOWN)
    height = _heights((start | (pinned == FOREGROUND)) & (pinned != BACKGROUND))
    likelihood = np.tanh(np.asarray(unary, np.float32) / 2)
    edges = _edges(values, sides, forces.sharpness)
    other = np.empty_like(height)
    for begun in range(0, most, CHECK_EVERY):
        local = _local(values, height > 0, sides, forces.window)
        force = (forces.likelihood * likelihood + forces.local * local).astype(np.float32)
        crossed = 0
        for _ in range(min(CHECK_EVERY, most - begun)):
            crossed += fronts.step(height, other, force, edges, free, sides, forces.tension, forces.keep, forces.pace)
            height, other = other, height
        if crossed <= STILL * height.size:
            break
    return height


def _settle_on_coarser_grid(
    start: MaskArray,
    unary: Real,
    values: Real,
    spacing: Sequence[float],
    pinned: NDArray[np.uint8],
    forces: Forces,
    most: int,
) -> MaskArray:
    """Return the mask of the front that settled on a grid half as fine."""
    steps = tuple(2 if count > COARSEST // 4 else 1 for count in start.shape)
    inside, outside = (_halve(pinned == side, steps) > 0 for side in (FOREGROUND, BACKGROUND))
    pins = np.where(inside & ~outside, FOREGROUND, np.where(outside & ~inside, BACKGROUND, UNKNOWN)).astype(np.uint8)
    height = levelset(
        _halve(start, steps) > 0,
        _halve(unary, steps),
        np.stack([_halve(channel, steps) for channel in values]),
        spacing=tuple(side * step for side, step in zip(spacing, steps, strict=True)),
        pinned=pins,
        forces=replace(forces, tension=forces.tension / 2),  # the same tension in larger cells
        coarse_first=True,
        most=most,
    )
    mask: MaskArray = height > 0
    for axis, step in enumerate(steps):
        mask = np.repeat(mask, step, axis=axis)
    return mask[tuple(slice(0, count) for count in start.shape)]


def _halve(values: NDArray[np.generic], steps: tuple[int, ...]) -> Real:
    """Return the means of blocks; the last ones are filled up by repeating the end."""
    room = [(0, -count % step) for count, step in zip(values.shape, steps, strict=True)]
    padded = np.pad(values.astype(np.float32), room, mode="edge")
    for axis, step in enumerate(steps):
        shape = (*padded.shape[:axis], -1, step, *padded.shape[axis + 1 :])
        padded = padded.reshape(shape).mean(axis=axis + 1)
    return padded


def _heights(inside: MaskArray) -> Real:
    """Return a ramp across the mask's boundary, flat beyond it."""
    ramp = np.where(inside, HEIGHT, -HEIGHT).astype(np.float32)
    blur = [1.0 if count > 1 else 0.0 for count in inside.shape]
    smooth = gaussian_filter(ramp, blur)
    return np.asarray(np.where(inside, np.maximum(smooth, 0.5), np.minimum(smooth, -0.5)), np.float32)


def _edges(values: Real, sides: Real, sharpness: float) -> Real:
    total = np.zeros(values.shape[1:], np.float32)
    for channel in np.asarray(values, np.float32):
        smooth = gaussian_filter(channel, [(n > 1) / s for n, s in zip(channel.shape, sides, strict=True)])
        for axis, side in enumerate(sides):
            if smooth.shape[axis] > 1:
                total += (np.gradient(smooth, axis=axis) / side) ** 2
    return np.asarray(1 / (1 + sharpness * total), np.float32)


def _local(values: Real, inside: MaskArray, sides: Real, window: float) -> Real:
    """Return from -1 to 1 whether a voxel is nearer to the mean of the outside or of the inside round it."""
    blur = [(n > 1) * window / s for n, s in zip(inside.shape, sides, strict=True)]
    within = gaussian_filter(inside.astype(np.float32), blur)
    seen_in = np.maximum(within, 1e-3)
    seen_out = np.maximum(1 - within, 1e-3)
    to_in, to_out = np.zeros((2, *inside.shape), np.float32)
    for channel in np.asarray(values, np.float32):
        mean_in = gaussian_filter(channel * inside, blur) / seen_in
        mean_out = gaussian_filter(channel * ~inside, blur) / seen_out
        to_in += (channel - mean_in) ** 2
        to_out += (channel - mean_out) ** 2
    known = np.minimum(1, np.minimum(within, 1 - within) / 0.02)  # a mean needs both sides
    return np.asarray(known * np.tanh((to_out - to_in) / 2), np.float32)
