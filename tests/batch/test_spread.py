"""Work on a real Ray of two processes: nothing is lost and nothing is done twice, whatever dies."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from segmend import io
from segmend.batch.cases import BatchCase
from segmend.batch.job import Job
from segmend.batch.run import outcomes, reading_apart
from segmend.batch.spread import spread_outcomes
from segmend.core.image import Image
from segmend.core.prompts import Click
from segmend.errors import PromptError, SettingsError
from segmend.evaluation.compare import compare
from segmend.evaluation.evaluate import evaluate
from segmend.learning.cache import kept_in
from segmend.learning.subjects import subjects
from segmend.papers.study.experiment import Plan
from segmend.papers.study.reproduce import reproduce
from segmend.runtime import cluster
from segmend.runtime.cluster import Cluster, LostError
from segmend.runtime.cores import usable_cores
from tests.datasets.test_folder import flat_labels, write_case, write_split
from tests.drawn_experiment import EXPERIMENT, draw

PATIENCE = 120  # seconds


@pytest.mark.skipif("ray" in sys.modules, reason="Ray is there already")
def test_without_ray_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(SettingsError, match=r"A cluster needs Ray; install it with: pip install 'segmend\[ray\]'"):
        list(Cluster("ray", 2).spread([1], dict, dict))


def test_an_address_that_is_none_is_refused():
    with pytest.raises(SettingsError, match="A cluster needs to be ray, or an address such as ray://head:10001; got"):
        Cluster("localhost")


@pytest.fixture(scope="module")
def two():
    """Two processes of a real Ray on this machine."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'segmend[ray]'")
    yield Cluster("ray", 2)
    ray.shutdown()


def prepared(folder: Path) -> int:
    (folder / f"prepared-{os.getpid()}").touch()
    return os.getpid()


def noted(folder: Path, process: int, item: int) -> tuple[int, int]:
    """Note that an item is done, and return it; 3 ends its process the first time, 5 each time."""
    if item == 5 or (item == 3 and not (folder / "ended").exists()):
        (folder / "ended").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    with (folder / "done").open("a") as file:
        file.write(f"{item}\n")
    assert process == os.getpid()
    return process, item * item


def told_cores(process: int, _: int) -> tuple[int, tuple[int, ...]]:
    threading.Event().wait(0.5)  # the other process works, too
    return process, usable_cores()


def refusing(_: dict, item: int) -> None:
    raise PromptError(f"No {item}.")


long = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]


