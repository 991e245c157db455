"""Weights folders and a checkpoint that the first version wrote: the same masks, and the run goes on."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from segmend import methods, samples
from segmend.core.image import Image
from segmend.core.masks import dice
from segmend.core.prompts import from_json
from segmend.core.segmenter import answer
from segmend.learning import loop
from segmend.runtime.engine import TorchEngine, load_network

HERE = Path(__file__).parent
FAST = {"threads": 1, "workers": 0, "exam": 1, "sets": ("skin",), "batch": 2, "synthetic": 0.0}
OPTIONS = {  # of the runs that were stopped
    "mend": FAST | {"widths": (4,) * 6, "light": (4,) * 6},
    "iunet": FAST | {"batch": 4, "widths": (4, 8, 12), "cells": 64},
}
LEVELS = {"half": 1, "quarter": 2, **{f"f{level}": level for level in range(8)}}  # how often an input was halved
NETWORKS = sorted(
    [*HERE.glob("weights/*/*.onnx"), *Path(methods.__file__).parent.glob("weights/*.onnx")],
    key=lambda path: (path.parent.name, path.name),
)


@pytest.mark.parametrize("method", OPTIONS)
def test_weights_answer_as_they_did(method):
    kept = np.load(HERE / "weights" / f"{method}.npz")
    segmenter = methods.load(method, HERE / "weights" / method)

    overlaps = []
    for number, said in enumerate(json.loads(str(kept["prompts"]))[:2]):
        workspace = segmenter.open(Image(kept[f"image{number}"]))
        prompts, before = [], np.zeros(kept[f"masks{number}"].shape[1:], bool)
        for new, then in zip(said, kept[f"masks{number}"], strict=True):
            prompts += [from_json(prompt) for prompt in new]
            overlaps.append(dice(answer(workspace, prompts, before).over(before), then))
            before = then

    assert len(overlaps) == 6
    assert np.mean(overlaps) > 0.99 and min(overlaps) > 0.97  # bfloat16 moves a few pixels of masks of 1000


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_torch_builds_every_network_by_the_name_in_its_file(path):
    """Also when its class has another name by now."""
    rng = np.random.default_rng(0)
    sides = {4: {2: 64, 3: 64}, 5: {2: 32, 3: 32, 4: 32}}
    inputs = {}
    for value in onnx.load(path).graph.input:
        given = [side.dim_value for side in value.type.tensor_type.shape.dim]
        level = LEVELS.get(value.name, 0)
        shape = [given[0] or 1, *given[1:2], *(s >> level for s in sides.get(len(given), {}).values())]
        inputs[value.name] = rng.random(shape).astype(np.float32)

    ours = load_network(str(path), device="cpu", precision="float32").run(inputs)
    theirs = TorchEngine(str(path), "cpu").run(inputs)

    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        np.testing.assert_allclose(values, theirs[name], rtol=1e-2, atol=1e-2 * np.abs(values).max())


@pytest.mark.parametrize("method", OPTIONS)
def test_a_run_goes_on_from_its_checkpoint(method, tmp_path):
    samples.write_folder(tmp_path / "data", cases=8, kinds=("skin",), shapes={"skin": (1, 60, 80)})
    out = Path(shutil.copytree(HERE / "stopped" / method, tmp_path / "out"))
    lines = []

    done = loop.main(method, tmp_path / "data", out, steps=8, every=4, log=lines.append, **OPTIONS[method])

    assert "resumed at step 4" in lines and done.steps == 8
    assert all(path.is_file() for path in done.weights)
    assert methods.load(method, out)
