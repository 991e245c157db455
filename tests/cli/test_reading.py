"""Files that a person named: what takes too long or too much ends with one sentence and exit code 2."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from segmend import io
from segmend.cli import reading, run
from segmend.core.image import Image
from segmend.io import apart
from tests.io.test_apart import write_empty_scan


@pytest.fixture
def refused(capsys, tmp_path, monkeypatch):
    """Run a command that refuses; return its one sentence."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))

    def call(*arguments: object):
        code = run([str(a) for a in arguments])
        out, told = capsys.readouterr()
        assert (code, out, told.count("\n")) == (2, "", 1), told
        assert list((tmp_path / "temporary").iterdir()) == []
        return told.strip()

    return call


@pytest.fixture
def slow(tmp_path):
    """An image of numbers in words, which takes a third of a second to read."""
    head = b"NRRD0004\ntype: double\ndimension: 3\nsizes: 2000 1000 1\nencoding: text\n\n"
    (tmp_path / "slow.nrrd").write_bytes(head + b"1 " * 2_000_000)
    return tmp_path / "slow.nrrd"


@pytest.mark.parametrize(
    "arguments",
    [["convert"], ["segment", "--click", "5,5", "--method", "graphcut", "--out"]],
    ids=["convert", "segment"],
)
def test_an_image_that_takes_too_long_is_given_up(refused, slow, tmp_path, monkeypatch, arguments):
    monkeypatch.setattr(reading, "READ_SECONDS", 0.01)

    told = refused(arguments[0], slow, *arguments[1:], tmp_path / "out.nii")

    assert told == "slow.nrrd could not be read within 0.0681 seconds of a processor; it may be damaged."
    assert not (tmp_path / "out.nii").exists()


def test_a_mask_that_takes_too_long_is_given_up(refused, slow, tmp_path, monkeypatch):
    io.write_image(tmp_path / "scan.nii", Image(np.zeros((1, 1, 1000, 2000), np.uint8)))
    monkeypatch.setattr(reading, "READ_SECONDS", 0.01)

    told = refused("convert", slow, tmp_path / "out.nii", "--mask", tmp_path / "scan.nii")

    assert "slow.nrrd could not be read within" in told


def test_a_pipe_that_nobody_fills_is_given_up(refused, tmp_path, monkeypatch):
    monkeypatch.setattr(apart, "STARTING_SECONDS", 0.3)
    monkeypatch.setattr(apart, "PATIENCE", 0)
    os.mkfifo(tmp_path / "pipe.nii")

    assert "pipe.nii could not be read within" in refused("convert", tmp_path / "pipe.nii")


def test_an_image_that_needs_too_much_memory_is_refused(refused, tmp_path, monkeypatch):
    empty = write_empty_scan(tmp_path / "empty.nii")
    monkeypatch.setattr(apart, "free_memory", lambda: 0)
    monkeypatch.setattr(apart, "BESIDE", 8 << 20)

    assert refused("convert", empty, tmp_path / "out.nii") == "empty.nii needs more memory than there is."


def test_without_a_folder_for_temporary_files_images_are_read_all_the_same(tmp_path, monkeypatch, capsys):
    io.write_image(tmp_path / "scan.nii", Image(np.ones((1, 2, 3, 4), np.uint8)))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))

    assert run(["convert", str(tmp_path / "scan.nii"), str(tmp_path / "out.nrrd")]) == 0
    assert io.read(Path(tmp_path, "out.nrrd")).voxels.sum() == 24
    assert "2 x 3 x 4 voxels" in capsys.readouterr().out
