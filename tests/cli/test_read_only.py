"""A package that cannot be written, as in most containers, compiles its loops once and not in every run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

import segmend
from segmend.cli.place import keep_machine_code

# Root may write everywhere, unless it gives this up.
OBEDIENT = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


@pytest.fixture
def package(tmp_path):
    """A folder to import a copy of Segmend from, which cannot be written to."""
    if OBEDIENT and shutil.which("setpriv") is None:
        pytest.skip("root can write everywhere here")
    folder = tmp_path / "installed"
    unused = shutil.ignore_patterns("__pycache__", "web", "*.onnx", "*.npz")
    shutil.copytree(Path(segmend.__file__).parent, folder / "segmend", ignore=unused)
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    yield folder
    for path in folders:
        path.chmod(0o755)


def test_compiled_loops_are_kept_with_the_data(package, tmp_path):
    Pillow.fromarray((180 * (np.indices((40, 50)).sum(axis=0) < 40)).astype(np.uint8)).save(tmp_path / "half.png")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "SEGMEND_", "XDG_"))}
    settings = {"PYTHONPATH": str(package), "HOME": str(tmp_path), "NUMBA_DEBUG_CACHE": "1"}

    def segmented():
        command = [*OBEDIENT, sys.executable, "-m", "segmend", "segment", "half.png", "--method", "graphcut"]
        command += ["--click", "0,5,5", "-o", "mask.png", "--force"]
        done = subprocess.run(command, env=kept | settings, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    first, second = segmented(), segmented()

    assert "data saved to" in first and str(tmp_path / ".segmend" / "compiled") in first
    assert "data saved to" not in second and "data loaded from" in second
    assert not list(package.rglob("__pycache__"))
    assert sorted(path.name for path in tmp_path.glob(".*")) == [".segmend"]


def test_whoever_names_a_folder_for_machine_code_decides(package, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setenv("NUMBA_CACHE_DIR", "mine")

    keep_machine_code(tmp_path, package / "segmend")

    assert os.environ["NUMBA_CACHE_DIR"] == "mine"


def test_a_package_that_can_be_written_keeps_its_machine_code_itself(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    (tmp_path / "solvers").mkdir()

    keep_machine_code(tmp_path / "data", tmp_path)

    assert "NUMBA_CACHE_DIR" not in os.environ
