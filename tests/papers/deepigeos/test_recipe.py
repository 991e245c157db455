"""How deepigeos learns: what R-Net is shown, samples by number, and a small run to weights that answer."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from segmend.core.image import Image
from segmend.core.prompts import Click
from segmend.core.segmenter import answer
from segmend.errors import SettingsError
from segmend.learning.loop import run
from segmend.learning.subjects import Subject
from segmend.papers.deepigeos import recipe as how
from segmend.papers.deepigeos.method import CELLS, load
from segmend.users import RegionClicks

SMALL = how.Settings(steps=2, batch=2, width=4, hidden=4, synthetic=0.0)


def disc(depth=1):
    rows, columns = np.ogrid[:60, :70]
    truth = np.repeat(((rows - 25) ** 2 + (columns - 30) ** 2 < 14**2)[None], depth, axis=0)
    intensities = np.where(truth, 180.0, 60.0) + np.random.default_rng(0).normal(0, 5, truth.shape)
    return Subject(Image(intensities[None].astype(np.int16)), truth.astype(np.uint16), False, "discs", "one")


@pytest.fixture(autouse=True)
def one_thread():
    """Small layers are quicker on one thread, above all where others work too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_samples_of_a_number_are_the_same():
    first, again = (how.Sampler([disc(3)], replace(SMALL, synthetic=0.3)) for _ in range(2))

    for number in range(6):
        a, b = first[number], again[number]
        assert np.array_equal(a.picture, b.picture)
        assert (a.start is None) == (b.start is None)
        assert a.robot == b.robot


def test_clicks_lie_on_what_is_wrong_and_say_so_in_the_maps():
    truth, mask = np.zeros((2, CELLS, CELLS), bool)
    truth[20:40, 20:40] = True
    mask[60:80, 60:80] = True
    sample = how.Sample(np.zeros((CELLS, CELLS), np.float32), truth, None, RegionClicks(1))

    inner, outer = how.clicks_of(sample, mask)
    x = how.refinement_input(sample, mask.astype(np.float32))

    assert (len(inner), len(outer)) == (4, 4)
    assert truth[tuple(inner.T)].all()
    assert mask[tuple(outer.T)].all()
    assert (x[1] == mask).all()
    assert (x[2][tuple(inner.T)] == 1).all()
    assert x[2][truth].min() > 0.5 > x[2][mask].max()
    assert x[3][mask].min() > 0.5 > x[3][truth].max()


def test_without_a_robot_the_maps_are_empty_and_a_start_replaces_the_first_answer():
    truth = np.zeros((CELLS, CELLS), bool)
    truth[20:40, 20:40] = True
    sample = how.Sample(np.zeros((CELLS, CELLS), np.float32), truth, truth, None)

    x = how.refinement_input(sample, np.zeros((CELLS, CELLS), np.float32))

    assert (x[1] == truth).all()
    assert not x[2:].any()


def test_a_small_run_makes_weights_that_the_method_answers_with(tmp_path):
    subject = disc()

    finished = run(how, [subject], [subject], SMALL, tmp_path, exam=2, workers=0, threads=1, log=lambda _: None)

    assert [path.name for path in finished.weights] == ["deepigeos_first.onnx", "deepigeos_refine.onnx"]
    assert list(finished.scores) == ["refined", "first"]
    mask = np.zeros(subject.image.shape, bool)
    prediction = answer(load(tmp_path).open(subject.image), [Click((0, 25, 30))], mask)
    assert prediction.over(mask)[0, 25, 30]


def test_both_networks_learn():
    net = how.build(SMALL)
    sampler = how.Sampler([disc()], SMALL)

    how.loss(net, [sampler[0], sampler[1]]).backward()

    for one in (net.first, net.refine):
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in one.parameters())
        assert any(p.grad.abs().sum() > 0 for p in one.parameters())


def test_the_papers_networks_learn_by_sgd_with_a_rate_that_halves():
    sgd = how.optimiser(how.build(SMALL), how.PAPER)

    assert isinstance(sgd, torch.optim.SGD) and sgd.defaults["momentum"] == 0.9
    assert [how.share(step, how.PAPER) for step in (0, 4999, 5000, 10000)] == [1.0, 1.0, 0.5, 0.25]
    assert isinstance(how.optimiser(how.build(SMALL), SMALL), torch.optim.AdamW)
    with pytest.raises(SettingsError, match="descent needs to be adamw or sgd; got 'down'"):
        replace(SMALL, descent="down")


def test_overlap_adds_the_soft_dice_of_both_networks():
    net = how.build(SMALL)
    alone, both, twice = (
        float(how.loss(net, [how.Sampler([disc()], replace(SMALL, overlap=weight))[0]]).detach())
        for weight in (0.0, 1.0, 2.0)
    )

    assert how.PAPER.overlap == 0
    assert 0 < both - alone < 2  # each Dice loss is below 1
    assert twice - both == pytest.approx(both - alone, rel=0.02)
