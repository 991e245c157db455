"""Every route over HTTP, with a real server."""

import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from segmend.core.image import Image
from segmend.core.session import Label, label_to_json
from segmend.runtime.budget import DEFAULT_BYTES
from segmend.server.sessions.open_session import OpenSession
from segmend.server.sessions.wire import unpack
from tests.server.running import BLUE, PATIENCE, RED, Client, clicked, defined, http, rooms

BOX, BAR = [1, 2, 2], [1, 2, 5]
GREY = rooms().voxels[0]
FRAME = {"Accept": "application/octet-stream"}


def label(client, session, value=1, **values):
    return client.put(
        f"/api/sessions/{session}/labels/{value}", json={"name": "lesion", "colour": RED, "locked": False, **values}
    )


def click(client, session, index, *, label=1, headers=None, **values):
    body = {"prompt": {"kind": "click", "index": index}, "label": label, **values}
    return client.post(f"/api/sessions/{session}/prompts", json=body, headers=headers)


def current(client, session, shape=(3, 6, 8)):
    label_map = np.zeros(shape, np.uint16)
    unpack(client.get(f"/api/sessions/{session}/map").content).onto(label_map)
    return label_map


def test_health_tells_the_memory_that_is_kept_and_its_limit(client, session, server):
    client.post(f"/api/sessions/{session}/events", json=defined(1))
    memory = client.get("/api/health").json()["memory"]
    assert memory["limit_bytes"] == server.settings.cache_bytes == DEFAULT_BYTES
    assert 0 <= memory["kept_bytes"] <= memory["limit_bytes"] and memory["resident_bytes"] > 50 << 20


def test_health_methods_and_formats(client):
    assert client.get("/api/health").json()["status"] == "ok"
    flood = next(card for card in client.get("/api/methods").json() if card["id"] == "flood")
    assert flood["prompts"] == ["click", "stroke", "box"] and flood["dimensions"] == [2, 3]
    assert flood["calibrated"] == [] and flood["intervals"] == {}
    formats = client.get("/api/formats").json()
    packed = {"suffix": ".nii.gz", "title": "NIfTI, packed", "group": "masks", "of": "any", "flat": False}
    assert packed in formats
    assert [one["suffix"] for one in formats if one["flat"]] == [".png"]
    assert [one["suffix"] for one in formats if one["group"] == "training"][:2] == ["training", "nnunet"]


def test_a_case_is_listed_shown_and_deleted(client, case):
    shown = client.get(f"/api/cases/{case}").json()

    assert shown["shape"] == [3, 6, 8] and shown["spacing"] == [3.0, 0.5, 0.8] and shown["name"] == "rooms"
    assert shown in client.get("/api/cases").json()
    assert client.delete(f"/api/cases/{case}").status_code == 204
    assert client.get(f"/api/cases/{case}").json() == {"detail": f"There is no case '{case}'."}
    assert client.delete(f"/api/cases/{case}").status_code == 404


def test_deleting_a_case_closes_its_sessions(server, client, case, session):
    with Client(server.address, session) as live:
        live.do(defined(1))
        live.send(clicked(BOX, method="slow"))
        live.next("accepted")

        assert client.delete(f"/api/cases/{case}").status_code == 204
        assert live.next("error")["message"] == "This case was deleted."
        with pytest.raises(ConnectionClosed, match="4404"):
            live.receive()
        with pytest.raises(ConnectionClosed):
            live.send(clicked(BOX))
    assert client.get(f"/api/sessions/{session}").status_code == 404


def test_a_session_begins_empty(client, case):
    reply = client.post(f"/api/cases/{case}/sessions")

    assert reply.status_code == 201
    state = reply.json()
    session = state.pop("id")
    assert state == {
        "case": case, "shape": [3, 6, 8], "events": [], "labels": [], "done": [], "undone": [], "pending": [],
    }  # fmt: skip
    assert [s["id"] for s in client.get(f"/api/cases/{case}/sessions").json()] == [session]
    assert not current(client, session).any()


