"""How methods in the plane go through a volume: as far as the object goes, and no further."""

import numpy as np
import pytest

from segmend.core.image import Image, scale_affine
from segmend.core.prompts import Adjust, Click, Extremes, Stroke
from segmend.core.segmenter import answer
from segmend.errors import PromptError
from segmend.sampling.slices import PlaneAnswer, SliceWorkspace


class Bright(SliceWorkspace):
    """Says: the object is what is brighter than 50; remembers which planes it was asked."""

    title = "Bright"

    def __init__(self, image):
        super().__init__(image)
        self.asked = []

    def answer(self, prompts, axis, index, here):
        self.asked.append(index)
        return PlaneAnswer((self.channels(axis, index)[0] > 50).astype(np.float32), quality=0.5)

    def propagate(self, prompts, axis, index, beside):
        return PlaneAnswer(self.answer(prompts, axis, index, beside).probability, quality=0.9)


def stack(depth=9, thick=range(2, 7), tone=100):
    rows, columns = np.ogrid[:30, :40]
    disc = (rows - 12) ** 2 + (columns - 20) ** 2 < 8**2
    truth = np.zeros((depth, 30, 40), bool)
    truth[list(thick)] = disc
    return np.where(truth, tone, 0).astype(np.int16), truth


def test_the_marked_slice_comes_first_and_its_neighbours_next():
    voxels, truth = stack()
    workspace = Bright(Image(voxels[None], scale_affine((4, 1, 1))))

    parts = list(workspace.stream([Click((4, 12, 20))], np.zeros_like(truth)))

    assert [part.box.low[0] for part in parts] == [4, 3, 5, 2, 6]
    assert parts[0].quality == 0.5


def test_a_volume_is_followed_as_far_as_the_object_goes():
    voxels, truth = stack()
    workspace = Bright(Image(voxels[None], scale_affine((4, 1, 1))))

    prediction = answer(workspace, [Click((4, 12, 20))], np.zeros_like(truth))

    np.testing.assert_array_equal(prediction.over(np.zeros_like(truth)), truth)
    assert prediction.quality == 0.9


def test_it_stops_where_the_intensities_are_no_longer_the_objects():
    voxels, truth = stack()
    voxels[5:] *= 10

    mask = answer(Bright(Image(voxels[None], scale_affine((4, 1, 1)))), [Click((4, 12, 20))], np.zeros_like(truth))

    assert np.flatnonzero(mask.over(np.zeros_like(truth)).any(axis=(1, 2))).tolist() == [2, 3, 4]


def test_slices_marked_as_this_object_are_left_alone():
    voxels, truth = stack()
    workspace = Bright(Image(voxels[None], scale_affine((4, 1, 1))))

    before = np.zeros_like(truth)
    before[3, 12, 20] = True  # the older click was obeyed

    parts = list(workspace.stream([Click((3, 12, 20)), Click((5, 12, 20))], before))

    assert [part.box.low[0] for part in parts] == [5, 4, 6]


def test_marks_given_together_are_answered_in_each_of_their_slices_and_those_between_once():
    voxels, truth = stack(depth=11, thick=range(1, 10))
    workspace = Bright(Image(voxels[None], scale_affine((4, 1, 1))))
    line = Stroke(((7, 12, 18), (7, 12, 22)))

    parts = list(workspace.stream([Click((2, 12, 20)), line, Click((5, 12, 20))], np.zeros_like(truth)))

    assert [part.box.low[0] for part in parts[:3]] == [5, 7, 2]
    assert sorted(part.box.low[0] for part in parts) == list(range(1, 10))
    assert sorted(workspace.asked) == [0, *range(1, 10), 10]  # and the two beyond the object's ends


def test_points_on_several_slices_are_the_ends():
    voxels, truth = stack()
    workspace = Bright(Image(voxels[None], scale_affine((4, 1, 1))))

    parts = list(workspace.stream([Extremes(((3, 12, 20), (5, 12, 20)))], np.zeros_like(truth)))

    assert sorted(part.box.low[0] for part in parts) == [3, 4, 5]


def test_a_slice_that_agrees_already_ends_it():
    voxels, truth = stack()
    workspace = Bright(Image(voxels[None], scale_affine((4, 1, 1))))

    parts = list(workspace.stream([Click((4, 12, 20))], truth))

    assert sorted(part.box.low[0] for part in parts) == [3, 4, 5]


def test_slices_lie_across_the_axis_of_the_thickest_ones():
    voxels, truth = stack()
    turned = np.ascontiguousarray(voxels.transpose(1, 2, 0))

    workspace = Bright(Image(turned[None], scale_affine((1, 1, 5))))
    prediction = answer(workspace, [Click((12, 20, 4))], np.zeros(turned.shape, bool))

    np.testing.assert_array_equal(prediction.over(np.zeros(turned.shape, bool)).transpose(2, 0, 1), truth)


def test_no_prompts_are_refused():
    with pytest.raises(PromptError, match="Bright needs at least one prompt; got none"):
        Bright(Image(np.zeros((1, 1, 4, 4)))).predict([], np.zeros((1, 4, 4), bool))


def test_a_prompt_without_a_place_is_refused():
    with pytest.raises(PromptError, match="needs a prompt with a place"):
        Bright(Image(np.zeros((1, 1, 4, 4)))).predict([Adjust(0.2)], np.zeros((1, 4, 4), bool))


def test_a_correction_leaves_what_is_far_from_it_in_other_slices_alone():
    voxels, truth = stack()
    previous = truth.copy()
    previous[:, 26:29, 2:6] = True  # far from the disc, nothing that this method would find
    previous[4] = truth[4]
    previous[4, 5:9, 18:22] = False  # a piece of the disc is missing, in the slices beside it, too
    previous[3, 5:9, 18:22] = previous[5, 5:9, 18:22] = False
    workspace = Bright(Image(voxels[None], scale_affine((4, 1, 1))))

    mask = answer(workspace, [Click((4, 6, 20))], previous).over(previous)

    np.testing.assert_array_equal(mask[2:7, :20], truth[2:7, :20])
    assert mask[3, 26:29, 2:6].all() and mask[5, 26:29, 2:6].all()
