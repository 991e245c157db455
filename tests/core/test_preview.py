"""Notebooks show an image or a prediction as a small picture."""

import base64
import io
import re

import numpy as np
import PIL.Image

from segmend.core.image import Box, Image, scale_affine
from segmend.core.preview import OUTLINE
from segmend.core.segmenter import Prediction


def shown(html: str) -> np.ndarray:
    """Return the picture [y x 3] in a piece of HTML."""
    data = re.search(r"base64,([^\"]+)", html)[1]
    return np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(data))))


def test_an_image_shows_its_middle_slice_in_its_true_proportions():
    voxels = np.zeros((1, 5, 40, 60), np.int16)
    voxels[0, 2, :, 30:] = 1000

    html = Image(voxels, scale_affine((5, 3, 1)))._repr_html_()
    picture = shown(html)

    assert picture.shape == (256, 128, 3)  # 120 mm high, 60 mm wide
    assert picture[:, :60].max() == 0
    assert picture[:, 68:].min() == 255
    assert "&lt;Image of 5 x 40 x 60 voxels" in html
    assert len(html) < 5000


def test_a_photograph_keeps_its_colours_and_a_constant_is_no_error():
    red = np.zeros((3, 1, 20, 20), np.uint8)
    red[0] = 200

    assert shown(Image(red)._repr_html_())[10, 10].tolist() == [200, 0, 0]
    assert shown(Image(np.full((1, 3, 8, 8), 7.5))._repr_html_()).max() == 0
    assert shown(Image(np.zeros((2, 1, 8, 8)))._repr_html_()).shape == (256, 256, 3)


def test_a_prediction_shows_its_largest_slice_with_an_outline():
    probability = np.full((2, 16, 16), 0.1, np.float32)
    probability[1, 4:12, 4:12] = 1

    html = Prediction(probability, Box((3, 0, 0), (5, 16, 16)))._repr_html_()
    picture = shown(html)

    assert html.endswith("slice 4")
    assert (picture == OUTLINE).all(axis=-1).sum() > 200
    assert (picture[64, 64:192] == OUTLINE).all()
    assert picture[128, 128].min() > 200
    assert "img" not in Prediction(np.zeros((0, 0, 0), np.float32), Box((0, 0, 0), (0, 0, 0)))._repr_html_()