def test_a_prompt_waits_for_its_answer(client, session):
    label(client, session)

    reply = click(client, session, BOX)

    assert reply.status_code == 200
    answer = reply.json()
    assert answer["position"] == 1 and answer["quality"] == 0.5 and answer["state"]["pending"] == []
    np.testing.assert_array_equal(current(client, session), GREY == 10)


def test_bytes_for_who_asks_for_bytes(client, session):
    label(client, session)

    frame = unpack(click(client, session, BOX, headers=FRAME).content)

    assert frame.position == 1 and frame.box.low == (0, 1, 1) and frame.box.high == (3, 4, 4)
    assert (frame.values == 1).all()


def test_undo_redo_and_remove(client, session):
    label(client, session)
    click(client, session, BOX)
    click(client, session, BAR)

    frame = unpack(client.post(f"/api/sessions/{session}/undo", headers=FRAME).content)
    assert frame.box.low == (0, 1, 5) and not frame.values.any()
    client.post(f"/api/sessions/{session}/redo")
    np.testing.assert_array_equal(current(client, session) > 0, GREY > 0)
    reply = client.delete(f"/api/sessions/{session}/prompts/1")
    assert reply.json()["state"]["done"] == [0, 1, 2, 5]
    np.testing.assert_array_equal(current(client, session) > 0, GREY == 20)


def test_any_event_may_be_posted(client, session):
    events = f"/api/sessions/{session}/events"
    assert client.post(events, json=defined(4, "bar", BLUE)).json()["state"]["labels"] == [
        label_to_json(Label(4, "bar", tuple(BLUE)))
    ]
    assert client.post(events, json={**clicked(BOX, label=4)}).status_code == 200
    assert client.post(events, json={"event": "undone"}).json()["state"]["undone"] == [1]

    state = client.get(f"/api/sessions/{session}").json()
    assert [event["event"] for event in state["events"]] == ["defined", "prompted", "undone"]


def test_a_prompt_without_a_method_gets_the_usual_one(client, session):
    label(client, session)
    click(client, session, BOX)

    assert client.get(f"/api/sessions/{session}").json()["events"][1]["method"] == "flood"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/api/nothing", None, 404, "nothing at this address"),
        ("PATCH", "/api/cases", None, 405, "does not take this method"),
        ("GET", "/api/cases/none", None, 404, "There is no case 'none'"),
        ("GET", "/api/cases?project=none", None, 404, "There is no project 'none'"),
        ("GET", "/api/cases/none/volume.nii", None, 404, "There is no case 'none'"),
        ("GET", "/api/cases/none/sessions", None, 404, "There is no case 'none'"),
        ("POST", "/api/cases/none/sessions", None, 404, "There is no case 'none'"),
        ("GET", "/api/sessions/none", None, 404, "There is no session 'none'"),
        ("GET", "/api/sessions/none/map", None, 404, "There is no session 'none'"),
        ("GET", "/api/sessions/none/export", None, 404, "There is no session 'none'"),
        ("POST", "/api/sessions/none/undo", None, 404, "There is no session 'none'"),
        ("POST", "/api/sessions/{s}/undo", None, 422, "There is nothing to undo"),
        ("POST", "/api/sessions/{s}/redo", None, 422, "There is nothing to redo"),
        ("DELETE", "/api/sessions/{s}/prompts/0", None, 422, "event 0 is none"),
        ("DELETE", "/api/sessions/{s}/prompts/x", None, 422, "The path value 'event' does not fit"),
        ("POST", "/api/sessions/{s}/events", b"{", 400, "not JSON"),
        ("POST", "/api/sessions/{s}/events", b"[" * 99999, 400, "not JSON"),
        ("POST", "/api/sessions/{s}/events", b"5", 400, "needs a JSON object; got int"),
        ("POST", "/api/sessions/{s}/events", b"{}", 422, "known kind; got None"),
        ("POST", "/api/sessions/{s}/prompts", b"{}", 422, "needs 'prompt'"),
        ("PUT", "/api/sessions/{s}/labels/0", b'{"name": "a", "colour": [1, 2, 3]}', 422, "1 to 65535; got 0"),
        ("PUT", "/api/sessions/{s}/labels/1", b'{"name": "a"}', 422, "needs 'colour'"),
        ("PUT", "/api/sessions/{s}/labels/1", b'{"name": "a", "colour": [1]}', 422, "could not be read"),
        ("GET", "/api/sessions/{s}/export?format=.exe", None, 422, "got '.exe'"),
        ("POST", "/api/cases", b"x", 400, "needs a multipart/form-data body"),
        ("POST", "/api/cases/link", b"{}", 422, "The body value 'path' does not fit: Field required"),
        ("POST", "/api/cases/link", b'{"path": "none/such"}', 404, "no such file or folder"),
        ("POST", "/api/cases/link", b'{"path": "a\\u0000b"}', 404, "no such file or folder"),
        ("POST", "/api/cases/link", b'{"path": "' + b"x" * 3000 + b'"}', 404, "no such file or folder"),
        ("GET", "/api/../../../etc/passwd", None, 404, "nothing at this address"),
        ("GET", "/..%2f..%2f..%2f..%2fetc/passwd", None, 404, "nothing at this address"),
    ],
)
def test_what_is_wrong_is_one_sentence(client, session, method, path, body, status, words):
    headers = {"Content-Type": "application/json"} if body else {}

    reply = client.request(method, path.replace("{s}", session), content=body, headers=headers)

    assert reply.status_code == status, reply.text
    assert words in reply.json()["detail"] and set(reply.json()) == {"detail"}
    assert "Traceback" not in reply.text and "\n" not in reply.json()["detail"]


