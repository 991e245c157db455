"""Files of the server's own machine: only regular ones, only in named folders, never waited for."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from segmend.errors import FileError, LimitError, NotFoundError
from segmend.io import write_image
from segmend.server.cases.links import OutsideError, copy_linked
from tests.server.running import http, in_thread, rooms, settings

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes in folders, and links only for administrators")


@pytest.fixture
def folder(tmp_path):
    """A folder that may be linked, with two images in it."""
    folder = tmp_path / "scans"
    (folder / "study").mkdir(parents=True)
    write_image(folder / "one.nii", rooms())
    write_image(folder / "study" / "two.nii", rooms())
    return folder


@pytest.fixture
def copy(folder, tmp_path):
    """Copy a path of that folder; returns the names of what was copied."""
    (tmp_path / "copies").mkdir()

    def call(path, **limits):
        limits = {"max_bytes": 10**6, "max_files": 10, **limits}
        place = copy_linked(str(path), [folder], tmp_path / "copies", **limits)
        return [place.name] if place.is_file() else sorted(str(p.relative_to(place.parent)) for p in place.rglob("*"))

    return call


def test_a_file_and_a_folder_are_copied(copy, folder):
    assert copy(folder / "one.nii") == ["one.nii"]
    assert copy("study/two.nii") == ["two.nii"]
    assert copy(folder / "study") == ["study/two.nii"]
    assert copy(folder) == ["scans/one.nii", "scans/study", "scans/study/two.nii"]


@pytest.mark.parametrize("path", ["/etc/passwd", "/no/such", "{folder}/../other.nii", "{folder}s/one.nii", "/"])
def test_what_lies_elsewhere_is_refused_whether_it_is_there_or_not(copy, folder, path):
    (folder.parent / "other.nii").touch()

    with pytest.raises(OutsideError, match="only those folders of its machine that --link-folder names"):
        copy(path.format(folder=folder))


@pytest.mark.parametrize(
    "path", ["none.nii", "../other.nii", "one.nii/inner", "a\0b", "x" * 3000, "~none/x", "{folder}/none"]
)
def test_what_is_not_there_is_said(copy, folder, path):
    (folder.parent / "other.nii").touch()

    with pytest.raises(NotFoundError, match="no such file or folder on the server's machine"):
        copy(path.format(folder=folder))


@posix
def test_a_link_that_leads_out_is_refused(copy, folder, tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.nii").write_text("secret")
    (folder / "out").symlink_to(tmp_path / "secret")

    with pytest.raises(OutsideError):
        copy(folder / "out" / "key.nii")
    with pytest.raises(FileError, match="needs regular files and folders alone; 'out' is something else"):
        copy(folder)


@posix
def test_a_link_to_something_in_the_folder_leads_there(copy, folder):
    (folder / "again.nii").symlink_to(folder / "one.nii")

    assert copy(folder / "again.nii") == ["one.nii"]


@posix
def test_pipes_sockets_and_devices_are_refused_at_once(copy, folder):
    os.mkfifo(folder / "study" / "pipe.nii")

    for path in (folder / "study" / "pipe.nii", folder / "study"):
        with pytest.raises(FileError, match="'pipe.nii' is something else"):
            copy(path)


@posix
def test_a_file_that_becomes_a_pipe_a_moment_later_is_not_waited_for(copy, folder, monkeypatch):
    from segmend.server.cases.links import Folder

    about = Folder.about

    def exchange(self, name):
        seen = about(self, name)
        if name == "one.nii":
            (folder / name).unlink()
            os.mkfifo(folder / name)
        return seen

    monkeypatch.setattr(Folder, "about", exchange)
    with pytest.raises(FileError, match="'one.nii' is something else"):
        copy(folder / "one.nii")


@posix
def test_a_folder_that_becomes_a_link_a_moment_later_is_not_followed(copy, folder, tmp_path, monkeypatch):
    from segmend.server.cases.links import Folder

    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "two.nii").write_text("secret")
    about = Folder.about

    def exchange(self, name):
        seen = about(self, name)
        if name == "study":
            (folder / name).rename(tmp_path / "moved")
            (folder / name).symlink_to(tmp_path / "secret")
        return seen

    monkeypatch.setattr(Folder, "about", exchange)
    with pytest.raises((FileError, NotFoundError)):
        copy(folder)


def test_limits_are_those_of_an_upload(copy, folder):
    with pytest.raises(LimitError, match="At most 10 bytes and 10 files are linked at once"):
        copy(folder / "one.nii", max_bytes=10)
    with pytest.raises(LimitError, match="and 1 files"):
        copy(folder, max_files=1)


def test_nothing_is_linked_where_no_folder_was_named(tmp_path, folder):
    with in_thread(settings(tmp_path / "data")) as server, http(server) as client:
        reply = client.post("/api/cases/link", json={"path": str(folder / "one.nii")})

    assert reply.status_code == 403 and "does not read folders of its machine" in reply.json()["detail"]


@posix
def test_many_links_to_a_pipe_hold_up_nobody(tmp_path, folder):
    os.mkfifo(folder / "pipe.nii")
    with in_thread(settings(tmp_path / "data", link_folders=(folder,))) as server, ThreadPoolExecutor(45) as threads:
        with http(server) as client:
            asked = [
                threads.submit(http_post, server, {"path": str(folder / "pipe.nii")}) for _ in range(45)
            ]  # more than there are threads for routes
            begun = time.monotonic()
            assert client.get("/api/cases").json() == []
            assert time.monotonic() - begun < 30
            assert {reply.result().status_code for reply in asked} == {422}
            linked = client.post("/api/cases/link", json={"path": "study"})
            outside = client.post("/api/cases/link", json={"path": "/etc/passwd"})

        assert linked.status_code == 201 and [case["name"] for case in linked.json()] == ["two"]
        assert outside.status_code == 403
        assert not list((tmp_path / "data").glob("upload-*"))


def http_post(server, body):
    with http(server) as client:
        return client.post("/api/cases/link", json=body)
