"""Deep editing: what the network is shown, and what becomes of its answer."""

from __future__ import annotations

import json

import numpy as np
import pytest

from segmend.core.image import Image, scale_affine
from segmend.core.prompts import Adjust, Box, Click, Mask, Stroke
from segmend.core.segmenter import answer
from segmend.errors import ModelError, PromptError, ShapeError
from segmend.papers.editing.method import METHOD, Editing, edit_channels, load, read_about, see_volume
from segmend.runtime.engine import Engine
from segmend.sampling.frame import Frame, whole_frame

SHAPE, SPACING = (6, 11, 15), (2.0, 1.0, 1.0)
CELLS = (8, 16, 16)
ONE_TO_ONE = Frame((0.0, 0.0, 0.0), (9.0, 9.0, 9.0), (9, 9, 9))


class Bright(Engine):
    """A network that likes what is bright, believes marks where they lie, and moves its threshold by K."""

    name = "bright"

    def __init__(self):
        self.asked = []

    def run(self, inputs):
        x = inputs["x"]
        self.asked.append(x)
        return {"logits": 2 * x[:, :1] - 1 + 6 * (x[:, -3:-2] + x[:, -2:-1]) - 3 * x[:, -1:]}


def picture(channels=1):
    """A bright bar that fades to one side, on a dark ground."""
    voxels = np.zeros((channels, *SHAPE), np.int16)
    voxels[:, 1:5, 3:8, 2:12] = np.linspace(400, 100, 10).astype(np.int16)
    return Image(voxels, scale_affine(SPACING))


EMPTY = np.zeros(SHAPE, bool)


def opened(channels=1):
    engine = Bright()
    return engine, Editing(engine, CELLS, channels).open(picture(channels))


def masked(workspace, prompts, previous=EMPTY):
    return answer(workspace, prompts, previous).over(previous)


# What the network is shown.


def test_a_click_is_dilated_twice_by_the_faces_of_its_cell():
    selection, brush, k = edit_channels([Click((4, 4, 4)), Click((0, 8, 8), positive=False)], ONE_TO_ONE)

    steps = np.abs(np.indices((9, 9, 9)) - 4).sum(axis=0)
    near_corner = np.abs(np.indices((9, 9, 9)) - np.reshape((0, 8, 8), (3, 1, 1, 1))).sum(axis=0) <= 2
    assert ((selection == 1) == (steps <= 2)).all()
    assert ((selection == -1) == near_corner).all()
    assert not brush.any()
    assert not k.any()


def test_a_stroke_is_dilated_all_along_in_its_own_channel():
    selection, brush, _ = edit_channels([Stroke(((4, 1, 1), (4, 1, 6)), positive=False)], ONE_TO_ONE)

    assert not selection.any()
    assert (brush[4, 1] == [-1] * 9).all()
    assert (brush[4, 3] == [0, -1, -1, -1, -1, -1, -1, 0, 0]).all()
    assert brush[2, 1, 1:7].tolist() == [-1] * 6


def test_of_marks_that_contradict_each_other_the_later_one_is_shown():
    selection, brush, _ = edit_channels([Click((4, 4, 4)), Stroke(((4, 4, 4),), positive=False)], ONE_TO_ONE)

    assert (brush == -1).sum() == 25
    assert not selection.any()
    again, before, _ = edit_channels([Stroke(((4, 4, 4),)), Click((4, 4, 4))], ONE_TO_ONE)
    assert again[4, 4, 4] == before[4, 4, 4] == 1


def test_adjustments_add_up_and_are_everywhere_and_have_no_limit():
    _, _, k = edit_channels([Adjust(0.5, of="truth"), Click((0, 0, 0)), Adjust(2.25, of="truth")], ONE_TO_ONE)

    assert (k == -2.75).all()  # the paper's sign
    assert np.isfinite(edit_channels([Adjust(1e300)], ONE_TO_ONE)).all()


def test_marks_lie_where_their_voxels_lie_in_the_grid():
    frame = whole_frame(SHAPE, SPACING, CELLS)
    marked = np.zeros(SHAPE)
    marked[3, 5, 9] = 1

    selection = edit_channels([Click((3, 5, 9))], frame)[0]

    densest = np.unravel_index(frame.resample_to_grid(marked).argmax(), CELLS)
    assert np.abs(np.argwhere(selection).mean(axis=0) - densest).max() <= 1


def test_the_image_is_seen_the_same_at_any_range_and_a_constant_one_is_nothing():
    frame = whole_frame(SHAPE, SPACING, CELLS)
    image = picture()
    larger = Image(image.voxels.astype(np.float32) * 7 - 1000, image.affine)

    seen = see_volume(image, frame, 1)

    np.testing.assert_allclose(see_volume(larger, frame, 1), seen, atol=1e-3)
    assert not see_volume(Image(np.full((1, *SHAPE), 9)), frame, 1).any()
    assert not seen[0][~frame.cells_in_volume(SHAPE)].any()


def test_the_network_gets_the_channels_of_the_image_and_then_the_edits():
    engine, workspace = opened(channels=2)

    workspace.predict([Adjust(0.25, of="truth")], EMPTY)

    (x,) = engine.asked
    assert x.shape == (1, 5, *CELLS)
    assert (x[0, 4] == -0.25).all()
    assert x.dtype == np.float32


# What becomes of its answer.


def test_there_is_a_first_mask_before_any_edit():
    _, workspace = opened()

    mask = masked(workspace, [])

    assert mask[3, 5, 3]
    assert not mask[:, :, 13:].any()


