"""What a session does when the store, another server or a client does not play along."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest

from segmend.core.session import Patch, event_from_json
from segmend.errors import ConflictError, DiskFullError, StoreError
from segmend.server.sessions import live as live_module
from segmend.store import Store
from tests.server.running import PATIENCE, Client, clicked, defined, http, in_thread, rooms, settings

BOX, BAR = (1, 2, 2), (1, 2, 5)
GREY = rooms().voxels[0]


@pytest.fixture
def live(server, session):
    with Client(server.address, session) as client:
        client.do(defined(1))
        yield client


def refusing(monkeypatch, name, error, *, times):
    """Make a method of every store raise this error, so many times."""
    real, left = getattr(Store, name), [times]

    def once(*arguments, **options):
        if left[0]:
            left[0] -= 1
            raise error
        return real(*arguments, **options)

    monkeypatch.setattr(Store, name, once)


def test_an_answer_that_cannot_be_stored_is_painted_off_and_tried_again(live, monkeypatch):
    refusing(monkeypatch, "answer", DiskFullError("The disk is full; free some space and try again."), times=1)

    number = live.send(clicked(BOX))
    error = live.next("error")
    live.next("frame")

    assert error["id"] == number and error["position"] == 1 and "The disk is full" in error["message"]
    assert not live.map.any()
    live.do(defined(2, "bar"))  # the next event tries again
    if 1 not in live.answered:
        live.next("answered", position=1)
    np.testing.assert_array_equal(live.map, GREY == 10)


@pytest.mark.parametrize(("error", "status"), [(DiskFullError("It is full."), 507), (StoreError("It is gone."), 503)])
def test_a_refused_answer_has_its_own_status(client, session, live, monkeypatch, error, status):
    refusing(monkeypatch, "answer", error, times=1)

    reply = client.post(f"/api/sessions/{session}/events", json=clicked(BOX))

    assert reply.status_code == status and reply.json() == {"detail": str(error)}


@pytest.fixture
def behind(client, session, live, held):
    """Put down a slow click and a quick one behind it; return what gives the quick one's reply once it is let go."""
    events = f"/api/sessions/{session}/events"
    with ThreadPoolExecutor(2) as people:
        first = people.submit(client.post, events, json=clicked(BOX, method="slow"))
        live.next("accepted", position=1)
        second = people.submit(client.post, events, json=clicked(BAR))
        live.next("accepted", position=2)

        def let_go():
            held.released.set()
            return first.result(PATIENCE), second.result(PATIENCE)

        yield let_go
        held.released.set()


def test_who_waits_behind_a_refused_answer_is_told(client, session, live, behind, monkeypatch):
    refusing(monkeypatch, "answer", DiskFullError("The disk is full."), times=1)

    first, second = behind()

    assert (first.status_code, second.status_code) == (507, 507)
    assert second.json() == {"detail": "The disk is full."}
    assert client.post(f"/api/sessions/{session}/undo").status_code == 200  # the next event tries again
    while 1 not in live.answered:
        live.receive()
    np.testing.assert_array_equal(live.map, GREY == 10)


def test_who_waits_behind_what_cannot_be_taken_over_is_told(behind, monkeypatch):
    refusing(monkeypatch, "answer", ConflictError("It is answered."), times=1)
    refusing(monkeypatch, "session", StoreError("The database is gone."), times=1)

    replies = behind()

    assert [(reply.status_code, reply.json()["detail"]) for reply in replies] == [(503, "The database is gone.")] * 2


def test_an_event_that_cannot_be_stored_changes_nothing(client, session, live, monkeypatch):
    refusing(monkeypatch, "append", StoreError("The database is locked by another program."), times=1)

    reply = client.post(f"/api/sessions/{session}/events", json=clicked(BOX))

    assert reply.status_code == 503 and "locked by another program" in reply.json()["detail"]
    assert live.do(clicked(BAR))["position"] == 1
    np.testing.assert_array_equal(live.map, GREY == 20)


