"""Several servers on one store: each tells its people what happened on the others."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

from segmend.core.session import Canvas, event_from_json
from segmend.server.sessions import open_session
from segmend.store import Store
from segmend.store.verify import verify
from tests.server.running import PATIENCE, Client, Process, clicked, defined, http, in_thread, rooms, settings
from tests.store.servers import S3, Postgres, postgres_folder

BOX, BAR = (1, 2, 2), (1, 2, 5)
GREY = rooms().voxels[0]
SOON = 20  # seconds: what takes a fifth of one on a machine that is not busy


@pytest.fixture(scope="module")
def postgres():
    programs = postgres_folder()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: apt-get install postgresql)")
    server = Postgres(programs)
    yield server
    server.close()


@pytest.fixture
def bucket():
    """Where blobs may be kept on a real S3 server, with what opens it."""
    server = S3()
    yield f"{server.bucket()}?{'&'.join(f'{name}={value}' for name, value in server.storage.items())}"
    server.stop()


@contextmanager
def two_servers(folder, plugin_path, database=None):
    """Give the addresses of two server processes on one store, and the store itself."""
    with ThreadPoolExecutor(2) as threads:
        processes = list(threads.map(lambda _: Process(folder, plugin_path, database=database), range(2)))
    with Store.open(database or f"sqlite:///{folder / 'segmend.db'}", str(folder / "blobs")) as store:
        yield processes[0].address, processes[1].address, store
    for process in processes:
        process.kill()


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory, plugin_path):
    with two_servers(tmp_path_factory.mktemp("sqlite"), plugin_path) as servers:
        yield servers


@pytest.fixture(scope="module")
def on_postgres(tmp_path_factory, plugin_path, postgres):
    with two_servers(tmp_path_factory.mktemp("postgres"), plugin_path, postgres.database()) as servers:
        yield servers


@pytest.fixture(params=["on_sqlite", "on_postgres"])
def servers(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def session(servers):
    """A session with a label."""
    store = servers[2]
    session = store.add_session(store.add_case("rooms", rooms()).id).id
    store.append(session, 0, event_from_json(defined(1)))
    return session


def test_who_watches_on_one_server_sees_what_happens_on_the_other(servers, session):
    one, two, _ = servers
    with Client(one, session) as here, Client(two, session) as there:
        here.do(clicked(BOX))
        begun = time.monotonic()
        accepted = there.next("accepted", SOON, position=1)
        answered = there.next("answered", SOON, position=1)
        seconds = time.monotonic() - begun

        assert accepted["id"] is None and accepted["event"]["prompt"]["index"] == list(BOX)
        assert answered["withdrawn"] is False and answered["state"]["pending"] == []
        np.testing.assert_array_equal(there.map, GREY == 10)

        there.do(clicked(BAR))
        here.next("answered", SOON, position=2)
        np.testing.assert_array_equal(here.map, GREY > 0)
        here.do({"event": "undone"})
        there.next("answered", SOON, position=3)
        np.testing.assert_array_equal(there.map, GREY == 10)
        there.do({"event": "redone"})
        here.next("answered", SOON, position=4)
        np.testing.assert_array_equal(here.map, GREY > 0)
    assert seconds < SOON


def test_rest_tells_what_the_other_server_did(servers, session):
    one, two, _ = servers
    with http(one) as first, http(two) as second:
        assert len(second.get(f"/api/sessions/{session}").json()["events"]) == 1
        first.post(f"/api/sessions/{session}/events", json=clicked(BOX))
        end = time.monotonic() + SOON
        while (state := second.get(f"/api/sessions/{session}").json())["pending"] or len(state["events"]) < 2:
            assert time.monotonic() < end
            time.sleep(0.02)


def test_a_case_that_is_deleted_on_one_server_is_not_served_by_the_other(servers, session):
    one, two, store = servers
    case = store.session_record(session).case
    with http(one) as first, http(two) as second, Client(two, session) as watching:
        assert second.get(f"/api/cases/{case}/volume.nii").status_code == 200
        assert first.delete(f"/api/cases/{case}").status_code == 204

        assert second.get(f"/api/cases/{case}").status_code == 404
        assert second.get(f"/api/cases/{case}/volume.nii").status_code == 404  # from memory, before
        assert second.get(f"/api/sessions/{session}/export").status_code == 404
        assert watching.next("error", SOON)["message"] == "This case was deleted."
        for path in ("", "/map", "/uncertain"):
            assert second.get(f"/api/sessions/{session}{path}").status_code == 404


def test_clicks_on_two_servers_at_the_same_moment_are_all_in(servers, session):
    one, two, store = servers
    together, failures = threading.Barrier(4), []

    def work(address, positive):
        with http(address) as client:
            together.wait(SOON)
            for number in range(8):
                event = clicked(BOX if number % 2 else BAR, positive=positive)
                reply = client.post(f"/api/sessions/{session}/events", json=event)
                if reply.status_code != 200:
                    failures.append(reply.text)

    with Client(one, session) as here, Client(two, session) as there:
        threads = [
            threading.Thread(target=work, args=(address, positive))
            for address in (one, two)
            for positive in (True, False)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        for client in (here, there):
            if 32 not in client.answered:
                client.next("answered", position=32)
            assert [m["position"] for m in client.messages if isinstance(m, dict) and m["type"] == "accepted"] == [
                *range(1, 33)
            ]
            assert set(client.answered) == set(range(1, 33))
        np.testing.assert_array_equal(here.map, there.map)

    assert failures == []
    assert len(store.session(session).events) == 33 and store.session(session).pending == ()


@pytest.mark.parametrize("died", [True, False])
def test_an_event_of_a_server_that_died_is_answered_by_another_one(tmp_path, monkeypatch, died):
    monkeypatch.setattr(open_session, "OTHERS_SECONDS", 1.0 if died else 100.0)
    with in_thread(settings(tmp_path)) as server:
        store = server.config.app.state.shared.store
        with Store.local(tmp_path) as other:
            session = other.add_session(store.add_case("rooms", rooms()).id).id
            other.append(session, 0, event_from_json(defined(1)))
            with Client(server.address, session) as watching:
                begun = time.monotonic()
                other.append(session, 1, event_from_json(clicked(BOX)))
                assert watching.next("accepted", SOON, position=1)["id"] is None
                assert watching.state["pending"] == []
                if died:
                    watching.next("answered", SOON, position=1)
                    assert time.monotonic() - begun > 0.9
                    np.testing.assert_array_equal(watching.map, GREY == 10)
                else:
                    with pytest.raises(TimeoutError):
                        watching.receive(timeout=2)


@pytest.mark.parametrize("servers", ["on_postgres"], indirect=True)
def test_word_comes_again_after_the_database_was_away(servers, session, postgres):
    one, two, _ = servers
    with Client(one, session) as here, Client(two, session) as there:
        here.do(clicked(BOX))
        there.next("answered", SOON, position=1)
        postgres.stop()
        postgres.start()

        here.do(clicked(BAR))
        there.next("answered", 3 * SOON, position=2)
        np.testing.assert_array_equal(there.map, GREY > 0)


def test_one_of_two_machines_is_killed_and_the_other_goes_on_with_all_that_was_accepted(
    tmp_path, plugin_path, postgres, bucket
):
    """Each with a folder of its own, on one PostgreSQL and one S3."""
    place = {"database": postgres.database(), "blobs": bucket}
    with Store.open(place["database"], bucket) as store:
        case = store.add_case("rooms", rooms()).id
        session = store.add_session(case).id
        store.append(session, 0, event_from_json(defined(1)))
        with ThreadPoolExecutor(2) as threads:
            one, two = threads.map(lambda name: Process(tmp_path / name, plugin_path, **place), ("one", "two"))
        here = Client(one.address, session)
        with Client(two.address, session) as there:
            sent = [here.send(clicked(BOX if n % 2 else BAR, positive=n % 3 != 0)) for n in range(12)]
            accepted = [here.next("accepted", SOON, id=number)["position"] for number in sent]
            one.kill()
            there.do(clicked(BOX))
            last = accepted[-1] + 1
            if last not in there.answered:
                there.next("answered", PATIENCE, position=last)
            assert {*accepted, last} <= set(there.answered)
            there.do({"event": "undone"})
            with http(two.address) as client:
                assert client.get(f"/api/cases/{case}/volume.nii").status_code == 200
            worked = store.session(session)
            assert len(worked.events) == 15 and worked.pending == ()
            kept = Canvas(worked.shape)
            kept.follow(worked)
            np.testing.assert_array_equal(there.map, kept.map)
        two.kill()
        assert [one.damage for one in verify(store) if one.damage] == []
