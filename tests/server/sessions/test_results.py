"""Results over HTTP: one session in every form, and many cases as one zip."""

import io as memory
import json
import zipfile

import numpy as np
import pytest

from segmend.core.image import Image
from segmend.results.kinds import KINDS
from segmend.server.sessions.replaying import Provenance
from tests.server.running import BLUE, clicked, defined, rooms

EVENTS = [
    defined(1, "room"),
    defined(2, "bar", BLUE),
    clicked((1, 2, 2)),
    clicked((1, 2, 5), label=2),
]


@pytest.fixture(scope="module")
def project(server):
    """A project with two annotated volumes and an untouched one; the id of the first's session."""
    from tests.server.running import http

    store = server.config.app.state.shared.store
    store.add_project("rooms to export")
    sessions = []
    with http(server) as client:
        for name in ("rooms", "rooms", "empty"):
            case = store.add_case(name, rooms(), project="rooms to export", patient="DOE")
            sessions.append(client.post(f"/api/cases/{case.id}/sessions").json()["id"])
            for event in EVENTS if name == "rooms" else []:
                assert client.post(f"/api/sessions/{sessions[-1]}/events", json=event).status_code == 200
    return sessions[0]


@pytest.mark.parametrize("suffix", [kind.suffix for kind in KINDS.values() if kind.group != "masks"])
def test_a_session_leaves_in_every_form(client, project, suffix):
    reply = client.get(f"/api/sessions/{project}/export", params={"format": suffix})

    assert reply.status_code == 200 and f'filename="rooms{suffix}"' in reply.headers["content-disposition"]
    assert len(reply.content) > 100


def test_the_log_of_a_session_replays_to_its_map(client, project):
    log = Provenance(json.loads(client.get(f"/api/sessions/{project}/export?format=.provenance.json").content))

    replayed = log.replay(rooms())

    grey = rooms().voxels[0]
    assert replayed.same and replayed.different == ()
    np.testing.assert_array_equal(replayed.map, (grey == 10) + 2 * (grey == 20))


def test_a_project_leaves_as_one_zip(client, project):
    asked = {"project": "rooms to export", "kind": [".nii.gz", ".csv", ".pdf"]}
    with client.stream("GET", "/api/results.zip", params=asked) as reply:
        content = reply.read()

    assert reply.status_code == 200 and 'filename="rooms-to-export.zip"' in reply.headers["content-disposition"]
    assert "content-length" not in reply.headers  # it is sent while it is made
    with zipfile.ZipFile(memory.BytesIO(content)) as file:
        assert file.testzip() is None
        assert sorted(file.namelist()) == [
            *("measures.csv", "rooms-2/rooms-2.nii.gz", "rooms-2/rooms-2.pdf", "rooms/rooms.nii.gz", "rooms/rooms.pdf"),
        ]
        rows = file.read("measures.csv").decode("utf-8-sig").splitlines()
    assert len(rows) == 5 and "DOE" not in rows[1]


def test_named_cases_alone_leave_and_the_patient_where_it_is_asked_for(client, project):
    case = client.get(f"/api/sessions/{project}").json()["case"]

    reply = client.get("/api/results.zip", params={"case": case, "kind": [".csv", ".nii.gz"], "patient": "keep"})

    assert 'filename="rooms.zip"' in reply.headers["content-disposition"]
    with zipfile.ZipFile(memory.BytesIO(reply.content)) as file:
        assert file.namelist() == ["rooms/rooms.nii.gz", "measures.csv"]
        assert b"DOE" in file.read("measures.csv")


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"kind": ".docx"}, 422, "Results can be written as"),
        ({}, 422, "kind"),
        ({"kind": ".csv", "project": "nobody's"}, 404, "no project"),
        ({"kind": ".csv", "case": "nothing"}, 404, "There is no case"),
        ({"kind": ".csv", "patient": "john"}, 422, "anonymous"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_before_a_zip_begins(client, asked, status, words):
    reply = client.get("/api/results.zip", params=asked)

    assert reply.status_code == status and words in reply.text


def test_a_surface_of_a_picture_is_refused(client, store):
    session = store.add_session(store.add_case("flat", Image(rooms().voxels[:, :1])).id).id

    reply = client.get(f"/api/sessions/{session}/export?format=.stl")

    assert reply.status_code == 422 and "A surface needs a volume" in reply.json()["detail"]
