"""No command asks anybody on the network, or writes into the home folder, unless its user said so."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.datasets.test_folder import flat_labels, write_case, write_split
from tests.server.running import Client, clicked, defined, http

WATCHED = Path(__file__).parent / "watched"
ROOT = Path(__file__).parents[2]
NAMED = ("CI", "TF_BUILD", "JENKINS_URL", "MPLCONFIGDIR")  # some libraries behave in CI alone
SECONDS = 120


class Watched:
    """A home folder that nothing has written to, and commands in it whose network is watched."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self._asked = folder, folder / "home", folder / "asked"
        self.home.mkdir()
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name not in NAMED and not name.startswith(("XDG_", "SEGMEND_"))
        }
        paths = [str(WATCHED), os.environ.get("PYTHONPATH", "")]
        self.environment |= {"HOME": str(self.home), "SEGMEND_WATCHED": str(self._asked)}
        self.environment |= {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}

    def begun(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "segmend", *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=self.environment, cwd=self.folder, stdout=pipe, stderr=pipe, text=True)

    def run(self, *words: str) -> str:
        process = self.begun(*words)
        told, failed = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, told + failed
        return told

    @property
    def asked(self) -> list[str]:
        return self._asked.read_text().splitlines() if self._asked.exists() else []

    @property
    def written(self) -> list[str]:
        return sorted(path.relative_to(self.home).as_posix() for path in self.home.rglob("*"))


@pytest.fixture
def watched(tmp_path):
    return Watched(tmp_path)


@pytest.fixture
def picture(tmp_path):
    y, x = np.indices((64, 80))
    Pillow.fromarray((180 * (np.hypot(y - 30, x - 40) < 15)).astype(np.uint8)).save(tmp_path / "disc.png")
    return "disc.png"


@pytest.fixture
def cells(tmp_path):
    folder = tmp_path / "cells"
    for name in ("a", "b"):
        write_case(folder, name, flat_labels())
    write_split(folder, train=["a"], val=["b"])
    return "cells"


def test_the_watch_sees_a_name_that_is_looked_up(watched):
    code = "import socket, contextlib\nwith contextlib.suppress(OSError): socket.getaddrinfo('segmend.invalid', 80)"

    subprocess.run([sys.executable, "-c", code], env=watched.environment, check=True)

    assert watched.asked == ["socket.getaddrinfo segmend.invalid"]


def test_doctor(watched):
    out = watched.run("doctor")

    assert re.search(r"^processor +\S", out, re.MULTILINE)
    assert re.search(r"^interaction +[\d.]+ ms", out, re.MULTILINE)
    assert (watched.asked, watched.written) == ([], [])


def test_segment(watched, picture):
    watched.run("segment", picture, "--click", "0,30,40", "-o", "mask.png")

    assert (watched.asked, watched.written) == ([], [])
    assert (watched.folder / "mask.png").is_file()


def test_start_and_one_click(watched, picture):
    server = watched.begun("start", "--no-browser", "--port", "0", "--no-samples", "--folder", "study")
    try:
        address = next(word for word in server.stdout.readline().split() if word.startswith("http"))
        with http(address) as client:
            sent = {"files": (picture, (watched.folder / picture).read_bytes())}
            case = client.post("api/cases", files=sent).raise_for_status().json()[0]["id"]
            session = client.post(f"api/cases/{case}/sessions").json()["id"]
        with Client(address, session) as person:
            person.do(defined(1))
            position = person.next("accepted", id=person.send(clicked((0, 30, 40), method="mend")))["position"]
            person.next("answered", SECONDS, position=position)
            assert person.map[0, 30, 40] == 1
        server.send_signal(signal.SIGINT)
        _, logged = server.communicate(timeout=60)
    finally:
        server.kill()

    assert (watched.asked, watched.written, logged) == ([], [], "")


def test_start_keeps_everything_in_its_own_folder(watched):
    server = watched.begun("start", "--no-browser", "--port", "0", "--no-samples", "--method", "graphcut")
    try:
        assert "http" in server.stdout.readline()
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)
    finally:
        server.kill()

    assert watched.asked == []
    assert {path.split("/")[0] for path in watched.written} == {".segmend"}


def test_train(watched, cells):
    small = ("steps=1", "batch=1", "exam=1", "workers=0", "widths=[4, 4, 4, 4, 4, 4]")
    changes = [word for change in small for word in ("--set", change)]

    watched.run("train", "mend", "--data", cells, "--out", "run", *changes)

    assert (watched.asked, watched.written) == ([], [])
    assert (watched.folder / "run" / "mend2d_reader.onnx").is_file()


@pytest.mark.long
def test_the_tests_themselves(watched):
    """One that compares with MONAI, which imports torch and matplotlib."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/evaluation/test_metrics.py",
        "-k",
        "monai",
    ]

    done = subprocess.run(command, env=watched.environment, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)

    assert done.returncode == 0, done.stdout
    assert (watched.asked, watched.written) == ([], [])


def test_evaluate_with_its_report(watched, cells):
    watched.run("evaluate", "--data", cells, "--method", "graphcut", "--interactions", "1", "--out", "report")

    assert (watched.asked, watched.written) == ([], [])
    assert list((watched.folder / "report").glob("*.png"))
