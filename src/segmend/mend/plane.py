"""How mend answers a plane: what one click does, from top to bottom.

    prompts, mask so far ──▶ which window? ──▶ the networks' answer ──▶ refined ──▶ its quality and uncertainty
                                  ▲                   │
                                  └─ reaches an edge? ┘

Marks alone do not tell how large their object is, so several windows are tried first. Which window is taken follows
from the prompts and the mask so far alone (`plane_windows`), never from what is kept: a replay gives the same masks.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import numpy as np

from segmend.core.image import Box, Image, Real
from segmend.core.masks import dice
from segmend.core.prompts import Click, Stroke
from segmend.core.session import Finetune
from segmend.mend import plane_finetune, plane_refine
from segmend.mend.plane_networks import (
    CELLS,
    Networks,
    Question,
    WindowAnswer,
    whole_mask,
    whole_plane,
    window_networks,
)
from segmend.mend.plane_options import PlaneOptions
from segmend.mend.plane_windows import (
    answer_rectangle,
    first_windows,
    object_rectangle,
    object_window,
    touches_window_edge,
    wider_window,
)
from segmend.mend.quality import add_second_prediction, agreements, lines_quality
from segmend.mend.vessels import FoundLines
from segmend.sampling.probability import uncertainty_of
from segmend.sampling.window import Plane, Window
from segmend.solvers.finetune import one_thread

# The Dice that a mask cut off by its window's edge loses when the best of several windows is chosen.
CUT_OFF_LOSS = 0.3
# How often an answer that reaches its window's edge is asked for again from a wider one.
WIDENINGS = 3
# The Dice from which a mask so far is what was answered along lines before it.
SAME_LINES = 0.8


class PlanePredictor:
    """One image, of which any plane can be asked about."""

    def __init__(self, networks: Networks, image: Image, options: PlaneOptions | None = None) -> None:
        self.windows = window_networks(networks, image)
        self.options = PlaneOptions() if options is None else options

    def with_finetuning(self, finetune: Finetune) -> PlanePredictor:
        """Return one with this setting of fine-tuning, which shares the features that are kept."""
        other = copy(self)
        other.options = replace(self.options, finetune=finetune)
        return other

    def prepare(self) -> None:
        """Compute a picture's features as a whole, and find its lines, before anybody marks it."""
        with one_thread():
            self.windows.features(0, 0, self.windows.whole_window(0))
            lines = self.lines()
            if lines is not None:
                lines.prepare()

    def answer(self, question: Question) -> WindowAnswer:
        """Answer one plane: along lines where marks lie on them, else by the networks, with a second prediction."""
        along = self._answer_along_lines(question)
        if along is not None:
            return along
        answer = self.answer_by_networks(question)
        return add_second_prediction(self.windows, question, answer) if self.options.second_prediction else answer

    def answer_by_networks(self, question: Question) -> WindowAnswer:
        """Answer one plane through the window of its object, and refine the answer."""
        window, begun = self._choose_window(question)
        answer = self._settle(begun, window)
        for _ in range(WIDENINGS):
            if not touches_window_edge(answer, begun.here.shape):
                break
            begun = begun.with_mask(whole_mask(begun.here, answer))
            answer = self._settle(begun, wider_window(self.windows, answer.window, begun.axis))
        answer = plane_finetune.finetune(self.windows, begun, answer, self.options)
        answer = plane_refine.restore_details(question, answer)
        answer = plane_refine.refine_near_mark(self.windows, begun, answer, self.options)
        if self.options.span:
            answer = plane_refine.fit_to_box(question, answer)
        return plane_refine.limit_change_to_mark(self.windows, question, answer, self.options)

    def propagate(self, question: Question) -> WindowAnswer:
        """Answer a plane by one pass of the networks over its mask so far, which is not empty."""
        rectangle = object_rectangle(question)
        assert rectangle is not None
        return self.windows.predict(question, object_window(self.windows, rectangle, question.axis))

    # Through which window.

    def _choose_window(self, question: Question) -> tuple[Window, Question]:
        """Return the window of the object, and the question with what was found of it on the way."""
        rectangle = object_rectangle(question)
        if rectangle is None:
            first = self._answer_marks(question)
            question = question.with_mask(whole_mask(question.here, first))
            rectangle = answer_rectangle(self.windows, first, question)
        if rectangle is None:
            return self.windows.whole_window(question.axis), question
        return object_window(self.windows, rectangle, question.axis), question

    def _answer_marks(self, question: Question) -> WindowAnswer:
        """Answer marks alone, whose object may have any size: from several windows, the best expected answer."""
        windows = first_windows(self.windows, question, self.options.first)
        answers = [self.windows.predict(question, window) for window in windows]
        self.windows.release(question.axis, question.index, windows)  # most of them are never looked through again
        shared = agreements([(answer.mask, answer.where) for answer in answers])

        def score(at: int) -> float:
            answer = answers[at]
            cut_off = touches_window_edge(answer, question.here.shape)
            return (answer.quality or 0.0) + shared[at] - CUT_OFF_LOSS * cut_off

        return answers[max(range(len(answers)), key=score)]

    def _settle(self, question: Question, window: Window) -> WindowAnswer:
        """Ask again with the answer as the mask so far, as long as that makes the refiner expect more."""
        options = self.options
        answer = self.windows.predict(question, window)
        for _ in range(options.again):
            if answer.quality is None or answer.quality >= options.sure:
                break
            after = self.windows.predict(question.with_mask(whole_mask(question.here, answer)), window)
            if after.quality is None or after.quality < answer.quality + options.rise:
                break
            answer = after
        return plane_refine.move_boundary(self.windows, question, answer) if options.boundary_cut else answer

    # Along lines.

    def lines(self) -> FoundLines | None:
        """Return the lines of a picture, None where it has none."""
        return self.windows.lines()

    def _answer_along_lines(self, question: Question) -> WindowAnswer | None:
        """Answer marks on a line with all that is joined to it; None where the mask so far is of something else."""
        prompts = question.prompts
        marked = all(isinstance(p, Click | Stroke) for p in prompts[isinstance(prompts[0], Box) :])
        if not (self.options.lines and self.windows.image.flat and marked):
            return None
        with one_thread():
            lines = self.lines()
            before = self._lines_probability(lines, replace(question, prompts=prompts[:-1]))
            if not _is_same(question.here, before):
                return None
            probability = self._lines_probability(lines, question)
        if probability is None:
            return None
        nothing = np.zeros((0, CELLS, CELLS), np.float32)
        return WindowAnswer(
            self.windows.whole_window(question.axis),
            nothing,
            probability,
            uncertainty_of(np.minimum(probability, 1 - probability)),
            whole_plane(probability),
            lines_quality(probability),
            nothing,
        )

    def _lines_probability(self, lines: FoundLines | None, question: Question) -> Real | None:
        if lines is None or not question.prompts:
            return None
        first = question.prompts[0]
        box = first.slices[1:] if isinstance(first, Box) else None
        return lines.along(*self.windows.marked_pixels(question), box)


def _is_same(here: Plane, probability: Real | None) -> bool:
    """Tell whether the mask so far is what was answered along lines, perhaps with the marks' own pixels."""
    if probability is None:
        return not here.any()
    return dice(probability > 0.5, here) > SAME_LINES
