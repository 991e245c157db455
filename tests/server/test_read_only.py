"""A server on a full disk or in a read-only folder shows and exports what is there."""

import gzip
import os
import time

import nibabel
import numpy as np
import pytest

from segmend.core.atomic import ABANDONED_SECONDS
from tests.server.running import clicked, defined, http, in_thread, rooms, settings
from tests.store.places import read_only, small_disk

BOX = (1, 2, 2)


def begun(data):
    """Make a case and a session with one answered click in a data folder."""
    with in_thread(settings(data)) as server, http(server) as client:
        case = server.config.app.state.shared.store.add_case("rooms", rooms()).id
        session = client.post(f"/api/cases/{case}/sessions").json()["id"]
        for event in (defined(1), clicked(BOX)):
            assert client.post(f"/api/sessions/{session}/events", json=event).status_code == 200
        assert client.get("/api/health").json()["read_only"] is False
        return case, session, client.get(f"/api/sessions/{session}/map").content


def assert_shown(client, case, session, label_map):
    assert client.get("/api/health").json()["read_only"] is True
    assert [found["name"] for found in client.get("/api/cases").json()] == ["rooms"]
    volume = nibabel.Nifti1Image.from_bytes(client.get(f"/api/cases/{case}/volume.nii").content)
    np.testing.assert_array_equal(volume.get_fdata().T, rooms().voxels[0])
    assert len(client.get(f"/api/sessions/{session}").json()["events"]) == 2
    assert client.get(f"/api/sessions/{session}/map").content == label_map


def assert_refused(client, case, session, status, words):
    upload = {"files": ("a.nii", b"x" * 500)}
    for reply in (
        client.post(f"/api/sessions/{session}/events", json=clicked(BOX)),
        client.post(f"/api/cases/{case}/sessions"),
        client.post("/api/cases", files=upload),
        client.delete(f"/api/cases/{case}"),
    ):
        assert reply.status_code == status and any(word in reply.json()["detail"] for word in words), reply.text


def exported(client, session):
    return client.get(f"/api/sessions/{session}/export", params={"format": ".nii.gz"})


def test_in_a_read_only_folder(tmp_path, caplog):
    data = tmp_path / "data"
    case, session, label_map = begun(data)
    with read_only(data), in_thread(settings(data)) as server, http(server) as client:
        assert_shown(client, case, session, label_map)
        assert_refused(client, case, session, 503, ("can be seen and exported",))
        reply = exported(client, session)
        assert reply.status_code == 200
        mask = nibabel.Nifti1Image.from_bytes(gzip.decompress(reply.content))
        np.testing.assert_array_equal(mask.get_fdata().T == 1, rooms().voxels[0] == 10)
        assert client.get(f"/api/sessions/{session}/map").content == label_map
    assert "nothing can be added or changed" in caplog.text


@pytest.fixture
def full_disk(tmp_path):
    """A data folder on a disk of its own, and a function that fills it."""
    with small_disk(tmp_path / "disk", "8m") as disk:

        def fill():
            with (disk / "ballast").open("wb", buffering=0) as ballast:
                try:
                    while ballast.write(bytes(4096)):
                        pass
                except OSError:
                    return

        yield disk / "data", fill


def test_on_a_full_disk(full_disk):
    data, fill = full_disk
    case, session, label_map = begun(data)
    fill()
    with in_thread(settings(data)) as server, http(server) as client:
        assert_shown(client, case, session, label_map)
        assert_refused(client, case, session, 507, ("is full", "No space left"))
        reply = exported(client, session)
        assert reply.status_code == 507 and "No space left on device; free some space" in reply.json()["detail"]
        assert [path.name for path in data.iterdir() if path.name.startswith("export-")] == []

        (data.parent / "ballast").unlink()
        end = time.monotonic() + 20
        while client.get("/api/health").json()["read_only"]:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert exported(client, session).status_code == 200
        assert client.post(f"/api/sessions/{session}/events", json=clicked(BOX)).status_code == 200


def test_what_killed_commands_left_is_swept_at_the_start(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    left = data / f".{'a' * 12}.part"
    left.write_bytes(b"half")
    os.utime(left, (time.time() - 2 * ABANDONED_SECONDS,) * 2)
    with in_thread(settings(data)):
        assert not left.exists()
