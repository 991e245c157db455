"""How iunet learns: its weights drawn by hand, its samples by number, and that it learns at all."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from segmend.core.image import Image, scale_affine
from segmend.core.prompts import Click
from segmend.errors import SettingsError
from segmend.learning.loop import run
from segmend.learning.subjects import Subject
from segmend.papers.iunet import recipe as how

SMALL = how.Settings(
    steps=4, batch=2, cells=32, widths=(4, 8, 8), synthetic=0.0, varied=False, dropout=0.0, most=3, average=0.0
)


def bright_disc(seed=0, radius=9, depth=1):
    rows, columns = np.ogrid[:48, :40]
    truth = (rows - 25) ** 2 + (columns - 18) ** 2 < radius**2
    image = np.where(truth, 200.0, 60.0) + np.random.default_rng(seed).normal(0, 5, (depth, 48, 40))
    labels = np.repeat(truth[None], depth, axis=0).astype(np.uint16)
    return Subject(
        Image(image[None].astype(np.float32), scale_affine((4, 1, 1))), labels, False, "discs", f"disc{seed}"
    )


def quiet(_):
    pass


def square(cells=21, low=5, high=16):
    truth = np.zeros((cells, cells), bool)
    truth[low:high, low:high] = True
    return truth


def test_the_map_is_0_at_the_centre_and_10_at_the_edge_on_both_sides():
    heights = how.weight_map(square())

    assert heights[10, 10] == 0
    assert heights[5, 10] == heights[4, 10] == heights[10, 15] == heights[10, 16] == 10
    assert (np.diff(heights[10, 10:16]) > 0).all()
    assert (np.diff(heights[10, 16:]) < 0).all() and heights[10, 20] > 0
    assert heights[0, 0] < 1


def test_the_map_is_a_gaussian_whose_deviation_is_a_third_of_the_depth():
    heights = how.weight_map(square())  # 6 deep, so 5 from edge to centre

    least = np.exp(-4.5)
    wanted = [10 * (np.exp(-((d / 5 * 3) ** 2) / 2) - least) / (1 - least) for d in range(6)]
    np.testing.assert_allclose(heights[10, 5:11], wanted, atol=1e-5)


@pytest.mark.parametrize("full", [False, True])
def test_the_map_of_nothing_or_everything_is_finite(full):
    heights = how.weight_map(np.full((5, 7), full))

    assert np.isfinite(heights).all() and 0 <= heights.min() <= heights.max() <= 10


def a_sample(weights, **changes):
    settings = replace(SMALL, weights=weights, width=5.0, **changes)
    clicks = ((Click((0, 10, 10)), Click((0, 1, 1), positive=False)), (Click((0, 7, 12)), Click((0, 2, 2), False)))
    return how.Sample(np.zeros((1, 21, 21), np.float32), square(), clicks, 1, float(square().sum()), settings)


def test_equal_clicks_enter_the_map_with_the_highest_weight():
    plain, equal = how.weights_of(a_sample("map")), how.weights_of(a_sample("equal"))

    changed = np.argwhere(plain != equal)
    assert (equal[tuple(changed.T)] == 11).all()
    assert np.abs(changed - 10).max() == 2 and len(changed) == 21  # a disc 5 wide; only the first interaction
    np.testing.assert_array_equal(plain, 1 + how.weight_map(square()))


def test_gaussian_clicks_are_hills():
    hill = how.weights_of(a_sample("gaussian"))

    assert hill[10, 10] == 11
    assert hill[10, 11] == pytest.approx(1 + 10 * np.exp(-1 / (2 * 1.25**2)), abs=1e-4)


def test_without_weights_every_pixel_counts_the_same():
    assert (how.weights_of(a_sample("none")) == 1).all()


def test_clicks_outside_get_no_weight():
    equal, plain = how.weights_of(a_sample("equal")), how.weights_of(a_sample("map"))

    assert equal[1, 1] == plain[1, 1]


def test_the_weighted_dice_is_the_one_worked_out_by_hand():
    p = torch.tensor([[[[0.8, 0.4], [0.5, 0.1]]]])
    truth = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    weights = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])

    found = how.weighted_dice(torch.logit(p), truth, weights)

    inside = 1 - (2 * (0.8 + 0.8) + 1) / (0.8 + 0.8 + 1.5 + 0.4 + 3 + 1)
    outside = 1 - (2 * (1.5 + 3.6) + 1) / (0.2 + 1.2 + 1.5 + 3.6 + 7 + 1)
    assert float(found) == pytest.approx(inside + outside, abs=1e-5)


def test_a_mistake_at_the_edge_costs_more_than_one_at_the_centre():
    truth = square()
    weights = torch.from_numpy(how.weights_of(a_sample("map")))[None, None]

    def cost(y, x):
        wrong = truth.copy()
        wrong[y, x] ^= True
        logits = torch.from_numpy(np.where(wrong, 9.0, -9.0).astype(np.float32))[None, None]
        return float(how.weighted_dice(logits, torch.from_numpy(truth.astype(np.float32))[None, None], weights))

    assert cost(5, 10) > 5 * cost(10, 10)
    assert cost(4, 10) > 5 * cost(0, 0)


def test_a_clicks_width_follows_the_mask_or_is_fixed():
    assert how.width_of(4000, replace(SMALL, alpha=1 / 500)) == 8
    assert how.width_of(4000, replace(SMALL, width=2.0)) == 2


def test_the_plain_u_net_sees_the_image_alone():
    sample = how.Sampler([bright_disc()], replace(SMALL, clicks=False))[0]

    assert how.encoded(sample, 1, 50.0).shape == (1, 32, 32)
    assert how.build(replace(SMALL, clicks=False)).down[0][0].in_channels == 1


def test_more_interactions_are_more_clicks():
    sample = how.Sampler([bright_disc()], SMALL)[0]

    counts = [how.encoded(sample, count, 1.0)[1:].sum(axis=(1, 2)).tolist() for count in range(4)]

    assert counts[0] == [0, 0]
    assert counts[1] == [1, 1] and counts[3][0] >= counts[2][0] > 1 - 1e-9


def test_samples_are_the_same_by_number_and_use_one_to_most_interactions():
    sampler = how.Sampler([bright_disc(depth=3)], replace(SMALL, most=5, varied=True, synthetic=0.5))

    counts = set()
    for number in range(40):
        one, two = sampler[number], sampler[number]
        np.testing.assert_array_equal(one.image, two.image)
        assert one.clicks == two.clicks and len(one.clicks) == 5
        assert one.truth.any() and 0 <= one.image.min() <= one.image.max() <= 1
        counts.add(one.count)
    assert counts == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("voxels", [1, 2])
def test_the_smallest_objects_are_looked_at_from_near(voxels):
    labels = np.zeros((1, 300, 200), np.uint16)
    labels[0, 7, 9 : 9 + voxels] = 4
    subject = Subject(Image(np.zeros((1, 1, 300, 200), np.uint8)), labels, False, "dots")

    for number in range(5):
        assert how.Sampler([subject], SMALL)[number].truth.any()


def test_it_learns_one_bright_disc_in_seconds(tmp_path):
    settings = replace(SMALL, steps=30, batch=6, rate=1e-2, average=0.8)
    exam = how.Sampler([bright_disc(1)], replace(settings, seed=1))
    before = how.validate(how.build(settings), [exam[i] for i in range(8)])

    finished = run(how, [bright_disc()], [bright_disc(1)], settings, tmp_path, exam=8, workers=0, threads=1, log=quiet)

    assert finished.scores["dice_1"] > max(0.8, before["dice_1"] + 0.1)
    assert finished.scores["weighted_dice"] > before["weighted_dice"]
    assert finished.weights[0].name == "iunet.onnx"


def test_the_exported_network_is_the_trained_one(tmp_path):
    from segmend.runtime.engine import load_network

    network = how.build(SMALL)
    (path,) = how.export(network, SMALL, tmp_path)
    x = np.random.default_rng(0).random((2, 3, 32, 48), np.float32)

    ours = network.eval()(torch.from_numpy(x)).detach().numpy()
    theirs = load_network(str(path), device="cpu", precision="float32").run({"x": x})["logits"]

    np.testing.assert_allclose(theirs, ours, atol=0.02)


def test_the_trained_method_answers_clicks(tmp_path):
    from segmend.core.segmenter import answer
    from segmend.papers.iunet.method import load

    settings = replace(SMALL, cells=96)
    how.export(how.build(settings), settings, tmp_path)

    prediction = answer(
        load(tmp_path).open(bright_disc(depth=2).image), [Click((1, 25, 18))], np.zeros((2, 48, 40), bool)
    )

    assert np.isfinite(prediction.probability).all()


def test_the_papers_settings_are_the_papers():
    assert how.PAPER.widths == (64, 128, 256, 512, 1024) and not how.PAPER.norm
    assert (how.PAPER.batch, how.PAPER.cells, how.PAPER.alpha, how.PAPER.varied) == (8, 512, 1 / 800, False)
    assert how.PAPER_LOOP["epochs"] == 100


def test_nothing_to_learn_from_is_named():
    with pytest.raises(SettingsError, match="needs at least one case with an object; got none"):
        how.Sampler([], SMALL)[0]


def test_a_class_that_is_missing_is_named():
    with pytest.raises(SettingsError, match=r"case 'disc0' of discs has none of the labels \(3,\)"):
        how.Sampler([bright_disc()], replace(SMALL, labels=(3,)))[0]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"weights": "heavy"}, "one of none, map, gaussian, equal; got 'heavy'"),
        ({"cells": 33}, "A network of 3 widths needs cells by 4; got 33"),
        ({"most": 0}, "needs 1 interaction or more; got 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, words):
    with pytest.raises(SettingsError, match=words):
        replace(SMALL, **wrong)


def test_a_sheet_shows_how_it_is_doing():
    sampler = how.Sampler([bright_disc()], SMALL)

    sheet = how.pictures(how.build(SMALL), [sampler[i] for i in range(4)])

    assert sheet.ndim == 3 and sheet.shape[2] == 3 and sheet.dtype == np.uint8
    assert sheet.shape[0] * sheet.shape[1] >= 2 * 4 * 32 * 32


def test_in_learning_clicks_follow_a_mask_that_may_be_wrong_where_the_settings_say_so():
    exact, loose = (
        [how.Sampler([bright_disc()], replace(SMALL, loose=deviation))[i] for i in range(40)]
        for deviation in (0.0, 0.7)
    )

    assert all(one.pixels == one.truth.sum() for one in exact)
    assert 4 <= sum(one.pixels == 0 for one in loose) <= 18  # a quarter have no mask yet
    ratios = [one.pixels / one.truth.sum() for one in loose if one.pixels]
    assert min(ratios) < 0.7 < 1.4 < max(ratios)
