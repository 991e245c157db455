"""Drawings as strokes: every piece has one, in the plane it was drawn in, and all of it lies on the drawing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from segmend.core.drawings import MAX_STROKES, strokes_of
from segmend.core.image import Box, MaskArray
from segmend.core.marks import path
from segmend.core.prompts import Click, Drawn, Stroke
from segmend.core.segmenter import Method, Prediction, Workspace, answer
from segmend.errors import PromptError


@given(arrays(bool, (1, 6, 9)), st.integers(0, 2), st.booleans())
def test_every_piece_has_a_stroke_that_lies_on_it(inside: MaskArray, axis: int, positive: bool) -> None:
    if not inside.any():
        return
    count = ndimage.label(inside, np.ones((3, 3, 3)))[1]
    turned = np.moveaxis(inside, 0, axis)

    strokes = strokes_of(Drawn(turned, (1, 2, 3), positive))

    assert len(strokes) == count and all(stroke.positive is positive for stroke in strokes)
    for stroke in strokes:
        voxels = path(stroke.points) - (1, 2, 3)
        assert turned[tuple(voxels.T)].all()


def test_specks_beyond_a_number_are_left_out() -> None:
    inside = np.zeros((1, 40, 40), bool)
    inside[0, ::2, ::2] = True
    inside[0, 0, :11] = True

    strokes = strokes_of(Drawn(inside))

    assert len(strokes) == MAX_STROKES and len(strokes[-1].points) == 11


class Told(Workspace):
    """Remembers its prompts, and takes nothing."""

    def __init__(self) -> None:
        self.prompts: list[Any] = []

    def predict(self, prompts: Any, previous: MaskArray) -> Prediction:
        self.prompts = list(prompts)
        return Prediction(np.zeros((1, 1, 1), np.float32), Box((0, 0, 0), (1, 1, 1)))


def test_a_method_is_given_strokes_and_every_drawn_voxel_holds() -> None:
    workspace, inside = Told(), np.array([[[True, True, True], [False, True, False]]])

    found = answer(workspace, [Click((0, 3, 3)), Drawn(inside, (0, 1, 1))], np.zeros((1, 4, 5), bool))

    assert [type(prompt) for prompt in workspace.prompts] == [Click, Stroke]
    wanted = np.zeros((1, 4, 5), bool)
    wanted[0, 3, 3] = True
    wanted[:, 1:3, 1:4] |= inside
    assert np.array_equal(found.over(np.zeros((1, 4, 5), bool)), wanted)


def test_who_takes_strokes_takes_drawings() -> None:
    drawing = Drawn(np.ones((1, 1, 1), bool))
    Method("a", "A", "", ("click", "stroke"), (2,), "none needed").check([drawing])
    with pytest.raises(PromptError, match="B takes click; got drawn"):
        Method("b", "B", "", ("click",), (2,), "none needed").check([drawing])
