"""Prompts and edits one after the other, as in a session, without a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from segmend.core.edits import Edit
from segmend.core.image import Box, Image, LabelMap, MaskArray, Real
from segmend.core.prompts import Prompt
from segmend.core.segmenter import Method, Prediction, Workspace, answer, answers, merged
from segmend.core.session import painted
from segmend.editing.edited import edit_map
from segmend.editing.keeping import keep_edits, prompts_with_edits

Step = Prompt | Edit
Uncertainty = tuple[Box, Real]  # where the method looked last, and how uncertain it is there, 0 to 1


@dataclass(frozen=True, eq=False)
class Stepped:
    """What came of prompts and edits: the label map, and what the last answer said of itself."""

    map: LabelMap  # [z y x]
    quality: float | None = None
    finetuned: bool = False
    uncertainty: Uncertainty | None = None


def take_steps(
    steps: Sequence[Step],
    before: LabelMap,
    image: Image,
    *,
    workspace: Callable[[], Workspace],
    card: Method,
    label: int = 1,
    answered: int = 0,
) -> Stepped:
    """Return a label map after prompts and edits of one label, oldest first.

    The prompts before the first edit are answered together; each later one mends the mask as the edits left it, and
    leaves them where its own change does not reach. Without a prompt the workspace is not asked for. `answered` is how
    many of the first the mask so far has in it already.
    """
    first = [step for step in takewhile(lambda step: isinstance(step, Prompt), steps) if isinstance(step, Prompt)]
    found, edited = before.copy(), np.zeros(before.shape, bool)
    quality, finetuned, uncertainty = None, False, None
    prompts = list(enumerate(first))
    edits: list[int] = []
    if first:
        new = len(first) - answered or None
        prediction = answer(workspace(), [prompt for _, prompt in prompts], before == label, new=new)
        found = painted(before, prediction.over(before == label), label)
        quality, finetuned, uncertainty = prediction.quality, prediction.finetuned, uncertainty_of(prediction)
    for i, step in enumerate(steps[len(first) :], len(first)):
        was = found
        if not isinstance(step, Prompt):
            found = edit_map(found, step, image, label=label)
            edited |= was != found
            edits.append(i)
            quality = None
            continue
        prompts.append((i, step))
        prediction = _mended(workspace(), card, prompts, edits, was == label, edited)
        found = painted(was, prediction.over(was == label), label)
        edited &= was == found
        quality, finetuned, uncertainty = prediction.quality, prediction.finetuned, uncertainty_of(prediction)
    return Stepped(found, quality, finetuned, uncertainty)


def uncertainty_of(prediction: Prediction) -> Uncertainty | None:
    """Return where a prediction is uncertain; None where its method does not tell."""
    return None if prediction.uncertainty is None else (prediction.box, prediction.uncertainty)


def _mended(
    workspace: Workspace,
    card: Method,
    prompts: Sequence[tuple[int, Prompt]],
    edits: Sequence[int],
    previous: MaskArray,
    edited: MaskArray,
) -> Prediction:
    seen = [prompt for prompt in prompts_with_edits(prompts, edits, previous, edited) if card.takes(prompt)]
    newest = prompts[-1][1]
    return merged(list(keep_edits(answers(workspace, seen, previous, new=1), newest, previous, edited)), previous)
