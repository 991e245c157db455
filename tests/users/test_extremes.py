"""DEXTR's robot: the outermost voxels first, then the edge where the mask is most wrong."""

import numpy as np
import pytest

from segmend.core.masks import extreme_points, rim
from segmend.core.prompts import Extremes, extent
from segmend.users import ExtremePoints
from segmend.users.play import play


def drawn(*rows):
    return np.array([[[c == "#" for c in row] for row in rows]])


CROSS = drawn(
    "..........",
    "....#.....",
    "...###....",
    ".########.",
    "...###....",
    "....#.....",
)


def test_a_flat_object_has_four_extreme_points():
    points = extreme_points(CROSS)

    assert points == ((0, 1, 4), (0, 5, 4), (0, 3, 1), (0, 3, 8))


def test_a_volumes_object_has_six_in_the_order_of_the_axes():
    truth = np.zeros((5, 7, 9), bool)
    truth[1:4, 3, 4] = truth[2, 1:6, 4] = truth[2, 3, 2:8] = True

    points = extreme_points(truth)

    assert points == ((1, 3, 4), (3, 3, 4), (2, 1, 4), (2, 5, 4), (2, 3, 2), (2, 3, 7))


def test_the_middle_one_of_several_outermost_voxels_is_taken_and_lies_in_the_object():
    gap = drawn(".##.##.", "..###..", "..###..")

    points = extreme_points(gap)

    assert all(gap[point] for point in points)
    assert points[1] == (0, 2, 3)


def test_the_box_round_the_points_is_the_objects_box():
    generator = np.random.default_rng(0)
    for _ in range(20):
        truth = generator.random((3, 6, 7)) < 0.1
        if truth.any():
            voxels = np.argwhere(truth)
            box = extent(Extremes(extreme_points(truth)))
            assert box.low == tuple(voxels.min(axis=0)) and box.high == tuple(voxels.max(axis=0) + 1)


def test_the_fifth_point_lies_on_the_edge_by_the_largest_mistake():
    truth = drawn("......", ".####.", ".####.", ".####.", ".####.", "......")
    mask = truth.copy()
    mask[0, 1:3, 3:5] = False  # a corner is missing
    mask[0, 5, 0] = True

    (point,) = ExtremePoints()(truth, mask).points

    assert point in {(0, 1, 3), (0, 1, 4), (0, 2, 4)}


def test_a_game_begins_with_the_extremes_and_goes_on_with_single_points():
    turns = play(ExtremePoints(), CROSS, interactions=3)

    first = next(turns)
    second = turns.send(np.roll(CROSS, 1, axis=2))

    assert [len(prompt.points) for prompt in second.prompts] == [4, 1]
    assert first.prompts == second.prompts[:1]


def test_there_is_nothing_to_mark_where_there_is_no_object_or_no_mistake():
    empty = np.zeros_like(CROSS)

    assert ExtremePoints().opening(empty, CROSS) is None
    assert ExtremePoints()(empty, CROSS) is None
    assert ExtremePoints().opening(CROSS, CROSS) is None
    assert ExtremePoints()(CROSS, CROSS) is None


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 1)])
def test_the_smallest_objects_are_their_own_extremes_and_edge(shape):
    truth = np.zeros(shape, bool)
    truth[0, 0, 0] = True

    assert set(extreme_points(truth)) == {(0, 0, 0)}
    assert rim(truth).sum() == 1


def test_a_careless_hand_stays_in_the_object_and_near_its_ends():
    truth = np.zeros((1, 30, 20), bool)
    truth[0, 5:25, 4:16] = True

    drawn_points = [ExtremePoints(seed, slack=3).opening(truth, np.zeros_like(truth)).points for seed in range(30)]

    assert all(truth[point] for points in drawn_points for point in points)
    assert {points[0][1] for points in drawn_points} == {5, 6, 7, 8}
    assert {points[3][2] for points in drawn_points} == {12, 13, 14, 15}
