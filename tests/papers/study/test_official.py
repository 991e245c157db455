"""Official layouts take the place of the sets that stand for them; all claims stand in one table."""

import json

import pytest

from segmend.cli import run
from segmend.errors import FileError
from segmend.papers.study.experiment import Better, Experiment, Pick, Plan, Score
from segmend.papers.study.official import found_sets, linked
from segmend.papers.study.reproduce import reproduce
from segmend.papers.study.table import judged, markdown, runs_in
from tests.datasets.layouts import write_ph2
from tests.datasets.test_folder import flat_labels, write_case, write_split

NAMES = ("ph2_dermoscopy", "isic2017_dermoscopy")


@pytest.fixture
def data(tmp_path):
    """PH2 as downloaded, beside another set that has the right name already."""
    folder = tmp_path / "data"
    write_ph2(folder / "PH2Dataset")
    named = folder / "isic2017_dermoscopy"
    write_case(named, "a", flat_labels())
    write_split(named, train=["a"])
    return folder


def test_a_set_as_downloaded_is_found_and_linked_under_its_name(data, tmp_path):
    found = found_sets(data, NAMES)
    place = linked(data, found, tmp_path / "out")

    assert list(found) == list(NAMES)
    assert found["ph2_dermoscopy"].name.startswith("PH2")
    assert sorted(path.name for path in place.iterdir()) == sorted(NAMES)
    assert linked(data, {"isic2017_dermoscopy": data / "isic2017_dermoscopy"}, tmp_path / "out") == data
    with pytest.raises(FileError, match="There is no folder"):
        found_sets(data / "nowhere", NAMES)


def experiment_of(plan_seen):
    def run_(plan):
        plan_seen.append(plan)
        for case in range(8):
            yield Score("good", "isic2017_dermoscopy", str(case), 0.8 + case / 100)
            yield Score("plain", "isic2017_dermoscopy", str(case), 0.6)

    claims = (
        Better("It is.", Pick("good"), Pick("plain")),
        Better("Not.", Pick("plain", sets=("skin",)), Pick("good")),
    )
    return Experiment("quality", "Q", ("isic2017_dermoscopy", "skin"), run_, claims, (), "")


def test_a_missing_set_says_what_it_would_add_and_a_split_is_recorded(data, tmp_path):
    seen, told = [], []

    reproduce(experiment_of(seen), Plan(data, tmp_path / "out", (0,), split="train", log=told.append))

    assert told[0].endswith("goes without it. It would add cases to 2 of the 2 claims and is named by 1.")
    assert seen[0].split == "train"
    made_with = json.loads((tmp_path / "out" / "run.json").read_text())["made_with"]
    assert made_with["split"] == "train"
    with pytest.raises(Exception, match="a run with another split"):
        reproduce(experiment_of(seen), Plan(data, tmp_path / "out", (0, 1), log=told.append))


def test_all_claims_stand_in_one_table_that_a_command_writes(data, tmp_path, monkeypatch, capsys):
    plan = Plan(data, tmp_path / "out", (0,), log=lambda _: None)
    experiment = experiment_of([])
    reproduce(experiment, plan)
    monkeypatch.setattr("segmend.papers.study.table.experiment", lambda paper: experiment)

    text = markdown([judged(tmp_path / "out")])
    code = run(["reproduce", "--claims", str(tmp_path / "out"), "--out", str(tmp_path / "claims.md")])
    run(["reproduce", "--claims", str(tmp_path), "--out", str(tmp_path / "all.md")])

    assert "| quality | It is. | held | +0.235 |" in text
    assert "2 claims: 1 could not be tested, 1 held.\n\nFewer than 3 seeds: quality.\n" in text
    assert code == 0 and (tmp_path / "claims.md").read_text() == text == (tmp_path / "all.md").read_text()
    with pytest.raises(FileError, match="and holds none"):
        runs_in(data)
    with pytest.raises(FileError, match="is no folder that `segmend reproduce` wrote"):
        judged(tmp_path)
