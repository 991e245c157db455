"""Series beside a case's image, times of a case, templates of labels and structures, over HTTP."""

import json

import numpy as np
import pytest

from segmend import io
from segmend.core.image import Image, scale_affine
from segmend.core.related import on_grid_of
from segmend.server.cases.volumes import HEADER_BYTES
from tests.server.running import RED, Client, clicked, defined, rooms

FINE = Image(
    np.random.default_rng(1).integers(0, 900, (1, 7, 9, 11)).astype(np.int16),
    np.array([[0, 0.1, 0.5, -0.4], [0, 0.4, -0.1, -0.2], [1.2, 0, 0, -0.7], [0, 0, 0, 1.0]]),
    axes="zyx",
)


def upload(client, case, path):
    with path.open("rb") as file:
        return client.post(f"/api/cases/{case}/series", files={"files": (path.name, file)})


def slices(client, path, shape, **asked):
    reply = client.get(f"{path}/slices", params={"low": 0, "high": shape[0], **asked})
    assert reply.status_code == 200
    return np.frombuffer(reply.content, np.int16).reshape(shape)


def test_a_series_comes_on_the_grid_of_the_case(client, case, tmp_path):
    io.write_image(tmp_path / "T2 fine.nii.gz", FINE)

    reply = upload(client, case, tmp_path / "T2 fine.nii.gz")

    assert reply.status_code == 201
    [added] = reply.json()
    assert (added["name"], added["shape"]) == ("T2 fine", [7, 9, 11])
    assert client.get(f"/api/cases/{case}/series").json() == [added]
    path = f"/api/cases/{case}/series/{added['id']}"
    found = slices(client, path, (3, 6, 8))
    lowest = int(FINE.voxels.min())
    wanted = on_grid_of(FINE, rooms().affine, (3, 6, 8), 0, 3, outside=lowest)
    np.testing.assert_allclose(
        found, wanted, atol=1
    )  # NIfTI keeps an affine as float32: halves may be rounded otherwise
    file = client.get(f"{path}/volume.nii").content
    np.testing.assert_array_equal(np.frombuffer(file[HEADER_BYTES:], np.int16).reshape(3, 6, 8), found)
    assert client.get(f"{path}/volume.nii", headers={"Range": "bytes=0-351"}).content == file[:352]

    assert client.delete(path).status_code == 204
    assert client.get(f"/api/cases/{case}/series").json() == []
    assert client.get(f"{path}/slices?low=0&high=1").status_code == 404


def test_what_cannot_lie_beside_it_is_refused_in_a_sentence(client, case, store, tmp_path):
    io.write_image(tmp_path / "away.nii", Image(FINE.voxels, shifted(500), axes="zyx"))
    io.write_image(tmp_path / "photo.png", Image(np.zeros((1, 1, 4, 5), np.uint8)))

    for name, why in (("away.nii", "lies beside the case's image"), ("photo.png", "'photo' says no place")):
        reply = upload(client, case, tmp_path / name)
        assert reply.status_code == 422 and why in reply.json()["detail"]
    assert client.get(f"/api/cases/{case}/series").json() == []
    other = store.add_case("other", rooms()).id
    series = store.add_series(other, "fine", FINE).id
    assert client.delete(f"/api/cases/{case}/series/{series}").status_code == 404
    assert client.post("/api/cases/none/series", files={"files": ("a.nii", b"")}).status_code == 404


def shifted(mm):
    affine = FINE.affine.copy()
    affine[0, 3] += mm
    return affine


def test_a_time_of_a_case_becomes_a_case_of_its_own(client, store):
    voxels = np.arange(6 * 3 * 4 * 5, dtype=np.int16).reshape(6, 3, 4, 5)
    image = Image(voxels, scale_affine((3, 1, 1)), ("The fourth axis is time: 6 volumes, 2 s apart.", "Another note."))
    case = store.add_case("dynamic", image, modality="MR", patient="DOE", frame="1.2").id
    kinds = store.add_case("kinds", Image(voxels)).id

    assert client.get(f"/api/cases/{case}").json()["timed"] and not client.get(f"/api/cases/{kinds}").json()["timed"]
    made = client.post(f"/api/cases/{case}/frames/4").json()

    assert made["name"] == "dynamic, time 5" and made["channels"] == 1 and not made["timed"]
    assert made["patient"] == "DOE" and made["notes"] == ["Another note."]
    np.testing.assert_array_equal(store.image(made["id"]).voxels[0], voxels[4])
    assert client.post(f"/api/cases/{case}/frames/6").status_code == 404


def test_marks_of_a_case_of_many_times_are_refused_however_they_come(server, client, store):
    image = Image(np.zeros((6, 3, 6, 8), np.int16), rooms().affine, ("The fourth axis is time: 6 volumes, 2 s apart.",))
    session = client.post(f"/api/cases/{store.add_case('dynamic', image, modality='MR').id}/sessions").json()["id"]
    why = "This case has many times, and a mark belongs to one of them"
    edit = {"event": "edited", "edit": {"kind": "keep_largest"}, "label": 1}
    with Client(server.address, session) as live:
        live.do(defined(1))

        for event in (clicked((1, 2, 2)), edit):
            for route in ("events", "preview"):
                reply = client.post(f"/api/sessions/{session}/{route}", json=event)
                assert reply.status_code == 422 and reply.json()["detail"].startswith(why)
        file = {"files": ("mask.nii", b"")}
        assert client.post(f"/api/sessions/{session}/masks", files=file).json()["detail"].startswith(why)
        number = live.send(clicked((1, 2, 2)))
        assert live.next("error", id=number)["message"].startswith(why)

    assert [event["event"] for event in client.get(f"/api/sessions/{session}").json()["events"]] == ["defined"]


def test_new_sessions_begin_with_the_labels_of_the_project(client, store):
    store.add_project("abdomen")
    case = store.add_case("first", rooms(), project="abdomen").id
    [kidney] = [one for one in client.get("/api/structures?q=kidney+left").json() if one["name"] == "Left kidney"]
    template = [{"name": "Liver", "colour": RED}, {**kidney, "colour": [1, 2, 3]}]

    reply = client.put("/api/projects/abdomen/template", json={"labels": template})

    assert reply.status_code == 200
    wanted = [{"name": "Liver", "colour": RED, "codes": None, "overlaps": False}]
    wanted += [{**kidney, "colour": [1, 2, 3], "overlaps": False}]
    assert next(one for one in client.get("/api/projects").json() if one["name"] == "abdomen")["template"] == wanted
    begun = client.post(f"/api/cases/{case}/sessions").json()
    assert [(label["value"], label["name"]) for label in begun["labels"]] == [(1, "Liver"), (2, "Left kidney")]
    assert begun["labels"][1]["codes"]["type"] == {"value": "64033007", "meaning": "Kidney"}
    assert [event["joined"] for event in begun["events"]] == [False, True]
    assert store.case(case).status == "untouched"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"labels": 3}, "needs a list of labels"),
        ({"labels": [{"name": "a"}]}, "one lacks its colour"),
        ({"labels": [{"name": "a", "colour": ["x", 1, 2]}]}, "three whole numbers"),
        ({"labels": [{"name": "a", "colour": RED, "codes": {"type": 3}}]}, "need a category and a type"),
        ({"labels": [{"name": "a", "colour": RED}] * 2}, "each another one"),
    ],
)
def test_a_template_that_makes_no_sense_is_refused(client, body, why):
    reply = client.put("/api/projects/default/template", content=json.dumps(body))
    assert reply.status_code == 422 and why in reply.json()["detail"]
