"""Windows: what a grid sees of a plane, and how its answers lie back on the pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmend.sampling.window import (
    Window,
    around,
    cells_on_plane,
    resample_to_grid,
    resample_to_plane,
    touches_window_edge,
    window_around_mask,
)


def test_seeing_one_to_one_is_the_plane_itself():
    plane = np.arange(12.0).reshape(3, 4)

    seen = resample_to_grid(plane, Window(0, 0, 3, 3), 3)

    np.testing.assert_allclose(seen, plane[:, :3])


def test_seeing_outside_the_plane_is_zero():
    plane = np.ones((4, 4))

    seen = resample_to_grid(plane, Window(-2, 2, 4, 4), 4)

    assert seen.tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]]


def test_a_window_beside_the_plane_sees_nothing():
    assert not resample_to_grid(np.ones((4, 4)), Window(50, 50, 8, 8), 4).any()


def test_seeing_from_far_averages_every_pixel_once():
    plane = np.random.default_rng(0).random((30, 30))

    seen = resample_to_grid(plane, Window(0, 0, 30, 30), 7)

    assert seen.mean() == pytest.approx(plane.mean(), rel=1e-5)


@given(row=st.integers(0, 19), column=st.integers(0, 29), side=st.floats(6, 60), y=st.floats(-9, 9), x=st.floats(-9, 9))
def test_a_pixel_is_seen_where_its_cell_says(row, column, side, y, x):
    """The brightest cell of a single bright pixel is the cell that `Window.cell` names."""
    plane = np.zeros((20, 30))
    plane[row, column] = 1
    window = Window(row - side / 2 + y * side / 24, column - side / 2 + x * side / 24, side, side)

    seen = resample_to_grid(plane, window, 32)
    cell_y, cell_x = window.cell(row, column, 32)

    peaks = np.argwhere(seen > seen.max() - 1e-4)
    reach = max(1.0, 32 / side)  # a pixel is this many cells wide
    assert np.abs(peaks - (cell_y, cell_x)).max(axis=1).min() <= reach / 2 + 0.51


@given(top=st.floats(-5, 10), left=st.floats(-5, 10), side=st.floats(4, 40))
def test_a_ramp_resampled_there_and_back_is_the_ramp(top, left, side):
    rows, columns = 24, 18
    ramp = np.add.outer(np.arange(rows), 2.0 * np.arange(columns))
    window = Window(top, left, side, side)

    values, where = resample_to_plane(resample_to_grid(ramp, window, 64), window, rows, columns)

    back, truth = values[2:-2, 2:-2], ramp[where][2:-2, 2:-2]
    if back.size:
        np.testing.assert_allclose(back, truth, atol=0.15 * max(1, side / 64) + 0.05)


def test_laying_covers_only_pixels_whose_centre_is_inside():
    _, where = resample_to_plane(np.ones((4, 4), np.float32), Window(1.4, -3, 3.2, 6), 10, 10)

    assert where == (slice(1, 5), slice(0, 3))


def test_a_window_is_square_in_millimetres():
    window = around(0, 0, 10, 10, margin=1.0, aspect=5.0)

    assert (window.height * 5, window.width) == (50, 50)


def test_inside_says_which_cells_are_on_the_plane():
    assert cells_on_plane(Window(0, -4, 4, 8), 4, 4, 4).tolist() == [[False, False, True, True]] * 4


def test_a_window_round_a_mask_is_never_larger_than_the_plane():
    mask = np.zeros((40, 60), bool)
    frame = Window(-10, 0, 60, 60)

    assert window_around_mask(mask, frame, 1.0, margin=2) == frame
    mask[10:30, 20:45] = True
    assert window_around_mask(mask, frame, 1.0, margin=2) == Window(-5, 7.5, 50, 50)
    assert window_around_mask(mask, frame, 1.0, margin=4) == frame


def test_a_mask_touches_its_windows_edge_only_inside_the_plane():
    mask = np.zeros((20, 20), bool)
    mask[0:10, 5:10] = True

    assert not touches_window_edge(mask, Window(-5, 2, 18, 18))
    assert touches_window_edge(mask, Window(-5, 5, 18, 10))
    assert not touches_window_edge(np.zeros((20, 20), bool), Window(5, 5, 5, 5))
