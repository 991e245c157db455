"""RefineNet in use: one look at a slice, seeds from marks and from neighbours, and uncertainty where it may err."""

from dataclasses import replace

import numpy as np
import pytest

from segmend.core.image import Box, Image, scale_affine
from segmend.core.masks import dice
from segmend.core.prompts import Adjust, Click, Mask, Stroke
from segmend.core.segmenter import answer
from segmend.errors import ModelError, PromptError
from segmend.learning.loop import run
from segmend.learning.subjects import Subject
from segmend.papers.refinenet import method as refinenet
from segmend.papers.refinenet import recipe as how
from segmend.papers.refinenet.method import RefineNet
from segmend.runtime.engine import Engine
from segmend.users import GivenSlice, SkeletonErrors
from tests.trained import trained

TINY = how.Settings(
    steps=140, batch=2, rate=1e-2, average=0.9, widths=(4, 6, 8, 12, 16), features=2, refiner=(6, 6, 6), empty=0.2
)


def drawn(seed):
    """Return a volume with a bright body that wanders from slice to slice, and another one beside it."""
    rng = np.random.default_rng(seed)
    z, y, x = np.mgrid[:11, :60, :72].astype(float)
    inside = ((z - 5) / 4.2) ** 2 + ((y - 28 - z) / 14) ** 2 + ((x - 30) / 17) ** 2 < 1
    other = ((z - 5) / 4.5) ** 2 + ((y - 14) / 6) ** 2 + ((x - 62) / 6) ** 2 < 1
    intensities = 40 + 60 * inside + 45 * other + rng.normal(0, 8, inside.shape)
    return Image(intensities[None].astype(np.float32), scale_affine((4.0, 1.0, 1.2))), inside


def learn(out):
    """Teach a tiny network these bodies, in half a minute."""
    cases = [Subject(*_labelled(seed), False, "bodies", f"case{seed}") for seed in range(3)]
    run(how, cases, cases[:1], TINY, out, threads=1, workers=0, exam=4, log=lambda _: None)


@pytest.fixture(scope="module")
def folder():
    return trained("refinenet")


def _labelled(seed):
    image, inside = drawn(seed)
    return image, inside.astype(np.uint16)


@pytest.fixture(scope="module")
def method(folder):
    return refinenet.load(folder)


class Counting(Engine):
    """An engine that counts how often it runs."""

    def __init__(self, engine):
        self.engine, self.name, self.runs = engine, engine.name, 0

    def run(self, inputs):
        self.runs += 1
        return self.engine.run(inputs)


def flat(image, index):
    return Image(image.voxels[:, index : index + 1], image.affine)


@pytest.mark.long
def test_bodies_are_learned(tmp_path):
    learn(tmp_path)

    test_without_a_prompt_it_gives_its_first_guess_and_says_where_it_is_uncertain(refinenet.load(tmp_path))


def test_without_a_prompt_it_gives_its_first_guess_and_says_where_it_is_uncertain(method):
    image, truth = drawn(7)

    guess = method.open(flat(image, 5)).predict((), np.zeros((1, 60, 72), bool))

    assert dice(truth[5:6], guess.mask) > 0.7
    assert guess.uncertainty.shape == guess.probability.shape
    wrong = guess.mask != truth[5:6]
    assert 0 <= guess.uncertainty.min() <= guess.uncertainty.max() <= 1
    assert guess.uncertainty[wrong].mean() > 2 * guess.uncertainty[~wrong].mean()


def test_without_a_prompt_a_volume_gets_a_guess_of_every_slice(method):
    image, truth = drawn(7)

    parts = list(method.open(image).stream((), np.zeros(truth.shape, bool)))

    assert [part.box.low[0] for part in parts] == list(range(11))
    mask = np.concatenate([part.mask for part in parts])
    assert dice(truth, mask) > 0.6


def test_seeds_on_the_errors_mend_the_guess(method):
    image, truth = drawn(8)
    workspace, here = method.open(flat(image, 4)), truth[4:5]
    first = workspace.predict((), np.zeros_like(here)).mask

    marks = SkeletonErrors()(here, first)
    mended = answer(workspace, marks, first).over(first)

    assert dice(here, mended) > dice(here, first)