def test_a_prompt_outside_the_image_is_refused_and_the_session_goes_on(client, session):
    label(client, session)

    reply = click(client, session, [0, 6, 0])

    assert reply.status_code == 422 and "outside the image of shape (3, 6, 8)" in reply.json()["detail"]
    assert click(client, session, BOX).status_code == 200


def test_a_method_for_volumes_refuses_a_photograph(client, store):
    case = store.add_case("photo", Image(np.zeros((1, 1, 4, 5), np.uint8))).id
    session = client.post(f"/api/cases/{case}/sessions").json()["id"]
    label(client, session)

    reply = click(client, session, [0, 1, 1], method="slow")

    assert reply.status_code == 422 and reply.json()["detail"] == "Slow takes 3D images; this one is 2D."


@pytest.mark.parametrize(
    ("prompt", "status", "words"),
    [
        ({"kind": "click", "index": BOX}, 500, "The method failed on this prompt, which was taken back"),
        ({"kind": "click", "index": BOX, "positive": False}, 500, "The method failed on this prompt"),
        ({"kind": "box", "low": [0, 0, 0], "high": [1, 1, 1]}, 503, "weights of Broken are damaged"),
    ],
)
def test_a_failing_method_costs_its_own_prompt_only(client, session, prompt, status, words):
    label(client, session)
    click(client, session, BAR)

    body = {"prompt": prompt, "label": 1, "method": "broken"}
    reply = client.post(f"/api/sessions/{session}/prompts", json=body)

    assert reply.status_code == status and words in reply.json()["detail"]
    np.testing.assert_array_equal(current(client, session) > 0, GREY == 20)
    state = client.get(f"/api/sessions/{session}").json()
    assert state["pending"] == [] and state["done"] == [0, 1]


def test_a_body_that_is_too_large_is_413(server, client, session):
    big = b'{"x": "' + b"a" * (server.settings.max_body_bytes + 1) + b'"}'

    reply = client.post(f"/api/sessions/{session}/events", content=big)

    assert reply.status_code == 413 and "this one is larger" in reply.json()["detail"]


