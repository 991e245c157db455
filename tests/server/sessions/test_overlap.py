"""Labels that may share voxels, and many objects of one name: from marks to every file that is taken away."""

import csv
import io as memory
import json

import httpx
import numpy as np
import pydicom
import pytest

from segmend.core.image import Image
from segmend.core.layers import label_mask
from segmend.core.prompts import Drawn, to_json
from segmend.io import read, read_mask
from segmend.server.sessions.replaying import Provenance
from segmend.server.sessions.wire import unpack
from tests.server.running import BLUE, RED, Client, clicked, http, rooms

ROOM, BAR = (1, 2, 2), (1, 2, 5)
GREY = rooms().voxels[0]
INNER = np.zeros(GREY.shape, bool)
INNER[1, 2:4, 2:6] = True  # half of it in the room, half in what lies beside
SECOND_MASK = (GREY == 20) & ~INNER  # in one layer a voxel has one label, as ever
ORGAN = {"value": 1, "name": "organ", "colour": RED}
TUMOUR = {"value": 2, "name": "tumour", "colour": BLUE, "layer": 2, "instance": 1}
SECOND = {"value": 3, "name": "tumour", "colour": BLUE, "layer": 2, "instance": 2}


def defined(label):
    return {"event": "defined", "label": label}


def draws(mask, label, **options):
    low = np.argwhere(mask).min(axis=0)
    high = np.argwhere(mask).max(axis=0) + 1
    drawn = Drawn(mask[tuple(map(slice, low, high))], tuple(low.tolist()), True)
    return {"event": "edited", "edit": {"kind": "draw", "drawn": to_json(drawn)}, "label": label, **options}


BEGUN = [defined(ORGAN), defined(TUMOUR), defined(SECOND), draws(INNER, 2), clicked(ROOM)]


@pytest.fixture(scope="module")
def annotated(server):
    """The id of a session: an organ with a tumour that reaches out of it, and a second tumour."""
    store = server.config.app.state.shared.store
    with http(server) as client:
        session = client.post(f"/api/cases/{store.add_case('rooms', rooms()).id}/sessions").json()["id"]
        for event in [*BEGUN, clicked(BAR, label=3)]:
            assert client.post(f"/api/sessions/{session}/events", json=event).status_code == 200, event
    return session


def exported(client: httpx.Client, session: str, suffix: str, tmp_path):
    path = tmp_path / f"mask{suffix}"
    path.write_bytes(client.get(f"/api/sessions/{session}/export", params={"format": suffix}).content)
    return path


def test_a_mark_of_one_layer_takes_nothing_from_another_and_each_is_undone_alone(server, session):
    with Client(server.address, session) as live:
        for event in BEGUN:
            live.do(event)
        np.testing.assert_array_equal(live.maps[0] == 1, GREY == 10)
        np.testing.assert_array_equal(live.maps[2] == 2, INNER)

        live.do({"event": "undone"})
        assert not live.maps[0].any() and live.maps[2].any()
        live.do({"event": "redone"})
        live.do({"event": "removed", "of": 3})
        np.testing.assert_array_equal(live.maps[0] == 1, GREY == 10)
        assert not live.maps[2].any()
        live.do(draws(INNER, 2))
        live.do({"event": "edited", "edit": {"kind": "combine", "operation": "intersect", "other": 1}, "label": 2})
        np.testing.assert_array_equal(live.maps[2] == 2, INNER & (GREY == 10))
        live.do({"event": "edited", "edit": {"kind": "combine", "operation": "union", "other": 1}, "label": 2})
        np.testing.assert_array_equal(live.maps[2] == 2, GREY == 10)
        np.testing.assert_array_equal(live.maps[0] == 1, GREY == 10)
        live.do({"event": "deleted", "label": 1})
        assert not live.maps[0].any() and live.maps[2].any()


def test_a_mark_on_a_label_of_another_layer_is_no_negative_mark(server, session):
    with Client(server.address, session) as live:
        for event in (defined(ORGAN), defined(TUMOUR), clicked(ROOM, label=2), clicked(ROOM)):
            live.do(event)
        np.testing.assert_array_equal(live.maps[0] == 1, GREY == 10)
        np.testing.assert_array_equal(live.maps[2] == 2, GREY == 10)


def test_who_comes_later_and_who_asks_over_http_get_every_layer(server, client, annotated):
    def frame(**query):
        return unpack(client.get(f"/api/sessions/{annotated}/map", params=query).content)

    with Client(server.address, annotated) as live:
        live.next("frame")
        live.next("frame")
        np.testing.assert_array_equal(live.maps[0], GREY == 10)
        np.testing.assert_array_equal(live.maps[2] == 2, INNER)
    assert set(np.unique(frame().values)) == {1} and set(np.unique(frame(layer=2).values)) == {0, 2, 3}
    asked = draws(np.ones(GREY.shape, bool), 2)
    looked = unpack(client.post(f"/api/sessions/{annotated}/preview", json=asked).content)
    assert looked.layer == 2 and not (looked.values == 1).any()


