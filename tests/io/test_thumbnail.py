"""Thumbnails stand upright and show tones, whatever lies in the file."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image as Pillow

from segmend.core.geometry import Affine
from segmend.io.thumbnail import thumbnail


def shown(plane: np.ndarray, affine: Affine) -> np.ndarray:
    return np.asarray(Pillow.open(BytesIO(thumbnail(plane, affine))))


def affine_of(down: tuple[float, float, float], right: tuple[float, float, float]) -> Affine:
    """Return an affine whose rows and columns run like this, in RAS."""
    affine = np.eye(4)
    affine[:3, 1], affine[:3, 2] = down, right
    affine[:3, 0] = np.cross(down, right)
    return affine


# A bright corner in the first row and column of the file, and where it is to be seen: (row, column) of the picture.
@pytest.mark.parametrize(
    ("down", "right", "corner"),
    [
        ((0, -1, 0), (-1, 0, 0), (0, 0)),  # as DICOM has an axial slice: to the back, to the left
        ((0, 1, 0), (1, 0, 0), (-1, -1)),  # as most NIfTI: to the front, to the right
        ((1, 0, 0), (0, 1, 0), (-1, -1)),  # the same, rows and columns exchanged
        ((0, 0, 1), (-1, 0, 0), (-1, 0)),  # coronal, from the feet up
        ((0, 0, -1), (0, -1, 0), (0, 0)),  # sagittal: to the feet, to the back
        ((0, 1, 0), (0, 0, 1), (-1, -1)),  # sagittal, rows and columns exchanged
    ],
)
def test_a_slice_stands_upright(
    down: tuple[float, float, float], right: tuple[float, float, float], corner: tuple[int, int]
) -> None:
    plane = np.zeros((1, 96, 96), np.int16)
    plane[0, :20, :20] = 1000

    picture = shown(plane, affine_of(down, right))

    assert picture.shape == (96, 96) and picture[corner] == 255
    assert (picture == 255).sum() == 400


def test_pixels_have_their_proportions_and_large_slices_are_looked_at_in_part() -> None:
    picture = shown(np.zeros((1, 1000, 500), np.uint8), affine_of((0, -1, 0), (-4, 0, 0)))
    assert picture.shape == (48, 96)


def test_the_window_is_that_of_the_tissue() -> None:
    plane = np.full((1, 96, 96), -1000.0)
    plane[0, 20:60, 20:60] = np.linspace(0, 100, 1600).reshape(40, 40)
    plane[0, 0, 0], plane[0, 1, 1] = 30000, np.nan

    picture = shown(plane, affine_of((0, -1, 0), (-1, 0, 0)))

    assert picture[5, 5] == 0 and picture[59, 59] == 255 and 100 < picture[40, 40] < 160


def test_colours_stay_and_other_channels_are_left_out() -> None:
    colours = np.zeros((3, 96, 96), np.uint8)
    colours[0] = 200
    affine = affine_of((0, -1, 0), (-1, 0, 0))
    assert shown(colours, affine)[50, 50].tolist() == [200, 0, 0]
    assert shown(np.zeros((4, 96, 96), np.uint8), affine).shape == (96, 96)
