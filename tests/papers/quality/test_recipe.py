"""How quality learns: its faults, its two phases, its own output, a start from earlier weights, and that it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from segmend.core.image import Image
from segmend.errors import ModelError, SettingsError
from segmend.learning.loop import run
from segmend.learning.subjects import Subject
from segmend.papers.quality import recipe as how

SMALL = how.Settings(
    steps=4, first=0.5, batch=2, cells=32, widths=(4, 8, 8), dense=4, varied=False, synthetic=0.0, average=0.0
)


def bright_disc(seed=0):
    rows, columns = np.ogrid[:40, :48]
    truth = (rows - 21) ** 2 + (columns - 20) ** 2 < 100
    image = np.where(truth, 200.0, 60.0) + np.random.default_rng(seed).normal(0, 15, (40, 48))
    return Subject(Image(image[None, None].astype(np.float32)), truth[None].astype(np.uint16), False, "discs")


def quiet(_):
    pass


def bar():
    mask = np.zeros((32, 32), bool)
    mask[8:20, 10:16] = True
    return mask


@pytest.mark.parametrize("fault", how.PERTURBATIONS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("kind", ["bar", "empty", "full"])
def test_every_fault_keeps_the_size_and_leaves_the_mask_it_was_given(fault, kind):
    mask = {"bar": bar(), "empty": np.zeros((32, 32), bool), "full": np.ones((32, 32), bool)}[kind]
    before = mask.copy()

    for seed in range(10):
        out = fault(np.random.default_rng(seed), mask)
        assert out.shape == (32, 32) and out.dtype == bool
    np.testing.assert_array_equal(mask, before)


def test_a_shift_moves_and_lets_nothing_in():
    moved = how.shift(np.random.default_rng(3), bar())

    assert moved.sum() == bar().sum() and (moved != bar()).any()


def test_a_flip_stays_where_the_object_is():
    corner = np.zeros((32, 32), bool)
    corner[8:20, 10:12] = corner[18:20, 10:20] = True

    for seed in range(4):
        found = np.argwhere(how.flip(np.random.default_rng(seed), corner))
        assert np.abs(found.mean(axis=0) - np.argwhere(corner).mean(axis=0)).max() <= 1


def test_erosion_and_dilation_change_the_size_both_ways():
    sizes = [how.erode_or_dilate(np.random.default_rng(seed), bar()).sum() for seed in range(20)]

    assert min(sizes) < bar().sum() < max(sizes)


def test_noise_flips_cells_of_both_kinds():
    noisy = how.add_noise(np.random.default_rng(0), np.repeat([[True] * 16 + [False] * 16], 32, axis=0))

    assert 0 < (~noisy[:, :16]).sum() < 90 and 0 < noisy[:, 16:].sum() < 90


@given(st.integers(0, 2**32 - 1))
@examples(max_examples=30, deadline=None)
def test_perturbation_follows_from_its_generator(seed):
    one, two = (how.perturb(np.random.default_rng(seed), bar()) for _ in range(2))

    np.testing.assert_array_equal(one, two)


def parameters(module):
    return torch.cat([p.detach().flatten().clone() for p in module.parameters()])


def test_the_base_learns_first_and_then_the_refiner():
    network = how.build(SMALL)
    sampler = how.Sampler([bright_disc()], SMALL)
    adam = how.optimiser(network, SMALL)
    base, refiner = parameters(network.base), parameters(network.refiner)
    changed = []

    for step in (0, 2):
        loss = how.loss(network, [sampler[i] for i in range(2)], step)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        changed.append(
            (not torch.equal(parameters(network.base), base), not torch.equal(parameters(network.refiner), refiner))
        )
        base, refiner = parameters(network.base), parameters(network.refiner)

    assert changed == [(True, False), (False, True)]


def test_the_rate_rises_and_falls_once_for_each_network():
    settings = replace(SMALL, steps=100, first=0.4)

    shares = [how.share(step, settings) for step in range(100)]

    assert shares[0] < shares[4] == 1.0 > shares[39] and shares[39] < 0.02
    assert shares[40] < shares[46] == 1.0 > shares[99] and shares[99] < 0.02


def sample(start, **changes):
    rows, columns = np.ogrid[:32, :32]
    truth = (rows - 15) ** 2 + (columns - 14) ** 2 < 64
    image = np.repeat(np.where(truth, 1.0, 0.0)[None], 3, axis=0).astype(np.float32)
    return replace(how.Sample(image, truth, start, 0, 5, False, SMALL), **changes)


def test_the_refiner_is_given_the_bases_mask_or_a_perturbed_one():
    network = how.build(SMALL)
    samples = [sample(start) for start in how.STARTS]
    base = how.first_masks(network, how._images(samples))

    masks = how.given_masks(network, samples, how._images(samples))

    np.testing.assert_array_equal(masks[0], base[0])
    np.testing.assert_array_equal(masks[1], how.perturb(np.random.default_rng(5), base[1]))
    np.testing.assert_array_equal(masks[2], how.perturb(np.random.default_rng(5), samples[2].truth))


def test_masks_go_through_the_refiner_as_often_as_their_samples_say():
    network = how.build(SMALL)
    samples = [sample("perturbed truth", times=times) for times in (0, 1, 2)]
    images = how._images(samples)

    masks = how.given_masks(network, samples, images)

    perturb = how.perturb(np.random.default_rng(5), samples[0].truth)
    once = how.refine(network, images[:1], perturb[None])[0]
    twice = how.refine(network, images[:1], once)[0]
    np.testing.assert_array_equal(masks, np.concatenate([perturb[None], once, twice]))


def test_the_quality_that_is_learned_is_the_dice_of_the_given_mask():
    torch.manual_seed(0)
    settings = replace(SMALL, first=0.0, weight=3.0)
    one = [sample("perturbed truth", settings=settings), sample("perturbed truth", seed=9, settings=settings)]
    with_quality, without = (how.build(replace(settings, weight=weight)) for weight in (3.0, 0.0))
    without.load_state_dict(with_quality.state_dict())
    masks = how.given_masks(with_quality, one, how._images(one))
    true = [2 * (m & s.truth).sum() / (m.sum() + s.truth.sum()) for m, s in zip(masks, one, strict=True)]

    difference = how.loss(with_quality, one).detach() - how.loss(without, one).detach()

    with_quality.refiner.train()
    _, quality = with_quality.refiner(how._image_and_mask(how._images(one), masks))
    wanted = 3 * float(((quality[:, 0].detach() - torch.tensor(true)) ** 2).mean())
    assert float(difference) == pytest.approx(wanted, abs=0.02)


def test_a_chain_begins_with_the_base_and_knows_the_true_dice():
    network = how.build(SMALL)
    samples = [sample("base"), sample("base", truth=bar())]

    found = how.chain(network, samples, 3)

    assert found.dice.shape == found.predicted.shape == (4, 2) and found.masks.shape == (4, 2, 32, 32)
    np.testing.assert_array_equal(found.masks[0], how.first_masks(network, how._images(samples)))
    mask = found.masks[2][1]
    assert found.dice[2, 1] == pytest.approx(2 * (mask & bar()).sum() / (mask.sum() + bar().sum()))


@pytest.mark.parametrize(
    ("values", "stop"), [([0.5], 0), ([0.5, 0.4, 0.9], 0), ([0.1, 0.2, 0.3], 2), ([0.1, 0.3, 0.3, 0.9], 1)]
)
def test_it_stops_where_the_row_no_longer_rises(values, stop):
    assert how.count_rises(np.array(values)) == stop


def test_a_base_alone_is_validated_by_its_own_masks_whatever_an_untrained_refiner_predicts():
    def scored(seed, first):
        settings = replace(SMALL, seed=seed, first=first)
        return how.validate(how.build(settings), [how.Sampler([bright_disc()], settings)[0]])

    misled = next(seed for seed in range(20) if (found := scored(seed, 0.5))["dice"] != found["dice_0"])

    alone = scored(misled, 1.0)
    assert alone["dice"] == alone["dice_0"]


def test_samples_are_the_same_by_number_and_the_base_sees_no_drawn_scenes():
    settings = replace(SMALL, synthetic=1.0, varied=True, own=2, steps=20, first=0.5)
    sampler = how.Sampler([bright_disc()], settings)

    for number in (*range(6), *range(20, 30)):
        one, two = sampler[number], sampler[number]
        np.testing.assert_array_equal(one.image, two.image)
        assert (one.start, one.times, one.seed) == (two.start, two.times, two.seed)
        assert one.drawn == (number >= 20) and one.image.shape == (3, 32, 32)
        assert one.times in (0, 1, 2)


def test_it_learns_one_bright_disc_in_seconds(tmp_path):
    settings = replace(SMALL, steps=80, first=0.56, batch=6, rate=1e-2, average=0.8, widths=(8, 8, 16))

    finished = run(how, [bright_disc()], [bright_disc(1)], settings, tmp_path, exam=2, workers=0, threads=1, log=quiet)

    assert finished.scores["dice_0"] > 0.8 and finished.scores["dice_1"] > 0.8
    assert finished.scores["quality_error"] < 0.3
    assert [path.name for path in finished.weights] == ["quality_base.onnx", "quality_refiner.onnx"]


def test_a_run_can_start_from_the_weights_of_another(tmp_path):
    first = run(how, [bright_disc()], [], SMALL, tmp_path / "one", exam=0, workers=0, threads=1, log=quiet)

    warm = how.build(replace(SMALL, start=str(tmp_path / "one"), seed=7))

    for ours, theirs in zip(warm.state_dict().values(), first.network.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("kind", ["missing", "damaged", "of another size"])
def test_a_start_that_cannot_be_used_is_named(tmp_path, kind):
    if kind == "damaged":
        (tmp_path / "checkpoint.pt").write_bytes(b"none")
    if kind == "of another size":
        run(how, [bright_disc()], [], SMALL, tmp_path, exam=0, workers=0, threads=1, log=quiet)

    with pytest.raises(ModelError, match=r"run to start from, .*checkpoint.pt, could not be used"):
        how.build(replace(SMALL, start=str(tmp_path), widths=(4, 8, 12)))


def test_the_exported_refiner_is_the_trained_one(tmp_path):
    from segmend.runtime.engine import load_network

    network = how.build(SMALL).eval()
    _, path = how.export(network, SMALL, tmp_path)
    x = np.random.default_rng(0).random((1, 4, 32, 32), np.float32)

    logits, quality = network.refiner(torch.from_numpy(x))
    found = load_network(str(path), device="cpu", precision="float32").run({"x": x})

    np.testing.assert_allclose(found["logits"], logits.detach().numpy(), atol=0.02)
    np.testing.assert_allclose(found["quality"], quality.detach().numpy(), atol=0.005)


def test_the_trained_method_answers_in_the_annotator(tmp_path):
    from segmend.core.prompts import Click
    from segmend.core.segmenter import answer
    from segmend.papers.quality.method import load

    settings = replace(SMALL, cells=128)
    how.export(how.build(settings), settings, tmp_path)

    prediction = answer(load(tmp_path).open(bright_disc().image), [Click((0, 21, 20))], np.zeros((1, 40, 48), bool))

    assert 0 <= prediction.quality <= 1 and np.isfinite(prediction.probability).all()


def test_the_papers_settings_are_the_papers():
    assert how.PAPER.widths == (32, 64, 128, 256) and how.PAPER.cells == 128
    assert how.PAPER.rate == 1e-4 and not how.PAPER.norm
    assert how.PAPER.first * how.PAPER_LOOP["epochs"] == 500  # for each of the two networks


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"first": 1.5}, "needs to be 0 to 1; got 1.5"), ({"cells": 30}, "3 widths needs cells by 4; got 30")],
)
def test_settings_that_make_no_sense_are_refused(wrong, words):
    with pytest.raises(SettingsError, match=words):
        replace(SMALL, **wrong)


def test_nothing_to_learn_from_is_named():
    with pytest.raises(SettingsError, match="needs at least one case with an object; got none"):
        how.Sampler([], SMALL)[0]


def test_a_sheet_shows_how_it_is_doing():
    sampler = how.Sampler([bright_disc()], SMALL)

    sheet = how.pictures(how.build(SMALL), [sampler[i] for i in range(4)])

    assert sheet.ndim == 3 and sheet.shape[2] == 3 and sheet.dtype == np.uint8
    assert sheet.shape[0] * sheet.shape[1] >= 3 * 4 * 32 * 32
