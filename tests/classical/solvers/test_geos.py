import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmend.classical.solvers.geos import Widths, geos
from segmend.core.seeds import BACKGROUND, FOREGROUND
from segmend.errors import ShapeError
from segmend.solvers.geodesic import geodesic

FLAT = np.zeros((1, 1, 20, 24), np.float32)


def square():
    unary = np.full((1, 20, 24), -3.0, np.float32)
    unary[0, 5:15, 6:18] = 3
    return unary


def test_specks_and_holes_go_and_the_square_stays():
    unary = square()
    clean = unary > 0
    unary[0, 2, 2] = unary[0, 17, 20] = 3
    unary[0, 9, 11] = -3

    found = geos(unary, FLAT, widths=Widths(candidates=(1.5, 3.0)))

    assert np.array_equal(found.inside[0, 6:14, 7:17], clean[0, 6:14, 7:17])
    assert not found.inside[0, 2, 2]
    assert not found.inside[0, 17, 20]
    assert (found.inside != clean).sum() <= 8  # the corners may be rounded
    assert max(found.dilation, found.erosion) > 0


def test_a_clean_unary_needs_no_filter():
    found = geos(square(), FLAT)

    assert np.array_equal(found.inside, square() > 0)


def test_widths_are_chosen_by_energy():
    unary = square()
    unary[0, 2, 2] = 3

    every = geos(unary, FLAT, widths=Widths(candidates=(1.0, 3.0)))
    none = geos(unary, FLAT, widths=Widths(candidates=()))

    assert none.inside[0, 2, 2]
    assert (none.dilation, none.erosion) == (0, 0)
    assert every.energy < none.energy


def test_the_boundary_runs_where_the_image_changes():
    values = FLAT.copy()
    values[..., :14] = 60
    unary = np.zeros((1, 20, 24), np.float32)
    unary[0, :, :6], unary[0, :, 18:] = 3, -3

    found = geos(unary, values)

    assert (found.inside == (values[0] > 0)).all()


def test_a_path_with_its_end_given_is_the_geodesic_distance():
    random = np.random.default_rng(3)
    values = random.normal(0, 2, (1, 4, 9, 11)).astype(np.float32)
    unary = np.full((4, 9, 11), 0.0, np.float32)
    pinned = np.zeros(unary.shape, np.uint8)
    pinned[:, :, :4], pinned[:, :, 7:] = FOREGROUND, BACKGROUND
    spacing = (2.0, 1.0, 1.0)

    found = geos(unary, values, spacing=spacing, pinned=pinned, widths=Widths(candidates=(), end_cost=1e6, contrast=1))

    free = pinned == 0
    exact = geodesic(values, pinned == BACKGROUND, spacing=spacing) - geodesic(
        values, pinned == FOREGROUND, spacing=spacing
    )
    assert np.abs(found.signed_distance - exact)[free].mean() < 0.2
    assert ((found.signed_distance > 0) == (exact > 0))[free].mean() > 0.95


def test_pinned_voxels_stay_with_what_lies_round_them():
    pinned = np.zeros((1, 20, 24), np.uint8)
    pinned[0, 10, 12], pinned[0, 2, 2] = BACKGROUND, FOREGROUND

    found = geos(square(), FLAT, pinned=pinned)

    assert not found.inside[0, 10, 12]
    assert found.inside[0, 2, 2]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_unary_of_one_side_only_stays_whole(sign):
    assert (geos(np.full((2, 3, 4), 2.0 * sign), np.zeros((1, 2, 3, 4))).inside == (sign > 0)).all()


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 999), flat=st.booleans())
def test_negating_the_unary_negates_the_answer(seed, flat):
    random = np.random.default_rng(seed)
    shape = (1, 8, 9) if flat else (3, 5, 6)
    unary = random.normal(0, 2, shape).astype(np.float32)
    values = random.normal(0, 2, (2, *shape)).astype(np.float32)

    one, other = (geos(b, values, widths=Widths(candidates=())) for b in (unary, -unary))

    assert one.signed_distance == pytest.approx(-other.signed_distance, abs=1e-3)


def test_grids_that_differ_are_refused():
    with pytest.raises(ShapeError, match=r"one grid; got \(1, 2, 3\), \(1, 1, 2, 4\) and \(1, 2, 3\)"):
        geos(np.zeros((1, 2, 3)), np.zeros((1, 1, 2, 4)))
