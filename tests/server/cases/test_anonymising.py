"""A server that anonymises what comes: nothing of it names the patient, and who may can find whose it is."""

from __future__ import annotations

import json
import stat

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from segmend.core.image import Image
from segmend.io import write_image
from segmend.io.dicomslides import slide_series, write_slide
from segmend.io.plainslides import PLAIN
from segmend.io.slides import SlideFile
from segmend.store.pseudonyms import Pseudonyms
from tests.server.dicom import slices
from tests.server.running import clicked, defined, http, in_thread, settings
from tests.slides import picture, write_dicom_slide
from tests.slides import write_slide as write_tiff_slide

SECRETS = (b"Doe", b"Jane", b"Q-12345", b"19700101", b"20240101")


@pytest.fixture(scope="module")
def careful(tmp_path_factory):
    data = tmp_path_factory.mktemp("careful")
    with in_thread(settings(data, anonymise={"": "basic"})) as running:
        yield running


def upload(client, *files):
    return client.post("/api/cases", files=[("files", file) for file in files], params={"report": True})


def test_nothing_of_an_upload_names_the_patient(careful, tmp_path):
    paths = slices(tmp_path, planes=3, rows=5, columns=7)
    for path in paths:
        image = pydicom.dcmread(path)
        image.PatientID = "Q-12345"  # which no hash and no UID holds by chance
        image.save_as(path)
    files = [(f"DOE_JANE/{number}", path.read_bytes()) for number, path in enumerate(paths)]
    study = str(pydicom.dcmread(paths[0]).StudyInstanceUID)
    with http(careful) as client:
        first = upload(client, *files).raise_for_status().json()
        [case] = first["cases"]
        session = client.post(f"/api/cases/{case['id']}/sessions").json()["id"]
        for event in (defined(1), clicked((0, 2, 2))):
            client.post(f"/api/sessions/{session}/events", json=event).raise_for_status()
        options = {"format": ".dcm", "patient": "keep"}
        mask = client.get(f"/api/sessions/{session}/export", params=options).raise_for_status().content

    assert case["name"] == f"{case['patient']} CT"
    assert case["study_date"] == ""
    data = careful.settings.data
    kept = [path for path in data.iterdir() if not path.name.startswith("export-")]  # one goes when it was sent
    lying = [path for one in kept for path in (one, *one.rglob("*")) if path.is_file() and path.name != "pseudonyms.db"]
    assert not [(path.name, secret) for path in lying for secret in SECRETS if secret in path.read_bytes()]
    assert not [secret for secret in (*SECRETS, study.encode()) if secret in mask]
    (tmp_path / "mask.dcm").write_bytes(mask)
    assert str(pydicom.dcmread(tmp_path / "mask.dcm").PatientID) == case["patient"]
    [kept] = Pseudonyms.local(data).find()
    assert (kept.pseudonym, kept.patient, kept.name) == (case["patient"], "Q-12345", "Doe^Jane")
    assert stat.S_IMODE((data / "pseudonyms.db").stat().st_mode) == 0o600
    assert not list(data.glob("upload-*"))


def test_other_images_lose_the_name_of_their_file(careful, tmp_path):
    write_image(tmp_path / "jane_doe.png", Image(np.zeros((1, 1, 4, 5), np.uint8)))
    with http(careful) as client:
        [case] = upload(client, ("jane_doe.png", (tmp_path / "jane_doe.png").read_bytes())).json()["cases"]
    assert case["name"] == "image"
    assert "jane" not in json.dumps(case)


def test_text_in_pixels_is_warned_of(careful, tmp_path):
    path = slices(tmp_path, planes=1, rows=5, columns=7)[0]
    image = pydicom.dcmread(path)
    image.BurnedInAnnotation = "YES"
    image.save_as(path)
    with http(careful) as client:
        told = upload(client, ("a.dcm", path.read_bytes())).raise_for_status().json()
    warning = "Text may be burnt into 1 of 1 images (its file says so); look."
    assert warning in told["copies"]
    assert warning in told["cases"][0]["notes"]


