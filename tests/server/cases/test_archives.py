"""The server beside an archive that does what it is told to: search it, fetch series, end that, send masks back."""

import threading
import time

import numpy as np
import pydicom
import pytest

from segmend.core.prompts import Mask
from segmend.core.session import GIVEN, PALETTE, Defined, Label, Prompted
from segmend.errors import SettingsError
from segmend.io.dicomweb import Archive, Study
from segmend.server.cases.archives import page_of
from segmend.server.cases.imports import MOST_WAITING
from tests.io.archive import serving
from tests.server.dicom import slices
from tests.server.running import PATIENCE, http, in_thread, rooms, settings


class Here:
    """A server, the archive that it knows, and what the archive has."""

    def __init__(self, server, pacs, folder):
        self.store = server.config.app.state.shared.store
        self.sessions = server.config.app.state.shared.sessions
        self.imports = server.config.app.state.shared.imports
        self.data = server.settings.data
        self.http = http(server)
        self.pacs, self.folder = pacs, folder

    def has_series(self, name, planes=4):
        """Give the archive a series; return its study and series."""
        folder = self.folder / name
        folder.mkdir()
        paths = slices(folder, planes=planes, rows=6, columns=5)
        head = pydicom.dcmread(paths[0])
        study, series = str(head.StudyInstanceUID), str(head.SeriesInstanceUID)
        self.pacs.has(f"/studies/{study}/series/{series}", [path.read_bytes() for path in paths])
        item = {"0020000E": {"Value": [series]}, "00080060": {"Value": ["CT"]}, "00201209": {"Value": [planes]}}
        self.pacs.says(f"/studies/{study}/series", [item])
        return study, series

    def begin(self, study, series, archive="PACS", **more):
        reply = self.http.post(f"/api/archives/{archive}/imports", json={"study": study, "series": series, **more})
        assert reply.status_code == 202, reply.text
        return reply.json()["id"]

    def over(self, number):
        """Wait until an import is over; return it."""
        end = time.monotonic() + PATIENCE
        while (one := self.http.get(f"/api/imports/{number}").json())["stage"] in ("waiting", "fetching", "reading"):
            assert time.monotonic() < end, one
            time.sleep(0.02)
        return one


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    with serving() as (pacs, address):
        known = {"PACS": Archive(address, credentials="ada:secret-word", silent_seconds=5),
                 "Nobody": Archive("http://127.0.0.1:9/")}  # fmt: skip
        options = {"archives": known, "read_apart": False, "max_upload_bytes": 4_000_000}
        with in_thread(settings(tmp_path_factory.mktemp("archives"), **options)) as server:
            one = Here(server, pacs, tmp_path_factory.mktemp("theirs"))
            yield one
            one.http.close()


def test_archives_are_told_by_name_and_never_by_address(here):
    reply = here.http.get("/api/archives")

    assert reply.json() == [{"name": "PACS"}, {"name": "Nobody"}]
    assert "127.0.0.1" not in reply.text and "secret" not in reply.text
    for path in ("/api/archives/http:%2F%2Fevil.org%2F/studies", "/api/archives/Other/studies/1.2/series"):
        assert here.http.get(path).status_code == 404
    reply = here.http.post("/api/archives/PACS/imports", json={"study": "1.2/..", "series": "1", "address": "http://x"})
    assert reply.status_code == 422


def test_studies_are_searched_by_what_is_known_of_them(here):
    found = {"0020000D": {"Value": ["1.2"]}, "00100010": {"Value": [{"Alphabetic": "Doe^Jane"}]}}
    here.pacs.says("/studies", [found] * 3)
    query = {"patient": "Doe", "since": "2026-01-02", "modality": "CT", "description": "liver", "limit": 2, "offset": 4}
    page = here.http.get("/api/archives/PACS/studies", params=query).json()

    asked, headers = here.pacs.asked[-1]
    for words in ("PatientName=Doe*", "StudyDate=20260102-&", "ModalitiesInStudy=CT", "StudyDescription=*liver*",
                  "limit=3", "offset=4"):  # fmt: skip
        assert words in asked
    assert headers["Authorization"].startswith("Basic ")
    assert page["more"] and [one["patient"] for one in page["studies"]] == ["Doe^Jane"] * 2
    here.pacs.says("/studies", [found] * 2)
    assert not here.http.get("/api/archives/PACS/studies", params=query).json()["more"]


def test_an_archive_that_knows_no_pages_is_cut_into_them():
    listed = [Study(str(number), "", "", "", "", ()) for number in range(7)]

    assert page_of(listed, 0, 3) == (listed[:3], True)
    assert page_of(listed, 6, 3) == (listed[6:], False)


@pytest.mark.parametrize("said", [b"<html>", b"[" * 100_000, b'{"a": 1}'])
def test_lists_of_an_archive_that_lies_are_a_sentence(here, said):
    here.pacs.says("/studies", said)
    for name in ("PACS", "Nobody"):
        reply = here.http.get(f"/api/archives/{name}/studies")
        assert reply.status_code == 422 and reply.json()["detail"].startswith("The archive")


def test_a_series_is_fetched_as_a_case_and_then_known(here):
    study, series = here.has_series("whole")
    (listed,) = here.http.get(f"/api/archives/PACS/studies/{study}/series").json()
    assert (listed["instances"], listed["cases"]) == (4, [])

    one = here.over(here.begin(study, series))

    assert (one["stage"], one["error"], one["files"]) == ("done", "", 4) and one["size"] > 1000
    case = here.store.case(one["cases"][0])
    assert (case.modality, case.shape, case.source) == ("CT", (4, 6, 5), True) and "Doe" in case.patient
    assert here.http.get("/api/imports").json()[-1] == one
    (listed,) = here.http.get(f"/api/archives/PACS/studies/{study}/series").json()
    assert listed["cases"] == one["cases"]


