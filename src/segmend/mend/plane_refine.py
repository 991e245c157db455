"""Steps that refine an answer for a plane: its boundary, details from near, and what it may change of a mask so far."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree

from segmend.core.image import Box, Real
from segmend.core.logits import logit, sigmoid
from segmend.core.marks import in_plane
from segmend.core.masks import components_touching
from segmend.core.prompts import Click, Stroke, extent
from segmend.mend.boundary import cut_by_intensity
from segmend.mend.plane_networks import (
    CELLS,
    Pixels,
    Question,
    WindowAnswer,
    WindowNetworks,
    whole_mask,
    whole_plane,
    window_answer,
)
from segmend.mend.plane_options import PlaneOptions
from segmend.mend.plane_windows import snap_window
from segmend.mend.quality import overlap
from segmend.sampling.initial_mask import prompts_since_mask, trusts_network_over_mask
from segmend.sampling.slice_prompts import mark_count
from segmend.sampling.window import Plane, Window, resample_to_grid, resample_to_plane

# Probabilities nearer to 0 or 1 than this count as this.
LEAST_PROBABILITY = 1e-4

# How far a mask may stay away from either end of its box, as a share of the box's side.
MOST_GAP = 0.08
# The largest logit that is added to an answer so that it spans its box. It belongs to the shipped weights.
MOST_RAISED = 2.0
# How many logits from 0 to the largest one are tried.
RAISES = 21

# Cells of a window from the newest mark within which a change reaches it.
REACH = 2.0
# The share of a mask from which a change by a later mark is large.
LARGE = 0.3
# The share of a mask from elsewhere from which a change by a later mark is large.
LARGE_OF_OTHERS = 0.1
# How far a large change is taken, in distances of the mark from the boundary that it corrects.
FAR = 1.5
# The least distance of a mark from that boundary, in pixels.
LEAST_DEPTH = 2.0

# The width in pixels from which a window's cells hide details of a mask from elsewhere.
COARSE_CELL = 1.2


def move_boundary(windows: WindowNetworks, question: Question, answer: WindowAnswer) -> WindowAnswer:
    """Return the answer with its boundary moved to where the window's intensities have one."""
    if answer.quality is None:
        return answer
    *colours, equalised = windows.features(question.axis, question.index, answer.window).channels
    grey = np.mean(colours, axis=0)[None]
    probability = cut_by_intensity(
        sigmoid(answer.logits)[None],
        grey,
        equalised[None],
        windows.cells_on_image(question, answer.window),
        windows.marked_cells(question, answer.window),
    )
    logits = logit(probability[0], LEAST_PROBABILITY)
    moved = window_answer(logits, answer.window, question.here.shape, answer.quality, answer.hidden)
    return answer if moved.quality is None else replace(moved, uncertainty=answer.uncertainty)


# Details that the window's cells are too wide for.


def restore_details(question: Question, answer: WindowAnswer) -> WindowAnswer:
    """Return the answer with those details of a mask from elsewhere that are finer than its window's cells.

    The mask is changed by the difference between what the cells answer and what they hold of the mask.
    """
    wide = answer.window.width > COARSE_CELL * CELLS
    if not wide or prompts_since_mask(question.prompts) is None or not question.here.any() or not answer.mask.any():
        return answer
    change = sigmoid(answer.logits) - resample_to_grid(question.here, answer.window, CELLS)
    values, _ = resample_to_plane(change, answer.window, *question.here.shape)
    return replace(answer, probability=np.clip(question.here[answer.where] + values, 0, 1).astype(np.float32))


def refine_near_mark(
    windows: WindowNetworks, question: Question, answer: WindowAnswer, options: PlaneOptions
) -> WindowAnswer:
    """Return the answer with another from near at the newest mark, where the window's cells are wide."""
    newest = question.prompts[-1]
    if not options.near or not isinstance(newest, Click | Stroke) or not question.here.any():
        return answer
    window = _near_window(windows, question, newest)
    if window is None or answer.window.width < options.coarse * max(CELLS, window.width):
        return answer
    return blend(answer, windows.predict(question.with_mask(whole_mask(question.here, answer)), window))


def _near_window(windows: WindowNetworks, question: Question, newest: Click | Stroke) -> Window | None:
    """Return a window at a mark whose cells are as fine as pixels, None where the mark is on another plane."""
    box, axis = extent(newest), question.axis
    if box is None or not box.low[axis] <= question.index < box.high[axis]:
        return None
    (top, left), (bottom, right) = in_plane(box, axis)
    side = max(float(CELLS), 2 * (right - left), 2 * (bottom - top) * windows.aspect(axis))
    return snap_window(windows.whole_window(axis), (top + bottom) / 2, (left + right) / 2, side)


def blend(answer: WindowAnswer, near: WindowAnswer) -> WindowAnswer:
    """Return the answer with the near one in the middle of its window, fading towards the edges, where both are."""
    both = [
        slice(max(a.start, b.start), max(min(a.stop, b.stop), a.start, b.start))
        for a, b in zip(answer.where, near.where, strict=True)
    ]
    into, part = (
        tuple(slice(common.start - at.start, common.stop - at.start) for common, at in zip(both, where, strict=True))
        for where in (answer.where, near.where)
    )
    down = _fade(both[0], near.window.top, near.window.height)
    across = _fade(both[1], near.window.left, near.window.width)
    share = down[:, None] * across
    probability, uncertainty = answer.probability.copy(), answer.uncertainty.copy()
    probability[into] += share * (near.probability[part] - probability[into])
    uncertainty[into] += share * (near.uncertainty[part] - uncertainty[into])
    return replace(answer, probability=probability, uncertainty=uncertainty)


