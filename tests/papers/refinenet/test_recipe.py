"""How RefineNet learns: seeds from its own errors, parts of them, those of a neighbour."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from segmend.core.image import Image, scale_affine
from segmend.core.seeds import seeds_of_errors, seeds_of_mask
from segmend.errors import SettingsError
from segmend.learning.loop import run
from segmend.learning.subjects import Subject
from segmend.papers.refinenet import recipe as how
from segmend.papers.refinenet.method import HINT
from segmend.papers.refinenet.recipe import Sample, Sampler, Settings
from segmend.runtime.engine import load_network
from tests.datasets.test_folder import write_case, write_split

SMALL = Settings(steps=60, batch=4, rate=1e-2, average=0.9, widths=(4, 6, 8, 10, 12), features=1, refiner=(6, 6, 6))


def stack(seed=0, *, slices=5, value=1):
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:50, :64]
    labels = np.zeros((slices, 50, 64), np.uint16)
    labels[1:] = value * ((rows - 24) ** 2 + (columns - 34) ** 2 < 15**2)
    intensities = 100 * (labels > 0) + rng.normal(0, 5, labels.shape)
    return Subject(Image(intensities[None].astype(np.float32), scale_affine((5, 1, 1))), labels, False, "discs", "one")


def sample(truth, *, beside=None, share=1.0, seed=0):
    return Sample(np.zeros((4, *truth.shape), np.float32), truth, beside, share, seed)


def train(out, settings, *, exam):
    return run(how, [stack()], [stack(1)], settings, out, threads=1, workers=0, exam=exam, log=lambda _: None)


@pytest.mark.long
def test_it_learns_to_mend_its_own_first_guess(tmp_path):
    assert train(tmp_path, SMALL, exam=8).scores["dice_seeded"] > 0.85


def test_a_run_validates_both_guesses_and_leaves_both_networks(tmp_path):
    finished = train(tmp_path, replace(SMALL, steps=3, batch=2), exam=2)

    assert finished.scores.keys() == {"dice_seeded", "dice_first"}
    assert {path.name for path in finished.weights} == {"refinenet_backbone.onnx", "refinenet_refiner.onnx"}


def test_the_same_number_is_the_same_sample():
    one, two = Sampler([stack()], SMALL)[7], Sampler([stack()], SMALL)[7]

    assert np.array_equal(one.image, two.image)
    assert np.array_equal(one.truth, two.truth)
    assert (one.share, one.seed) == (two.share, two.seed)


def test_seeds_follow_from_the_errors_or_from_the_slice_beside():
    truth = np.zeros((30, 40), bool)
    truth[5:15, 8:28] = True
    guess = np.roll(truth, 7, axis=0)

    errors, neighbours = how.seeds_of(sample(truth), guess), how.seeds_of(sample(truth, beside=guess), guess)

    assert np.array_equal(errors.foreground, seeds_of_errors(truth, guess).foreground)
    assert np.array_equal(errors.background, seeds_of_errors(truth, guess).background)
    assert np.array_equal(neighbours.background, seeds_of_mask(guess, away=3).background)


def test_a_share_of_the_seeds_is_a_part_of_them():
    truth = np.zeros((60, 60), bool)
    for y in range(5, 60, 10):
        truth[y : y + 3, 5:55] = True
    nothing = np.zeros_like(truth)
    whole = how.seeds_of(sample(truth), nothing).foreground

    sizes = []
    for seed in range(12):
        some = how.seeds_of(sample(truth, share=0.3, seed=seed), nothing).foreground
        assert not (some & ~whole).any()
        sizes.append(int(some.sum()))
    assert min(sizes) < 0.5 * whole.sum()
    assert len(set(sizes)) > 3


def test_no_seed_at_all_is_possible_and_harmless():
    truth = np.zeros((128, 128), bool)

    seeds = how.seeds_of(sample(truth), truth)

    assert not seeds.foreground.any()
    assert not seeds.background.any()


def test_shares_and_neighbours_come_as_often_as_set():
    often = Sampler([stack()], replace(SMALL, partial=1.0, carried=1.0, empty=0.0))
    never = Sampler([stack()], replace(SMALL, partial=0.0, carried=0.0, empty=0.0))

    assert all(often[i].share < 1 for i in range(10))
    assert any(often[i].beside is not None for i in range(10))
    assert all(never[i].share == 1 and never[i].beside is None for i in range(10))


def test_empty_slices_come_as_often_as_set():
    always = Sampler([stack()], replace(SMALL, empty=1.0, beyond=1.0))
    never = Sampler([stack()], replace(SMALL, empty=0.0, beyond=0.0))

    assert not any(always[i].truth.any() for i in range(6))
    assert all(never[i].truth.any() for i in range(6))


def test_beyond_the_object_the_seeds_are_those_of_its_last_slice():
    sampler = Sampler([stack()], replace(SMALL, carried=1.0, beyond=1.0))

    drawn = [sampler[i] for i in range(6)]

    assert not any(one.truth.any() for one in drawn)
    assert all(one.beside is not None and one.beside.any() for one in drawn)


def test_the_seeds_of_a_neighbour_are_lower_than_a_persons():
    truth = np.zeros((128, 128), bool)
    truth[40:90, 40:80] = True
    nothing = torch.zeros(1, 2, 128, 128)

    person = how.seed_channels([sample(truth)], nothing)
    neighbour = how.seed_channels([sample(truth, beside=truth)], nothing)

    assert person.max() == 1
    assert neighbour.max() == HINT


def test_a_one_slice_case_and_a_one_voxel_object_give_samples():
    one = stack(slices=1)
    labels = np.zeros((1, 50, 64), np.uint16)
    labels[0, 20, 30] = 1

    drawn = Sampler([replace(one, labels=labels)], SMALL)[3]

    assert drawn.image.shape == (4, 128, 128)
    assert np.isfinite(drawn.image).all()


def test_only_the_labels_asked_for_are_the_object():
    assert how.object_of(stack(value=2), replace(SMALL, values=(2,))).any()
    assert not how.object_of(stack(value=2), replace(SMALL, values=(1, 3))).any()


def test_labels_that_no_case_has_are_refused(tmp_path):
    write_case(tmp_path / "discs", "one", stack().labels, suffix=".nii.gz")
    write_split(tmp_path / "discs", train=["one"])

    with pytest.raises(SettingsError, match=r"No case of the train split has one of the labels \(77,\)"):
        how.subjects(tmp_path, "train", replace(SMALL, values=(77,)))


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(SettingsError, match="at least one case with an object; got none"):
        Sampler([], SMALL)[0]


def test_a_backbone_that_is_not_there_is_refused():
    with pytest.raises(SettingsError, match="one of unet, fcn, cascaded; got 'vgg'"):
        how.build(replace(SMALL, backbone="vgg"))


@pytest.mark.parametrize("backbone", how.BACKBONES)
def test_the_exported_networks_answer_as_the_trained_ones(backbone, tmp_path):
    settings = replace(SMALL, backbone=backbone, hidden=8, decoder=6)
    network = how.build(settings).eval()
    x, seeds = torch.rand(1, 4, 128, 128), torch.rand(1, 2, 128, 128)

    first, second = how.export(network, settings, tmp_path)
    engine, refiner = load_network(str(first), precision="float32"), load_network(str(second), precision="float32")
    guess = engine.run({"x": x.numpy()})
    scales = {name: guess[name] for name in ("whole", "half", "quarter")}
    logits = refiner.run({**scales, "seeds": seeds.numpy()})["logits"]

    with torch.no_grad():
        wanted = network(x, seeds).numpy()
    assert np.abs(logits - wanted).max() < 0.05 * max(1.0, np.abs(wanted).max())
    torch_engine = load_network(str(second), device="cpu", precision="float32")
    assert torch_engine.name.startswith("OpenVINO")


def test_the_papers_settings_add_nothing_to_the_paper():
    assert how.PAPER.widths == (64, 128, 256, 512, 1024)
    assert (how.PAPER.features, how.PAPER.partial, how.PAPER.carried) == (0, 0.0, 0.0)
    fcn = how.paper({"backbone": "fcn"})
    assert (fcn.backbone, fcn.widths, fcn.hidden, fcn.kernel) == ("fcn", (64, 128, 256, 512, 512), 4096, 7)
    assert how.paper({}) == how.PAPER


def test_every_initial_segmentation_is_held_to_the_truth_at_its_size():
    truth = torch.zeros(1, 1, 16, 16)
    truth[..., :8] = 1
    right = [
        torch.cat([-t, t], dim=1) * 20 for t in (2 * torch.nn.functional.avg_pool2d(truth, n) - 1 for n in (1, 2, 4))
    ]

    assert how.initial_loss(right, truth) < 0.01
    assert how.initial_loss([*right[:2], -right[2]], truth) > 1


def test_a_sheet_of_examples_is_drawn():
    samples = [Sampler([stack()], SMALL)[i] for i in range(5)]

    sheet = how.pictures(how.build(SMALL), samples)

    assert sheet.shape == (2 * 128 + 2, 4 * 128 + 6, 3)
    assert len(np.unique(sheet.reshape(-1, 3), axis=0)) > 3
