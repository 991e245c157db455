"""SIGKILL at random moments: what the store said it has, it has."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np

from segmend.core.session import Canvas
from segmend.store import Store
from tests.store.drawn import CLICK, LESION, SHAPE, image, patch

ROOT = Path(__file__).parents[2]
LEAST = 5  # lines, however slow the machine is: two events that were answered, and a third


def killed(what: str, folder: Path, of: str, seconds: float) -> list[str]:
    """Run the endless writer until it has said `LEAST` lines and `seconds` longer; return its lines."""
    command = [sys.executable, "-m", "tests.store.endless_writer", what, str(folder), of]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    first = [child.stdout.readline() for _ in range(LEAST)]
    time.sleep(seconds)
    child.kill()
    lines = [*first, *child.stdout.read().splitlines(keepends=True)]
    child.stdout.close()
    child.wait()
    return [line.strip() for line in lines if line.endswith("\n")]


def test_every_event_and_answer_survives_every_kill(tmp_path: Path) -> None:
    generator = np.random.default_rng(20)
    with Store.local(tmp_path) as store:
        session = store.add_session(store.add_case("a", image()).id).id
        store.append(session, 0, LESION)
    said: set[str] = set()

    for _ in range(15):
        said.update(killed("events", tmp_path, session, generator.uniform(0, 0.1)))
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


def test_cases_are_whole_or_not_there_after_every_kill(tmp_path: Path) -> None:
    generator = np.random.default_rng(21)
    (tmp_path / "source").mkdir()
    for name in ("1.dcm", "2.dcm", "3.dcm"):
        (tmp_path / "source" / name).write_bytes(name.encode())
    said: set[str] = set()

    for _ in range(5):
        said.update(killed("cases", tmp_path / "store", str(tmp_path / "source"), generator.uniform(0, 0.1)))
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
