"""Masks leave in every format, and come back the same on the image they were drawn on."""

import time

import numpy as np
import pytest

from segmend.core.image import Image
from segmend.io import MASK_FORMATS, read_mask
from segmend.results.kinds import file_name
from tests.server.dicom import slices
from tests.server.running import BLUE, PATIENCE, Client, clicked, defined, rooms

PLAIN = [suffix for suffix in MASK_FORMATS if not suffix.endswith(".dcm") and suffix != ".png"]


@pytest.fixture
def drawn(server, session):
    """A session with two labels painted."""
    with Client(server.address, session) as live:
        live.do(defined(1))
        live.do(defined(2, "bar", BLUE))
        live.do(clicked((1, 2, 2)))
        live.do(clicked((1, 2, 5), label=2))
    return session


@pytest.mark.parametrize("suffix", PLAIN)
def test_a_mask_comes_back_the_same(client, drawn, tmp_path, suffix):
    reply = client.get(f"/api/sessions/{drawn}/export", params={"format": suffix})

    assert reply.status_code == 200 and f'filename="rooms-mask{suffix}"' in reply.headers["content-disposition"]
    (tmp_path / f"mask{suffix}").write_bytes(reply.content)
    grey = rooms().voxels[0]
    np.testing.assert_array_equal(read_mask(tmp_path / f"mask{suffix}", rooms()), (grey == 10) + 2 * (grey == 20))


def test_a_slice_leaves_as_png(server, client, store, tmp_path):
    image = Image(rooms().voxels[:, :1])
    session = store.add_session(store.add_case("photo", image).id).id
    with Client(server.address, session) as live:
        live.do(defined(1))
        live.do(clicked((0, 2, 2)))

    (tmp_path / "mask.png").write_bytes(client.get(f"/api/sessions/{session}/export?format=.png").content)

    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", image), image.voxels[0] == 10)


def test_a_volume_is_no_png(client, drawn):
    reply = client.get(f"/api/sessions/{drawn}/export?format=.png")

    assert reply.status_code == 422 and "slice" in reply.json()["detail"]


@pytest.mark.parametrize("patient", [None, "anonymous", "keep"])
@pytest.mark.parametrize("suffix", [suffix for suffix in MASK_FORMATS if suffix.endswith(".dcm")])
def test_dicom_masks_refer_to_the_series_that_was_uploaded(server, client, tmp_path, suffix, patient):
    import pydicom

    files = slices(tmp_path, planes=3, rows=12, columns=10)
    [case] = client.post("/api/cases", files=[("files", (p.name, p.read_bytes())) for p in files]).json()
    session = client.post(f"/api/cases/{case['id']}/sessions").json()["id"]
    with Client(server.address, session) as live:
        live.do(defined(1))
        live.do(clicked((1, 5, 5)))

    asked = {} if patient is None else {"patient": patient}
    reply = client.get(f"/api/sessions/{session}/export", params={"format": suffix, **asked})

    assert reply.status_code == 200, reply.text
    (tmp_path / "mask.dcm").write_bytes(reply.content)
    written = pydicom.dcmread(tmp_path / "mask.dcm")
    assert written.Modality in ("SEG", "RTSTRUCT")
    assert written.StudyInstanceUID == pydicom.dcmread(files[0]).StudyInstanceUID
    assert ("Doe" in str(written)) == (patient == "keep")
    assert (written.PatientID == "12345") == (patient == "keep")


def test_of_two_series_on_one_grid_a_mask_refers_to_its_own(server, client, tmp_path):
    import pydicom

    files = []
    for name in ("T1", "T2"):
        (tmp_path / name).mkdir()
        for path in slices(tmp_path / name, planes=2, rows=12, columns=10):
            one = pydicom.dcmread(path)
            one.SeriesDescription = name
            one.save_as(tmp_path / f"{name}-{path.name}")
            files.append(tmp_path / f"{name}-{path.name}")
    cases = client.post("/api/cases", files=[("files", (p.name, p.read_bytes())) for p in files]).json()
    series = {one.SeriesDescription: one.SeriesInstanceUID for one in map(pydicom.dcmread, files)}

    assert [case["name"] for case in cases] == ["T1", "T2"]
    for case in cases:
        session = client.post(f"/api/cases/{case['id']}/sessions").json()["id"]
        with Client(server.address, session) as live:
            live.do(defined(1))
            live.do(clicked((1, 5, 5)))
        (tmp_path / "mask.dcm").write_bytes(client.get(f"/api/sessions/{session}/export?format=.dcm").content)
        referred = pydicom.dcmread(tmp_path / "mask.dcm").ReferencedSeriesSequence[0].SeriesInstanceUID
        assert referred == series[case["name"]]


def test_a_dicom_mask_needs_no_dicom_image(client, drawn, tmp_path):
    import pydicom

    (tmp_path / "mask.dcm").write_bytes(client.get(f"/api/sessions/{drawn}/export?format=.dcm").content)

    written = pydicom.dcmread(tmp_path / "mask.dcm")
    assert written.Modality == "SEG" and [s.SegmentLabel for s in written.SegmentSequence] == ["lesion", "bar"]


@pytest.mark.parametrize(
    ("suffix", "patient", "words"),
    [
        (".dcm", "keep", "A mask with its patient needs the DICOM series that its image came from"),
        (".nii.gz", "keep", "Only a DICOM mask"),
        (".dcm", "john", "anonymous"),
    ],
)
def test_a_patient_that_nobody_has_is_refused(client, drawn, suffix, patient, words):
    reply = client.get(f"/api/sessions/{drawn}/export", params={"format": suffix, "patient": patient})

    assert reply.status_code == 422 and words in reply.text


def test_an_unfinished_answer_is_not_exported(server, client, store, held, tmp_path):
    tall = Image(rooms().voxels.repeat(20, 1))
    session = store.add_session(store.add_case("tall", tall).id).id
    held.after(1)
    with Client(server.address, session) as live:
        live.do(defined(1))
        position = live.next("accepted", id=live.send(clicked((1, 2, 2), method="slow")))["position"]
        live.next("frame", position=position)
        content = client.get(f"/api/sessions/{session}/export?format=.nii").content
        assert position not in live.answered
        held.released.set()
        live.next("answered", position=position)

    (tmp_path / "mask.nii").write_bytes(content)
    assert not read_mask(tmp_path / "mask.nii", tall).any()


def test_nothing_is_left_in_the_data_folder(server, client, drawn):
    client.get(f"/api/sessions/{drawn}/export?format=.nii")
    client.get(f"/api/sessions/{drawn}/export?format=.png")

    def left():
        return [path.name for path in server.settings.data.iterdir() if path.name.startswith(("export-", "upload-"))]

    end = time.monotonic() + PATIENCE
    while left():
        assert time.monotonic() < end, left()
        time.sleep(0.02)


@pytest.mark.parametrize(("name", "stem"), [("../Lung, left (2)", "Lung-left-2"), ('a"\r\nb', "a-b"), ("…", "case")])
def test_file_names_are_plain(name, stem):
    assert file_name(name) == stem
