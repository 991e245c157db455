"""The administration at the page, all parts of it; by keys, and for whom."""

import json
import re

import numpy as np
import pytest
from playwright.sync_api import expect

from segmend.core.image import Image, scale_affine
from tests.server.running import http, in_thread, settings
from tests.web.axe import findings

PEOPLE = {"ada": "annotator", "max": "admin"}


def token_of(name):
    return f"a-token-for-{name}-alone"


@pytest.fixture(scope="module")
def clinic(tmp_path_factory, bundle):
    options = {"method": "graphcut", "token": "the-servers-own", "bytes_per_person": 10_000_000}
    with in_thread(settings(tmp_path_factory.mktemp("clinic"), **options)) as running:
        store = running.config.app.state.shared.store
        for name, role in PEOPLE.items():
            store.accounts.add(name, token=token_of(name), role=role)
        voxels = np.random.default_rng(1).integers(0, 256, (1, 2, 24, 26), dtype=np.uint8)
        for patient in ("Doe, Jane (4711)", "Roe, Richard (4712)"):
            store.add_case(f"thorax of {patient[:3]}", Image(voxels, scale_affine((3, 1, 1))), patient=patient)
        yield running


def at_page(page, clinic, name):
    page.goto(f"{clinic.address.split('?')[0]}?token={token_of(name)}")
    expect(page.locator(".case-open")).to_have_count(2)
    return page


def test_admins_do_all_of_it_by_keys_and_axe_finds_nothing(page, clinic):
    at_page(page, clinic, "max").get_by_role("button", name="Administration").press("Enter")
    expect(page.get_by_role("row", name="ada")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("ben")
    page.locator("select[name=where]").select_option("default")
    page.get_by_role("button", name="Invite").press("Enter")
    expect(page.get_by_label("Link of the invitation")).to_have_value(re.compile(r"/invitation\?code="))
    page.get_by_role("button", name="Details of ada").press("Enter")
    page.get_by_role("button", name="Disable").press("Enter")
    expect(page.get_by_text("What ada did stays.")).to_be_visible()
    found = findings(page, "people", ["dark"])
    page.get_by_role("group", name="Disable").get_by_role("button", name="Disable").press("Enter")
    expect(page.locator("tr.is-off")).to_contain_text("ada")
    with http(clinic, headers={"Authorization": f"Bearer {token_of('ada')}"}) as ada:
        assert ada.get("/api/cases").status_code == 401

    page.get_by_role("tab", name="People").press("ArrowRight")
    expect(page.get_by_role("tab", name="Audit")).to_be_focused()
    page.get_by_label("Person", exact=True).fill("max")
    page.locator("select[name=action]").select_option("account")
    page.get_by_role("button", name="Search", exact=True).press("Enter")
    table = page.get_by_role("table", name="Entries of the audit")
    expect(table.locator("tbody tr")).to_have_count(3)
    expect(table.locator("tbody tr").first).to_contain_text("of: ada, what: disabled")
    page.get_by_label("Patient", exact=True).fill("4711")
    page.locator("select[name=action]").select_option("")
    page.get_by_label("Person", exact=True).fill("")
    page.get_by_label("Patient", exact=True).press("Enter")
    expect(table.locator("tbody tr")).to_have_count(1)
    page.locator("[aria-expanded]", has_text="Verify the chain").press("Enter")
    page.get_by_label("Line of an earlier time (optional)").fill(f"1:{'0' * 64}")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The audit is not what was written.")).to_be_visible()
    page.get_by_label("Line of an earlier time (optional)").fill("")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Line to keep elsewhere")).to_have_value(re.compile(r"^\d+:[0-9a-f]{64}$"))
    found += findings(page, "audit", ["dark"])

    page.get_by_role("tab", name="Patients and retention").click()
    page.get_by_label("Days since the last change, in default").fill("30")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Cases of default are now kept for 30 days")).to_be_visible()
    page.get_by_label("Patient", exact=True).fill("nobody")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="There is no case of the patient")).to_be_visible()
    page.get_by_label("Patient", exact=True).fill("4711")
    page.keyboard.press("Enter")
    page.get_by_label("I have seen what goes.").check()
    found += findings(page, "patient", ["dark", "light"])
    with page.expect_download() as saved:
        page.get_by_role("button", name="Delete 1 case for good").press("Enter")
    [proof] = json.loads(saved.value.path().read_text())["forgotten"]
    expect(page.get_by_role("row", name=proof["case"])).to_be_visible()
    store = clinic.config.app.state.shared.store
    [entry] = store.audit.entries(after=proof["entry"] - 1, limit=1)
    assert (entry.action, entry.person, entry.detail["sha256"]) == ("forgotten", "max", proof["sha256"])
    assert [case.patient for case in store.cases()] == ["Roe, Richard (4712)"]

    page.get_by_role("tab", name="Storage and limits").click()
    expect(page.get_by_role("table", name="Limits")).to_contain_text("10 MB")
    page.get_by_label("What ada may keep, in GB").fill("0.5")
    page.keyboard.press("Enter")
    expect(page.get_by_text("ada may now keep 500 MB.")).to_be_visible()
    page.get_by_label("What default may keep, in GB").fill("0")
    page.keyboard.press("Enter")
    expect(page.get_by_text("default may now keep any amount.")).to_be_visible()
    found += findings(page, "limits", ["dark"])
    page.get_by_role("tab", name="Anonymisation").click()
    page.get_by_label("Profile of default").select_option("basic")
    page.get_by_role("row", name="default").get_by_role("button", name="Set").press("Enter")
    expect(page.get_by_text("What comes into default from now on: Basic profile")).to_be_visible()
    found += findings(page, "anonymisation", ["dark"])
    assert store.accounts.get("ada").max_bytes == 500_000_000
    assert (store.project("default").max_bytes, store.project("default").anonymise) == (0, "basic")
    assert "\n".join(found) == ""


def test_nobody_else_is_offered_it(page, clinic):
    clinic.config.app.state.shared.store.accounts.add("eve", token=token_of("eve"), role="reviewer")
    page.goto(f"{clinic.address.split('?')[0]}?token={token_of('eve')}")
    expect(page.get_by_role("button", name="Results of these cases")).to_be_visible()
    expect(page.get_by_role("button", name="Administration")).to_have_count(0)