@pytest.mark.parametrize("fault", ["cut", "other", "damaged", "too large", "gone"])
def test_what_fails_leaves_no_case(here, fault):
    study, series = here.has_series(f"fault {fault}", planes=2)
    path = f"/studies/{study}/series/{series}"
    status, headers, body = here.pacs.replies[path]
    if fault == "cut":
        here.pacs.replies[path] = (status, {**headers, "Content-Length": str(len(body) // 2)}, body[: len(body) // 2])
    elif fault == "other":
        here.pacs.replies[f"/studies/{study}/series/1.2.3"] = here.pacs.replies[path]
        series = "1.2.3"
    elif fault == "damaged":
        here.pacs.has(path, [b"no DICOM" * 100])
    elif fault == "too large":
        here.pacs.has(path, [bytes(5_000_000)])
    else:
        del here.pacs.replies[path]
    before = here.store.cases()

    one = here.over(here.begin(study, series))

    assert one["stage"] == "failed" and one["error"].endswith(".") and one["cases"] == []
    assert str(here.data) not in one["error"]
    assert here.store.cases() == before and not list(here.data.glob("upload-*"))


def test_an_import_ends_when_somebody_wants_that(here, monkeypatch):
    study, series = here.has_series("ended")
    fetching, go_on = threading.Event(), threading.Event()
    fetch = Archive.fetch

    def slow(self, *arguments, progress, **options):
        progress(1, 100)
        fetching.set()
        assert go_on.wait(PATIENCE)
        return fetch(self, *arguments, progress=progress, **options)

    monkeypatch.setattr(Archive, "fetch", slow)
    before = here.store.cases()
    number = here.begin(study, series)
    assert fetching.wait(PATIENCE)
    assert here.http.get(f"/api/imports/{number}").json()["files"] == 1

    assert here.http.delete(f"/api/imports/{number}").status_code == 204
    assert here.over(number)["stage"] == "cancelled"
    go_on.set()
    end = time.monotonic() + PATIENCE
    while list(here.data.glob("upload-*")):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert here.over(number)["stage"] == "cancelled" and here.store.cases() == before
    assert here.http.delete(f"/api/imports/{number}").status_code == 204
    assert here.http.delete("/api/imports/none").status_code == 404


def test_only_so_many_wait_and_each_sees_their_own(here, monkeypatch):
    study, series = here.has_series("crowd", planes=1)
    going = threading.Event()
    monkeypatch.setattr(here.imports, "_fetch", lambda *_: going.wait(PATIENCE) and [])
    try:
        numbers = [here.begin(study, series) for _ in range(MOST_WAITING)]
        reply = here.http.post("/api/archives/PACS/imports", json={"study": study, "series": series})
        assert reply.status_code == 413 and "try later" in reply.json()["detail"]
        assert here.imports.of("ada") == []
        for number in numbers[2:]:
            here.http.delete(f"/api/imports/{number}")
    finally:
        going.set()
    assert here.over(numbers[0])["stage"] == "done"


def marked(here, case):
    """Return a session of a case with a mask."""
    store = here.store
    session, shape = store.add_session(case).id, store.case(case).shape
    inside = np.zeros(shape, bool)
    inside[1, 2:4, 1:4] = True
    store.append(session, 0, Defined(Label(1, "liver", PALETTE[0])))
    store.append(session, 1, Prompted(Mask(inside, (0, 0, 0)), 1, GIVEN))
    with here.sessions.open(session) as opened:
        while opened.session.pending:
            time.sleep(0.02)
    return session


def test_masks_are_sent_to_the_study_of_their_image(here):
    study, series = here.has_series("sent")
    (case,) = here.over(here.begin(study, series))["cases"]
    session = marked(here, case)
    here.pacs.says("/studies", {"00081199": {"Value": [{"00081155": {"Value": ["1.2.3"]}}]}})
    for suffix, modality in ((".dcm", b"SEG"), (".rtstruct.dcm", b"RTSTRUCT")):
        reply = here.http.post("/api/archives/PACS/results", json={"session": session, "format": suffix})
        assert reply.json() == {"stored": 1, "refused": []}
        assert study.encode() in here.pacs.received and modality in here.pacs.received
        assert b"Doe^Jane" in here.pacs.received

    refused = {"00081198": {"Value": [{"00081155": {"Value": ["1.2"]}, "00081197": {"Value": [272]}}]}}
    here.pacs.says("/studies", refused, 409)
    reply = here.http.post("/api/archives/PACS/results", json={"session": session})
    assert reply.json() == {"stored": 0, "refused": ["0110h"]}
    empty = here.store.add_session(case).id
    reply = here.http.post("/api/archives/PACS/results", json={"session": empty})
    assert reply.status_code == 422 and "no mask to send" in reply.json()["detail"]
    plain = here.store.add_session(here.store.add_case("plain", rooms()).id).id
    reply = here.http.post("/api/archives/PACS/results", json={"session": plain})
    assert reply.status_code == 422 and "without DICOM files" in reply.json()["detail"]


def test_names_of_archives_that_are_none_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="An archive needs a name"):
        settings(tmp_path, archives={"a\nb": Archive("http://localhost/")})
