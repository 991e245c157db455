"""Drawn strands are darker than what is beside them, thin, and of many kinds."""

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt

from segmend.learning.drawn.strands import RADII_PIXELS, strands

DRAWN = [strands(np.random.default_rng(seed), 96) for seed in range(40)]


def test_the_same_seed_draws_the_same_picture():
    again, truth = strands(np.random.default_rng(3), 96)
    np.testing.assert_array_equal(again, DRAWN[3][0])
    np.testing.assert_array_equal(truth, DRAWN[3][1])


def test_light_is_never_negative_and_nothing_is_missing():
    for light, truth in DRAWN:
        assert light.dtype == np.float32 and truth.dtype == bool
        assert light.shape == truth.shape == (96, 96)
        assert np.isfinite(light).all() and light.min() >= 0


def test_strands_are_darker_than_what_lies_beside_them():
    darker = []
    for light, truth in DRAWN:
        beside = binary_dilation(truth, iterations=3) & ~binary_dilation(truth)
        if truth.sum() > 30:
            darker.append(light[truth].mean() < light[beside].mean())
    assert len(darker) > 30
    assert np.mean(darker) > 0.9


def test_most_pixels_are_near_the_rim_of_their_strand():
    """Where strands lie upon each other they are wide."""
    depths = [distance_transform_edt(truth)[truth] for _, truth in DRAWN if truth.any()]
    assert np.percentile(np.concatenate(depths), 75) <= RADII_PIXELS[-1]


def test_some_pictures_have_few_strands_and_some_have_many():
    shares = [truth.mean() for _, truth in DRAWN]
    assert min(shares) < 0.05 < 0.15 < max(shares)
