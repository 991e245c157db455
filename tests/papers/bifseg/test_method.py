"""bifseg round a two-line engine: where it looks, what it sends, and what boxes and marks do to the answer."""

from dataclasses import replace

import numpy as np
import pytest

from segmend.core.image import Box, Image, bounds, scale_affine
from segmend.core.prompts import Click, Extremes, Lasso, Stroke
from segmend.core.segmenter import answer
from segmend.errors import ModelError, PromptError
from segmend.papers.bifseg.method import Bifseg, Net, filled_up, frame_of, load, normal
from segmend.runtime.engine import Engine
from segmend.solvers.finetune import IN_2D, Head, save_head
from tests.methods.scenes import ball, disc


class Tones(Engine):
    """Its features are how much brighter and how much darker than the crop's mean a cell is."""

    name = "intensities"

    def __init__(self):
        self.asked = []

    def run(self, inputs):
        x = inputs["x"]
        self.asked.append(x)
        return {"features": np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)], axis=1)}


BRIGHT = Head((np.array([[0, 0], [3, -3]], np.float32),), (np.zeros(2, np.float32),))


@pytest.fixture
def method():
    return Bifseg({2: Net(Tones(), BRIGHT), 3: Net(Tones(), BRIGHT)})


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def empty(image):
    return np.zeros(image.shape, bool)


def test_a_box_round_a_bright_disc_finds_the_disc(method):
    scene = disc()

    mask = answer(method.open(scene.image), [Box((0, 18, 48), (1, 63, 93))], empty(scene.image)).over(
        empty(scene.image)
    )

    assert dice(mask, scene.truth) > 0.97
    x = method.nets[2].engine.asked[0]
    assert x.shape == (1, 1, 96, 96)
    assert abs(x.mean()) < 1e-3
    assert abs(x.std() - 1) < 1e-3


def test_a_box_in_a_volume_of_thick_slices_finds_the_ball(method):
    scene = ball()
    box = bounds(scene.truth).grown((1, 3, 3)).clipped(scene.truth.shape)

    mask = answer(method.open(scene.image), [box], empty(scene.image)).over(empty(scene.image))

    assert dice(mask, scene.truth) > 0.9
    slices, rows, columns = method.nets[3].engine.asked[0].shape[2:]
    assert (slices, rows) == (16, 80)  # twelve slices as they are, filled up to sixteen
    assert columns == 80


def test_slices_across_another_axis_come_first(method):
    scene = ball()
    turned = Image(np.moveaxis(scene.image.voxels, 1, 3), scale_affine((1.0, 1.5, 3.0)))
    truth = np.moveaxis(scene.truth, 0, 2)
    box = bounds(truth).grown((3, 3, 1)).clipped(truth.shape)

    mask = answer(method.open(turned), [box], empty(turned)).over(empty(turned))

    assert dice(mask, truth) > 0.9
    assert method.nets[3].engine.asked[0].shape[2:] == (16, 80, 80)


def test_a_flat_box_in_a_volume_asks_for_its_plane_only(method):
    scene = ball()
    before = empty(scene.image)
    before[3, 50:55, 5:9] = True
    middle = bounds(scene.truth[9:10])
    flat = Box((9, middle.low[1] - 3, middle.low[2] - 3), (10, middle.high[1] + 3, middle.high[2] + 3))

    mask = answer(method.open(scene.image), [flat], before).over(before)

    assert dice(mask[9], scene.truth[9]) > 0.95
    assert np.array_equal(np.delete(mask, 9, axis=0), np.delete(before, 9, axis=0))


def test_a_mark_in_the_next_slice_takes_the_flat_box_there(method):
    scene = ball()
    flat = Box((9, 10, 15), (10, 48, 45))

    frame = frame_of([flat, Click((11, 28, 30))], empty(scene.image), scene.image)

    assert frame.box == Box((11, 10, 15), (12, 48, 45))


def test_nothing_stays_outside_a_box(method):
    scene = disc()
    before = empty(scene.image)
    before[0, 70:80, 10:20] = True

    mask = answer(method.open(scene.image), [Box((0, 18, 48), (1, 63, 93))], before).over(before)

    assert not mask[0, 70:80, 10:20].any()


def test_a_positive_mark_outside_the_box_widens_it(method):
    scene = disc()
    prompts = [Box((0, 30, 60), (1, 50, 80)), Click((0, 55, 70))]

    assert frame_of(prompts, empty(scene.image), scene.image).box == Box((0, 30, 60), (1, 56, 81 - 1))


def test_scribbles_teach_what_the_network_did_not_know(method):
    """A ring round a brighter middle: both are the object, and the network would rather have what is brightest."""
    y, x = np.ogrid[:80, :80]
    r = np.hypot(y - 40, x - 40)
    truth = (r < 30)[None]
    intensities = np.where(r < 15, 200, np.where(r < 30, 120, 60)) + np.random.default_rng(0).normal(0, 4, (80, 80))
    image = Image(intensities[None, None].astype(np.int16))
    box = Box((0, 5, 5), (1, 75, 75))
    unsure = Head((np.array([[0, 0], [2, -2]], np.float32),), (np.array([0, -1.1], np.float32),))
    quick = replace(IN_2D, rate=0.5, smoothness=1.0)  # two features teach less in 20 steps than a network's eighty
    method = Bifseg({2: Net(method.nets[2].engine, unsure)}, {2: quick})
    workspace = method.open(image)

    first = answer(workspace, [box], empty(image)).over(empty(image))
    strokes = [Stroke(((0, 20, 30), (0, 20, 50))), Stroke(((0, 8, 12), (0, 8, 68)), positive=False)]
    second = answer(workspace, [box, *strokes], first).over(first)

    assert dice(second, truth) > dice(first, truth) + 0.1
    assert len(method.nets[2].engine.asked) == 1  # the features are stored


