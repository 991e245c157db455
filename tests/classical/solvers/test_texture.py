import numpy as np
import pytest

from segmend.classical.solvers.texture import DIRECTIONS, count, features


@pytest.mark.parametrize("shape", [(1, 20, 31), (3, 7, 5), (1, 1, 9), (1, 1, 1)])
def test_there_are_as_many_features_as_said_and_all_are_finite(shape):
    values = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)

    found = features(values)

    assert found.shape == (count(shape[0]), *shape[1:])
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_an_even_image_has_only_its_value_and_means():
    found = features(np.full((1, 12, 15), 5, np.float32))

    assert np.allclose(found[[0, 1, 3]], 5)
    assert np.allclose(np.delete(found, [0, 1, 3], axis=0), 0, atol=1e-4)


def test_means_and_deviations_are_of_squares():
    values = np.random.default_rng(0).normal(0, 1, (1, 20, 31)).astype(np.float32)

    found = features(values)

    assert found[1, 10, 15] == pytest.approx(values[0, 9:12, 14:17].mean(), abs=1e-5)
    assert found[2, 10, 15] == pytest.approx(values[0, 9:12, 14:17].std(), abs=1e-4)
    assert found[4, 10, 15] == pytest.approx(values[0, 6:15, 11:20].std(), abs=1e-4)


def test_wavelets_and_directions_separate_vertical_and_horizontal_edges():
    upright = np.zeros((1, 20, 30), np.float32)
    upright[:, :, 15:] = 1

    one, other = features(upright), features(upright.transpose(0, 2, 1))

    start = 5
    assert abs(one[start, 10, 14]) < 1e-5 < 0.5 < abs(one[start + 1, 10, 14])  # above and below agree, the sides do not
    assert abs(other[start + 1, 14, 10]) < 1e-5 < 0.5 < abs(other[start, 14, 10])
    assert one[-DIRECTIONS, 10, 14] > 0
    assert not one[-DIRECTIONS + 1 :, 10, 14].any()
    assert other[-DIRECTIONS + 2, 14, 10] > 0
