"""How cases come in: dropped files, dropped DICOM folders, the folder picker; and what is no image."""

import numpy as np
import pydicom
from playwright.sync_api import expect

from segmend.core.image import Image
from segmend.core.session import Label
from segmend.io import write_image, write_mask
from tests.io.dicoms import NAME, save_all, slices


def series():
    """Four slices of 6 x 9 voxels, 3 x 2 x 0.5 mm."""
    return slices(np.random.default_rng(3).integers(0, 1000, (4, 6, 9)).astype(np.int16))


def test_a_dropped_nifti_becomes_a_case_and_opens(annotator, volume, tmp_path):
    path = tmp_path / "dropped-knee.nii.gz"
    write_image(path, volume)
    annotator.open()

    annotator.drop(path)

    annotator.toast("Added dropped-knee.")
    annotator.settle()
    assert annotator.page.locator(".case-name").inner_text() == "dropped-knee"
    case = annotator.http.get(f"/api/cases/{annotator.state['case']}").json()
    assert case["shape"] == [11, 12, 13]
    assert np.allclose(case["spacing"], [3, 1.5, 1])


def test_a_dropped_dicom_folder_becomes_one_case(annotator, tmp_path):
    folder = save_all(series(), tmp_path / "study")
    (folder / ".DS_Store").write_bytes(b"hidden")
    annotator.open()

    annotator.drop(folder)

    annotator.toast("Added")
    annotator.settle()
    case = annotator.http.get(f"/api/cases/{annotator.state['case']}").json()
    assert case["shape"] == [4, 6, 9] and case["modality"] == "CT"
    assert np.allclose(case["spacing"], [3, 2, 0.5])


def test_a_folder_can_be_picked(annotator, tmp_path):
    folder = save_all(series(), tmp_path / "picked")
    annotator.open()

    with annotator.page.expect_file_chooser() as chooser:
        annotator.page.get_by_role("button", name="Add a DICOM folder").last.click()
    chooser.value.set_files(folder)

    annotator.toast("Added")
    annotator.settle()
    case = annotator.http.get(f"/api/cases/{annotator.state['case']}").json()
    assert case["shape"] == [4, 6, 9]


def test_a_file_that_is_no_image_is_refused_in_words(annotator, tmp_path):
    path = tmp_path / "garbage.nii"
    path.write_bytes(b"this is no image" * 100)
    annotator.open()
    before = annotator.http.get("/api/cases").json()

    annotator.drop(path)

    alert = annotator.page.locator("[role=alert] .toast")
    expect(alert).to_be_visible()
    words = alert.inner_text()
    assert "garbage.nii" in words and words.strip().endswith(".")
    assert annotator.http.get("/api/cases").json() == before
    expect(annotator.page.locator(".loading")).to_be_hidden()


def test_a_linked_path_that_is_not_there_is_refused_in_words(annotator):
    annotator.open()
    annotator.page.get_by_role("button", name="Link a folder or file of this computer").click()
    annotator.page.get_by_label("Path of a file or a DICOM folder").fill("nowhere/at/all.nii")
    annotator.page.get_by_role("button", name="Link", exact=True).click()

    annotator.toast("There is no such file or folder on the server's machine.")


def test_a_linked_file_becomes_a_case(annotator, volume, tmp_path):
    path = tmp_path / "linked.nii"
    write_image(path, volume)
    annotator.open()
    annotator.page.get_by_role("button", name="Link a folder or file of this computer").click()
    annotator.page.get_by_label("Path of a file or a DICOM folder").fill(str(path))
    annotator.page.keyboard.press("Enter")

    annotator.settle()
    assert annotator.page.locator(".case-name").inner_text() == "linked"


def load_mask(annotator, path):
    with annotator.page.expect_file_chooser() as chooser:
        annotator.page.get_by_role("button", name="Load mask", exact=True).click()
    chooser.value.set_files(path)


def test_another_tools_mask_is_loaded_and_mended_by_a_click(annotator, add, volume, tmp_path):
    annotator.open(add(volume, "knee"))
    values = np.zeros(volume.shape, np.uint16)
    values[4:7, 2:5, 2:6] = 3
    write_mask(tmp_path / "theirs.nii.gz", values, volume, [Label(3, "theirs", (1, 2, 3))])

    load_mask(annotator, tmp_path / "theirs.nii.gz")
    annotator.toast("Loaded theirs.nii.gz.")
    annotator.settle()

    assert annotator.label_at((5, 3, 3)) == 1 and annotator.label_at((5, 6, 6)) == 0
    expect(annotator.page.locator(".mark-row")).to_have_text(["Loaded maskObject 1"])
    annotator.go_to((5, 8, 9))
    annotator.click((5, 8, 9))
    annotator.settle()
    assert annotator.label_at((5, 8, 9)) == 1
    annotator.page.get_by_role("button", name="Remove loaded mask").click()
    annotator.settle()
    assert annotator.label_at((5, 3, 3)) == 0 and annotator.label_at((5, 8, 9)) == 1


def test_a_mask_of_several_objects_brings_labels_of_its_own(annotator, add, volume, tmp_path):
    annotator.open(add(volume, "knee"))
    values = np.zeros(volume.shape, np.uint16)
    values[4:7, 2:5, 2:6], values[2, 8, 8] = 2, 5
    write_mask(tmp_path / "both.seg.nrrd", values, volume, [Label(v, f"o{v}", (1, 2, 3)) for v in (2, 5)])

    load_mask(annotator, tmp_path / "both.seg.nrrd")
    annotator.toast("Loaded both.seg.nrrd: 2 labels.")
    annotator.settle()

    assert (annotator.label_at((5, 3, 3)), annotator.label_at((2, 8, 8))) == (2, 5)
    assert [label["value"] for label in annotator.recorded["labels"]] == [1, 2, 5]
    annotator.page.keyboard.press("Control+z")  # all of it is one step
    annotator.settle()
    assert (annotator.label_at((5, 3, 3)), annotator.label_at((2, 8, 8))) == (0, 0)
    assert [label["value"] for label in annotator.recorded["labels"]] == [1]


def test_a_mask_of_another_grid_is_refused_in_words(annotator, add, volume, tmp_path):
    annotator.open(add(volume, "knee"))
    other = Image(volume.voxels, volume.affine @ np.diag([1.3, 1, 1, 1]))
    values = np.ones(volume.shape, np.uint16)
    write_mask(tmp_path / "other.nii.gz", values, other, [Label(1, "o", (1, 2, 3))])

    load_mask(annotator, tmp_path / "other.nii.gz")

    alert = annotator.page.locator("[role=alert] .toast")
    expect(alert).to_be_visible()
    assert "other.nii.gz" in alert.inner_text() or "voxels" in alert.inner_text()
    assert annotator.prompts == []


def test_a_dicom_mask_is_downloaded_with_its_patient_or_without(annotator, tmp_path):
    folder = save_all(series(), tmp_path / "patient")
    annotator.open()
    annotator.drop(folder)
    annotator.toast("Added")
    annotator.settle()
    annotator.page.select_option("#method", "ball")
    annotator.click((2, 3, 4))
    annotator.settle()

    for patient, name in (("anonymous", ""), ("keep", NAME)):
        annotator.page.get_by_role("button", name="Download").click()
        item = annotator.page.locator(f".menu-item[data-format='.dcm'][data-patient={patient}]")
        assert ("with its patient" in item.inner_text()) == (patient == "keep")
        with annotator.page.expect_download() as download:
            item.click()
        download.value.save_as(tmp_path / f"{patient}.dcm")
        assert pydicom.dcmread(tmp_path / f"{patient}.dcm").PatientName == name
