"""Evaluation plays every object, counts what it says it counts, and survives cases that fail."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segmend import methods, report
from segmend.core.image import Image, MaskArray, whole
from segmend.core.masks import dice
from segmend.core.prompts import Click, Prompt
from segmend.core.segmenter import Method, Prediction, Segmenter, Workspace
from segmend.core.session import Label
from segmend.datasets.folder import sets
from segmend.errors import FileError, PromptError, SettingsError, ShapeError
from segmend.evaluation.evaluate import CaseResult, Curve, Job, Problem, Report, evaluate, peak_mb, play_case, run
from segmend.users import LargestError
from tests.datasets.test_folder import flat_labels, solid_labels, write_case, write_split


class Grower(Segmenter):
    """Grows a square round every positive click, by `step` voxels a click."""

    def __init__(self, step: int = 2, channels: int | None = None) -> None:
        self.step, self.channels = step, channels

    def open(self, image: Image) -> Workspace:
        if self.channels is not None and image.channels != self.channels:
            raise ShapeError(f"This needs {self.channels} channels; got {image.channels}.")
        if image.voxels.min() == 13:
            raise PromptError("Thirteen is refused.")
        if image.voxels.min() == 14:
            raise RuntimeError("a bug")
        if image.voxels.min() == 15:
            os._exit(3)
        return _Growing(image, self.step)


class _Growing(Workspace):
    def __init__(self, image: Image, step: int) -> None:
        self.values, self.step = image.voxels[0], step

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        """Keep what has the clicked values, within reach of a click."""
        mask = np.zeros(previous.shape, bool)
        reach = self.step * len(prompts)
        for prompt in prompts:
            assert isinstance(prompt, Click)
            near = tuple(slice(max(0, i - reach), i + reach + 1) for i in prompt.index)
            mask[near] |= self.values[near] == self.values[prompt.index]
        return Prediction(mask.astype(np.float32), whole(previous.shape))


def grower(step: int = 2, channels: int | None = None, *, warm: Collection[int] = ()) -> Segmenter:
    return Grower(step, channels)


def jobs(folder: Path, load: Any = grower, *, interactions: int = 10, split: str = "val") -> list[Job]:
    return [
        Job(one.name, case, load, LargestError(), interactions) for one in sets(folder, split) for case in one.cases
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sets: three pictures, one of which cannot be played, and a volume with two images a case."""
    for name in ("a", "b", "c"):
        write_case(tmp_path / "pictures", name, flat_labels())
    (tmp_path / "pictures" / "labels" / "b.png").write_bytes(b"no picture")
    write_split(tmp_path / "pictures", val=["a", "b", "c"])
    templates = ["{id}_flair", "{id}_t1c"]
    write_case(tmp_path / "volumes", "v", solid_labels(), images=tuple(templates), suffix=".nii.gz")
    write_split(tmp_path / "volumes", val=["v"], images_per_case=templates)
    return tmp_path


def test_every_object_is_played_and_the_failing_case_is_named(folder: Path) -> None:
    told: list[tuple[int, int, str]] = []

    results = list(run(jobs(folder), progress=lambda *step: told.append(step)))

    played = [r for r in results if isinstance(r, CaseResult)]
    problems = [r for r in results if isinstance(r, Problem)]
    assert [(r.set, r.case, [c.object for c in r.curves]) for r in played] == [
        ("pictures", "a", [1, 2, 4]),
        ("pictures", "c", [1, 2, 4]),
        ("volumes", "v", [1, 3]),
    ]
    assert [(p.set, p.case) for p in problems] == [("pictures", "b")]
    assert "b.png" in problems[0].reason
    assert told == [(1, 4, "pictures/a"), (2, 4, "pictures/b"), (3, 4, "pictures/c"), (4, 4, "volumes/v")]


def test_a_curve_is_what_the_rounds_gave_and_the_last_value_is_held(folder: Path) -> None:
    result = play_case(jobs(folder, partial(grower, step=40))[0])

    assert isinstance(result, CaseResult)
    curve = result.curves[0]
    assert curve.played == 1
    assert curve.dice == (1.0,) * 10
    assert curve.nsd == (1.0,) * 10
    assert (curve.hd95_mm, curve.assd_mm) == (0.0, 0.0)
    assert len(curve.seconds) == 1
    assert curve.voxels == 70
    assert curve.dice_auc == 4.0


def test_a_slow_method_needs_more_clicks(folder: Path) -> None:
    result = play_case(jobs(folder, partial(grower, step=1))[0])

    assert isinstance(result, CaseResult)
    wide = result.curves[0]
    truth = flat_labels() == 1
    first = np.zeros_like(truth)
    first[0, 4:7, 7:10] = True  # a click's 3x3 square, wherever it lies in the middle
    assert wide.dice[0] == pytest.approx(dice(truth, first))
    assert list(wide.dice) == sorted(wide.dice)
    assert wide.played > 1
    assert wide.dice[-1] == 1.0


