"""The dialog of results: what a person asks for is what comes."""

import io as memory
import json
import zipfile

import numpy as np
import pytest
from PIL import Image as Picture
from playwright.sync_api import expect

from segmend import io
from segmend.core.image import Image, scale_affine
from tests.web.driving import Annotator

MIDDLE = (0, 6, 7)


@pytest.fixture
def opened(annotator: Annotator, add):
    picture = Image(np.random.default_rng(2).integers(0, 256, (1, 1, 12, 15), dtype=np.uint8), scale_affine((1, 2, 1)))
    annotator.open(add(picture, "mole to export"))
    annotator.click(MIDDLE)
    annotator.settle()
    return annotator


def downloaded(page) -> zipfile.ZipFile:
    with page.expect_download() as download:
        page.locator("dialog.results").get_by_role("button", name="Download").click()
    return zipfile.ZipFile(memory.BytesIO(download.value.path().read_bytes()))


def test_this_case_leaves_as_what_was_ticked_and_that_is_remembered(opened, tmp_path):
    page = opened.page
    page.get_by_role("button", name="Download").click()
    page.get_by_role("button", name="Surfaces, measures, reports").click()
    dialog = page.locator("dialog.results")
    expect(dialog.get_by_label("This case: mole to export")).to_be_checked()
    expect(dialog.locator("[data-kind='.stl']")).to_have_count(0)  # of a picture there is no surface
    expect(dialog.locator("[data-kind='.nii.gz']")).to_be_checked()
    dialog.get_by_label("Report of one page").check()

    with downloaded(page) as file:
        names = [name.rpartition("/")[2] for name in file.namelist()]
        assert names == ["mole-to-export.nii.gz", "mole-to-export.pdf", "measures.csv"]
        (tmp_path / "mask.nii.gz").write_bytes(file.read(file.namelist()[0]))
    case = opened.http.get(f"/api/cases/{opened.state['case']}").json()
    mask = io.read_mask(tmp_path / "mask.nii.gz", Image(np.zeros((1, *case["shape"])), scale_affine((1, 2, 1))))
    assert mask[MIDDLE] == 1
    expect(dialog).to_have_count(0)

    page.get_by_role("button", name="Results of these cases").click()
    expect(page.locator("dialog.results").get_by_label("Report of one page")).to_be_checked()


def test_the_png_of_a_picture_can_be_seen(opened):
    page = opened.page
    page.get_by_role("button", name="Download").click()
    with page.expect_download() as download:
        page.locator(".menu-item[data-format='.png']").click()

    seen = np.asarray(Picture.open(download.value.path()).convert("RGB")).astype(int)
    inside = np.array([[opened.label_at((0, y, x)) == 1 for x in range(15)] for y in range(12)])
    assert inside.any() and not inside.all()
    assert seen[inside].max(axis=-1).min() > 120 and seen[~inside].max() == 0


def test_all_cases_that_the_list_shows_leave_and_nothing_without_a_kind(opened):
    page = opened.page
    page.get_by_label("Search name, patient").fill("mole to export")
    expect(page.locator(".case-row:not(.ghost)").first).to_contain_text("mole to export")
    page.get_by_role("button", name="Results of these cases").click()
    dialog = page.locator("dialog.results")
    dialog.get_by_label("All cases that the list shows now").check()
    for suffix in (".nii.gz", ".csv"):  # what is ticked where nothing was asked for before
        dialog.locator(f"[data-kind='{suffix}']").uncheck()
    expect(dialog.get_by_role("button", name="Download")).to_be_disabled()
    dialog.get_by_label("Folder for nnU-Net").check()

    with downloaded(page) as file:
        [split] = (name for name in file.namelist() if name.endswith("split.json"))
        part = "Ts" if "mole-to-export" in json.loads(file.read(split))["test"] else "Tr"
        for wanted in (f"images{part}/mole-to-export_0000.nii.gz", f"labels{part}/mole-to-export.nii.gz"):
            assert any(name.endswith(wanted) for name in file.namelist())
        assert all(name.startswith("nnunet/") for name in file.namelist())
