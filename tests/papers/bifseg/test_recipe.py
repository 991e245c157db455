"""How bifseg learns: crops drawn by hand, samples by number, and small runs of both networks to weights that load."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from segmend.core.image import Box, Image, bounds, scale_affine
from segmend.errors import SettingsError
from segmend.learning.loop import run
from segmend.learning.subjects import Subject
from segmend.papers.bifseg import recipe as how
from segmend.papers.bifseg.method import Frame, load

SMALL = how.Settings(steps=3, batch=2, width=4, kept=2, hidden=5, synthetic=0.0)
SMALL_3D = replace(SMALL, dimensions=3, smallest=16, largest=20, norm=True)


def discs(depth=1):
    rows, columns = np.ogrid[:60, :70]
    labels = np.zeros((depth, 60, 70), np.uint16)
    labels[:, (rows - 25) ** 2 + (columns - 20) ** 2 < 12**2] = 1
    labels[:, (rows - 30) ** 2 + (columns - 55) ** 2 < 9**2] = 4
    intensities = 50.0 + 60 * (labels > 0) + np.random.default_rng(0).normal(0, 4, labels.shape)
    return Subject(Image(intensities[None].astype(np.int16), scale_affine((3, 1, 1))), labels, False, "discs", "one")


def quiet(_):
    pass


@pytest.fixture(autouse=True)
def one_thread():
    """Small layers are quicker on one thread, above all where others work too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_the_box_is_moved_out_by_0_to_10_voxels_a_side():
    rng = np.random.default_rng(0)
    box = Box((3, 20, 30), (4, 40, 50))

    moved = [how.jitter_box(rng, box, 10, 0) for _ in range(200)]

    assert {b.low[0] for b in moved} == {3}
    assert {b.high[0] for b in moved} == {4}
    for axis in (1, 2):
        assert {box.low[axis] - b.low[axis] for b in moved} == set(range(11))
        assert {b.high[axis] - box.high[axis] for b in moved} == set(range(11))


@pytest.mark.parametrize("value", [1, 4])
def test_a_sample_holds_one_whole_object_whose_shorter_side_has_96_cells(value):
    for number in range(6):
        sample = how.Sampler([discs()], replace(SMALL, labels=(value,), seed=7))[number]
        _, rows, columns = sample.inner
        inside = sample.truth[0, :rows, :columns]
        assert min(rows, columns) == 96
        assert sample.cells.shape[1] % 16 == sample.cells.shape[2] % 16 == 0
        # of a box of 18 or 24 pixels and at most 20 more, the disc fills its part
        assert 0.1 < inside.mean() < 0.85
        assert not sample.truth[0, rows:].any()
        assert np.isclose(sample.cells[0, :rows, :columns].mean(), 0, atol=1e-3)


def test_samples_of_a_number_are_the_same_and_of_another_are_not():
    for settings in (replace(SMALL, synthetic=0.5), SMALL_3D):
        first, again = (how.Sampler([discs(6)], settings) for _ in range(2))

        assert np.array_equal(first[3].cells, again[3].cells)
        assert first[3].cells.shape != first[4].cells.shape or not np.array_equal(first[3].cells, first[4].cells)


def test_only_the_chosen_labels_are_learnt():
    sampler = how.Sampler([discs()], replace(SMALL, labels=(9,)))
    with pytest.raises(SettingsError, match="at least one case with an object; got none"):
        sampler[0]


def test_a_volume_s_longest_side_is_what_the_settings_say():
    for number in range(5):
        sample = how.Sampler([discs(9)], replace(SMALL_3D, varied=False))[number]
        assert 16 <= max(sample.inner) <= 20
        assert sample.inner[0] <= 9  # thick slices stay as they are


def test_an_object_of_one_voxel_or_line_is_still_there():
    subject = discs()
    labels = np.zeros_like(subject.labels)
    labels[0, 30, 30] = 1
    frame = Frame(Box((0, 0, 0), (1, 60, 70)), 0, 2, strict=True)

    assert how.crop_sample(subject.image, labels > 0, frame).truth.any()
    sample = how.Sampler([Subject(subject.image, labels, False, "dot")], SMALL)[0]
    assert sample.truth.any()


