"""How DEXTR learns: what it sees of an object, a loss that is balanced, and that it learns at all."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from segmend.core.image import Image
from segmend.errors import SettingsError
from segmend.learning.loop import run
from segmend.learning.slices import Crop
from segmend.learning.subjects import Subject
from segmend.papers.dextr import recipe as how

SMALL = how.Settings(steps=30, batch=6, rate=1e-2, cells=32, widths=(8, 8, 8), synthetic=0.0, varied=False, average=0.8)


def bright_disc(seed=0):
    rows, columns = np.ogrid[:48, :40]
    truth = (rows - 25) ** 2 + (columns - 18) ** 2 < 81
    image = np.where(truth, 200.0, 60.0) + np.random.default_rng(seed).normal(0, 5, (48, 40))
    return Subject(Image(image[None, None].astype(np.float32)), truth[None].astype(np.uint16), False, "discs")


def test_the_object_fills_the_crop_but_for_its_margin():
    truth = np.zeros((100, 100), bool)
    truth[30:70, 20:90] = True
    drawn = Crop(np.zeros((1, 100, 100), np.float32), truth, np.ones_like(truth))

    sample = how.sample(np.random.default_rng(0), drawn, replace(SMALL, slack=0.0, fifth=0.0, cells=512))

    ys, xs = np.nonzero(sample.truth)
    assert (ys.min(), xs.min()) == (50, 50) and (ys.max(), xs.max()) == (461, 461)
    assert (sample.x[3] > 0.99).sum() >= 4


def test_more_points_lie_on_the_edge():
    truth = np.zeros((100, 100), bool)
    truth[30:70, 20:90] = True
    drawn = Crop(np.zeros((1, 100, 100), np.float32), truth, np.ones_like(truth))

    samples = [
        how.sample(np.random.default_rng(i), drawn, replace(SMALL, slack=0.0, fifth=1.0, cells=128)) for i in range(10)
    ]

    plain = how.sample(np.random.default_rng(0), drawn, replace(SMALL, slack=0.0, fifth=0.0, cells=128))
    assert all(sample.x[3].sum() > plain.x[3].sum() for sample in samples)


def test_object_and_background_count_the_same():
    logits = torch.tensor([[[[-1.0, 2.0, 2.0, -3.0]]]])
    truth = torch.tensor([[[[1.0, 0.0, 0.0, 0.0]]]])

    def softplus(value):
        return np.log1p(np.exp(value))

    wanted = 0.5 * softplus(1.0) + 0.5 * (2 * softplus(2.0) + softplus(-3.0)) / 3
    assert float(how.balanced_entropy(logits, truth)) == pytest.approx(wanted, abs=1e-5)


def test_a_crop_full_of_object_has_a_finite_loss():
    assert torch.isfinite(how.balanced_entropy(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)))


def test_samples_are_the_same_by_number():
    sampler = how.Sampler([bright_disc()], replace(SMALL, synthetic=0.5, varied=True))

    for number in range(12):
        one, two = sampler[number], sampler[number]
        np.testing.assert_array_equal(one.x, two.x)
        assert one.truth.any() and one.x.shape == (4, 32, 32)
        assert 0 <= one.x.min() and one.x.max() <= 1


@pytest.mark.parametrize("voxels", [1, 3])
def test_the_smallest_objects_can_be_learned_from(voxels):
    labels = np.zeros((1, 200, 300), np.uint16)
    labels[0, 7, 9 : 9 + voxels] = 4
    subject = Subject(Image(np.zeros((1, 1, 200, 300), np.uint8)), labels, False, "dots")

    assert how.Sampler([subject], SMALL)[0].truth.any()


def test_it_learns_one_bright_disc_in_seconds(tmp_path):
    exam = how.Sampler([bright_disc(1)], replace(SMALL, seed=1))
    before = how.validate(how.build(SMALL), [exam[i] for i in range(4)])["dice"]

    finished = run(
        how, [bright_disc()], [bright_disc(1)], SMALL, tmp_path, exam=4, workers=0, threads=1, log=lambda _: None
    )

    assert finished.scores["dice"] > max(0.9, before)
    assert [path.name for path in finished.weights] == ["dextr.onnx"]


def test_nothing_to_learn_from_is_named():
    with pytest.raises(SettingsError, match="needs at least one case with an object; got none"):
        how.Sampler([], SMALL)[0]


def test_cells_that_do_not_halve_are_refused():
    with pytest.raises(SettingsError, match="A network of 3 widths needs cells by 4; got 34"):
        replace(SMALL, cells=34)


def test_a_sheet_shows_how_it_is_doing():
    sampler = how.Sampler([bright_disc()], SMALL)

    sheet = how.pictures(how.build(SMALL), [sampler[i] for i in range(4)])

    assert sheet.ndim == 3 and sheet.shape[2] == 3 and sheet.dtype == np.uint8
    assert sheet.shape[0] * sheet.shape[1] >= 1 * 4 * 32 * 32