def test_an_edit_that_is_taken_away_is_gone():
    _, workspace = opened()
    before = masked(workspace, [])

    edited = masked(workspace, [Click((3, 5, 3), positive=False)], before)

    assert not edited[3, 5, 3]
    assert not edited[3, 5, 4]
    assert (masked(workspace, [], edited) == before).all()


def test_edits_are_made_in_a_slice_and_act_in_3d():
    workspace = Editing(Bright(), (8, 8, 8)).open(picture())

    mask = masked(workspace, [Click((3, 5, 13))])

    assert mask[2:5, 5, 13].all()
    assert not masked(workspace, [])[:, 5, 13].any()


def test_a_larger_k_never_gives_a_smaller_mask():
    _, workspace = opened()

    sizes = [int(masked(workspace, [Adjust(k)]).sum()) for k in (-2.0, -0.5, 0.0, 0.5, 2.0)]

    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2] < sizes[4]
    assert (masked(workspace, [Adjust(0.0)]) == masked(workspace, [])).all()


def test_the_answer_without_edits_is_made_once():
    engine, workspace = opened()

    for _ in range(3):
        workspace.predict([], EMPTY)

    assert len(engine.asked) == 1


def test_an_empty_answer_clears_the_mask_before():
    _, workspace = opened()
    previous = np.zeros(SHAPE, bool)
    previous[5, 10, 14] = True

    assert not masked(workspace, [Adjust(-50.0, of="truth")], previous).any()


def test_a_share_of_the_mask_is_what_it_becomes():
    _, workspace = opened()
    previous = np.zeros(SHAPE, bool)
    previous[1:5, 2:8, 3:10] = True

    for k in (-0.5, -0.25, 0.0, 0.25, 0.5, 1.0):
        mask = masked(workspace, [Adjust(k)], previous)
        assert mask.sum() == pytest.approx((1 + k) * previous.sum(), abs=1)


def test_a_mask_to_start_from_is_the_mask():
    _, workspace = opened()
    start = np.zeros(SHAPE, bool)
    start[2:4, 8:10, 1:6] = True

    mask = masked(workspace, [Click((0, 0, 0)), Mask(start[2:, 8:], low=(2, 8, 0))], masked(workspace, []))

    assert mask.sum() == start.sum() + 1  # and the mark, which is law
    assert mask[start].all()


def test_an_empty_mask_is_answered_with_the_networks_own():
    _, workspace = opened()
    own = masked(workspace, [])

    assert own.any()
    assert (masked(workspace, [Mask(EMPTY)]) == own).all()
    after = masked(workspace, [Click((3, 5, 13)), Mask(EMPTY), Click((3, 5, 3), positive=False)])
    alone = workspace.predict([Click((3, 5, 3), positive=False)], EMPTY).mask
    assert after.sum() == alone.sum() + 1  # the first click is a mark


def test_edits_mend_a_mask_from_elsewhere_only_where_they_point():
    _, workspace = opened()
    own = masked(workspace, [])
    start = own.copy()
    start[:, :, :5] = False  # a part is missing
    start[0, 0, 10:] = True  # and something is too much

    mask = masked(workspace, [Mask(start), Click((3, 5, 3))])

    assert mask[own].all()
    assert mask[0, 0, 10:].all()
    erased = masked(workspace, [Mask(start), Click((0, 0, 12), positive=False)])
    assert not erased[0, 0, 10:].any()
    assert not erased[3, 5, 3]


def test_a_mask_from_elsewhere_is_adjusted_by_what_k_changes():
    _, workspace = opened()
    own = masked(workspace, [])

    smaller = masked(workspace, [Mask(own), Adjust(-0.5)])
    larger = masked(workspace, [Mask(own), Adjust(0.5)])

    assert smaller.sum() < own.sum() < larger.sum()


# What it refuses.


def test_a_picture_is_refused():
    with pytest.raises(ShapeError, match="Deep editing works in volumes; this image has one slice"):
        Editing(Bright(), CELLS).open(Image(np.zeros((1, 1, 5, 6))))


def test_an_image_of_other_channels_is_refused_unless_the_first_is_enough():
    with pytest.raises(ShapeError, match="see images of 2 channels; this one has 1"):
        Editing(Bright(), CELLS, 2).open(picture())
    _, workspace = opened()
    assert (masked(Editing(Bright(), CELLS, 1).open(picture(3)), []) == masked(workspace, [])).all()


def test_a_box_is_refused():
    _, workspace = opened()

    with pytest.raises(PromptError, match="Deep editing takes click, stroke, adjust, mask; got box"):
        answer(workspace, [Box((0, 0, 0), (2, 2, 2))], EMPTY)
    assert METHOD.dimensions == (3,)


def test_weights_that_do_not_say_their_grid_are_refused(tmp_path):
    with pytest.raises(ModelError, match=r"editing.onnx is not in .*segmend train editing"):
        load(tmp_path)
    with pytest.raises(ModelError, match="need editing.json with their grid and channels"):
        read_about(tmp_path / "editing.json")
    for text in ("{", "[]", '{"grid": [4, 4], "channels": 1}', '{"grid": [4, 4, 4]}'):
        (tmp_path / "editing.json").write_text(text)
        with pytest.raises(ModelError, match="need editing.json with their grid and channels"):
            read_about(tmp_path / "editing.json")
    (tmp_path / "editing.json").write_text(json.dumps({"grid": [4, 8, 16], "channels": 2}))
    assert read_about(tmp_path / "editing.json") == ((4, 8, 16), 2)