def test_a_mark_where_it_is_uncertain_most_moves_the_probability_its_way(method):
    image, _ = drawn(7)
    workspace, nothing = method.open(flat(image, 5)), np.zeros((1, 60, 72), bool)
    plain = workspace.predict((), nothing)
    at = tuple(int(i) for i in np.unravel_index(plain.uncertainty.argmax(), plain.uncertainty.shape))

    more, less = (workspace.predict((Click(at, positive=sign),), nothing).probability[at] for sign in (True, False))

    assert less < plain.probability[at] < more


def test_the_backbone_looks_at_a_slice_once_however_many_marks_follow(method):
    backbone, refiner = Counting(method.backbone), Counting(method.refiner)
    image, _ = drawn(7)
    workspace = RefineNet(backbone, refiner).open(flat(image, 5))
    mask = np.zeros((1, 60, 72), bool)

    marks = (Click((0, 30, 30)), Click((0, 5, 5), positive=False), Stroke(((0, 20, 20), (0, 30, 40))))
    for count in range(1, 4):
        mask = answer(workspace, marks[:count], mask).over(mask)

    assert (backbone.runs, refiner.runs) == (1, 3)


def test_only_the_last_slices_are_kept(method, monkeypatch):
    monkeypatch.setattr(refinenet, "KEPT", 4)
    workspace = method.open(drawn(7)[0])

    list(workspace.stream((), np.zeros((11, 60, 72), bool)))

    assert list(workspace._guesses) == [(0, 7), (0, 8), (0, 9), (0, 10)]


def test_a_given_slice_goes_both_ways_until_the_object_ends(method):
    image, truth = drawn(9)
    given = GivenSlice().opening(truth, np.zeros_like(truth))

    parts = list(method.open(image).stream((given,), np.zeros(truth.shape, bool)))

    at = given.low[0]
    assert (parts[0].box.low[0], parts[0].box.shape[0]) == (at, 1)
    order = [part.box.low[0] for part in parts[1:]]
    assert order[:2] == [at - 1, at + 1]
    filled = np.flatnonzero(truth.any(axis=(1, 2)))
    assert filled[0] - 1 <= min(order) <= filled[0] + 1
    assert filled[-1] - 1 <= max(order) <= filled[-1] + 1
    assert all(part.uncertainty is not None for part in parts)
    mask = answer(method.open(image), (given,), np.zeros(truth.shape, bool)).over(np.zeros(truth.shape, bool))
    assert dice(truth, mask) > 0.8
    assert (mask[at] == truth[at]).all()


def test_a_mask_is_not_propagated_into_other_intensities(method):
    image, truth = drawn(9)
    voxels = image.voxels.copy()
    voxels[:, 7:] = 40 + 3 * (voxels[:, 7:] - 40)  # the body goes on, three times as bright
    given = Mask(truth[5:6], (5, 0, 0))

    parts = list(method.open(Image(voxels, image.affine)).stream((given,), np.zeros_like(truth)))

    assert max(part.box.low[0] for part in parts) == 6


def test_a_mask_ends_where_the_backbone_thinks_far_less_of_it():
    begun = refinenet._SliceStatistics(intensity=100.0, spread=10.0, probability=0.8)

    assert not begun.ends(refinenet._SliceStatistics(119.0, 3.0, 0.33))
    assert begun.ends(refinenet._SliceStatistics(100.0, 10.0, 0.31))
    assert begun.ends(refinenet._SliceStatistics(121.0, 10.0, 0.8))


def test_the_given_slice_replaces_what_was_there(method):
    image, truth = drawn(9)
    given = GivenSlice().opening(truth, np.zeros_like(truth))
    elsewhere = np.zeros_like(truth)
    elsewhere[:, 50:, 60:] = True

    mask = answer(method.open(image), (given,), elsewhere).over(elsewhere)

    assert not mask[:, 56:, 66:].any()


def test_a_mask_of_several_slices_is_taken_as_it_is(method):
    image, truth = drawn(9)

    parts = list(method.open(image).stream((Mask(truth),), np.zeros(truth.shape, bool)))

    assert len(parts) == 1
    assert (parts[0].over(np.zeros_like(truth)) == truth).all()


def test_an_empty_mask_asks_for_the_first_guess_and_is_no_given_slice(method):
    image, truth = drawn(9)
    nothing, empty = Mask(np.zeros((1, 60, 72), bool)), np.zeros_like(truth)

    asked = answer(method.open(image), (nothing,), truth).over(truth)
    unasked = answer(method.open(image), (), empty).over(empty)
    again = answer(method.open(image), (nothing, Click((5, 33, 30))), asked).over(asked)

    assert (asked == unasked).all()
    assert again.any()


