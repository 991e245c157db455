"""Adversarial refinement in use: marks choose among the parts that the network found."""

import numpy as np
import pytest

from segmend.core.image import Box, Image, scale_affine
from segmend.core.prompts import Adjust, Click, Mask, Stroke
from segmend.core.segmenter import FIRST, answer
from segmend.errors import ModelError, PromptError
from segmend.papers.refinenet import gan_method as gan_refine
from segmend.papers.refinenet.gan_method import GanRefine
from segmend.runtime.engine import Engine


class Brightness(Engine):
    """A network that takes what is bright for the object."""

    name = "brightness"

    def __init__(self):
        self.runs = 0

    def run(self, inputs):
        self.runs += 1
        bright = 12 * (inputs["x"][:, :1] - 0.5)
        return {"logits": np.concatenate([-bright, bright], axis=1)}


def image(slices=1):
    voxels = np.zeros((1, slices, 40, 56), np.float32)
    voxels[0, 0, 4:16, 5:20] = voxels[0, 0, 22:36, 30:50] = 100
    for index in range(1, slices - 1):
        voxels[0, index] = voxels[0, 0]
    return Image(voxels, scale_affine((3.0, 1.0, 1.0)))


LEFT, RIGHT = (0, 10, 12), (0, 30, 40)


def mask_of(prompts, *, slices=1):
    empty = np.zeros((slices, 40, 56), bool)
    return answer(GanRefine(Brightness()).open(image(slices)), prompts, empty).over(empty)


def test_a_positive_mark_keeps_the_part_that_it_touches():
    mask = mask_of((Click(LEFT),))

    assert mask[LEFT]
    assert not mask[RIGHT]


def test_a_negative_mark_drops_the_part_that_it_touches():
    mask = mask_of((FIRST, Stroke(((0, 30, 40), (0, 33, 45)), positive=False)))

    assert mask[LEFT]
    assert not mask[RIGHT]
    assert not mask[0, 24, 32]


def test_marks_on_nothing_choose_nothing_else():
    mask = mask_of((Click((0, 2, 50)),))

    assert mask.sum() == 1


def test_a_box_keeps_what_lies_inside():
    mask = mask_of((Box((0, 20, 28), (1, 40, 52)),))

    assert mask[RIGHT]
    assert not mask[LEFT]


def test_what_was_chosen_is_followed_to_the_end_of_the_object():
    mask = mask_of((Click(LEFT),), slices=5)

    assert mask[:, 10, 12].tolist() == [True, True, True, True, False]
    assert not mask[:, 30, 40].any()


def test_a_slice_is_looked_at_once():
    engine = Brightness()
    workspace = GanRefine(engine).open(image())

    for click in (LEFT, RIGHT):
        workspace.predict((Click(click),), np.zeros((1, 40, 56), bool))

    assert engine.runs == 1


def test_old_slices_are_forgotten(monkeypatch):
    monkeypatch.setattr(gan_refine, "KEPT", 2)
    workspace = GanRefine(Brightness()).open(image(4))

    for index in range(4):
        workspace.found(0, index)

    assert list(workspace._found) == [(0, 2), (0, 3)]


def test_other_prompts_are_refused_in_one_sentence():
    with pytest.raises(PromptError, match="GAN refinement takes click, stroke, box, mask; got adjust"):
        mask_of((Click(LEFT), Adjust(0.5), Click(RIGHT)))


def test_missing_weights_name_the_line_that_trains_them(tmp_path):
    with pytest.raises(ModelError, match="gan_refine.onnx is not in .*segmend train gan_refine"):
        gan_refine.load(tmp_path)


def test_an_empty_mask_takes_every_part_and_another_those_that_it_touches():
    one = np.zeros((1, 3, 3), bool)
    every, left = mask_of((Mask(one),)), mask_of((Mask(~one, low=(0, 9, 11)),))

    assert every[LEFT] and every[RIGHT]
    assert left[LEFT] and not left[RIGHT]
    assert left[0, 15, 19]  # the whole part, not the mask


def test_a_volume_is_guessed_slice_by_slice():
    guess = mask_of((Mask(np.zeros((1, 1, 1), bool)),), slices=4)

    assert guess[[0, 1, 2], 10, 12].all()
    assert not guess[3].any()
