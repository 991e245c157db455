"""JSON that is made to take time or memory: refused before it is parsed, and never parsed where others wait."""

import json
import threading
import tracemalloc

import pytest

from segmend.core.prompts import MAX_POINTS
from segmend.errors import LimitError
from segmend.server import bodies
from segmend.server.bodies import MAX_SMALL_BYTES, MAX_VALUES, event_of, json_object
from segmend.server.replies import MAX_DETAIL, UnreadableError
from tests.server.running import Client, defined, http, in_thread, rooms, settings

SENTENCE = f"A body of JSON may have {MAX_VALUES} values, enough for {MAX_POINTS} points; it has more."


def stroke(points):
    prompt = b'{"kind":"stroke","points":[' + b",".join([b"[0,1,1]"] * points) + b"]}"
    return b'{"event":"prompted","label":1,"method":"flood","prompt":' + prompt + b"}"


@pytest.mark.parametrize(
    "text", [stroke(4_000_000), stroke(4_000_000).decode(), b"[" * 30_000_000], ids=["bytes", "text", "nested"]
)
def test_too_many_values_are_refused_before_they_are_made(text):
    tracemalloc.start()
    with pytest.raises(LimitError) as refused:
        json_object(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert str(refused.value) == SENTENCE
    assert peak < 1_000_000  # it was 600 MB


def test_the_longest_stroke_passes():
    event = event_of(json_object(stroke(MAX_POINTS)), (1, 5, 5), method="flood")

    assert len(event.prompt.points) == MAX_POINTS


@pytest.mark.parametrize(
    "text", [b"[" * 9_000, b"1" * 1_000_000, b'{"a":' * 100_000, b'{"a": 0.' + b"1" * 3_000_000 + b"}x"]
)
def test_odd_bodies_are_no_json(text):
    with pytest.raises(UnreadableError, match="The body is not JSON"):
        json_object(text)


def test_clients_are_told(server, client, session):
    reply = client.post(f"/api/sessions/{session}/events", content=stroke(1_000_000))
    assert (reply.status_code, reply.json()) == (413, {"detail": SENTENCE})

    with Client(server.address, session) as person:
        person.socket.send(stroke(1_000_000).decode())
        assert person.next("error")["message"] == SENTENCE
        assert person.do(defined(1))["withdrawn"] is False


def test_json_is_parsed_and_read_off_the_event_loop(tmp_path, monkeypatch):
    threads = {}

    def noted(name, call):
        def call_and_note(*arguments, **options):
            threads.setdefault(name, set()).add(threading.current_thread())
            return call(*arguments, **options)

        return call_and_note

    monkeypatch.setattr(bodies, "event_from_json", noted("read", bodies.event_from_json))
    monkeypatch.setattr(json, "loads", noted("parsed", json.loads))
    with in_thread(settings(tmp_path)) as server, http(server) as client:
        store = server.config.app.state.shared.store
        case = store.add_case("rooms", rooms()).id
        session = client.post(f"/api/cases/{case}/sessions").json()["id"]
        [loop] = [thread for thread in threading.enumerate() if getattr(thread, "_target", None) == server.listen]
        threads.clear()
        client.post(f"/api/sessions/{session}/events", content=json.dumps(defined(1)))
        with Client(server.address, session) as person:
            person.do(defined(2))

    assert threads["read"] and loop not in threads["read"]
    assert threads["parsed"] and loop not in threads["parsed"]


def test_what_fastapi_parses_is_small(client):
    reply = client.post("/api/cases/link", content=b'{"path": "' + b"a" * MAX_SMALL_BYTES + b'"}')

    assert reply.status_code == 413
    assert reply.json()["detail"] == f"A body of JSON may have {MAX_SMALL_BYTES} bytes here; this one is larger."


def test_a_refusal_does_not_send_back_all_that_came(client, session):
    index = ",".join(["9" * 100] * 1000)
    prompt = f'{{"event": "prompted", "label": 1, "prompt": {{"kind": "click", "index": [{index}]}}}}'
    reply = client.post(f"/api/sessions/{session}/events", content=prompt)

    assert reply.status_code == 422
    assert len(reply.json()["detail"]) == MAX_DETAIL and reply.json()["detail"].endswith(" ...")