def test_a_log_that_moves_on_again_and_again_gets_the_event_at_last(client, store, session, live, monkeypatch):
    real, others = Store.append, [2, 3, 4, 5, 6]

    def beaten(self, session_id, position, event, *, user=""):
        if others:
            value = others.pop(0)
            real(self, session_id, position, event_from_json(defined(value, name=f"of another server {value}")))
        real(self, session_id, position, event, user=user)

    monkeypatch.setattr(Store, "append", beaten)

    assert client.post(f"/api/sessions/{session}/events", json=clicked(BOX)).json()["position"] == 6
    live.next("answered", position=6)
    accepted = [message["event"]["event"] for message in live.messages if message_is(message, "accepted")]
    assert accepted[-6:] == [*["defined"] * 5, "prompted"]
    np.testing.assert_array_equal(live.map, GREY == 10)


def message_is(message, kind):
    return isinstance(message, dict) and message["type"] == kind


def test_a_log_that_refuses_though_nobody_added_anything_is_a_conflict(client, session, live, monkeypatch):
    refusing(monkeypatch, "append", ConflictError("The session has 9 events; load it again."), times=3)

    reply = client.post(f"/api/sessions/{session}/events", json=clicked(BOX))

    assert reply.status_code == 409 and "load it again" in reply.json()["detail"]
    assert live.do(clicked(BAR))["position"] == 1


def test_an_answer_of_another_server_is_taken_over(live, store, session, monkeypatch):
    theirs = Patch.between(np.zeros((3, 6, 8), np.uint16), (GREY == 20).astype(np.uint16))
    real = Store.answer

    def beaten(self, session_id, position, patch, **options):
        real(self, session_id, position, theirs)
        return real(self, session_id, position, patch, **options)

    monkeypatch.setattr(Store, "answer", beaten)

    answer = live.do(clicked(BOX))

    assert answer["withdrawn"] is False and answer["state"]["pending"] == []
    np.testing.assert_array_equal(live.map, GREY == 20)
    assert store.session(session).answers[1] == theirs


def test_a_failing_method_whose_prompt_cannot_be_taken_back_waits(client, session, live, monkeypatch):
    events = f"/api/sessions/{session}/events"
    real, refused = Store.append, threading.Event()

    def refuse_undoing(self, session_id, position, event, *, user=""):
        if type(event).__name__ == "Undone":
            refused.set()
            raise StoreError("The database is gone.")
        return real(self, session_id, position, event, user=user)

    monkeypatch.setattr(Store, "append", refuse_undoing)
    assert client.post(events, json=clicked(BOX, method="broken")).status_code == 500
    assert refused.wait(PATIENCE)  # the reply may come before the prompt is taken back
    monkeypatch.undo()

    assert not live.map.any()
    assert client.get(f"/api/sessions/{session}").json()["pending"] == [1]
    assert client.post(events, json=clicked(BAR)).status_code == 200  # the broken one is removed, this one answered
    live.next("answered", position=2)
    np.testing.assert_array_equal(live.map, GREY == 20)


def test_a_session_that_stumbles_says_so_and_works_again(server, client, session, live, monkeypatch):
    with server.config.app.state.shared.sessions.open(session) as opened:
        real = opened._begin

        def stumbling():
            monkeypatch.setattr(opened, "_begin", real)
            raise MemoryError

        monkeypatch.setattr(opened, "_begin", stumbling)
        reply = client.post(f"/api/sessions/{session}/events", json=clicked(BOX))
        live.do(clicked(BAR))

        assert reply.status_code == 500 and "the next one tries again" in reply.json()["detail"]
        np.testing.assert_array_equal(live.map, np.isin(GREY, (10, 20)))


def wait_until_idle(server):
    """Wait until the threads that answer have nothing left to do, also not what is for when nobody waits."""
    over = threading.Event()

    def last():
        over.set()
        yield

    for _ in range(2 * server.settings.workers):
        over.clear()
        server.config.app.state.shared.sessions.pool.submit(last(), when_idle=True)
        assert over.wait(PATIENCE)


