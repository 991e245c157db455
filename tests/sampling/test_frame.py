"""Frames: what a grid sees of a volume, and how its answers lie back on the voxels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmend.core.image import Box, whole
from segmend.sampling.frame import Frame, frame_around, whole_frame


def test_seeing_one_to_one_is_the_volume_itself():
    volume = np.arange(24, dtype=np.int16).reshape(2, 3, 4)

    np.testing.assert_allclose(whole_frame((2, 3, 4), (1, 1, 1), (2, 3, 4)).resample_to_grid(volume), volume)


def test_a_frame_keeps_millimetres_and_pads_with_nothing():
    frame = whole_frame((2, 4, 4), (2.0, 1.0, 2.0), (4, 4, 4))  # 4 x 4 x 8 mm, so cells of 2 mm

    seen = frame.resample_to_grid(np.ones((2, 4, 4)))

    assert np.divide(frame.length, frame.cells) * (2.0, 1.0, 2.0) == pytest.approx([2, 2, 2])
    assert frame.cells_in_volume((2, 4, 4)).any(axis=2).tolist() == (seen > 0.5).any(axis=2).tolist()
    assert frame.cells_in_volume((2, 4, 4)).sum() == 2 * 2 * 4
    np.testing.assert_allclose(seen[1:3, 1:3], 1)
    assert seen.sum() == pytest.approx(2 * 2 * 4)


def test_a_cell_on_the_border_sees_the_part_inside():
    frame = whole_frame((3, 4, 4), (2.0, 3.0, 3.0), (4, 4, 4))  # 6 mm of 12 in cells of 3 mm, from the middle of one

    seen = frame.resample_to_grid(np.full((3, 4, 4), -7.0))

    assert np.unique(seen).tolist() == pytest.approx([-7, 0])
    assert (seen[1:3] < 0).all()


def test_a_frame_beside_the_volume_sees_nothing():
    frame = Frame((50.0, 0.0, 0.0), (4.0, 4.0, 4.0), (2, 2, 2))

    assert not frame.resample_to_grid(np.ones((4, 4, 4))).any()
    assert not frame.cells_in_volume((4, 4, 4)).any()


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 12), st.integers(1, 12)),
    spacing=st.tuples(*[st.floats(0.5, 4)] * 3),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_every_voxel_lies_in_its_cell_and_a_constant_comes_back(shape, spacing, seed):
    frame = whole_frame(shape, spacing, (4, 8, 4))
    rng = np.random.default_rng(seed)
    voxel = np.asarray([rng.integers(n) for n in shape])

    (cell,) = frame.cell(voxel[None])

    reached = frame.box(Box(tuple(cell.tolist()), tuple((cell + 1).tolist())), shape)
    assert reached.contains(voxel)
    laid = frame.resample_to_voxels(np.full((4, 8, 4), 3.0, np.float32), whole(shape))
    np.testing.assert_allclose(laid, 3.0, rtol=1e-5)


def test_laying_back_a_part_is_a_part_of_laying_back_all():
    frame = whole_frame((5, 9, 7), (2.0, 1.0, 1.0), (4, 4, 4))
    grid = np.random.default_rng(0).random((4, 4, 4)).astype(np.float32)
    part = Box((1, 2, 3), (4, 8, 5))

    np.testing.assert_allclose(
        frame.resample_to_voxels(grid, part), frame.resample_to_voxels(grid, whole((5, 9, 7)))[part.slices], rtol=1e-5
    )


def test_a_frame_round_a_box_has_cubes_for_cells_and_the_box_in_its_middle():
    box = Box((4, 10, 10), (6, 22, 16))  # 6 x 12 x 12 mm

    frame = frame_around(box, (3.0, 1.0, 2.0), margin=2.0, cells=(4, 8, 8))

    assert np.divide(frame.length, frame.cells) * (3.0, 1.0, 2.0) == pytest.approx([3, 3, 3])
    assert np.add(frame.low, np.divide(frame.length, 2)) == pytest.approx([5, 16, 13])


def test_a_frame_round_a_voxel_is_as_long_as_it_needs_to_be():
    frame = frame_around(Box((5, 5, 5), (6, 6, 6)), (2.0, 1.0, 1.0), margin=1.5, cells=(8, 8, 8), least=16.0)

    assert frame.length == (8.0, 16.0, 16.0)


@given(shape=st.tuples(*[st.integers(1, 70)] * 3), cells=st.sampled_from([2, 4, 8]), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_seeing_some_voxels_keeps_smooth_images_where_they_are(shape, cells, seed):
    rng = np.random.default_rng(seed)
    frame = frame_around(whole(shape), rng.uniform(0.5, 3, 3), margin=rng.uniform(0.5, 1.5), cells=(cells,) * 3)
    ramp = np.einsum("zyxk,k->zyx", np.moveaxis(np.indices(shape), 0, -1), rng.uniform(-1, 1, 3))
    edge = np.divide(frame.length, cells).max()

    all_, some = frame.resample_to_grid(ramp), frame.subsample_to_grid(ramp)

    within = frame.cells_in_volume(shape)
    assert np.abs(all_ - some)[within].max(initial=0) <= 0.75 * edge + 1  # less than a cell, of slopes up to 1 an axis
    assert not some[~frame.cells_in_volume(np.add(shape, edge))].any() or edge > 1


def test_seeing_some_voxels_is_seeing_all_while_cells_are_fine():
    frame = frame_around(Box((2, 2, 2), (7, 9, 8)), (2.0, 1.0, 1.0), margin=1.0, cells=(6, 6, 6))
    volume = np.random.default_rng(0).random((9, 11, 10))

    np.testing.assert_array_equal(frame.subsample_to_grid(volume), frame.resample_to_grid(volume))
