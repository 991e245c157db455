"""deepigeos round two-line engines: who is asked what, what marks do, and how it goes through a volume."""

import numpy as np
import pytest

from segmend.core.image import Box, Image
from segmend.core.prompts import Adjust, Click, Lasso
from segmend.core.segmenter import answer
from segmend.errors import ModelError, PromptError
from segmend.papers.deepigeos.method import CELLS, DeepIGeoS, load, nearness
from segmend.runtime.engine import Engine
from tests.methods.scenes import ball, dice, disc


class First(Engine):
    """P-Net's stand-in: the object is what is bright."""

    name = "first"

    def __init__(self):
        self.asked = []

    def run(self, inputs):
        x = inputs["x"]
        self.asked.append(x)
        logits = 8 * (x[:, :1] - 0.8)
        return {"logits": np.concatenate([-logits, logits], axis=1)}


class Refine(First):
    """R-Net's stand-in: the answer so far, what is bright, what is near marks inside and not near the others."""

    def run(self, inputs):
        x = inputs["x"]
        self.asked.append(x)
        logits = 4 * (x[:, 1:2] - 0.5) + 2 * (x[:, :1] - 0.5) + 30 * (x[:, 2:3] - x[:, 3:4])
        return {"logits": np.concatenate([-logits, logits], axis=1)}


@pytest.fixture
def method():
    return DeepIGeoS(First(), Refine())


def empty(image):
    return np.zeros(image.shape, bool)


def test_a_box_is_answered_by_p_net_alone(method):
    scene = disc()

    mask = answer(method.open(scene.image), [Box((0, 20, 50), (1, 61, 91))], empty(scene.image)).over(
        empty(scene.image)
    )

    assert dice(scene, mask) > 0.95
    assert method.first.asked[0].shape == (1, 1, CELLS, CELLS)
    assert not method.refine.asked


def test_a_mark_is_answered_by_r_net_from_p_net_s_answer(method):
    scene = disc()

    marks = [Click((0, 40, 70)), Click((0, 75, 15), positive=False)]
    mask = answer(method.open(scene.image), marks, empty(scene.image)).over(empty(scene.image))

    x = method.refine.asked[0]
    assert x.shape == (1, 4, CELLS, CELLS)
    assert x[0, 1].max() > 0.9  # what P-Net said
    assert dice(scene, mask) > 0.9
    assert not mask[0, 70:80, 10:20].any()  # the other disc, which the mark is in


def test_the_mask_so_far_stands_in_for_p_net(method):
    scene = disc()

    answer(method.open(scene.image), [Click((0, 40, 70))], scene.truth)

    assert not method.first.asked
    assert method.refine.asked[0][0, 1].max() == 1


def test_marks_reach_as_far_as_there_is_no_edge():
    picture = np.zeros((CELLS, CELLS), np.float32)
    picture[:, 64:] = 3

    inner, outer = nearness(picture, (np.array([[64, 40]]), np.zeros((0, 2), np.intp)))

    assert inner[64, 40] == 1
    assert inner[64, 56] > 0.4 > 0.1 > inner[64, 68]
    assert not outer.any()


def test_a_volume_is_gone_through_from_the_marked_slice(method):
    scene = ball()

    mask = answer(method.open(scene.image), [Box((9, 10, 18), (10, 46, 43))], empty(scene.image)).over(
        empty(scene.image)
    )

    assert dice(scene, mask) > 0.8
    assert len(method.refine.asked) >= 8  # one a slice, from the neighbour's mask


@pytest.mark.parametrize(
    "intensities", [np.zeros((3, 1, 20, 30)), np.full((1, 4, 9, 12), 7), np.full((1, 1, 1, 1), -3)]
)
def test_constant_images_and_a_single_voxel_have_finite_answers(method, intensities):
    image = Image(intensities.astype(np.int16))

    prediction = answer(method.open(image), [Click((0, 0, 0))], empty(image))

    assert np.isfinite(prediction.probability).all()
    assert prediction.over(empty(image))[0, 0, 0]


def test_a_lasso_is_the_answer_that_r_net_starts_from(method):
    scene = disc()
    line = tuple((0, y, x) for y, x in ((25, 55), (25, 85), (55, 85), (55, 55)))

    answer(method.open(scene.image), [Lasso(line)], empty(scene.image))

    assert 0.2 < method.refine.asked[0][0, 1].mean() < 0.5


def test_what_it_cannot_take_is_said(method, tmp_path):
    image = disc().image
    with pytest.raises(PromptError, match="DeepIGeoS needs at least one prompt; got none"):
        method.open(image).predict([], empty(image))
    with pytest.raises(PromptError, match="DeepIGeoS takes click, stroke, box, extremes, lasso; got adjust"):
        method.open(image).predict([Adjust(1.0), Click((0, 1, 1))], empty(image))
    with pytest.raises(ModelError, match=r"deepigeos_first.onnx is not in .*; make it with: segmend train deepigeos"):
        load(tmp_path)
