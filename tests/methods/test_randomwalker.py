import numpy as np
import pytest

from segmend.errors import PromptError
from segmend.image import Box, Image, bounds
from segmend.methods import randomwalker
from segmend.prompts import Click, Extremes, Lasso, Mask, Stroke
from segmend.segmenter import answer
from tests.methods.scenes import ball, dices, disc, two_toned

SEGMENTER = randomwalker.load()


def ask(scene, prompts, previous=None):
    previous = np.zeros(scene.truth.shape, bool) if previous is None else previous
    return answer(SEGMENTER.open(scene.image), prompts, previous).over(previous)


def dice(scene, mask):
    return 2 * (mask & scene.truth).sum() / (mask.sum() + scene.truth.sum())


@pytest.mark.parametrize(
    ("scene", "least"),
    [
        (disc(), 0.97),
        (disc(noise=25), 0.93),
        (disc(channels=3), 0.97),
        (disc(radius=5), 0.9),
        (disc(shape=(300, 420), centre=(140, 200), radius=100), 0.97),
        (ball(), 0.97),
        (ball(noise=40), 0.85),
    ],
    ids=["disc", "noisy disc", "colour", "small disc", "large disc", "ball", "noisy ball"],
)
def test_one_click_finds_a_bright_object_in_noise(scene, least):
    assert dices(SEGMENTER, scene, interactions=1)[0] > least


def test_a_second_click_brings_the_half_that_looks_different():
    first, second = dices(SEGMENTER, two_toned(), interactions=2)

    assert first < 0.9
    assert second > 0.97


def test_a_negative_click_takes_away_what_it_marks():
    scene = disc()
    both = scene.truth.copy()
    both[0, 20:50, 88:110] = True  # a wrong piece beside the disc

    mask = ask(scene, [Click((0, 35, 100), positive=False)], both)

    assert not mask[0, 35, 100]
    assert dice(scene, mask) > 0.95 > dice(scene, both)


def test_a_box_is_never_left():
    scene = disc()
    frame = Box((0, 18, 48), (1, 63, 93))

    mask = ask(scene, [frame])

    assert dice(scene, mask) > 0.95
    assert bounds(mask).intersection(frame) == bounds(mask)


def test_a_box_in_one_slice_of_a_volume_holds_through_the_depth():
    scene = ball()

    mask = ask(scene, [Box((9, 10, 18), (10, 46, 43))])

    assert dice(scene, mask) > 0.9


def test_a_stroke_counts_as_its_voxels():
    scene = disc()

    mask = ask(scene, [Stroke(((0, 40, 60), (0, 40, 80)), radius=2)])

    assert dice(scene, mask) > 0.97


def test_a_lasso_and_a_mask_start_from_what_they_hold():
    scene = disc()
    rough = np.zeros(scene.truth.shape, bool)
    rough[0, 26:58, 54:84] = True

    from_lasso = ask(scene, [Lasso(((0, 26, 54), (0, 26, 84), (0, 56, 84), (0, 56, 54)))])
    from_mask = ask(scene, [Mask(rough[:, 20:60, 50:90], (0, 20, 50))])

    assert dice(scene, from_lasso) > 0.95
    assert dice(scene, from_mask) > 0.95


def test_a_lasso_in_one_slice_says_nothing_of_the_others():
    scene = ball()

    mask = ask(scene, [Lasso(((9, 16, 24), (9, 16, 36), (9, 40, 36), (9, 40, 24)))])

    assert dice(scene, mask) > 0.8


def test_a_uniform_image_is_not_flooded():
    image = Image(np.full((1, 1, 150, 200), 7, np.uint8))
    nothing = np.zeros(image.shape, bool)

    mask = answer(SEGMENTER.open(image), [Click((0, 70, 90))], nothing).over(nothing)

    assert mask[0, 70, 90]
    assert mask.mean() < 0.25


def test_without_a_place_there_is_no_object():
    scene = disc()

    mask = ask(scene, [Click((0, 5, 5), positive=False)])

    assert not mask.any()


def test_a_large_image_is_worked_on_in_a_crop():
    scene = disc(shape=(2000, 1600), centre=(900, 800), radius=30)
    nothing = np.zeros(scene.truth.shape, bool)

    prediction = answer(SEGMENTER.open(scene.image), [Click((0, 900, 800))], nothing)

    assert prediction.box.size < 100**2
    assert dice(scene, prediction.over(nothing)) > 0.97


def test_the_chance_falls_across_the_boundary():
    scene = disc()
    nothing = np.zeros(scene.truth.shape, bool)

    prediction = answer(SEGMENTER.open(scene.image), [Click((0, 40, 70))], nothing)

    values = np.unique(prediction.probability)
    assert values.min() < 0.1
    assert values.max() > 0.9
    assert ((values > 0.2) & (values < 0.8)).any()


def test_the_same_request_gets_the_same_answer():
    scene = ball()

    assert np.array_equal(ask(scene, [Click((9, 28, 30))]), ask(scene, [Click((9, 28, 30))]))


def test_a_prompt_it_cannot_take_is_refused():
    with pytest.raises(PromptError, match="Random walker takes click, stroke, box, lasso, mask; got extremes"):
        ask(disc(), [Extremes(((0, 22, 70), (0, 58, 70)))])
