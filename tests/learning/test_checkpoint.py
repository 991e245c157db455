"""Checkpoints: whole or not at all, and only for the run that they belong to."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from segmend.errors import DiskFullError, ModelError, StoreError
from segmend.learning.checkpoint import CHECKPOINT, Run, State, keep, keep_folder, refused, resume, save

RUN = Run("mend", {"steps": 10, "rate": 0.1, "widths": (8, 16), "patience": 0}, {"cells": 3})


def state(width: int = 3) -> State:
    torch.manual_seed(0)
    network = torch.nn.Linear(2, width)
    average = {key: value.clone() for key, value in network.state_dict().items()}
    return State(network, average, torch.optim.AdamW(network.parameters()))


def changed(**settings) -> Run:
    return Run(RUN.method, {**RUN.settings, **settings}, RUN.cases)


@contextmanager
def small_files(most: int) -> Iterator[None]:
    """Let the system refuse every file of more bytes, as a full disk or a quota does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_is_saved_comes_back(tmp_path):
    one, two = state(), state()
    one.step, one.seconds, one.loss = 7, 1.5, 0.25
    one.rows = [{"step": 7, "loss": 0.25, "dice": 0.5}]
    one.best = {"weight": torch.ones(3, 2)}
    with torch.no_grad():
        one.network.weight.fill_(2)
        one.average["bias"].fill_(3)

    save(tmp_path, RUN, one)

    assert not resume(tmp_path / "elsewhere", RUN, two)
    assert resume(tmp_path, changed(steps=99), two)
    assert (two.step, two.seconds, two.loss, two.rows) == (7, 1.5, 0.25, one.rows)
    assert two.network.weight.tolist() == [[2, 2]] * 3 and two.average["bias"].tolist() == [3] * 3
    assert two.best["weight"].tolist() == [[1, 1]] * 3
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_a_setting_that_came_later_keeps_its_default(tmp_path):
    save(tmp_path, RUN, state())
    later = Run(RUN.method, {**RUN.settings, "task": False}, RUN.cases, {"steps": 1, "task": False})

    assert resume(tmp_path, later, state())
    with pytest.raises(ModelError, match=r"made with another task \(False, now True\)"):
        resume(tmp_path, Run(RUN.method, {**RUN.settings, "task": True}, RUN.cases, {"task": False}), state())


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (Run("iunet", RUN.settings, RUN.cases), "was made for mend, not for iunet; train into another folder"),
        (changed(rate=0.5), r"was made with another rate \(0.1, now 0.5\)"),
        (changed(depth=2), r"another depth \(None, now 2\)"),
        (changed(patience=4), r"another patience \(0, now 4\)"),
        (Run("mend", {"steps": 10}, RUN.cases), r"another rate \(0.1, now None\)"),
        (Run("mend", RUN.settings, {"cells": 4}), r"with other cases \(3 of cells, now 4 of cells\)"),
        (Run("mend", RUN.settings, {}), r"with other cases \(3 of cells, now none\)"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_and_kept(tmp_path, run, words):
    save(tmp_path, RUN, state())
    before = (tmp_path / CHECKPOINT).read_bytes()

    with pytest.raises(ModelError, match=words):
        resume(tmp_path, run, state())

    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_how_patient_a_run_is_may_change_once_it_is(tmp_path):
    save(tmp_path, changed(patience=2), state())

    assert resume(tmp_path, changed(patience=5), state())


def test_a_checkpoint_of_another_version_is_refused(tmp_path):
    save(tmp_path, RUN, state())

    with pytest.raises(ModelError, match=r"was made by version \S+, whose network was another one .* another folder"):
        resume(tmp_path, RUN, state(width=4))

    torch.save({"step": 3}, tmp_path / CHECKPOINT)
    with pytest.raises(ModelError, match="is of format 1 and this version reads 2; move it away"):
        resume(tmp_path, RUN, state())


@pytest.mark.parametrize("data", [b"", b"not a checkpoint"])
def test_a_damaged_checkpoint_is_named(tmp_path, data):
    (tmp_path / CHECKPOINT).write_bytes(data)

    with pytest.raises(ModelError, match=r"checkpoint.pt could not be read \(\w+\); move it away to start anew"):
        resume(tmp_path, RUN, state())


def test_a_checkpoint_that_does_not_fit_on_the_disk_leaves_the_one_before(tmp_path):
    save(tmp_path, RUN, state())
    before = (tmp_path / CHECKPOINT).read_bytes()

    with small_files(1000), pytest.raises(StoreError, match=r"checkpoint.pt could not be saved \(File too large\)"):
        save(tmp_path, RUN, state())

    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_a_full_disk_is_called_so():
    error = refused("checkpoint.pt", OSError(28, "No space left on device"))

    assert isinstance(error, DiskFullError)
    assert str(error) == (
        "checkpoint.pt could not be saved (No space left on device); what was saved before is intact."
    )
    assert not isinstance(refused("x", OSError(13, "Permission denied")), DiskFullError)


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match=r"curve.csv could not be saved \(.+\)"):
        keep(tmp_path / "file" / "curve.csv", b"")


def test_new_weights_come_all_together_or_not_at_all(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"old")

    def write(folder):
        (folder / "a.onnx").write_bytes(b"new")
        (folder / "b.onnx").write_bytes(b"n" * 5000)
        return folder / "a.onnx", folder / "b.onnx"

    with small_files(1000), pytest.raises(StoreError, match=r"new weights could not be saved \(File too large\)"):
        keep_folder(tmp_path, write)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.onnx", b"old")]

    assert keep_folder(tmp_path, write) == (tmp_path / "a.onnx", tmp_path / "b.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "b.onnx"]
    assert (tmp_path / "a.onnx").read_bytes() == b"new"
