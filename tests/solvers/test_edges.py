import numpy as np
from scipy.ndimage import convolve

from segmend.solvers import grid_loops as sweep
from segmend.solvers.edges import likeness, noise
from segmend.solvers.maxflow import offsets


def test_a_price_falls_with_the_difference_and_with_the_distance():
    values = np.zeros((2, 2, 3, 4), np.float32)
    values[0, 1] = 1.0
    values[1, 1] = 2.0

    prices = likeness(values, offsets(values.shape[1:]), spacing=(4, 2, 1), sharpness=0.5)

    along_x, along_y, along_z = prices
    assert np.allclose(along_x[:, :, :-1], 1)
    assert np.allclose(along_y[:, :-1], 1 / 2)
    assert np.allclose(along_z[0], np.exp(-0.5 * 5) / 4)
    assert (along_x[:, :, -1] == 0).all()
    assert (along_y[:, -1] == 0).all()
    assert (along_z[-1] == 0).all()


def test_a_floor_keeps_every_link_open():
    values = np.array([[[[0, 1000]]]], np.float32)

    assert likeness(values, [(0, 0, 1)], floor=0.01)[0, 0, 0, 0] == np.float32(0.01)


def test_noise_ignores_the_edges_of_a_picture():
    picture = np.zeros((1, 1, 80, 90), np.float32)
    picture[..., 40:] = 500
    picture += np.random.default_rng(0).normal(0, 3, picture.shape)

    assert abs(noise(picture)[0] - 3) < 0.2
    assert noise(np.zeros((2, 1, 1, 1), np.float32)).tolist() == [0, 0]


def test_soft_chances_keep_their_side():
    inside = np.random.default_rng(0).random((3, 5, 6)) < 0.5
    soft = np.zeros(inside.shape, np.float32)

    sweep.soften(inside, soft)

    around = np.ones((3, 3, 3))
    alike = np.where(inside, *(convolve(side.astype(float), around, mode="constant") for side in (inside, ~inside)))
    share = (1 + alike) / (1 + convolve(np.ones(inside.shape), around, mode="constant")) / 2
    assert np.allclose(soft, np.where(inside, 0.5 + share, 0.5 - share))
    assert ((soft > 0.5) == inside).all()


def test_the_likeness_of_diagonal_neighbours():
    values = np.random.default_rng(2).normal(0, 1, (2, 2, 3, 4)).astype(np.float32)
    found = np.zeros((2, 2, 3, 4), np.float32)

    sweep.likeness(values, np.asarray([(0, 1, -1), (1, 0, 0)]), np.asarray([1, 2], np.float32), 0.3, 0.05, found)

    expected = np.zeros_like(found)
    squares = ((values[:, :, :-1, 1:] - values[:, :, 1:, :-1]) ** 2).sum(axis=0)
    expected[0, :, :-1, 1:] = np.maximum(0.05, np.exp(-0.3 * squares))
    expected[1, :-1] = 2 * np.maximum(0.05, np.exp(-0.3 * ((values[:, :-1] - values[:, 1:]) ** 2).sum(axis=0)))
    assert np.allclose(found, expected)
