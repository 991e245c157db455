"""A person's own weights: trained here, then used by segment, evaluate and start in place of those in the package."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from segmend import io, methods
from segmend.cli import run
from segmend.cli.start import weights_of
from segmend.core.image import Image
from segmend.errors import ModelError, SettingsError
from segmend.runtime.engine import Device
from segmend.server.sessions.workspaces import Workspaces
from segmend.server.settings import ServerSettings

SMALL = ["--set", "steps=1", "--set", "batch=1", "--set", "exam=1", "--set", "widths=[4, 4, 4, 4, 4, 4]"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A set of two pictures, one to learn from and one to check on."""
    folder = tmp_path_factory.mktemp("data") / "discs"
    rows, columns = np.ogrid[:60, :70]
    truth = ((rows - 30) ** 2 + (columns - 30) ** 2 < 200)[None].astype(np.uint16)
    image = Image((truth[None] * 100 + 40).astype(np.uint8))
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for name in ("a", "b"):
        io.write_image(folder / "images" / f"{name}.png", image)
        io.write_mask(folder / "labels" / f"{name}.png", truth, image, [])
    (folder / "split.json").write_text(json.dumps({"train": ["a"], "val": ["b"]}))
    return folder


@pytest.fixture(scope="module")
def weights(data):
    """A folder that `segmend train` made."""
    out = data.parent / "run"
    assert run(["train", "mend", "--data", str(data), "--out", str(out), *SMALL]) == 0
    return out


def test_segment_and_evaluate_use_the_weights_of_a_folder(data, weights, tmp_path, capsys):
    image, mask = data / "images" / "a.png", tmp_path / "mask.png"

    assert run(["segment", str(image), "--click", "0,30,30", "--weights", str(weights), "-o", str(mask)]) == 0
    own = io.read_mask(mask, io.read(image))
    assert run(["segment", str(image), "--click", "0,30,30", "-o", str(mask), "--force"]) == 0
    shipped = io.read_mask(mask, io.read(image))
    assert not np.array_equal(own, shipped), "a network that learned one step answers otherwise than the shipped one"

    capsys.readouterr()
    play = ["evaluate", "--data", str(data), "--interactions", "1", "--json"]
    assert run([*play, "--weights", str(weights)]) == 0
    with_own = json.loads(capsys.readouterr().out)
    assert run(play) == 0
    with_shipped = json.loads(capsys.readouterr().out)
    assert with_own["mean"]["dice"]["1"] < with_shipped["mean"]["dice"]["1"]


@pytest.mark.parametrize(
    ("command", "method", "folder", "words"),
    [
        ("segment", "mend", "nowhere", r"There is no folder \S*nowhere with weights of mend\."),
        ("evaluate", "mend", "nowhere", r"There is no folder \S*nowhere with weights of mend\."),
        ("start", "mend", "nowhere", r"There is no folder \S*nowhere with weights of mend\."),
        ("evaluate", "graphcut", "run", r"The method 'graphcut' learns nothing, so it takes no weights; got "),
    ],
)
def test_weights_that_cannot_be_used_are_told_in_a_sentence(
    data, weights, tmp_path, capsys, command, method, folder, words
):
    image = str(data / "images" / "a.png")
    arguments = {
        "segment": [image, "--click", "0,30,30", "-o", str(tmp_path / "mask.png")],
        "evaluate": ["--data", str(data)],
        "start": ["--no-browser", "--port", "0", "--folder", str(tmp_path / "kept")],
    }[command]

    code = run([command, *arguments, "--method", method, "--weights", str(data.parent / folder)])

    err = capsys.readouterr().err
    assert code == 2
    assert re.search(words, err.splitlines()[-1])
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_weights_of_another_method_are_refused(weights, tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"method": "iunet"}))
    with pytest.raises(ModelError, match=r"weights in .* are of the method 'iunet', not of 'mend'"):
        methods.load("mend", tmp_path)
    (tmp_path / "run.json").write_text("[")
    with pytest.raises(ModelError, match=r"run.json in .* is damaged, so it does not say whose"):
        methods.load("mend", tmp_path)
    (tmp_path / "run.json").unlink()
    with pytest.raises(ModelError, match=r"mend2d_reader.onnx is not in .*; make it with: segmend train mend"):
        methods.load("mend", tmp_path)

    for part in (*weights.glob("*.onnx"), *weights.glob("*.npz")):
        (tmp_path / part.name).write_bytes(part.read_bytes())
    assert methods.load("mend", tmp_path)


def test_the_server_opens_workspaces_with_the_weights_it_was_given(weights, data):
    image = io.read(data / "images" / "a.png")

    own = Workspaces(10**9, {"mend": weights}).open("a", "mend", lambda: image)
    shipped = Workspaces(10**9).open("a", "mend", lambda: image)

    assert own.inner.planes.windows.networks is methods.load("mend", weights).planes
    assert shipped.inner.planes.windows.networks is methods.load("mend").planes
    assert own.inner.planes.windows.networks is not shipped.inner.planes.windows.networks


def test_start_takes_a_folder_for_each_method(weights, data, monkeypatch):
    assert weights_of((str(weights),), "mend") == {"mend": weights}
    assert weights_of((f"mend={weights}",), "graphcut") == {"mend": weights}
    with pytest.raises(SettingsError, match="There is no method 'nobody'"):
        weights_of((f"nobody={weights}",), "mend")

    served: list[ServerSettings] = []
    monkeypatch.setattr("segmend.cli.start.serve", lambda settings, ready: served.append(settings))
    kept = str(data.parent / "kept")
    assert run(["start", "--no-browser", "--no-samples", "--folder", kept, "--weights", str(weights)]) == 0
    assert served[0].weights == {"mend": weights}
    assert isinstance(served[0].data, Path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a graphics processor")
def test_a_device_that_is_not_there_is_one_sentence_of_every_command(data, tmp_path, capsys):
    image = str(data / "images" / "a.png")
    for command in (
        ["segment", image, "--click", "0,30,30", "-o", str(tmp_path / "mask.png")],
        ["evaluate", "--data", str(data)],
        ["doctor"],
        ["start", "--no-browser"],
    ):
        assert run([*command, "--device", "cuda"]) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last == "This machine has no device cuda that torch can use; choose cpu or auto."
    assert not (tmp_path / "mask.png").exists()


def test_the_precision_that_was_asked_for_runs(data, tmp_path, capsys, monkeypatch):
    asked, real = [], methods._loaded
    monkeypatch.setattr(methods, "_loaded", lambda *given: asked.append(given[2]) or real(*given))
    chosen = ["--device", "cpu", "--precision", "float32"]

    assert (
        run(["segment", str(data / "images" / "a.png"), "--click", "0,30,30", "-o", str(tmp_path / "m.png"), *chosen])
        == 0
    )
    assert run(["evaluate", "--data", str(data), "--interactions", "1", *chosen]) == 0

    assert set(asked) == {Device("cpu", "float32")}


def test_the_server_runs_networks_on_its_device_and_other_methods_all_the_same():
    workspaces = Workspaces(1 << 30, device=Device("cpu", "float32"))
    image = Image(np.zeros((1, 1, 40, 40), np.uint8))

    network, classical = (workspaces.open("s", method, lambda: image).inner for method in ("iunet", "graphcut"))

    assert network.engine.name.endswith("float32")
    assert classical is not None