class TestOnRay:
    pytestmark = long

    def test_items_whose_process_dies_are_tried_again_and_no_other_is_done_twice(self, two, tmp_path):
        found = dict(two.spread(range(8), partial(prepared, tmp_path), partial(noted, tmp_path)))

        assert {item: result[1] for item, result in found.items() if item != 5} == {
            n: n * n for n in range(8) if n != 5
        }
        assert isinstance(found[5], LostError) and str(found[5]).startswith("its process died 3 times")
        assert sorted(map(int, (tmp_path / "done").read_text().split())) == [0, 1, 2, 3, 4, 6, 7]
        assert len(list(tmp_path.glob("prepared-*"))) <= 2 + cluster.ATTEMPTS + 1  # once a process

    def test_each_process_keeps_to_its_share_of_the_cores(self, two, tmp_path):
        every = usable_cores()

        found = dict(result for _, result in two.spread(range(8), partial(prepared, tmp_path), told_cores))

        one, other = found.values()
        assert len(one) == len(other) == len(every) // 2 and not {*one} & {*other}

    def test_what_a_function_refuses_is_refused_here(self, two):
        with pytest.raises(PromptError, match=r"^No 1\.$"):
            list(two.spread([1], dict, refusing))

    def test_more_workers_than_processors_are_refused(self, two):
        with pytest.raises(SettingsError, match="workers at most; got 999"):
            list(Cluster("ray", 999).spread([1], dict, refusing))

    def test_masks_are_the_same_and_all_there_though_a_process_is_killed(self, two, tmp_path):
        cases = [BatchCase("nothing", (tmp_path / "nothing.png",))]
        for number in range(6):
            picture = np.full((1, 1, 40, 50), 20, np.uint8)
            picture[0, 0, 10:30, 5 + number : 25 + number] = 200
            io.write_image(tmp_path / f"{number}.png", Image(picture))
            cases.append(BatchCase(str(number), (tmp_path / f"{number}.png",)))
        marks = [Click((0, 20, 15)), Click((0, 1, 1), False)]
        here, there = (Job("graphcut", tmp_path / name) for name in ("here", "there"))
        (tmp_path / "here").mkdir()
        (tmp_path / "there").mkdir()

        with reading_apart(tmp_path, 5.0) as apart:
            wanted = {one.case: one for one in outcomes(cases, here, apart, shared=marks)}
            spread = spread_outcomes(cases, there, apart, two, shared=marks)
            found = [next(spread)]
            killed = kill_a_worker()
            found += spread

        assert killed
        assert sorted(one.case for one in found) == sorted(wanted)  # each once
        assert {one.case: one.status for one in found} == {case: one.status for case, one in wanted.items()}
        for number in range(6):
            ours, theirs = (tmp_path / name / f"{number}.png" for name in ("here", "there"))
            assert ours.read_bytes() == theirs.read_bytes()

    def test_evaluation_and_comparison_are_the_same(self, two, tmp_path):
        for name in ("a", "b", "c"):
            write_case(tmp_path / "flat", name, flat_labels())
        write_split(tmp_path / "flat", val=["a", "b", "c"])
        given = {"interactions": 2}

        here = evaluate(tmp_path, "graphcut", "click", **given)
        there = evaluate(tmp_path, "graphcut", "click", workers=2, cluster="ray", **given)
        compared = compare(tmp_path, ["graphcut", "growcut"], "click", workers=2, cluster="ray", **given)

        assert [curve.dice for curve in there.curves] == [curve.dice for curve in here.curves]
        assert [one.case for one in there.cases] == ["a", "b", "c"]
        assert set(compared.reports) == {"graphcut", "growcut"}
        assert [curve.dice for curve in compared.reports["graphcut"].curves] == [curve.dice for curve in here.curves]

    def test_cases_to_learn_from_are_prepared_as_they_are_here(self, two, tmp_path):
        for name in ("a", "b", "c"):
            write_case(tmp_path / "data" / "flat", name, flat_labels())
        write_split(tmp_path / "data" / "flat", train=["a", "b", "c"])
        with kept_in(tmp_path / "here"):
            wanted = subjects(tmp_path / "data", "train")
        with kept_in(tmp_path / "there", two):
            found = subjects(tmp_path / "data", "train")
            prepared = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "there").iterdir()}
            subjects(tmp_path / "data", "train")  # nothing lacks: nothing is made anew

        assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "there").iterdir()} == prepared
        here = {path.name: path.read_bytes() for path in (tmp_path / "here").iterdir()}
        assert {path.name: path.read_bytes() for path in (tmp_path / "there").iterdir()} == here
        assert [one.name for one in found] == [one.name for one in wanted]

    def test_a_reproduction_is_the_same_by_seeds(self, two, tmp_path):
        data = draw(tmp_path / "data")
        plan = Plan(data, tmp_path / "here", seeds=(0, 1), limit=1, log=lambda line: None)
        here = reproduce(EXPERIMENT, plan)
        there = reproduce(EXPERIMENT, replace(plan, out=tmp_path / "there"), two)

        def told(found):
            return sorted((s.arm, s.set, s.case, s.seed, s.at, s.dice) for s in found.scores)

        assert told(there) == told(here)
        again = reproduce(EXPERIMENT, replace(plan, out=tmp_path / "there"))
        assert not again.fresh  # all of it was kept


def test_a_cluster_needs_a_folder_to_prepare_cases_in():
    with pytest.raises(SettingsError, match="name it with --cache"), kept_in(None, Cluster("ray", 2)):
        pass


class Twice:
    """A cluster in this process, whose second seed is lost."""

    def spread(self, items, prepare, do):
        for number, item in enumerate(items):
            yield item, LostError("its process died 3 times") if number == 1 else do(prepare(), item)


def test_a_seed_that_is_lost_is_named_and_the_others_are_kept(tmp_path):
    data = draw(tmp_path / "data")
    plan = Plan(data, tmp_path / "out", seeds=(0, 1), limit=1, log=lambda line: None)

    with pytest.raises(SettingsError, match="Seed 1 was given up, for its process died 3 times. What the other seeds"):
        reproduce(EXPERIMENT, plan, Twice())

    assert {(arm, seed) for arm, seed in json.loads((tmp_path / "out" / "run.json").read_text())["finished"]} == {
        ("graphcut", 0), ("randomwalker", 0),
    }  # fmt: skip


def kill_a_worker() -> bool:
    """Kill a process of Ray's that does our work; True when there was one."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if path.read_bytes().startswith(b"ray::Worker"):
                    os.kill(int(path.parent.name), signal.SIGKILL)
                    return True
            except OSError:
                continue
        threading.Event().wait(0.05)
    return False
