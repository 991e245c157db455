import numpy as np
import pytest

from segmend.classical.solvers.mixture import Gaussians, Histogram, fit
from segmend.errors import ShapeError


def test_a_histogram_is_a_density_near_the_true_one():
    samples = np.random.default_rng(0).normal(40, 6, 20_000)

    seen = Histogram.fit(samples, low=0, high=100, spread=1.0)

    at = np.arange(0.2, 100, 100 / 256)
    density = np.exp(seen.log_density(at[None]))
    true = np.exp(-((at - 40) ** 2) / 72) / (6 * np.sqrt(2 * np.pi))
    assert abs(density.sum() * 100 / 256 - 1) < 0.01
    assert np.abs(density - true).max() < 0.005


def test_gaussians_find_two_colours_and_their_shares():
    random = np.random.default_rng(1)
    red, blue = random.normal((200, 20, 30), 8, (600, 3)), random.normal((20, 30, 180), 15, (200, 3))

    seen = Gaussians.fit(np.concatenate([red, blue]), count=2, spread=np.ones(3), volume=255**3)

    first = int(np.argmax(seen.shares))
    assert abs(seen.shares[first] - 0.75) < 0.02
    assert np.abs(seen.means[first] - (200, 20, 30)).max() < 3
    likely = seen.log_density(np.array([[200, 20, 110], [20, 30, 25], [30, 180, 105.0]]))
    assert likely[0] > likely[1] > likely[2]


def test_a_mixture_of_one_gaussian_is_its_formula():
    samples = np.random.default_rng(2).normal(0, 2, (5000, 2))
    covariance = np.cov(samples.T, bias=True) + np.eye(2)

    seen = Gaussians.fit(samples, count=1, spread=np.ones(2), volume=100)

    point = np.array([1.0, -2.0])
    away = point - samples.mean(axis=0)
    wanted = -0.5 * away @ np.linalg.inv(covariance) @ away - np.log(2 * np.pi * np.sqrt(np.linalg.det(covariance)))
    assert abs(seen.log_density(point[:, None])[0] - wanted) < 1e-2


def test_few_and_equal_samples_still_make_a_density():
    for samples in (np.full((1, 3), 7.0), np.full((50, 3), 7.0)):
        seen = fit(samples, low=np.zeros(3), high=np.full(3, 10.0), spread=np.full(3, 0.5))
        near, far = seen.log_density(np.array([[7.0, 1.0]] * 3))
        assert near > far > -30


def test_a_density_needs_samples():
    with pytest.raises(ShapeError, match="A density needs at least one sample; got none"):
        Histogram.fit(np.zeros(0), low=0, high=1, spread=1)
    with pytest.raises(ShapeError, match="A density needs at least one sample; got none"):
        Gaussians.fit(np.zeros((0, 3)), count=2, spread=np.ones(3), volume=1)


def test_a_spread_far_wider_than_the_values_is_a_flat_density():
    seen = Histogram.fit(np.zeros(9), low=0, high=1e-3, spread=1e6)  # a uniform picture: once minutes of blurring

    near, far = seen.log_density(np.array([[0.0, 1e-3]]))

    assert 0 <= near - far < 1
