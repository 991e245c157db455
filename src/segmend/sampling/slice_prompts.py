"""Prompts of methods that answer slice by slice: their slices, their marks there, how far a mask is propagated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Box, Image, MaskArray
from segmend.core.marks import fill_lasso, marks, path
from segmend.core.prompts import Click, Extremes, Lasso, Prompt, Stroke, extent
from segmend.errors import PromptError


def slice_range(prompts: Sequence[Prompt], axis: int, count: int) -> tuple[int, int]:
    """Return the slices a mask may be propagated to: those of the 3D boxes and extreme points where there are any.

    >>> slice_range([Extremes(((2, 0, 0), (5, 1, 1)))], 0, 9)
    (2, 6)
    """
    boxes = [b for p in prompts if isinstance(p, Box | Extremes) and (b := extent(p)) and b.shape[axis] > 1]
    if not boxes:
        return 0, count
    return min(b.low[axis] for b in boxes), max(b.high[axis] for b in boxes)


def has_marks(prompts: Sequence[Prompt], axis: int, index: int) -> bool:
    """Tell whether a slice is marked as this object's; marks beside the object may be another's.

    >>> has_marks([Click((3, 1, 1))], 0, 3), has_marks([Click((3, 1, 1), positive=False)], 0, 3)
    (True, False)
    """
    for prompt in prompts:
        box = extent(prompt)
        positive = isinstance(prompt, Click | Stroke) and prompt.positive
        flat = isinstance(prompt, Extremes) and box is not None and box.shape[axis] == 1
        if box is not None and (positive or flat) and box.low[axis] <= index < box.high[axis]:
            return True
    return False


def disobeyed_slices(prompts: Sequence[Prompt], mask: MaskArray, axis: int, index: int) -> list[int]:
    """Return the other planes in which a click or a stroke has not been obeyed yet, the nearest first.

    So one interaction may mark many slices, or go through them: each is answered from its own marks. Marks that were
    answered before are obeyed, and so their slices stay as they are.

    >>> mask = np.zeros((9, 2, 2), bool); mask[1] = True
    >>> clicks = [Click((1, 0, 0)), Click((7, 0, 0)), Click((1, 1, 1), positive=False), Click((4, 0, 0))]
    >>> disobeyed_slices(clicks, mask, 0, 4)
    [1, 7]
    """
    placed = [prompt for prompt in prompts if isinstance(prompt, Click | Stroke)]
    wrong = [
        points[mask[tuple(points.T)] != positive, axis]
        for points, positive in zip(marks(placed, mask.shape), (True, False), strict=True)
    ]
    return sorted(set(np.concatenate(wrong).tolist()) - {index}, key=lambda at: (abs(at - index), at))


def newest_mark_last(prompts: Sequence[Prompt], axis: int, index: int) -> Sequence[Prompt]:
    """Return the prompts with the newest mark of one plane as the newest of all.

    >>> newest_mark_last([Click((1, 0, 0)), Click((2, 0, 0)), Click((3, 0, 0))], 0, 2)[-1]
    Click(index=(2, 0, 0), positive=True)
    """
    for at in range(len(prompts) - 1, -1, -1):
        box = extent(prompts[at])
        if isinstance(prompts[at], Click | Stroke) and box is not None and box.low[axis] <= index < box.high[axis]:
            return [*prompts[:at], *prompts[at + 1 :], prompts[at]]
    return prompts


def marked_pixels(prompts: Sequence[Prompt], axis: int, index: int, *, positive: bool) -> NDArray[np.intp]:  # [n 2]
    """Return the pixels of a plane under clicks and strokes of one sign, the lines of strokes included.

    >>> marked_pixels([Click((0, 4, 5)), Click((1, 2, 3))], 0, 0, positive=True).tolist()
    [[4, 5]]
    """
    found = [np.zeros((0, 3), np.intp)]
    for prompt in prompts:
        if isinstance(prompt, Click) and prompt.positive is positive:
            found.append(np.asarray([prompt.index], np.intp))
        elif isinstance(prompt, Stroke) and prompt.positive is positive:
            found.append(path(prompt.points))
    voxels = np.concatenate(found)
    return np.delete(voxels[voxels[:, axis] == index], axis, axis=1)


def mark_count(prompts: Sequence[Prompt]) -> int:
    """Return how many clicks and strokes there are."""
    return sum(isinstance(prompt, Click | Stroke) for prompt in prompts)


def plane_axis(prompt: Prompt, image: Image) -> int:
    """Return the axis across the plane a prompt was drawn in.

    A flat prompt says so itself; a click or a 3D box takes the axis of the thickest slices.

    >>> volume = Image(np.zeros((1, 5, 6, 7)))
    >>> plane_axis(Box((1, 2, 0), (4, 3, 5)), volume), plane_axis(Click((1, 2, 3)), volume)
    (1, 0)
    """
    if image.flat:
        return 0
    box = extent(prompt)
    if isinstance(prompt, Lasso):
        return prompt.axis
    if box is not None and not isinstance(prompt, Click):
        thin = [axis for axis in range(3) if box.shape[axis] == 1]
        if len(thin) == 1:
            return thin[0]
    return image.thick_axis or 0


def key_index(prompt: Prompt, axis: int) -> int:
    """Return the slice a prompt is answered on first: its middle one."""
    box = extent(prompt)
    if box is None:
        raise PromptError("Mend needs a prompt with a place; an adjustment has none.")
    return (box.low[axis] + box.high[axis]) // 2


def is_correction(prompts: Sequence[Prompt]) -> bool:
    """Tell whether the newest prompt is a mark and not the first thing that was said.

    >>> is_correction([Click((0, 1, 1))]), is_correction([Click((0, 1, 1)), Click((0, 5, 1), positive=False)])
    (False, True)
    """
    return len(prompts) > 1 and isinstance(prompts[-1], Click | Stroke)


def apply_lassos(prompts: Sequence[Prompt], previous: MaskArray) -> MaskArray:
    """Return the mask so far with what the lassos add and take away."""
    mask = previous
    for prompt in prompts:
        if isinstance(prompt, Lasso):
            points = np.delete(np.asarray(prompt.points), prompt.axis, axis=1)
            rows, columns = np.delete(previous.shape, prompt.axis)
            mask = mask.copy() if mask is previous else mask
            at: list[slice | int] = [slice(None)] * 3
            at[prompt.axis] = prompt.points[0][prompt.axis]
            plane = mask[tuple(at)]
            plane[fill_lasso(points, int(rows), int(columns))] = prompt.positive
    return mask
