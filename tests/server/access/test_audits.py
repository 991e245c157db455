"""What the server notes of its people: logins, looks, marks, exports, refusals; and who may read it."""

from __future__ import annotations

import csv
import io

import pytest

from tests.server.running import Client, clicked, defined, http, in_thread, rooms, settings

OWN, ADA, EVE = "the server's own", "a token for ada alone", "a token for eve alone"


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    with in_thread(settings(tmp_path_factory.mktemp("hospital"), token=OWN)) as running:
        store = running.config.app.state.shared.store
        store.accounts.add("ada", token=ADA, password="a long password", role="admin")
        store.accounts.add("eve", token=EVE, role="annotator")
        yield running


def asking(hospital, token=None):
    return http(hospital, headers={"Authorization": f"Bearer {token}"} if token else {})


def deeds(client, **wanted):
    """Return who did what, oldest first, as an administrator is told it."""
    found = client.get("/api/audit", params={"limit": 1000, **wanted}).raise_for_status().json()["entries"]
    return [(one["person"], one["action"]) for one in reversed(found)]


def test_a_case_s_whole_way_is_told(hospital):
    store = hospital.config.app.state.shared.store
    with asking(hospital, ADA) as ada, asking(hospital, EVE) as eve:
        case = store.add_case("rooms of Jane Doe", rooms()).id
        session = eve.post(f"/api/cases/{case}/sessions").raise_for_status().json()["id"]
        for low in (0, 1, 0):
            eve.get(f"/api/cases/{case}/slices", params={"low": low, "high": low + 1}).raise_for_status()
        for event in (defined(1), clicked((0, 2, 2))):
            eve.post(f"/api/sessions/{session}/events", json=event).raise_for_status()
        assert eve.delete(f"/api/cases/{case}").status_code == 403
        eve.put(f"/api/cases/{case}/status", json={"status": "done"}).raise_for_status()
        ada.get(f"/api/sessions/{session}/export", params={"format": ".nrrd"}).raise_for_status()
        ada.get("/api/results.zip", params={"kind": ".csv", "case": case}).raise_for_status()
        ada.put(f"/api/cases/{case}/status", json={"status": "accepted"}).raise_for_status()
        ada.delete(f"/api/cases/{case}").raise_for_status()

        assert deeds(ada, case=case) == [
            ("local", "added"), ("eve", "added"), ("eve", "opened"), ("eve", "marked"), ("eve", "marked"),
            ("eve", "refused"), ("eve", "done"), ("ada", "exported"), ("ada", "exported"), ("ada", "accepted"),
            ("ada", "deleted"),
        ]  # fmt: skip
        exported = ada.get("/api/audit", params={"case": case, "action": "exported"}).json()["entries"]
        assert [one["detail"] for one in exported] == [
            {"kinds": [".csv"], "patient": "anonymous"},
            {"kind": ".nrrd", "patient": "anonymous"},
        ]
        assert "Jane" not in ada.get("/api/audit", params={"limit": 1000}).text


def test_logins_and_failed_ones_are_told_without_what_was_tried(hospital):
    with asking(hospital, ADA) as ada, asking(hospital) as browser:
        before = ada.get("/api/audit", params={"limit": 1}).json()["entries"][0]["number"]
        for name, secret in (("ada", "wrong password"), ("a long password", "ada"), ("ada", "a long password")):
            browser.post("/login", data={"name": name, "secret": secret}, follow_redirects=False)
        assert browser.post("/api/logout").status_code == 204
        found = [one for one in ada.get("/api/audit").json()["entries"][::-1] if one["number"] > before]

    assert [(one["person"], one["action"]) for one in found] == [
        ("ada", "login failed"), ("unknown", "login failed"), ("ada", "login"), ("ada", "logout"),
    ]  # fmt: skip
    assert found[2]["detail"]["with"] == "password"
    assert "password" not in str(found[:2])


def test_a_program_that_names_a_token_with_every_request_logs_in_once(hospital):
    with asking(hospital, ADA) as ada:
        for _ in range(3):
            ada.get("/api/cases").raise_for_status()
        assert deeds(ada, person="ada", action="login").count(("ada", "login")) <= 2  # one is the browser's


def test_whoever_gives_roles_is_told_with_the_roles(hospital):
    with asking(hospital, ADA) as ada:
        ada.put("/api/projects/default/members/eve", json={"role": "reviewer"}).raise_for_status()
        ada.put("/api/projects/default/members/eve", json={"role": None}).raise_for_status()
        found = ada.get("/api/audit", params={"action": "role", "person": "ada"}).json()["entries"]

    assert [one["detail"] for one in found[::-1]] == [
        {"of": "eve", "role": "reviewer", "before": None},
        {"of": "eve", "role": None, "before": "reviewer"},
    ]


def test_a_live_connection_opens_and_marks(hospital):
    store = hospital.config.app.state.shared.store
    case = store.add_case("rooms", rooms()).id
    session = store.add_session(case).id
    with asking(hospital, ADA) as ada:
        with Client(hospital.address, session, additional_headers={"Authorization": f"Bearer {EVE}"}) as live:
            live.do(defined(1))
        assert deeds(ada, case=case, person="eve") == [("eve", "opened"), ("eve", "marked")]


def test_administrators_of_all_projects_read_it_and_nobody_changes_it(hospital):
    with asking(hospital, ADA) as ada, asking(hospital, EVE) as eve, asking(hospital, OWN) as own:
        for path in ("/api/audit", "/api/audit.csv", "/api/audit/check"):
            assert eve.get(path).status_code == 403
            assert own.get(path).status_code == 200
            assert {ada.request(method, path).status_code for method in ("POST", "PUT", "DELETE")} == {405}
        rows = list(csv.reader(io.StringIO(ada.get("/api/audit.csv", params={"person": "ada"}).text)))
        assert rows[0][:4] == ["number", "at", "person", "action"]
        assert {row[2] for row in rows[1:]} == {"ada"}
        found = ada.get("/api/audit/check").json()
        assert found["damage"] == []
        assert found["head"].partition(":")[0] == str(found["entries"])
        assert ada.get("/api/audit", params={"since": "2026-13-01"}).status_code == 422
