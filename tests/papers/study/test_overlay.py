"""Pictures with masks over them."""

import io

import numpy as np
from PIL import Image

from segmend.papers.study.overlay import painted, png


def test_each_kind_of_pixel_has_its_colour_and_the_rest_stays_grey():
    picture = np.linspace(0, 100, 12).reshape(1, 3, 4)
    truth, mask = np.zeros((3, 4), bool), np.zeros((3, 4), bool)
    truth[0, :2] = mask[0, 1:3] = True

    out = painted(picture, truth, mask).astype(int)

    assert out[0, 1].argmax() == 0 and out[0, 0].argmax() == 1 and out[0, 2].argmax() == 2
    assert (out[1:] == out[1:, :, :1]).all() and out[2, 3, 0] == 255


def test_colours_keep_their_channels():
    picture = np.zeros((3, 2, 5))
    picture[2] = 9

    out = painted(picture, np.zeros((2, 5), bool), np.zeros((2, 5), bool))

    assert out[0, 0].tolist() == [0, 0, 255]


def test_a_png_reads_back():
    tile = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)

    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png(tile)))), tile)


def test_pixels_can_be_larger():
    tile = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)

    large = np.asarray(Image.open(io.BytesIO(png(tile, scale=3))))

    assert large.shape == (6, 9, 3) and (large[3:6, 6:9] == tile[1, 2]).all()
