"""What a client is told never says where things lie on the server's disk."""

import json
from pathlib import Path

import pytest

from segmend.io import write_image
from segmend.server.told import told_by
from tests.server.running import Client, clicked, defined, http, in_thread, rooms, settings


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server in folders with spaces in their names, with weights that are not there."""
    folder = tmp_path_factory.mktemp("Ada Lovelace's")
    given = {"weights": {"mend": folder / "the weights"}, "link_folders": (folder,)}
    with in_thread(settings(folder / "kept here", **given)) as running:
        yield running


@pytest.fixture
def session(server):
    store = server.config.app.state.shared.store
    session = store.add_session(store.add_case("rooms", rooms()).id)
    (server.settings.data / "blobs" / "cases" / session.case / "image.npy").unlink()
    return session


def reveals(text, server):
    """Return the parts of a text that say where something lies."""
    folders = [server.settings.data.parent.parent, Path.home(), "Lovelace", "kept here/"]
    return [str(folder) for folder in folders if str(folder) in text]


def ask_mend(client, case):
    """Ask the method whose weights are not there; returns the refusal."""
    session = client.post(f"/api/cases/{case}/sessions").json()["id"]
    client.post(f"/api/sessions/{session}/events", json=defined(1))
    return client.post(f"/api/sessions/{session}/events", json=clicked((1, 2, 2), method="mend"))


def test_refusals_tell_no_folder(server, session):
    data, whole = server.settings.data, server.config.app.state.shared.store.add_case("rooms", rooms()).id
    with http(server) as client:
        replies = [client.get(f"/api/cases/{session.case}/volume.nii"), ask_mend(client, whole)]
        (data.parent / "damaged.nii").write_bytes(b"no image")
        write_image(data.parent / "whole.nii", rooms())
        paths = (str(data.parent / "damaged.nii"), "damaged.nii", "/etc/hostname", "none")
        replies += [client.post("/api/cases/link", json={"path": path}) for path in paths]
        replies.append(client.post("/api/cases", files={"files": ("damaged.nii", b"no image")}))
        (data / "blobs").rename(data / "away")
        (data / "blobs").touch()
        replies.append(client.post("/api/cases/link", json={"path": "whole.nii"}))
        (data / "blobs").unlink()
        (data / "away").rename(data / "blobs")

    assert [reply.status_code for reply in replies] == [503, 503, 422, 422, 403, 404, 422, 503]
    assert [found for reply in replies if (found := reveals(reply.text, server))] == []
    for reply, name in zip(replies, ("image.npy", "the weights", "damaged.nii", "damaged.nii"), strict=False):
        assert name in reply.text  # what is wrong is told nevertheless
    assert "The blobs at blobs could not take" in replies[-1].text


def test_the_live_connection_tells_no_folder(server, session):
    with Client(server.address, session.id) as live:
        live.do(defined(1))
        live.send(clicked((1, 2, 2)))
        said = json.dumps(live.next("error"))

    assert "image.npy" in said and reveals(said, server) == []


def test_listings_and_the_openapi_document_tell_no_folder(server, session):
    with http(server) as client:
        document = client.get("/api/openapi.json")
        replies = [document, *(client.get(f"/api/{path}") for path in ("health", "methods", "formats", "cases"))]
        replies += [client.get(f"/api/cases/{session.case}"), client.get(f"/api/sessions/{session.id}")]

    for reply in replies:
        assert reply.status_code in (200, 503) and reveals(reply.text, server) == [], reply.url


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("The disk of /srv/scans/blobs is full.", "The disk of blobs is full."),
        ("There is no folder /opt/a b/c with weights.", "There is no folder c with weights."),
        (r"The file C:\Users\Ada\run.json is damaged.", "The file run.json is damaged."),
        ("The blobs at s3://bucket/blobs could not give cases/1/image.npy.",) * 2,
        ("A prompt needs (z, y, x); 1/2 and multipart/form-data are none.",) * 2,
        ("unable to open '/x/y/'", "unable to open 'a folder'"),
    ],
)
def test_of_a_path_the_last_name_is_told(said, told):
    assert told_by([Path("/opt/a b/c")])(ValueError(said)) == told
