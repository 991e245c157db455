"""Segmenters: whatever a workspace says, marks are law, and parts make a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmend.core.image import Box, MaskArray
from segmend.core.marks import marks
from segmend.core.prompts import Adjust, Click, Lasso, Mask, Prompt, Stroke
from segmend.core.prompts import Box as BoxPrompt
from segmend.core.segmenter import Given, Method, Prediction, Workspace, answer, answers, merged
from segmend.errors import PromptError, ShapeError

SHAPE = (2, 4, 5)
METHOD = Method("any", "Any method", "", ("click", "stroke"), (2, 3), "none needed")
WHOLE = Box((0, 0, 0), SHAPE)


class Saying(Workspace):
    """Says the same parts whatever it is asked."""

    def __init__(self, *parts: Prediction) -> None:
        self.parts = parts

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        return self.parts[0]

    def stream(self, prompts: Sequence[Prompt], previous: MaskArray) -> Iterator[Prediction]:
        yield from self.parts


def constant(value: float, box: Box = WHOLE, quality: float | None = None) -> Prediction:
    return Prediction(np.full(box.shape, value, np.float32), box, quality)


class TestPrediction:
    def test_a_prediction_fits_its_box(self) -> None:
        with pytest.raises(ShapeError, match=r"needs shape \(1, 2, 3\); got \(1, 3, 2\)"):
            Prediction(np.zeros((1, 3, 2), np.float32), Box((0, 0, 0), (1, 2, 3)))

    def test_half_is_outside(self) -> None:
        assert not constant(0.5).mask.any()
        assert constant(0.51).mask.all()

    def test_outside_its_box_nothing_changes(self) -> None:
        previous = np.zeros(SHAPE, bool)
        previous[0] = True
        laid = constant(1.0, Box((1, 1, 2), (2, 3, 4))).over(previous)
        assert laid[0].all()
        assert laid[1].sum() == 4
        assert previous[1].sum() == 0


class TestMethod:
    def test_other_kinds_of_prompts_are_refused(self) -> None:
        METHOD.check([Click((0, 0, 0)), Stroke(((0, 0, 0),))])
        with pytest.raises(PromptError, match="Any method takes click, stroke; got adjust"):
            METHOD.check([Click((0, 0, 0)), Adjust(1.0)])


INSIDE = st.tuples(*(st.integers(0, n - 1) for n in SHAPE))
PROMPTS = st.lists(
    st.builds(Click, INSIDE, st.booleans()) | st.builds(Stroke, st.tuples(INSIDE, INSIDE), st.booleans()), max_size=5
)
BOXES = st.builds(
    lambda a, b: Box(tuple(map(min, a, b)), tuple(v + 1 for v in map(max, a, b))),
    INSIDE,
    INSIDE,
)
SEEDS = st.integers(0, 2**32 - 1)


def random_parts(boxes: list[Box], seed: int) -> list[Prediction]:
    generator = np.random.default_rng(seed)
    return [Prediction(generator.random(box.shape).astype(np.float32), box) for box in boxes]


class TestGiven:
    def test_the_newest_mask_takes_the_place_of_what_was_there(self) -> None:
        old = np.zeros(SHAPE, bool)
        old[0, 0, 0] = True
        first, newest = Mask(np.ones((1, 1, 1), bool), (1, 3, 4)), Mask(np.ones((1, 2, 2), bool), (0, 1, 2))
        found = answer(Given(), [first, newest, Click((1, 0, 0))], old).over(old)
        assert np.argwhere(found).tolist() == [[0, 1, 2], [0, 1, 3], [0, 2, 2], [0, 2, 3], [1, 0, 0]]


class TestAnswers:
    @given(PROMPTS, st.lists(BOXES, min_size=1, max_size=3), SEEDS)
    def test_marks_are_law_and_the_rest_is_as_said(self, prompts: list[Prompt], boxes: list[Box], seed: int) -> None:
        previous = np.random.default_rng(seed + 1).random(SHAPE) < 0.5
        parts = random_parts(boxes, seed)
        said = previous.copy()
        for part in parts:
            said = part.over(said)
        if prompts and not prompts[-1].positive:  # type: ignore[union-attr]
            said &= previous  # a negative mark takes away and never adds
        untouched = [part.probability.copy() for part in parts]

        found = answer(Saying(*parts), prompts, previous, new=1).over(previous)
        step_by_step = previous.copy()
        for part in answers(Saying(*parts), prompts, previous, new=1):
            step_by_step = part.over(step_by_step)

        positive, negative = marks(prompts, SHAPE)
        assert found[tuple(positive.T)].all()
        assert not found[tuple(negative.T)].any()
        said[tuple(positive.T)], said[tuple(negative.T)] = True, False
        np.testing.assert_array_equal(found, said)
        np.testing.assert_array_equal(step_by_step, said)
        for part, before in zip(parts, untouched, strict=True):
            np.testing.assert_array_equal(part.probability, before)

    def test_a_mark_outside_every_part_is_kept(self) -> None:
        part = constant(0.0, Box((0, 0, 0), (1, 2, 2)))
        found = answer(Saying(part), [Click((1, 3, 4))], np.zeros(SHAPE, bool))
        assert found.over(np.zeros(SHAPE, bool)).sum() == 1

    def test_a_prompt_outside_the_image_is_refused(self) -> None:
        with pytest.raises(PromptError, match=r"The click reaches \(2, 0, 0\), outside"):
            answer(Saying(constant(1.0)), [Click((2, 0, 0))], np.zeros(SHAPE, bool))

    def test_a_workspace_that_cannot_stream_answers_in_one_part(self) -> None:
        class Plain(Workspace):
            def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
                return constant(1.0, quality=0.9)

        parts = list(answers(Plain(), [Click((0, 0, 0), positive=False)], np.ones(SHAPE, bool)))
        assert [part.quality for part in parts] == [0.9]
        assert parts[0].mask.sum() == 39

    @pytest.mark.parametrize(
        "mark",
        [
            Click((0, 1, 1), positive=False),
            Stroke(((0, 1, 1), (0, 1, 3)), positive=False),
            Lasso(((0, 1, 1), (0, 1, 3), (0, 3, 3)), positive=False),
        ],
    )
    def test_a_negative_mark_never_adds_whatever_the_method_says(self, mark: Prompt) -> None:
        everything, nothing = Saying(constant(1.0)), np.zeros(SHAPE, bool)
        previous = nothing.copy()
        previous[0, :2] = True
        for before in ([], [Click((0, 0, 0))], [BoxPrompt((0, 0, 0), (1, 2, 2))]):
            after = answer(everything, [*before, mark], previous, new=1).over(previous)
            assert not (after & ~previous).any()
        assert not answer(everything, [mark], nothing).over(nothing).any()  # "not here" alone is nothing
        assert not answer(everything, [BoxPrompt((0, 0, 0), (1, 2, 2)), mark], nothing, new=1).over(nothing).any()

    def test_marks_put_down_together_add_when_one_of_them_is_positive(self) -> None:
        everything, previous = Saying(constant(1.0)), np.zeros(SHAPE, bool)
        together = [Click((0, 0, 0)), Click((1, 3, 4), positive=False)]
        assert answer(everything, together, previous).over(previous).sum() == 39
        previous[0, 0, 0] = True
        assert answer(everything, together, previous).over(previous).sum() == 39
        assert answer(everything, together, previous, new=1).over(previous).sum() == 1

    def test_the_last_judgement_counts(self) -> None:
        low, high = Box((0, 0, 0), (1, 4, 5)), Box((1, 0, 0), (2, 4, 5))
        parts = [constant(1.0, low, 0.5), constant(1.0, high, 0.8), constant(0.0, Box((0, 0, 0), (1, 1, 1)))]
        found = merged(parts, np.zeros(SHAPE, bool))
        assert found.quality == 0.8
        assert (found.box, found.mask.sum()) == (WHOLE, 39)
        assert merged([constant(1.0, low), constant(1.0, high)], np.zeros(SHAPE, bool)).quality is None
