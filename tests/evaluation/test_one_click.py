"""What one more mark brings, counted on masks drawn by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmend.core.image import whole
from segmend.core.masks import dice
from segmend.core.prompts import Click, Mask
from segmend.core.segmenter import Method, Prediction, Workspace
from segmend.evaluation.one_click import BEST, RANDOM, UNCERTAINTY, by_method, by_place, perturb_to_dice

SPACING = np.array([1.0, 1.0, 1.0])
TRUTH = np.zeros((1, 12, 30), bool)
TRUTH[0, 2:8, 2:22] = True  # 120 pixels


class Blocks(Workspace):
    """A positive click adds the block of 6 x 5 pixels it lies in, a negative one takes it away; uncertain of one."""

    def __init__(self, uncertainty_map, tells=True):
        self.uncertainty_map, self.tells = uncertainty_map, tells

    def predict(self, prompts, previous):
        mask = previous.copy()
        for prompt in prompts:
            if isinstance(prompt, Click):
                mask[block(prompt.index)] = prompt.positive
        uncertainty = np.zeros(mask.shape, np.float32)
        uncertainty[block(self.uncertainty_map)] = 1
        return Prediction(mask.astype(np.float32), whole(mask.shape), uncertainty=uncertainty if self.tells else None)


def block(index):
    _, y, x = index
    top, left = 2 + 6 * ((y - 2) // 6), 2 + 5 * ((x - 2) // 5)
    return 0, slice(max(top, 0), top + 6), slice(max(left, 0), left + 5)


def test_places_are_asked_from_the_same_mask_and_labelled_by_the_truth():
    gains = list(by_place(Blocks((0, 4, 19)), TRUTH, SPACING, interactions=2))

    one = dice(TRUTH, TRUTH & (np.arange(30) < 7))  # one block of four: 2 * 30 / (120 + 30)
    assert one == 0.4
    assert [(gain.arm, gain.at) for gain in gains] == [
        (arm, at) for at in (1, 2) for arm in (UNCERTAINTY, BEST, RANDOM)
    ]
    assert {gain.before for gain in gains if gain.at == 1} == {one}
    assert gains[0].gain == gains[1].gain == pytest.approx(2 * 60 / 180 - 0.4)  # each adds a second block


def test_a_uncertain_place_outside_the_object_is_marked_as_outside():
    gains = list(by_place(Blocks((0, 4, 28)), TRUTH, SPACING, interactions=1))

    assert [gain.gain for gain in gains if gain.arm == UNCERTAINTY] == [0]  # nothing was there to be taken away


def test_a_method_that_is_sure_gains_nothing_by_its_uncertainty():
    class Sure(Blocks):
        def predict(self, prompts, previous):
            found = super().predict(prompts, previous)
            return Prediction(found.probability, found.box, uncertainty=np.zeros_like(found.probability))

    gains = list(by_place(Sure((0, 4, 4)), TRUTH, SPACING, interactions=1))

    assert (gains[0].arm, gains[0].gain) == (UNCERTAINTY, 0)
    assert len(gains) == 3


def test_a_method_that_does_not_tell_its_uncertainty_and_a_right_mask_are_left_out():
    assert list(by_place(Blocks((0, 4, 4), tells=False), TRUTH, SPACING)) == []
    small = np.zeros_like(TRUTH)
    small[0, 2:8, 2:7] = True
    assert list(by_place(Blocks((0, 4, 4)), small, SPACING)) == []


class Told(Blocks):
    def predict(self, prompts, previous):
        self.prompts = prompts
        return super().predict(prompts, previous)


@pytest.mark.parametrize("kinds", [("click",), ("click", "mask")])
def test_every_method_gets_the_same_wrong_mask_and_the_same_click(kinds):
    card = Method("blocks", "Blocks", "", kinds, (2, 3), "none needed")
    wrong = TRUTH & (np.arange(30) < 12)  # two blocks of four are missing
    workspace = Told((0, 4, 4))

    gain = by_method(card, workspace, TRUTH, wrong)

    assert gain is not None
    assert (gain.arm, gain.before, gain.after) == ("blocks", 2 * 60 / 180, pytest.approx(2 * 90 / 210))
    assert [type(prompt) for prompt in workspace.prompts] == [Mask, Click][2 - len(kinds) :]
    assert by_method(card, workspace, TRUTH, TRUTH) is None


SOLID = np.zeros((14, 30, 34), bool)
SOLID[4:10, 8:22, 7:25] = True


@given(st.integers(0, 20), st.sampled_from([0.6, 0.7, 0.85]))
def test_a_wrong_mask_is_as_wrong_as_was_asked_for_and_the_same_each_time(seed, wanted):
    spacing = np.array([3.0, 1.0, 1.5])

    mask = perturb_to_dice(SOLID, spacing, seed, wanted=wanted)

    assert dice(SOLID, mask) == pytest.approx(wanted, abs=0.06)
    np.testing.assert_array_equal(mask, perturb_to_dice(SOLID, spacing, seed, wanted=wanted))


def test_a_wrong_mask_is_wrong_on_both_sides_and_another_with_another_seed():
    mask = perturb_to_dice(SOLID, SPACING, 3)

    assert (mask & ~SOLID).sum() > 50
    assert (SOLID & ~mask).sum() > 50
    assert (mask != perturb_to_dice(SOLID, SPACING, 4)).any()


def test_a_pictures_mask_is_perturbed_in_its_plane():
    assert dice(TRUTH, perturb_to_dice(TRUTH, SPACING, 1)) == pytest.approx(0.7, abs=0.06)