def test_all_images_are_channels_and_a_method_that_refuses_them_gets_the_first(folder: Path) -> None:
    volume = jobs(folder, partial(grower, step=40))[-1]

    for channels in (1, 2):
        result = play_case(replace(volume, load=partial(grower, 40, channels)))
        assert isinstance(result, CaseResult), result
    refused = play_case(replace(volume, load=partial(grower, 40, 3)))

    assert refused == Problem("volumes", "v", "This needs 3 channels; got 1.")


def shifted(folder: Path, name: str, lowest: int) -> None:
    """Make the lowest value of a picture one at which `Grower` fails in some way."""
    from segmend import io

    path = folder / "pictures" / "images" / f"{name}.png"
    image = io.read(path)
    path.unlink()
    io.write_image(path, Image(image.voxels + np.uint8(lowest - 10), image.affine))


def test_a_bug_in_a_method_costs_its_case_only(folder: Path) -> None:
    shifted(folder, "a", 13)
    shifted(folder, "c", 14)

    results = list(run(jobs(folder)))

    assert results[0] == Problem("pictures", "a", "Thirteen is refused.")
    assert results[2] == Problem("pictures", "c", "RuntimeError: a bug")
    assert isinstance(results[3], CaseResult)


def test_two_processes_give_the_same_games_and_a_dying_one_costs_its_case_only(folder: Path) -> None:
    told: list[int] = []
    expected = list(run(jobs(folder)))
    shifted(folder, "c", 15)

    results = list(run(jobs(folder), workers=2, progress=lambda done, total, name: told.append(done)))

    def games(result: CaseResult | Problem) -> Any:
        if isinstance(result, Problem):
            return result
        return [replace(curve, seconds=()) for curve in result.curves]

    assert [games(r) for i, r in enumerate(results) if i != 2] == [games(r) for i, r in enumerate(expected) if i != 2]
    assert results[2] == Problem("pictures", "c", "its process died; it may have run out of memory")
    assert told == [1, 2, 3, 4]


def curve(name: str, values: Sequence[float], seconds: Sequence[float] = (0.5,), **more: Any) -> Curve:
    given: dict[str, Any] = {"case": "a", "object": 1, "voxels": 100, "hd95_mm": 1.0, "assd_mm": 0.5} | more
    half = tuple(v / 2 for v in values)
    return Curve(set=name, played=len(seconds), dice=tuple(values), nsd=half, seconds=tuple(seconds), **given)


def made_up() -> Report:
    """Two sets of unequal size, five interactions, one problem."""
    rising = curve("one", [0.5, 0.6, 0.9, 0.9, 1.0], [0.1, 0.3], quality=(0.6, 0.7))
    falling = curve("two", [0.9, 0.86, 0.86, 0.86, 0.86], [0.4, 0.6], quality=(0.6, None))
    one = CaseResult("one", "a", (rising,), 1.0, 100.0)
    two = CaseResult("two", "a", (falling, curve("two", [0.1] * 5, [0.2])), 1.0, 300.0)
    rest = CaseResult("two", "b", (), 2.0, 200.0)
    return Report("mend", "click", 5, (one, two, rest), (Problem("two", "c", "It is torn."),))


def test_the_summary_has_the_agreed_form_and_numbers() -> None:
    summary = made_up().summary()

    assert summary == {
        "method": "mend",
        "user": "click",
        "sets": {
            "one": {
                "cases": 1,
                "objects": 1,
                "dice": {"1": 0.5, "3": 0.9, "5": 1.0},
                "nsd": {"1": 0.25, "3": 0.45, "5": 0.5},
                "noc": {"0.85": 3.0},
                "failures": {"0.85": 0},
                "seconds_per_interaction": 0.2,
                "seconds_to_open": 1.0,
                "lowered": 0.0,
                "worse_at_last": 0,
                "quality_error": 0.1,
                "quality_r": 1.0,
                "peak_mb": 100.0,
            },
            "two": {
                "cases": 2,
                "objects": 2,
                "dice": {"1": 0.5, "3": 0.48, "5": 0.48},
                "nsd": {"1": 0.25, "3": 0.24, "5": 0.24},
                "noc": {"0.85": 3.0},
                "failures": {"0.85": 1},
                "seconds_per_interaction": 0.4,
                "seconds_to_open": 1.5,
                "lowered": 1.0,
                "worse_at_last": 1,
                "quality_error": 0.3,
                "quality_r": None,
                "peak_mb": 300.0,
            },
        },
        "mean": {
            "cases": 3,
            "objects": 3,
            "dice": {"1": 0.5, "3": 0.69, "5": 0.74},
            "nsd": {"1": 0.25, "3": 0.345, "5": 0.37},
            "noc": {"0.85": 3.0},
            "failures": {"0.85": 1},
            "seconds_per_interaction": 0.3,
            "seconds_to_open": 1.25,
            "lowered": 0.5,
            "worse_at_last": 1,
            "quality_error": 0.2,
            "quality_r": 1.0,
            "peak_mb": 300.0,
        },
        "problems": [{"set": "two", "case": "c", "reason": "It is torn."}],
    }
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_without_problems_the_summary_has_four_entries() -> None:
    assert sorted(replace(made_up(), problems=()).summary()) == ["mean", "method", "sets", "user"]


