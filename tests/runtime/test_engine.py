"""One exported network, two engines, the same answers."""

import importlib.util
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from segmend.errors import ModelError, SettingsError
from segmend.nets.mend import PromptDecoder
from segmend.nets.unet import UNet
from segmend.runtime.budget import MEMORY
from segmend.runtime.engine import (
    CROWDED,
    MORE_CROWDED,
    RUNNING,
    OpenVinoEngine,
    TorchEngine,
    export_network,
    load_network,
    release_activations,
    torch_network,
    weights_file,
    weights_of,
)

SETTINGS = {"inputs": 3, "widths": [4, 8, 12]}


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    network = UNet(**SETTINGS)
    for _ in range(5):  # give batch norm something to remember
        network(torch.randn(4, 3, 32, 32) + 1)
    path = tmp_path_factory.mktemp("weights") / "tiny.onnx"
    export_network(network, path, architecture="unet:UNet", settings=SETTINGS, inputs={"x": torch.zeros(1, 3, 32, 32)})
    return path


def random_input(*shape: int) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(0).standard_normal(shape).astype(np.float32)}


def without(monkeypatch, *missing):
    """Let these libraries look as if they were not installed."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else found(name))


@pytest.mark.parametrize("missing", [(), ("openvino",)], ids=["openvino", "onnxruntime"])
def test_every_engine_in_float32_equals_torch(exported, monkeypatch, missing):
    without(monkeypatch, *missing)
    x = random_input(2, 3, 32, 64)

    ours = load_network(str(exported), device="cpu", precision="float32").run(x)["logits"]
    reference = TorchEngine(str(exported), "cpu").run(x)["logits"]

    np.testing.assert_allclose(ours, reference, atol=1e-4)


def test_the_shipped_networks_answer_alike_on_both_engines(monkeypatch):
    path = str(weights_file("mend2d_reader.onnx"))
    x = {"x": np.random.default_rng(0).random((1, 4, 128, 128), np.float32)}
    ours = load_network(path, device="cpu", precision="float32").run(x)

    without(monkeypatch, "openvino")
    other = load_network(path, device="cpu")
    theirs = other.run(x | {"unknown": x["x"]})

    assert other.name.startswith("onnxruntime")
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        np.testing.assert_allclose(values, theirs[name], atol=2e-3 * max(1, np.abs(values).max()))


def test_without_any_engine_it_says_what_to_install(exported, monkeypatch):
    without(monkeypatch, "openvino", "onnxruntime")

    with pytest.raises(ModelError, match="need openvino or onnxruntime to run; install one of them with pip"):
        load_network(str(exported), device="cpu")


def test_onnxruntime_refuses_a_damaged_file_in_one_sentence(tmp_path, monkeypatch):
    without(monkeypatch, "openvino")
    (tmp_path / "torn.onnx").write_bytes(b"no network")

    with pytest.raises(ModelError, match="torn.onnx could not be read"):
        load_network(str(tmp_path / "torn.onnx"), device="cpu")


@pytest.mark.parametrize("precision", ["auto", "bfloat16"])
def test_a_lower_precision_stays_close_to_torch(exported, precision):
    """Also on a processor that has no bfloat16: the engine rounds to it there."""
    x = random_input(1, 3, 64, 64)

    ours = load_network(str(exported), device="cpu", precision=precision).run(x)["logits"]
    reference = TorchEngine(str(exported), "cpu").run(x)["logits"]

    np.testing.assert_allclose(ours, reference, atol=0.5 * reference.std())


def test_every_shape_gets_its_own_answer(exported):
    engine = load_network(str(exported), device="cpu", precision="float32")
    x = random_input(3, 3, 32, 32)["x"]

    together = engine.run({"x": x})["logits"]
    alone = np.concatenate([engine.run({"x": x[i : i + 1]})["logits"] for i in range(3)])

    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_an_answer_is_not_overwritten_by_the_next(exported):
    engine = load_network(str(exported), device="cpu")
    first = engine.run(random_input(1, 3, 32, 32))["logits"]
    kept = first.copy()

    engine.run({"x": np.ones((1, 3, 32, 32), np.float32)})

    np.testing.assert_array_equal(first, kept)


def halves(engine):
    """Return how many networks for half of the processor are kept."""
    return sum(MEMORY.get(engine._owner, ("half", key)) is not None for key in engine._compiled)


IN_THE_BUDGET = """
import numpy as np
from segmend.runtime.budget import MEMORY, resident_bytes, trim
from segmend.runtime.engine import load_network, release_activations, weights_file
engine = load_network(str(weights_file("mend2d_lines.onnx")), device="cpu")
x = {"x": np.random.default_rng(0).random((1, 1, 256, 256), np.float32)}
first = engine.run(x)["logits"]
sizes = [MEMORY.size_of(engine._owner)]
before, MEMORY.limit_bytes = MEMORY.limit_bytes, 0  # the one used last stays, unless there is something newer
MEMORY.put("other", 1, None, 1)
MEMORY.limit_bytes = before
MEMORY.forget("other")
sizes.append(MEMORY.size_of(engine._owner))
same = np.array_equal(engine.run(x)["logits"], first)
sizes.append(MEMORY.size_of(engine._owner))
trim()
full = resident_bytes()
release_activations()
trim()
print(*sizes, int(same), MEMORY.size_bytes, full - resident_bytes())
"""


def test_what_layers_hand_to_each_other_is_kept_within_the_budget_and_given_back_to_the_system():
    """In a process of its own: how much it grows is what is counted, and others grow and shrink meanwhile."""
    told = subprocess.check_output([sys.executable, "-c", IN_THE_BUDGET], text=True)
    first, dropped, again, same, kept, given_back = map(int, told.split())
    assert first > 4e6 and dropped == 0 and again > 4e6 and same
    assert kept == 0 and given_back > 8e6


def test_memory_that_a_running_network_uses_is_not_taken_from_it():
    engine = load_network(str(weights_file("mend2d_lines.onnx")), device="cpu")
    x = {"x": np.random.default_rng(0).random((1, 1, 256, 256), np.float32)}
    alone, over = engine.run(x)["logits"], threading.Event()

    def release():
        while not over.is_set():
            release_activations()

    thread = threading.Thread(target=release)
    thread.start()
    found = [engine.run(x)["logits"] for _ in range(10)]
    over.set()
    thread.join()
    for one in found:
        np.testing.assert_array_equal(one, alone)


def test_threads_that_run_at_the_same_time_get_the_same_numbers_as_one_alone():
    engine = load_network(str(weights_file("mend2d_reader.onnx")), device="cpu")
    x = {"x": np.random.default_rng(0).random((1, 4, 128, 128), np.float32)}
    alone, together = engine.run(x), []

    def work():
        together.extend(engine.run(x) for _ in range(CROWDED))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert halves(engine) == 1 and MEMORY.size_of(engine._owner) > 4e6
    for found in together:
        for name, values in alone.items():
            np.testing.assert_array_equal(found[name], values)


def test_half_of_a_processor_is_not_used_where_it_gives_other_numbers(exported, monkeypatch):
    engine = load_network(str(exported), device="cpu", precision="float32")
    x = random_input(1, 3, 32, 32)
    alone, real = engine.run(x)["logits"], engine._compile
    monkeypatch.setattr(engine, "_compile", lambda inputs, **_: real(inputs, INFERENCE_PRECISION_HINT="bf16"))
    other = engine._run(engine._compile(x), x)["logits"]
    assert not np.array_equal(other, alone)

    with RUNNING:
        for _ in range(CROWDED + 2):
            np.testing.assert_array_equal(engine.run(x)["logits"], alone)
    assert halves(engine) == 0


def test_networks_that_add_up_over_the_picture_always_have_all_of_the_processor():
    """Their last digits depend on the number of threads: of the shipped ones those that expect a quality."""
    for name, halved in (("mend2d_refiner", False), ("mend3d_refiner", False), ("mend2d_lines", True)):
        engine = load_network(str(weights_file(f"{name}.onnx")), device="cpu")
        assert engine._adds_up is not halved


def test_a_network_for_half_of_a_processor_that_was_dropped_is_compiled_again_when_it_is_worth_it(exported):
    engine = load_network(str(exported), device="cpu")
    x, made = random_input(1, 3, 32, 32), []
    with RUNNING:
        for _ in range(CROWDED * MORE_CROWDED + 1):
            engine.run(x)
            made.append(halves(engine))
            MEMORY.forget(engine._owner)

    assert [at for at, count in enumerate(made, start=1) if count] == [CROWDED + 1, CROWDED * MORE_CROWDED + 1]


def test_an_engine_says_what_it_is(exported):
    assert "float32" in load_network(str(exported), device="cpu", precision="float32").name
    assert "OpenVINO" in load_network(str(exported), device="cpu").name


def test_torch_gets_back_every_parameter(exported):
    network, inputs, outputs = torch_network(str(exported))

    assert (inputs, outputs) == (["x"], ["logits"])
    assert sum(p.numel() for p in network.parameters()) == sum(p.numel() for p in UNet(**SETTINGS).parameters())


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(ModelError, match="weights gone.onnx are missing"):
        load_network(str(tmp_path / "gone.onnx"))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_damaged_weights_are_refused(tmp_path, exported, device):
    path = tmp_path / "half.onnx"
    path.write_bytes(exported.read_bytes()[: exported.stat().st_size // 2])

    with pytest.raises(ModelError, match=r"half.onnx (could not be read|do not say)"):
        load_network(str(path), device=device)


def test_weights_without_an_architecture_run_on_openvino_only(tmp_path, exported):
    model = onnx.load(exported)
    del model.metadata_props[:]
    path = tmp_path / "foreign.onnx"
    onnx.save(model, path)

    assert OpenVinoEngine(str(path)).run(random_input(1, 3, 32, 32))["logits"].shape == (1, 1, 32, 32)
    with pytest.raises(ModelError, match="do not say which network"):
        TorchEngine(str(path), "cpu")


def test_weights_of_a_larger_network_are_refused(tmp_path, exported):
    model = onnx.load(exported)
    for entry in model.metadata_props:
        if entry.key == "settings":
            entry.value = '{"inputs": 3, "widths": [4, 8, 12, 16]}'
    path = tmp_path / "other.onnx"
    onnx.save(model, path)

    with pytest.raises(ModelError, match=r"lack .* more tensors"):
        TorchEngine(str(path), "cpu")


@pytest.mark.parametrize("option", [{"device": "tpu"}, {"precision": "int3"}])
def test_unknown_options_name_the_known_ones(exported, option):
    with pytest.raises(SettingsError, match="needs to be one of"):
        load_network(str(exported), **option)


class Two(torch.nn.Module):
    """Two inputs of different sizes and two answers, in 3D."""

    def __init__(self) -> None:
        super().__init__()
        self.look = torch.nn.Conv3d(2, 3, 3, padding=1)
        self.weigh = torch.nn.Linear(4, 3)

    def forward(self, x: torch.Tensor, code: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps = self.look(x) + self.weigh(code)[:, :, None, None, None]
        return maps, maps.mean(dim=(2, 3, 4))


def test_several_inputs_and_outputs_of_any_size(tmp_path):
    torch.manual_seed(0)
    network = Two()
    inputs = {"x": torch.zeros(1, 2, 4, 4, 4), "code": torch.zeros(1, 4)}
    export_network(
        network, tmp_path / "two.onnx", architecture="none:Two", settings={}, inputs=inputs, outputs=("maps", "mean")
    )
    x, code = torch.randn(2, 2, 3, 5, 7), torch.randn(2, 4)

    answers = load_network(str(tmp_path / "two.onnx"), device="cpu", precision="float32").run(
        {"x": x.numpy(), "code": code.numpy()}
    )

    wanted = [value.detach().numpy() for value in network(x, code)]
    np.testing.assert_allclose(answers["maps"], wanted[0], atol=1e-2)  # parameters are stored in half precision
    np.testing.assert_allclose(answers["mean"], wanted[1], atol=1e-2)


def test_outputs_keep_their_names_when_they_are_cast(tmp_path):
    network = PromptDecoder(dimensions=2, prompts=1, widths=(4, 6), features=2, head=4)
    x, fine, coarse = torch.rand(1, 1, 16, 16), torch.rand(1, 2, 16, 16), torch.rand(1, 2, 8, 8)
    settings = {"dimensions": 2, "prompts": 1, "widths": [4, 6], "features": 2, "head": 4}
    inputs = {"prompts": x, "f0": fine, "f1": coarse}
    outputs = ("logits", "quality", "hidden", "error_logits")
    path = tmp_path / "refiner.onnx"
    export_network(network, path, architecture="mend:PromptDecoder", settings=settings, inputs=inputs, outputs=outputs)

    engine, given = load_network(str(path), device="cpu"), {name: value.numpy() for name, value in inputs.items()}
    answers = engine.run(given | {"f2": np.zeros((1, 2, 4, 4), np.float32)})  # a reader of more levels than the refiner

    assert {name: value.shape for name, value in answers.items()} == {
        "logits": (1, 1, 16, 16),
        "quality": (1,),
        "hidden": (1, 4, 16, 16),
        "error_logits": (1, 1, 16, 16),
    }


def test_missing_weights_come_with_the_line_that_trains_them(tmp_path):
    with pytest.raises(ModelError, match=r"none.onnx is not shipped; make it with: segmend train iunet --data"):
        weights_of("iunet", "none.onnx")
    with pytest.raises(ModelError, match=r"none.onnx is not in .*; make it with: segmend train iunet"):
        weights_of("iunet", "none.onnx", tmp_path)


def test_engines_share_one_core_that_outlives_them(exported):
    """With the last core OpenVINO was unloaded while threads of its own still ran in it, and the process died."""
    first, second = (OpenVinoEngine(str(exported), "float32") for _ in range(2))

    assert first._core is second._core


FIRST = """
import faulthandler, os, threading
import numpy as np
from segmend.runtime.engine import weights_of
faulthandler.dump_traceback_later(40, exit=True)
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
reader = weights_of("mend", "mend2d_reader.onnx")
x = {"x": np.zeros((1, 4, 128, 128), np.float32)}
threads = [threading.Thread(target=reader.run, args=(x,)) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be pinned to a core here")
def test_threads_that_infer_first_at_the_same_moment_do_not_freeze():
    """OpenVINO's first conversion of an array, in two threads, froze every other process on one core."""
    processes = [subprocess.Popen([sys.executable, "-c", FIRST], stderr=subprocess.PIPE, text=True) for _ in range(8)]

    ended = [(process.communicate(timeout=300)[1], process.returncode) for process in processes]

    assert ended == [("", 0)] * 8
