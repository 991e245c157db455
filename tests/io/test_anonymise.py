"""DICOM files without what names a patient: each attribute of the standard, references, dates, burnt-in text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector
from pydicom import dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

from segmend import io
from segmend.errors import FileError
from segmend.io import anonymise as module
from segmend.io.anonymise import EDITION, PROFILES, anonymise, clean, days_of, may_show_text, new_uid, patient_of
from tests.io.dicoms import enhanced, save, save_all, slices

KEY = b"a key of thirty-two bytes or so.."
SECRETS = (
    "Doe",
    "ID-4711",  # not digits alone, which UIDs hold by chance
    "Ref^Doc",
    "ACC-17",
    "19600102",
    "Abdomen",
)
TABLE = {
    tuple(tag): group
    for group, tags in dicom_anonymization_database_selector(EDITION).items()
    if group != "ALL_TAGS"
    for tag in tags
    if len(tag) == 2
}
TEXTS = {
    "UR": "http://doe.org/4711",
    "AS": "061Y",
    "DA": "20200203",
    "DT": "20200203101112.5+0100",
    "TM": "101112",
    "DS": "4711",
    "IS": "4711",
    "CS": "DOE 4711",
}


def voxels() -> np.ndarray:
    return np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)


def value_of(kind: str) -> Any:
    """Return what an attribute of a kind may hold, always telling something."""
    if kind == "SQ":
        item = Dataset()
        item.PatientComments, item.ReferencedSOPInstanceUID = "Doe", "1.2.3.4711"
        return [item]
    if kind == "UI":
        return "1.2.3.4711"
    if kind[0] == "O" or kind == "UN":
        return b"Doe 4711"
    if kind in ("FD", "FL", "SS", "US", "SL", "UL", "SV", "UV"):
        return 4711
    if kind == "AT":
        return 0x00100010
    return TEXTS.get(kind, "Doe 4711")


@pytest.mark.parametrize("profile", PROFILES)
def test_every_attribute_of_the_standard_is_treated_as_it_says(profile: module.Profile) -> None:
    data, kinds = Dataset(), {}
    for tag in TABLE:
        try:
            kinds[tag] = dictionary_VR(tag).partition(" or ")[0]
        except KeyError:  # private to no dictionary: of one that is newer
            continue
        data.add_new(tag, kinds[tag], value_of(kinds[tag]))
    assert len(kinds) > 550
    data.PatientName, data.PatientID = "Doe^Jane", "4711"
    patient = patient_of(data, KEY)

    clean(data, patient, profile, KEY)

    own = {(0x0012, 0x0062), (0x0012, 0x0063), (0x0012, 0x0064), (0x0028, 0x0303)}  # which say what was done
    for tag, kind in kinds.items():
        if tag in own:
            continue
        group, element = TABLE[tag], data.get(tag)
        where = (tag, kind, group)
        if kind in ("DA", "DT") and profile == "basic-shifted" and tag != (0x0010, 0x0030):
            assert str(element.value).startswith("20") and not str(element.value).startswith("20200203"), where
        elif kind == "TM" and profile == "basic-shifted":
            assert element.value == "101112", where
        elif group == "X_TAGS":
            assert element is None, where
        elif tag in ((0x0010, 0x0010), (0x0010, 0x0020)):
            assert element.value == patient.pseudonym, where
        elif kind == "UI":
            assert element.value == new_uid("1.2.3.4711", KEY), where
        elif group == "X_Z_U_STAR_TAGS":
            assert [item.ReferencedSOPInstanceUID for item in element.value] == [new_uid("1.2.3.4711", KEY)], where
            assert "PatientComments" not in element.value[0], where
        elif group in ("Z_TAGS", "X_Z_TAGS", "Z_D_TAGS") or kind in ("DA", "DT", "TM", "SQ"):
            assert not element.value, where
        else:
            assert element.value not in (None, "", value_of(kind)), where
    text = str(data)
    assert not [secret for secret in ("Doe", "4711") if secret in text]
    assert data.PatientIdentityRemoved == "YES"
    codes = [code.CodeValue for code in data.DeidentificationMethodCodeSequence]
    assert codes == (["113100"] if profile == "basic" else ["113100", "113107"])


def test_what_the_table_does_not_name_and_tells_goes_too() -> None:
    data = slices(voxels()[:1], PatientID="4711-ID")[0]
    private = data.private_block(0x0029, "SCANNER", create=True)
    private.add_new(1, "LO", "Doe")
    data.add_new(0x60003000, "OW", b"Doe ")
    data.add_new(0x50000010, "US", 1)
    data.add_new(0x00081199, "SQ", [Dataset()])  # of references, which the table does not name
    data[0x00081199].value[0].ReferencedSOPInstanceUID = "1.2.3"
    data[0x00081199].value[0].ContainerDescription = "of Mrs DOE, 4711-id"
    data.add_new(0x00189999, "UN", b"Doe")
    data.ConvolutionKernel = "B30f"

    clean(data, patient_of(data, KEY), "basic", KEY)

    assert not [element.tag for element in data if element.tag.is_private]
    assert not {0x60003000, 0x50000010, 0x00189999} & {int(tag) for tag in data.keys()}  # noqa: SIM118
    item = data[0x00081199].value[0]
    assert item.ReferencedSOPInstanceUID == new_uid("1.2.3", KEY)
    assert not item.get("ContainerDescription")
    assert data.ConvolutionKernel == "B30f"
    assert data.SOPClassUID == "1.2.840.10008.5.1.4.1.1.2"


@pytest.mark.parametrize("shifted", [False, True])
def test_a_series_stays_one_and_its_image_the_same(tmp_path: Path, shifted: bool) -> None:
    images = slices(voxels(), series="1.2.3", study="1.2", frame="1.9")
    folder = save_all(images, tmp_path / "DOE_JANE")
    (folder / "report.txt").write_text("Doe")
    report = Dataset(images[0])
    report.file_meta = images[0].file_meta
    for name in ("PixelData", "Rows", "Columns"):
        del report[name]
    save(report, folder / "report.dcm")
    target = tmp_path / "clean"
    target.mkdir()
    before = io.read(folder / "001.dcm")

    done = anonymise(folder, "basic-shifted" if shifted else "basic", KEY, target)

    [patient] = done.patients
    assert (patient.id, patient.name, patient.pseudonym[:2]) == ("ID-4711", "Doe^Jane", "P-")
    assert done.warnings == ("2 files that are no DICOM images were left out.",)
    [info] = io.series(target)
    assert (info.uid, info.patient, info.frame) == (new_uid("1.2.3", KEY), patient.pseudonym, new_uid("1.9", KEY))
    np.testing.assert_array_equal(io.read(target).voxels[0], voxels())
    np.testing.assert_allclose(io.read(target).affine[:3, :2], before.affine[:3, :2])
    found = [dcmread(path) for path in target.iterdir()]
    assert {one.file_meta.MediaStorageSOPInstanceUID for one in found} == {
        new_uid(str(one.SOPInstanceUID), KEY) for one in images
    }
    written = b"".join(path.read_bytes() for path in target.iterdir())
    assert not [secret for secret in (*SECRETS, "20200203") if secret.encode() in written]
    days = days_of(patient, KEY)
    assert {one.StudyDate for one in found} == ({_before("2020-02-03", days)} if shifted else {""})
    assert all(path.read_bytes() for path in folder.iterdir())  # what came is as it was


def _before(day: str, days: int) -> str:
    return str(np.datetime64(day) - np.timedelta64(days, "D")).replace("-", "")


def test_frames_of_one_file_are_gone_through(tmp_path: Path) -> None:
    data = enhanced(voxels(), np.array([[0, 0, 3.0 * k] for k in range(3)]))
    for group in data.PerFrameFunctionalGroupsSequence:
        content = Dataset()
        content.FrameAcquisitionDateTime, content.FrameComments = "20200203101112", "Doe moved"
        group.FrameContentSequence = [content]
    save(data, tmp_path / "mr.dcm")
    (tmp_path / "clean").mkdir()

    anonymise(tmp_path / "mr.dcm", "basic", KEY, tmp_path / "clean")

    [path] = (tmp_path / "clean").iterdir()
    written = path.read_bytes()
    assert not [secret for secret in (*SECRETS, "20200203") if secret.encode() in written]
    np.testing.assert_array_equal(io.read(path).voxels[0], voxels())


def test_the_same_patient_has_one_pseudonym_and_others_have_others() -> None:
    one, again, other, issued = (Dataset() for _ in range(4))
    for data, number in ((one, "4711"), (again, "4711"), (other, "4712"), (issued, "4711")):
        data.PatientName, data.PatientID = "Doe^Jane", number
    again.PatientName, issued.IssuerOfPatientID = "DOE^JANE", "another hospital"
    nameless, born = Dataset(), Dataset()
    nameless.PatientName = born.PatientName = "Doe^Jane"
    born.PatientBirthDate = "19600102"
    told = [patient_of(data, KEY).pseudonym for data in (one, again, other, issued, nameless, born)]

    assert told[0] == told[1]
    assert len(set(told)) == 5
    assert patient_of(one, b"another site's key").pseudonym != told[0]
    assert patient_of(Dataset(), KEY).pseudonym.startswith("P-")


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"Modality": "CT"}, None),
        ({"Modality": "CT", "BurnedInAnnotation": "YES"}, "its file says so"),
        ({"Modality": "US"}, "modality US"),
        ({"Modality": "US", "BurnedInAnnotation": "NO"}, None),
        ({"Modality": "CT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.1"}, "a secondary capture"),
        ({"Modality": "CT", "ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "a screenshot"),
    ],
)
def test_text_that_may_be_burnt_in_is_warned_of(tags: dict[str, Any], said: str | None) -> None:
    data = Dataset()
    for name, value in tags.items():
        setattr(data, name, value)
    assert may_show_text(data) == said


def test_a_warning_says_in_how_many_images(tmp_path: Path) -> None:
    images = slices(voxels())
    images[1].BurnedInAnnotation = "YES"
    (tmp_path / "clean").mkdir()
    done = anonymise(save_all(images, tmp_path / "in"), "basic", KEY, tmp_path / "clean")
    assert done.warnings == ("Text may be burnt into 1 of 3 images (its file says so); look.",)


def test_what_cannot_be_gone_through_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clean").mkdir()
    [image] = slices(voxels()[:1])
    path = save(image, tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(FileError, match="a.dcm"):
        anonymise(path, "basic", KEY, tmp_path / "clean")
    del image.PixelData, image.Rows, image.Columns
    save(image, path)
    with pytest.raises(FileError, match="a.dcm holds no DICOM image"):
        anonymise(path, "basic", KEY, tmp_path / "clean")
    (tmp_path / "notes.txt").write_text("no DICOM at all")
    assert anonymise(tmp_path / "notes.txt", "basic", KEY, tmp_path / "clean").patients == ()
