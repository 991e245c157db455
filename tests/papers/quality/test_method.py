"""quality round two three-line engines: when it stops, what it makes of masks and marks, and what it promises."""

import numpy as np
import pytest

from segmend.core.image import Image, scale_affine
from segmend.core.prompts import Click, Lasso, Mask, Stroke
from segmend.core.segmenter import answer
from segmend.errors import PromptError
from segmend.papers.quality.method import CELLS, MOST, Quality, place_marks
from segmend.runtime.engine import Engine


class Bright(Engine):
    """A base network: the object is what is bright."""

    name = "bright"

    def run(self, inputs):
        assert inputs["x"].shape[1:] == (3, CELLS, CELLS)
        return {"logits": (20 * (inputs["x"][:, :1] - 0.5)).astype(np.float32)}


class Shrinking(Engine):
    """A refiner: takes a row off the mask's top; thinks most of a mask of so many rows."""

    name = "shrinking"

    def __init__(self, rows=20):
        self.rows, self.asked = rows, []

    def run(self, inputs):
        mask = inputs["x"][:, 3:]
        self.asked.append(mask[0, 0] > 0)
        held = (mask[0, 0] > 0).any(axis=1)
        better = mask.copy()
        if held.any():
            better[:, :, : np.flatnonzero(held)[0] + 1] = 0
        quality = 1 - abs(int(held.sum()) - self.rows) / CELLS
        return {"logits": 20 * (better - 0.5), "quality": np.array([[quality]], np.float32)}


def disc_image(depth=1, thick=range(1)):
    y, x = np.ogrid[:CELLS, :CELLS]  # a pixel is a cell
    truth = np.zeros((depth, CELLS, CELLS), bool)
    truth[list(thick)] = (y - 60) ** 2 + (x - 50) ** 2 < 15.5**2
    return Image(np.where(truth, 100, 0).astype(np.int16)[None], scale_affine((5, 1, 1))), truth


def test_it_refines_while_the_predicted_quality_rises():
    image, truth = disc_image()
    refiner = Shrinking(rows=25)

    prediction = answer(Quality(Bright(), refiner).open(image), [Mask(truth)], np.zeros_like(truth))

    rows = prediction.mask[0].any(axis=1).sum()
    assert rows == 25 and prediction.quality == 1.0
    assert len(refiner.asked) == 31 - 25 + 2  # 31 rows to 25, and one look more to see that it falls


def test_a_mask_that_is_thought_best_is_left_as_it_is():
    image, truth = disc_image()

    prediction = answer(Quality(Bright(), Shrinking(rows=31)).open(image), [Mask(truth)], np.zeros_like(truth))

    np.testing.assert_array_equal(prediction.over(np.zeros_like(truth)), truth)


def test_it_never_takes_more_iterations_than_the_papers_longest_chain():
    image, truth = disc_image()
    refiner = Shrinking(rows=0)

    answer(Quality(Bright(), refiner).open(image), [Mask(truth)], np.zeros_like(truth))

    assert len(refiner.asked) == MOST


def test_without_a_mask_the_base_network_makes_the_first_one():
    image, truth = disc_image()

    prediction = answer(Quality(Bright(), Shrinking(rows=31)).open(image), [Click((0, 60, 50))], np.zeros_like(truth))

    mask = prediction.over(np.zeros_like(truth))
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.97


def test_marks_are_placed_into_the_mask_before_every_look():
    image, truth = disc_image()
    refiner = Shrinking(rows=30)
    prompts = [Click((0, 60, 10)), Click((0, 90, 100)), Click((0, 70, 50), positive=False)]

    mask = answer(Quality(Bright(), refiner).open(image), prompts, truth).mask[0]

    assert len(refiner.asked) > 2
    assert all(
        asked[60, 8:13].all() and asked[90, 98:103].all() and not asked[70, 48:53].any() for asked in refiner.asked
    )
    assert mask[60, 8:13].all() and mask[90, 98:103].all() and not mask[70, 48:53].any()


def test_a_later_mark_lies_over_an_earlier_one():
    prompts = [Stroke(((0, 2, 0), (0, 2, 8))), Click((0, 2, 4), positive=False)]

    out = place_marks(np.zeros((5, 9), np.float32), prompts, 0, 0, 1.0)

    assert out[2].tolist() == [1, 1, 1, 0, 0, 0, 1, 1, 1]
    assert place_marks(np.zeros((5, 9), np.float32), prompts, 0, 3, 1.0).sum() == 0


def test_a_lasso_changes_the_mask_it_starts_from():
    image, truth = disc_image()
    points = tuple((0, y, x) for y, x in ((90, 90), (90, 110), (110, 110), (110, 90)))

    mask = answer(Quality(Bright(), Shrinking(rows=52)).open(image), [Lasso(points)], truth).over(truth)

    assert mask[0, 100, 100]


def test_a_mask_of_a_volume_is_refined_slice_by_slice():
    image, truth = disc_image(depth=5, thick=(1, 2, 3))

    parts = list(Quality(Bright(), Shrinking(rows=27)).open(image).stream([Mask(truth)], np.zeros_like(truth)))

    assert [part.box.low[0] for part in parts] == [0, 1, 2, 3]  # the mask itself first
    assert all(part.mask[0].any(axis=1).sum() == 27 for part in parts[1:])


def test_a_click_in_a_volume_is_carried_while_the_object_lasts():
    image, truth = disc_image(depth=6, thick=(1, 2, 3))
    workspace = Quality(Bright(), Shrinking(rows=31)).open(image)

    mask = answer(workspace, [Click((2, 60, 50))], np.zeros_like(truth)).over(np.zeros_like(truth))

    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [1, 2, 3]


def test_an_empty_mask_asks_for_a_first_guess():
    image, truth = disc_image()

    prediction = answer(
        Quality(Bright(), Shrinking(rows=31)).open(image), [Mask(np.zeros_like(truth))], np.zeros_like(truth)
    )

    assert 2 * (prediction.mask & truth).sum() / (prediction.mask.sum() + truth.sum()) > 0.97


def test_a_first_guess_of_a_volume_begins_in_the_middle_and_takes_the_old_masks_place():
    image, truth = disc_image(depth=5, thick=(1, 2, 3))
    old = np.zeros_like(truth)
    old[0, 3, 3] = True
    workspace = Quality(Bright(), Shrinking(rows=31)).open(image)

    parts = list(workspace.stream([Mask(np.zeros_like(truth))], old))

    assert [part.box.low[0] for part in parts] == [2, 1, 3, 0, 4]
    mask = answer(workspace, [Mask(np.zeros_like(truth))], old).over(old)
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [1, 2, 3]


def test_no_prompts_are_refused():
    image, truth = disc_image()

    with pytest.raises(PromptError, match="Quality needs at least one prompt; got none"):
        Quality(Bright(), Shrinking()).open(image).predict([], truth)