def test_a_picture_is_no_volume():
    with pytest.raises(SettingsError, match="PC-Net learns from volumes; this case is a picture"):
        how.Sampler([discs()], SMALL_3D)[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dimensions": 4}, "has 2 or 3 dimensions; got 4"),
        ({"network": "pcnet"}, "networks in 2D are pnet, fcn, unet; got 'pcnet'"),
        ({"descent": "down"}, "descent needs to be adamw or sgd; got 'down'"),
        ({"compared_norm": "layer"}, "norm needs to be batch or instance; got 'layer'"),
        ({"smallest": 90}, "longest side needs 8 to 80 cells; got 90 to 80"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, words):
    with pytest.raises(SettingsError, match=words):
        replace(how.Settings(), **changes)


@pytest.mark.parametrize("settings", [SMALL, SMALL_3D], ids=["2d", "3d"])
def test_a_small_run_makes_weights_that_the_method_answers_with(settings, tmp_path):
    subject = discs(6)

    finished = run(how, [subject], [subject], settings, tmp_path, exam=2, workers=0, threads=1, log=quiet)

    assert {path.suffix for path in finished.weights} == {".onnx", ".npz"}
    assert set(finished.scores) == {"dice"}
    method = load(tmp_path)
    dimensions = settings.dimensions
    truth = subject.labels == 1
    box = bounds(truth if dimensions == 3 else truth[:1])
    frame = Frame(box.grown((0, 3, 3)), 0, dimensions, strict=True)
    sample = how.crop_sample(subject.image, truth, frame)
    x = sample.cells[None, None] if dimensions == 3 else sample.cells[None]
    found = method.net(dimensions).engine.run({"x": x})
    logits = found["logits"][0]
    taught = method.net(dimensions).head.logits(found["features"][0])
    assert np.allclose(
        taught, logits[1] - logits[0], atol=0.05, rtol=0.03
    )  # block 6 beside the network is the network's
    assert method.net(dimensions).longest == (20 if dimensions == 3 else 80)  # volumes are seen as they were learned
    prediction = method.open(subject.image).predict([box], np.zeros_like(truth))
    assert np.isfinite(prediction.probability).all()


@pytest.mark.parametrize("network", ["fcn", "unet", "deepmedic", "highres3dnet"])
def test_the_comparisons_learn_from_the_same_crops(network, tmp_path):
    base = SMALL if network in how.NETWORKS[2] else SMALL_3D
    settings = replace(base, network=network)
    net = how.build(settings)
    samples = [how.Sampler([discs(6)], settings)[number] for number in range(2)]

    how.loss(net, samples).backward()

    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
    assert 0 <= how.validate(net, samples)["dice"] <= 1
    name = f"bifseg{settings.dimensions}d_{network}"
    assert [path.name for path in how.export(net, settings, tmp_path)] == [f"{name}.onnx", f"{name}.npz"]


def test_it_learns_the_disc():
    settings = replace(SMALL, steps=24, width=8, hidden=8, rate=5e-3, varied=False)
    net = how.build(settings)
    sampler, optimiser = how.Sampler([discs()], settings), how.optimiser(net, settings)
    losses = []
    for step in range(settings.steps):
        value = how.loss(net, [sampler[2 * step], sampler[2 * step + 1]])
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        losses.append(value.item())

    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:5])


def test_soft_dice_is_added_as_the_settings_say():
    net = how.build(SMALL).eval()
    plain, both = (how.Sampler([discs()], replace(SMALL, overlap=share))[2] for share in (0.0, 1.0))

    more = how.loss(net, [both]).item() - how.loss(net, [plain]).item()

    assert 0.05 < more < 1
    assert how.PAPER.overlap == 0


@pytest.mark.parametrize(("dimensions", "network"), [(2, "fcn"), (2, "unet"), (3, "deepmedic"), (3, "highres3dnet")])
def test_comparisons_norm_each_crop_alone_for_crops_go_through_one_by_one(dimensions, network):
    settings = replace(how.small({"dimensions": dimensions, "network": network}), network=network, width=4)

    kinds = {type(layer).__name__ for layer in how.build(settings).modules()}

    assert f"InstanceNorm{dimensions}d" in kinds and f"BatchNorm{dimensions}d" not in kinds
    assert how.PAPER.compared_norm == "instance" and how.small({}) == how.Settings()


def test_a_small_run_warms_up_and_cools_down():
    settings = replace(SMALL, steps=100)

    shares = [how.share(step, settings) for step in range(100)]

    assert np.argmax(shares) == 10  # after a tenth of the steps
    assert shares[0] < 0.1
    assert shares[-1] < 0.02


def test_the_paper_s_settings_are_the_paper_s():
    sgd = how.optimiser(how.build(replace(how.PAPER, width=2)), how.PAPER)

    assert (how.PAPER.steps, how.PAPER.batch, how.PAPER.rate) == (80_000, 1, 1e-3)
    assert [how.share(step, how.PAPER) for step in (0, 4999, 5000, 10000)] == [1.0, 1.0, 0.5, 0.25]
    assert isinstance(sgd, torch.optim.SGD)
    assert (sgd.defaults["momentum"], sgd.defaults["weight_decay"]) == (0.9, 5e-4)
