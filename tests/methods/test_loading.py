"""A method is loaded on a chosen device, and again in another process from a pickle."""

import pickle
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from importlib import import_module
from importlib.resources import files
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch

import segmend
from segmend import methods
from segmend.core.image import Image
from segmend.core.segmenter import Segmenter
from segmend.errors import SettingsError
from segmend.runtime import cards
from segmend.runtime.engine import Device, OpenVinoEngine, TorchEngine, load_network
from segmend.runtime.warming import phantom

WEIGHTS = Path(str(files("segmend") / "weights"))
READER = str(WEIGHTS / "mend2d_reader.onnx")
IMAGE, BALL = phantom((1, 64, 64))
CLICK = [segmend.Click((0, 32, 32))]
NETWORKED = [card.id for card in methods.cards() if methods.takes_device(card.id)]


def mask_of(segmenter: Segmenter) -> np.ndarray:
    empty = np.zeros(IMAGE.shape, bool)
    return segmend.answer(segmenter.open(IMAGE), CLICK, empty).over(empty)


def test_the_methods_that_run_networks_take_a_device():
    assert set(NETWORKED) == {card.id for card in methods.cards() if card.weights != "none needed"}


@pytest.mark.parametrize("method", [pytest.param("mend", marks=pytest.mark.long), "graphcut"])
def test_a_segmenter_is_loaded_again_in_another_process(method):
    segmenter = segmend.load(method, device="cpu")

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(mask_of, segmenter).result()

    assert found.sum() > 100
    assert np.array_equal(found, mask_of(segmenter))


def test_a_pickle_holds_the_id_the_weights_and_the_device_and_no_network(tmp_path, monkeypatch):
    for path in WEIGHTS.glob("mend*"):
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    segmenter = segmend.load("mend", Path(), device="cpu", precision="float32")

    kept = pickle.dumps(segmenter)
    monkeypatch.chdir("/")

    assert len(kept) < 1000
    assert pickle.loads(kept) is segmend.load("mend", tmp_path, device="cpu", precision="float32")
    assert str(tmp_path) in repr(segmenter)
    assert "float32" in repr(segmenter)


def test_a_segmenter_that_was_changed_is_pickled_with_its_networks():
    mend = segmend.load("mend", device="cpu")
    changed = replace(mend, options=replace(mend.options, boundary_cut=False))

    again = pickle.loads(pickle.dumps(changed))

    assert again.options == changed.options
    assert np.array_equal(mask_of(again), mask_of(changed))


def test_the_precision_that_is_asked_for_is_what_runs():
    mend = segmend.load("mend", device="cpu", precision="float32")

    assert mend.engine.name.endswith("float32")
    assert mend.space.reader.name.endswith("float32")
    assert segmend.load("mend", device="cpu", precision="float32") is mend
    assert segmend.load("mend", device="cpu", precision="bfloat16") is not mend


@pytest.mark.parametrize("method", NETWORKED)
def test_every_network_of_a_method_runs_on_the_chosen_device(method, monkeypatch):
    asked = []
    monkeypatch.setattr(
        OpenVinoEngine,
        "__init__",
        lambda self, path, precision="auto": asked.append(precision) or real(self, path, precision),
    )

    import_module(cards.module_of(method)).load(device=Device("cpu", "float32"))

    assert set(asked) == {"float32"}


real = OpenVinoEngine.__init__


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(device):
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(SettingsError, match=f"no device {device} that torch can use; choose cpu or auto"):
        segmend.load("mend", device=device)


def test_a_device_that_nobody_knows_or_a_method_that_takes_none_is_refused():
    with pytest.raises(SettingsError, match="one of auto, cpu, cuda, mps; got 'gpu'"):
        segmend.load("mend", device="gpu")
    with pytest.raises(SettingsError, match="one of auto, float32, bfloat16; got 'int8'"):
        segmend.load("mend", precision="int8")
    with pytest.raises(SettingsError, match="'graphcut' runs no network, so it takes no device or precision; got cuda"):
        segmend.load("graphcut", device="cuda")
    assert segmend.load("graphcut", device="cpu") is not None
    assert methods.load_where_possible("graphcut", None, Device("cuda")) is not None


def test_without_torch_a_graphics_processor_says_what_it_needs(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(SettingsError, match="The device cuda needs torch; install it with: pip install"):
        load_network(READER, device="cuda")


def test_torch_runs_in_half_precision_where_it_is_asked_to():
    whole, half = TorchEngine(READER, "cpu"), TorchEngine(READER, "cpu", "bfloat16")
    x = np.random.default_rng(0).normal(0, 1, (1, 4, 128, 128)).astype(np.float32)

    apart = [
        np.abs(a - b).max() for a, b in zip(whole.run({"x": x}).values(), half.run({"x": x}).values(), strict=True)
    ]

    assert "bfloat16" in half.name
    assert 0 < max(apart)
    assert pickle.loads(pickle.dumps(half)).name == half.name


def test_what_is_printed_is_short():
    workspace = segmend.load("mend", device="cpu").open(IMAGE)
    empty = np.zeros(IMAGE.shape, bool)
    prediction = segmend.answer(workspace, CLICK, empty)
    session = segmend.Session(IMAGE.shape).add(segmend.Defined(segmend.Label(1, "lesion", (230, 75, 60))))
    image = Image(np.zeros((2, 4, 5, 6), np.int16))

    assert repr(image) == "<Image of 4 x 5 x 6 voxels (z, y, x), 1 x 1 x 1 mm each, int16, 2 channels>"
    assert repr(segmend.Mask(np.ones((1, 2, 3), bool))) == "<Mask of 6 voxels in 1 x 2 x 3 from (0, 0, 0)>"
    assert repr(workspace) == f"<MendWorkspace of {IMAGE!r}>"
    assert repr(prediction).startswith(f"<Prediction of {prediction.mask.sum()} voxels in Box(low=(0, ")
    assert "expected Dice" in repr(prediction)
    assert repr(session).endswith("1 of 1 events in effect, 0 unanswered, labels: lesion>")
    assert "data" not in repr(segmend.Patch.between(np.zeros((1, 4, 4), np.uint16), np.ones((1, 4, 4), np.uint16)))
    for card in methods.cards():
        segmenter = segmend.load(card.id)
        assert len(repr(segmenter)) < 200
        assert len(repr(segmenter.open(phantom((1, 64, 64) if 2 in card.dimensions else (12, 32, 32))[0]))) < 200
