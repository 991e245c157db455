"""iunet's experiment runs from data to verdicts on drawn cases, and measures what it says."""

from dataclasses import replace

import numpy as np
import pytest

from segmend.errors import SettingsError
from segmend.papers.iunet import experiment as iunet
from segmend.papers.iunet import recipe
from segmend.papers.iunet.experiment import ARMS, ATRIUM, CLICKS, EIGHT_HUNDRED, HEART, LIVER, LOOSE, STEPS, UNET
from segmend.papers.study.experiment import Plan, experiment
from segmend.papers.study.reproduce import reproduce
from tests.datasets.test_folder import write_case, write_split
from tests.papers.small import make_small


def body(shape, *values):
    z, y, x = np.mgrid[tuple(slice(n) for n in shape)].astype(float)
    middle = [(n - 1) / 2 for n in shape]
    distance = sum(((at - m) / (0.34 * n)) ** 2 for at, m, n in zip((z, y, x), middle, shape, strict=True))
    labels = np.zeros(shape, np.uint16)
    for i, value in enumerate(values):
        labels[(distance < 1) & (x * len(values) // shape[2] == i)] = value
    return labels


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name, values in ((ATRIUM, (1,)), (HEART, (1, 2, 3))):
        for case in ("a", "b", "c"):
            write_case(folder / name, case, body((5, 30, 36), *values), suffix=".nii.gz")
        write_split(folder / name, train=["a", "b"], val=["c"])
    for case in ("1", "2"):
        write_case(folder / LIVER, case, body((1, 24, 30), 1))
    write_split(folder / LIVER, train=["1"], val=["2"])
    return folder


@pytest.fixture(scope="module")
def plan(data, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch, recipe, widths=(4, 4, 4), batch=2)
        patch.setattr(iunet, "EXAM", 2)
        yield Plan(data, tmp_path_factory.mktemp("out"), seeds=(0,), effort=2 / STEPS, log=lambda _: None)


# Half a minute of training and playing, for `make test-long`.
@pytest.fixture(scope="module", params=[pytest.param("whole", marks=pytest.mark.long)])
def done(plan):
    return reproduce(experiment("iunet"), plan)


def test_every_claim_is_tested_on_the_sets_that_are_there(done):
    assert done.missing == ("hippocampus_mr", "sarcoma_ct")
    assert [verdict.claim for verdict in done.verdicts if verdict.outcome == "could not be tested"] == []
    assert {score.set for score in done.scores} == {ATRIUM, HEART, LIVER}


def test_every_arm_of_the_papers_table_is_measured_after_the_papers_clicks(done):
    arms = {row["arm"] for row in experiment("iunet").theirs}

    assert arms | {LOOSE} == set(ARMS) == {score.arm for score in done.scores}
    assert {score.at for score in done.scores if score.arm == EIGHT_HUNDRED} == set(CLICKS)
    assert {score.at for score in done.scores if score.arm == UNET} == {0}
    assert all(0 <= score.more["weighted dice"] <= 1 for score in done.scores)


def test_three_slices_of_each_object_are_measured_and_of_the_heart_only_the_unseen_label(done):
    cases = {score.case for score in done.scores if score.set == HEART}

    assert cases == {"c label 3 slice 1", "c label 3 slice 2", "c label 3 slice 3"}
    assert {score.case for score in done.scores if score.set == LIVER} == {"2 label 1 slice 0"}


def test_the_unseen_label_and_the_unseen_set_are_in_no_case_to_learn_from(plan):
    learned, kept = iunet.cases(plan)

    assert {subject.group for subject in learned + kept} == {ATRIUM, HEART}
    assert {v for s in learned + kept if s.group == HEART for v in np.unique(s.labels).tolist()} == {0, 1, 2}


def test_all_arms_are_tested_with_the_same_clicks(plan):
    one, two = (iunet.samples(plan, iunet._settings(plan, arm, 0)) for arm in (iunet.PLAIN, EIGHT_HUNDRED))

    assert one.keys() == two.keys()
    assert all(one[key].clicks == two[key].clicks and len(one[key].clicks) == 15 for key in one)


def test_there_is_a_picture_of_each_set(plan, done):
    shown = iunet.pictures(plan)

    assert {picture.title.split("/")[0] for picture in shown} == {ATRIUM, HEART, LIVER}
    assert all(picture.png.startswith(b"\x89PNG") for picture in shown)


def test_an_experiment_without_cases_to_learn_from_says_what_it_needs(data, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / LIVER).symlink_to(data / LIVER)

    with pytest.raises(SettingsError, match="needs one of left_atrium_mr, .* to learn from; got none"):
        list(experiment("iunet").run(replace(Plan(folder, tmp_path / "out"), seeds=(0,))))


def test_a_dynamic_click_covers_as_much_of_an_object_as_on_the_papers_slices(plan):
    from segmend.papers.iunet.recipe import width_of

    pixels, side = 4000, 512  # a spleen on the paper's slice: 5 pixels wide
    here = pixels * (iunet.CELLS / side) ** 2

    width = width_of(here, iunet._settings(plan, EIGHT_HUNDRED, 0))

    assert width_of(here * 9, iunet._settings(plan, EIGHT_HUNDRED, 0)) == pytest.approx(9 * 5 * iunet.CELLS / side)
    assert width == 1.0  # 5 / 8 of a cell: no click is smaller than one
