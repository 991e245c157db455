"""How editing learns, on volumes drawn here: first F, then G with the edits that F's mistakes call for."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segmend import io
from segmend.core.image import Image, scale_affine
from segmend.core.marks import marks
from segmend.core.masks import dice
from segmend.core.prompts import Adjust, Click, Stroke
from segmend.core.segmenter import answer
from segmend.errors import SettingsError
from segmend.learning import loop as train
from segmend.learning.subjects import Subject
from segmend.nets.edited import PACE, Edited
from segmend.papers.editing import recipe as how
from segmend.papers.editing.method import METHOD, load
from segmend.runtime.engine import OpenVinoEngine, torch_network
from segmend.users import Adjustment
from tests.methods.test_marks import SHAPES, picture, prompts

TINY = how.Settings(steps=6, first=3, width=2, levels=2, grid=(8, 8, 16), batch=2)


def subject(seed, shape=(5, 9, 14), channels=1, truth=None):
    """A bright block on noise."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint16)
    low = [int(rng.integers(0, n - n // 2)) for n in shape]
    labels[tuple(slice(l, l + n // 2 + 1) for l, n in zip(low, shape, strict=True))] = 1
    labels[:, :, shape[2] // 2 :] *= 2
    labels = labels if truth is None else truth
    voxels = (rng.normal(100, 20, (channels, *shape)) + 100 * (labels > 0)).astype(np.int16)
    return Subject(Image(voxels, scale_affine((2.0, 1.0, 1.0))), labels, False, "blocks", f"block{seed}")


def quiet(_):
    pass


def finished(out, chosen=TINY):
    cases = [subject(seed, channels=chosen.channels) for seed in range(4)]
    return train.run(how, cases, cases[:2], chosen, out, threads=1, workers=0, exam=2, log=quiet)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return finished(tmp_path_factory.mktemp("editing"))


# Samples.


def test_the_same_number_is_the_same_sample_and_fits_the_grid():
    one, other = (how.Sampler([subject(0), subject(1)], TINY)[7] for _ in range(2))

    assert (one.image == other.image).all()
    assert (one.truth == other.truth).all()
    assert (one.seed, one.tools) == (other.seed, other.tools)
    assert one.image.shape == (1, 8, 8, 16)
    assert one.image.dtype == np.float32
    assert one.truth.shape == (8, 8, 16)


def test_one_voxel_never_leaves_the_grid():
    truth = np.zeros((3, 30, 31), np.uint16)
    truth[2, 29, 30] = 1
    sampler = how.Sampler([subject(0, (3, 30, 31), truth=truth)], TINY)

    assert all(sampler[number].truth.any() for number in range(40))


def test_each_tool_is_used_in_its_share_of_the_samples():
    sampler = how.Sampler([subject(0)], replace(TINY, keep=0.5))
    always = how.Sampler([subject(0)], replace(TINY, keep=1.0))

    tools = [sampler[number].tools for number in range(60)]

    assert 15 < sum(Click in used for used in tools) < 45
    assert any(not used for used in tools)
    assert always[0].tools == (Click, Stroke, Adjust)


def test_the_edits_of_a_sample_are_those_of_its_tools_and_k_is_clipped():
    sample = replace(how.Sampler([subject(3)], replace(TINY, keep=1.0))[0], tools=(Adjust,))
    nothing = np.zeros_like(sample.truth)

    assert how.edits_of(sample, nothing) == (Adjust(0.5, of="truth"),)
    assert Adjustment()(sample.truth, nothing) == Adjust(1.0, of="truth")
    assert {type(edit) for edit in how.edits_of(replace(sample, tools=(Click, Adjust)), nothing)} == {Click, Adjust}
    assert how.edits_of(sample, sample.truth) == ()


# Networks.


def test_g_starts_as_f_and_does_not_see_the_edits_yet():
    network = how.build(replace(TINY, dropout=0.0)).eval()
    image, edits = torch.randn(1, 1, 8, 8, 16), torch.randn(1, 3, 8, 8, 16)
    with torch.no_grad():
        for value in network.first.parameters():
            value.add_(0.01)
        network.warm_up()

        edits[:, 2] = 0
        torch.testing.assert_close(network.edited(torch.cat([image, edits], dim=1)), network.first(image))


def test_k_moves_the_threshold_by_the_learnt_multiple():
    net = Edited(body="isensee", arguments={"inputs": 2, "width": 2, "levels": 2}).eval()
    x = torch.randn(1, 2, 4, 4, 8)
    x[:, 1] = 0.25
    with torch.no_grad():
        torch.testing.assert_close(net(x), net.body(x) + PACE * net.gain * 0.25)
    assert sum(p.numel() for p in net.parameters()) == sum(p.numel() for p in net.body.parameters()) + 1


@pytest.mark.parametrize("body", ["isensee", "unet3d", "deepmedic", "highres3dnet"])
def test_every_body_learns_f_and_then_g_and_f_rests_while_g_learns(body):
    chosen = replace(TINY, body=body)
    network = how.build(chosen)
    samples = [how.Sampler([subject(0)], chosen)[number] for number in range(2)]

    how.loss(network, samples, 0).backward()
    assert all(p.grad is None for p in network.edited.parameters())
    assert all(p.grad is not None for p in network.first.parameters())
    network.zero_grad(set_to_none=True)
    how.loss(network, samples, 3).backward()
    assert all(p.grad is None for p in network.first.parameters())
    assert all(p.grad is not None for p in network.edited.parameters())


def test_the_widths_of_the_papers_come_out_of_their_settings():
    paper = how.PAPER

    assert how.arguments(paper, 7) == {"inputs": 7, "width": 16, "levels": 5, "dropout": 0.3}
    assert how.arguments(replace(paper, body="unet3d", width=32, levels=4), 7)["widths"] == [32, 64, 128, 256]
    deepmedic = how.arguments(replace(paper, body="deepmedic", width=30), 4)
    assert (deepmedic["widths"], deepmedic["joined"]) == ([30, 30, 40, 40, 40, 40, 50, 50], [150, 150])
    assert how.arguments(replace(paper, body="highres3dnet"), 4)["last"] == 80


def test_the_papers_networks_learn_as_their_bodys_paper_says():
    paper = how.PAPER
    with_entropy, alone = how.build(replace(TINY, entropy=1.0)), how.build(replace(TINY, entropy=0.0))
    samples = [how.Sampler([subject(0)], TINY)[0]]

    assert (paper.batch, paper.rate, paper.decay, paper.falls, paper.entropy) == (2, 5e-4, 1e-5, 0.985, 0.0)
    assert (paper.first, paper.steps - paper.first) == (300 * 100, 300 * 100)
    assert how.loss(with_entropy, samples, 0) - how.loss(alone, samples, 0) > 0.2  # .69 where all is even


# Whole runs.


def test_a_run_writes_both_networks_and_what_the_method_must_know(trained):
    names = [path.name for path in trained.weights]

    assert names == ["editing_first.onnx", "editing.onnx", "editing.json"]
    assert set(trained.scores) == {"edited", "unedited", "first"}
    assert json.loads(trained.weights[-1].read_text()) == {"grid": [8, 8, 16], "channels": 1}


def test_the_method_uses_what_was_trained_and_marks_are_law(trained):
    workspace = load(trained.weights[0].parent).open(subject(9).image)
    prompts = (
        Click((2, 4, 6)),
        Stroke(((0, 8, 0), (0, 8, 9)), positive=False),
        Adjust(3.0, of="truth"),
        Click((4, 0, 13)),
    )

    for count in range(len(prompts) + 1):
        prediction = answer(workspace, prompts[:count], np.zeros((5, 9, 14), bool))

        mask = prediction.over(np.zeros((5, 9, 14), bool))
        positive, negative = marks(prompts[:count], mask.shape)
        assert mask[tuple(positive.T)].all()
        assert not mask[tuple(negative.T)].any()
        assert np.isfinite(prediction.probability).all()


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_marks_are_law_whatever_is_put_down(trained, data):
    image = picture(data.draw(st.integers(0, 999)), SHAPES[3], data.draw(st.sampled_from([1, 3])))
    workspace = load(trained.weights[0].parent).open(image)
    given_prompts = data.draw(prompts(SHAPES[3], METHOD.prompts))
    previous = np.zeros(SHAPES[3], bool)

    for count in range(1, len(given_prompts) + 1):
        prediction = answer(workspace, given_prompts[:count], previous)
        previous = prediction.over(previous)

        positive, negative = marks(given_prompts[:count], previous.shape)
        assert previous[tuple(positive.T)].all()
        assert not previous[tuple(negative.T)].any()
        assert 0 <= prediction.probability.min() <= prediction.probability.max() <= 1
        assert prediction.box.clipped(previous.shape) == prediction.box


def test_pictures_show_f_and_g_side_by_side(trained):
    samples = [how.Sampler([subject(seed)], TINY)[seed] for seed in range(2)]

    sheet = how.pictures(trained.network, samples)

    assert sheet.shape == (8 + 2 + 8, 4 * (16 + 2) - 2, 3)


def test_both_engines_give_one_answer(trained):
    path = str(trained.weights[1])
    x = np.random.default_rng(0).normal(size=(1, 4, 8, 8, 16)).astype(np.float32)

    network, _, _ = torch_network(path)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(x)).numpy()
    found = OpenVinoEngine(path, "float32").run({"x": x})["logits"]

    np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_f_alone_can_be_trained_to_compare_with(tmp_path):
    done = finished(tmp_path, replace(TINY, steps=3, body="deepmedic", channels=2))

    assert [path.name for path in done.weights] == ["editing_first.onnx", "editing.json"]
    assert set(done.scores) == {"first"}


def test_f_and_g_learn_a_block_and_g_follows_k(tmp_path):
    chosen = replace(TINY, steps=80, first=40, width=4, rate=1e-2, average=0.9, dropout=0.0)
    cases = [subject(seed) for seed in range(3)]

    done = train.run(how, cases, cases, chosen, tmp_path, threads=1, workers=0, exam=6, log=quiet)

    workspace = load(tmp_path).open(cases[0].image)
    truth = cases[0].labels > 0
    nothing = np.zeros_like(truth)
    masks = [answer(workspace, k, nothing).over(nothing) for k in ((), [Adjust(1.0)], [Adjust(-1.0)])]
    assert done.scores["first"] > 0.7
    assert dice(truth, masks[0]) > 0.7
    assert masks[2].sum() < masks[0].sum() < masks[1].sum()


# What cannot be learnt from.


def folder_of(path, labels, channels=1):
    """Write volumes of noise with these label maps as a data set whose two splits are both all of it."""
    (path / "images").mkdir(parents=True)
    (path / "labels").mkdir()
    names = [f"v{number}" for number in range(len(labels))]
    for name, truth in zip(names, labels, strict=True):
        image = Image(np.random.default_rng(0).integers(0, 99, (1, *truth.shape)).astype(np.int16))
        for channel in range(channels):
            io.write_image(path / "images" / f"{name}_{channel}.nii.gz", image)
        io.write_mask(path / "labels" / f"{name}.nii.gz", truth, image, [])
    templates = [f"{{id}}_{channel}" for channel in range(channels)]
    (path / "split.json").write_text(json.dumps({"train": names, "val": names, "images_per_case": templates}))
    return path


def drawn(shape=(3, 5, 7), value=1):
    truth = np.zeros(shape, np.uint16)
    truth[0, 1:3, 2:5] = value
    return truth


def test_labels_are_merged_and_pictures_and_cases_without_the_object_are_left_out(tmp_path):
    data = folder_of(tmp_path / "set", [drawn(), drawn(value=2), drawn((1, 5, 7)), drawn() * 0])

    assert [s.name for s in how.subjects(data, "train", TINY)] == ["v0", "v1"]
    (only,) = how.subjects(data, "train", replace(TINY, labels=(2,)))
    assert only.name == "v1"
    assert np.unique(only.labels).tolist() == [0, 1]


def test_a_class_that_is_nowhere_is_one_sentence(tmp_path):
    data = folder_of(tmp_path / "set", [drawn()])

    with pytest.raises(SettingsError, match="learns from volumes with its object; the train split has none"):
        how.subjects(data, "train", replace(TINY, labels=(7,)))


def test_images_of_too_few_channels_are_one_sentence(tmp_path):
    data = folder_of(tmp_path / "set", [drawn()], channels=2)

    assert how.subjects(data, "val", replace(TINY, channels=2))[0].image.channels == 2
    with pytest.raises(SettingsError, match="to see 3 channels; an image of the val split has 2"):
        how.subjects(data, "val", replace(TINY, channels=3))


def test_an_unknown_body_and_a_grid_that_does_not_fit_are_one_sentence():
    with pytest.raises(SettingsError, match="no body 'vnet'; there are isensee, unet3d"):
        how.build(replace(TINY, body="vnet"))
    with pytest.raises(SettingsError, match=r"3 levels need a grid of sides that 4 divides; got \(8, 10, 16\)"):
        how.build(replace(TINY, levels=3, grid=(8, 10, 16)))
