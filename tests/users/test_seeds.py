"""RefineNet's seeds: skeletons of errors with the right sign, the rim of a dilated slice, and the given slice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from segmend.core.marks import marks, path
from segmend.core.prompts import Mask, Stroke
from segmend.core.seeds import seeds_of_errors, seeds_of_mask
from segmend.errors import SettingsError
from segmend.users import GivenSlice, SkeletonErrors, user
from segmend.users.seeds import on_plane, strokes

PLANES = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 15)), elements=st.booleans())


def drawn(rows):
    return np.array([[c == "#" for c in row] for row in rows])


def test_what_is_missed_gives_foreground_and_what_is_too_much_background():
    truth = drawn(
        [
            ".............",
            ".#####.......",
            ".#####.......",
            ".#####.......",
            ".............",
        ]
    )
    guess = drawn(
        [
            ".............",
            ".......#####.",
            ".......#####.",
            ".......#####.",
            ".............",
        ]
    )

    seeds = seeds_of_errors(truth, guess)

    assert np.argwhere(seeds.foreground).tolist() == [[2, 2], [2, 3], [2, 4]]
    assert np.argwhere(seeds.background).tolist() == [[2, 8], [2, 9], [2, 10]]


def test_every_part_of_the_mistake_is_marked_at_once():
    truth = drawn(["###...#", "###...#", "###...#", ".......", "...#..."])[None]
    mask = np.zeros_like(truth)

    positive, negative = marks(SkeletonErrors()(truth, mask), truth.shape)

    assert len(negative) == 0
    columns = {x for _, _, x in positive.tolist()}
    assert {1, 3, 6} <= columns


def test_in_a_volume_it_draws_in_the_plane_with_the_most_mistakes():
    truth = np.zeros((4, 6, 7), bool)
    truth[1, 1:3, 1:4] = True
    truth[3, 1:5, 1:6] = True

    drawn_now = SkeletonErrors()(truth, np.zeros_like(truth))

    assert {point[0] for stroke in drawn_now for point in stroke.points} == {3}


def test_the_rim_of_the_dilated_slice_is_a_closed_ring_outside_the_mask():
    mask = np.zeros((20, 24), bool)
    mask[8:12, 9:15] = True

    seeds = seeds_of_mask(mask, away=3)

    assert np.argwhere(seeds.foreground)[:, 0].min() >= 8
    assert (seeds.foreground & ~mask).sum() == 0
    assert not (seeds.background & mask).any()
    rows = np.flatnonzero(seeds.background.any(axis=1))
    assert (rows[0], rows[-1]) == (5, 14)


def test_at_the_image_edge_the_rim_is_not_drawn_along_the_edge():
    mask = np.zeros((9, 9), bool)
    mask[:4] = True

    assert np.argwhere(seeds_of_mask(mask, away=2).background)[:, 0].tolist() == [5] * 9


def test_an_empty_slice_gives_no_seeds():
    seeds = seeds_of_mask(np.zeros((3, 4), bool))

    assert not seeds.foreground.any()
    assert not seeds.background.any()


@given(pixels=PLANES, positive=st.booleans())
@settings(max_examples=100, deadline=None)
def test_strokes_run_through_just_the_pixels_given(pixels, positive):
    drawn_strokes = strokes(pixels, 2, positive=positive)

    voxels = [voxel for stroke in drawn_strokes for voxel in map(tuple, path(stroke.points).tolist())]
    assert sorted(voxels) == [(2, *pixel) for pixel in np.argwhere(pixels).tolist()] == sorted(set(voxels))
    assert {stroke.positive for stroke in drawn_strokes} <= {positive}


@given(truth=hnp.arrays(bool, (1, 9, 11)), mask=hnp.arrays(bool, (1, 9, 11)))
@settings(max_examples=60, deadline=None)
def test_seeds_lie_in_mistakes_of_their_sign(truth, mask):
    positive, negative = marks(on_plane(truth, mask, 0), truth.shape)

    assert (truth & ~mask)[tuple(positive.T)].all()
    assert (mask & ~truth)[tuple(negative.T)].all()


def test_the_given_slice_is_the_largest_or_the_middle_one():
    truth = np.zeros((7, 6, 8), bool)
    truth[1:6, 2:4, 3] = True
    truth[5, 1:5, 2:7] = True
    nothing = np.zeros_like(truth)

    largest = GivenSlice().opening(truth, nothing)
    middle = GivenSlice(which="middle").opening(truth, nothing)

    assert largest == Mask(np.ones((1, 4, 5), bool), (5, 1, 2))
    assert middle == Mask(np.ones((1, 2, 1), bool), (3, 2, 3))
    assert user("slice").kinds == ("mask", "stroke")


def test_a_flat_image_has_no_slice_to_give():
    truth = np.zeros((1, 6, 8), bool)
    truth[0, 1:4, 1:7] = True

    opened = GivenSlice().opening(truth, np.zeros_like(truth))

    assert isinstance(opened[0], Stroke)
    assert GivenSlice().opening(truth, truth) is None


def test_a_given_slice_of_another_kind_is_refused():
    with pytest.raises(SettingsError, match="the largest or the middle one; got 'first'"):
        GivenSlice(which="first")
