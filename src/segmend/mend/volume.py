"""How mend answers a volume: what one click does, from top to bottom.

    prompts, mask so far ──▶ which frame? ──▶ the networks' answer ──▶ changes of the mask ──▶ marks enforced
                                 ▲                   │
                                 └─ reaches a side? ─┘

Where a mask or a box says how large the object is, one answer from near is enough. Marks alone do not, so the three
planes through the first of them are answered as pictures are, and the box round these answers is one prompt more;
where they find nothing, marks are answered from several frames, and the best expected one again from near. The frame,
and what is fine-tuned in it (always from the trained layers on), follows from the prompts and the mask so far alone,
never from what is kept: a replay gives the same masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import numpy as np

from segmend.core.image import Box, Image, MaskArray
from segmend.core.prompts import Adjust, Click, Lasso, Mask, Prompt, Stroke
from segmend.core.segmenter import Prediction, Workspace, replaced
from segmend.core.session import Finetune
from segmend.errors import PromptError
from segmend.mend import volume_finetune
from segmend.mend.plane import PlanePredictor
from segmend.mend.quality import mark_count_gain
from segmend.mend.three_planes import Solid, box_at, mistake_at
from segmend.mend.volume_changes import Change, boundary_share, compose, compose_in_box, correction_share, leaks
from segmend.mend.volume_first import answer_object
from segmend.mend.volume_frames import place, union
from segmend.mend.volume_marks import enforce_marks, mend_mistake
from segmend.mend.volume_networks import FrameAnswer, frame_networks
from segmend.mend.volume_options import VolumeOptions
from segmend.mend.volume_quality import expected_dice, predict_from_further, uncertainty_map
from segmend.runtime.engine import Engine
from segmend.sampling.channels import Guess, widen
from segmend.sampling.slice_prompts import apply_lassos, mark_count
from segmend.solvers.finetune import Head, one_thread


class VolumeWorkspace(Workspace):
    """One volume and the networks that answer it (`FrameNetworks`).

    Where the refiner also gives `hidden`, a `head`, its last layers on those, can be fine-tuned. `planes` answers
    planes of the same volume, which tell an object's size and mistakes.
    """

    def __init__(
        self,
        reader: Engine,
        refiner: Engine,
        image: Image,
        options: VolumeOptions | None = None,
        head: Head | None = None,
        planes: PlanePredictor | None = None,
    ) -> None:
        self.frames = frame_networks(reader, refiner, image)
        self.image = image
        self.head = head
        self.options = VolumeOptions() if options is None else options
        self.planes = planes
        self._boxes: dict[Prompt, Box | None] = {}  # round the objects of first marks

    def with_finetuning(self, finetune: Finetune) -> VolumeWorkspace:
        other = copy(self)
        other.options = replace(self.options, finetune=finetune)
        return other

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        placed = [prompt for prompt in prompts if not isinstance(prompt, Adjust)]
        if not placed:
            raise PromptError("Mend needs at least one prompt with a place; got none.")
        if isinstance(placed[-1], Mask):
            return replaced(placed[-1], previous)
        with one_thread():
            return self._predict(placed, previous)

    def _predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        options, frames = self.options, self.frames
        mask = apply_lassos(prompts[-1:], previous)  # earlier ones are in the mask so far
        shown = self._is_shown(prompts)
        dot = options.dot if shown else None
        sized = self._with_object_box(prompts, mask)
        answer = answer_object(frames, sized, mask, options, shown=self._is_shown(sized))
        mistake = self._find_mistake(prompts, mask)
        changes = self._changes(prompts, mask, answer, mistake, shown=shown)
        cuts = enforce_marks(frames, prompts, mask, changes, dot=dot) if options.obey else []
        tuned = None
        if mistake is None or options.finetune == "on":
            tuned = volume_finetune.finetune(frames, self.head, prompts, mask, answer, changes, cuts, options, dot=dot)
        changes += cuts if tuned is None else [*cuts, tuned]
        second_prediction = (
            predict_from_further(frames, sized, answer, options)
            if options.second_prediction and answer.quality
            else None
        )
        return self._prediction(prompts, mask, changes, answer, second_prediction, finetuned=tuned is not None)

    def _with_object_box(self, prompts: Sequence[Prompt], mask: MaskArray) -> Sequence[Prompt]:
        """Return the prompts with a box round the object, where marks alone brought the mask about.

        How large the object is, networks for planes tell of the first positive mark; later ones make the box wider.
        """
        if len(prompts) == 1 and mask.any():
            return prompts  # the mask came from elsewhere and says how large the object is
        if self.planes is None or not all(isinstance(prompt, Click | Stroke) for prompt in prompts):
            return prompts
        first = next((p for p in prompts if isinstance(p, Click | Stroke) and p.positive), None)
        if first is None:
            return prompts
        if first not in self._boxes:
            self._boxes[first] = box_at(self.planes, first, self.image.shape)
        box = self._boxes[first]
        return prompts if box is None else [*prompts, widen(Guess(box.low, box.high), prompts)]

    def _is_shown(self, prompts: Sequence[Prompt]) -> bool:
        """Tell whether the networks are given the mask so far: where marks do not say how it came about.

        Before the first prompt it came from elsewhere or is empty; a lasso and a mask are in it alone.
        """
        by_marks = len(prompts) > 1 and not any(isinstance(prompt, Lasso | Mask) for prompt in prompts)
        return self.options.shown or not by_marks

    def _find_mistake(self, prompts: Sequence[Prompt], mask: MaskArray) -> Solid | None:
        """Return what is wrong round the newest mark, as the planes through it find, whose networks know more."""
        if self.planes is None or not self.options.across or not mask.any():
            return None
        return mistake_at(self.planes, prompts, mask)

    def _changes(
        self, prompts: Sequence[Prompt], mask: MaskArray, answer: FrameAnswer, mistake: Solid | None, *, shown: bool
    ) -> list[Change]:
        """Return what is taken of the networks' answer, and the change that takes away the planes' mistake."""
        before = answer.frame.subsample_to_grid(mask)
        difference = answer.probability - before
        change = Change(answer.frame, difference * correction_share(prompts, answer.frame, before, self.options))
        if mistake is None:
            return [change]
        if shown or mark_count(prompts) > self.options.together or leaks(before, change):
            change = Change(answer.frame, difference * boundary_share(prompts, answer, before))
        return [change, mend_mistake(self.frames, prompts, mask, [change], mistake)]

    def _prediction(
        self,
        prompts: Sequence[Prompt],
        mask: MaskArray,
        changes: Sequence[Change],
        answer: FrameAnswer,
        second_prediction: FrameAnswer | None,
        *,
        finetuned: bool,
    ) -> Prediction:
        """Return the mask so far with the changes, in the box of all that has changed."""
        shape, newest = self.image.shape, prompts[-1]
        box = union([change.box(shape) for change in changes])
        if box.size == 0 or isinstance(newest, Click | Stroke | Lasso):
            box = box.union(place(newest))
        values = compose_in_box(box, mask, changes)
        now = compose(answer.frame, mask, changes)
        uncertainty = np.zeros(box.shape, np.float32)
        part = answer.frame.box(Box((0, 0, 0), answer.frame.cells), shape).intersection(box)
        if part.size:
            cells = uncertainty_map(self.frames, answer, second_prediction, now)
            uncertainty[part.within(box)] = answer.frame.resample_to_voxels(cells, part)
        quality = answer.quality
        if second_prediction is not None:
            quality = expected_dice(answer, second_prediction, now > 0.5) + mark_count_gain(prompts)
        return Prediction(values, box, min(max(quality, 0.0), 1.0) or None, uncertainty, finetuned)
