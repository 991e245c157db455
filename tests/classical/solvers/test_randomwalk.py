import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmend.classical.solvers.randomwalk import walk
from segmend.core.seeds import BACKGROUND, FOREGROUND, UNKNOWN
from segmend.errors import SettingsError, ShapeError

SHAPES = [(1, 1, 9), (1, 7, 12), (3, 5, 4), (1, 30, 41), (9, 14, 17)]


def random_problem(seed, shape):
    random = np.random.default_rng(seed)
    links = random.uniform(0.01, 1, (3, *shape)).astype(np.float32)
    pinned = random.choice(np.array([UNKNOWN] * 8 + [FOREGROUND, BACKGROUND], np.uint8), shape)
    pinned.flat[0], pinned.flat[-1] = FOREGROUND, BACKGROUND
    stop = random.uniform(0, 0.3, shape).astype(np.float32)
    prior = random.uniform(0, 1, shape).astype(np.float32)
    return links, pinned, stop, prior


def exact(links, pinned, stop, prior):
    """Solve the same equations as one dense matrix, written down link by link."""
    n = pinned.size
    number = np.arange(n).reshape(pinned.shape)
    matrix, right = np.diag(stop.ravel().astype(float)), (stop * prior).ravel().astype(float)
    for axis in range(3):
        ahead, behind = np.delete(number, 0, axis), np.delete(number, -1, axis)
        for p, q in zip(behind.ravel(), ahead.ravel(), strict=True):
            w = links[axis].flat[p]
            matrix[[p, q, p, q], [p, q, q, p]] += [w, w, -w, -w]
    for p in np.flatnonzero(pinned):
        matrix[p], matrix[p, p], right[p] = 0, 1, pinned.flat[p] == FOREGROUND
    return np.linalg.solve(matrix, right).reshape(pinned.shape)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), shape=st.sampled_from(SHAPES[:4]), priors=st.booleans())
def test_the_probability_solves_the_equations(seed, shape, priors):
    links, pinned, stop, prior = random_problem(seed, shape)
    given_prior = {"stop": stop, "prior": prior} if priors else {}

    probability = walk(links, pinned, tolerance=1e-5, **given_prior)

    assert np.abs(probability - exact(links, pinned, stop * priors, prior)).max() < 2e-3


@pytest.mark.parametrize("shape", [(1, 40, 37), (12, 30, 17)])
def test_it_agrees_with_scikit_image(shape):
    from skimage.segmentation import random_walker

    random = np.random.default_rng(4)
    image = (np.arange(shape[2]) > shape[2] / 2) + random.normal(0, 0.3, shape)
    pinned = np.zeros(shape, np.uint8)
    pinned[0, 3, 2], pinned[-1, 5, -3], pinned[0, -1, 4] = FOREGROUND, BACKGROUND, BACKGROUND
    links = np.zeros((3, *shape), np.float32)
    for axis in (0, 1, 2):
        fall = np.diff(image, axis=axis) ** 2
        links[axis][tuple(slice(0, n) for n in fall.shape)] = np.exp(-20 * fall / (10 * image.std()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs, about optional solvers
        theirs = random_walker(
            image.squeeze(), pinned.squeeze(), beta=20, mode="cg_j", tol=1e-6, return_full_prob=True
        )[0].reshape(shape)

    ours = walk(links, pinned, tolerance=1e-5)

    assert np.abs(ours - theirs).max() < 1e-3


def test_a_wall_of_weak_links_separates_inside_from_outside():
    links = np.ones((3, 2, 3, 8), np.float32)
    links[2, :, :, 2] = 1e-3
    pinned = np.zeros((2, 3, 8), np.uint8)
    pinned[0, 1, 0], pinned[1, 0, 7] = FOREGROUND, BACKGROUND

    probability = walk(links, pinned)

    assert ((probability > 0.5) == (np.arange(8) <= 2)).all()


def test_thick_slices_do_not_stop_it():
    links = np.ones((3, 6, 40, 50), np.float32)
    links[0] = 1e-3  # an axis with weak links is not made coarser
    pinned = np.zeros((6, 40, 50), np.uint8)
    pinned[:, :, 0], pinned[:, :, -1] = FOREGROUND, BACKGROUND

    probability = walk(links, pinned, tolerance=1e-5)

    assert np.abs(probability - np.linspace(1, 0, 50)).max() < 1e-3


def test_what_no_mark_reaches_has_a_probability_of_one_half():
    probability = walk(np.ones((3, 1, 2, 3), np.float32), np.zeros((1, 2, 3), np.uint8))

    assert (probability == 0.5).all()


def test_a_part_cut_off_from_all_marks_is_outside():
    links = np.ones((3, 1, 4, 6), np.float32)
    links[2, :, :, 2] = 0
    pinned = np.zeros((1, 4, 6), np.uint8)
    pinned[0, 0, 0] = FOREGROUND

    probability = walk(links, pinned)

    assert np.allclose(probability[..., :3], 1, atol=1e-3)
    assert (probability[..., 3:] == 0).all()


def test_arguments_that_do_not_fit_are_refused():
    links, pinned, stop, prior = random_problem(0, (1, 20, 30))
    with pytest.raises(ShapeError, match=r"needs links of shape \(3, 1, 20, 30\); got \(2, 1, 20, 30\)"):
        walk(links[:2], pinned)
    with pytest.raises(ShapeError, match=r"needs stops of that shape; got \(20, 30\)"):
        walk(links, pinned, stop=stop[0], prior=prior)
    with pytest.raises(ShapeError, match="stops and a prior together"):
        walk(links, pinned, stop=stop)
    with pytest.raises(SettingsError, match="a tolerance that 2 steps reach"):
        walk(links, pinned, most=2)
