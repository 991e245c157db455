"""A second real archive, tiny-pacs, which lists no series without their study and takes nothing twice."""

import signal
import socket
import subprocess
import time

import numpy as np
import pydicom
import pytest

from segmend.core.session import PALETTE, Label
from segmend.errors import ArchiveError
from segmend.io import images, read_mask, write_mask
from segmend.io.dimse import archive_at
from tests.io import dicoms
from tests.viewers.clients import VIEWERS, need

TOKEN = "a-token-of-this-test"
VOXELS = np.random.default_rng(0).integers(0, 2000, (12, 20, 16)).astype(np.int16)
CONFIG = """
ae: {ae_title: [TINY], port: %d}
log: {version: 1, root: {level: WARNING}}
components:
  Database: {'on': true, driver: sqlite, mode: memory}
  Devices: {'on': true, auto_add: true}
  PACS: {'on': true}
  InMemoryStorage: {'on': true}
  HttpServer: {'on': true, host: 127.0.0.1, port: %d}
  DICOMWeb: {'on': true, prefix: /dicomweb, auth: token, tokens: [%s]}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def archives(tmp_path_factory):
    """The archive, by DICOMweb and by DIMSE; anew for each test: what it finds by DIMSE is now and then old."""
    program = need(VIEWERS / "tinypacs" / "bin" / "tiny-pacs", "tiny-pacs")
    folder = tmp_path_factory.mktemp("tiny-pacs")
    port, web = free_port(), free_port()
    (folder / "c.yaml").write_text(CONFIG % (port, web, TOKEN))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([program, "run", "-c", "c.yaml"], cwd=folder, stdout=log, stderr=log)
        found = {
            "DICOMweb": archive_at(f"http://127.0.0.1:{web}/dicomweb", f"Bearer {TOKEN}"),
            "DIMSE": archive_at(f"dimse://TINY@127.0.0.1:{port}"),
        }
        try:
            for archive in found.values():
                for _ in range(600):
                    assert process.poll() is None, (folder / "log").read_text()
                    try:
                        archive.studies(limit=1)
                        break
                    except ArchiveError:
                        time.sleep(0.1)
            yield found
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize("way", ["DICOMweb", "DIMSE"])
def test_a_series_and_its_masks_go_there_and_back(archives, way, tmp_path):
    archive = archives[way]
    source = dicoms.save_all(dicoms.slices(VOXELS), tmp_path / "scan")
    sent = archive.send(sorted(source.iterdir()))
    assert len(sent.stored) == len(VOXELS) and not sent.refused
    head = pydicom.dcmread(source / "001.dcm")

    name = "Doe^" if way == "DICOMweb" else "Doe*"  # by DICOMweb it looks for names that hold the words, without *
    found = {one.uid: one for one in archive.studies(PatientName=name, limit=100)}
    study = found[head.StudyInstanceUID]
    assert (study.patient, study.patient_id, study.date) == (dicoms.NAME, "ID-4711", "2020-02-03")
    assert archive.studies(PatientName="Nobody*") == []
    assert len(archive.studies(limit=1)) == 1 and len(archive.studies(limit=100, offset=len(found))) == 0
    (series,) = archive.series(study.uid)
    assert (series.uid, series.modality) == (head.SeriesInstanceUID, "CT")
    (tmp_path / "back").mkdir()
    assert len(archive.fetch(study.uid, series.uid, tmp_path / "back")) == len(VOXELS)
    ((_, read),) = images(tmp_path / "back")
    image = read()
    np.testing.assert_array_equal(image.voxels[0], VOXELS)

    masks = np.zeros(image.shape, np.uint16)
    masks[3:9, 4:12, 5:9], masks[9:11, 2:5, 3:14] = 1, 2
    labels = [Label(1, "liver", PALETTE[0]), Label(2, "tumour", PALETTE[1])]
    for name in ("mask.dcm", "mask.rtstruct.dcm"):
        write_mask(tmp_path / name, masks, image, labels, source=tmp_path / "back", anonymous=False)
        assert len(archive.send([tmp_path / name]).stored) == 1
    web = archives["DICOMweb"]
    listed = {one.modality: one for one in web.series(study.uid)}
    assert set(listed) == {"CT", "SEG", "RTSTRUCT"}
    for kind in ("SEG", "RTSTRUCT"):
        (tmp_path / kind).mkdir()
        (path,) = web.fetch(study.uid, listed[kind].uid, tmp_path / kind)
        np.testing.assert_array_equal(read_mask(path, image) > 0, masks > 0)

    again = archive.send([tmp_path / "mask.dcm"])  # it is there already
    assert not again.stored and len(again.refused) == 1


def test_what_it_cannot_tell_is_said(archives, tmp_path):
    with pytest.raises(ArchiveError, match=r"Name the study, too|has no series"):
        archives["DICOMweb"].find_series("1.2.3")
    with pytest.raises(ArchiveError):
        archives["DICOMweb"].fetch("1.2", "1.2.3", tmp_path)
