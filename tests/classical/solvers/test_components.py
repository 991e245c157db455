import numpy as np
import pytest
from scipy.stats import multivariate_normal

from segmend.classical.solvers.components import LEAST_VARIANCE, Components
from segmend.errors import ShapeError


def coloured(seed=0, shape=(2, 5, 7)):
    random = np.random.default_rng(seed)
    values = random.normal(0, 1, (3, *shape)).astype(np.float32)
    values[0, 0] += 9  # the first slice is red
    return values


def test_a_voxel_has_the_cost_of_its_best_component():
    values = coloured()
    everywhere = np.ones(values.shape[1:], bool)
    found = Components.fit(values, everywhere, 2)

    costs, owners = found.costs(values, everywhere)

    points = values.reshape(3, -1).T
    covariances = np.linalg.inv(found.inverses @ found.inverses.transpose(0, 2, 1))
    every = [
        -np.log(share) - multivariate_normal(mean, covariance).logpdf(points)
        for share, mean, covariance in zip(found.shares, found.means, covariances, strict=True)
    ]
    assert np.allclose(costs.ravel(), np.min(every, axis=0), atol=1e-3)
    assert np.array_equal(owners.ravel(), np.argmin(every, axis=0))


def test_components_have_the_share_mean_and_covariance_of_their_voxels():
    values = coloured()
    everywhere = np.ones(values.shape[1:], bool)

    found = Components.fit(values, everywhere, 2)

    red = int(np.argmax(found.means[:, 0]))
    assert found.shares[red] == pytest.approx(0.5)
    assert np.allclose(found.means[red], values[:, 0].reshape(3, -1).mean(axis=1), atol=1e-5)
    wanted = np.cov(values[:, 0].reshape(3, -1), bias=True) + LEAST_VARIANCE * np.eye(3)
    assert np.allclose(np.linalg.inv(found.inverses[red] @ found.inverses[red].T), wanted, atol=1e-4)


def test_only_wanted_voxels_are_fitted_and_get_a_cost():
    values = coloured()
    second = np.zeros(values.shape[1:], bool)
    second[1] = True

    found = Components.fit(values, second, 2).refit(values, second)
    costs, _ = found.costs(values, second)

    assert abs(found.means[:, 0]).max() < 4
    assert not costs[0].any()
    assert costs[1].all()


def test_a_component_that_explains_nothing_is_left_out():
    values = np.zeros((1, 1, 2, 3), np.float32)
    values[0, 0, 0, 0] = 50
    most = values[0] < 1

    found = Components.fit(values, np.ones((1, 2, 3), bool), 2).refit(values, most)

    assert found.shares.tolist() == [1.0]
    assert found.means.tolist() == [[0.0]]


def test_components_of_nothing_are_refused():
    values = coloured()
    nothing = np.zeros(values.shape[1:], bool)

    with pytest.raises(ShapeError, match="at least one voxel to learn from; got none"):
        Components.fit(values, nothing, 2)
    with pytest.raises(ShapeError, match="at least one voxel to learn from; got none"):
        Components.of(values, nothing, np.zeros(nothing.shape, np.uint8), 2)