def test_a_set_of_which_nothing_could_be_played_is_empty_not_zero() -> None:
    summary = Report("mend", "click", 5, (), (Problem("one", "a", "It is torn."),)).summary()

    assert summary["sets"]["one"]["dice"] == {"1": None, "3": None, "5": None}
    assert summary["sets"]["one"]["noc"] == {"0.85": None}
    assert summary["mean"]["dice"]["5"] is None


@pytest.mark.parametrize(("interactions", "expected"), [(1, (1,)), (4, (1, 3, 4)), (10, (1, 3, 5, 10))])
def test_milestones_end_with_the_last_interaction(interactions: int, expected: tuple[int, ...]) -> None:
    assert Report("m", "u", interactions, ()).milestones == expected


def test_memory_is_in_megabytes_and_rises_with_use() -> None:
    before = peak_mb()
    block = np.ones(40_000_000, np.uint8)
    after = peak_mb()

    if before is None or after is None:
        assert sys.platform == "win32"
    else:
        assert 20 < before < 20_000
        assert after >= before
    assert block.all()


def test_where_there_is_no_proc_the_peak_is_that_of_the_whole_life(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource", reason="Windows counts memory in another way")

    def missing(path: Path) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", missing)
    told = peak_mb()
    monkeypatch.setitem(sys.modules, "resource", None)

    unit = 1 if sys.platform == "darwin" else 1024
    assert told == pytest.approx(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, rel=0.1)
    assert peak_mb() is None


def test_a_method_of_the_house_is_evaluated_end_to_end(folder: Path) -> None:
    found = evaluate(folder, "graphcut", "click", interactions=3, limit=1)

    summary = found.summary()
    assert list(summary["sets"]) == ["pictures", "volumes"]
    assert summary["sets"]["pictures"]["objects"] == 3
    assert list(summary["mean"]["dice"]) == ["1", "3"]
    assert 0 <= summary["mean"]["dice"]["1"] <= 1
    again = evaluate(folder, "graphcut", "click", interactions=3, limit=1)
    assert [c.dice for c in again.curves] == [c.dice for c in found.curves]


def test_a_persons_scribbles_are_played_and_a_case_without_them_is_named(folder: Path) -> None:
    from segmend import io

    image = io.read(folder / "pictures" / "images" / "a.png")
    lines = np.full((1, 20, 30), 9, np.uint16)
    lines[0, 5, 4:12], lines[0, 15, 16:27], lines[0, 10] = 1, 2, 0
    (folder / "pictures" / "scribbles").mkdir()
    names = [Label(value, f"label {value}", (255, 0, 0)) for value in (1, 2, 9)]
    io.write_mask(folder / "pictures" / "scribbles" / "a.png", lines, image, names)

    found = evaluate(folder, "graphcut", "human", interactions=1, objects=2)

    assert [(curve.case, curve.object, curve.dice[0] > 0.9) for curve in found.curves] == [
        ("a", 1, True),
        ("a", 4, True),
    ]
    assert "scribbles" in found.problems[-1].reason
    assert [(problem.set, problem.case) for problem in found.problems] == [
        ("pictures", "b"),
        ("pictures", "c"),
        ("volumes", "v"),
    ]


def test_of_many_objects_some_are_played_that_lie_evenly(folder: Path) -> None:
    found = evaluate(folder, "graphcut", "click", interactions=1, limit=1, objects=2)

    assert [(curve.set, curve.object) for curve in found.curves] == [
        ("pictures", 1),
        ("pictures", 4),  # of 1, 2 and 4
        ("volumes", 1),
        ("volumes", 3),
    ]


def test_only_the_sets_that_are_named_are_played(folder: Path) -> None:
    found = evaluate(folder, "graphcut", "click", interactions=1, names=["volumes"])

    assert found.sets == ("volumes",)
    with pytest.raises(SettingsError, match="There is no set 'brains' with a split 'val'; there are pictures, volumes"):
        evaluate(folder, "graphcut", "click", names=["brains"])


def test_what_cannot_be_asked_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="1 interaction or more; got 0"):
        evaluate(folder, "graphcut", "click", interactions=0)
    with pytest.raises(SettingsError, match="1 worker or more; got 0"):
        evaluate(folder, "graphcut", "click", workers=0)
    with pytest.raises(SettingsError, match="1 object of a case or more; got 0"):
        evaluate(folder, "graphcut", "click", objects=0)
    with pytest.raises(SettingsError, match="no user 'nobody'"):
        evaluate(folder, "graphcut", "nobody")
    with pytest.raises(SettingsError, match="no method 'nothing'"):
        evaluate(folder, "nothing", "click")
    card = Method("clicks", "Clicks only", "", ("click",), (2, 3), "none needed")
    monkeypatch.setattr(methods, "card", lambda method: card)
    with pytest.raises(SettingsError, match="'box' puts down box and click; 'clicks' takes click"):
        evaluate(folder, "clicks", "box")


