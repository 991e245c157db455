"""SIGKILL at random moments: what the store said it has, it has."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from segmend.core.session import Canvas
from segmend.store import Store
from tests.store.drawn import CLICK, LESION, SHAPE, image, patch

ROOT = Path(__file__).parents[2]
LEAST = 5  # lines, however slow the machine is: two events that were answered, and a third


class Writers:
    """The process that endless writers are forked from."""

    def __init__(self, folder: Path) -> None:
        self._pipe = folder / "said"
        os.mkfifo(self._pipe)
        command = [sys.executable, "-m", "tests.store.endless_writer"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, text=True)

    def killed(self, what: str, folder: Path, of: str, seconds: float) -> list[str]:
        """Let one write until it has said `LEAST` lines and `seconds` longer; return its lines."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([str(self._pipe), what, str(folder), of]) + "\n")
        self._process.stdin.flush()
        with self._pipe.open() as said:
            number = int(said.readline().split()[1])
            first = [said.readline() for _ in range(LEAST)]
            time.sleep(seconds)
            os.kill(number, signal.SIGKILL)
            lines = [*first, *said.readlines()]
        self._wait_for_the_end_of(number)
        return [line.strip() for line in lines if line.endswith("\n")]

    def _wait_for_the_end_of(self, number: int) -> None:
        with suppress(ProcessLookupError):
            while True:
                os.kill(number, 0)
                time.sleep(0.001)

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def writers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Writers]:
    made = Writers(tmp_path_factory.mktemp("writers"))
    yield made
    made.close()


def test_every_event_and_answer_survives_every_kill(writers: Writers, tmp_path: Path) -> None:
    generator = np.random.default_rng(20)
    with Store.local(tmp_path) as store:
        session = store.add_session(store.add_case("a", image()).id).id
        store.append(session, 0, LESION)
    said: set[str] = set()

    for _ in range(15):
        said.update(writers.killed("events", tmp_path, session, generator.uniform(0, 0.1)))
        with Store.local(tmp_path) as store:
            found = store.session(session)
        kept = {f"event {i}" for i in range(len(found.events))} | {f"answer {i}" for i in found.answers}
        assert said <= kept
        assert found.events[1:] == (CLICK,) * (len(found.events) - 1)
        assert len(found.pending) <= 1  # only the one that was being answered
        assert all(answer == patch(i) for i, answer in found.answers.items())

    replay = np.zeros(SHAPE, np.uint16)
    for i in found.answers:
        replay[patch(i).box.slices] ^= patch(i).values
    canvas = Canvas(SHAPE)
    canvas.follow(found)
    np.testing.assert_array_equal(canvas.map, replay)
    assert len(found.events) > 30


def test_cases_are_whole_or_not_there_after_every_kill(writers: Writers, tmp_path: Path) -> None:
    generator = np.random.default_rng(21)
    (tmp_path / "source").mkdir()
    for name in ("1.dcm", "2.dcm", "3.dcm"):
        (tmp_path / "source" / name).write_bytes(name.encode())
    said: set[str] = set()

    for _ in range(5):
        said.update(writers.killed("cases", tmp_path / "store", str(tmp_path / "source"), generator.uniform(0, 0.1)))
        with Store.local(tmp_path / "store") as store:
            store.sweep(abandoned=timedelta(0))
            cases = store.cases()
            assert said <= {f"case {case.id}" for case in cases}
            files = {p for p in (tmp_path / "store" / "blobs").rglob("*") if p.is_file()}
            assert len(files) == 4 * len(cases)  # the image and its source, and nothing else
            for case in cases:
                np.testing.assert_array_equal(store.image(case.id).voxels, image().voxels)
                with store.source_of(case.id) as source:
                    assert {p.read_bytes() for p in source.iterdir()} == {b"1.dcm", b"2.dcm", b"3.dcm"}