@pytest.mark.parametrize("sessions", [30, pytest.param(100, marks=pytest.mark.long)])
def test_many_sessions_at_once_all_go_on(client, server, store, sessions):
    case = store.add_case("rooms", rooms()).id

    def sit(number):
        with http(server) as mine:
            session = mine.post(f"/api/cases/{case}/sessions").json()["id"]
            label(mine, session)
            method = "broken" if number % 10 == 0 else "flood"
            status = click(mine, session, BOX if number % 2 else BAR, method=method).status_code
            return number, status, int(current(mine, session).sum())

    with ThreadPoolExecutor(25) as people:
        results = list(people.map(sit, range(sessions)))

    for number, status, voxels in results:
        assert status == (500 if number % 10 == 0 else 200)
        assert voxels == (0 if number % 10 == 0 else 27 if number % 2 else 24)


def test_a_client_that_goes_away_stops_costing(server, client, store, held, monkeypatch):
    real, gone = OpenSession.curtail, threading.Event()

    def curtail(self, position):
        real(self, position)
        gone.set()

    monkeypatch.setattr(OpenSession, "curtail", curtail)
    held.after(3)
    case = store.add_case("tall", Image(np.zeros((1, 50, 4, 5), np.int16))).id
    session = client.post(f"/api/cases/{case}/sessions").json()["id"]
    label(client, session)
    body = b'{"prompt": {"kind": "click", "index": [0, 0, 0]}, "label": 1, "method": "slow"}'
    head = f"POST /api/sessions/{session}/prompts HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.settings.port)) as impatient:
        impatient.sendall(head.encode() + body)
        assert held.begun.wait(PATIENCE)
    assert gone.wait(PATIENCE)
    held.released.set()

    end = time.monotonic() + PATIENCE
    while client.get(f"/api/sessions/{session}").json()["pending"]:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert store.session(session).answers[1].box.shape[0] == 4  # of 50: three, and the one that was being worked out


def test_sessions_are_dropped_when_there_are_many_and_come_back(tmp_path):
    from segmend.store import Store
    from tests.server.running import in_thread, settings

    with in_thread(settings(tmp_path, open_sessions=2)) as server, http(server) as client:
        store: Store = server.config.app.state.shared.store
        case = store.add_case("rooms", rooms()).id
        sessions = [client.post(f"/api/cases/{case}/sessions").json()["id"] for _ in range(5)]
        for session in sessions:
            label(client, session)
            click(client, session, BOX)
        kept = server.config.app.state.shared.sessions

        assert len(kept._slots) <= 3
        assert all((current(client, session) == (GREY == 10)).all() for session in sessions)
        assert click(client, sessions[0], BAR).json()["position"] == 2


def test_two_servers_on_one_store_take_turns(tmp_path):
    from tests.server.running import in_thread, settings

    with in_thread(settings(tmp_path)) as one, in_thread(settings(tmp_path)) as two:
        case = one.config.app.state.shared.store.add_case("rooms", rooms()).id
        with http(one) as first, http(two) as second:
            session = first.post(f"/api/cases/{case}/sessions").json()["id"]
            label(first, session)
            with Client(two.address, session) as watching:
                click(first, session, BOX)  # the second server does not know of this yet
                assert click(second, session, BAR).json()["position"] == 2
                watching.next("answered", position=2)
                np.testing.assert_array_equal(watching.map > 0, GREY > 0)
            second.post(f"/api/sessions/{session}/undo")
            label(first, session, 2, name="bar")

            assert first.get(f"/api/sessions/{session}").json()["done"] == [0, 1, 4]
            np.testing.assert_array_equal(current(first, session), GREY == 10)


def test_the_openapi_document_names_every_event(client):
    document = client.get("/api/openapi.json").json()

    assert {"EventJson", "ClickJson", "StateJson", "AnswerJson", "Problem"} <= set(document["components"]["schemas"])
    body = document["paths"]["/api/sessions/{session}/events"]["post"]["requestBody"]
    references = re.findall(r"#/components/schemas/(\w+)", str(document))
    assert body["required"] and set(references) <= set(document["components"]["schemas"])