def test_a_given_slice_may_be_drawn_in_a_mask_as_large_as_the_image(method):
    image, truth = drawn(9)
    alone = np.zeros_like(truth)
    alone[5] = truth[5]

    parts = list(method.open(image).stream((Mask(alone),), np.zeros_like(truth)))

    assert len(parts) > 5


def test_a_correction_spreads_but_leaves_the_given_slice_alone(method):
    image, truth = drawn(9)
    workspace = method.open(image)
    given = GivenSlice().opening(truth, np.zeros_like(truth))
    first = answer(workspace, (given,), np.zeros_like(truth)).over(np.zeros_like(truth))
    below = given.low[0] - 2

    marks = (given, Click((below, 30, 30)))
    parts = list(workspace.stream(marks, first))

    assert parts[0].box.low[0] == below
    assert given.low[0] not in [part.box.low[0] for part in parts]


def test_a_mask_so_far_is_not_forgotten_by_the_next_click(method):
    image, truth = drawn(9)
    workspace = method.open(image)
    guess = workspace.backbone_answer(0, 4).mask
    so_far = np.zeros_like(truth)
    so_far[4] = guess
    so_far[4, 46:54, 10:18] = True  # what somebody added by hand

    bare = workspace.answer((Click((4, 20, 30)),), 0, 4, np.zeros_like(guess)).probability[46:54, 10:18]
    kept = workspace.answer((Click((4, 20, 30)),), 0, 4, so_far[4]).probability[46:54, 10:18]
    denied = workspace.answer((Click((4, 50, 14), positive=False),), 0, 4, so_far[4]).probability[46:54, 10:18]

    assert kept.mean() > bare.mean()
    assert denied.mean() < kept.mean()


def test_nothing_is_found_outside_a_box(method):
    image, _ = drawn(7)
    box = Box((0, 20, 20), (1, 40, 34))

    found = method.open(flat(image, 5)).predict((box,), np.zeros((1, 60, 72), bool))

    mask = found.over(np.zeros((1, 60, 72), bool))
    assert mask.any()
    mask[box.slices] = False
    assert not mask.any()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("intensities", [0.0, 1e6])
def test_images_without_contrast_are_answered(method, channels, intensities):
    image = Image(np.full((channels, 1, 17, 23), intensities, np.float32))

    found = answer(method.open(image), (Click((0, 4, 5)),), np.zeros((1, 17, 23), bool))

    assert np.isfinite(found.probability).all()
    assert found.mask[0, 4, 5]


def test_other_prompts_are_refused_in_one_sentence(method):
    with pytest.raises(PromptError, match="RefineNet takes click, stroke, box, mask; got adjust"):
        method.open(drawn(7)[0]).predict((Adjust(0.2),), np.zeros((11, 60, 72), bool))


def test_missing_weights_name_the_line_that_trains_them(tmp_path):
    with pytest.raises(ModelError, match="refinenet_backbone.onnx is not in .*segmend train refinenet"):
        refinenet.load(tmp_path)


def test_a_seed_map_is_the_gaussian_of_the_nearest_seed():
    foreground = np.zeros((40, 50), bool)
    foreground[10, 10:30] = True

    positive, negative = refinenet.seed_maps(foreground, np.zeros_like(foreground))

    rows, columns = np.mgrid[:40, :50]
    one_by_one = [np.exp(-((rows - 10) ** 2 + (columns - x) ** 2) / (2 * refinenet.SIGMA**2)) for x in range(10, 30)]
    np.testing.assert_allclose(positive, np.max(one_by_one, axis=0), atol=1e-6)
    assert negative.max() == 0


def test_the_fcn_and_the_cascade_serve_as_backbones_too(tmp_path):
    for name, more in (("fcn", {"widths": (4, 4, 6, 8, 8), "hidden": 8, "decoder": 6}), ("cascaded", {})):
        settings = replace(TINY, backbone=name, **more)
        how.export(how.build(settings), settings, tmp_path / name)

        workspace = refinenet.load(tmp_path / name).open(flat(drawn(7)[0], 5))
        found = workspace.predict((Click((0, 30, 30)),), np.zeros((1, 60, 72), bool))

        assert np.isfinite(found.probability).all()
