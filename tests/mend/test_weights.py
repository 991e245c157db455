"""The weights that are shipped: both engines agree on them, and they mend what people see first."""

from importlib.resources import files

import numpy as np
import pytest

from segmend.mend.plane_networks import CELLS
from segmend.methods import load
from segmend.runtime.engine import TorchEngine, load_network
from segmend.samples import make
from segmend.sampling.channels import plane_prompt_channels
from segmend.sampling.intensity import window_channels
from segmend.sampling.window import around
from segmend.users import LargestError
from segmend.users.play import rounds

WEIGHTS = [str(files("segmend") / "weights" / f"mend2d_{part}.onnx") for part in ("reader", "refiner")]


def probabilities(engines, image, prompts):
    reader, refiner = engines
    answer = refiner.run({"prompts": prompts, **reader.run({"x": image})})
    return 1 / (1 + np.exp(-answer["logits"][0, 0]))


@pytest.fixture(scope="module")
def engines():
    return [load_network(path, device="cpu") for path in WEIGHTS], [TorchEngine(path, "cpu") for path in WEIGHTS]


@pytest.mark.parametrize("kind", ["abdomen", "head", "skin"])
def test_the_best_precision_agrees_with_torch_in_float32(kind, engines):
    sample = make(kind)
    index = int(sample.truth.any(axis=(1, 2)).nonzero()[0].mean())
    truth = sample.truth[index] > 0
    click = LargestError()(truth[None], np.zeros_like(truth[None]))
    rows, columns = truth.shape
    window = around(0, 0, rows, columns, margin=1.0)
    image = window_channels(sample.image.voxels[:, index], window, CELLS)[None]
    prompts = np.concatenate([np.zeros((1, CELLS, CELLS)), plane_prompt_channels([click], 0, 0, window, CELLS)])[None]

    fast, exact = (probabilities(pair, image, prompts.astype(np.float32)) for pair in engines)

    assert np.abs(fast - exact).max() < 0.02
    common, total = ((fast > 0.5) & (exact > 0.5)).sum(), (fast > 0.5).sum() + (exact > 0.5).sum()
    assert 2 * common > 0.995 * total


@pytest.mark.parametrize(
    ("kind", "value", "least"), [("abdomen", 1, 0.75), ("abdomen", 3, 0.8), ("head", 1, 0.85), ("skin", 1, 0.9)]
)
def test_five_clicks_mend_the_samples(kind, value, least):
    sample = make(kind)
    truth = sample.truth == value
    mask = np.zeros_like(truth)

    for played in rounds(LargestError(), load("mend").open(sample.image), truth, interactions=5):
        mask = played.mask

    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > least
