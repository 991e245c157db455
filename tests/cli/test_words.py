"""Voxels, boxes, lines and settings as people write them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmend.cli.train import settings_of
from segmend.cli.words import corners, prompts_of, voxel
from segmend.core.prompts import Box, Click, Lasso, Stroke, to_json
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


@pytest.mark.parametrize("text", ["", "1,2", "1,2,3,4", "a,b,c", "1.5,2,3", "1;2;3"])
def test_what_is_no_voxel_is_said(text):
    with pytest.raises(PromptError, match=r"needs three whole numbers z,y,x \(a photograph is slice 0\); got '"):
        voxel(text)


def test_what_is_no_box_is_said():
    with pytest.raises(PromptError, match=r"needs two corners z,y,x:z,y,x; got '1,2,3'\."):
        corners("1,2,3")


def test_all_kinds_of_prompts_come_in_one_list(tmp_path):
    lasso = Lasso(((0, 1, 1), (0, 1, 4), (0, 4, 1)))
    file = tmp_path / "prompts.json"
    file.write_text(json.dumps([to_json(lasso)]))

    found = prompts_of(
        clicks=["0,5,6"], negatives=["0,1,2"], boxes=["0,0,0:1,8,9"], strokes=["0,1,1:0,3,3"], file=str(file)
    )

    assert found == [
        lasso,
        Box((0, 0, 0), (1, 8, 9)),
        Stroke(((0, 1, 1), (0, 3, 3))),
        Click((0, 5, 6)),
        Click((0, 1, 2), positive=False),
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("[", "this is not JSON"), ("{}", "need to be a JSON list; got dict"), (None, "No such file")],
)
def test_a_file_of_prompts_that_is_none_is_said(tmp_path, text, sentence):
    file = tmp_path / "prompts.json"
    if text is not None:
        file.write_text(text)

    with pytest.raises(FileError, match=sentence):
        prompts_of(file=str(file))


def test_a_prompt_in_a_file_that_is_none_is_said(tmp_path):
    file = tmp_path / "prompts.json"
    file.write_text("[3]")

    with pytest.raises(PromptError, match="A prompt needs a kind among click"):
        prompts_of(file=str(file))


@pytest.mark.parametrize("change", ["steps", "=3", "two words=3", ""])
def test_what_is_no_setting_is_said(change):
    with pytest.raises(SettingsError, match=r"needs the form name=value; got"):
        settings_of([change])
