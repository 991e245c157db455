"""RefineNet's experiment runs from data to verdicts, and its driver from slice to slice does what it says."""

from dataclasses import replace

import numpy as np
import pytest

from segmend import methods
from segmend.core.image import Image, scale_affine
from segmend.papers.dextr import recipe as dextr_recipe
from segmend.papers.refinenet import experiment as refinenet
from segmend.papers.refinenet import gan_recipe
from segmend.papers.refinenet import recipe as refinenet_recipe
from segmend.papers.refinenet.experiment import (
    ATRIUM,
    CARD,
    CARRIED,
    ENDS,
    GRAPH_CUT,
    HEART,
    LIVER,
    Study,
    best_on,
    carried,
    from_given_slice,
    painted,
)
from segmend.papers.study.experiment import Plan, experiment
from segmend.papers.study.reproduce import reproduce
from tests.datasets.test_folder import write_case, write_split
from tests.papers.small import make_small


def body(shape, *, value=1):
    z, y, x = np.mgrid[tuple(slice(n) for n in shape)].astype(float)
    middle = [(n - 1) / 2 for n in shape]
    distance = sum(((at - m) / (0.34 * n)) ** 2 for at, m, n in zip((z, y, x), middle, shape, strict=True))
    return (value * (distance < 1)).astype(np.uint16)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name, value in ((ATRIUM, 1), (HEART, 3)):
        for case in ("a", "b", "c"):
            write_case(folder / name, case, body((5, 24, 30), value=value), suffix=".nii.gz")
        write_split(folder / name, train=["a", "b"], val=["c"])
    for case in ("1_1", "1_2", "2_1"):
        write_case(folder / LIVER, case, body((1, 24, 30)))
    write_split(folder / LIVER, train=["1_1", "1_2"], val=["2_1"])
    return folder


