"""What the admins of a server do at its pages: people, the audit, forgetting, retention, limits, anonymisation."""

from __future__ import annotations

import hashlib

import pytest
from websockets.exceptions import ConnectionClosed

from segmend.errors import QuotaError
from segmend.io import write_image
from segmend.io.anonymise import Patient
from segmend.store import Store
from segmend.store.audit import AuditFilter
from segmend.store.pseudonyms import Pseudonyms
from tests.server.running import Client, defined, http, in_thread, rooms, settings

OWN, ADA, EVE = "the server's own", "a token for ada alone", "a token for eve alone"
MAX = "a token for max alone"


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
    options = {"token": OWN, "bytes_per_person": 10**9, "anonymise": {"lungs": "basic"}}
    with in_thread(settings(tmp_path_factory.mktemp("clinic"), **options)) as running:
        store = running.config.app.state.shared.store
        store.add_project("lungs")
        store.accounts.add("ada", token=ADA, role="admin")
        store.accounts.add("eve", token=EVE, password="a long password", role="reviewer")
        yield running


@pytest.fixture
def store(clinic):
    return clinic.config.app.state.shared.store


@pytest.fixture
def ada(clinic):
    with http(clinic, headers={"Authorization": f"Bearer {ADA}"}) as client:
        yield client


def person(client, name):
    return next(one for one in client.get("/api/people").json() if one["name"] == name)


def test_somebody_is_invited_gets_roles_a_token_and_is_let_in_no_longer(clinic, ada, store):
    link = ada.post("/api/people", json={"name": "ben", "role": "annotator", "project": "lungs"})
    assert link.status_code == 201 and link.json()["path"].startswith("/invitation?code=")
    assert person(ada, "ben")["projects"] == {"lungs": "annotator"}
    assert ada.put("/api/people/ben/role", json={"role": "reviewer"}).json()["everywhere"] == "reviewer"
    token = ada.post("/api/people/ben/token").json()["token"]
    with http(clinic, headers={"Authorization": f"Bearer {token}"}) as ben:
        assert ben.get("/api/cases").status_code == 200
        assert ada.put("/api/people/ben/disabled", json={"disabled": True}).json()["disabled"]
        assert ben.get("/api/cases").status_code == 401
        assert not ada.put("/api/people/ben/disabled", json={"disabled": False}).json()["disabled"]
        assert not ada.delete("/api/people/ben/token").json()["token"]
        assert ben.get("/api/cases").status_code == 401
    whats = [one.detail["what"] for one in store.audit.entries(AuditFilter(person="ada", action="account"))]
    assert whats == ["added", "invited", "token set", "disabled", "enabled", "token taken away"]
    assert token not in str(list(store.audit.entries()))


def test_admins_change_neither_their_own_role_nor_themselves_out(ada):
    assert ada.put("/api/people/ada/role", json={"role": None}).status_code == 403
    assert ada.put("/api/people/ada/disabled", json={"disabled": True}).status_code == 403
    assert ada.put("/api/people/nobody/disabled", json={"disabled": True}).status_code == 404
    assert ada.post("/api/people", json={"name": "eve"}).status_code == 409


def test_ended_logins_end_what_is_open_and_a_new_link_ends_the_password(clinic, ada, store):
    session = store.add_session(store.add_case("rooms", rooms()).id).id
    with http(clinic) as browser:
        browser.post("/login", data={"name": "eve", "secret": "a long password"}, follow_redirects=False)
        assert browser.get("/api/me").json()["name"] == "eve"
        assert person(ada, "eve")["logins"] == 1
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
        with Client(clinic.address, session, additional_headers=cookie) as live:
            live.do(defined(1))
            assert ada.delete("/api/people/eve/logins").json() == {"ended": 1}
            with pytest.raises(ConnectionClosed):
                live.receive()
        assert browser.get("/api/me").status_code == 401
        assert person(ada, "eve")["logins"] == 0
        assert ada.post("/api/people/eve/invitation", json={}).json()["path"]
        answer = browser.post("/login", data={"name": "eve", "secret": "a long password"}, follow_redirects=False)
        assert answer.status_code == 401


