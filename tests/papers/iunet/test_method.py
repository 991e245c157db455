"""iunet round a three-line engine: what it sends, how large its clicks are, and where it looks."""

import numpy as np
import pytest

from segmend.core.image import Image, scale_affine
from segmend.core.prompts import Click, Stroke
from segmend.core.segmenter import answer
from segmend.papers.iunet.method import ALPHA, CELLS, IUNetSegmenter, click_maps, click_width
from segmend.runtime.engine import Engine
from segmend.sampling.window import Window


class Bright(Engine):
    """Says: the object is what is bright; remembers what it was asked."""

    name = "bright"

    def __init__(self):
        self.asked = []

    def run(self, inputs):
        self.asked.append(inputs["x"])
        return {"logits": (20 * (inputs["x"][:, :1] - 0.5)).astype(np.float32)}


def disc_image(rows=150, columns=200, centre=(60, 90), radius=20, depth=1, thick=range(1)):
    y, x = np.ogrid[:rows, :columns]
    truth = np.zeros((depth, rows, columns), bool)
    truth[list(thick)] = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
    return np.where(truth, 100, 0).astype(np.int16), truth


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_a_click_on_a_bright_disc_finds_the_disc():
    voxels, truth = disc_image()

    prediction = answer(IUNetSegmenter(Bright()).open(Image(voxels[None])), [Click((0, 60, 90))], np.zeros_like(truth))

    assert dice(prediction.over(np.zeros_like(truth)), truth) > 0.97


def test_the_first_clicks_are_of_five_pixels_and_the_next_follow_the_mask():
    voxels, truth = disc_image()
    engine = Bright()

    answer(IUNetSegmenter(engine).open(Image(voxels[None])), [Click((0, 60, 90))], np.zeros_like(truth))

    first, second = engine.asked
    assert len(first) == 3  # from three distances at once
    assert all(14 < cells <= 21 for cells in first[:, 1].sum(axis=(1, 2)))  # of a disc 5 wide, between cells or not
    object_cells = (second[0, 0] > 0.5).sum()
    assert object_cells > 1500
    assert second[0, 1].sum() == pytest.approx(np.pi / 4 * (ALPHA * object_cells) ** 2, abs=4)


def test_a_mask_so_far_gives_the_size_at_once():
    voxels, truth = disc_image()
    engine = Bright()

    answer(IUNetSegmenter(engine).open(Image(voxels[None])), [Click((0, 60, 90))], truth)

    assert len(engine.asked) == 1 and len(engine.asked[0]) == 1


def test_clicks_outside_have_a_map_of_their_own():
    clicks = [Click((0, 10, 20)), Click((0, 30, 40), positive=False), Click((1, 5, 5))]

    inside, outside = click_maps(clicks, 0, 0, Window(0, 0, 50, 50), 50, 5.0)

    assert inside[10, 20] == outside[30, 40] == 1
    assert inside.sum() == outside.sum() == 21


@pytest.mark.parametrize(("pixels", "alpha", "width"), [(4000, 1 / 800, 5), (4000, 1 / 500, 8), (3, 1 / 800, 1)])
def test_a_clicks_width_is_a_share_of_the_masks_pixels(pixels, alpha, width):
    assert click_width(pixels, alpha) == width


def test_the_smallest_click_still_shows():
    inside, _ = click_maps([Click((0, 2, 2))], 0, 0, Window(0, 0, 5, 5), 5, 1.0)

    assert inside.sum() == 1 and inside[2, 2] == 1


def test_a_stroke_is_a_row_of_clicks():
    inside, _ = click_maps([Stroke(((0, 2, 1), (0, 2, 6)))], 0, 0, Window(0, 0, 9, 9), 9, 1.0)

    assert inside[2, 1:7].all() and inside.sum() == 6


def test_a_volume_is_followed_with_clicks_of_its_own():
    voxels, truth = disc_image(depth=7, thick=range(1, 5))
    engine = Bright()
    workspace = IUNetSegmenter(engine).open(Image(voxels[None], scale_affine((4, 1, 1))))

    prediction = answer(workspace, [Click((2, 60, 90))], np.zeros_like(truth))

    mask = prediction.over(np.zeros_like(truth))
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [1, 2, 3, 4]
    assert dice(mask, truth) > 0.97
    carried = engine.asked[2]
    assert carried.shape == (1, 3, CELLS, CELLS) and carried[0, 1].any() and carried[0, 2].any()


def test_an_object_that_leaves_the_window_is_looked_at_from_further_away():
    voxels, truth = disc_image(rows=400, columns=400, centre=(200, 200), radius=80)
    engine = Bright()
    previous = np.zeros_like(truth)
    previous[0, 130:200, 130:200] = True

    prediction = answer(IUNetSegmenter(engine).open(Image(voxels[None])), [Click((0, 200, 200))], previous)

    assert len(engine.asked) > 1
    assert prediction.over(previous)[0, 270, 200]


def test_a_negative_click_alone_and_a_constant_picture_are_answered():
    image = Image(np.full((3, 1, 40, 30), 7, np.uint8))

    prediction = answer(
        IUNetSegmenter(Bright()).open(image), [Click((0, 5, 5), positive=False)], np.zeros((1, 40, 30), bool)
    )

    assert np.isfinite(prediction.probability).all() and not prediction.mask.any()
