"""What enforces marks in a volume: graph cuts where the networks' answer does not obey them.

A graph cut follows the image's edges. One takes away the mistake that the three planes through a click find; others
go round each mark that the answer still does not obey.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt

from segmend.core.image import Box, MaskArray, Real, three
from segmend.core.logits import logit
from segmend.core.marks import Points, mark
from segmend.core.masks import components_touching
from segmend.core.prompts import Extremes, Prompt, is_positive
from segmend.core.seeds import BACKGROUND, FOREGROUND
from segmend.mend.three_planes import Solid
from segmend.mend.volume_changes import Change, as_index, compose, compose_at
from segmend.mend.volume_networks import FrameNetworks, cells_at
from segmend.sampling.frame import Frame
from segmend.solvers.finetune import Edges, Tuning

# Weights of the graph cuts' edges.
TUNING = Tuning(smoothness=1.0, sigma=0.1)

# The side in cells of the frame that is cut round a mark.
CELLS = 32
# The logit of a mark at its own place.
SEED_LOGIT = 6.0
# How far a mark's logit reaches, in distances of the mark from what is on its side already; there it is 0.
SEED_REACH = 1.7
# The largest probability of a network that a mark contradicts.
MOST_CONTRADICTED = 0.9
# How many marks are cut for at once.
MOST_CUTS = 3
# How many voxels of a stroke are asked whether they are obeyed.
SAMPLED = 64

# The logit of a mistake that the three planes find.
MISTAKE_LOGIT = 5.0
# The largest probability of a network that the planes contradict.
MOST_CERTAIN = 0.95
# The share of a cell from which it is part of the mistake.
MISTAKE_SHARE = 0.3
# How many cells round the mistake the cut may take.
MISTAKE_MARGIN = 2


def mend_mistake(
    frames: FrameNetworks, prompts: Sequence[Prompt], mask: MaskArray, changes: Sequence[Change], mistake: Solid
) -> Change:
    """Return the change that takes a mistake away, with a boundary where the image has edges."""
    frame, positive = changes[0].frame, is_positive(prompts[-1])
    low = np.subtract(frame.low, mistake.box.low)
    wrong = replace(frame, low=three(low)).subsample_to_grid(mistake.inside)
    now = compose(frame, mask, changes)
    logits = logit(now, 1 - MOST_CERTAIN) + (1 if positive else -1) * MISTAKE_LOGIT * wrong
    edges = Edges(frames.channels(frame)[0], TUNING)
    labels = edges.cut(logits.astype(np.float32), frames.marked_cells(prompts, frame))
    near = binary_dilation(wrong > MISTAKE_SHARE, iterations=MISTAKE_MARGIN)
    return Change(frame, np.where(near & (labels == positive), labels - now, 0).astype(np.float32))


def enforce_marks(
    frames: FrameNetworks,
    prompts: Sequence[Prompt],
    mask: MaskArray,
    changes: Sequence[Change],
    *,
    dot: float | None,  # see `disobeyed_marks`
) -> list[Change]:
    """Return a change round each mark that the answer so far does not obey, the newest marks first."""
    together = list(changes)
    for points, positive in disobeyed_marks(prompts, mask, together, dot=dot):
        reach_mm = _distance_mm(frames, points, positive, mask, together)
        together.append(_cut_round_mark(frames, prompts, points, positive, mask, together, reach_mm))
        if len(together) == len(changes) + MOST_CUTS:
            break
    return together[len(changes) :]


def disobeyed_marks(
    prompts: Sequence[Prompt],
    mask: MaskArray,
    changes: Sequence[Change],
    *,
    dot: float | None,  # the newest mark is not obeyed either where no more than this, in cells, follows it
) -> Iterator[tuple[Points, bool]]:
    """Yield the voxels of each mark that the answer so far does not obey, newest first, and what they should be.

    A change that is added meanwhile counts for the marks that are still to come.
    """
    pinned = [
        (prompt, points[:: len(points) // SAMPLED + 1], positive)
        for prompt in reversed(prompts)
        if not isinstance(prompt, Extremes) and (found := mark(prompt)) is not None
        for points, positive in (found,)
    ]
    ends = np.cumsum([len(points) for _, points, _ in pinned]).tolist()
    values, counted = np.zeros(0, np.float32), -1
    for at, (prompt, points, positive) in enumerate(pinned):
        if len(changes) != counted:  # all marks that are still to come at once: there may be a thousand of them
            counted, left = len(changes), pinned[at:]
            ahead = compose_at(np.concatenate([points for _, points, _ in left]), mask, changes)
            values = np.concatenate([np.zeros(ends[at] - len(points), np.float32), ahead])
        wrong = points[(values[ends[at] - len(points) : ends[at]] > 0.5) != positive]
        if dot is not None and prompt is prompts[-1] and _changed_a_dot(points, positive, mask, changes, dot):
            wrong = points
        if len(wrong):
            yield wrong, positive


def _changed_a_dot(points: Points, positive: bool, mask: MaskArray, changes: Sequence[Change], dot: float) -> bool:
    """Tell whether a mark that the mask so far contradicted has changed hardly more than its own dot."""
    frame = changes[0].frame
    cells = cells_at(points, frame)
    before, after = ((compose(frame, mask, some) > 0.5) == positive for some in ((), changes[:1]))
    if not before.any() or not len(cells[0]) or before[cells].all():
        return False
    marked = _mask_of(cells, frame)
    followed = components_touching(after & ~before, marked, corners=False)
    away = distance_transform_edt(~marked)
    return not followed.any() or bool(away[followed].max() <= dot)


def _cut_round_mark(
    frames: FrameNetworks,
    prompts: Sequence[Prompt],
    points: Points,
    positive: bool,
    mask: MaskArray,
    changes: Sequence[Change],
    reach_mm: float,
) -> Change:
    """Return the change that puts points on their side, with the region round them that the image's edges bound.

    How far a mark reaches follows from how far it lies from what is on its side already: a mark deep in a mistake
    means a large mistake.
    """
    frame = _frame_round(frames, points, reach_mm)
    now = compose(frame, mask, changes)
    marked = _mask_of(tuple(frame.cell(points).T), frame)
    seeds = frames.marked_cells(prompts, frame)
    seeds[marked] = FOREGROUND if positive else BACKGROUND
    logits = logit(now, 1 - MOST_CONTRADICTED) + _seed_logits(frames, marked, positive, frame, reach_mm)
    labels = Edges(frames.channels(frame)[0], TUNING).cut(logits.astype(np.float32), seeds)
    wrong = ((now > 0.5) != positive) | ((frame.subsample_to_grid(mask) > 0.5) != positive)
    taken = components_touching(wrong & (labels == positive), marked, corners=False)
    return Change(frame, np.where(taken, labels - now, 0).astype(np.float32))


def _frame_round(frames: FrameNetworks, points: Points, reach_mm: float) -> Frame:
    """Return the frame that is cut round a mark."""
    spacing_mm = frames.image.spacing
    box = Box(as_index(points.min(axis=0)), as_index(points.max(axis=0) + 1))
    side_mm = 4 * reach_mm + float(np.max(spacing_mm * box.shape))
    length = side_mm / spacing_mm
    low = (np.add(box.low, box.high) - length) / 2
    return Frame(three(low), three(length), (CELLS,) * 3)


def _seed_logits(
    frames: FrameNetworks, marked: MaskArray, positive: bool, frame: Frame, reach_mm: float
) -> Real:  # [*cells]
    """Return the logits of a mark round itself, as far as it reaches."""
    edge_mm = float(frame.length[0] * frames.image.spacing[0] / frame.cells[0])
    away = distance_transform_edt(~marked) * (edge_mm / reach_mm / SEED_REACH)
    return np.asarray((1 if positive else -1) * SEED_LOGIT * np.maximum(1 - away**2, 0), np.float32)


def _distance_mm(
    frames: FrameNetworks, points: Points, positive: bool, mask: MaskArray, changes: Sequence[Change]
) -> float:
    """Return how far points lie from the nearest cells on their side."""
    frame, spacing_mm = changes[0].frame, frames.image.spacing
    edge_mm = float(frame.length[0] * spacing_mm[0] / frame.cells[0])
    least_mm = 2.0 * float(spacing_mm.min())
    sides = [(compose(frame, mask, some) > 0.5) == positive for some in ((), changes)]
    side = sides[0] if sides[0].any() and not sides[0][cells_at(points, frame)].all() else sides[1]
    if not side.any() or side.all():
        return max(least_mm, 2 * edge_mm)
    depth = float(distance_transform_edt(~side)[tuple(frame.cell(points).T)].max())
    return max(least_mm, depth * edge_mm)


def _mask_of(cells: tuple[NDArray[np.intp], ...], frame: Frame) -> MaskArray:  # [*cells]
    mask = np.zeros(frame.cells, bool)
    mask[cells] = True
    return mask
