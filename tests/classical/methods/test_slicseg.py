import numpy as np

from segmend import methods
from segmend.core.image import Image, scale_affine
from segmend.core.prompts import Box, Click, Mask, Stroke
from tests.methods.scenes import Scene, ask, ball, dice, dices, disc, two_toned

SEGMENTER = methods.load("slicseg")


def woven(*, slices=7, seed=0):
    """A stack in which the object has stripes and its surroundings noise of the same mean and spread."""
    random = np.random.default_rng(seed)
    z, y, x = np.ogrid[:slices, :70, :90]
    truth = ((y - 34) / 17) ** 2 + ((x - 44 - 2 * z) / 22) ** 2 < 1
    stripes = 40.0 * np.where((x + 0 * y + 0 * z) // 3 % 2 == 0, 1, -1)
    clean = np.where(truth, stripes, 40 * random.choice((-1, 1), truth.shape))
    voxels = clean + random.normal(0, 8, truth.shape)
    return Scene(Image(voxels[None].astype(np.int16), scale_affine((4.0, 1.0, 1.0))), truth)


SCRIBBLES = [
    Stroke(((3, 30, 36), (3, 34, 50), (3, 40, 60))),
    Stroke(((3, 4, 10), (3, 4, 80), (3, 64, 80), (3, 64, 10), (3, 6, 10)), positive=False),
]


def test_scribbles_in_one_slice_find_a_texture_in_all():
    scene = woven()

    mask = ask(SEGMENTER, scene, SCRIBBLES)
    by_grey = ask(methods.load("graphcut_shape"), scene, SCRIBBLES)

    assert dice(scene, mask) > 0.88
    assert dice(scene, mask) > dice(scene, by_grey) + 0.03


def test_the_volume_follows_from_one_slice():
    scene = ball(noise=30)

    mask = ask(SEGMENTER, scene, [Mask(scene.truth[9:10], (9, 0, 0))])

    assert dice(scene, mask) > 0.93


def test_clicks_boxes_and_strokes_begin_it():
    scene = ball()

    assert dices(SEGMENTER, scene, interactions=1)[0] > 0.97
    assert dice(scene, ask(SEGMENTER, scene, [Stroke(((9, 22, 30), (9, 34, 30)))])) > 0.95
    assert dice(scene, ask(SEGMENTER, scene, [Box((4, 10, 18), (15, 46, 43))])) > 0.9


def test_a_picture_is_a_volume_of_one_slice():
    assert dices(SEGMENTER, two_toned(), interactions=2)[-1] > 0.97
    assert dices(SEGMENTER, disc(), interactions=1)[0] > 0.97
    assert dices(SEGMENTER, disc(channels=3), interactions=1)[0] > 0.97


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
    assert mask.sum() < 400


def test_scribbles_that_contradict_each_other_obey_the_later_one():
    scene = disc()
    there = ((0, 38, 60), (0, 38, 80))

    kept = ask(SEGMENTER, scene, [Stroke(there, positive=False), Stroke(there)])
    gone = ask(SEGMENTER, scene, [Stroke(there), Stroke(there, positive=False)])

    assert kept[0, 38, 60:81].all()
    assert not gone[0, 38, 60:81].any()


def test_the_same_request_gets_the_same_answer():
    scene = woven()

    assert np.array_equal(ask(SEGMENTER, scene, SCRIBBLES), ask(SEGMENTER, scene, SCRIBBLES))
