"""Fine-tuning of the refiner's last layers to one frame of a volume."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import binary_dilation

from segmend.core.image import MaskArray
from segmend.core.marks import mark
from segmend.core.masks import components_touching
from segmend.core.prompts import Prompt
from segmend.mend.volume_changes import Change, compose
from segmend.mend.volume_marks import disobeyed_marks
from segmend.mend.volume_networks import FrameAnswer, FrameNetworks, cells_at
from segmend.mend.volume_options import VolumeOptions
from segmend.sampling.slice_prompts import is_correction
from segmend.solvers.finetune import Head, alternate

# The logit of what was cut round a mark, for the fine-tuning.
CUT_LOGIT = 8.0
# How many cells from a mark a change still touches it.
TOUCH = 2


def finetune(
    frames: FrameNetworks,
    head: Head | None,
    prompts: Sequence[Prompt],
    mask: MaskArray,
    answer: FrameAnswer,
    changes: Sequence[Change],
    cuts: Sequence[Change],
    options: VolumeOptions,
    *,
    dot: float | None,
) -> Change | None:
    """Return what the last layers add when they are fine-tuned to this frame, None where that is not called for.

    They learn the answer so far, with what was cut round marks that were not obeyed, and go on from there. Of what
    they say, that is taken which lies on the side of such a mark, or of the newest, and touches it.
    """
    if options.finetune == "off" or head is None or answer.hidden is None:
        return None
    frame = answer.frame
    calling = [*disobeyed_marks(prompts, mask, changes, dot=dot)]
    newest = mark(prompts[-1])
    if options.finetune == "on" and newest is not None and is_correction(prompts):
        calling.append(newest)
    marked = {True: np.zeros(frame.cells, bool), False: np.zeros(frame.cells, bool)}
    for points, positive in calling:
        marked[positive][cells_at(points, frame)] = True
    if not marked[True].any() and not marked[False].any():
        return None
    cut_logits = CUT_LOGIT * sum((cut.resample_to_frame(frame) for cut in cuts), np.zeros(frame.cells, np.float32))
    tuned = alternate(
        answer.hidden,
        frames.channels(frame)[0],
        head,
        marked=frames.marked_cells(prompts, frame),
        tuning=options.tuning,
        said=cut_logits,
    )
    now = compose(frame, mask, [*changes, *cuts])
    taken = np.zeros(now.shape, bool)
    for positive, cells in marked.items():
        new = ((now > 0.5) != tuned.labels) & (tuned.labels == positive) & frame.cells_in_volume(frames.image.shape)
        near = binary_dilation(cells, iterations=TOUCH)
        taken |= components_touching(new | cells | (abs(cut_logits) > 0), near) & new
    return Change(frame, np.where(taken, tuned.labels - now, 0).astype(np.float32))
