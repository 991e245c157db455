"""Bodies: closed objects in space whose planes look like the picture they were made of."""

import numpy as np
import pytest

from segmend.learning.drawn.bodies import body

CELLS = 32


def bright_disc():
    rows, columns = np.ogrid[:CELLS, :CELLS]
    truth = (rows - 15) ** 2 + (columns - 17) ** 2 < 36
    return np.where(truth, 2.0, 0.5).astype(np.float32), truth


def ground():
    return np.random.default_rng(3).standard_normal((CELLS, CELLS)).astype(np.float32)


@pytest.mark.parametrize("seed", range(12))
def test_a_body_is_finite_and_smaller_at_the_ends_of_the_block(seed):
    intensities, inside = body(np.random.default_rng(seed), *bright_disc(), ground())

    assert intensities.shape == inside.shape == (CELLS,) * 3
    assert (intensities.dtype, inside.dtype) == (np.float32, bool)
    assert np.isfinite(intensities).all()
    areas = inside.sum(axis=(1, 2))
    assert areas.any()
    assert min(areas[0], areas[-1]) < 0.8 * areas.max()


def test_inside_has_the_intensities_of_the_object_and_round_it_those_of_its_surroundings():
    for seed in range(6):
        intensities, inside = body(np.random.default_rng(seed), *bright_disc(), ground())
        assert np.median(intensities[inside]) == pytest.approx(2.0, abs=0.05)
        assert np.median(intensities[~inside]) < 1.2


def test_a_body_shrinks_towards_its_ends():
    _, inside = body(np.random.default_rng(1), *bright_disc(), ground())

    areas = inside.sum(axis=(1, 2))
    ends = areas[areas > 0][[0, -1]]

    assert ends.max() < 0.8 * areas.max()


def test_the_same_seed_makes_the_same_body():
    one, two = (body(np.random.default_rng(5), *bright_disc(), ground()) for _ in range(2))

    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])
