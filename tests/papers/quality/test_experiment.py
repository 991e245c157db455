"""quality's experiment runs from data to verdicts on drawn cases, and stops where it says."""

from dataclasses import replace

import numpy as np
import pytest

from segmend.errors import SettingsError
from segmend.papers.quality import experiment as quality
from segmend.papers.quality import recipe
from segmend.papers.quality.experiment import BASE, ITERATIONS, ORACLE, PH2, PLAIN, QUALITY, STEPS, STOPS, WARM
from segmend.papers.study.experiment import Plan, experiment
from segmend.papers.study.reproduce import reproduce
from tests.datasets.test_folder import write_case, write_split
from tests.papers.small import make_small


def body(seed):
    rows, columns = np.mgrid[:24, :30]
    return (((rows - 11) ** 2 + (columns - 12 - seed) ** 2)[None] < 50).astype(np.uint16)


def make(folder, cases):
    for i in range(cases):
        write_case(folder, f"case{i}", body(i))
    write_split(folder, train=[f"case{i}" for i in range(cases - 3)], val=[f"case{i}" for i in range(cases - 3, cases)])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    make(folder / PH2, 8)
    return folder


@pytest.fixture(scope="module")
def plan(data, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch, recipe, widths=(4, 4, 4), dense=8, batch=2)
        yield Plan(data, tmp_path_factory.mktemp("out"), seeds=(0,), effort=2 / STEPS, log=lambda _: None)


# Half a minute of training and playing, for `make test-long`.
@pytest.fixture(scope="module", params=[pytest.param("whole", marks=pytest.mark.long)])
def done(plan):
    return reproduce(experiment("quality"), plan)


def untested(done):
    return [verdict.claim for verdict in done.verdicts if verdict.outcome == "could not be tested"]


NOT_THERE = [f"refining once is better than the base on {name}" for name in quality.CARD.sets if name != PH2]


def test_claims_are_tested_on_the_sets_that_are_there(done):
    # Networks this small may expect the same of every mask, which tracks nothing.
    assert [claim for claim in untested(done) if "tracks the true Dice" not in claim] == NOT_THERE
    assert {score.set for score in done.scores} == {PH2}


@pytest.mark.long
def test_every_claim_is_tested_with_networks_of_the_usual_size(data, tmp_path):
    done = reproduce(
        experiment("quality"), Plan(data, tmp_path / "out", seeds=(0,), effort=2 / STEPS, log=lambda _: None)
    )

    assert untested(done) == NOT_THERE


def test_every_row_of_the_papers_tables_is_measured(done):
    assert {row["arm"] for row in experiment("quality").theirs} <= {score.arm for score in done.scores}
    assert {score.at for score in done.scores if score.arm == QUALITY} == set(range(1, ITERATIONS + 1))
    assert {score.at for score in done.scores if score.arm == BASE} == {0}


def test_the_predicted_quality_stands_beside_the_dice(done):
    assert all(0 <= score.more["predicted"] <= 1 for score in done.scores if score.arm == QUALITY)
    assert all("predicted" not in score.more for score in done.scores if score.arm == PLAIN)


def test_the_oracle_is_the_first_top_of_the_true_dice(done):
    by = {(s.arm, s.set, s.case, s.at): s.dice for s in done.scores}
    for score in done.scores:
        if score.arm == f"{WARM}, {ORACLE}":
            at = int(score.more["iterations"])
            key = (WARM, score.set, score.case)
            assert score.dice == (by[(*key, at)] if at else by[BASE, score.set, score.case, 0])
            assert at == ITERATIONS or by[(*key, at + 1)] <= score.dice


def test_validation_stops_all_pictures_of_a_set_alike(done):
    stops = {(s.set, s.more["iterations"]) for s in done.scores if s.arm == STOPS[WARM][0]}

    assert len(stops) == 1


def test_all_refiners_start_from_one_base_and_the_warm_one_from_the_trained(plan, done):
    folder = plan.out / f"{PH2}-0"

    assert {path.name for path in folder.iterdir()} == {"base", "plain", "quality-0.3", "quality-3", "scratch", "warm"}


def test_a_quarter_of_the_training_cases_validates_and_none_is_tested(plan):
    (cases,) = quality.pictures_of(plan)

    names = [[subject.name for subject in part] for part in (cases.learned, cases.kept, cases.tested)]
    assert names == [["case0", "case1", "case2", "case4"], ["case3"], ["case5", "case6", "case7"]]


def test_there_is_a_picture_of_each_set(plan, done):
    shown = quality.pictures(plan)

    assert [picture.title.split("/")[0] for picture in shown] == [PH2]
    assert all(picture.png.startswith(b"\x89PNG") for picture in shown)


def test_a_set_with_too_few_cases_is_named(tmp_path):
    make(tmp_path / "data" / PH2, 4)

    with pytest.raises(SettingsError, match="needs 4 cases of ph2_dermoscopy to learn from and 1 to test; got 1 and 3"):
        list(experiment("quality").run(replace(Plan(tmp_path / "data", tmp_path / "out"), seeds=(0,))))
