"""People with roles at the page: what is offered to whom, a blind reading, and a decision in a third mask."""

import numpy as np
import pytest
from playwright.sync_api import expect

from segmend.core.image import Image, scale_affine
from segmend.core.prompts import Mask, to_json
from tests.server.running import defined, http, in_thread, settings
from tests.web.axe import findings
from tests.web.driving import wait_for

PEOPLE = {"ada": "annotator", "ben": "annotator", "eve": "reviewer", "max": "admin"}


def token_of(name):
    return f"a-token-for-{name}-alone"


@pytest.fixture(scope="module")
def team(tmp_path_factory, server):
    """A server with accounts; `server` brings the methods of the tests."""
    with in_thread(settings(tmp_path_factory.mktemp("team"), method="ball", token="the-servers-own")) as running:
        store = running.config.app.state.shared.store
        store.add_project("lungs")
        for name, role in PEOPLE.items():
            store.accounts.add(name, token=token_of(name), role=role, project="lungs")
        yield running


@pytest.fixture
def case(team):
    """The id of a new case that ada and ben are to read; ben has."""
    voxels = np.random.default_rng(1).integers(0, 256, (1, 4, 24, 26), dtype=np.uint8)
    store = team.config.app.state.shared.store
    added = store.add_case("thorax", Image(voxels, scale_affine((3, 1, 1))), project="lungs").id
    store.readings.plan([added], ["ada", "ben"], each=2, how="all")
    read(team, added, "ben", slice(8, 16))
    return added


def read(team, case, name, columns):
    """Mark some columns of a case as a reader, and finish."""
    inside = np.zeros((4, 24, 26), bool)
    inside[1:3, 6:12, columns] = True
    prompt = {"event": "prompted", "prompt": to_json(Mask(inside)), "label": 1, "method": "given"}
    with http(team, headers={"Authorization": f"Bearer {token_of(name)}"}) as client:
        session = client.post(f"/api/cases/{case}/sessions").json()["id"]
        for event in (defined(1, "nodule"), prompt):
            assert client.post(f"/api/sessions/{session}/events", json=event).status_code == 200
        assert client.put(f"/api/cases/{case}/status", json={"status": "done"}).status_code == 200


def at_page(page, team, name):
    page.goto(f"{team.address.split('?')[0]}?token={token_of(name)}")
    expect(page.get_by_role("button", name="Next to read")).to_be_visible()
    return page


def test_what_one_may_not_do_is_not_offered(page, team):
    offered = {"ada": (0, 0, 0), "eve": (1, 1, 0), "max": (1, 1, 1)}
    for name, counts in offered.items():
        page.context.clear_cookies()
        at_page(page, team, name)
        buttons = ("Add a DICOM folder", "Reading by several people", "People of a project")
        sidebar = page.locator(".sidebar")
        assert tuple(sidebar.get_by_role("button", name=words).count() for words in buttons) == counts
    found = findings(page, "an admin's list")
    for words, seen in ((buttons[1], "Give cases to readers"), (buttons[2], "max")):
        sidebar.get_by_role("button", name=words).click()
        expect(page.locator("dialog[open]")).to_contain_text(seen)
        found += findings(page, words)
        page.keyboard.press("Escape")
    assert "\n".join(found) == ""


def test_a_blind_reading_is_finished_and_decided_in_a_third_mask(page, team, case):
    at_page(page, team, "ada").get_by_role("button", name="Next to read").click()
    expect(page.locator(".case-name")).to_have_text("thorax")
    expect(page.get_by_text("Given to you to read, blind to others")).to_be_visible()
    assert page.get_by_role("button", name="Accept", exact=True).count() == 0
    wait_for(page, "window.segmend.settled()")  # her first label, which the next line names
    read(team, case, "ada", slice(8, 14))
    page.context.clear_cookies()

    at_page(page, team, "eve")
    page.evaluate(f"location.hash = '#case={case}'")
    page.get_by_role("button", name="Begin", exact=True).click()
    expect(page.get_by_text("nodule: no difference.")).to_be_visible()  # ada's is in ben's: she begins the list
    page.get_by_label("Compare it with").select_option("ben")
    expect(page.get_by_text("2 slices differ")).to_be_visible()
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator(".preview-bar")).to_contain_text("As ben has it: nodule would gain 24 voxels.")
    assert "\n".join(findings(page, "a decision")) == ""
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Take slice 2 as ben has it").click()
    expect(page.get_by_text("1 slice differs")).to_be_visible()
    page.keyboard.press("Control+z")  # is her own step, though the server made it
    expect(page.get_by_text("2 slices differ")).to_be_visible()
    page.get_by_role("button", name="Take slice 2 as ben has it").click()
    expect(page.get_by_text("1 slice differs")).to_be_visible()
    page.get_by_role("button", name="Comment on this case").click()
    page.get_by_label("Comment", exact=True).fill("the lower edge")
    page.get_by_role("button", name="Comment", exact=True).click()
    expect(page.get_by_role("list", name="Comments on this case")).to_contain_text("eve: the lower edge")
    page.get_by_role("button", name="Accept", exact=True).click()
    expect(page.locator(".case-row", has_text="thorax")).to_contain_text("Accepted")
    [row] = [one for one in agreement(team) if one["case"] == case]
    assert {(pair["one"], pair["other"]) for pair in row["pairs"]} == {
        ("ada", "ben"), ("ada", "decision"), ("ben", "decision"),
    }  # fmt: skip


def agreement(team):
    with http(team, headers={"Authorization": f"Bearer {token_of('eve')}"}) as client:
        return client.get("/api/projects/lungs/agreement").json()
