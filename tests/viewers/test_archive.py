"""A real PACS, Orthanc: series are fetched from it, masks sent to it, and read back by another library."""

import json
import time

import highdicom
import numpy as np
import pydicom
import pytest
from click.testing import CliRunner

from segmend.cli import commands
from segmend.core.image import bounds
from segmend.core.prompts import Mask
from segmend.core.session import GIVEN, PALETTE, Defined, Label, Prompted
from segmend.errors import ArchiveError
from segmend.io import read_mask
from segmend.io.dicomweb import Archive
from segmend.store import Store
from tests.server.dicom import slices
from tests.server.running import http, in_thread, settings
from tests.viewers.clients import VIEWERS, need
from tests.viewers.orthanc import ENTRY, orthanc


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    home = need(VIEWERS / "orthanc" / "usr", "Orthanc")
    with orthanc(home, tmp_path_factory.mktemp("orthanc")) as (address, _):
        yield address


@pytest.fixture(scope="module")
def series(address, tmp_path_factory):
    """The first file of a series of 24 that the archive holds, sent in another order than they lie."""
    folder = tmp_path_factory.mktemp("series")
    paths = slices(folder, planes=24, rows=20, columns=16)
    for path in paths:
        file = pydicom.dcmread(path)
        file.PixelData = np.random.default_rng(0).integers(0, 2000, (20, 16), np.uint16).tobytes()
        file.save_as(path)
    sent = Archive(address, credentials=ENTRY).send([*paths[::2], *paths[1::2]])
    assert len(sent.stored) == 24 and not sent.refused
    return pydicom.dcmread(paths[0])


def command(*arguments):
    run = CliRunner().invoke(commands, [str(one) for one in arguments], env={"SEGMEND_ARCHIVE": ENTRY})
    assert run.exit_code == 0, (run.output, run.exception)
    return json.loads(run.stdout)


def test_a_wrong_password_is_said(address):
    with pytest.raises(ArchiveError, match="It wants other credentials"):
        Archive(address, credentials="ada:wrong").studies()


def test_studies_are_found_by_name_and_by_pages(address, series):
    archive = Archive(address, credentials=ENTRY)

    (study,) = archive.studies(PatientName="Doe*")
    assert (study.uid, study.patient_id, study.date) == (series.StudyInstanceUID, "12345", "2024-01-01")
    assert archive.studies(limit=1, offset=1) == [] and archive.studies(PatientName="Nobody*") == []
    (one,) = archive.series(study.uid)
    assert one == archive.find_series(one.uid) and one.modality == "CT"


def test_a_series_is_fetched_annotated_and_its_masks_come_back(address, series, tmp_path):
    uid, data = series.SeriesInstanceUID, tmp_path / "data"
    (fetched,) = command("pull", address, "--series", uid, "--folder", data, "--json")
    assert fetched["shape"] == [24, 20, 16]
    masks = np.zeros((24, 20, 16), np.uint16)
    masks[3:9, 4:12, 5:9], masks[12:14, 2:5, 3:14] = 1, 2
    with Store.local(data) as store:
        session = store.add_session(fetched["case"]).id
        position = 0
        for value, name in ((1, "liver"), (2, "tumour")):
            box = bounds(masks == value)
            for event in (
                Defined(Label(value, name, PALETTE[value])),
                Prompted(Mask((masks == value)[box.slices], box.low), value, GIVEN),
            ):
                store.append(session, position, event)
                position += 1
        image = store.image(fetched["case"])
    with in_thread(settings(data)) as server, server.config.app.state.shared.sessions.open(session) as opened:
        while opened.session.pending:
            time.sleep(0.02)

    sent = []
    for name in ("mask.dcm", "mask.rtstruct.dcm", "again.dcm"):
        command("export", session, "-o", tmp_path / name, "--patient", "keep", "--folder", data, "--json")
        found = command("push", address, tmp_path / name, "--json")
        assert len(found["stored"]) == 1 and not found["refused"]
        sent.append(pydicom.dcmread(tmp_path / name))
    assert len({one.SOPInstanceUID for one in sent} | {one.SeriesInstanceUID for one in sent}) == 6

    archive = Archive(address, credentials=ENTRY)
    found = archive.series(series.StudyInstanceUID)
    assert sorted(one.modality for one in found) == ["CT", "RTSTRUCT", "SEG", "SEG"]
    listed = {one.modality: one for one in found}
    for modality in ("SEG", "RTSTRUCT"):
        folder = tmp_path / modality
        folder.mkdir()
        (path,) = archive.fetch(series.StudyInstanceUID, listed[modality].uid, folder)
        back = pydicom.dcmread(path)
        assert (back.StudyInstanceUID, back.PatientID) == (series.StudyInstanceUID, "12345")
        assert back.PatientName == series.PatientName
        if modality == "SEG":
            np.testing.assert_array_equal(read_mask(path, image), masks)
            assert back.FrameOfReferenceUID == series.FrameOfReferenceUID
            segmentation = highdicom.seg.segread(path)
            assert segmentation.segmentation_type.value == "BINARY"
            assert [segment.segment_label for segment in map(segmentation.get_segment_description, (1, 2))] == [
                "liver", "tumour"]  # fmt: skip
        else:
            np.testing.assert_array_equal(read_mask(path, image) > 0, masks > 0)


