"""What a click costs must not grow with the marks that lie elsewhere, and what it answers must not change by a bit."""

import cProfile
import pstats

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from segmend import methods
from segmend.core.image import Box
from segmend.core.marks import mark, marks
from segmend.core.prompts import Click, Extremes, Stroke
from segmend.core.segmenter import answer
from segmend.mend.volume_changes import Change, compose_at, compose_in_box
from segmend.samples import make
from segmend.sampling.channels import plane_prompt_channels, volume_prompt_channels
from segmend.sampling.frame import Frame
from segmend.sampling.window import Window

MARKS = 640  # in effect: a day's work at one image
# Calls of Python functions that a mark elsewhere may cost an answer; it was 392 in the plane and 388 in a volume.
CALLS_EACH = 80


def points_of(mask):
    return [tuple(point) for point in np.random.default_rng(0).permutation(np.argwhere(mask)).tolist()]


@pytest.mark.parametrize(("kind", "shape", "far"), [("skin", (1, 128, 160), 4), ("head", (32, 72, 72), 19)])
def test_a_click_costs_the_same_whatever_was_marked_elsewhere(kind, shape, far):
    sample = make(kind, shape=shape)
    truth = sample.truth == 1
    workspace = methods.load("mend").open(sample.image)
    first, *_, last = points_of(truth)
    elsewhere = [Click(point, positive=False) for point in points_of(distance_transform_edt(~truth) > far)[:MARKS]]
    assert len(elsewhere) == MARKS
    mask = answer(workspace, [Click(first)], np.zeros(shape, bool)).over(np.zeros(shape, bool))

    def calls(*between):
        prompts = [Click(first), *between, Click(last)]
        answer(workspace, prompts, mask)  # features are kept from now on
        profile = cProfile.Profile()
        profile.runcall(answer, workspace, prompts, mask)
        return pstats.Stats(profile).total_calls

    assert calls(*elsewhere) - calls() < CALLS_EACH * MARKS


@pytest.fixture
def prompts():
    """Marks of all kinds and signs, some on each other, some outside of any window."""
    generator = np.random.default_rng(1)

    def index():
        z, y, x = generator.integers((3, 40, 50)).tolist()
        return z, y, x

    some = [Click(index(), bool(generator.integers(2))) for _ in range(120)]
    some += [Stroke((index(), index()), bool(generator.integers(2))) for _ in range(8)]
    some += [some[3], Click(some[5].index, not some[5].positive), Extremes((index(), index()))]
    return [some[i] for i in generator.permutation(len(some))]


def test_channels_of_many_marks_are_those_of_each(prompts):
    window, frame = Window(3.25, -2.5, 22.75, 31.5), Frame((0.5, -3.0, 2.0), (2.0, 30.0, 41.0), (8, 10, 12))
    plane = plane_prompt_channels(prompts, 0, 1, window, 24)
    volume = volume_prompt_channels(prompts, frame)
    np.testing.assert_array_equal(
        plane, np.max([plane_prompt_channels([one], 0, 1, window, 24) for one in prompts], axis=0)
    )
    np.testing.assert_array_equal(volume, np.max([volume_prompt_channels([one], frame) for one in prompts], axis=0))
    assert plane[:2].any(axis=(1, 2)).all() and volume[:2].any(axis=(1, 2, 3)).all()


def test_cells_of_many_pixels_are_those_of_each():
    window = Window(3.3, -2.7, 22.1, 31.9)
    rows, columns = np.random.default_rng(2).integers(0, 60, (2, 500))
    many = np.stack(window.cells(rows, columns, 128), axis=1)
    each = np.asarray(
        [window.cell(row, column, 128) for row, column in zip(rows.tolist(), columns.tolist(), strict=True)]
    )
    np.testing.assert_array_equal(many, each)


def test_marks_come_in_the_order_in_which_they_were_first_put_down(prompts):
    shape, pinned = (3, 40, 50), {}
    for prompt in prompts:
        points, positive = mark(prompt)
        for point in points.tolist():
            pinned[tuple(point)] = positive
    for found, sign in zip(marks(prompts, shape), (True, False), strict=True):
        assert [tuple(point) for point in found.tolist()] == [at for at, said in pinned.items() if said is sign]


def test_a_mark_outside_of_the_image_is_refused_and_not_taken_for_another():
    with pytest.raises(ValueError, match="invalid entry"):
        marks([Click((0, 1, 60))], (3, 40, 50))


def test_changes_at_many_points_are_those_at_each():
    generator = np.random.default_rng(3)
    mask = generator.random((12, 40, 50)) > 0.5
    blob = np.zeros((8, 10, 12), np.float32)
    blob[2:5, 3:7, 2:6] = generator.normal(0, 0.6, (3, 4, 4))
    speck = np.zeros((6, 6, 6), np.float32)
    speck[1, 1, 4] = 0.9
    changes = [
        Change(Frame((-2.0, 1.5, 3.0), (12.0, 33.0, 41.0), (8, 10, 12)), blob),
        Change(Frame((1.0, 4.0, 10.0), (6.0, 12.0, 12.0), (6, 6, 6)), speck),
    ]
    points = np.argwhere(np.ones((12, 40, 50), bool))[::3]
    boxes = [Box(tuple(point), tuple(point + 1)) for point in points]
    each = np.asarray([compose_in_box(box, mask, changes).item() for box in boxes], np.float32)
    np.testing.assert_array_equal(compose_at(points, mask, changes), each)
    assert 0.02 < (each != mask[tuple(points.T)]).mean() < 0.5
