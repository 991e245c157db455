"""Drawn volumes: usable objects, the same for the same seed."""

import numpy as np
import pytest

from segmend.learning.drawn.solids import smooth_solid, solid, thicken_slices, volume


@pytest.mark.parametrize("seed", range(8))
def test_a_volume_has_a_finite_image_and_an_object(seed):
    image, truth = volume(np.random.default_rng(seed), 24)

    assert image.shape == truth.shape == (24, 24, 24)
    assert (image.dtype, truth.dtype) == (np.float32, bool)
    assert np.isfinite(image).all()
    assert 0 < truth.sum() < truth.size


def test_the_same_seed_draws_the_same_volume():
    one, two = (volume(np.random.default_rng(7), 20) for _ in range(2))

    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


def test_a_smooth_solid_is_smooth_along_every_axis_and_of_unit_deviation():
    field = smooth_solid(np.random.default_rng(0), 3, 40)

    assert field.std() == pytest.approx(1, abs=0.01)
    assert all(np.abs(np.diff(field, axis=axis)).max() < 0.5 for axis in range(3))


def test_solids_are_no_specks_and_of_many_sizes():
    sizes = [solid(np.random.default_rng(i), 32).sum() for i in range(40)]

    assert min(sizes) >= 40
    assert max(sizes) > 20 * min(sizes)


def test_thick_slices_are_means_of_thin_ones():
    image = np.random.default_rng(0).normal(size=(12, 12, 12)).astype(np.float32)

    after = thicken_slices(np.random.default_rng(1), image)

    same = [(np.diff(after, axis=axis) == 0).mean() for axis in range(3)]
    assert sorted(share > 0.4 for share in same) == [False, False, True]
    assert after.mean() == pytest.approx(image.mean(), abs=1e-5)
