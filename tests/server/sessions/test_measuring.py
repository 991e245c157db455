"""What the server measures of masks, and their surfaces: as the library does, and again only where they changed."""

import numpy as np
import pytest

from segmend.core.image import Box, Image, scale_affine
from segmend.core.measures import measure, slice_axes
from segmend.core.surface import surface
from segmend.server.sessions import kept_measures
from segmend.server.sessions.kept_measures import KeptMeasures
from segmend.server.sessions.measuring import coarser
from segmend.server.sessions.wire import unpack
from tests.server.running import defined

SHAPE = (6, 20, 30)


@pytest.fixture
def image():
    voxels = np.random.default_rng(3).integers(-100, 100, (2, *SHAPE), dtype=np.int16)
    affine = scale_affine((4, 0.5, 0.75))
    affine[:3, 3] = 10, 20, 30
    return Image(voxels, affine)


@pytest.fixture
def session(client, store, image):
    case = store.add_case("measured", image).id
    session = client.post(f"/api/cases/{case}/sessions").json()["id"]
    for value in (1, 2):
        client.post(f"/api/sessions/{session}/events", json=defined(value))
    return session


def paint(client, session, label, index, radius=2):
    """Paint a square in one slice."""
    edit = {"kind": "paint", "points": [index], "axis": 0, "radius": radius, "positive": True, "square": True}
    event = {"event": "edited", "edit": edit, "label": label, "overwrite": False, "joined": False}
    reply = client.post(f"/api/sessions/{session}/events", json=event)
    assert reply.status_code == 200, reply.text


def map_of(client, session):
    label_map = np.zeros(SHAPE, np.uint16)
    unpack(client.get(f"/api/sessions/{session}/map").content).onto(label_map)
    return label_map


def test_measures_are_those_of_the_library(client, session, image):
    paint(client, session, 1, (5, 7, 10))

    found = client.get(f"/api/sessions/{session}/measures").json()

    wanted = measure(map_of(client, session) == 1, image)
    first, second = found["labels"]
    assert found["unit"] == "mm"
    assert (first["value"], first["voxels"], first["slice"]) == (1, wanted.voxels, 5)
    assert first["volume_ml"] == pytest.approx(wanted.volume_ml)
    assert first["long_axis"] == pytest.approx(wanted.diameters.long_axis)
    assert first["short_axis"] == pytest.approx(wanted.diameters.short_axis)
    assert first["means"] == pytest.approx(wanted.means)
    assert first["deviations"] == pytest.approx(wanted.deviations)
    assert (second["voxels"], second["volume_ml"], second["long_axis"], second["means"]) == (0, 0, None, [])


def test_a_version_that_still_holds_is_not_measured_again(client, session):
    asked = f"/api/sessions/{session}/measures"
    version = client.get(asked).json()["version"]
    assert client.get(asked, params={"since": version}).status_code == 204
    paint(client, session, 2, (1, 9, 9))
    changed = client.get(asked, params={"since": version})
    assert changed.status_code == 200
    assert changed.json()["labels"][1]["voxels"] > 0
    client.post(f"/api/sessions/{session}/undo")
    undone = client.get(asked, params={"since": changed.json()["version"]}).json()
    assert undone["labels"][1]["voxels"] == 0


def test_only_labels_that_changed_are_measured_again(image, monkeypatch):
    measured = []
    monkeypatch.setattr(kept_measures, "slice_axes", lambda mask, part: measured.append(part) or slice_axes(mask, part))
    kept, box = KeptMeasures(), Box((1, 2, 3), (4, 12, 23))
    label_map = np.zeros(box.shape, np.uint16)
    label_map[0, 1:4, 1:9] = 1
    label_map[1:, 5:9, 2:5] = 2
    before = kept.of("case", [1, 2], label_map, box, image)
    label_map[2, 9, 4] = 2
    after = kept.of("case", [1, 2], label_map, box, image)
    assert len(measured) == 3
    assert (after[1], after[2].voxels) == (before[1], before[2].voxels + 1)
    assert before[1].axes.slice == 1


def test_a_picture_has_an_area_or_pixels(client, store):
    for spacing, unit in ((1.0, "px"), (0.5, "mm")):
        case = store.add_case("flat", Image(np.zeros((1, 1, 20, 30), np.uint8), scale_affine((1, spacing, spacing)))).id
        session = client.post(f"/api/cases/{case}/sessions").json()["id"]
        client.post(f"/api/sessions/{session}/events", json=defined(1))
        paint(client, session, 1, (0, 9, 9))
        found = client.get(f"/api/sessions/{session}/measures").json()
        one = found["labels"][0]
        assert (found["unit"], one["volume_ml"]) == (unit, None)
        assert one["area_mm2"] == (None if unit == "px" else one["voxels"] / 4)


def test_a_surface_is_that_of_the_library_where_it_lies(client, session, image):
    paint(client, session, 1, (2, 7, 10))
    paint(client, session, 1, (3, 8, 12))
    answer = client.get(f"/api/sessions/{session}/surfaces/1")
    reply, tag = answer.content, answer.headers["etag"].strip('"')
    vertices, triangles = np.frombuffer(reply[:8], "<u4")
    wanted = surface(map_of(client, session) == 1, image)
    again = client.get(f"/api/sessions/{session}/surfaces/1", params={"since": tag})
    assert again.status_code == 204
    assert len(reply) == 8 + 12 * (vertices + triangles)
    corners = np.frombuffer(reply, "<f4", 3 * vertices, 8).reshape(-1, 3)
    assert np.allclose(corners, wanted.vertices, atol=1e-3)
    assert np.array_equal(np.frombuffer(reply, "<u4", offset=8 + 12 * vertices).reshape(-1, 3), wanted.triangles)


def test_a_coarser_surface_lies_where_the_mask_does():
    ball = np.linalg.norm(np.indices((20, 40, 40)) - np.array([10, 20, 20])[:, None, None, None], axis=0) < 8
    image = Image(np.zeros((1, *ball.shape), np.uint8), scale_affine((1, 1, 1)))
    fine, coarse = surface(ball, image), surface(*coarser(ball, image, 2))
    assert coarse.volume_ml == pytest.approx(fine.volume_ml, rel=0.1)
    assert np.abs(coarse.vertices.mean(axis=0) - fine.vertices.mean(axis=0)).max() < 0.6
    assert len(coarse.triangles) < len(fine.triangles) / 3


def test_a_label_without_voxels_has_an_empty_surface(client, session):
    assert client.get(f"/api/sessions/{session}/surfaces/2").content == bytes(8)
    missing = client.get(f"/api/sessions/{session}/surfaces/9")
    assert (missing.status_code, missing.json()["detail"]) == (404, "This session has no label 9.")