def test_each_label_is_measured_with_the_voxels_that_it_shares(client, annotated):
    found = client.get(f"/api/sessions/{annotated}/measures").json()["labels"]

    assert [one["value"] for one in found] == [1, 2, 3]
    assert found[0]["voxels"] == (GREY == 10).sum()
    assert client.get(f"/api/sessions/{annotated}/surfaces/2").status_code == 200


def test_a_table_has_a_row_an_object_and_a_report_names_each(client, annotated):
    sheet = client.get(f"/api/sessions/{annotated}/export?format=.csv").content.decode("utf-8-sig")
    rows = list(csv.DictReader(memory.StringIO(sheet)))

    assert [(row["label"], row["object"], row["value"]) for row in rows] == [
        ("organ", "", "1"),
        ("tumour", "1", "2"),
        ("tumour", "2", "3"),
    ]
    assert int(rows[0]["voxels"]) == (GREY == 10).sum()
    assert client.get(f"/api/sessions/{annotated}/export?format=.pdf").content.startswith(b"%PDF")


def test_a_slicer_segmentation_keeps_what_overlaps_and_a_label_map_has_the_last_of_the_list(
    client, annotated, tmp_path
):
    layered = read(exported(client, annotated, ".seg.nrrd", tmp_path)).voxels
    header = (tmp_path / "mask.seg.nrrd").read_bytes().split(b"\n\n")[0].decode()
    flat = read_mask(exported(client, annotated, ".nii.gz", tmp_path), rooms())

    assert layered.shape[0] == 2
    np.testing.assert_array_equal(label_mask(layered, 1), GREY == 10)
    np.testing.assert_array_equal(label_mask(layered, 2), INNER)
    assert "Segment0_Layer:=0" in header and "Segment2_Layer:=1" in header and "Segment2_Name:=tumour 2" in header
    expected = np.where(GREY == 10, 1, 0)
    expected[SECOND_MASK] = 3
    expected[INNER] = 2
    np.testing.assert_array_equal(flat, expected)


def test_dicom_keeps_what_overlaps(client, annotated, tmp_path):
    pytest.importorskip("highdicom")
    segments = pydicom.dcmread(exported(client, annotated, ".dcm", tmp_path))
    counts: dict[int, int] = {}
    for frame, about in zip(segments.pixel_array, segments.PerFrameFunctionalGroupsSequence, strict=True):
        number = about.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        counts[number] = counts.get(number, 0) + int(frame.sum())
    structures = pydicom.dcmread(exported(client, annotated, ".rtstruct.dcm", tmp_path))
    slices = [len(region.ContourSequence) for region in structures.ROIContourSequence]

    assert [one.SegmentLabel for one in segments.SegmentSequence] == ["organ", "tumour 1", "tumour 2"]
    assert counts == {1: (GREY == 10).sum(), 2: INNER.sum(), 3: SECOND_MASK.sum()}
    assert slices == [3, 1, 3]


@pytest.mark.parametrize("ending", [".seg.nrrd", ".dcm", ".rtstruct.dcm"])
def test_a_file_whose_objects_overlap_is_loaded_as_layers(client, annotated, session, tmp_path, ending):
    path = exported(client, annotated, ending, tmp_path)

    files = {"files": (path.name, path.read_bytes())}
    told = client.post(f"/api/sessions/{session}/masks", params={"label": 1}, files=files)

    assert told.status_code == 201, told.text
    state = client.get(f"/api/sessions/{session}").json()
    labels = {one["value"]: one for one in state["labels"]}
    assert labels[1]["layer"] == 0 and labels[2]["layer"] != 0  # the second tumour shares no voxel with the organ
    measured = {one["value"]: one["voxels"] for one in client.get(f"/api/sessions/{session}/measures").json()["labels"]}
    assert measured == {1: (GREY == 10).sum(), 2: INNER.sum(), 3: SECOND_MASK.sum()}
    client.post(f"/api/sessions/{session}/undo")
    assert not unpack(client.get(f"/api/sessions/{session}/map").content).values.any()  # all of it in one step


def test_the_log_replays_to_the_same_masks(client, annotated):
    log = Provenance(json.loads(client.get(f"/api/sessions/{annotated}/export?format=.provenance.json").content))

    replayed = log.replay(Image(GREY[None], rooms().affine, axes="zyx"))

    assert replayed.same and replayed.different == () and replayed.maps.shape[0] == 2


def test_a_template_says_which_labels_may_overlap(client, server):
    store = server.config.app.state.shared.store
    store.add_project("tumours")
    labels = [{"name": "organ", "colour": RED}, {"name": "tumour", "colour": BLUE, "overlaps": True}]
    url = "/api/projects/tumours/template"

    told = client.put(url, json={"labels": labels}).json()["template"]

    case = store.add_case("rooms", rooms(), project="tumours")
    begun = client.post(f"/api/cases/{case.id}/sessions").json()["labels"]
    assert [one["overlaps"] for one in told] == [False, True] and [one["layer"] for one in begun] == [0, 2]
    wrong = client.put(url, json={"labels": [{**labels[0], "overlaps": 1}]})
    assert wrong.status_code == 422 and "'overlaps' needs true or false" in wrong.json()["detail"]
