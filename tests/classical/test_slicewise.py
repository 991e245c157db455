"""How a mask goes from slice to slice, with a method that only remembers squares and copies them."""

import numpy as np
import pytest

from segmend.classical.slicewise import Slicewise, slice_axis
from segmend.core.image import Box, Image, scale_affine, whole
from segmend.core.prompts import Adjust, Click, Lasso, Mask, Stroke
from segmend.core.segmenter import Method, Prediction, answer, answers
from segmend.errors import PromptError

CARD = Method("copies", "Copies", "none", ("click", "stroke", "box", "lasso", "mask"), (2, 3), "none needed")
SHAPE = (9, 12, 14)


class Copies:
    """A slice is a square round each positive mark and nothing else; the next one is the same, up to slice 6."""

    def __init__(self, image, request):
        self.image = image

    def first(self, index, request):
        mask = request.start.copy()
        for _, y, x in request.positive:
            mask[0, y - 1 : y + 2, x - 1 : x + 2] = True
        for _, y, x in request.negative:
            mask[0, y - 2 : y + 3, x - 2 : x + 3] = False
        return Prediction(mask.astype(np.float32), whole(mask.shape))

    def following(self, index, before, mask, request):
        assert abs(index - before) == 1
        return Prediction((mask[None] if index <= 6 else 0 * mask[None]).astype(np.float32), whole((1, *mask.shape)))


SEGMENTER = Slicewise(CARD, Copies)


def ask(prompts, previous=None, *, spacing=(3.0, 1.0, 1.0), shape=SHAPE):
    previous = np.zeros(shape, bool) if previous is None else previous
    image = Image(np.zeros((1, *shape), np.uint8), scale_affine(spacing))
    return answer(SEGMENTER.open(image), prompts, previous).over(previous)


def square(z, y, x, shape=SHAPE):
    mask = np.zeros(shape, bool)
    mask[z, y - 1 : y + 2, x - 1 : x + 2] = True
    return mask


def test_a_mark_is_carried_to_both_sides_until_the_object_ends():
    assert np.array_equal(ask([Click((3, 5, 6))]), square(slice(0, 7), 5, 6))


def test_the_marked_slice_comes_first_and_the_others_by_distance():
    image = Image(np.zeros((1, *SHAPE), np.uint8), scale_affine((3, 1, 1)))

    parts = answers(SEGMENTER.open(image), [Click((3, 5, 6))], np.zeros(SHAPE, bool))

    assert [part.box.low[0] for part in parts] == [3, 2, 4, 1, 5, 0, 6]


def test_slices_lie_across_the_widest_spacing():
    mask = ask([Click((5, 6, 3))], spacing=(1.0, 1.0, 3.0), shape=(12, 14, 9))

    assert np.array_equal(mask, square(slice(0, 7), 5, 6).transpose(1, 2, 0))


def test_the_first_axis_has_the_slices_of_even_voxels_and_pictures():
    assert slice_axis(Image(np.zeros((1, 5, 6, 7)), scale_affine((1, 1, 1.1)))) == 0
    assert slice_axis(Image(np.zeros((1, 1, 6, 7)), scale_affine((1, 1, 4)))) == 0
    assert ask([Click((0, 5, 6))], shape=(1, 12, 14)).sum() == 9


def test_a_box_bounds_the_slices_and_alone_is_answered_in_its_middle():
    inside = ask([Box((2, 2, 2), (5, 9, 9)), Click((3, 5, 6))])
    alone = ask([Box((2, 2, 2), (5, 9, 9))])

    assert np.array_equal(inside, square(slice(2, 5), 5, 6))
    assert not alone.any()


def test_a_slice_with_marks_of_its_own_is_not_overrun():
    mask = ask([Click((1, 5, 6)), Click((4, 5, 8))])

    assert np.array_equal(mask, square(slice(0, 3), 5, 6) | square(slice(3, 7), 5, 8))


def test_a_correction_is_carried_and_leaves_alone_what_is_far_from_it():
    previous = square(slice(0, 7), 2, 2)

    mask = ask([Click((3, 9, 12))], previous)

    assert np.array_equal(mask, previous | square(slice(0, 7), 9, 12))


def test_a_correction_takes_away_on_both_sides():
    previous = square(slice(0, 7), 2, 2) | square(slice(0, 7), 8, 10)

    mask = ask([Click((5, 2, 2)), Click((3, 8, 10), positive=False)], previous)

    assert np.array_equal(mask, square(slice(0, 7), 2, 2) | square(slice(5, 7), 8, 10))


def test_beyond_a_slice_that_becomes_empty_the_object_has_ended():
    previous = square(slice(0, 9), 5, 6)

    mask = ask([Click((2, 5, 6)), Click((5, 5, 6), positive=False)], previous)

    assert np.array_equal(mask, square(slice(0, 5), 5, 6))


def test_a_mask_in_one_slice_is_where_the_volume_follows_from():
    mask = ask([Mask(square(3, 5, 6)[3:4], (3, 0, 0))], square(8, 2, 2))

    assert np.array_equal(mask, square(slice(0, 7), 5, 6))


def test_a_mask_in_several_slices_is_the_answer_and_replaces_what_was_there():
    given = square(slice(2, 4), 5, 6)

    assert np.array_equal(ask([Mask(given)], square(8, 2, 2)), given)


def test_a_lasso_is_carried_too():
    mask = ask([Lasso(((3, 4, 5), (3, 4, 7), (3, 6, 7), (3, 6, 5)))])

    assert np.array_equal(mask, square(slice(0, 7), 5, 6))


def test_a_stroke_through_several_slices_is_answered_in_each():
    mask = ask([Stroke(((2, 5, 6), (4, 5, 8)))])

    assert np.array_equal(mask[3], square(3, 5, 7)[3])
    assert np.array_equal(mask[6], square(6, 5, 8)[6])


def test_without_a_location_nothing_changes():
    previous = square(8, 2, 2)

    assert np.array_equal(ask([Click((3, 5, 6), positive=False)], np.zeros(SHAPE, bool)), np.zeros(SHAPE, bool))
    assert np.array_equal(ask([Click((3, 5, 6), positive=False)], previous), previous)
    assert np.array_equal(ask([], previous), previous)


def test_a_prompt_it_cannot_take_is_refused():
    with pytest.raises(PromptError, match="Copies takes click, stroke, box, lasso, mask; got adjust"):
        ask([Adjust(1.0)])
