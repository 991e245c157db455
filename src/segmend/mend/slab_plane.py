"""How the networks for slabs answer one plane: which window is looked through, and how often.

marks alone ──▶ windows of several sizes ──▶ the best expected answer ──▶ once more from as near as it allows
a mask, a box ──▶ the window round it ──▶ reaches an edge? once more from further away
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from segmend.core.image import Box, bounds
from segmend.core.marks import in_plane
from segmend.core.prompts import Extremes, Mask, Prompt, extent, is_positive
from segmend.mend.plane_windows import Corners, Rectangle, snap_window, union
from segmend.mend.slab_networks import Request, SlabAnswer, SlabPredictor, View
from segmend.sampling.window import Plane, Window

# The side of a window, at least, as a share of its object's longer side; with the steps of sizes it is up to 2.
MARGIN = 1.4
# The side in pixels of the smallest object that a window is fitted to.
LEAST_OBJECT = 16.0
# Sizes of windows from which marks alone are looked at, each half the one before: whole, 1/2, 1/4, 1/8.
FIRST_SIZES = 4
# The Dice that a mask cut off by its window's edge loses when the best of several windows is chosen.
CUT_OFF_LOSS = 0.3
# How often an answer that reaches its window's edge is asked for again from a wider one.
WIDENINGS = 2


def answer_plane(
    predictor: SlabPredictor, prompts: Sequence[Prompt], newest: int, axis: int, index: int, here: Plane, *, own: bool
) -> SlabAnswer:
    """Return the answer for the plane of the newest marks."""
    rectangle = known_rectangle(prompts, axis, index, here)
    request = Request(View(axis, index, 1, predictor.whole_window(axis)), prompts, newest, here, own)
    if rectangle is None:
        first = best(_first_answers(predictor, request, axis, index))
        rectangle = answer_rectangle(first, prompts, axis, index)
        if rectangle is None:
            return first
    window = object_window(predictor, rectangle, axis)
    answer = _predict(predictor, request, window)
    for _ in range(WIDENINGS):
        if not touches_edge(answer):
            break
        middle = (window.top + window.bottom) / 2, (window.left + window.right) / 2
        window = snap_window(predictor.whole_window(axis), *middle, 1.9 * window.width)
        answer = _predict(predictor, request, window)
    return answer


def _predict(predictor: SlabPredictor, request: Request, window: Window) -> SlabAnswer:
    return predictor.predict([with_step(predictor, request.through(window))])[0]


def with_step(predictor: SlabPredictor, request: Request) -> Request:
    """Return a request whose neighbouring planes are about two cells away, or the nearest slices."""
    view = request.view
    cell, apart = predictor.cell_mm(view.axis, view.window), float(predictor.image.spacing[view.axis])
    step = max(1, round(2.0 * cell / apart))
    return replace(request, view=replace(view, step=step))


def _first_answers(predictor: SlabPredictor, request: Request, axis: int, index: int) -> list[SlabAnswer]:
    """Return the answers from several distances to marks that do not say how large their object is."""
    whole = predictor.whole_window(axis)
    inside = prompt_rectangles(request.prompts, axis, index)
    marked = union(inside)
    windows = [whole]
    if marked is not None:
        top, left, bottom, right = marked
        for halves in range(1, FIRST_SIZES):
            side = whole.width * 0.5**halves
            if side >= max(LEAST_OBJECT, 1.2 * (right - left)):
                windows.append(snap_window(whole, (top + bottom) / 2, (left + right) / 2, side))
    return predictor.predict([with_step(predictor, request.through(window)) for window in dict.fromkeys(windows)])


def best(answers: Sequence[SlabAnswer]) -> SlabAnswer:
    """Return the answer that is expected to be best; one that its window's edge cuts off loses some."""
    return max(answers, key=lambda answer: answer.quality * answer.cells.any() - CUT_OFF_LOSS * touches_edge(answer))


def touches_edge(answer: SlabAnswer) -> bool:
    """Tell whether the mask reaches an edge of its window that is not an edge of the plane."""
    cells, window = answer.cells, answer.request.view.window
    rows, columns = answer.request.here.shape
    return bool(
        (window.top > 0 and cells[0].any())
        or (window.left > 0 and cells[:, 0].any())
        or (window.bottom < rows and cells[-1].any())
        or (window.right < columns and cells[:, -1].any())
    )


def known_rectangle(prompts: Sequence[Prompt], axis: int, index: int, here: Plane) -> Rectangle | None:
    """Return the rectangle of the mask so far, the boxes and the marks; None where there are marks alone."""
    rectangles = prompt_rectangles(prompts, axis, index)
    found = bounds(here[None])
    sized = any(
        isinstance(p, Box | Extremes) and b is not None and b.low[axis] <= index < b.high[axis]
        for p, b in ((p, extent(p)) for p in prompts)
    )
    if found is None and not sized:
        return None
    if found is not None:
        rectangles.append(in_plane(found, 0))
    return union(rectangles)


def answer_rectangle(answer: SlabAnswer, prompts: Sequence[Prompt], axis: int, index: int) -> Rectangle | None:
    """Return the rectangle of an answer and the marks; None where it is empty."""
    mask = answer.mask()
    found = bounds(mask[None])
    if found is None:
        return None
    return union([in_plane(found, 0), *prompt_rectangles(prompts, axis, index)])


def object_window(predictor: SlabPredictor, rectangle: Rectangle, axis: int) -> Window:
    """Return the smallest window of certain sizes that leaves a margin round a rectangle."""
    top, left, bottom, right = rectangle
    side = MARGIN * max((bottom - top) * predictor.aspect(axis), right - left, LEAST_OBJECT)
    return snap_window(predictor.whole_window(axis), (top + bottom) / 2, (left + right) / 2, side)


def prompt_rectangles(prompts: Sequence[Prompt], axis: int, index: int) -> list[Corners]:
    """Return the rectangles of all prompts in a plane but negative ones, which may lie far from the object."""
    found = []
    for prompt in prompts:
        box = extent(prompt) if is_positive(prompt) and not isinstance(prompt, Mask) else None
        if box is not None and box.low[axis] <= index < box.high[axis]:
            found.append(in_plane(box, axis))
    return found


def empty_plane(predictor: SlabPredictor, axis: int) -> Plane:
    """Return a plane's mask with nothing in it."""
    rows, columns = np.delete(predictor.image.shape, axis)
    return np.zeros((int(rows), int(columns)), bool)
