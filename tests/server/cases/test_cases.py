"""The list of cases over HTTP: pages, filters, neighbours, status; thumbnails."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image as Pillow

from segmend.store import Store
from tests.server.running import clicked, defined, http, in_thread, rooms, settings


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """A server with five cases; their ids by name."""
    data = tmp_path_factory.mktemp("listed")
    with Store.local(data) as store:
        ids = {name: store.add_case(name, rooms(), modality="CT").id for name in ("a", "b", "c", "d")}
        ids["e"] = store.add_case("e", rooms(), patient="Doe, Jane (7)", study_date="2024-02-03").id
    with in_thread(settings(data)) as server, http(server) as client:
        yield client, ids


def names(reply):
    assert reply.status_code == 200, reply.text
    return [case["name"] for case in reply.json()["cases"]]


def test_a_page_says_where_it_lies_and_how_much_there_is(listed):
    client, ids = listed

    page = client.get("/api/cases", params={"limit": 2, "offset": 1, "sort": "name", "descending": True}).json()

    assert [case["name"] for case in page["cases"]] == ["d", "c"]
    assert (page["offset"], page["total"], sum(page["totals"].values())) == (1, 5, 5)
    assert client.get("/api/cases", params={"limit": 2, "around": ids["e"]}).json()["offset"] == 3


def test_without_a_limit_all_cases_come_as_they_always_did(listed):
    client, _ = listed
    assert [case["name"] for case in client.get("/api/cases").json()] == ["a", "b", "c", "d", "e"]
    assert [case["name"] for case in client.get("/api/cases", params={"project": "default", "q": "jane"}).json()] == [
        "e"
    ]
    assert client.get("/api/cases", params={"project": "none"}).json() == {"detail": "There is no project 'none'."}


def test_filters_are_parts_of_the_address(listed):
    client, _ = listed
    asked = {"q": "DOE", "limit": 10, "date_of": "study", "since": "2024-02-03", "until": "2024-02-03"}
    assert names(client.get("/api/cases", params=asked)) == ["e"]
    assert names(client.get("/api/cases", params={"modality": "CT", "status": ["rejected", "begun"], "limit": 9})) == []
    for wrong in ({"limit": 501}, {"sort": "size"}, {"status": "lost", "limit": 1}, {"since": "May"}, {"q": "\n"}):
        assert client.get("/api/cases", params=wrong).status_code == 422


def test_a_case_is_begun_done_and_opened_again(listed):
    client, ids = listed
    session = client.post(f"/api/cases/{ids['b']}/sessions").json()["id"]
    client.put(f"/api/sessions/{session}/labels/1", json=defined(1)["label"] | {"value": 1})
    client.post(f"/api/sessions/{session}/events", json=clicked([0, 1, 1]))
    begun = client.get(f"/api/cases/{ids['b']}").json()
    assert (begun["status"], begun["interactions"]) == ("begun", 1) and begun["seconds"] < 60

    done = client.put(f"/api/cases/{ids['b']}/status", json={"status": "done", "comment": "clear"}).json()
    assert (done["status"], done["comment"]) == ("done", "clear") and done["status_at"] == done["changed"]
    assert client.get("/api/cases", params={"limit": 0}).json()["totals"]["done"] == 1
    to_do = {"status": ["untouched", "begun"]}
    assert client.get(f"/api/cases/{ids['a']}/next", params=to_do).json()["name"] == "c"
    assert client.get(f"/api/cases/{ids['c']}/next", params=to_do | {"back": True}).json()["name"] == "a"
    assert client.get(f"/api/cases/{ids['e']}/next").json() is None
    assert client.get("/api/cases/choices").json() == {
        "projects": ["default"], "modalities": ["CT"], "labels": ["lesion"],
    }  # fmt: skip

    again = client.put(f"/api/cases/{ids['b']}/status", json={"status": "open"}).json()
    assert again["status"] == "begun"
    assert client.put(f"/api/cases/{ids['b']}/status", json={"status": "begun"}).status_code == 422
    assert client.put("/api/cases/nobody/status", json={"status": "done"}).status_code == 404


def test_a_thumbnail_is_made_once_and_known_by_its_tag(listed):
    client, ids = listed
    first = client.get(f"/api/cases/{ids['a']}/thumbnail")

    assert first.headers["content-type"] == "image/png" and len(first.content) < 8192
    picture = Pillow.open(BytesIO(first.content))
    assert max(picture.size) == 96 and len(np.unique(np.asarray(picture))) > 1
    again = client.get(f"/api/cases/{ids['a']}/thumbnail", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get(f"/api/cases/{ids['a']}/thumbnail", headers={"If-None-Match": '"1"'})
    assert other.content == first.content
    assert client.get("/api/cases/nobody/thumbnail").status_code == 404
