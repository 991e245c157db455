"""Boxes seen as cells of another size: sizes drawn by hand, means kept, and back again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmend.core.image import Box, whole
from segmend.papers.bifseg.crop_grid import Grid, cells_of, planar, resample_to_box, resample_to_cells, solid


def test_cells_are_means_of_voxels_and_voxels_lie_between_cells():
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)

    fewer = resample_to_cells(voxels, Grid(whole(voxels.shape), (1, 3, 2)))
    more = resample_to_cells(voxels, Grid(whole(voxels.shape), (2, 3, 8)))

    assert fewer[0, 0].tolist() == [(0 + 1 + 12 + 13) / 4, (2 + 3 + 14 + 15) / 4]
    assert more[0, 0].tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]


sides = st.tuples(*[st.integers(1, 9)] * 3)


@given(sides, sides)
def test_a_constant_stays_constant_both_ways(shape, cells):
    grid = Grid(whole(shape), cells)

    assert np.allclose(resample_to_cells(np.full(shape, 7), grid), 7, atol=1e-5)
    assert np.allclose(resample_to_box(np.full(cells, 7, np.float32), grid), 7, atol=1e-5)


@given(sides, sides)
def test_every_voxel_has_a_cell(shape, cells):
    grid = Grid(Box((3, 3, 3), tuple(3 + n for n in shape)), cells)
    points = np.stack(np.indices(shape), axis=-1).reshape(-1, 3) + 3

    found = cells_of(points, grid)

    assert len(found) == len(points)
    assert (found >= 0).all()
    assert (found < cells).all()
    assert len(cells_of(points + max(shape), grid)) == 0


def test_an_object_larger_than_a_cell_comes_back_as_it_was():
    mask = np.zeros((1, 40, 60), bool)
    mask[0, 8:31, 13:47] = True
    grid = planar(whole(mask.shape), (1, 1, 1), shorter=96, most=256)

    back = resample_to_box((resample_to_cells(mask, grid) > 0.5).astype(np.float32), grid) > 0.5

    assert grid.cells == (1, 96, 144)
    assert (back == mask).all()


@pytest.mark.parametrize(
    ("shape", "spacing", "cells"),
    [
        ((1, 96, 200), (1, 1, 1), (1, 96, 200)),
        ((1, 50, 25), (9, 1, 2), (1, 96, 96)),  # square in millimetres
        ((1, 2, 100), (1, 1, 1), (1, 96, 256)),  # no longer than the most
        ((1, 1, 1), (1, 1, 1), (1, 96, 96)),
    ],
)
def test_a_plane_s_shorter_side_gets_96_cells(shape, spacing, cells):
    assert planar(whole(shape), spacing, shorter=96, most=256).cells == cells


@pytest.mark.parametrize(
    ("shape", "spacing", "cells"),
    [
        ((20, 100, 160), (1, 1, 1), (10, 50, 80)),
        ((40, 20, 30), (1.2, 1, 1), (80, 33, 50)),  # in millimetres
        ((6, 60, 80), (8, 1.5, 1.5), (6, 60, 80)),  # thick slices stay as they are
        ((1, 1, 1), (1, 1, 1), (80, 80, 80)),
        ((1, 1, 300), (1, 1, 1), (1, 1, 80)),
    ],
)
def test_a_volume_s_longest_side_gets_80_cells(shape, spacing, cells):
    assert solid(whole(shape), spacing, longest=80).cells == cells
