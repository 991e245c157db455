"""Dense CRF, GeoS, GrowCut and level set: what is their own, and corners where others of their kind break."""

import numpy as np
import pytest

from segmend import methods
from segmend.core.image import Box, Image, scale_affine
from segmend.core.prompts import Click, Mask, Stroke
from segmend.core.segmenter import answer
from tests.methods.scenes import ask, ball, dice, disc

THEIRS = ("densecrf", "geos", "growcut", "levelset")


@pytest.fixture(params=THEIRS)
def segmenter(request):
    return methods.load(request.param)


def answer_of(segmenter, image, prompts, previous=None):
    previous = np.zeros(image.shape, bool) if previous is None else previous
    return answer(segmenter.open(image), prompts, previous).over(previous)


def rough(truth, seed=0):
    """The truth with a ragged boundary."""
    from scipy.ndimage import gaussian_filter

    width = tuple(2.0 if count > 1 else 0.0 for count in truth.shape)
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=truth.shape), width)
    smooth = gaussian_filter(truth.astype(float), width)
    return smooth + 0.3 * noise / noise.std() * (smooth > 0.05) > 0.5


@pytest.mark.parametrize("scene", [disc(noise=20), disc(channels=3), ball()], ids=["grey", "colour", "3D"])
def test_a_rough_mask_is_refined(segmenter, scene):
    start = rough(scene.truth)

    mask = ask(segmenter, scene, [Mask(start)])

    assert dice(scene, mask) > dice(scene, start) + 0.03
    assert dice(scene, mask) > 0.94


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 9), (3, 1, 2), (1, 6, 7), (2, 9, 8)])
def test_the_smallest_images_have_an_answer(segmenter, shape):
    mask = answer_of(segmenter, Image(np.zeros((1, *shape), np.uint8)), [Click((0, 0, 0))])

    assert mask[0, 0, 0]


def test_an_object_of_one_voxel_is_found_and_the_rest_left(segmenter):
    voxels = np.full((1, 1, 40, 50), 20, np.uint8)
    voxels[0, 0, 17, 30] = 200
    image = Image(voxels)

    mask = answer_of(segmenter, image, [Click((0, 17, 30)), Click((0, 17, 32), positive=False)])

    assert mask[0, 17, 30]
    assert not mask[0, 17, 32]
    assert mask.mean() < 0.25


@pytest.mark.parametrize("shape", [(1, 60, 70), (9, 30, 34)])
def test_contradicting_scribbles_on_a_constant_image_each_hold(segmenter, shape):
    image = Image(np.full((1, *shape), 7, np.int16), scale_affine((3.0, 1.0, 1.0)))
    z, y = shape[0] // 2, shape[1] // 2
    across = Stroke(((z, y, 5), (z, y, 28)))
    through = Stroke(((z, y - 8, 15), (z, y + 8, 15)), positive=False)

    mask = answer_of(segmenter, image, [across, through])

    assert not mask[z, y - 8 : y + 9, 15].any()
    assert mask[z, y, 5:15].all()
    assert mask[z, y, 16:29].all()


def test_only_positive_marks_that_fill_the_image_are_enough(segmenter):
    image = Image(np.random.default_rng(0).integers(0, 9, (1, 1, 8, 9)).astype(np.uint8))

    mask = answer_of(segmenter, image, [Stroke(tuple((0, y, x) for y in range(8) for x in (0, 8)))])

    assert mask[0, :, 0].all()


def test_a_box_round_the_whole_image_finds_what_is_in_it(segmenter):
    scene = disc(shape=(48, 60), centre=(24, 30), radius=14)

    mask = ask(segmenter, scene, [Box((0, 0, 0), (1, 48, 60))])

    assert dice(scene, mask) > 0.6


@pytest.mark.parametrize("method", ["densecrf", "geos", "levelset"])
def test_the_probability_is_soft_at_the_boundary_and_certain_away_from_it(method):
    scene = disc()
    nothing = np.zeros(scene.truth.shape, bool)

    prediction = answer(methods.load(method).open(scene.image), [Click((0, 40, 70))], nothing)

    values = np.unique(prediction.probability)
    assert values.min() < 0.01
    assert values.max() > 0.99
    assert ((values > 0.2) & (values < 0.8)).any()
