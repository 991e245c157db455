"""Quotas and rates: what is too much is refused in a sentence, and what may be goes on."""

from __future__ import annotations

import json

import pytest
from websockets.exceptions import InvalidStatus

from segmend.errors import RateError
from segmend.io import write_image
from segmend.server.access.rates import Rates
from tests.server.running import Client, defined, http, in_thread, rooms, settings

OWN, ADA, EVE = "the server's own", "a token for ada alone", "a token for eve alone"


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """A server on which a person may keep one image of rooms and a half, and have one case open."""
    most = int(rooms().voxels.nbytes * 1.5)
    options = {"bytes_per_person": most, "bytes_per_project": 2 * most, "connections_per_person": 1}
    with in_thread(settings(tmp_path_factory.mktemp("narrow"), token=OWN, **options)) as running:
        store = running.config.app.state.shared.store
        for name, token in (("ada", ADA), ("eve", EVE)):
            store.accounts.add(name, token=token, role="reviewer")
        store.add_project("knees")
        yield running


def headers(token):
    return {"Authorization": f"Bearer {token}"}


def test_a_pause_fills_what_may_be_asked_at_once():
    now = 0.0
    rates = Rates(requests_per_second=2, connections=0, now=lambda: now)

    def count():
        for number in range(100):
            try:
                rates.check("ada")
            except RateError as error:
                return number, error.seconds
        return None

    assert count() == (20, 1)
    rates.check("eve")
    now = 1.0
    assert count() == (2, 1)
    now = 1000.0
    assert count() == (20, 1)


def test_whoever_asks_too_often_is_told_when_to_go_on(tmp_path):
    with in_thread(settings(tmp_path, requests_per_second=0.2)) as running:
        store = running.config.app.state.shared.store
        session = store.add_session(store.add_case("rooms", rooms()).id).id
        with Client(running.address, session) as live, http(running) as client:
            replies = [client.get("/api/projects") for _ in range(2)]
            assert [reply.status_code for reply in replies] == [200, 429]
            assert replies[-1].json()["detail"].startswith("You may ask 0.2 times a second here; go on in ")
            assert 1 <= int(replies[-1].headers["Retry-After"]) <= 5
            live.send(defined(1))
            assert live.next("error")["message"].startswith("You may ask 0.2 times a second here; go on in ")


def test_one_case_too_many_that_is_open_is_refused(narrow):
    store = narrow.config.app.state.shared.store
    case = store.by("eve").add_case("rooms", rooms(), project="knees").id
    sessions = [store.add_session(case).id for _ in range(2)]
    with Client(narrow.address, sessions[0], additional_headers=headers(ADA)):
        with pytest.raises(InvalidStatus) as caught:
            Client(narrow.address, sessions[1], additional_headers=headers(ADA))
        assert caught.value.response.status_code == 429
        assert json.loads(caught.value.response.body)["detail"].startswith("You may have 1 cases open at once here")
        assert caught.value.response.headers["Retry-After"] == "30"
        with Client(narrow.address, sessions[1], additional_headers=headers(EVE)):
            pass


def test_who_keeps_too_much_is_refused_and_may_go_on_when_a_case_is_deleted(narrow, tmp_path):
    write_image(tmp_path / "rooms.nii.gz", rooms())
    content = (tmp_path / "rooms.nii.gz").read_bytes()

    def upload(client):
        return client.post("/api/cases", files=[("files", ("rooms.nii.gz", content))])

    with http(narrow, headers=headers(ADA)) as ada, http(narrow, headers=headers(OWN)) as own:
        kept = upload(ada).raise_for_status().json()[0]["id"]
        refused = upload(ada)
        assert refused.status_code == 507
        assert refused.json()["detail"].startswith("ada may keep 432 bytes here and keeps 4")
        own.delete(f"/api/cases/{kept}").raise_for_status()
        upload(ada).raise_for_status()
        upload(own).raise_for_status()
        assert upload(own).json()["detail"].startswith("Who has no account may keep 432 bytes here and keeps 4")
        with http(narrow, headers=headers(EVE)) as eve:
            assert upload(eve).json()["detail"].startswith("eve may keep 432 bytes")
    for case in narrow.config.app.state.shared.store.cases("knees"):
        narrow.config.app.state.shared.store.delete_case(case.id)
    with http(narrow, headers=headers(EVE)) as eve:
        assert upload(eve).json()["detail"].startswith("The project 'default' may keep 864 bytes and keeps 8")
