"""The table of figures: means over sets that each count once, and goals that say whether they are reached."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from segmend.evaluation.evaluate import CaseResult, Curve, Report
from segmend.samples import write_folder

BENCH = Path(__file__).parents[1] / "bench" / "figures.py"


@pytest.fixture(scope="module")
def figures() -> Any:
    if not BENCH.is_file():
        pytest.skip("bench/ is not part of this installation")
    spec = importlib.util.spec_from_file_location("figures", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["figures"] = module  # where its dataclasses look for their names
    spec.loader.exec_module(module)
    return module


def report(*games: tuple[list[float], list[float | None]], seconds: float = 0.02) -> Report:
    curves = tuple(
        Curve("s", "a", n, 100, len(dice), tuple(dice), tuple(dice), (seconds,) * len(dice), 1.0, 1.0, tuple(quality))
        for n, (dice, quality) in enumerate(games, start=1)
    )
    return Report("mend", "click", len(games[0][0]), (CaseResult("s", "a", curves, 0.1, None),))


def one(figures: Any, name: str, kind: str, clicks: Report, **more: Any) -> Any:
    given = {"dimensions": "2D", "box": None, "human": None, "places": [], "starts": [], "moves": {}} | more
    return figures.Set(name=name, kind=kind, clicks=clicks, **given)


NONE = [None] * 10


def lines(capsys: pytest.CaptureFixture[str], starting: str) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith(starting)]


def test_every_set_counts_once_and_each_turn_has_to_reach_its_goal(figures: Any, capsys: Any) -> None:
    many = report(*[([0.9] * 10, NONE)] * 3)
    few = report(([0.9] * 2 + [0.97] * 8, NONE))
    plan = figures.Plan(Path(), "mend", None, "val", 4, 8, 0, (), (), (), (), None)

    figures.goals(plan, [one(figures, "a", "seen", many), one(figures, "b", "seen", few)])
    (line,) = lines(capsys, "2D, seen (2 sets): Dice after")
    figures.goals(plan, [one(figures, "b", "seen", few, box=few)])
    reached = lines(capsys, "2D, seen (1 sets)")

    assert ".900/.935/.935/.935" in line
    assert line.endswith("NOT reached")
    assert ".900/.970/.970/.970" in reached[0]
    assert reached[0].endswith("  reached")
    assert ".900 " in reached[1]
    assert reached[1].endswith("NOT reached")  # from a box .92 is wanted


def test_harm_is_counted_object_by_object(figures: Any, capsys: Any) -> None:
    falls = report(([0.8, 0.78, 0.9, 0.79, 0.79], NONE), ([0.5] * 5, NONE))

    figures.harm([one(figures, "a", "seen", falls), one(figures, "b", "unseen", report(([0.5, 0.6], NONE)))])

    said = capsys.readouterr().out.splitlines()
    assert ".125 (of all .222)" in said[0]  # 2 of 8 changes and 0 of 1
    assert said[0].endswith("NOT reached")
    assert "1 of 3" in said[1]
    assert said[2].strip() == "s/a 1: worse by .010"


def test_quality_is_judged_on_unseen_sets_over_all_answers(figures: Any, capsys: Any) -> None:
    honest = one(figures, "a", "unseen", report(([0.2, 0.4, 0.6], [0.25, 0.45, 0.65])))
    boasts = one(figures, "b", "seen", report(([0.2, 0.2, 0.2], [1.0, 1.0, None])))

    figures.quality([honest, boasts])

    error, r, all_error, _ = capsys.readouterr().out.splitlines()
    assert "(3 answers)" in error
    assert ".050 (over sets .050)" in error
    assert error.endswith("  reached")
    assert "1.000" in r
    assert r.endswith("  reached")
    assert ".350 (over sets .425)" in all_error  # (3 * .05 + 2 * .8) / 5
    assert all_error.endswith("NOT reached")


def test_places_and_moves_are_means_of_gains(figures: Any, capsys: Any) -> None:
    rows = [{"arm": "uncertainty", "before": 0.5, "after": 0.6}, {"arm": "uncertainty", "before": 0.5, "after": 0.8}]
    rows += [{"arm": "best", "before": 0.5, "after": 0.9}, {"arm": "random", "before": 0.5, "after": 0.55}]
    moves = {"mend": rows[:1], "graphcut": rows[1:2], "geos": rows[3:]}
    plan = figures.Plan(Path(), "mend", None, "val", 4, 8, 0, (), (), (), (), None)
    found = [one(figures, "a", "seen", report(([0.5], NONE)), places=rows, moves=moves)]

    figures.clicks_by_place(found)
    figures.clicks_by_method(plan, found)

    said = capsys.readouterr().out.splitlines()
    assert ".200 (best .400)" in said[0]
    assert "above .050 (random wrong)" in said[0]
    assert said[0].endswith("  reached")
    moved = next(line for line in said if line.startswith("a: Dice gained by one click"))
    assert ".100" in moved
    assert "above .300 (graphcut)" in moved
    assert moved.endswith("NOT reached")


def test_clicks_on_masks_from_elsewhere_may_not_lower_them(figures: Any, capsys: Any) -> None:
    good = [{"wanted": 0.7, "dice": [0.7, 0.8, 0.85, 0.9]}, {"wanted": 0.9, "dice": [0.9, 0.88, 0.9, 0.9, 0.9, 0.92]}]

    figures.clicks_on_masks([one(figures, "a", "seen", report(([0.5], NONE)), starts=good)])

    poor, fine = capsys.readouterr().out.splitlines()[:2]
    assert ".700/.800/.900/.900" in poor  # content after three clicks
    assert poor.endswith("  reached")
    assert ".900/.880/.900/.920" in fine
    assert "lowered .200" in fine
    assert fine.endswith("NOT reached")


def test_a_run_that_is_started_again_plays_only_what_is_missing(
    figures: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    write_folder(tmp_path / "data", cases=1, kinds=["skin"], shapes={"skin": (1, 48, 64)})
    asked = ["--data", tmp_path / "data", "--method", "graphcut", "--split", "all", "--out", tmp_path / "out"]
    monkeypatch.setattr(sys, "argv", [str(BENCH), *map(str, asked), "--objects", "1", "--parts", "clicks,box"])

    figures.main()
    first = capsys.readouterr()
    figures.main()
    again = capsys.readouterr()

    assert "clicks: graphcut on" in first.err
    assert "graphcut on" not in again.err
    assert first.out.splitlines()[:-1] == again.out.splitlines()[:-1]  # but for the time it took
    assert "2D, unseen (1 sets): Dice from a box alone" in first.out
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_what_the_weights_learned_from_is_read_from_their_run(figures: Any, tmp_path: Path) -> None:
    assert "hippocampus_mr" in figures.learned_from(None)
    (tmp_path / "run.json").write_text(json.dumps({"cases": {"train": {"brains": 3, "hands": 1}}}))
    assert figures.learned_from(tmp_path) == ("brains", "hands")


def test_without_data_it_says_so(figures: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "argv", [str(BENCH)])
    with pytest.raises(SystemExit, match="0"):
        figures.main()
    assert "needs --data" in capsys.readouterr().out