@pytest.fixture(scope="module")
def plan(data, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        small = {"widths": (4, 4, 6, 6, 8), "refiner": (4, 4, 4), "batch": 2}
        make_small(patch, refinenet_recipe, hidden=8, decoder=4, **small)
        make_small(patch, gan_recipe, discriminator=(4, 4), **small)
        make_small(patch, dextr_recipe, widths=(4, 4, 4), batch=2)
        patch.setattr(refinenet, "FCN_WIDTHS", (4, 4, 6, 8, 8))
        patch.setattr(refinenet, "EXAM", 2)
        yield Plan(data, tmp_path_factory.mktemp("out"), seeds=(0,), effort=2 / refinenet.STEPS, log=lambda _: None)


# Half a minute of training and playing, for `make test-long`.
@pytest.fixture(scope="module", params=[pytest.param("whole", marks=pytest.mark.long)])
def done(plan):
    return reproduce(experiment("refinenet"), plan)


def test_every_claim_is_tested_on_the_sets_that_are_there(done):
    assert done.missing == ("sarcoma_ct",)
    assert [verdict.outcome for verdict in done.verdicts if verdict.outcome == "could not be tested"] == []
    assert {score.seed for score in done.scores} == {0}


def test_arms_in_slices_measure_every_set_and_those_through_volumes_the_volumes(done):
    where = {}
    for score in done.scores:
        where.setdefault(score.arm, set()).add(score.set)

    carried = {*CARRIED.values(), ENDS}
    assert {frozenset(found) for arm, found in where.items() if arm not in carried} == {
        frozenset((ATRIUM, HEART, LIVER))
    }
    assert {frozenset(where[arm]) for arm in carried} == {frozenset((ATRIUM, HEART))}
    assert {row["arm"] for row in experiment("refinenet").theirs} - where.keys() == {"level set (Li et al.)"}


def test_sensitivity_and_ppv_stand_beside_the_dice(done):
    score = next(score for score in done.scores if score.arm == GRAPH_CUT)

    assert 0 <= score.more["sensitivity"] <= 1
    assert 0 <= score.more["ppv"] <= 1
    assert score.dice > 0.8  # the drawn bodies are bright and seeded with the truth
    assert score.seconds > 0


def test_what_learns_nothing_is_the_same_under_every_seed(done):
    classical = (GRAPH_CUT, CARRIED[GRAPH_CUT], CARRIED[refinenet.SHAPE])
    measured = {}
    for score in done.scores:
        for seed in (0,) if score.arm in classical else (0, 1):  # as if the networks were trained under both
            measured.setdefault((score.arm, seed), []).append(replace(score, seed=seed))

    scores = list(refinenet.run(replace(done.plan, seeds=(0, 1), measured=measured)))

    by_seed = [{(s.arm, s.set, s.case): s.dice for s in scores if s.seed == seed} for seed in (0, 1)]
    assert by_seed[0] == by_seed[1] != {}
    assert {score.arm for score in scores} >= set(classical)


def test_pictures_show_a_slice_of_every_set(done, data):
    sheets = refinenet.pictures(done.plan)

    assert [sheet.title.split("/")[0] for sheet in sheets] == [LIVER, ATRIUM, HEART]
    assert all(sheet.png.startswith(b"\x89PNG") for sheet in sheets)


def test_nobody_to_validate_on_learned(data):
    learned, kept = refinenet.held_out(data, CARD.sets)

    assert {subject.group for subject in learned} == {LIVER, ATRIUM, HEART}
    assert kept == learned  # too few patients to spare one


def test_patients_kept_to_validate_on_are_nobody_elses(tmp_path):
    names = [f"patient{number:03}_frame{frame}" for number in range(8) for frame in (1, 2)]
    for name in names:
        write_case(tmp_path / HEART, name, body((3, 12, 14), value=3), suffix=".nii.gz")
    write_split(tmp_path / HEART, train=names, val=names[:1])

    learned, kept = refinenet.held_out(tmp_path, (HEART,))

    assert [subject.name for subject in kept] == ["patient005_frame1", "patient005_frame2"]
    assert len(learned) == 14
    assert all(set(np.unique(subject.labels)) == {0, 1} for subject in learned)


def study():
    truth = body((7, 20, 22)).astype(bool)
    return Study("set", "case", Image(truth[None].astype(np.float32) * 100, scale_affine((3, 1, 1))), truth)


def test_a_setting_is_chosen_on_kept_cases_the_first_of_equals():
    truth = np.zeros((1, 4, 6), bool)
    truth[0, 1:3, 1:5] = True
    image = Image(np.zeros((1, *truth.shape)))
    kept, other = Study("a", "kept", image, truth), Study("a", "other", image, ~truth)
    asked = []

    def wide(columns, study):
        asked.append(columns)
        mask = np.zeros_like(study.truth)
        mask[0, 1:3, 1 : 1 + abs(columns)] = True
        return mask

    segment = best_on([kept], (2, 4, -4, 5), wide)

    assert segment(other).sum() == 8
    assert asked == [2, 4, -4, 5, 4]


def test_a_mask_is_carried_from_the_largest_slice_until_the_object_ends():
    seen = []

    def segment(image, near):
        seen.append(int(near.sum()))
        return image.voxels[0] > 50

    mask = carried(segment, study())

    assert (mask == study().truth).all()
    areas = study().truth.sum(axis=(1, 2)).tolist()
    assert seen[0] == max(areas)
    assert len(seen) == sum(area > 0 for area in areas) + 1  # all but the given slice, and one beyond each end


def test_a_mask_stays_between_ends_that_are_given():
    whole = study()
    endless = Study("set", "case", whole.image, np.where(np.arange(7)[:, None, None] < 3, False, whole.truth))

    bounded, free = (from_given_slice(methods.load("refinenet"), endless, ends=ends) for ends in (True, False))

    assert not bounded[:3].any()
    assert free[:3].any()  # the picture goes on where the truth does not


def test_a_picture_alone_has_nothing_to_carry():
    flat = Study("set", "case", Image(np.zeros((1, 1, 4, 5))), np.ones((1, 4, 5), bool))

    assert carried(lambda image, near: near, flat) is None


def test_right_is_red_missed_is_green_and_too_much_is_blue():
    one = Study("set", "case", Image(np.zeros((1, 1, 1, 4))), np.array([[[True, True, False, False]]]))

    sheet = painted(one, np.array([[[True, False, True, False]]]), 0)

    assert sheet[0].tolist() == [[100, 0, 0], [0, 100, 0], [0, 0, 100], [0, 0, 0]]