def lying(data, *secrets):
    """Return where secrets lie in a data folder, beside the database of pseudonyms."""
    found = [path for path in data.rglob("*") if path.is_file() and path.name != "pseudonyms.db"]
    return [(path.name, secret) for path in found for secret in secrets if secret in path.read_bytes()]


@pytest.mark.parametrize(("syntax", "sparse"), [(JPEGBaseline8Bit, False), (ExplicitVRLittleEndian, True)])
def test_a_slide_of_dicom_gets_a_pseudonym_and_keeps_its_pixels(careful, tmp_path, syntax, sparse):
    pixels = picture(520, 600, seed=int(sparse))
    paths = write_dicom_slide(tmp_path, pixels, syntax=syntax, sparse=sparse)
    for path in paths:
        image = pydicom.dcmread(path)
        image.PatientID, image.BarcodeValue, image.OperatorsName = "Q-12345", "Q-12345-A1", "Doe^John"
        image.save_as(path)
    files = [(f"DOE/{number}", path.read_bytes()) for number, path in enumerate(paths)]
    with http(careful) as client:
        told = upload(client, *files).raise_for_status().json()
        [case] = told["cases"]
        tile = client.get(f"/api/cases/{case['id']}/slide/tiles/0/0/0").raise_for_status().content

    assert case["name"].startswith(f"{case['patient']} SM") and case["patient"].startswith("P-")
    assert case["notes"][-1] == PLAIN
    assert "1 pictures of a slide's label or of all of the glass were left out." in told["copies"]
    assert lying(careful.settings.data, b"Q-12345", b"Doe^", b"Biopsy") == []
    assert case["patient"] in [one.pseudonym for one in Pseudonyms.local(careful.settings.data).find("Q-12345")]
    write_slide(slide_series(paths)[0].paths, tmp_path / "whole.tif")
    there = SlideFile(tmp_path / "whole.tif")
    kept = SlideFile(careful.config.app.state.shared.store.slide_file(case["id"]))
    assert np.array_equal(kept.read(0, 0, 0, *kept.shape(0)), there.read(0, 0, 0, *there.shape(0)))
    assert kept.um == pytest.approx((0.5, 0.5), rel=1e-4)
    assert tile
    kept.close()
    there.close()


def test_a_scanners_file_loses_its_descriptions_and_its_name(careful, tmp_path):
    path = write_tiff_slide(
        tmp_path / "doe.tif", picture(300, 2100), description="Patient = Doe^Jane", compression="zlib"
    )
    with http(careful) as client:
        [case] = upload(client, ("Doe_Jane.tif", path.read_bytes())).raise_for_status().json()["cases"]

    assert (case["name"], case["patient"]) == ("slide", "")
    assert case["notes"][-1] == PLAIN
    assert lying(careful.settings.data, b"Doe") == []


def test_a_slide_with_its_label_in_the_pixels_is_refused(careful, tmp_path):
    paths = write_dicom_slide(tmp_path, picture(560, 700))
    for path in paths:
        image = pydicom.dcmread(path)
        image.SpecimenLabelInImage = "YES"
        image.save_as(path)
    files = [(str(number), path.read_bytes()) for number, path in enumerate(paths)]
    with http(careful) as client:
        refused = upload(client, *files)

    assert refused.status_code == 422
    assert "has the label of the glass in its pixels, which may name the patient: it is refused" in refused.text


def test_a_slide_that_is_cut_short_is_refused(careful, tmp_path):
    paths = write_dicom_slide(tmp_path, picture(560, 700), syntax=JPEGBaseline8Bit)
    files = [(str(number), path.read_bytes()[:-2000]) for number, path in enumerate(paths)]
    with http(careful) as client:
        refused = upload(client, *files)

    assert refused.status_code == 422 and "is cut short" in refused.text