def test_the_audit_is_searched_by_patient_and_checked_against_an_older_head(ada, store):
    case = store.add_case("head", rooms(), patient="Doe, Jane (4711)").id
    store.add_case("head", rooms(), patient="Roe, Richard (4712)")
    for text in ("4711", "doe, jane"):
        found = ada.get("/api/audit", params={"patient": text}).json()["entries"]
        assert {one["case"] for one in found} == {case}
    assert ada.get("/api/audit", params={"patient": "nobody"}).json()["entries"] == []
    assert ada.get("/api/audit.csv", params={"patient": "4711"}).text.count("\n") == 2

    head = ada.get("/api/audit/check").json()["head"]
    store.audit.add()
    assert ada.get("/api/audit/check", params={"head": head}).json()["damage"] == []
    other = f"{head.partition(':')[0]}:{hashlib.sha256(b'another').hexdigest()}"
    [damage] = ada.get("/api/audit/check", params={"head": other}).json()["damage"]
    assert "has another hash" in damage
    assert ada.get("/api/audit/check", params={"head": "7"}).status_code == 422


def test_a_patient_is_forgotten_as_the_search_told_and_the_proof_is_in_the_audit(clinic, ada, store):
    names = Pseudonyms(clinic.settings.pseudonyms)
    names.keep([Patient("P-ONE", "0815", "", "Poe, Edgar")])
    case = store.add_case("P-ONE CT", rooms(), patient="P-ONE (P-ONE)").id
    session = store.add_session(case).id
    told = ada.post("/api/forgetting/search", json={"patient": "0815"}).json()
    assert [one["id"] for one in told["cases"]] == [case] and told["pseudonyms"] == ["P-ONE"]
    assert told["cases"][0]["bytes"] >= rooms().voxels.nbytes
    assert "Poe" not in str(told)

    assert ada.post("/api/forgetting", json={"patient": "0815", "cases": []}).status_code == 409
    with Client(clinic.address, session, additional_headers={"Authorization": f"Bearer {EVE}"}) as live:
        done = ada.post("/api/forgetting", json={"patient": "0815", "cases": [case]}).raise_for_status().json()
        assert live.next("error")["id"] is None
    [proof] = done["forgotten"]
    [entry] = store.audit.entries(AuditFilter(action="forgotten"))
    assert (entry.number, entry.person, entry.detail["sha256"]) == (proof["entry"], "ada", proof["sha256"])
    assert ada.get(f"/api/cases/{case}").status_code == 404
    assert names.find("0815") == []
    assert ada.post("/api/forgetting/search", json={"patient": "0815"}).status_code == 404
    names.close()


def test_a_name_of_several_patients_is_refused(ada, store):
    for number in ("1", "2"):
        store.add_case("knee", rooms(), patient=f"Muster, Erika ({number})")
    refused = ada.post("/api/forgetting/search", json={"patient": "Muster, Erika"})
    assert refused.status_code == 422 and "Muster, Erika (1); Muster, Erika (2)" in refused.json()["detail"]


def test_retention_tells_what_would_go_before_it_is_set(ada, store):
    assert ada.get("/api/projects/lungs/retention").json() == {"project": "lungs", "days": None, "expired": 0}
    assert ada.get("/api/projects/lungs/retention", params={"days": 1}).json()["expired"] == 0
    assert ada.put("/api/projects/lungs/retention", json={"days": 365}).json()["days"] == 365
    assert ada.put("/api/projects/lungs/retention", json={"days": 0}).status_code == 422
    [entry] = store.audit.entries(AuditFilter(action="settings", project="lungs"))
    assert (entry.person, entry.detail) == ("ada", {"retention days": 365})
    assert ada.put("/api/projects/lungs/retention", json={"days": None}).json()["days"] is None


def test_what_is_used_is_told_with_what_may_be(ada, clinic, store):
    case = store.by("ada").add_case("rooms", rooms(), project="lungs").id
    session = store.add_session(case).id
    with Client(clinic.address, session, additional_headers={"Authorization": f"Bearer {ADA}"}):
        told = ada.get("/api/usage").json()
    people = {one["name"]: (one["bytes"], one["connections"]) for one in told["people"]}
    assert people["eve"] == (0, 0)
    [lungs] = [one for one in told["projects"] if one["name"] == "lungs"]
    assert (lungs["cases"], lungs["anonymise"]) == (1, "basic")
    assert people["ada"] == (lungs["bytes"], 1) and lungs["bytes"] >= rooms().voxels.nbytes
    assert told["limits"]["bytes_per_person"] == 10**9
    assert told["storage"]["bytes"] == sum(one["bytes"] for one in told["projects"])
    assert told["storage"]["free_bytes"] > 0


def upload(client, project, content):
    files = [("files", ("rooms.nii.gz", content))]
    return client.post("/api/cases", data={"project": project}, files=files)