def _fade(pixels: slice, start: float, length: float) -> Real:
    """Return 1 in the middle half of a line, falling to 0 at its ends."""
    at = (np.arange(pixels.start, pixels.stop) + 0.5 - start) / length
    return np.asarray(np.clip(4 * np.minimum(at, 1 - at), 0, 1), np.float32)


# Boxes.


def fit_to_box(question: Question, answer: WindowAnswer) -> WindowAnswer:
    """Return the first answer to a box in this plane with probabilities raised until it all but reaches its sides.

    Whoever draws a box draws it round the object, and networks answer with one that is rather too small.
    """
    box, where = question.prompts[-1], answer.where
    if len(question.prompts) > 1 or question.here.any():
        return answer
    if not isinstance(box, Box) or box.shape[question.axis] > 1:
        return answer
    sides = [side for axis, side in enumerate(box.slices) if axis != question.axis]
    both = [
        slice(max(side.start, at.start) - at.start, min(side.stop, at.stop) - at.start)
        for side, at in zip(sides, where, strict=True)
    ]
    probability = answer.probability.copy()
    probability[tuple(both)] = raise_to_span(probability[tuple(both)])
    return replace(answer, probability=probability)


def raise_to_span(probability: Real) -> Real:  # [y x] -> [y x]
    """Return the probabilities in a box, raised alike until those above one half come near its sides.

    >>> probability = np.full((40, 40), 0.3, np.float32); probability[10:30, 10:30] = 0.9
    >>> bool((raise_to_span(probability) > 0.5).all()), bool((raise_to_span(0.1 * probability) > 0.5).any())
    (True, False)
    """
    if not (probability > 0.5).any():
        return probability
    logits = logit(probability, LEAST_PROBABILITY)
    lines = [logits.max(axis=axis) for axis in (1, 0)]
    for more in np.linspace(0, MOST_RAISED, RAISES):
        reached = [np.flatnonzero(line > -more) for line in lines]
        gaps = [max(at[0], len(line) - 1 - at[-1]) / len(line) for at, line in zip(reached, lines, strict=True)]
        if max(gaps) <= MOST_GAP:
            break
    return probability if more == 0 else sigmoid(logits + np.float32(more))


# What an answer may change.


def limit_change_to_mark(
    windows: WindowNetworks, question: Question, answer: WindowAnswer, options: PlaneOptions
) -> WindowAnswer:
    """Return the answer without those changes that do not reach the newest mark, nor the far part of large ones."""
    newest = question.prompts[-1]
    if not options.hold or not isinstance(newest, Click | Stroke) or not question.here.any():
        return answer
    pixels = windows.marked_pixels(replace(question, prompts=[newest]))[0 if newest.positive else 1]
    if not len(pixels):
        return answer
    old = question.here[answer.where]
    reach = round(REACH * max(answer.window.width / CELLS, 1.0))
    changed, at = answer.mask ^ old, pixels - [part.start for part in answer.where]
    kept = components_near(changed, at, reach)
    large = LARGE if prompts_since_mask(question.prompts) is None else LARGE_OF_OTHERS
    if not _takes_large_changes(question, answer, options) and kept.sum() > large * question.here.sum():
        kept &= within(changed, at, FAR * max(boundary_distance(pixels, question.here), LEAST_DEPTH))
    probability = np.where((answer.mask != old) & ~kept, old, answer.probability)
    return replace(answer, probability=np.asarray(probability, np.float32))


def _takes_large_changes(question: Question, answer: WindowAnswer, options: PlaneOptions) -> bool:
    """Tell whether even a large change is taken as far as it goes.

    It is by early marks, and by the first mark on a mask from elsewhere over which the answer is trusted.
    """
    since = prompts_since_mask(question.prompts)
    if since is None:
        return mark_count(question.prompts) < options.later
    alike = overlap((answer.mask, answer.where), (question.here, whole_plane(question.here)))
    return mark_count(since) == 1 and trusts_network_over_mask(answer.quality or 0.0, alike)


def components_near(changed: Plane, pixels: Pixels, reach: int) -> Plane:
    """Return the connected components of a plane that come within some pixels of one of the given ones.

    >>> components_near(np.array([[True, True, False, True]]), np.array([[0, 0]]), 1).tolist()
    [[True, True, False, False]]
    """
    seeds = np.zeros_like(changed)
    for row, column in pixels.tolist():
        rows, columns = (slice(max(at - reach, 0), max(at + reach + 1, 0)) for at in (row, column))
        seeds[rows, columns] = True
    return components_touching(changed, seeds)


def within(changed: Plane, pixels: Pixels, distance: float) -> Plane:
    """Return the changed pixels that lie within a distance of one of the given ones.

    >>> within(np.array([[True, True, False, True]]), np.array([[0, 0]]), 1.5).tolist()
    [[True, True, False, False]]
    """
    places = np.argwhere(changed)
    kept = np.zeros_like(changed)
    kept[tuple(places[cKDTree(pixels).query(places)[0] <= distance].T)] = True
    return kept


def boundary_distance(pixels: Pixels, mask: Plane) -> float:
    """Return how far the deepest of some pixels lies from the boundary of a mask, inside it or outside.

    >>> boundary_distance(np.array([[0, 4], [0, 5]]), np.array([[False, True, True, False, False, False]]))
    3.0
    """
    edge = np.argwhere(mask & ~binary_erosion(mask, border_value=1))
    return float(cKDTree(edge).query(pixels)[0].max()) if len(edge) else np.inf
