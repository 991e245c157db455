"""Surfaces as files, read back by a reader of this test's own."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from segmend.core.image import Image, scale_affine
from segmend.core.session import Label
from segmend.errors import FileError, GeometryError
from segmend.io.meshes import surfaces, write_surfaces

AFFINE = scale_affine((4.0, 2.0, 1.0))
AFFINE[:3, 3] = (100.0, -50.0, 20.0)  # right, front, head
LABELS = [Label(1, "left kidney", (255, 0, 0)), Label(7, "empty", (0, 255, 0)), Label(3, "stone", (0, 0, 255))]


@pytest.fixture(scope="module")
def shown():
    label_map = np.zeros((8, 9, 10), np.uint16)
    label_map[2:6, 3:7, 1:8] = 1
    label_map[3:5, 4:6, 3:5] = 3
    return surfaces(label_map, Image(np.zeros((1, 8, 9, 10)), AFFINE), LABELS)


def volume(corners: np.ndarray) -> float:  # [n 3 3]
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    return float((a * np.cross(b, c)).sum() / 6)


def around(points: np.ndarray) -> tuple[list[float], list[float]]:
    return points.reshape(-1, 3).min(axis=0).tolist(), points.reshape(-1, 3).max(axis=0).tolist()


# Where the kidney's outer faces lie, in RAS mm: x 0.5 to 7.5, y 2.5 to 6.5 and z 1.5 to 5.5 of voxels of 1, 2 and 4 mm.
LOW, HIGH = (100.5, -45.0, 26.0), (107.5, -37.0, 42.0)


def test_an_stl_says_its_space_and_lies_there(shown, tmp_path: Path) -> None:
    for space, signs in (("LPS", (-1, -1, 1)), ("RAS", (1, 1, 1))):
        write_surfaces(tmp_path / "kidney.stl", shown, space=space)

        data = (tmp_path / "kidney.stl").read_bytes()
        (count,) = struct.unpack_from("<I", data, 80)
        assert data.startswith(f"SPACE={space}".encode()) and len(data) == 84 + 50 * count
        faces = np.frombuffer(data, np.dtype([("n", "<f4", 3), ("c", "<f4", (3, 3)), ("m", "<u2")]), offset=84)
        low, high = around(faces["c"] * signs)
        assert low == pytest.approx(LOW, abs=2) and high == pytest.approx(HIGH, abs=2)
        assert volume(faces["c"].astype(float)) > 0
        normals = np.cross(faces["c"][:, 1] - faces["c"][:, 0], faces["c"][:, 2] - faces["c"][:, 0])
        assert ((normals * faces["n"]).sum(axis=1) >= 0).all()


def test_an_obj_has_an_object_a_label(shown, tmp_path: Path) -> None:
    write_surfaces(tmp_path / "both.obj", shown)

    lines = (tmp_path / "both.obj").read_text().splitlines()
    assert lines[0] == "# SPACE=LPS; UNITS=mm; Segmend"
    assert [line for line in lines if line.startswith("o ")] == ["o left_kidney", "o stone"]
    vertices = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
    faces = np.array([line.split()[1:] for line in lines if line.startswith("f ")], int)
    assert faces.min() == 1 and faces.max() == len(vertices)
    low, high = around(vertices * (-1, -1, 1))
    assert low == pytest.approx(LOW, abs=2) and high == pytest.approx(HIGH, abs=2)
    assert volume(vertices[faces - 1]) > 0


def test_a_glb_has_names_colours_and_stands_upright_in_metres(shown, tmp_path: Path) -> None:
    write_surfaces(tmp_path / "both.glb", shown)

    data = (tmp_path / "both.glb").read_bytes()
    magic, version, size, length, kind = struct.unpack_from("<4sIII4s", data)
    assert (magic, version, size, kind) == (b"glTF", 2, len(data), b"JSON")
    about = json.loads(data[20 : 20 + length])
    binary = data[28 + length :]
    assert [mesh["name"] for mesh in about["meshes"]] == ["left kidney", "stone"]
    assert about["materials"][0]["pbrMetallicRoughness"]["baseColorFactor"] == [1, 0, 0, 1]
    turn = np.array(about["nodes"][0]["matrix"]).reshape(4, 4).T
    assert np.linalg.det(turn[:3, :3]) > 0
    for place, (low, high) in ((0, (LOW, HIGH)), (1, ((102.5, -43, 30), (104.5, -39, 38)))):
        primitive = about["meshes"][place]["primitives"][0]
        numbers = (primitive["attributes"]["POSITION"], primitive["indices"])
        vertices, indices = (about["accessors"][number] for number in numbers)
        views = [about["bufferViews"][one["bufferView"]] for one in (vertices, indices)]
        points = np.frombuffer(binary, "<f4", vertices["count"] * 3, views[0]["byteOffset"]).reshape(-1, 3)
        triangles = np.frombuffer(binary, "<u4", indices["count"], views[1]["byteOffset"]).reshape(-1, 3)
        assert around(points) == (vertices["min"], vertices["max"])
        assert vertices["min"] == pytest.approx(low, abs=2) and vertices["max"] == pytest.approx(high, abs=2)
        seen = points @ turn[:3, :3].T  # metres: left, head, front
        assert seen[:, 1].mean() == pytest.approx(0.034, abs=0.002)  # the head is up
        assert volume(seen[triangles]) > 0


def test_what_has_no_surface_is_refused(shown, tmp_path: Path) -> None:
    flat = np.ones((1, 4, 5), np.uint16)
    with pytest.raises(FileError, match="A surface needs a volume; this image is a single slice"):
        surfaces(flat, Image(np.zeros((1, 1, 4, 5))), LABELS)
    with pytest.raises(FileError, match="A surface needs a label with voxels; this mask is empty"):
        write_surfaces(tmp_path / "none.stl", surfaces(flat.repeat(2, 0) * 0, Image(np.zeros((1, 2, 4, 5))), LABELS))
    with pytest.raises(GeometryError, match="Millimetres are of the space RAS or LPS; got 'XYZ'"):
        write_surfaces(tmp_path / "none.stl", shown, space="XYZ")
    assert list(tmp_path.iterdir()) == []
