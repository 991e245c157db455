import numpy as np

from segmend import methods
from segmend.core.image import Image, scale_affine
from segmend.core.prompts import Box, Click, Mask, Stroke
from tests.methods.scenes import Scene, ask, ball, dice, dices, disc, two_toned

SEGMENTER = methods.load("graphcut_shape")


def leaning(*, noise=15, seed=0):
    """A tube that leans from slice to slice and, half way, touches a block that looks the same."""
    z, y, x = np.ogrid[:14, :60, :90]
    truth = (y - 30) ** 2 + (x - 30 - 1.5 * z) ** 2 < 10**2
    block = (z > 6) & (abs(y - 30) < 20) & (x > 40 + 1.5 * z)
    clean = 100.0 * (truth | block)
    voxels = clean + np.random.default_rng(seed).normal(0, noise, clean.shape)
    return Scene(Image(voxels[None].astype(np.int16), scale_affine((3.0, 1.0, 1.0))), truth)


def test_the_volume_follows_from_one_slice():
    scene = ball(noise=30)
    middle = scene.truth[9:10]

    mask = ask(SEGMENTER, scene, [Mask(middle, (9, 0, 0))])

    assert dice(scene, mask) > 0.95


def test_one_click_finds_a_ball():
    assert dices(SEGMENTER, ball(), interactions=1)[0] > 0.97


def test_a_neighbour_that_looks_the_same_does_not_flood_it():
    scene = leaning()
    start = [Mask(scene.truth[2:3], (2, 0, 0))]

    shaped = ask(SEGMENTER, scene, start)
    plain = ask(methods.load("graphcut"), scene, [Click((2, 30, 33))])

    assert dice(scene, shaped) > 0.85
    assert dice(scene, shaped) > dice(scene, plain) + 0.1


def test_a_stroke_and_a_box_begin_it():
    scene = ball()

    from_stroke = ask(SEGMENTER, scene, [Stroke(((9, 22, 30), (9, 34, 30)))])
    from_box = ask(SEGMENTER, scene, [Box((4, 10, 18), (15, 46, 43))])

    assert dice(scene, from_stroke) > 0.95
    assert dice(scene, from_box) > 0.9


def test_a_picture_is_a_volume_of_one_slice():
    first, second = dices(SEGMENTER, two_toned(), interactions=2)

    assert dices(SEGMENTER, disc(), interactions=1)[0] > 0.97
    assert second > 0.97 > first


def test_an_even_volume_is_not_flooded():
    scene = Scene(Image(np.full((1, 7, 60, 70), 3, np.uint8)), np.zeros((7, 60, 70), bool))

    mask = ask(SEGMENTER, scene, [Click((3, 30, 33))])

    assert mask[3, 30, 33]
    assert mask.mean() < 0.25


def test_an_object_of_one_voxel_stays_small():
    voxels = np.zeros((1, 5, 20, 30), np.int16)
    voxels[0, 2, 10, 12] = 900
    scene = Scene(Image(voxels), voxels[0] > 0)

    mask = ask(SEGMENTER, scene, [Click((2, 10, 12))])

    assert mask[2, 10, 12]
    assert mask.sum() < 200
