import numpy as np
import pytest

from segmend.classical.solvers.unary import crop_view, full_resolution_input, inside_of, request_of, solver_input
from segmend.core.image import Box, Image, scale_affine
from segmend.core.prompts import Click, Lasso, Mask
from segmend.core.seeds import BACKGROUND, FOREGROUND, UNKNOWN

SHAPE = (6, 20, 30)


def picture():
    voxels = np.random.default_rng(0).normal(0, 5, (1, *SHAPE)).astype(np.float32)
    voxels[0, 2:5, 5:14, 8:20] += 80
    return Image(voxels, scale_affine((4.0, 1.0, 2.0)))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_lasso_fills_its_plane_whatever_the_axis(axis):
    corners = [(1, 1), (1, 4), (3, 4), (3, 1)]
    lasso = Lasso(tuple(tuple(np.insert(corner, axis, 2)) for corner in corners), axis=axis)

    area = inside_of(lasso, (6, 7, 8))

    assert area.sum() == 12
    assert np.unique(np.nonzero(area)[axis]).tolist() == [2]


def test_a_lasso_of_two_points_is_a_line():
    assert inside_of(Lasso(((0, 1, 1), (0, 1, 4))), (1, 3, 6)).sum() == 4


def test_a_mask_just_given_replaces_the_mask_so_far():
    previous = np.zeros(SHAPE, bool)
    previous[0, 0, 0] = True

    request = request_of([Mask(np.ones((1, 2, 3), bool), (2, 5, 5))], previous)

    assert request.start.sum() == 6
    assert not request.start[0, 0, 0]


def test_cells_stay_near_to_cubes_and_hold_the_means():
    image = picture()

    view = crop_view(image, Box((0, 0, 0), SHAPE), most=1000)

    assert view.stride == (1, 4, 1) or view.stride == (1, 4, 2)
    assert np.prod(view.shape) <= 1000
    first = image.voxels[0][: view.stride[0], : view.stride[1], : view.stride[2]].mean()
    assert np.isclose(view.values[0, 0, 0, 0] * view.unit[0] + view.middle[0], first, atol=1e-3)
    assert min(view.spacing) == 1.0


def test_marks_and_the_open_border_are_pinned():
    request = request_of([Click((3, 9, 12)), Click((3, 9, 25), positive=False)], np.zeros(SHAPE, bool))

    case = solver_input(crop_view(picture(), Box((0, 2, 4), (6, 18, 30)), most=10**6), request)

    assert case.pinned[3, 7, 8] == FOREGROUND
    assert case.pinned[3, 7, 21] == BACKGROUND
    assert (case.pinned[:, 0] == BACKGROUND).all()
    assert (case.pinned[:, :, 0] == BACKGROUND).all()
    assert case.pinned[0, 5, 25] == UNKNOWN  # the image itself ends there


def test_the_unary_is_high_where_the_appearance_is_that_of_the_click():
    request = request_of([Click((3, 9, 12))], np.zeros(SHAPE, bool))

    case = solver_input(crop_view(picture(), Box((0, 0, 0), SHAPE), most=10**6), request)

    bright = picture().voxels[0] > 40
    assert np.median(case.unary[bright]) > 0 > np.median(case.unary[~bright])


def test_only_a_band_is_left_free_at_full_resolution():
    image = picture()
    request = request_of([Click((3, 9, 12))], np.zeros(SHAPE, bool))
    box = Box((0, 0, 0), SHAPE)
    case = solver_input(crop_view(image, box, most=1000), request)
    cells = np.zeros(case.view.shape, bool)
    cells[2:5, 1:4, 4:10] = True

    fine = full_resolution_input(image, case, cells, box)

    assert fine.view.shape == SHAPE
    assert fine.pinned[3, 9, 12] == FOREGROUND
    assert 0.1 < (fine.pinned == UNKNOWN).mean() < 0.9
