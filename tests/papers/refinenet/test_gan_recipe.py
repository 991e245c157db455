"""How adversarial refinement learns: against the truth and against a discriminator."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from segmend.core.prompts import Click
from segmend.core.segmenter import answer
from segmend.learning.loop import run
from segmend.papers.refinenet import gan_method as gan_refine
from segmend.papers.refinenet import gan_recipe as how
from segmend.papers.refinenet.gan_recipe import Sampler, Settings, discriminator_loss
from segmend.runtime.engine import load_network
from tests.papers.refinenet.test_recipe import stack

SMALL = Settings(
    steps=60, batch=4, rate=1e-2, average=0.9, widths=(4, 6, 8), features=1, refiner=(6, 6, 6), discriminator=(4, 4)
)


def train(out, settings, *, exam):
    return run(how, [stack()], [stack(1)], settings, out, threads=1, workers=0, exam=exam, log=lambda _: None)


@pytest.mark.long
def test_it_learns(tmp_path):
    assert train(tmp_path, SMALL, exam=8).scores["dice"] > 0.8
    workspace = gan_refine.load(tmp_path).open(stack(3).image)
    assert workspace.predict((Click((2, 24, 34)),), np.zeros((5, 50, 64), bool)).mask.any()


def test_its_weights_answer_as_it_did_and_its_discriminator_stays_behind(tmp_path):
    finished = train(tmp_path, replace(SMALL, steps=3, batch=2), exam=2)

    assert 0 <= finished.scores["dice"] <= 1
    assert [path.name for path in finished.weights] == ["gan_refine.onnx"]
    engine = load_network(str(tmp_path / "gan_refine.onnx"), precision="float32")
    x = torch.rand(1, 4, 128, 128)
    with torch.no_grad():
        wanted = finished.network.eval()(x).numpy()
    assert np.abs(engine.run({"x": x.numpy()})["logits"] - wanted).max() < 0.05 * max(1, np.abs(wanted).max())
    workspace, nothing = gan_refine.load(tmp_path).open(stack(3).image), np.zeros((5, 50, 64), bool)
    assert answer(workspace, [Click((2, 24, 34))], nothing).over(nothing)[2, 24, 34]


def test_the_truth_reaches_the_generator_with_the_discriminators_gradient_reversed():
    settings = replace(SMALL, strength=1.0, rise=0.0)
    samples = [Sampler([stack()], settings)[i] for i in range(2)]

    def gradients(strength, step):
        both = how.build(replace(settings, strength=strength, rise=0.5))
        how.loss(both, samples, step).backward()
        return both.network.refiner.head.weight.grad, both.discriminator.body[0].weight.grad

    calm, discriminator = gradients(0.0, 60)
    early, _ = gradients(5.0, 0)
    late, same_discriminator = gradients(5.0, 60)

    assert torch.allclose(calm, early)  # the discriminator has not risen yet
    assert not torch.allclose(calm, late)
    assert torch.allclose(discriminator, same_discriminator)


def test_the_discriminator_is_punished_for_taking_one_for_the_other():
    sure = torch.full((1, 1, 2, 3), 5.0)

    assert discriminator_loss(sure, -sure) < 0.01
    assert discriminator_loss(-sure, sure) > 4


def test_no_sample_has_the_seeds_of_a_neighbour():
    sampler = Sampler([stack()], SMALL)

    assert all(sampler[i].beside is None for i in range(8))


def test_a_sheet_of_examples_is_drawn():
    samples = [Sampler([stack()], SMALL)[i] for i in range(5)]

    sheet = how.pictures(how.build(SMALL), samples)

    assert sheet.shape == (2 * 128 + 2, 4 * 128 + 6, 3)
    assert len(np.unique(sheet.reshape(-1, 3), axis=0)) > 3
