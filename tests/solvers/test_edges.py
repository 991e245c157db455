import numpy as np

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
    fast, slow = np.zeros((2, *inside.shape), np.float32)

    sweep.soften(inside, fast)
    sweep.soften.py_func(inside, slow)

    assert ((fast > 0.5) == inside).all()
    assert np.allclose(fast, slow)
    assert fast.min() >= 0
    assert fast.max() <= 1


def test_the_likeness_loop_does_the_same_without_the_compiler():
    values = np.random.default_rng(2).normal(0, 1, (2, 2, 3, 4)).astype(np.float32)
    steps = np.asarray([(0, 1, -1), (1, 0, 0)], np.int64)
    results = np.zeros((2, 2, 2, 3, 4), np.float32)
    for loop, out in zip((sweep.likeness, sweep.likeness.py_func), results, strict=True):
        loop(values, steps, np.ones(2, np.float32), 0.3, 0.05, out)

    assert np.allclose(*results)
