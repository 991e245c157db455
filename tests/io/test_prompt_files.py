"""Prompts from files: markups of 3D Slicer, tables of points, our JSON, each on the voxel that was meant."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segmend.core.image import Image, scale_affine
from segmend.core.prompts import Box, Click, Lasso, Stroke
from segmend.errors import FileError, PromptError
from segmend.io.prompts import placed, read_prompts


def scan() -> Image:
    """An image that is turned: rows run to the left, columns to the back, slices to the head from 100 mm on."""
    affine = scale_affine((4.0, 2.0, 1.0))
    affine[:3, :3] = np.array([[0, -2.0, 0], [0, 0, -1.0], [4.0, 0, 0]])
    affine[:3, 3] = (10, 20, 100)
    return Image(np.zeros((1, 6, 9, 12), np.int16), affine)


def markups(folder: Path, *found: dict, name: str = "p.mrk.json") -> Path:
    path = folder / name
    path.write_text(json.dumps({"@schema": "markups-schema-v1.0.3.json#", "markups": list(found)}))
    return path


def point(index: tuple[int, int, int], space: str, label: str = "F-1", **more: object) -> dict:
    return {"label": label, "position": scan().to_mm(index, space=space).tolist(), **more}


@pytest.mark.parametrize("space", ["LPS", "RAS"])
def test_slicers_points_are_clicks_in_either_space(tmp_path, space):
    points = [
        point((2, 3, 4), space),
        point((1, 8, 11), space, label="negative-2"),
        point((0, 0, 0), space, positionStatus="undefined"),
    ]
    path = markups(tmp_path, {"type": "Fiducial", "coordinateSystem": space, "controlPoints": points})

    assert placed(read_prompts(path), scan()) == [Click((2, 3, 4)), Click((1, 8, 11), positive=False)]


def test_markups_that_say_no_space_are_lps_as_in_slicer(tmp_path):
    path = markups(tmp_path, {"type": "Fiducial", "controlPoints": [point((2, 3, 4), "LPS")]})

    assert placed(read_prompts(path), scan()) == [Click((2, 3, 4))]


def test_all_points_of_a_file_called_negative_are_so(tmp_path):
    found = {"type": "Fiducial", "coordinateSystem": "RAS", "controlPoints": [point((2, 3, 4), "RAS")]}
    path = markups(tmp_path, found, name="scan.negative.mrk.json")

    assert placed(read_prompts(path), scan()) == [Click((2, 3, 4), positive=False)]


def test_curves_are_strokes_and_lassos_and_a_box_is_a_box(tmp_path):
    places = [(2, 1, 1), (2, 1, 9), (2, 7, 9)]
    line = [point(place, "LPS") for place in places]
    low, high = (scan().to_mm(place, space="LPS") for place in ((1, 2, 3), (4, 6, 9)))
    box = {"center": ((low + high) / 2).tolist(), "size": np.abs(high - low).tolist()}
    path = markups(
        tmp_path,
        {"type": "Curve", "coordinateSystem": "LPS", "controlPoints": line},
        {"type": "ClosedCurve", "coordinateSystem": "LPS", "controlPoints": line},
        {"type": "ROI", "coordinateSystem": "LPS", **box},
    )

    stroke, lasso, region = placed(read_prompts(path), scan())

    assert stroke == Stroke(tuple(places))
    assert lasso == Lasso(tuple(places), 0)
    assert region == Box((1, 2, 3), (5, 7, 10))


def test_a_turned_box_counts_by_its_corners(tmp_path):
    turned = [0, -1, 0, 1, 0, 0, 0, 0, 1]  # its first axis runs along the second of space
    middle = scan().to_mm((2, 4, 5)).tolist()
    box = {"type": "ROI", "coordinateSystem": "RAS", "center": middle, "size": [4, 8, 8], "orientation": turned}

    [region] = placed(read_prompts(markups(tmp_path, box)), scan())

    assert region == Box((1, 2, 3), (4, 7, 8))  # 8 mm along x of space, 4 along y, 8 along z


@pytest.mark.parametrize(
    ("text", "clicks"),
    [
        ("z,y,x\n2,3,4\n1,8,11\n", [Click((2, 3, 4)), Click((1, 8, 11))]),
        ("Z;Y;X;positive\n2;3;4;yes\n1;8;11;0\n", [Click((2, 3, 4)), Click((1, 8, 11), positive=False)]),
        ("x_mm,y_mm,z_mm\n4,16,108\n", [Click((2, 3, 4))]),
        ("x_mm;y_mm;z_mm;space\n-4,0;-16,0;108,2;lps\n", [Click((2, 3, 4))]),
        ("\ufeffname\tz\ty\tx\n\t2\t3\t4\n\n", [Click((2, 3, 4))]),
    ],
)
def test_a_table_of_points_is_clicks(tmp_path, text, clicks):
    path = tmp_path / "points.csv"
    path.write_text(text, encoding="utf-8")

    assert placed(read_prompts(path), scan()) == clicks


def test_a_table_has_the_points_of_many_cases(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("case,z,y,x\na,1,1,1\nb,2,2,2\na,3,3,3\n")

    assert read_prompts(path, case="a") == [Click((1, 1, 1)), Click((3, 3, 3))]
    assert read_prompts(path, case="c") == []


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("p.csv", "z,y,x\n1,2\n", "Line 2 of p.csv needs columns z,y,x .* with numbers; got no x"),
        ("p.csv", "z,y,x\n1,2,b\n", "got x 'b'"),
        ("p.csv", "z,y,x\n1,2,3.5\n", "Line 2 of p.csv needs whole numbers for a voxel"),
        ("p.csv", "z,y,x,positive\n1,2,3,perhaps\n", "needs true or false as positive; got 'perhaps'"),
        ("p.csv", "x_mm,y_mm,z_mm,space\n1,2,3,LAS\n", "needs RAS or LPS as space; got 'LAS'"),
        ("p.csv", "", "needs columns z,y,x .*; it is empty"),
        ("p.csv", "y,x\n3,4\n", "In a volume of shape .* needs three numbers z,y,x; got '3,4'"),
        ("p.csv", "x_mm,y_mm,z_mm\n4,16,900\n", "is outside the image"),
        ("p.csv", 'z,y,x\n1,2,"3\n', "could not be read: line"),
        ("p.json", "{}", "need to be a JSON list; got dict"),
        ("p.json", "[{]", "this is not JSON"),
        ("p.json", '{"markups": [{}]}', "holds no markups as 3D Slicer writes them"),
        ("p.json", '{"markups": [{"type": "Fiducial", "controlPoints": [{"position": [1, 2]}]}]}', "holds no markups"),
        ("p.json", '{"markups": [{"type": "Plane"}]}', "Markups can be Fiducial, .*; p.json has Plane"),
        ("p.json", '{"markups": [{"type": "Fiducial", "coordinateUnits": "um"}]}', "need positions in mm, RAS or LPS"),
    ],
)
def test_what_cannot_be_understood_is_said(tmp_path, name, text, sentence):
    (tmp_path / name).write_text(text)

    with pytest.raises((FileError, PromptError), match=sentence):
        placed(read_prompts(tmp_path / name), scan())
