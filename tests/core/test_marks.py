"""Prompts as voxels: lines without gaps, later marks over earlier ones, and what a network sees."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmend.core.image import Box
from segmend.core.marks import fill_lasso, in_plane, line, mark, marks, path
from segmend.core.prompts import Adjust, Click, Extremes, Lasso, Mask, Prompt, Stroke
from segmend.sampling.channels import plane_prompt_channels, stamp, volume_prompt_channels
from segmend.sampling.frame import Frame
from segmend.sampling.window import Window

SHAPE = (3, 6, 8)
INDEX = st.tuples(*(st.integers(0, n - 1) for n in SHAPE))
FAR = st.tuples(*[st.integers(-20, 20)] * 3)


class TestLines:
    @given(FAR, FAR)
    def test_a_line_has_no_gaps_and_keeps_to_the_straight(self, a: tuple[int, ...], b: tuple[int, ...]) -> None:
        voxels = line(a, b)
        assert (tuple(voxels[0]), tuple(voxels[-1])) == (a, b)
        assert len(voxels) == max(abs(p - q) for p, q in zip(a, b, strict=True)) + 1
        for one, other in pairwise(voxels):
            assert np.abs(other - one).max() == 1
        exact = np.linspace(a, b, len(voxels))
        assert np.abs(voxels - exact).max() <= 0.5 + 1e-9

    @given(st.lists(INDEX, min_size=1, max_size=5))
    def test_a_path_goes_through_every_point_and_names_no_voxel_twice(self, points: list[tuple[int, int, int]]) -> None:
        voxels = [tuple(v) for v in path(points).tolist()]
        assert set(points) <= set(voxels)
        assert len(set(voxels)) == len(voxels)
        assert voxels[0] == points[0]

    @given(st.lists(INDEX, min_size=2, max_size=5))
    def test_a_path_is_the_lines_between_its_points_in_order(self, points: list[tuple[int, int, int]]) -> None:
        lines = [tuple(voxel) for a, b in pairwise(points) for voxel in line(a, b).tolist()]

        assert [tuple(voxel) for voxel in path(points).tolist()] == list(dict.fromkeys(lines))


class TestMarks:
    def test_what_pins_voxels_and_what_only_guides(self) -> None:
        assert mark(Click((0, 1, 2), positive=False))[1] is False
        found = mark(Stroke(((0, 0, 0), (0, 0, 2))))
        assert found is not None
        assert (found[0].tolist(), found[1]) == ([[0, 0, 0], [0, 0, 1], [0, 0, 2]], True)
        extremes = mark(Extremes(((0, 0, 0), (0, 0, 2))))
        assert extremes is not None
        assert (extremes[0].tolist(), extremes[1]) == ([[0, 0, 0], [0, 0, 2]], True)
        guides: list[Prompt] = [
            Box((0, 0, 0), (1, 1, 1)),
            Lasso(((0, 0, 0), (0, 2, 2))),
            Adjust(1.0),
            Mask(np.ones((1, 1, 1), bool)),
        ]
        assert [mark(prompt) for prompt in guides] == [None] * 4

    @given(st.lists(st.tuples(INDEX, st.booleans()), max_size=12))
    def test_the_later_mark_holds(self, clicks: list[tuple[tuple[int, int, int], bool]]) -> None:
        positive, negative = marks([Click(index, sign) for index, sign in clicks], SHAPE)
        last = dict(clicks)
        assert {tuple(v) for v in positive.tolist()} == {index for index, sign in last.items() if sign}
        assert {tuple(v) for v in negative.tolist()} == {index for index, sign in last.items() if not sign}
        assert len(positive) + len(negative) == len(last)
        assert positive.shape[1] == negative.shape[1] == 3


class TestStamp:
    @given(st.floats(-2, 8), st.floats(-2, 10), st.floats(0.71, 4))
    def test_a_stamp_is_a_disc(self, row: float, column: float, radius: float) -> None:
        grid = np.zeros((6, 8), np.float32)
        stamp(grid, np.array([row]), np.array([column]), radius)
        y, x = np.indices(grid.shape)
        distance = np.hypot(y - row, x - column)
        assert (grid[distance <= radius - 0.51] == 1).all()
        assert (grid[distance > radius + 1e-6] == 0).all()

    def test_the_smallest_stamp_is_one_cell(self) -> None:
        grid = np.zeros((3, 5), np.float32)
        stamp(grid, np.array([1.0]), np.array([3.0]), 0.0)
        assert np.argwhere(grid).tolist() == [[1, 3]]


class TestFillLasso:
    def test_a_triangle_with_its_border(self) -> None:
        assert fill_lasso(np.array([[0, 0], [4, 0], [4, 4]]), 5, 6).astype(int).tolist() == [
            [1, 0, 0, 0, 0, 0],
            [1, 1, 0, 0, 0, 0],
            [1, 1, 1, 0, 0, 0],
            [1, 1, 1, 1, 0, 0],
            [1, 1, 1, 1, 1, 0],
        ]

    def test_a_line_that_crosses_itself_leaves_its_hole(self) -> None:
        ring = [[0, 0], [0, 6], [6, 6], [6, 0], [0, 0], [2, 2], [2, 4], [4, 4], [4, 2], [2, 2]]
        inside = fill_lasso(np.array(ring), 7, 7)
        assert not inside[3, 3]
        assert inside[1, 3]
        assert inside.sum() == 49 - 1

    @given(st.lists(st.tuples(st.integers(-3, 9), st.integers(-3, 9)), min_size=1, max_size=6))
    def test_whatever_is_drawn_stays_within_its_bounds(self, points: list[tuple[int, int]]) -> None:
        line_drawn = np.array(points)
        inside = fill_lasso(line_drawn, 5, 7)
        y, x = np.nonzero(inside)
        assert inside.shape == (5, 7)
        if len(y):
            assert (line_drawn.min(axis=0) <= (y.min(), x.min())).all()
            assert (line_drawn.max(axis=0) >= (y.max(), x.max())).all()
        for row, column in points:
            if 0 <= row < 5 and 0 <= column < 7:
                assert inside[row, column]


class TestSeePrompts:
    WINDOW = Window(0, 0, 8, 8)  # cells are pixels

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_a_click_is_seen_in_its_plane_alone(self, axis: int) -> None:
        index = (2, 3, 5)
        here = plane_prompt_channels([Click(index)], axis, index[axis], self.WINDOW, 8)
        beside = plane_prompt_channels([Click(index)], axis, index[axis] + 1, self.WINDOW, 8)
        row, column = (v for i, v in enumerate(index) if i != axis)
        y, x = np.indices((8, 8))
        np.testing.assert_array_equal(here[0], np.hypot(y - row, x - column) <= 3)
        assert not here[1:].any()
        assert not beside.any()

    def test_signs_and_boxes_have_channels_of_their_own(self) -> None:
        prompts: list[Prompt] = [
            Click((1, 0, 0), positive=False),
            Stroke(((1, 7, 0), (1, 7, 7))),
            Box((0, 2, 3), (2, 5, 7)),
            Adjust(1.0),
        ]
        positive, negative, box = plane_prompt_channels(prompts, 0, 1, self.WINDOW, 8)
        assert positive[7].all()
        assert not positive[:5].any()
        assert negative[0, 0] == 1
        assert not negative[4:].any()
        assert np.argwhere(box).min(axis=0).tolist() == [2, 3]
        assert np.argwhere(box).max(axis=0).tolist() == [4, 6]
        assert box.sum() == 12

    def test_extremes_are_points_and_a_box(self) -> None:
        corners = Extremes(((0, 2, 4), (0, 6, 4), (0, 4, 1), (0, 4, 7)))
        positive, negative, box = plane_prompt_channels([corners], 0, 0, self.WINDOW, 8)
        assert all(positive[y, x] == 1 for _, y, x in corners.points)
        assert not negative.any()
        assert box.sum() == 5 * 7

    def test_a_box_reaches_only_its_planes(self) -> None:
        assert not plane_prompt_channels([Box((0, 2, 3), (2, 5, 7))], 0, 2, self.WINDOW, 8).any()
        assert in_plane(Box((0, 2, 3), (2, 5, 7)), 2) == ((0, 2), (2, 5))


class TestSeeMarks:
    FRAME = Frame((0, 0, 0), (4, 16, 8), (8, 16, 8))  # cells half a voxel deep

    def test_a_click_is_a_ball_round_its_voxel(self) -> None:
        positive, negative, box = volume_prompt_channels([Click((2, 5, 3))], self.FRAME)
        z, y, x = np.indices((8, 16, 8))
        np.testing.assert_array_equal(positive, (z - 4.5) ** 2 + (y - 5) ** 2 + (x - 3) ** 2 <= 4)
        assert not negative.any()
        assert not box.any()

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_a_stroke_in_any_plane_is_a_tube_without_gaps(self, axis: int) -> None:
        from scipy.ndimage import label

        low, high = [1, 2, 1], [3, 14, 6]
        high[axis] = low[axis]
        start, end = (low[0], low[1], low[2]), (high[0], high[1], high[2])
        negative = volume_prompt_channels([Stroke((start, end, start), positive=False)], self.FRAME)[1]
        assert label(negative)[1] == 1
        for point in (start, end):
            assert negative[tuple(self.FRAME.cell(np.array([point]))[0])] == 1
        steps = 2 * (high[0] - low[0]) + high[1] - low[1] + high[2] - low[2]
        assert negative.sum() < 12 * (steps + 2)

    def test_a_long_stroke_costs_the_cells_that_it_touches(self) -> None:
        points = tuple((z % 4, (7 * z) % 16, (5 * z) % 8) for z in range(20_000))
        tracemalloc.start()
        try:
            seen = volume_prompt_channels([Stroke(points)], self.FRAME)
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert seen[0].mean() > 0.5
        assert most < 64e6  # 1.1 GB with a ball for every step of the line

    def test_a_stroke_of_one_point_is_a_ball(self) -> None:
        assert volume_prompt_channels([Stroke(((1, 5, 4),))], self.FRAME)[0].sum() > 5

    def test_boxes_fill_the_cells_whose_centres_they_hold(self) -> None:
        box = volume_prompt_channels([Box((1, 3, 2), (3, 9, 5))], self.FRAME)[2]
        wanted = np.zeros((8, 16, 8), bool)
        wanted[2:6, 3:9, 2:5] = True
        np.testing.assert_array_equal(box, wanted)

    def test_a_flat_box_among_coarse_cells_is_one_cell_thick(self) -> None:
        frame = Frame((0, 0, 0), (40, 40, 40), (8, 8, 8))
        for index in range(40):
            box = volume_prompt_channels([Box((index, 10, 0), (index + 1, 30, 20))], frame)[2]
            assert box.any(axis=(1, 2)).sum() == 1
            assert box.sum() == 4 * 4

    def test_extremes_are_balls_and_the_box_round_them(self) -> None:
        ends = Extremes(((0, 8, 4), (3, 8, 4), (2, 3, 4), (2, 12, 4), (2, 8, 1), (2, 8, 6)))
        positive, negative, box = volume_prompt_channels([ends], self.FRAME)
        assert all(positive[tuple(cell)] == 1 for cell in self.FRAME.cell(np.asarray(ends.points)))
        assert not negative.any()
        assert box.sum() == 8 * 10 * 6

    def test_a_positive_lasso_is_the_box_round_it(self) -> None:
        ring = ((1, 3, 1), (1, 3, 6), (1, 9, 6), (1, 9, 1))
        assert volume_prompt_channels([Lasso(ring)], self.FRAME)[2].sum() == 2 * 7 * 6
        assert not volume_prompt_channels([Lasso(ring, positive=False)], self.FRAME).any()

    @given(low=st.tuples(*[st.floats(-60, 60)] * 3), edge=st.floats(0.05, 20))
    def test_what_lies_outside_the_frame_is_not_seen(self, low: tuple[float, float, float], edge: float) -> None:
        frame = Frame(low, (6 * edge, 4 * edge, 5 * edge), (6, 4, 5))
        prompts: list[Prompt] = [
            Click((9, 9, 9)),
            Stroke(((3, 0, 0), (3, 30, 9)), positive=False),
            Box((5, 5, 5), (6, 9, 30)),
            Adjust(0.4),
        ]
        seen = volume_prompt_channels(prompts, frame)
        at = frame.to_grid(np.array([9, 9, 9]))
        far = np.any((at < -3) | (at > np.add(frame.cells, 2)))
        assert not (far and seen[0].any())
        assert set(np.unique(seen)) <= {0.0, 1.0}
