"""What is measured of a mask: sizes, diameters and values, on grids where a swapped axis would show."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import pdist

from segmend.core.image import Image, scale_affine
from segmend.core.measures import diameters, measure, slice_axes, statistics, unit_of
from segmend.errors import ShapeError

AFFINE = scale_affine((5.0, 2.0, 1.0))


def bar(shape: tuple[int, int, int], *ends: slice) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[ends] = True
    return mask


def test_a_block_has_the_volume_and_the_diameters_of_its_sides() -> None:
    image = Image(np.zeros((1, 6, 12, 30)), AFFINE)

    found = measure(bar(image.shape, slice(1, 3), slice(2, 4), slice(5, 25)), image)

    assert found.voxels == 80 and found.volume_ml == pytest.approx(0.8)
    assert found.area_mm2 is None and found.diameters is not None
    assert found.diameters.long_axis == pytest.approx(20.1, abs=0.3)
    assert found.diameters.short_axis == pytest.approx(4.0, abs=0.5)
    assert found.diameters.longest == pytest.approx(np.hypot(20, np.hypot(4, 10)), abs=3.0)
    assert found.diameters.longest > found.diameters.long_axis
    assert found.diameters.slice in (1, 2) and found.diameters.unit == "mm"


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_row_of_voxels_is_as_long_as_its_voxels_together(axis: int) -> None:
    image = Image(np.zeros((1, 9, 9, 9)), AFFINE)
    ends = [slice(4, 5)] * 3
    ends[axis] = slice(2, 8)

    found = diameters(bar(image.shape, *ends), image)

    assert found is not None
    assert (found.longest if axis == 0 else found.long_axis) == pytest.approx(6 * image.spacing[axis], rel=0.1)


def test_a_disk_is_as_wide_as_it_is_long_and_a_ball_no_longer() -> None:
    image = Image(np.zeros((1, 21, 50, 50)), scale_affine((2.0, 1.0, 1.0)))
    z, y, x = np.mgrid[:21, :50, :50]
    ball = (2 * (z - 10)) ** 2 + (y - 24) ** 2 + (x - 25) ** 2 <= 15**2

    found = diameters(ball, image)

    assert found is not None and found.slice == 10
    for length in (found.longest, found.long_axis, found.short_axis):
        assert length == pytest.approx(31, abs=1.2)


def test_an_oblique_grid_and_its_turned_twin_measure_the_same() -> None:
    generator = np.random.default_rng(1)
    mask = generator.random((4, 7, 9)) > 0.8
    turn, _ = np.linalg.qr(generator.normal(size=(3, 3)))
    affine = np.eye(4)
    affine[:3] = turn @ AFFINE[:3]
    straight, oblique = (diameters(mask, Image(np.zeros((1, *mask.shape)), a, axes="zyx")) for a in (AFFINE, affine))

    assert straight is not None and oblique is not None
    assert oblique.longest == pytest.approx(straight.longest)
    assert oblique.long_axis == pytest.approx(straight.long_axis)


def test_the_longest_diameter_is_that_of_all_pairs() -> None:
    generator = np.random.default_rng(2)
    for _ in range(10):
        mask = generator.random((3, 8, 6)) > 0.9
        if not mask.any():
            continue
        voxels = np.argwhere(mask)[:, None] + np.concatenate([np.eye(3), -np.eye(3)]) / 2
        points = voxels.reshape(-1, 3) * (5, 2, 1)
        wanted = np.linalg.norm(points[:, None] - points, axis=-1).max()

        found = diameters(mask, Image(np.zeros((1, *mask.shape)), AFFINE))

        assert found is not None and found.longest == pytest.approx(wanted)


def test_values_are_those_in_the_mask_of_every_channel() -> None:
    voxels = np.stack([np.arange(24.0).reshape(1, 4, 6), np.full((1, 4, 6), 3.0)])
    mask = bar((1, 4, 6), slice(None), slice(1, 2), slice(0, 2))

    found = measure(mask, Image(voxels))

    assert (found.means, found.deviations) == ((6.5, 3.0), (0.5, 0.0))
    assert (found.lows, found.highs) == ((6.0, 3.0), (7.0, 3.0))


def test_a_picture_has_an_area_where_it_says_how_large_its_pixels_are() -> None:
    mask = bar((1, 4, 6), slice(None), slice(1, 3), slice(0, 2))
    plain, sized = Image(np.zeros((1, 1, 4, 6))), Image(np.zeros((1, 1, 4, 6)), scale_affine((1, 0.5, 0.25)))

    assert (measure(mask, plain).area_mm2, unit_of(plain)) == (None, "px")
    assert (measure(mask, sized).area_mm2, unit_of(sized)) == (pytest.approx(0.5), "mm")
    assert measure(mask, sized).volume_ml is None


def test_an_empty_mask_measures_nothing() -> None:
    found = measure(np.zeros((2, 3, 4), bool), Image(np.zeros((1, 2, 3, 4))))

    assert (found.voxels, found.volume_ml, found.diameters, found.means) == (0, 0.0, None, ())


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"A mask needs its image's shape \(2, 3, 4\); got \(1, 3, 4\)"):
        measure(np.zeros((1, 3, 4), bool), Image(np.zeros((1, 2, 3, 4))))


@pytest.mark.parametrize("seed", range(6))
def test_the_long_axis_is_the_longest_line_in_a_part_of_any_slice(seed):
    generator = np.random.default_rng(seed)
    mask = generator.random((7, 9, 11)) < generator.uniform(0.01, 0.3)
    affine = scale_affine((4, 1, 2))
    affine[:3, 1] = (0.6, 0.8, 0)  # rows run to the side, too
    image = Image(np.zeros((1, *mask.shape)), affine)

    found = slice_axes(mask, image)

    def longest(z):
        parts, count = ndimage.label(mask[z], np.ones((3, 3)))
        lengths = [0.0]
        for part in range(1, count + 1):
            middles = np.argwhere(parts == part)[:, None] + [(0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5)]
            lengths.append(pdist(middles.reshape(-1, 2) @ affine[:3, 1:3].T).max())
        return max(lengths)

    lengths = [longest(z) for z in range(7)]
    assert found.long_axis == pytest.approx(max(lengths))
    assert lengths[found.slice] == pytest.approx(max(lengths))
    assert found.short_axis <= found.long_axis


def test_an_empty_mask_has_no_axes_and_no_values():
    image = Image(np.zeros((2, 3, 4, 5)))
    assert slice_axes(np.zeros((3, 4, 5), bool), image) is None
    assert statistics(np.zeros((3, 4, 5), bool), image) == ((), (), (), ())


def test_two_lesions_in_a_slice_are_not_measured_as_one():
    mask = np.zeros((2, 10, 40), bool)
    mask[1, 2:4, 2:8] = mask[1, 7, 30:34] = True
    found = measure(mask, Image(np.zeros((1, 2, 10, 40)))).diameters
    assert (found.long_axis, found.short_axis) == (pytest.approx(np.hypot(6, 1)), pytest.approx(2, abs=0.4))
    assert found.longest > 28  # from one to the other
