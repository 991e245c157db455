"""Voxels, boxes, lines and settings as people write them."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmend.cli.train import settings_of
from segmend.cli.words import Marks, corners, flat_only, plane_of, voxel
from segmend.core.image import Image
from segmend.core.prompts import Adjust, Box, Click, Extremes, Lasso, Stroke, to_json
from segmend.errors import FileError, PromptError, SettingsError

index = st.tuples(*[st.integers(-9, 9999)] * 3)


@given(index)
def test_a_voxel_reads_as_it_is_written(place):
    assert voxel(",".join(map(str, place))) == place
    assert voxel(", ".join(map(str, place))) == place


@given(index, index)
def test_a_box_reads_as_it_is_written(low, high):
    text = ":".join(",".join(map(str, corner)) for corner in (low, high))

    assert corners(text) == (low, high)
    assert corners(text.replace(":", ",")) == (low, high)


@pytest.mark.parametrize("text", ["", "1", "1,2,3,4", "a,b,c", "1.5,2,3", "1;2;3"])
def test_what_is_no_voxel_is_said(text):
    with pytest.raises(PromptError, match=r"needs three whole numbers z,y,x, or y,x in a flat image; got '"):
        voxel(text)


def test_what_is_no_box_is_said():
    with pytest.raises(PromptError, match=r"needs two corners z,y,x:z,y,x, or y,x:y,x in a flat image; got '1,2,3'\."):
        corners("1,2,3")


def test_all_kinds_of_prompts_come_in_one_list(tmp_path):
    lasso = Lasso(((0, 1, 1), (0, 1, 4), (0, 4, 1)))
    file = tmp_path / "prompts.json"
    file.write_text(json.dumps([to_json(lasso)]))

    found = Marks(
        clicks=["0,5,6"],
        negatives=["1,2"],
        boxes=["0,0,0:1,8,9"],
        strokes=["0,1,1:0,3,3"],
        negative_strokes=["7,7:9,9"],
        lassos=["2,1,1:2,1,4:2,4,1"],
        negative_lassos=["1,5,1:2,5,4:3,5,1"],
        extremes=["0,4:4,0:8,4:4,8"],
        adjust=-0.1,
        radius=2.5,
        file=str(file),
    ).steps()

    assert found == [
        lasso,
        Box((0, 0, 0), (1, 8, 9)),
        Extremes(((0, 0, 4), (0, 4, 0), (0, 8, 4), (0, 4, 8))),
        Lasso(((2, 1, 1), (2, 1, 4), (2, 4, 1))),
        Lasso(((1, 5, 1), (2, 5, 4), (3, 5, 1)), axis=1, positive=False),
        Stroke(((0, 1, 1), (0, 3, 3)), radius=2.5),
        Stroke(((0, 7, 7), (0, 9, 9)), positive=False, radius=2.5),
        Click((0, 5, 6)),
        Click((0, 1, 2), positive=False),
        Adjust(-0.1),
    ]


def test_two_numbers_are_a_voxel_of_a_flat_image_only():
    marks = Marks(clicks=["3,4,5"], lassos=["1,1:1,4:4,1"])

    marks.check_flat(Image(np.zeros((1, 1, 9, 9))))
    with pytest.raises(PromptError, match=r"volume of shape \(2, 9, 9\) a voxel needs three numbers z,y,x; got '1,1:"):
        marks.check_flat(Image(np.zeros((1, 2, 9, 9))))
    assert flat_only(["1,2,3:4,5,6"]) is None
    assert plane_of([(1, 2, 3), (4, 5, 6)]) == 0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("[", "this is not JSON"), ("{}", "need to be a JSON list; got dict"), (None, "No such file")],
)
def test_a_file_of_prompts_that_is_none_is_said(tmp_path, text, sentence):
    file = tmp_path / "prompts.json"
    if text is not None:
        file.write_text(text)

    with pytest.raises(FileError, match=sentence):
        Marks(file=str(file)).steps()


def test_a_prompt_in_a_file_that_is_none_is_said(tmp_path):
    file = tmp_path / "prompts.json"
    file.write_text("[3]")

    with pytest.raises(PromptError, match="A prompt needs a kind among click"):
        Marks(file=str(file)).steps()


@pytest.mark.parametrize("change", ["steps", "=3", "two words=3", ""])
def test_what_is_no_setting_is_said(change):
    with pytest.raises(SettingsError, match=r"needs the form name=value; got"):
        settings_of([change])
