"""Changes of a mask so far, on the cells of their frames, and how much of an answer becomes one.

Cells may be coarser than voxels. An answer therefore does not replace the mask but changes it by the difference
between the answer and what its frame held of the mask: details finer than a cell stay where nothing else changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from segmend.core.image import Box, Index, MaskArray, Real, bounds
from segmend.core.marks import Points
from segmend.core.masks import dice
from segmend.core.prompts import Click, Lasso, Prompt, Stroke
from segmend.mend.volume_frames import frame_in_cells
from segmend.mend.volume_networks import FrameAnswer
from segmend.mend.volume_options import VolumeOptions
from segmend.sampling.channels import volume_prompt_channels
from segmend.sampling.frame import Frame
from segmend.sampling.initial_mask import prompts_since_mask, trusts_network_over_mask
from segmend.sampling.slice_prompts import mark_count

# The least change of a cell that counts.
MIN_CHANGE = 0.02
# The least distance in cells that a correction is taken.
LEAST_REACH = 4.0
# How far along its boundary a mask from elsewhere may be as wrong as at the mark, in depths of the mistake there.
AS_WRONG = 0.35
# The growth of a mask by a correction from which it leaks into another object.
MAX_GROWTH = 8.0


@dataclass(frozen=True, eq=False)
class Change:
    """What is added to the mask so far, -1 to 1, on the cells of a frame."""

    frame: Frame
    values: Real  # [*cells]

    def resample_to_frame(self, frame: Frame) -> Real:  # [*cells of the other frame]
        """Return the change on the cells of another frame."""
        return frame_in_cells(self.frame, frame).resample_to_grid(self.values)

    def box(self, shape: Index) -> Box:
        """Return the voxels that it changes."""
        cells = bounds(np.abs(self.values) > MIN_CHANGE)
        if cells is None:
            return Box((0, 0, 0), (0, 0, 0))
        return self.frame.box(cells.grown(1).clipped(self.frame.cells), shape)

    def reaches(self, points: Points) -> MaskArray:  # [n]
        """Return which voxels may be interpolated between cells that change anything; the others stay as they are."""
        first = np.floor(self.frame.to_grid(points)).astype(np.intp) - 1  # a cell more, should a place be rounded
        z, y, x = (
            np.clip(first[:, axis, None] + np.arange(4), 0, count - 1) for axis, count in enumerate(self.frame.cells)
        )
        near = self.values[z[:, :, None, None], y[:, None, :, None], x[:, None, None, :]]
        return np.asarray((near != 0).any(axis=(1, 2, 3)))


def compose(frame: Frame, mask: MaskArray, changes: Sequence[Change]) -> Real:  # [*cells]
    """Return the mask so far with changes, on the cells of a frame."""
    values = frame.subsample_to_grid(mask)
    for change in changes:
        values = np.clip(values + change.resample_to_frame(frame), 0, 1)
    return np.asarray(values, np.float32)


def compose_in_box(box: Box, mask: MaskArray, changes: Sequence[Change]) -> Real:  # [z y x] of the box
    """Return the mask so far with changes, at the voxels of a box."""
    return _compose(box, mask, [(change, change.box(mask.shape)) for change in changes])


def _compose(box: Box, mask: MaskArray, changes: Sequence[tuple[Change, Box]]) -> Real:  # [z y x] of the box
    """Return the mask so far with changes, each in its box, at the voxels of a box."""
    values = mask[box.slices].astype(np.float32)
    for change, changed in changes:
        part = changed.intersection(box)
        if part.size:
            at = part.within(box)
            values[at] = np.clip(values[at] + change.frame.resample_to_voxels(change.values, part), 0, 1)
    return values


def compose_at(points: Points, mask: MaskArray, changes: Sequence[Change]) -> Real:  # [n]
    """Return the mask so far with changes, at some voxels."""
    boxed = [(change, change.box(mask.shape)) for change in changes]
    values: Real = mask[tuple(points.T)].astype(np.float32)
    reached = np.zeros(len(points), bool)
    for change, box in boxed:
        inside: MaskArray = np.asarray(((points >= box.low) & (points < box.high)).all(axis=1))
        inside[inside] = change.reaches(points[inside])
        reached |= inside
    for at in np.flatnonzero(reached).tolist():  # each by itself: products of another shape round otherwise
        values[at] = _compose(Box(as_index(points[at]), as_index(points[at] + 1)), mask, boxed).item()
    return values


def correction_share(prompts: Sequence[Prompt], frame: Frame, before: Real, options: VolumeOptions) -> Real:
    """Return how much of an answer's change is taken in each cell of its frame, which held this of the mask so far.

    A correction is taken as far as the mistake is deep, and fades. Where there is no mask yet a mark speaks of the
    whole object, and so does what is no mark.
    """
    everywhere, newest = np.ones((), np.float32), prompts[-1]
    if options.shown or not isinstance(newest, Click | Stroke) or not (before > 0.5).any():
        return everywhere
    depth = _mistake_depth(newest, frame, before)
    if depth is None:
        return everywhere
    reach = max(options.depths * depth, LEAST_REACH)
    away = distance_transform_edt(~_cells_of_mark(newest, frame))
    return np.asarray(np.clip(2 - away / reach, 0, 1), np.float32)


def boundary_share(prompts: Sequence[Prompt], answer: FrameAnswer, before: Real) -> Real:  # [*cells]
    """Return how much of an answer's change is taken where the planes mend a mistake: none, or that at the boundary.

    A mask from elsewhere may be as wrong in other places of its boundary as at the first mark on it.
    """
    nothing, mask, newest = np.zeros((), np.float32), before > 0.5, prompts[-1]
    since = prompts if len(prompts) == 1 else prompts_since_mask(prompts)
    if since is None or not isinstance(newest, Click | Stroke) or not mask.any():
        return nothing
    if mark_count(since) > 1 or any(isinstance(prompt, Lasso) for prompt in since):
        return nothing
    depth = _mistake_depth(newest, answer.frame, before)
    if depth is None or not trusts_network_over_mask(answer.quality, dice(answer.mask, mask, empty=0.0)):
        return nothing
    away = np.where(mask, distance_transform_edt(mask), distance_transform_edt(~mask)) - 0.5  # from the boundary
    return np.asarray(np.clip(1.5 - away / max(AS_WRONG * depth, 0.5), 0, 1), np.float32)


def leaks(before: Real, change: Change) -> bool:
    """Tell whether a change makes the mask so far many times as large: it leaks into another object."""
    was, now = (int((cells > 0.5).sum()) for cells in (before, before + change.values))
    return now > MAX_GROWTH * max(was, 1)


def as_index(point: NDArray[np.intp]) -> Index:
    """Return a voxel as three whole numbers."""
    z, y, x = point.tolist()
    return z, y, x


def _cells_of_mark(mark: Click | Stroke, frame: Frame) -> MaskArray:  # [*cells]
    """Return the cells that a mark is drawn on."""
    return np.asarray(volume_prompt_channels([mark], frame)[0 if mark.positive else 1] > 0)


def _mistake_depth(mark: Click | Stroke, frame: Frame, before: Real) -> float | None:
    """Return how many cells a mark lies from those on its side; None where there are none, or none of the mark."""
    side, marked = (before > 0.5) == mark.positive, _cells_of_mark(mark, frame)
    if not side.any() or not marked.any():
        return None
    return float(distance_transform_edt(~side)[marked].max())
