"""Random changes are repeatable, and the still ones change nothing."""

import numpy as np

from segmend.learning.augment import augment_intensity, random_grid, warp


def test_a_grid_that_is_not_bent_shows_the_picture_as_it_is():
    picture = np.random.default_rng(0).random((16, 16)).astype(np.float32)
    grid = random_grid(np.random.default_rng(1), 16, turn=0, stretch=0, ripple=0)

    np.testing.assert_allclose(warp(picture, grid), picture, atol=1e-6)


def test_the_same_generator_augments_alike():
    image = np.random.default_rng(0).random((3, 24, 24)).astype(np.float32)

    for change in (lambda rng: warp(image[0], random_grid(rng, 24)), lambda rng: augment_intensity(rng, image)):
        np.testing.assert_array_equal(change(np.random.default_rng(5)), change(np.random.default_rng(5)))


def test_retoning_a_constant_image_stays_finite():
    for seed in range(20):
        assert np.isfinite(augment_intensity(np.random.default_rng(seed), np.full((1, 16, 16), 3.0, np.float32))).all()
