"""Files that mend's recipe wrote when its networks were called Reader, Refiner and Namer: all of them still open."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from segmend.core.image import Image, scale_affine
from segmend.learning import loop
from segmend.learning.checkpoint import CHECKPOINT, Run, State, resume
from segmend.learning.subjects import Subject
from segmend.mend.learning import recipe
from segmend.runtime.engine import torch_network

EARLIER = Path(__file__).parent / "earlier"
SETTINGS = recipe.Settings(steps=4, batch=2, widths=(4,), light=(4,), synthetic=0.0)  # as they were then
NOW = {"reader": "encoder", "refiner": "decoder", "suspect": "error_head", "judge": "quality_head"}


def case(number: int) -> Subject:
    """Return one of the cases that the checkpoint was learned from."""
    rng = np.random.default_rng(number)
    labels = np.zeros((1, 60, 70), np.uint16)
    labels[0, 10:35, 8:40] = 1
    labels[0, 30:55, 35:60] = 2
    voxels = labels[None] * 60.0 + rng.normal(0, 8, (1, 1, 60, 70))
    affine = scale_affine((1, 1, 1))
    return Subject(Image(voxels.astype(np.float32), affine), labels, False, "squares", f"case {number}")


@pytest.mark.parametrize("part", ["reader", "refiner", "namer"])
def test_a_network_of_an_earlier_file_answers_as_it_did(part: str) -> None:
    network, inputs, outputs = torch_network(str(EARLIER / f"mend2d_{part}.onnx"))
    kept = np.load(EARLIER / f"mend2d_{part}.npz")

    with torch.inference_mode():
        answers = network(*(torch.from_numpy(kept[name]) for name in inputs))

    for name, answer in zip(outputs, (answers,) if isinstance(answers, torch.Tensor) else answers, strict=True):
        np.testing.assert_allclose(answer, kept[f"out_{name}"], atol=1e-5)


def test_a_checkpoint_of_earlier_names_is_resumed_tensor_by_tensor(tmp_path: Path) -> None:
    shutil.copy(EARLIER / "checkpoint.pt", tmp_path / CHECKPOINT)
    kept = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    names = [".".join(NOW.get(part, part) for part in name.split(".")) for name in kept["network"]]
    network = recipe.build(SETTINGS)
    average = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    state = State(network, average, recipe.optimiser(network, SETTINGS))

    assert resume(tmp_path, Run(recipe.NAME, kept["settings"], kept["cases"]), state)

    assert kept["best"] is not None and state.best is not None
    for before, after in (
        (kept["network"], network.state_dict()),
        (kept["average"], state.average),
        (kept["best"], state.best),
    ):
        assert list(after) == names
        for one, other in zip(before.values(), after.values(), strict=True):
            assert torch.equal(one, other)
    for number, (name, parameter) in enumerate(network.named_parameters()):
        mean = state.optimiser.state[parameter]["exp_avg"]
        assert name == names[number] and torch.equal(mean, kept["optimiser"]["state"][number]["exp_avg"])


def test_a_run_of_earlier_names_goes_on(tmp_path: Path) -> None:
    shutil.copy(EARLIER / "checkpoint.pt", tmp_path / CHECKPOINT)
    cases = [case(number) for number in range(3)]
    lines: list[str] = []

    done = loop.run(
        recipe, cases, cases, SETTINGS, tmp_path, threads=1, workers=0, every=1, exam=2, patience=3, log=lines.append
    )

    assert lines[0] == "resumed at step 2" and done.steps == 4
    assert [path.name for path in done.weights] == ["mend2d_reader.onnx", "mend2d_refiner.onnx", "mend2d_head.npz"]
