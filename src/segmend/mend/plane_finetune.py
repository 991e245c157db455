"""Fine-tuning of the refiner's last layers to one window of the image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from segmend.mend.plane_networks import Question, WindowAnswer, WindowNetworks, window_answer
from segmend.mend.plane_options import PlaneOptions
from segmend.sampling.slice_prompts import is_correction
from segmend.solvers.finetune import alternate

# The least logit, in either direction, of what the fine-tuning's graph cut labels.
MIN_LOGIT = 0.1


def finetune(windows: WindowNetworks, question: Question, answer: WindowAnswer, options: PlaneOptions) -> WindowAnswer:
    """Return the answer of last layers fine-tuned to its window, where that is called for; else the answer.

    By default it is where marks disagree with the mask; when "on", with every correction.
    """
    head = windows.networks.head
    if options.finetune == "off" or head is None:
        return answer
    called_for = options.finetune == "on" and is_correction(question.prompts)
    if not called_for and not disagrees(windows, question, answer):
        return answer
    channels = windows.features(question.axis, question.index, answer.window).channels
    tuned = alternate(
        answer.hidden[:, None],
        channels[None, :3].mean(axis=1),
        head,
        marked=windows.marked_cells(question, answer.window),
        tuning=options.tuning,
    )
    logits = tuned.head.logits(answer.hidden)
    logits = np.where(tuned.labels[0], np.maximum(logits, MIN_LOGIT), np.minimum(logits, -MIN_LOGIT))
    made = window_answer(logits.astype(np.float32), answer.window, question.here.shape, answer.quality, answer.hidden)
    return replace(made, uncertainty=np.maximum(answer.uncertainty, made.uncertainty), finetuned=True)


def disagrees(windows: WindowNetworks, question: Question, answer: WindowAnswer) -> bool:
    """Tell whether some mark in the window has another label in the mask."""
    corner = [part.start for part in answer.where]
    for pixels, positive in zip(windows.marked_pixels(question), (True, False), strict=True):
        at = pixels - corner
        at = at[((at >= 0) & (at < answer.mask.shape)).all(axis=1)]
        if (answer.mask[tuple(at.T)] != positive).any():
            return True
    return False
