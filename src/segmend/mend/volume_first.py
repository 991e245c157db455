"""The networks' answer for the whole object of a volume: from which frame, and asked how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from segmend.core.image import MaskArray, Real
from segmend.core.marks import marks
from segmend.core.prompts import Extremes, Prompt
from segmend.mend.boundary import cut_by_intensity
from segmend.mend.volume_frames import (
    answer_box,
    first_frames,
    frame_in_cells,
    object_box,
    object_frame,
    touches_frame_side,
    wider_frame,
)
from segmend.mend.volume_networks import FrameAnswer, FrameNetworks
from segmend.mend.volume_options import VolumeOptions
from segmend.sampling.frame import Frame

# The Dice that a mask cut off by its frame's side loses when the best of several frames is chosen.
CUT_OFF_LOSS = 0.3
# The Dice that a mask beside the positive marks loses when the best of several frames is chosen.
MISSED_MARK_LOSS = 0.5


def answer_object(
    frames: FrameNetworks, prompts: Sequence[Prompt], mask: MaskArray, options: VolumeOptions, *, shown: bool
) -> FrameAnswer:
    """Return the answer for the object from as near as its size allows; `shown` gives the networks the mask so far."""
    image = frames.image
    box = object_box(image, prompts, mask)
    first: FrameAnswer | None = None
    if box is None:
        first = _answer_marks(frames, prompts, mask, options)
        box = answer_box(image, first, prompts)
    frame = object_frame(image, box, options)
    answer = settle(frames, prompts, frame, _mask_in_frame(mask, first, frame), options, shown=shown)
    for _ in range(options.further):
        if not touches_frame_side(answer, image.shape):
            break
        frame = wider_frame(image, answer, options)
        answer = settle(frames, prompts, frame, _mask_in_frame(mask, answer, frame), options, shown=shown)
    return answer


def settle(
    frames: FrameNetworks,
    prompts: Sequence[Prompt],
    frame: Frame,
    mask: Real,  # [*cells] what the frame holds of the mask so far
    options: VolumeOptions,
    *,
    shown: bool = True,
) -> FrameAnswer:
    """Ask again with the answer as the mask so far, as long as that makes the refiner expect more.

    Shown the mask so far, networks that were trained for a short time rely on it, and change it where a mark lies and
    nowhere else. Marks and boxes say the same in fewer words; a lasso is in the mask alone.
    """
    answer = frames.predict(prompts, frame, mask if shown else np.zeros_like(mask))
    for _ in range(options.again):
        if not 0 < answer.quality < options.sure:
            break
        after = frames.predict(prompts, frame, answer.mask.astype(np.float32))
        if after.quality < answer.quality + options.rise:
            break
        answer = after
    return _move_boundary(frames, prompts, answer) if options.boundary_cut else answer


def _move_boundary(frames: FrameNetworks, prompts: Sequence[Prompt], answer: FrameAnswer) -> FrameAnswer:
    """Return the answer with its boundary moved to where the frame's intensities have one."""
    seeds = frames.marked_cells([prompt for prompt in prompts if not isinstance(prompt, Extremes)], answer.frame)
    _, level, equalised, valid = frames.channels(answer.frame)
    return replace(answer, probability=cut_by_intensity(answer.probability, level, equalised, valid > 0, seeds))


def _answer_marks(
    frames: FrameNetworks, prompts: Sequence[Prompt], mask: MaskArray, options: VolumeOptions
) -> FrameAnswer:
    """Answer marks, whose object may have any size, from several frames; return the best expected answer."""
    answers = [
        replace(frames.predict(prompts, frame, frame.subsample_to_grid(mask)), hidden=None)
        for frame in first_frames(frames.image, prompts, options)
    ]
    positive = marks(prompts, frames.image.shape)[0]
    beside = [agreement(one, other) for one, other in pairwise(answers)]
    alike = [max(some) for some in zip([0.0, *beside], [*beside, 0.0], strict=True)]

    def score(at: int) -> float:
        answer = answers[at]
        missed = len(positive) and not answer.mask[tuple(answer.frame.cell(positive).T)].all()
        cut_off = touches_frame_side(answer, frames.image.shape)
        return answer.quality + alike[at] - CUT_OFF_LOSS * cut_off - MISSED_MARK_LOSS * bool(missed)

    return answers[max(range(len(answers)), key=score)]


def _mask_in_frame(mask: MaskArray, answer: FrameAnswer | None, frame: Frame) -> Real:
    """Return the mask so far in a frame: an answer where there is one, else the mask that came."""
    cells = frame.subsample_to_grid(mask)
    if answer is None:
        return cells
    between = frame_in_cells(answer.frame, frame)
    return np.where(between.cells_in_volume(answer.frame.cells), between.resample_to_grid(answer.mask), cells)


def agreement(near: FrameAnswer, far: FrameAnswer) -> float:
    """Return the Dice of two answers' masks where the nearer frame lies, in the cells of the further one."""
    between = frame_in_cells(near.frame, far.frame)
    inside = between.cells_in_volume(near.frame.cells)
    one, other = (between.resample_to_grid(near.mask) > 0.5) & inside, far.mask & inside
    return float(2 * (one & other).sum() / max(int(one.sum()) + int(far.mask.sum()), 1))