def test_with_adapting_off_the_answer_is_one_cut_of_what_the_trained_network_says(method):
    scene = disc()
    box = [Box((0, 18, 48), (1, 63, 93))]
    once = Bifseg(method.nets, {2: replace(method.tunings[2], rounds=0)})
    workspace = method.open(scene.image)

    off, on, auto = (
        answer(workspace.with_finetuning(finetune), box, empty(scene.image)) for finetune in ("off", "on", "auto")
    )

    np.testing.assert_array_equal(off.probability, answer(once.open(scene.image), box, empty(scene.image)).probability)
    np.testing.assert_array_equal(on.probability, auto.probability)
    assert [off.finetuned, on.finetuned, auto.finetuned] == [False, True, True]
    assert len(method.nets[2].engine.asked) == 2  # once for all three, and once for the other


def test_an_answer_is_the_same_whatever_was_asked_before(method):
    scene = disc()
    asked = [Box((0, 18, 48), (1, 63, 93)), Click((0, 22, 70), positive=False)]
    used = method.open(scene.image)
    for count in (1, 2):
        answer(used, [Click((0, 80, 10)), *asked[:count]], empty(scene.image))

    again, fresh = (answer(w, asked, empty(scene.image)) for w in (used, method.open(scene.image)))

    assert again.box == fresh.box
    assert np.array_equal(again.probability, fresh.probability)
    assert np.array_equal(again.uncertainty, fresh.uncertainty)


def test_without_a_box_the_crop_is_round_the_mask_the_marks_or_everything():
    image = Image(np.zeros((1, 30, 160, 200)))
    none = empty(image)
    some = none.copy()
    some[10:13, 50:60, 70:90] = True

    assert frame_of([Click((15, 80, 100))], none, image).box == Box((5, 60, 75), (26, 101, 126))
    assert frame_of([Click((15, 80, 100))], some, image).box == Box((0, 40, 60), (26, 91, 111))
    assert frame_of([Click((15, 80, 100), positive=False)], none, image).box.shape == image.shape
    assert not frame_of([Click((15, 80, 100))], none, image).strict


def test_extreme_points_are_a_box_with_a_margin():
    image = Image(np.zeros((1, 30, 60, 50)))
    flat = Extremes(((7, 20, 30), (7, 40, 33), (7, 28, 20), (7, 29, 41)))
    deep = Extremes(((2, 20, 30), (9, 40, 33), (7, 28, 20), (7, 29, 41)))

    assert frame_of([flat], empty(image), image).box == Box((7, 15, 15), (8, 46, 47))
    assert frame_of([deep], empty(image), image).box == Box((0, 15, 15), (15, 46, 47))


@pytest.mark.parametrize(
    "intensities", [np.zeros((3, 1, 20, 30)), np.full((1, 4, 9, 12), 7), np.full((1, 1, 1, 1), -3)]
)
def test_constant_images_and_a_single_voxel_have_finite_answers(method, intensities):
    image = Image(intensities.astype(np.int16))

    prediction = answer(method.open(image), [Click((0, 0, 0))], empty(image))

    assert np.isfinite(prediction.probability).all()
    assert prediction.over(empty(image))[0, 0, 0]


def test_cells_are_normalised_and_filled_up():
    cells = np.random.default_rng(0).normal(50, 9, (3, 17, 40)).astype(np.float32)

    assert abs(normal(cells).mean()) < 1e-4
    assert filled_up(normal(cells), 3).shape == (8, 32, 48)
    assert filled_up(normal(cells[:1]), 2).shape == (1, 32, 48)
    assert (normal(np.full((1, 2, 2), 5, np.float32)) == 0).all()


def test_what_it_cannot_take_is_said(method, tmp_path):
    image = disc().image
    with pytest.raises(PromptError, match="BIFSeg needs at least one prompt; got none"):
        method.open(image).predict([], empty(image))
    with pytest.raises(PromptError, match="BIFSeg takes click, stroke, box, extremes; got lasso"):
        method.open(image).predict([Lasso(((0, 1, 1), (0, 5, 5), (0, 5, 1)))], empty(image))
    with pytest.raises(
        ModelError, match=r"no weights for 3D here; make them with: segmend train bifseg .*dimensions=3"
    ):
        Bifseg({2: method.nets[2]}).net(3)
    with pytest.raises(ModelError, match=r"bifseg2d.onnx is not in .*; make it with: segmend train bifseg"):
        load(tmp_path)


def test_a_network_without_its_head_is_refused(tmp_path):
    import torch

    from segmend.nets.pnet import PNet
    from segmend.runtime.engine import export_network

    small = {"width": 2, "hidden": 3}
    export_network(
        PNet(**small),
        tmp_path / "bifseg2d.onnx",
        architecture="pnet:PNet",
        settings=small,
        inputs={"x": torch.zeros(1, 1, 16, 32)},
        outputs=("features", "logits"),
    )
    with pytest.raises(ModelError, match=r"bifseg2d.npz is missing"):
        load(tmp_path)
    save_head(Head((np.ones((1, 10), np.float32),), (np.zeros(1, np.float32),)), tmp_path / "bifseg2d.npz")
    assert list(load(tmp_path).nets) == [2]
