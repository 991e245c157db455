"""Random changes are repeatable, and the still ones change nothing."""

import numpy as np

from segmend.learning.augment import bend, bent, retoned, wobbled


def test_a_grid_that_is_not_bent_shows_the_picture_as_it_is():
    picture = np.random.default_rng(0).random((16, 16)).astype(np.float32)
    grid = bend(np.random.default_rng(1), 16, turn=0, stretch=0, ripple=0)

    np.testing.assert_allclose(bent(picture, grid), picture, atol=1e-6)


def test_the_same_generator_bends_and_retones_alike():
    image = np.random.default_rng(0).random((3, 24, 24)).astype(np.float32)

    for change in (lambda rng: bent(image[0], bend(rng, 24)), lambda rng: retoned(rng, image)):
        np.testing.assert_array_equal(change(np.random.default_rng(5)), change(np.random.default_rng(5)))


def test_retoning_a_constant_image_stays_finite():
    for seed in range(20):
        assert np.isfinite(retoned(np.random.default_rng(seed), np.full((1, 16, 16), 3.0, np.float32))).all()


def test_a_wobbled_mask_is_a_plausible_first_try():
    truth = np.zeros((64, 64), bool)
    truth[16:48, 20:44] = True

    tries = [wobbled(np.random.default_rng(i), truth) for i in range(20)]
    overlap = [2 * (t & truth).sum() / (t.sum() + truth.sum()) for t in tries]

    assert 0.3 < min(overlap) < 0.9 < max(overlap)


def test_wobbling_nothing_is_nothing():
    assert not wobbled(np.random.default_rng(0), np.zeros((8, 8), bool)).any()
