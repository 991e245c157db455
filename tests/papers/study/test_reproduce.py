"""A reproduction keeps every score, goes on where it was stopped, and never mixes two runs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from segmend.errors import FileError, SettingsError, StoreError
from segmend.papers.study.claims import HELD, NOT_HELD, NOT_TESTED, OPEN
from segmend.papers.study.experiment import Better, Experiment, Pick, Plan, Score
from segmend.papers.study.official import found_sets
from segmend.papers.study.reproduce import reproduce
from tests.drawn_experiment import EXPERIMENT, draw


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("data"))


def counting(calls: list[str], *, fails_at: int | None = None, cases: int = 3) -> Experiment:
    """Return an experiment of two arms that notes each measurement, and may be stopped at one of them."""

    def measure(arm: str, seed: int) -> Iterator[Score]:
        for number in range(cases):
            if len(calls) == fails_at:
                raise KeyboardInterrupt
            calls.append(f"{arm} {seed} {number}")
            yield Score(arm, "skin", str(number), (number + seed + len(arm)) / 20, seed, seconds=0.5, more={"k": 1 / 3})

    def run(plan: Plan) -> Iterator[Score]:
        for seed in plan.seeds:
            for arm in ("plain", "better"):
                yield from plan.once(arm, seed, partial(measure, arm, seed))

    claim = Better("It is.", Pick("better"), Pick("plain"))
    return Experiment("counted", "Counted", ("skin",), run, (claim,), (), "")


def quiet(data: Path, out: Path, **more: object) -> Plan:
    return replace(Plan(data, out, log=lambda line: None), **more)  # type: ignore[arg-type]


def test_an_experiment_runs_and_its_claims_are_judged(data: Path, tmp_path: Path) -> None:
    told: list[str] = []

    found = reproduce(EXPERIMENT, Plan(data, tmp_path / "out", seeds=(0, 1), log=told.append))

    assert (found.used, found.missing) == (("skin", "head"), ("abdomen",))
    assert told[0].startswith(f"abdomen is not in {data}; the experiment goes without it. It would add cases to ")
    assert {s.arm for s in found.scores} == {"graphcut", "randomwalker"}
    assert {s.set for s in found.scores} == {"skin", "head"}
    outcomes = [verdict.outcome for verdict in found.verdicts]
    assert outcomes == [OPEN, NOT_HELD, OPEN, NOT_TESTED, HELD, HELD, NOT_TESTED, OPEN, OPEN]
    assert found.verdicts[0].seeds == 2
    assert found.summary()["missing"] == ["abdomen"]
    assert json.loads(json.dumps(found.summary()))["claims"][4]["outcome"] == HELD


def test_every_score_is_on_disk_before_the_next_is_asked_for(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    lines: list[int] = []

    def run(plan: Plan) -> Iterator[Score]:
        for number in range(3):
            lines.append(len(path.read_text().splitlines()))
            yield Score("plain", "skin", f"a, {number}\u00e9", 0.1 + 0.2, number)

    reproduce(replace(EXPERIMENT, run=run), quiet(data, tmp_path))

    assert lines == [1, 2, 3]
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert (rows[2]["case"], float(rows[2]["dice"])) == ("a, 2\u00e9", 0.1 + 0.2)


def test_a_stopped_run_goes_on_and_measures_no_complete_arm_again(data: Path, tmp_path: Path) -> None:
    calls: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        reproduce(counting(calls, fails_at=5), quiet(data, tmp_path, seeds=(0, 1)))
    with (tmp_path / "scores.csv").open("a") as file:
        file.write("better,skin,2,0,0,0.")  # killed in the middle of a line
    stopped = list(calls)
    calls.clear()

    found = reproduce(counting(calls), quiet(data, tmp_path, seeds=(0, 1)))

    expected = reproduce(counting([]), quiet(data, tmp_path / "whole", seeds=(0, 1)))
    assert stopped == ["plain 0 0", "plain 0 1", "plain 0 2", "better 0 0", "better 0 1"]
    assert not [call for call in calls if call.startswith("plain 0")]
    assert found.scores == expected.scores
    assert found.verdicts == expected.verdicts
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 1 + 12


def test_a_complete_run_is_judged_again_without_measuring(data: Path, tmp_path: Path) -> None:
    calls: list[str] = []
    first = reproduce(counting(calls), quiet(data, tmp_path, seeds=(0, 1)))
    calls.clear()

    again = reproduce(counting(calls), quiet(data, tmp_path, seeds=(1,)))

    assert calls == []
    assert again.scores == first.scores


def test_more_seeds_measure_only_what_is_new(data: Path, tmp_path: Path) -> None:
    calls: list[str] = []
    reproduce(counting(calls), quiet(data, tmp_path, seeds=(0,)))
    calls.clear()

    found = reproduce(counting(calls), quiet(data, tmp_path, seeds=(0, 1)))

    assert {call.split()[1] for call in calls} == {"1"}
    assert {score.seed for score in found.scores} == {0, 1}


def test_what_an_older_experiment_gave_is_forgotten_when_the_new_one_ends(data: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        reproduce(counting([], cases=4, fails_at=4), quiet(data, tmp_path, seeds=(0,)))
    (tmp_path / "run.json").write_text((tmp_path / "run.json").read_text().replace('"plain"', '"gone"'))

    found = reproduce(counting([], cases=2), quiet(data, tmp_path, seeds=(0,)))

    assert [(s.arm, s.case) for s in found.scores] == [("plain", "0"), ("plain", "1"), ("better", "0"), ("better", "1")]
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 5


def test_the_seconds_of_all_runs_add_up(data: Path, tmp_path: Path) -> None:
    reproduce(counting([]), quiet(data, tmp_path, seeds=(0,)))
    about = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(about | {"seconds": 1000.0}))

    found = reproduce(counting([]), quiet(data, tmp_path, seeds=(1,)))

    assert 1000 <= found.seconds < 1100


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"effort": 0.5}, r"holds a run with another effort \(1.0, now 0.5\); write to another folder"),
        ({"limit": 3}, r"holds a run with another limit \(None, now 3\); write to another folder"),
    ],
)
def test_a_folder_holds_one_kind_of_run(data: Path, tmp_path: Path, changes: dict[str, object], why: str) -> None:
    reproduce(counting([]), quiet(data, tmp_path))

    with pytest.raises(SettingsError, match=why):
        reproduce(counting([]), quiet(data, tmp_path, **changes))


def test_other_data_want_another_folder(data: Path, tmp_path: Path) -> None:
    experiment = replace(counting([]), sets=("skin", "head"))
    reproduce(experiment, quiet(data / "skin", tmp_path))

    with pytest.raises(SettingsError, match=r"a run with another set \(skin, now skin, head\)"):
        reproduce(experiment, quiet(data, tmp_path))


def test_without_any_of_its_data_an_experiment_says_what_it_needs(data: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"The experiment of counted needs brain or chest; .* has none of them\."):
        reproduce(replace(counting([]), sets=("brain", "chest")), quiet(data, tmp_path / "out"))

    assert not (tmp_path / "out").exists()


def test_data_may_be_one_set_or_a_folder_of_them(data: Path) -> None:
    assert found_sets(data, ("abdomen", "head")) == {"head": data / "head"}
    assert found_sets(data / "skin", ("skin", "head")) == {"skin": data / "skin"}
    with pytest.raises(FileError, match="There is no folder"):
        found_sets(data / "nowhere", ("skin",))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"seeds": ()}, r"needs one seed or more, each 0 or above and once; got \[\]"),
        ({"seeds": (1, 1)}, r"each 0 or above and once; got \[1, 1\]"),
        ({"seeds": (-1,)}, r"each 0 or above and once; got \[-1\]"),
        ({"effort": 0.0}, "An effort needs to be above 0; got 0"),
        ({"effort": float("nan")}, "An effort needs to be above 0; got nan"),
        ({"limit": 0}, "A limit needs to be 1 case or more; got 0"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(
    data: Path, tmp_path: Path, changes: dict[str, object], why: str
) -> None:
    with pytest.raises(SettingsError, match=why):
        reproduce(counting([]), quiet(data, tmp_path, **changes))


@pytest.mark.parametrize("text", ["{", "[]", '{"made_with": {}}', '{"made_with": 3, "finished": 3}'])
def test_a_damaged_note_of_the_run_is_named(data: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)

    with pytest.raises(FileError, match=r"run\.json could not be read; move it away, or write to another folder"):
        reproduce(counting([]), quiet(data, tmp_path))


@pytest.mark.parametrize(
    "text", ["arm,set\nplain,skin\n", "arm,set,case,seed,at,dice,seconds,more,spent\na,b,c,x,0,1,,,0\n"]
)
def test_damaged_scores_are_named(data: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "scores.csv").write_text(text)

    with pytest.raises(FileError, match=r"scores\.csv is damaged; move it away, or write to another folder"):
        reproduce(counting([]), quiet(data, tmp_path))


def test_a_disk_that_refuses_a_score_ends_the_run_with_a_sentence(data: Path, tmp_path: Path) -> None:
    def run(plan: Plan) -> Iterator[Score]:
        (tmp_path / "scores.csv").unlink()
        (tmp_path / "scores.csv").mkdir()
        yield Score("plain", "skin", "a", 0.5)

    with pytest.raises(StoreError, match="A score could not be kept: Is a directory; start again to go on"):
        reproduce(replace(EXPERIMENT, run=run), quiet(data, tmp_path))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_named(data: Path, tmp_path: Path) -> None:
    from segmend.errors import DiskFullError

    def run(plan: Plan) -> Iterator[Score]:
        (tmp_path / "scores.csv").unlink()
        (tmp_path / "scores.csv").symlink_to("/dev/full")
        yield Score("plain", "skin", "a", 0.5)

    with pytest.raises(DiskFullError, match="A score could not be kept: No space left on device"):
        reproduce(replace(EXPERIMENT, run=run), quiet(data, tmp_path))


def test_a_folder_that_cannot_be_made_is_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(FileError, match="could not be made: Not a directory"):
        reproduce(counting([]), quiet(data, tmp_path / "file" / "out"))