def test_a_method_is_prepared_once_and_not_for_each_who_comes(server, session, live, monkeypatch):
    import flood

    prepared = []
    live.do(clicked(BOX))  # who has been answered needs no preparing, either
    wait_until_idle(server)
    monkeypatch.setattr(flood.FloodWorkspace, "prepare", lambda _: prepared.append(1))

    with Client(server.address, session) as second:
        second.next("frame")
        wait_until_idle(server)
        second.do(clicked(BAR))

    assert prepared == []


def test_a_client_too_far_behind_is_sent_away(server, session, live, monkeypatch):
    monkeypatch.setattr(live_module, "MAX_WAITING_BYTES", 10)
    with pytest.raises(Exception, match="too far behind") as sent_away, Client(server.address, session) as slow:
        slow.receive()
    assert sent_away.value.rcvd.code == 1013


def test_pending_events_are_answered_when_a_session_is_opened(tmp_path):
    from segmend.core.session import event_from_json

    with Store.open(f"sqlite:///{tmp_path / 'segmend.db'}", str(tmp_path / "blobs")) as store:
        session = store.add_session(store.add_case("rooms", rooms()).id).id
        for place, event in enumerate([defined(1), clicked(BOX), clicked(BAR)]):
            store.append(session, place, event_from_json(event))

    with in_thread(settings(tmp_path)) as server, http(server) as client:
        end = time.monotonic() + PATIENCE
        while client.get(f"/api/sessions/{session}").json()["pending"]:
            assert time.monotonic() < end
            time.sleep(0.02)
        with Client(server.address, session) as live:
            live.next("frame")
            np.testing.assert_array_equal(live.map > 0, GREY > 0)


def test_events_from_many_threads_keep_one_log(server, session, live, store):
    def clicking(index):
        with http(server) as mine:
            for _ in range(5):
                assert mine.post(f"/api/sessions/{session}/events", json=clicked(index)).status_code == 200

    threads = [threading.Thread(target=clicking, args=(index,)) for index in (BOX, BAR, BOX, BAR)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    log = store.session(session)
    assert len(log.events) == 21 and log.pending == ()
    while 20 not in live.answered:
        live.receive()
    np.testing.assert_array_equal(live.map > 0, GREY > 0)


def test_what_a_session_holds_is_counted_between_its_steps_and_never_within_one(server, session, live):
    with server.config.app.state.shared.sessions.open(session) as opened, ThreadPoolExecutor(1) as people:
        with opened._lock:  # as a step holds it, which may add the voxels of another label
            counted = people.submit(lambda: opened.size_bytes)
            with pytest.raises(TimeoutError):
                counted.result(0.1)
        assert counted.result(PATIENCE) >= 0


def test_who_works_in_many_sessions_does_not_keep_another_waiting(tmp_path):
    order, go = [], threading.Event()

    def wait():
        go.wait(PATIENCE)
        yield

    with in_thread(settings(tmp_path, workers=1)) as server, ExitStack() as stack:
        stack.callback(go.set)
        shared = server.config.app.state.shared
        sessions = [shared.store.add_session(shared.store.add_case("rooms", rooms()).id).id for _ in range(4)]
        for session in sessions:
            shared.store.append(session, 0, event_from_json(defined(1)))
        opened = [stack.enter_context(shared.sessions.open(session)) for session in sessions]
        wait_until_idle(server)
        shared.sessions.pool.submit(wait(), whose="nobody")
        answers = []
        for one, user in zip(opened, ("ada", "ada", "ada", "ben"), strict=True):
            _, answer = one.accept(event_from_json(clicked(BOX)), user=user)
            answer.add_done_callback(lambda _, user=user: order.append(user))
            answers.append(answer)
        go.set()
        for answer in answers:
            answer.result(PATIENCE)
    assert order == ["ben", "ada", "ada", "ada"]
