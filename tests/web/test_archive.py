"""The dialogs of archives: a study is found, a series fetched and opened, another one ended, and a mask sent back."""

import threading

import pydicom
import pytest
from playwright.sync_api import expect

from segmend.io.dicomweb import Archive
from tests.io.archive import serving
from tests.server.dicom import slices
from tests.web.axe import findings
from tests.web.driving import PATIENCE

SLOW = "1.2.3"  # a series that never comes


@pytest.fixture
def pacs(server, monkeypatch, tmp_path):
    """An archive that the server knows, with a study of two series, one of which comes."""
    fetch, ending = Archive.fetch, threading.Event()

    def fetch_or_wait(self, study, series, folder, *, progress, **options):
        while series == SLOW:
            progress(3, 2_500_000)
            if ending.wait(0.05):
                return []
        return fetch(self, study, series, folder, progress=progress, **options)

    monkeypatch.setattr(Archive, "fetch", fetch_or_wait)
    with serving() as (pacs, address):
        paths = slices(tmp_path, planes=4, rows=12, columns=10)
        head = pydicom.dcmread(paths[0])
        study, series = str(head.StudyInstanceUID), str(head.SeriesInstanceUID)
        found = {"0020000D": {"Value": [study]}, "00100010": {"Value": [{"Alphabetic": "Doe^Jane"}]}}
        pacs.says("/studies", [found] * 26)  # one more than a page
        ct = {"00080060": {"Value": ["CT"]}}
        listed = [
            {"0020000E": {"Value": [uid]}, "0008103E": {"Value": [title]}, "00201209": {"Value": [4]}, **ct}
            for uid, title in ((series, "Portal venous"), (SLOW, "Arterial"))
        ]
        pacs.says(f"/studies/{study}/series", listed)
        pacs.has(f"/studies/{study}/series/{series}", [path.read_bytes() for path in paths])
        monkeypatch.setitem(server.config.app.state.shared.settings.archives, "Hospital", Archive(address))
        yield pacs
        ending.set()


def test_a_series_is_found_fetched_and_its_mask_sent_back(annotator, pacs):
    page = annotator.page
    page.goto(annotator.address)
    page.get_by_role("button", name="From the archive").click()
    dialog = page.locator("dialog.archive")
    dialog.get_by_label("Patient", exact=True).fill("Doe")
    dialog.get_by_label("Modality").select_option("CT")
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Search").click()
    expect(dialog.locator(".archive-study")).to_have_count(25)
    assert "PatientName=Doe*" in pacs.asked[-1][0] and "ModalitiesInStudy=CT" in pacs.asked[-1][0]
    expect(dialog.get_by_role("button", name="Next")).to_be_enabled()
    dialog.get_by_role("button", name="Next").click()
    expect(dialog.locator(".archive-pages")).to_contain_text("Studies 26 to 50")
    assert "offset=25" in pacs.asked[-1][0]

    dialog.locator(".archive-study").first.click()
    first, second = dialog.locator(".archive-one").nth(0), dialog.locator(".archive-one").nth(1)
    second.get_by_role("button", name="Fetch").click()
    expect(second).to_contain_text("3 of 4 files, 2.5 MB")
    expect(second.get_by_role("progressbar")).to_be_visible()
    assert "\n".join(findings(page, "archive")) == ""
    second.get_by_role("button", name="Cancel").click()
    expect(second).to_contain_text("Cancelled")
    first.get_by_role("button", name="Fetch").click()
    first.get_by_role("button", name="Open").click(timeout=PATIENCE)
    expect(dialog).to_have_count(0)
    annotator.settle()
    assert annotator.http.get(f"/api/cases/{annotator.state['case']}").json()["patient"] == "Doe, Jane (12345)"

    page.select_option("#method", "ball")
    annotator.show("axial")
    annotator.go_to((1, 5, 5))
    annotator.click((1, 5, 5))
    annotator.settle()
    pacs.says("/studies", {"00081199": {"Value": [{"00081155": {"Value": ["1.2.3"]}}]}})
    page.get_by_role("button", name="Download").click()
    page.get_by_role("button", name="Send to the archive").click()
    assert "\n".join(findings(page, "send")) == ""
    page.locator("dialog.archive-send").get_by_role("button", name="Send", exact=True).click()
    annotator.toast("Hospital keeps the mask")
    assert b"SEG" in pacs.received and b"Doe^Jane" in pacs.received
