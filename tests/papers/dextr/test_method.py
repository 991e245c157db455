"""DEXTR round a three-line engine: the crop, the Gaussians, more points, and volumes."""

import numpy as np
import pytest

from segmend.core.image import Image, bounds, scale_affine
from segmend.core.masks import extreme_points
from segmend.core.prompts import Extremes
from segmend.core.segmenter import answer
from segmend.papers.dextr.method import CELLS, LEAST, MARGIN, Dextr, crop, heat
from segmend.runtime.engine import Engine
from segmend.sampling.window import Window


class Bright(Engine):
    """Says: the object is what is bright; remembers what it was asked."""

    name = "bright"

    def __init__(self):
        self.asked = []

    def run(self, inputs):
        self.asked.append(inputs["x"][0])
        return {"logits": (20 * (inputs["x"][:, :1] - 0.5)).astype(np.float32)}


def disc_image(rows=150, columns=200, centre=(60, 90), radius=20, depth=1, thick=range(1)):
    y, x = np.ogrid[:rows, :columns]
    truth = np.zeros((depth, rows, columns), bool)
    truth[list(thick)] = (y - centre[0]) ** 2 + ((x - centre[1]) / 2) ** 2 < radius**2
    return np.where(truth, 100, 0).astype(np.int16), truth


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_four_points_find_the_object_and_nothing_outside_their_crop():
    voxels, truth = disc_image()
    voxels[0, 140:, 190:] = 100

    prediction = answer(Dextr(Bright()).open(Image(voxels[None])), [Extremes(extreme_points(truth))], ~truth)

    assert dice(prediction.over(~truth), truth) > 0.97


def test_the_crop_is_the_points_box_with_fifty_of_512_on_each_side_stretched():
    window = crop(np.array([[40, 10], [80, 30], [60, 5], [70, 129]]))

    assert window.height * (1 - 2 * MARGIN) == pytest.approx(41) and window.width * (1 - 2 * MARGIN) == pytest.approx(
        125
    )
    assert (40 - window.top) / window.height == pytest.approx(50 / 512)
    assert (window.right - 130) / window.width == pytest.approx(50 / 512)


def test_a_single_point_gets_the_smallest_crop():
    assert crop(np.array([[7, 9]])) == Window(7.5 - LEAST / 2, 9.5 - LEAST / 2, LEAST, LEAST)


def test_points_are_gaussians_of_ten_of_512():
    grid = heat(np.array([[256, 100], [256, 130]]), Window(0, 0, 512, 512), 512)

    assert grid[256, 100] == grid[256, 130] == 1
    assert grid[256, 90] == pytest.approx(np.exp(-0.5)) and grid[246, 130] == pytest.approx(np.exp(-0.5))
    assert grid[256, 115] == pytest.approx(np.exp(-(15**2) / 200))  # the higher one, not the sum


def test_a_fifth_point_joins_the_four():
    voxels, truth = disc_image()
    engine = Bright()
    prompts = [Extremes(extreme_points(truth)), Extremes(((0, 45, 100),))]

    prediction = answer(Dextr(engine).open(Image(voxels[None])), prompts, np.zeros_like(truth))

    assert engine.asked[0][3].sum() > 0
    four = Bright()
    answer(Dextr(four).open(Image(voxels[None])), prompts[:1], np.zeros_like(truth))
    assert engine.asked[0][3].sum() == pytest.approx(1.25 * four.asked[0][3].sum(), rel=0.05)
    assert prediction.over(np.zeros_like(truth))[0, 45, 100]


def test_six_points_of_a_volume_are_answered_from_the_middle_to_the_outermost():
    voxels, truth = disc_image(depth=9, thick=range(2, 8))
    workspace = Dextr(Bright()).open(Image(voxels[None], scale_affine((4, 1, 1))))

    parts = list(workspace.stream([Extremes(extreme_points(truth))], np.zeros_like(truth)))

    assert parts[0].box.low[0] == 5
    assert sorted(part.box.low[0] for part in parts) == [2, 3, 4, 5, 6, 7]
    assert dice(answer(workspace, [Extremes(extreme_points(truth))], truth & False).over(truth & False), truth) > 0.97


def test_nothing_lies_outside_the_six_points_of_a_volume_and_a_slice_has_the_points_of_an_ellipsoid():
    z, y, x = np.ogrid[:11, :60, :80]
    truth = ((z - 5) / 4.5) ** 2 + ((y - 30) / 15) ** 2 + ((x - 40) / 20) ** 2 < 1
    engine = Bright()
    around = np.where(truth, 100, 0) + 100 * ((y < 12) | (x > 63))  # as bright, beside the object
    workspace = Dextr(engine).open(Image(around.astype(np.int16)[None], scale_affine((4, 1, 1))))
    six = Extremes(extreme_points(truth))

    mask = answer(workspace, [six], truth & False).over(truth & False)
    corrected = answer(workspace, [six, Extremes(((3, 30, 53),))], mask, new=1).over(mask)

    box = bounds(truth).grown((0, 1, 1))
    assert mask[box.slices].sum() == mask.sum()
    assert dice(mask, truth) > 0.9
    assert np.array_equal(np.delete(corrected, 3, axis=0), np.delete(mask, 3, axis=0))  # no slice beside it drifts


def test_four_points_in_one_slice_of_a_volume_are_followed_while_the_object_lasts():
    voxels, truth = disc_image(depth=9, thick=range(2, 8))
    flat = tuple((4, y, x) for _, y, x in extreme_points(truth[4:5]))
    workspace = Dextr(Bright()).open(Image(voxels[None], scale_affine((4, 1, 1))))

    mask = answer(workspace, [Extremes(flat)], np.zeros_like(truth)).over(np.zeros_like(truth))

    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [2, 3, 4, 5, 6, 7]


def test_a_lone_point_on_a_slice_with_a_mask_joins_the_masks_own_ends():
    voxels, truth = disc_image(depth=9, thick=range(2, 8))
    engine = Bright()
    workspace = Dextr(engine).open(Image(voxels[None], scale_affine((4, 1, 1))))
    prompts = [Extremes(extreme_points(truth)), Extremes(((6, 60, 131),))]

    answer(workspace, prompts, truth)

    window = crop(np.array([[41, 90], [79, 90], [60, 51], [60, 131]]))
    peaks = np.argwhere(engine.asked[0][3] > 0.9)
    assert window.cell(60, 131, CELLS) in [pytest.approx(tuple(peak), abs=1) for peak in peaks.tolist()]


def test_a_constant_picture_is_answered():
    prediction = answer(
        Dextr(Bright()).open(Image(np.full((3, 1, 40, 30), 7, np.uint8))),
        [Extremes(((0, 3, 3), (0, 9, 9)))],
        np.zeros((1, 40, 30), bool),
    )

    assert np.isfinite(prediction.probability).all()
