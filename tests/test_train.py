"""Training: it learns, it goes on after a kill as if nothing had happened, it refuses what does not fit."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from segmend.errors import ModelError, SettingsError, StoreError
from segmend.image import Image
from segmend.recipes import mend as how
from segmend.recipes import recipe
from segmend.train import run, settings_from

SMALL = how.Settings(steps=12, batch=2, widths=(8, 8, 8, 8, 8, 8), synthetic=0.0, regions=0.0, pasted=0.0)


def bright_disc(seed: int = 0) -> how.Subject:
    rows, columns = np.ogrid[:96, :80]
    truth = (rows - 50) ** 2 + (columns - 38) ** 2 < 20**2
    image = np.where(truth, 200.0, 60.0) + np.random.default_rng(seed).normal(0, 5, truth.shape)
    return how.Subject(Image(image[None, None].astype(np.float32)), truth[None].astype(np.uint16), False, "discs")


def quiet(_: str) -> None:
    pass


def test_it_overfits_one_bright_disc_in_seconds(tmp_path):
    settings = replace(SMALL, steps=50, batch=4, rate=1e-2, widths=(8, 16, 16, 16, 16, 16), average=0.9)

    exam = how.Sampler([bright_disc(1)], replace(settings, seed=1))
    before = how.validate(how.build(settings), [exam[i] for i in range(8)])["dice_1"]

    finished = run(how, [bright_disc()], [bright_disc(1)], settings, tmp_path, every=50, exam=8, workers=0, log=quiet)

    assert finished.scores["dice_1"] > max(0.6, before + 0.15)
    assert finished.weights[0].stat().st_size > 1000


def test_a_run_leaves_its_settings_and_its_curve(tmp_path):
    run(how, [bright_disc()], [bright_disc()], SMALL, tmp_path, every=6, exam=2, workers=0, log=quiet)

    assert json.loads((tmp_path / "run.json").read_text())["settings"]["steps"] == 12
    rows = list(csv.DictReader((tmp_path / "curve.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["6", "12"]


def test_the_same_seed_gives_the_same_weights(tmp_path):
    for name in ("one", "two"):
        run(how, [bright_disc()], [bright_disc()], SMALL, tmp_path / name, exam=2, workers=0, log=quiet, threads=1)

    assert (tmp_path / "one" / "mend2d.onnx").read_bytes() == (tmp_path / "two" / "mend2d.onnx").read_bytes()


CHILD = """
import sys, pathlib
sys.path.insert(0, sys.argv[1])
from tests.test_train import SMALL, bright_disc, quiet
from segmend.recipes import mend as how
from segmend.train import run
out = pathlib.Path(sys.argv[2])
run(how, [bright_disc()], [bright_disc()], SMALL, out, every=4, exam=2, workers=0, log=quiet, threads=1)
"""


def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path):
    root = str(Path(__file__).parent.parent)
    run(
        how,
        [bright_disc()],
        [bright_disc()],
        SMALL,
        tmp_path / "whole",
        exam=2,
        workers=0,
        log=quiet,
        threads=1,
        every=4,
    )
    child = subprocess.Popen([sys.executable, "-c", CHILD, root, str(tmp_path / "killed")])
    checkpoint = tmp_path / "killed" / "checkpoint.pt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not (tmp_path / "killed" / "mend2d.onnx").exists()

    lines: list[str] = []
    run(
        how, [bright_disc()], [bright_disc()], SMALL, tmp_path / "killed",
        exam=2, workers=0, log=lines.append, threads=1, every=4,
    )  # fmt: skip

    assert lines[0].startswith("resumed at step")
    assert (tmp_path / "killed" / "mend2d.onnx").read_bytes() == (tmp_path / "whole" / "mend2d.onnx").read_bytes()


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    run(how, [bright_disc()], [bright_disc()], SMALL, tmp_path, exam=2, workers=0, log=quiet)

    with pytest.raises(ModelError, match="made with another rate"):
        run(how, [bright_disc()], [], replace(SMALL, rate=0.5), tmp_path, exam=0, workers=0, log=quiet)


def test_a_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")

    with pytest.raises(ModelError, match=r"checkpoint.pt could not be read .* move it away"):
        run(how, [bright_disc()], [], SMALL, tmp_path, exam=0, workers=0, log=quiet)


def test_a_checkpoint_that_cannot_be_saved_leaves_the_one_before(tmp_path, monkeypatch):
    run(how, [bright_disc()], [bright_disc()], SMALL, tmp_path, exam=2, workers=0, log=quiet)
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(StoreError, match=r"could not be saved .*No space left.* the one before is intact"):
        run(how, [bright_disc()], [bright_disc()], replace(SMALL, steps=14), tmp_path, exam=2, workers=0, log=quiet)

    assert (tmp_path / "checkpoint.pt").read_bytes() == before


@pytest.mark.parametrize("method", ["graphcut", "nobody", "../etc"])
def test_what_does_not_learn_is_refused(method):
    with pytest.raises(SettingsError, match="cannot be trained"):
        recipe(method)


def test_an_unknown_setting_names_the_known_ones():
    with pytest.raises(SettingsError, match=r"no setting 'stepps'; there are .*steps"):
        settings_from(how, {"stepps": 3})


def test_samples_are_the_same_by_number_and_hold_an_object():
    sampler = how.Sampler([bright_disc()], how.Settings())

    for number in range(12):
        one, two = sampler[number], sampler[number]
        np.testing.assert_array_equal(one.image, two.image)
        np.testing.assert_array_equal(one.truth, two.truth)
        assert one.truth.any() and one.image.shape == (4, 128, 128)
        assert 0 <= one.image.min() and one.image.max() <= 1
