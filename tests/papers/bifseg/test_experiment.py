"""bifseg's experiment runs from data to verdicts on drawn cases, and measures what it says."""

from dataclasses import replace

import numpy as np
import pytest

from segmend.papers.bifseg import experiment as bifseg
from segmend.papers.bifseg import recipe
from segmend.papers.bifseg.experiment import ATRIUM, BREAST, HEART, HIPPOCAMPUS, OURS, SCRIBBLED, objects
from segmend.papers.study.experiment import Plan, experiment
from segmend.papers.study.reproduce import reproduce
from tests.datasets.test_folder import write_case, write_split
from tests.papers.small import make_small


def body(shape, *values):
    """An ellipsoid in parts side by side, one a value."""
    z, y, x = np.mgrid[tuple(slice(n) for n in shape)].astype(float)
    middle = [(n - 1) / 2 for n in shape]
    distance = sum(((at - m) / (0.4 * n)) ** 2 for at, m, n in zip((z, y, x), middle, shape, strict=True))
    labels = np.zeros(shape, np.uint16)
    for i, value in enumerate(values):
        labels[(distance < 1) & (x * len(values) // shape[2] == i)] = value
    return labels


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name, values, shape in (
        (HEART, (1, 2, 3), (3, 30, 36)),
        (HIPPOCAMPUS, (1, 2), (9, 14, 16)),
        (ATRIUM, (1,), (9, 14, 12)),
    ):
        for case in ("a", "b"):
            write_case(folder / name, case, body(shape, *values), suffix=".nii.gz")
        write_split(folder / name, train=["a"], val=["b"])
    for case in ("1", "2"):
        write_case(folder / BREAST, case, body((1, 24, 30), 1))
    write_split(folder / BREAST, train=["1"], val=["2"])
    return folder


@pytest.fixture(scope="module")
def plan(data, tmp_path_factory):
    small = {"width": 4, "hidden": 8, "batch": 2}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "SMALL_3D", replace(recipe.SMALL_3D, **small))
        make_small(patch, recipe, **small)
        patch.setattr(bifseg, "EXAM", 2)
        yield Plan(data, tmp_path_factory.mktemp("out"), seeds=(0,), effort=1 / 1200, log=lambda _: None)


# A quarter of a minute of training and playing, for `make test-long`.
@pytest.fixture(scope="module", params=[pytest.param("whole", marks=pytest.mark.long)])
def done(plan):
    return reproduce(experiment("bifseg"), plan)


def test_every_claim_is_tested_on_the_sets_that_are_there(done):
    untested = [verdict.claim for verdict in done.verdicts if verdict.outcome == "could not be tested"]

    assert untested == []
    assert done.missing == ("fetal_head_us_hc18", "ph2_dermoscopy", "ircad_liver_ct2d", "sarcoma_ct", "brats2015_mr")


def test_seen_and_unseen_classes_are_measured_under_every_arm(done):
    arms = {score.arm for score in done.scores}
    sets = {score.set for score in done.scores if score.arm == "2D: " + OURS}

    assert sets == {"right ventricle", "left ventricle", "myocardium ^", "breast lesion ^"}
    assert {f"2D: {arm}" for arm in (*bifseg.REFINED, "FCN", "U-Net")} <= arms
    assert {f"3D: {arm}" for arm in (*bifseg.REFINED, "DeepMedic", "HighRes3DNet")} <= arms
    assert all(0 <= score.dice <= 1 for score in done.scores)


def test_scribbles_mend_what_an_untrained_network_has_wrong(done):
    def mean(arm):
        return np.mean([score.dice for score in done.scores if score.arm == "2D: " + arm])

    assert mean(SCRIBBLED[OURS]) > mean(bifseg.FIRST)


def test_the_networks_never_learn_the_unseen_labels(plan):
    cases, _, settings = bifseg.split_cases(plan, "pnet", 2, 0)

    assert settings.sets == (HEART,)
    heart = body((3, 30, 36), 1, 2, 3)
    assert (cases[0].labels == np.select([heart == 1, heart == 3], [1, 2], 0)).all()


def test_two_labels_that_make_one_object_are_learned_as_one(plan):
    cases, _, _ = bifseg.split_cases(plan, "pcnet", 3, 0)

    whole = {case.group: case.labels for case in cases}
    assert ((whole[HIPPOCAMPUS] == 1) == (body((9, 14, 16), 1, 2) > 0)).all()


def test_in_a_plane_the_largest_slice_of_a_volume_is_measured(plan):
    found = {one.set: one for one in objects(plan, 2)}

    assert found["myocardium ^"].image.flat
    assert found["myocardium ^"].truth.sum() == (body((3, 30, 36), 1, 2, 3)[1] == 2).sum()
    assert all(not one.image.flat for one in objects(plan, 3))


def test_a_second_run_measures_nothing_anew(plan, done):
    lines = []
    again = reproduce(experiment("bifseg"), Plan(plan.data, plan.out, seeds=(0,), effort=plan.effort, log=lines.append))

    assert not any("pnet, seed" in line for line in lines)
    assert len(again.scores) == len(done.scores)


def test_a_picture_of_each_unseen_class_shows_it_before_and_after(plan, done):
    sheets = bifseg.pictures(plan)

    assert [sheet.title.split(",")[0] for sheet in sheets] == ["myocardium ^", "breast lesion ^"]
    assert all(sheet.png.startswith(b"\x89PNG") for sheet in sheets)


def test_without_data_there_are_no_pictures(tmp_path):
    assert bifseg.pictures(Plan(tmp_path, tmp_path)) == []
