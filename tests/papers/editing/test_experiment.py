"""Deep editing's experiment runs from data to verdicts on drawn cases, and measures what it says."""

import numpy as np
import pytest

from segmend.core.image import Image
from segmend.learning.subjects import Subject
from segmend.papers.deepigeos import recipe as deepigeos_recipe
from segmend.papers.editing import experiment as editing
from segmend.papers.editing.experiment import (
    ATRIUM,
    BRAIN,
    CARD,
    EDITED,
    ERASED,
    FIRST,
    HIPPOCAMPUS,
    SELECTION,
    held_out,
)
from segmend.papers.study.experiment import Plan, experiment
from segmend.papers.study.reproduce import reproduce
from tests.datasets.test_folder import write_case, write_split
from tests.papers.small import make_small


def body(shape, middle=0.5):
    at = np.mgrid[tuple(slice(n) for n in shape)].astype(float)
    distance = sum(((a - middle * (n - 1)) / (0.3 * n)) ** 2 for a, n in zip(at, shape, strict=True))
    return (1 + (at[2] > shape[2] // 2)).astype(np.uint16) * (distance < 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name, cases in ((HIPPOCAMPUS, ("h_1", "h_2", "h_3")), (BRAIN, ("p", "q", "r"))):
        images = ("{id}_flair", "{id}_t1c") if name == BRAIN else ("{id}",)
        for number, case in enumerate(cases):
            labels = body((5, 20, 26), 0.4 + 0.1 * number)
            write_case(folder / name, case, labels.astype(np.uint16), images=images, suffix=".nii.gz")
        write_split(folder / name, train=list(cases[:2]), val=list(cases[2:]), images_per_case=list(images))
    return folder


@pytest.fixture(scope="module")
def plan(data, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(editing, "GRID", (8, 16, 16))
        patch.setattr(editing, "WIDTH", 2)
        patch.setattr(editing, "LEVELS", 2)
        patch.setattr(editing, "STEPS_DEEPIGEOS", 100)
        make_small(patch, deepigeos_recipe, width=4, hidden=8, batch=2)
        yield Plan(data, tmp_path_factory.mktemp("out"), seeds=(0,), effort=0.02, limit=2, log=lambda _: None)


# Half a minute of training and playing, for `make test-long`.
@pytest.fixture(scope="module", params=[pytest.param("whole", marks=pytest.mark.long)])
def done(plan):
    return reproduce(experiment("editing"), plan)


def test_every_claim_has_a_verdict_on_the_sets_that_are_there(done):
    assert done.missing == (ATRIUM,)
    assert set(CARD.sets) - {ATRIUM} == {score.set for score in done.scores}
    assert len(done.verdicts) == len(experiment("editing").claims)
    tested = [verdict for verdict in done.verdicts if verdict.outcome != "could not be tested"]
    assert len(tested) >= 7


def test_few_cases_are_left_out_in_turn_and_others_measured_where_they_were_not_trained_on(done):
    measured = {(score.set, score.case) for score in done.scores if score.arm == FIRST}

    assert measured == {(HIPPOCAMPUS, "h_3"), (BRAIN, "p"), (BRAIN, "q")}


def test_edits_are_counted_and_what_they_changed_is_noted(done):
    games = {}
    for score in done.scores:
        if score.arm == EDITED:
            games.setdefault((score.set, score.case), []).append(score)

    for scores in games.values():
        assert [score.at for score in scores] == list(range(len(scores)))
        assert len(scores) <= 1 + editing.MOST
        assert all(score.more["edits"] == score.at for score in scores[1:])
        assert all(score.more["changed"] >= 0 and score.seconds > 0 for score in scores[1:])


def test_a_tool_is_measured_before_and_after_or_not_at_all(done):
    for arm in (SELECTION, ERASED):
        ats = {}
        for score in done.scores:
            if score.arm == arm:
                ats.setdefault((score.set, score.case), set()).add(score.at)
        assert all(at == {0, 1} for at in ats.values())


def test_the_series_of_the_adjustment_tool_is_measured_on_every_case(done):
    volumes = {}
    for score in done.scores:
        if score.arm in editing.ADJUSTED.values():
            volumes.setdefault((score.set, score.case), []).append(score.more["volume"])

    assert len(volumes) == 3
    assert all(len(row) == len(editing.SERIES) and row == sorted(row) for row in volumes.values())
    assert any(row[0] < row[-1] for row in volumes.values())


def test_pictures_show_every_set(plan, done):
    sheets = editing.pictures(plan)

    assert [sheet.title.split(":")[0] for sheet in sheets] == [f"{HIPPOCAMPUS}/h_3", f"{BRAIN}/p"]
    assert all(sheet.png.startswith(b"\x89PNG") for sheet in sheets)


def test_both_hippocampi_of_a_patient_stay_together():
    nothing = Image(np.zeros((1, 2, 2, 2)))
    cases = [Subject(nothing, np.ones((2, 2, 2), np.uint16), False, "h", f"h_{n:03}") for n in range(1, 25)]

    learned, kept = held_out(cases)

    assert [case.name for case in kept] == ["h_011", "h_012", "h_023", "h_024"]
    assert len(learned) == 20
    assert held_out(cases[:2]) == (cases[:2], cases[:2])
