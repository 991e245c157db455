"""Frames: what a grid sees of a volume, and how its answers lie back on the voxels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmend.frame import Frame, whole_frame
from segmend.image import Box, whole


def test_seeing_one_to_one_is_the_volume_itself():
    volume = np.arange(24, dtype=np.int16).reshape(2, 3, 4)

    np.testing.assert_allclose(whole_frame((2, 3, 4), (1, 1, 1), (2, 3, 4)).see(volume), volume)


def test_a_frame_keeps_millimetres_and_pads_with_nothing():
    frame = whole_frame((2, 4, 4), (2.0, 1.0, 2.0), (4, 4, 4))  # 4 x 4 x 8 mm, so cells of 2 mm

    seen = frame.see(np.ones((2, 4, 4)))

    assert np.divide(frame.length, frame.cells) * (2.0, 1.0, 2.0) == pytest.approx([2, 2, 2])
    assert frame.inside((2, 4, 4)).any(axis=2).tolist() == (seen > 0.5).any(axis=2).tolist()
    assert frame.inside((2, 4, 4)).sum() == 2 * 2 * 4
    np.testing.assert_allclose(seen[1:3, 1:3], 1)
    assert seen.sum() == pytest.approx(2 * 2 * 4)


def test_a_cell_on_the_border_sees_the_part_inside():
    frame = whole_frame((3, 4, 4), (2.0, 3.0, 3.0), (4, 4, 4))  # 6 mm of 12 in cells of 3 mm, from the middle of one

    seen = frame.see(np.full((3, 4, 4), -7.0))

    assert np.unique(seen).tolist() == pytest.approx([-7, 0])
    assert (seen[1:3] < 0).all()


def test_a_frame_beside_the_volume_sees_nothing():
    frame = Frame((50.0, 0.0, 0.0), (4.0, 4.0, 4.0), (2, 2, 2))

    assert not frame.see(np.ones((4, 4, 4))).any()
    assert not frame.inside((4, 4, 4)).any()


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
    laid = frame.lay(np.full((4, 8, 4), 3.0, np.float32), whole(shape))
    np.testing.assert_allclose(laid, 3.0, rtol=1e-5)


def test_laying_back_a_part_is_a_part_of_laying_back_all():
    frame = whole_frame((5, 9, 7), (2.0, 1.0, 1.0), (4, 4, 4))
    grid = np.random.default_rng(0).random((4, 4, 4)).astype(np.float32)
    part = Box((1, 2, 3), (4, 8, 5))

    np.testing.assert_allclose(frame.lay(grid, part), frame.lay(grid, whole((5, 9, 7)))[part.slices], rtol=1e-5)
