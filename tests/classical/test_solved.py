"""What every method that solves one energy in a crop must do, whichever energy it is."""

import numpy as np
import pytest

from segmend import methods
from segmend.classical.methods import graphcut
from segmend.classical.solved import CELLS, SolverMethod
from segmend.core.image import Box, Image, bounds
from segmend.core.prompts import Adjust, Click, Lasso, Mask, Stroke
from segmend.core.segmenter import answer
from segmend.errors import PromptError
from tests.methods.scenes import ask, ball, dice, dices, disc, two_toned

SOLVED = ("densecrf", "geos", "grabcut", "graphcut", "growcut", "levelset", "randomwalker")
SCENES = {
    "disc": disc(),
    "noisy disc": disc(noise=25),
    "colour": disc(channels=3),
    "small disc": disc(radius=5),
    "large disc": disc(shape=(300, 420), centre=(140, 200), radius=100),
    "ball": ball(),
    "noisy ball": ball(noise=40),
}
LEAST = {  # Dice after one click, in the order of the scenes
    "densecrf": (0.97, 0.95, 0.97, 0.9, 0.97, 0.97, 0.93),
    "geos": (0.97, 0.93, 0.97, 0.9, 0.97, 0.95, 0.9),
    "grabcut": (0.97, 0.97, 0.97, 0.9, 0.97, 0.97, 0.93),
    "graphcut": (0.97, 0.95, 0.97, 0.9, 0.97, 0.97, 0.93),
    "growcut": (0.97, 0.95, 0.95, 0.9, 0.85, 0.97, 0.93),
    "levelset": (0.97, 0.95, 0.97, 0.9, 0.97, 0.93, 0.93),
    "randomwalker": (0.97, 0.93, 0.97, 0.9, 0.97, 0.97, 0.85),
}


@pytest.fixture(params=SOLVED)
def segmenter(request):
    return methods.load(request.param)


@pytest.mark.parametrize(
    ("method", "name", "least"),
    [(method, *pair) for method in SOLVED for pair in zip(SCENES, LEAST[method], strict=True)],
)
def test_one_click_finds_a_bright_object_in_noise(method, name, least):
    assert dices(methods.load(method), SCENES[name], interactions=1)[0] > least


@pytest.mark.parametrize("method", SOLVED)
def test_a_second_click_brings_the_half_that_looks_different(method):
    first, second = dices(methods.load(method), two_toned(), interactions=2)

    assert (first < 0.9) == (method != "growcut")  # which finds both halves from the first
    assert second > 0.97


def test_a_negative_click_takes_away_what_it_marks(segmenter):
    scene = disc()
    both = scene.truth.copy()
    both[0, 20:50, 88:110] = True  # a wrong piece beside the disc

    mask = ask(segmenter, scene, [Click((0, 35, 100), positive=False)], both)

    assert not mask[0, 35, 100]
    assert dice(scene, mask) > 0.95 > dice(scene, both)


def test_a_box_is_never_left(segmenter):
    scene = disc()
    frame = Box((0, 18, 48), (1, 63, 93))

    mask = ask(segmenter, scene, [frame])

    assert dice(scene, mask) > 0.95
    assert bounds(mask).intersection(frame) == bounds(mask)


def test_a_box_in_one_slice_of_a_volume_holds_through_the_depth(segmenter):
    scene = ball()

    mask = ask(segmenter, scene, [Box((9, 10, 18), (10, 46, 43))])

    assert dice(scene, mask) > 0.9


def test_a_stroke_counts_as_its_voxels(segmenter):
    scene = disc()

    mask = ask(segmenter, scene, [Stroke(((0, 40, 60), (0, 40, 80)), radius=2)])

    assert dice(scene, mask) > 0.97


def test_a_lasso_and_a_mask_start_from_what_they_hold(segmenter):
    scene = disc()
    rough = np.zeros(scene.truth.shape, bool)
    rough[0, 26:58, 54:84] = True

    from_lasso = ask(segmenter, scene, [Lasso(((0, 26, 54), (0, 26, 84), (0, 56, 84), (0, 56, 54)))])
    from_mask = ask(segmenter, scene, [Mask(rough[:, 20:60, 50:90], (0, 20, 50))])

    assert dice(scene, from_lasso) > 0.95
    assert dice(scene, from_mask) > 0.95


def test_a_lasso_in_one_slice_does_not_hold_for_the_others(segmenter):
    scene = ball()
    least = 0.6 if segmenter is methods.load("growcut") else 0.8  # it has no model of appearance

    mask = ask(segmenter, scene, [Lasso(((9, 16, 24), (9, 16, 36), (9, 40, 36), (9, 40, 24)))])

    assert dice(scene, mask) > least


def test_a_uniform_image_is_not_flooded(segmenter):
    image = Image(np.full((1, 1, 150, 200), 7, np.uint8))
    nothing = np.zeros(image.shape, bool)

    mask = answer(segmenter.open(image), [Click((0, 70, 90))], nothing).over(nothing)

    assert mask[0, 70, 90]
    assert mask.mean() < 0.25


def test_without_a_location_there_is_no_object(segmenter):
    scene = disc()

    mask = ask(segmenter, scene, [Click((0, 5, 5), positive=False)])

    assert not mask.any()


def test_a_large_image_is_worked_on_in_a_crop(segmenter):
    scene = disc(shape=(2000, 1600), centre=(900, 800), radius=30)
    nothing = np.zeros(scene.truth.shape, bool)

    prediction = answer(segmenter.open(scene.image), [Click((0, 900, 800))], nothing)

    assert prediction.box.size < 100**2
    assert dice(scene, prediction.over(nothing)) > 0.97


def test_the_same_request_gets_the_same_answer(segmenter):
    scene = ball()

    first, second = (ask(segmenter, scene, [Click((9, 28, 30))]) for _ in range(2))

    assert np.array_equal(first, second)


@pytest.mark.parametrize("method", SOLVED)
def test_a_prompt_it_cannot_take_is_refused(method):
    card = methods.card(method)

    with pytest.raises(PromptError, match=f"{card.title} takes {', '.join(card.prompts)}; got adjust"):
        ask(methods.load(method), disc(), [Adjust(0.5)])


@pytest.mark.parametrize(("scene", "found"), [(ball(), True), (disc(), False)])
def test_in_a_volume_a_finder_compares_crops_in_the_place_of_the_solver(scene, found):
    seen = {"solver": set(), "finder": set()}

    def noting(name):
        def solve(case):
            seen[name].add(case.view.box)
            return graphcut.probability(case)

        return solve

    card = methods.card("graphcut")
    with_finder = SolverMethod(card, noting("solver"), band=False, cells=CELLS, finder=noting("finder"))

    assert dices(with_finder, scene, interactions=1)[0] > 0.9
    assert (len(seen["finder"]) > 1, len(seen["solver"]) == 1) == (found, found)  # crops that were compared and solved
