"""Clicks and scribbles in wrong regions, on masks drawn by hand."""

import numpy as np
import pytest

from segmend.core.image import Box
from segmend.core.marks import path
from segmend.core.prompts import Click, Stroke
from segmend.users import BoxThenScribbles, RegionClicks


def blank(shape=(1, 40, 50)):
    return np.zeros(shape, bool)


def drawn():
    """A truth of three squares; the mask missed the first (64 pixels) and second (29), and has 240 too many."""
    truth, mask = blank(), blank()
    truth[0, 2:10, 2:10] = True
    truth[0, 30:35, 2:7] = truth[0, 35, 2:6] = True
    truth[0, 2:10, 20:30] = mask[0, 2:10, 20:30] = True
    mask[0, 20:32, 25:45] = True
    return truth, mask


def test_a_region_of_n_pixels_gets_n_over_100_clicks_rounded_up():
    truth, mask = drawn()

    clicks = RegionClicks(seed=3)(truth, mask)

    assert all(isinstance(click, Click) for click in clicks)
    missed = [click.index for click in clicks if click.positive]
    false = [click.index for click in clicks if not click.positive]
    assert (len(missed), len(false)) == (1, 3)  # 64 missed, 29 let be, 240 false
    assert all(2 <= y < 10 and 2 <= x < 10 for _, y, x in missed)
    assert all(20 <= y < 32 and 25 <= x < 45 for _, y, x in false)
    assert len(set(false)) == 3


@pytest.mark.parametrize(("pixels", "count"), [(29, 0), (30, 1), (100, 1), (101, 2)])
def test_the_numbers_at_the_edges(pixels, count):
    truth = blank((1, 1, 120))
    truth[0, 0, :pixels] = True

    assert len(RegionClicks()(truth, np.zeros_like(truth)) or ()) == count


def test_regions_joined_at_a_corner_are_one_but_missed_and_false_are_two():
    truth, mask = blank(), blank()
    truth[0, 0:5, 0:4] = truth[0, 5:10, 4:8] = True  # 20 and 20, joined at a corner
    mask[0, 0:10, 8:12] = True  # beside them

    signs = [click.positive for click in RegionClicks()(truth, mask)]

    assert signs == [True, False]


def test_a_region_of_a_volume_is_joined_through_its_slices():
    truth = blank((4, 10, 12))
    truth[:, 3:6, 3:7] = True  # 12 a slice, 48 in all

    assert len(RegionClicks()(truth, np.zeros_like(truth))) == 1
    assert RegionClicks()(truth[:1], np.zeros_like(truth[:1])) is None


def test_the_box_lies_0_to_10_voxels_outside_and_inside_the_image():
    truth = blank((9, 60, 70))
    truth[3:5, 20:40, 4:30] = True
    moved = set()

    for seed in range(60):
        box = BoxThenScribbles(seed=seed).opening(truth, np.zeros_like(truth))
        moved.add(20 - box.low[1])
        assert 0 <= 20 - box.low[1] <= 10
        assert 0 <= box.high[1] - 40 <= 10
        assert 0 <= box.low[2] <= 4
        assert box.low[0] in (0, 1, 2, 3)
        assert 5 <= box.high[0] <= 9

    assert moved == set(range(11))


def test_in_a_picture_the_box_stays_in_it():
    truth = blank()
    truth[0, 12:20, 12:20] = True

    box = BoxThenScribbles().opening(truth, blank())

    assert isinstance(box, Box)
    assert (box.low[0], box.high[0]) == (0, 1)


def test_scribbles_run_through_the_largest_wrong_regions():
    truth, mask = drawn()

    strokes = BoxThenScribbles().opening(truth, mask)  # there is a mask: no box

    assert [stroke.positive for stroke in strokes] == [False, True]
    for stroke in strokes:
        assert isinstance(stroke, Stroke)
        assert all((truth & ~mask if stroke.positive else mask & ~truth)[tuple(v)] for v in path(stroke.points))
    assert len(path(strokes[0].points)) >= 8
    assert len(BoxThenScribbles(most=1)(truth, mask)) == 1


def test_a_scribble_in_a_volume_lies_in_the_plane_where_the_region_is_widest():
    truth = blank((4, 20, 20))
    truth[1, 5:9, 5:9] = truth[2, 3:13, 4:16] = True

    (stroke,) = BoxThenScribbles()(truth, np.zeros_like(truth))

    assert {z for z, _, _ in stroke.points} == {2}


@pytest.mark.parametrize("robot", [RegionClicks(), BoxThenScribbles()])
def test_nothing_to_mend_is_nothing_to_say(robot):
    truth, _ = drawn()
    nearly = truth.copy()
    nearly[0, 2, 2] = False

    assert robot(truth, truth) is None
    assert robot(truth, nearly) is None
    assert robot(truth, drawn()[1]) == robot(truth, drawn()[1])


def test_an_empty_truth_needs_no_box():
    assert BoxThenScribbles().opening(blank(), blank()) is None