# The report's files


def test_a_report_is_tables_json_and_plots(tmp_path: Path) -> None:
    paths = report.write(made_up(), tmp_path / "new" / "folder")

    names = [path.name for path in paths]
    assert names == ["summary.json", "sets.csv", "objects.csv", "problems.csv"] + [
        f"{m}.{s}" for m in ("dice", "nsd") for s in ("png", "svg")
    ]
    assert json.loads(paths[0].read_text()) == made_up().summary()
    with paths[1].open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["set"], row["dice_5"], row["failures_0.85"]) for row in rows] == [
        ("one", "1", "0"),
        ("two", "0.48", "1"),
        ("mean", "0.74", "1"),
    ]
    with paths[2].open() as file:
        objects = list(csv.DictReader(file))
    assert [(row["set"], row["dice_2"], row["clicks_to_0.85"], row["played"]) for row in objects] == [
        ("one", "0.6", "3", "2"),
        ("two", "0.86", "1", "2"),
        ("two", "0.1", "", "1"),
    ]
    assert objects[0]["dice_auc"] == "3.15"
    assert [(row["quality_1"], row["quality_2"], row["quality_3"]) for row in objects] == [
        ("0.6", "0.7", ""),
        ("0.6", "", ""),
        ("", "", ""),
    ]
    assert paths[3].read_text() == "set,case,reason\ntwo,c,It is torn.\n"
    assert paths[4].read_bytes().startswith(b"\x89PNG")


def test_a_plot_has_a_named_line_for_each_set_and_their_mean() -> None:
    plot = report.figure(made_up(), "dice")

    (axes,) = plot.axes
    assert [str(line.get_label()) for line in axes.lines] == ["one  1.000", "two  0.480", "mean of sets  0.740"]
    assert np.asarray(axes.lines[0].get_ydata()).tolist() == [0.5, 0.6, 0.9, 0.9, 1.0]
    assert axes.get_xlabel() == "Interactions"
    assert axes.get_ylabel() == "Dice"
    assert report.figure(made_up(), "nsd").axes[0].get_ylabel() == "NSD at 2 mm"


def test_an_empty_report_still_has_its_files(tmp_path: Path) -> None:
    nothing = Report("mend", "click", 5, (), (Problem("one", "a", "It is torn."),))

    report.write(nothing, tmp_path)

    assert (tmp_path / "objects.csv").read_text() == ""
    assert (tmp_path / "sets.csv").read_text().count("\n") == 3


def test_without_matplotlib_the_tables_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    written = report.write(made_up(), tmp_path)

    assert {path.name for path in written} >= {"summary.json", "sets.csv", "objects.csv"}
    assert not list(tmp_path.glob("*.png"))
    with pytest.raises(SettingsError, match=r"Plots need matplotlib: pip install 'segmend\[report\]'"):
        report.figure(made_up(), "dice")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(FileError, match="folder .*file/inside could not be made"):
        report.write(made_up(), tmp_path / "file" / "inside")


def test_labels_that_are_merged_are_one_object_and_may_overlap(tmp_path):
    labels = np.zeros((1, 20, 30), np.uint16)
    labels[0, 2:8, 2:12], labels[0, 8:14, 2:12], labels[0, 2:8, 20:25] = 1, 2, 4
    write_case(tmp_path / "tumours", "a", labels)
    write_split(tmp_path / "tumours", val=["a"])

    found = evaluate(tmp_path, "graphcut", "box", interactions=1, merge=[(), (1, 4)])

    assert [(curve.object, curve.voxels) for curve in found.curves] == [(1, 150), (1, 90)]


def test_a_mistaken_person_drops_no_case(tmp_path):
    for shift, name in enumerate("abcd"):
        write_case(tmp_path / "cells", name, np.roll(flat_labels(), shift, axis=2))
    write_split(tmp_path / "cells", val=["a", "b", "c", "d"])

    found = evaluate(tmp_path, "graphcut", "wrong", interactions=2)

    assert not found.problems and len(found.cases) == 4
    assert all(len(curve.dice) == 2 for curve in found.curves)
