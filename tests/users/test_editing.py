"""The robots of interactive deep editing, on masks drawn by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from segmend.core.marks import path
from segmend.core.prompts import Adjust, Click, Stroke, check
from segmend.errors import ShapeError
from segmend.users import Adjustment, Brush, Editor, Edits, Selection, WrongEdit, user
from segmend.users.brush import farthest, shortest_path
from segmend.users.selection import erosion_rounds
from tests.users.test_users import pairs


def solid(*planes: list[str]) -> np.ndarray:
    return np.array([[[c == "#" for c in row] for row in plane] for plane in planes])


def ball(shape: tuple[int, int, int], centre: tuple[int, int, int], radius: float) -> np.ndarray:
    at = np.indices(shape) - np.reshape(centre, (3, 1, 1, 1))
    return np.asarray((at**2).sum(axis=0) <= radius**2)


TRUTH = ball((9, 14, 17), (4, 6, 8), 4)
NOTHING = np.zeros_like(TRUTH)


def worn_by_hand(part: np.ndarray) -> np.ndarray:
    """Erode until nothing is left and note in which round each voxel went."""
    rounds = np.zeros(part.shape, int)
    left, count = part, 0
    while left.any():
        rounds[left] += 1
        left, count = ndimage.binary_erosion(left), count + 1
    return rounds


# Selection.


def test_a_missed_ball_is_clicked_in_its_core_and_a_wrong_one_gets_a_negative_click():
    extra = ball(TRUTH.shape, (4, 3, 14), 2)
    assert not (extra & TRUTH).any()

    clicks = Selection(least=0.05)(TRUTH, extra)

    assert clicks == (Click((4, 6, 8)), Click((4, 3, 14), positive=False))


def test_small_blocks_are_dropped_and_there_may_be_a_limit_to_the_clicks():
    mask = TRUTH.copy()
    mask[0, 0, 0] = True
    mask[4, 6, 8] = False

    assert Selection(least=0.02)(TRUTH, mask) is None
    assert len(Selection(least=0.0)(TRUTH, mask)) == 2
    assert len(Selection(least=0.0, most=1)(TRUTH, mask)) == 1


def test_a_missed_and_a_wrong_block_that_touch_are_two_blocks():
    truth = solid(["....", "##..", "##.."])
    mask = solid(["....", "..##", "..##"])

    signs = sorted(click.positive for click in Selection()(truth, mask))

    assert signs == [False, True]


@given(part=pairs())
@settings(max_examples=60, deadline=None)
def test_the_core_is_what_repeated_erosion_leaves_last(part: Any) -> None:
    block = part[0]

    rounds = erosion_rounds(block)

    assert (rounds == (worn_by_hand(block[0])[None] if block.shape[0] == 1 else worn_by_hand(block))).all()


# Brush.


def test_the_stroke_follows_a_bent_region_in_the_slice_where_it_is_largest():
    truth = solid(
        ["........", "........", "........", "........", "........"],
        ["######..", ".....#..", ".....#..", "######..", "........"],
        ["####....", "........", "........", "........", "...####."],
    )

    stroke = Brush()(truth, np.zeros_like(truth))

    voxels = path(stroke.points)
    assert (voxels[:, 0] == 1).all()
    assert truth[tuple(voxels.T)].all()
    assert voxels[[0, -1]].tolist() == [[1, 0, 0], [1, 3, 0]] or voxels[[0, -1]].tolist() == [[1, 0, 0], [1, 3, 5]]
    assert stroke.positive


def test_a_stroke_over_what_is_too_much_is_negative_and_short_ones_are_dropped():
    truth = np.zeros((1, 4, 9), bool)
    mask = solid([".........", ".#######.", ".........", "........."])

    assert Brush()(truth, mask) == Stroke(((0, 1, 1), (0, 1, 7)), positive=False)
    assert Brush(least=7)(truth, mask) is not None
    assert Brush(least=8)(truth, mask) is None


def test_the_way_is_the_shortest_inside_the_region_and_never_crosses_a_gap():
    region = solid(
        [
            "#..#####",
            "#..#...#",
            "#..#.#.#",
            "#..#.#.#",
            "####.###",
        ]
    )[0]

    line = shortest_path(region, np.array([0, 0]), np.array([2, 5]))

    assert line.tolist()[0] == [0, 0]
    assert line.tolist()[-1] == [2, 5]
    assert region[tuple(line.T)].all()
    assert (np.abs(np.diff(line, axis=0)).max(axis=1) == 1).all()
    assert [0, 5] in line.tolist()


@given(pair=pairs())
@settings(max_examples=100, deadline=None)
def test_the_two_ends_are_as_far_apart_as_any_two_pixels(pair: Any) -> None:
    region = pair[0].any(axis=0)
    if region.any():
        pixels = np.argwhere(region)

        one, other = farthest(region)

        assert region[tuple(one)]
        assert region[tuple(other)]
        apart = ((pixels[:, None] - pixels[None]) ** 2).sum(axis=2)
        assert ((one - other) ** 2).sum() == apart.max()


@given(pair=pairs())
@settings(max_examples=100, deadline=None)
def test_a_stroke_stays_in_one_slice_inside_mistakes_of_its_sign(pair: Any) -> None:
    truth, mask = pair

    stroke = Brush(least=1)(truth, mask)

    assert (stroke is None) == bool((truth == mask).all())
    if stroke is not None:
        check(stroke, truth.shape)
        where = tuple(path(stroke.points).T)
        assert len(set(where[0].tolist())) == 1
        assert (truth[where] == stroke.positive).all()
        assert (mask[where] != stroke.positive).all()


# Adjustment.


def test_k_is_what_is_missing_less_what_is_too_much_by_the_truth():
    truth = solid(["####", "####"])
    mask = solid(["##..", "####"])

    assert Adjustment()(truth, mask) == Adjust(2 / 8, of="truth")
    assert Adjustment()(mask, truth) == Adjust(-2 / 6, of="truth")
    assert Adjustment(clip=0.2)(mask, truth) == Adjust(-0.2, of="truth")
    assert Adjustment(least=0.3)(truth, mask) is None


def test_k_has_no_limit_in_use_and_needs_an_object_and_a_difference():
    truth = solid(["#...", "...."])

    assert Adjustment()(truth, ~truth) == Adjust(-6.0, of="truth")
    assert Adjustment()(np.zeros_like(truth), truth) is None
    assert Adjustment()(truth, truth[..., ::-1]) is None


# Together.


def test_the_simulated_edits_are_those_of_the_three_tools():
    edits = Edits(seed=4, clip=0.5)(TRUTH, NOTHING)

    assert edits == (*Selection(4)(TRUTH, NOTHING), Brush(4)(TRUTH, NOTHING), Adjust(0.5, of="truth"))
    assert Edits()(TRUTH, TRUTH) is None


def test_the_editor_selects_blocks_brushes_rims_and_adjusts_the_rest():
    slab = TRUTH.copy()
    slab[:, :, :8] = False
    rim = TRUTH.copy()
    rim[4] &= ndimage.binary_erosion(TRUTH[4])
    thin = ndimage.binary_dilation(TRUTH)
    stray = TRUTH.copy()
    stray[0, 0, 0] = True

    assert isinstance(Editor()(TRUTH, slab), Click)
    assert isinstance(Editor()(TRUTH, rim), Stroke)
    assert isinstance(Editor()(TRUTH, thin), Adjust)
    assert Editor()(TRUTH, ndimage.binary_erosion(TRUTH)).k > 0
    assert Editor()(TRUTH, stray) is None
    assert Editor(content=0.5)(TRUTH, rim) is None


# Mistaken.


def test_wrong_edits_contradict_the_truth_where_the_mask_is_right():
    for seed in range(20):
        click = WrongEdit(seed, erase=False, brush=False, away=4)(TRUTH, TRUTH)
        erased = WrongEdit(seed, erase=True, brush=True)(TRUTH, TRUTH)

        distance = ndimage.distance_transform_edt(~TRUTH)
        assert click.positive
        assert distance[click.index] >= 4
        assert not erased.positive
        assert TRUTH[tuple(path(erased.points).T)].all()


def test_a_wrong_stroke_is_no_longer_than_it_may_be_and_stays_in_its_tissue():
    stroke = WrongEdit(3, erase=False, brush=True, length=5)(TRUTH, TRUTH)

    voxels = path(stroke.points)
    assert 1 <= len(voxels) <= 5
    assert not TRUTH[tuple(voxels.T)].any()


def test_there_is_nothing_to_erase_where_there_is_no_object():
    assert WrongEdit(erase=True)(TRUTH, NOTHING) is None
    assert WrongEdit(erase=False)(~NOTHING, NOTHING) is None
    assert WrongEdit(erase=False, brush=False)(NOTHING, NOTHING) is not None


@pytest.mark.parametrize("robot", [Adjustment(), WrongEdit(), Selection(), Brush(), Editor(), Edits()])
def test_a_robot_refuses_masks_of_two_shapes(robot: Any) -> None:
    with pytest.raises(ShapeError, match=r"one shape; got \(9, 14, 17\) and \(9, 14, 16\)"):
        robot(TRUTH, TRUTH[..., 1:])


@given(pair=pairs(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_what_the_editors_put_down_lies_in_the_image_and_follows_from_the_seed(pair: Any, seed: int) -> None:
    truth, mask = pair
    for name in ("selection", "brush", "adjustment", "editor", "edits", "wrong"):
        robot = user(name, seed)

        marks = robot(truth, mask)

        assert user(name, seed)(truth.copy(), mask.copy()) == marks
        for prompt in marks if isinstance(marks, tuple) else () if marks is None else (marks,):
            check(prompt, truth.shape)
