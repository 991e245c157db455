"""Which window a plane is looked at through.

Windows have only certain sizes, steps of the root of 2 down from the whole plane, and lie on a grid an eighth of their
side wide. So the window of an object is the same from mark to mark while its extent hardly changes, and its features
need not be computed anew. The window follows from the prompts and the mask so far alone, never from what is kept: a
replay gives the same masks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segmend.core.image import Box, bounds
from segmend.core.marks import in_plane
from segmend.core.prompts import Click, Extremes, Stroke, extent, is_positive
from segmend.mend.plane_networks import Question, WindowAnswer, WindowNetworks
from segmend.sampling.window import Window

# Sizes of windows between one and its half.
STEPS = 2
# Places of a window along its own side: the grid that windows lie on.
PLACES = 8
# The least side of a window, as a share of its object's longer side; with the steps of sizes it is 1.4 to 2.
MARGIN = 1.4
# The side in pixels of the smallest object that a window is fitted to.
LEAST_OBJECT = 24.0
# The least side in pixels of a window that marks alone are looked at through: nearer, nothing more is to be seen.
LEAST_WINDOW = 20.0

Corners = tuple[tuple[int, int], tuple[int, int]]  # (top, left), (bottom, right)
Rectangle = tuple[float, float, float, float]  # top, left, bottom, right


def object_window(windows: WindowNetworks, rectangle: Rectangle, axis: int, *, margin: float = MARGIN) -> Window:
    """Return the smallest window of certain sizes that leaves a margin round a rectangle."""
    top, left, bottom, right = rectangle
    side = margin * max((bottom - top) * windows.aspect(axis), right - left, LEAST_OBJECT)
    return snap_window(windows.whole_window(axis), (top + bottom) / 2, (left + right) / 2, side)


def wider_window(windows: WindowNetworks, window: Window, axis: int) -> Window:
    """Return a window from about twice as far, with the same middle."""
    middle = (window.top + window.bottom) / 2, (window.left + window.right) / 2
    return snap_window(windows.whole_window(axis), *middle, 1.9 * window.width)


def first_windows(windows: WindowNetworks, question: Question, steps: Sequence[int]) -> list[Window]:
    """Return the windows from which marks alone are looked at: the whole plane, and some sizes round the marks."""
    whole = windows.whole_window(question.axis)
    found = [whole]
    marked = union(_positive_marks(question))
    if marked is not None:
        top, left, bottom, right = marked
        for step in steps:
            side = whole.width * 0.5 ** (step / STEPS)
            if step > 0 and side >= max(LEAST_WINDOW, right - left + 2.0):
                found.append(snap_window(whole, (top + bottom) / 2, (left + right) / 2, side))
    return found


def object_rectangle(question: Question) -> Rectangle | None:
    """Return the rectangle of the mask so far, the boxes and the marks; None where there are marks alone."""
    rectangles = _inside_prompts(question)
    found = bounds(question.here[None])
    sized = any(isinstance(p, Box | Extremes) for p in question.prompts)
    if (found is None and not sized) or (found is None and not rectangles):
        return None
    if found is not None:
        rectangles.append(in_plane(found, 0))
    return union(rectangles)


def answer_rectangle(windows: WindowNetworks, first: WindowAnswer, question: Question) -> Rectangle | None:
    """Return the rectangle of a first answer and the marks; where the answer is empty, one round the newest mark."""
    inside = _inside_prompts(question)
    found = bounds(first.mask[None])
    if found is not None:
        (top, left), (bottom, right) = in_plane(found, 0)
        y, x = first.where[0].start, first.where[1].start
        return union([((top + y, left + x), (bottom + y, right + x)), *inside])
    if not inside:
        return None
    (top, left), (bottom, right) = inside[-1]
    whole, aspect = windows.whole_window(question.axis), windows.aspect(question.axis)
    side = whole.width / 4
    return top - side / aspect, left - side, bottom + side / aspect, right + side


def touches_window_edge(answer: WindowAnswer, shape: Sequence[int]) -> bool:
    """Tell whether the mask reaches an edge of its window that is not an edge of the plane."""
    mask, window = answer.mask, answer.window
    if not mask.any():
        return False
    return bool(
        (window.top > 0 and mask[0].any())
        or (window.left > 0 and mask[:, 0].any())
        or (window.bottom < shape[0] and mask[-1].any())
        or (window.right < shape[1] and mask[:, -1].any())
    )


def snap_window(whole: Window, row: float, column: float, side: float) -> Window:
    """Return the smallest window of certain sizes with at least this side, about this middle; at most the whole plane.

    >>> snap_window(Window(0, 0, 64, 128), 29, 41, 60)
    Window(top=12.0, left=8.0, height=32.0, width=64.0)
    >>> snap_window(Window(0, 0, 64, 128), 30, 41, 120)
    Window(top=0, left=0, height=64, width=128)
    """
    steps = int(np.floor(STEPS * np.log2(whole.width / side) + 1e-9))
    if steps <= 0:
        return whole
    share = 0.5 ** (steps / STEPS)
    height, width = share * whole.height, share * whole.width
    down, across = height / PLACES, width / PLACES
    top = whole.top + down * round((row - height / 2 - whole.top) / down)
    left = whole.left + across * round((column - width / 2 - whole.left) / across)
    return Window(float(top), float(left), float(height), float(width))


def union(rectangles: Sequence[Corners]) -> Rectangle | None:
    """Return the rectangle round all of these, None where there are none."""
    if not rectangles:
        return None
    lows, highs = zip(*rectangles, strict=True)
    return (
        min(a for a, _ in lows),
        min(b for _, b in lows),
        max(a for a, _ in highs),
        max(b for _, b in highs),
    )


def _inside_prompts(question: Question) -> list[Corners]:
    """Return the rectangles of all prompts in a plane but the negative ones, which may lie far from the object."""
    boxes = [extent(prompt) for prompt in question.prompts if is_positive(prompt)]
    axis, index = question.axis, question.index
    return [in_plane(b, axis) for b in boxes if b is not None and b.low[axis] <= index < b.high[axis]]


def _positive_marks(question: Question) -> list[Corners]:
    """Return the rectangles of the positive clicks and strokes in a plane."""
    found = []
    for prompt in question.prompts:
        box = extent(prompt) if isinstance(prompt, Click | Stroke) and prompt.positive else None
        if box is not None and box.low[question.axis] <= question.index < box.high[question.axis]:
            found.append(in_plane(box, question.axis))
    return found
