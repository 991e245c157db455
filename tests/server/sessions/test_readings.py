"""Reading by two: blind readers learn nothing of each other by any route, and a reviewer decides in a third mask."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from websockets.exceptions import InvalidStatus

from segmend.server.access.rights import BLIND, RIGHTS
from segmend.server.sessions.wire import unpack
from segmend.store.visitors import VIEWERS
from tests.server.running import Client, clicked, defined, http, in_thread, rooms, settings

READERS = ("ada", "ben")
SECRET = "a label of ada alone"


def token_of(name):
    return f"a token for {name} alone"


@pytest.fixture(scope="module")
def team(tmp_path_factory):
    with in_thread(settings(tmp_path_factory.mktemp("readers"), token="the server's own", viewers=True)) as running:
        store = running.config.app.state.shared.store
        for project in ("lungs", VIEWERS):
            store.add_project(project)
        for name in READERS:
            store.accounts.add(name, token=token_of(name), role="annotator")
        for name in ("eve", "max"):
            store.accounts.add(name, token=token_of(name), role="reviewer", project="lungs")
        yield running


@pytest.fixture
def store(team):
    return team.config.app.state.shared.store


def headers_of(name):
    return {"Authorization": f"Bearer {token_of(name)}"}


@pytest.fixture
def asking(team):
    """Return clients by the name of who asks."""
    clients = {name: http(team, headers=headers_of(name)) for name in (*READERS, "eve", "max")}
    yield clients.__getitem__
    for client in clients.values():
        client.close()


@pytest.fixture
def case(store, asking):
    """The id of a new case that ada and ben are to read, blind."""
    added = store.add_case("rooms", rooms(), project="lungs").id
    given = asking("eve").post(
        "/api/projects/lungs/readings", json={"cases": [added], "readers": READERS, "how": "all"}
    )
    assert given.json() == {"cases": 1, "readers": {"ada": 1, "ben": 1}}
    return added


def read(client, case, *places, name="lesion"):
    """Open a case as its reader, click at some places and finish; returns the session."""
    session = client.post(f"/api/cases/{case}/sessions").json()["id"]
    for event in (defined(1, name), *(clicked(place) for place in places)):
        assert client.post(f"/api/sessions/{session}/events", json=event).status_code == 200
    assert client.put(f"/api/cases/{case}/status", json={"status": "done"}).json()["status"] == "done"
    return session


def test_a_blind_reader_learns_nothing_of_the_other_by_any_route(team, asking, case, store):
    session = read(asking("ada"), case, (1, 2, 2), name=SECRET)
    asking("ada").post(f"/api/cases/{case}/comments", json={"text": "ada says", "place": [1, 2, 2]})
    client, telling = asking("ben"), []
    values = {"case": case, "session": session, "project": "lungs", "reader": "ada", "value": "1", "event": "1"}
    for key, (_, where) in RIGHTS.items():
        method, path = key.split(" ", 1)
        if method in ("WS", "HEAD") or where in ("nowhere", "viewers", "asked", "begins"):
            continue
        address = re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], "1"), path)
        reply = client.request(method, address, json={}, params={"one": "ada", "other": "ada", "reader": "ada"})
        if where in ("session", "marks", "everywhere"):
            telling += [(key, reply.text)] if reply.status_code != 403 else []
        elif reply.status_code < 400 and any(word in reply.text for word in (session, SECRET, "ada says", '"ada"')):
            telling.append((key, reply.text))
    assert telling == []
    listed = client.get("/api/cases", params={"project": "lungs"}).json()
    [own] = [one for one in listed if one["id"] == case]
    assert (own["status"], own["interactions"], own["seconds"], own["status_by"]) == ("untouched", 0, 0, "")
    assert own["reading"] == {"state": "open", "blind": True, "wanted": 2, "mine": "assigned", "finished": None}
    assert client.get("/api/cases", params={"label": SECRET}).json() == []
    assert SECRET not in client.get("/api/cases/choices").text
    with pytest.raises(InvalidStatus) as refused:
        Client(team.address, session, additional_headers=headers_of("ben"))
    assert json.loads(refused.value.response.body)["detail"] == BLIND


def test_nobody_but_its_reader_marks_in_a_reading(team, asking, case):
    session = asking("ada").post(f"/api/cases/{case}/sessions").json()["id"]
    assert asking("ada").post(f"/api/cases/{case}/sessions").json()["id"] == session  # a reader has one
    with Client(team.address, session, additional_headers=headers_of("eve")) as reviewer:  # sees it
        reviewer.say({"id": 5, "event": defined(1)})
        assert reviewer.next("error", id=5)["message"] == "This case is given to other readers."
    refused = asking("eve").post(f"/api/cases/{case}/sessions")
    assert (refused.status_code, refused.json()["detail"]) == (403, "This case is given to other readers.")
    early = asking("ada").put(f"/api/cases/{case}/status", json={"status": "done"})
    assert early.status_code == 200  # nothing is there, and the reader says so
    late = asking("ada").post(f"/api/sessions/{session}/events", json=defined(1))
    assert (late.status_code, late.json()["detail"]) == (403, "This reading is finished; reopen it to change it.")
    assert asking("ada").put(f"/api/cases/{case}/status", json={"status": "open"}).json()["status"] == "untouched"
    assert asking("ada").post(f"/api/sessions/{session}/events", json=defined(1)).status_code == 200
    for status in ("rejected", "accepted"):
        refused = asking("ada").put(f"/api/cases/{case}/status", json={"status": status})
        assert refused.status_code == 403 and "a reviewer who does not read it decides" in refused.json()["detail"]


def test_a_reviewer_decides_in_a_third_mask_and_the_table_says_how_far_they_agree(team, asking, case, store):
    client = asking("eve")
    read(asking("ada"), case, (1, 2, 2))
    unfinished = client.post(f"/api/cases/{case}/adjudication", json={})
    assert (unfinished.status_code, unfinished.json()["detail"]) == (409, "Not all readers have finished this case.")
    read(asking("ben"), case, (1, 2, 2), (1, 2, 5), name="Lesion")
    assert [one["id"] for one in client.get("/api/cases", params={"reading": "finished"}).json()] == [case]

    [found] = client.get(f"/api/cases/{case}/differences", params={"one": "ada", "other": "ben"}).json()
    assert (found["name"], found["one"], found["other"], found["both"]) == ("lesion", 27, 51, 27)
    assert found["dice"] == round(54 / 78, 5)
    assert found["slices"] == [{"z": z, "only_one": 0, "only_other": 8} for z in range(3)]
    too_soon = client.put(f"/api/cases/{case}/status", json={"status": "accepted"})
    assert too_soon.status_code == 409 and "compared first" in too_soon.json()["detail"]

    third = client.post(f"/api/cases/{case}/adjudication", json={}).json()
    session = third["id"]
    frame = unpack(client.get(f"/api/sessions/{session}/difference", params={"reader": "ben", "label": 1}).content)
    assert frame.values.sum() == 24 and frame.box.low == (0, 1, 5)
    taken = client.post(f"/api/sessions/{session}/take", json={"reader": "ben", "label": 1, "low": 1, "high": 2})
    assert (taken.status_code, taken.json()["events"]) == (200, 1)
    accepted = client.put(f"/api/cases/{case}/status", json={"status": "accepted"}).json()
    assert (accepted["status"], accepted["reading"]["state"], accepted["interactions"]) == ("accepted", "decided", 5)

    [row] = [one for one in client.get("/api/projects/lungs/agreement").json() if one["case"] == case]
    pairs = {(pair["one"], pair["other"]): pair["dice"] for pair in row["pairs"]}
    assert pairs == {
        ("ada", "ben"): round(54 / 78, 5),
        ("ada", "decision"): round(54 / 62, 5),
        ("ben", "decision"): round(70 / 86, 5),
    }
    assert row["decided_by"] == "eve" and [one["interactions"] for one in row["readings"]] == [1, 2]
    lines = list(csv.DictReader(io.StringIO(client.get("/api/projects/lungs/agreement.csv").text)))
    [line] = [one for one in lines if one["case"] == case and one["other"] == "ben"]
    assert (line["label"], line["dice"], line["interactions_other"]) == ("lesion", "0.69231", "2")

    sessions = {one["user"] for one in asking("ben").get(f"/api/cases/{case}/sessions").json()}
    assert sessions == {"ada", "ben", "eve"}  # now everybody may see everything
    for frozen in (
        asking("ada").post(f"/api/sessions/{session}/events", json=clicked((1, 2, 2))),
        asking("ada").post(f"/api/cases/{case}/sessions"),
    ):
        assert (frozen.status_code, frozen.json()["detail"]) == (
            403,
            "This case is accepted; a reviewer may open it again.",
        )
    assert asking("ada").put(f"/api/cases/{case}/status", json={"status": "open"}).status_code == 403
    assert client.put(f"/api/cases/{case}/status", json={"status": "open"}).json()["status"] == "begun"
    assert asking("ada").post(f"/api/sessions/{session}/events", json=clicked((1, 2, 2))).status_code == 200


def test_a_reviewer_who_reads_a_case_does_not_see_or_decide_it(asking, store):
    case = store.add_case("rooms", rooms(), project="lungs").id
    asking("max").post("/api/projects/lungs/readings", json={"cases": [case], "readers": ["ada", "eve"], "how": "all"})
    session = read(asking("ada"), case, (1, 2, 2))
    read(asking("eve"), case, (1, 2, 2))
    client = asking("eve")
    assert client.get(f"/api/sessions/{session}").json() == {"detail": BLIND}
    assert client.post(f"/api/cases/{case}/adjudication", json={}).json() == {"detail": BLIND}
    zipped = client.get("/api/results.zip", params={"kind": ".nii.gz", "case": case})
    assert (zipped.status_code, zipped.json()["detail"]) == (403, BLIND)
    assert case not in client.get("/api/projects/lungs/agreement").text
    assert case in asking("max").get("/api/projects/lungs/agreement").text
    told = asking("max").get(f"/api/cases/{case}/reading").json()
    assert (told["state"], told["mine"], [one["state"] for one in told["readings"]]) == (
        "finished",
        None,
        ["finished"] * 2,
    )


def test_who_asks_gets_the_next_case_and_no_other(asking, store):
    store.add_project("pool")
    for name in READERS:
        store.accounts.set_role(name, "annotator", project="pool")
    store.accounts.set_role("eve", "reviewer", project="pool")
    cases = [store.add_case(name, rooms(), project="pool").id for name in ("one", "two")]
    given = asking("eve").post("/api/projects/pool/readings", json={"how": "pull", "each": 1})
    assert given.json() == {"cases": 2, "readers": {}}
    pulled = [asking(name).post("/api/projects/pool/readings/next").json()["id"] for name in (*READERS, "ada")]
    assert pulled == [cases[0], cases[1], cases[0]]
    assert asking("eve").post("/api/projects/pool/readings/next").json() is None
    to_do = asking("ada").get("/api/cases", params={"project": "pool", "status": ["untouched", "begun"]}).json()
    assert [one["id"] for one in to_do] == [cases[0]]
    refused = asking("ada").post(f"/api/cases/{cases[1]}/sessions")
    assert (refused.status_code, refused.json()["detail"]) == (403, "This case is given to other readers.")
    session = read(asking("ada"), cases[0], (1, 2, 2))
    assert store.case(cases[0]).status == "done"  # one reader is not blind
    assert asking("ben").get(f"/api/sessions/{session}").status_code == 200
    accepted = asking("eve").put(f"/api/cases/{cases[0]}/status", json={"status": "accepted"}).json()
    assert (accepted["status"], accepted["reading"]["state"]) == ("accepted", "decided")
    assert asking("eve").delete(f"/api/cases/{cases[1]}/reading/ben").status_code == 204
    assert asking("eve").get(f"/api/cases/{cases[1]}/reading").json() is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"readers": ["nobody"], "how": "all"}, "A reader needs a role in the project 'lungs'; nobody has none."),
        ({"readers": ["ada"], "how": "turns", "each": 2}, "need as many people; got 1"),
        ({"readers": ["ada"], "how": "all", "cases": ["x"]}, "There is no case 'x'."),
    ],
)
def test_what_cannot_be_given_is_refused_in_a_sentence(asking, body, said):
    reply = asking("eve").post("/api/projects/lungs/readings", json=body)

    assert reply.status_code in (404, 422) and said in reply.json()["detail"]


def test_comments_are_ones_own_to_take_away(asking, store):
    case = store.add_case("rooms", rooms(), project="lungs").id
    made = asking("ada").post(f"/api/cases/{case}/comments", json={"text": "motion", "place": [1, 2, 3]})
    assert made.status_code == 201 and {"user": "ada", "place": [1, 2, 3]}.items() <= made.json().items()
    assert asking("ben").get(f"/api/cases/{case}/comments").json() == [made.json()]
    assert asking("ben").delete(f"/api/cases/{case}/comments/{made.json()['id']}").status_code == 403
    assert asking("ada").delete(f"/api/cases/{case}/comments/{made.json()['id']}").status_code == 204
    assert asking("ada").delete(f"/api/cases/{case}/comments/{made.json()['id']}").status_code == 404
    outside = asking("ada").post(f"/api/cases/{case}/comments", json={"text": "x", "place": [9, 9, 9]})
    assert outside.status_code == 422 and "a place in the image" in outside.json()["detail"]