def test_the_annotators_server_finds_fetches_and_sends_back(address, series, tmp_path):
    options = {"archives": {"Orthanc": Archive(address, credentials=ENTRY)}, "read_apart": False}
    with in_thread(settings(tmp_path / "data", **options)) as server, http(server) as client:
        at = "/api/archives/Orthanc/studies"
        for query in ({"patient": "Doe"}, {"patient_id": "12345"}, {"since": "2024-01-01", "until": "2024-01-01"}):
            (study,) = client.get(at, params=query).json()["studies"]
            assert (study["uid"], study["patient"]) == (series.StudyInstanceUID, "Doe^Jane")
        for query in ({"patient": "Roe"}, {"modality": "US"}, {"since": "2024-01-02"}, {"offset": 1}):
            assert client.get(at, params=query).json() == {"studies": [], "more": False}, query
        listed = {one["uid"]: one for one in client.get(f"{at}/{study['uid']}/series").json()}
        one = listed[series.SeriesInstanceUID]
        assert (one["instances"], one["cases"]) == (24, [])

        wanted = {"study": one["study"], "series": one["uid"]}
        number = client.post("/api/archives/Orthanc/imports", json=wanted).json()["id"]
        while (now := client.get(f"/api/imports/{number}").json())["stage"] in ("waiting", "fetching", "reading"):
            time.sleep(0.05)
        assert (now["stage"], now["files"]) == ("done", 24), now
        store = server.config.app.state.shared.store
        case = store.case(now["cases"][0])
        session = store.add_session(case.id).id
        inside = np.zeros(case.shape, bool)
        inside[3:9, 4:12, 5:9] = True
        store.append(session, 0, Defined(Label(1, "liver", PALETTE[1])))
        store.append(session, 1, Prompted(Mask(inside, (0, 0, 0)), 1, GIVEN))
        with server.config.app.state.shared.sessions.open(session) as opened:
            while opened.session.pending:
                time.sleep(0.02)
        for suffix in (".dcm", ".rtstruct.dcm"):
            reply = client.post("/api/archives/Orthanc/results", json={"session": session, "format": suffix})
            assert reply.json() == {"stored": 1, "refused": []}
        after = {one["uid"]: one for one in client.get(f"{at}/{study['uid']}/series").json()}
        assert after[series.SeriesInstanceUID]["cases"] == [case.id]
        new = [one for uid, one in after.items() if uid not in listed]
        assert sorted(one["modality"] for one in new) == ["RTSTRUCT", "SEG"]
        (tmp_path / "seg").mkdir()
        uid = next(one["uid"] for one in new if one["modality"] == "SEG")
        (path,) = Archive(address, credentials=ENTRY).fetch(study["uid"], uid, tmp_path / "seg")
        np.testing.assert_array_equal(read_mask(path, store.image(case.id)) == 1, inside)