def rooms_file(folder):
    write_image(folder / "rooms.nii.gz", rooms())
    return (folder / "rooms.nii.gz").read_bytes()


def test_what_somebody_may_keep_is_set_for_one_person_and_outlives_the_server(clinic, ada, store, tmp_path):
    content, size = rooms_file(tmp_path), rooms().voxels.nbytes
    store.accounts.add("max", token=MAX, role="admin")
    with http(clinic, headers={"Authorization": f"Bearer {MAX}"}) as client:
        upload(client, "default", content).raise_for_status()
        told = ada.put("/api/people/max/limit", json={"bytes": 2 * size - 1}).json()
        [one] = [one for one in told["people"] if one["name"] == "max"]
        assert (one["account"], one["max_bytes"], one["bytes"] >= size) == (True, 2 * size - 1, True)
        refused = upload(client, "default", content)
        assert refused.status_code == 507 and refused.json()["detail"].startswith(f"max may keep {2 * size - 1} bytes")
        with Store.local(clinic.settings.data) as other, pytest.raises(QuotaError, match="max may keep"):
            other.by("max").add_case("rooms", rooms())  # by a program that has no limit for all
        ada.put("/api/people/max/limit", json={"bytes": 0}).raise_for_status()
        upload(client, "default", content).raise_for_status()
        ada.put("/api/people/max/limit", json={"bytes": None}).raise_for_status()
    assert ada.put("/api/people/nobody/limit", json={"bytes": 1}).status_code == 404
    assert ada.put("/api/people/max/limit", json={"bytes": -1}).status_code == 422
    entries = store.audit.entries(AuditFilter(person="ada", action="account"))
    assert [one.detail["max bytes"] for one in entries if one.detail["what"] == "limit"] == [2 * size - 1, 0, None]


def test_what_a_project_may_keep_is_set_for_it_alone(ada, store, tmp_path):
    content, size = rooms_file(tmp_path), rooms().voxels.nbytes
    store.add_project("knees")
    ada.put("/api/projects/knees/limit", json={"bytes": size}).raise_for_status()
    upload(ada, "knees", content).raise_for_status()
    refused = upload(ada, "knees", content)
    assert refused.status_code == 507 and refused.json()["detail"].startswith("The project 'knees' may keep")
    upload(ada, "default", content).raise_for_status()
    assert ada.put("/api/projects/hips/limit", json={"bytes": size}).status_code == 404
    [entry] = store.audit.entries(AuditFilter(action="settings", project="knees"))
    assert (entry.person, entry.detail) == ("ada", {"max bytes": size})


def test_anonymisation_is_set_for_a_project_and_stays_where_the_server_was_started_so(clinic, ada, store, tmp_path):
    content = rooms_file(tmp_path)
    store.add_project("heads")
    [plain] = upload(ada, "heads", content).raise_for_status().json()
    assert plain["name"] == "rooms"
    told = ada.put("/api/projects/heads/anonymise", json={"profile": "basic"}).raise_for_status().json()
    profiles = {one["name"]: (one["anonymise"], one["anonymise_at_start"]) for one in told["projects"]}
    assert (profiles["heads"], profiles["lungs"]) == (("basic", False), ("basic", True))
    assert profiles["default"] == (None, False)
    [careful] = upload(ada, "heads", content).raise_for_status().json()
    assert "rooms" not in careful["name"]
    for profile in ("basic-shifted", None):
        refused = ada.put("/api/projects/lungs/anonymise", json={"profile": profile})
        assert refused.status_code == 409 and "only who starts it can change that" in refused.json()["detail"]
    assert ada.put("/api/projects/heads/anonymise", json={"profile": "none"}).status_code == 422
    ada.put("/api/projects/heads/anonymise", json={"profile": None}).raise_for_status()
    assert upload(ada, "heads", content).raise_for_status().json()[0]["name"].startswith("rooms")
    details = [one.detail for one in store.audit.entries(AuditFilter(action="settings", project="heads"))]
    assert details == [{"anonymise": "basic"}, {"anonymise": "none"}]


def test_others_than_admins_of_all_projects_set_neither(clinic):
    with http(clinic, headers={"Authorization": f"Bearer {EVE}"}) as eve:
        assert eve.put("/api/people/eve/limit", json={"bytes": 0}).status_code == 403
        assert eve.put("/api/projects/default/limit", json={"bytes": 0}).status_code == 403
        assert eve.put("/api/projects/default/anonymise", json={"profile": None}).status_code == 403
