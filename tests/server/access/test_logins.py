"""Logins and wrong tokens: what a browser holds, when it ends, and how long a guesser waits."""

import os
import threading
import time

import pytest
from websockets.exceptions import ConnectionClosed

from segmend.server.access import guesses, logins
from segmend.server.access.guesses import Guesses
from segmend.server.access.logins import IDLE_SECONDS, LIFE_SECONDS, Logins
from segmend.store.accounts import token_hash
from tests.server.running import PATIENCE, Client, http, in_thread, rooms, settings

TOKEN = "correct-horse-battery"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Clock:
    def __init__(self):
        self.time = time.time()

    def __call__(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def kept(tmp_path, clock):
    """Logins of a folder; the hashes in `known` are those of tokens that open."""
    known = {token_hash(TOKEN), token_hash("of ada")}
    return Logins(tmp_path, lambda user, key: key in known, clock), known


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    with in_thread(settings(tmp_path_factory.mktemp("logins"), token=TOKEN, proxies=("127.0.0.1",))) as running:
        yield running


def login(client):
    """Open the address with the token, as a browser does; returns the cookie's value."""
    reply = client.get("/api/cases", params={"token": TOKEN})
    assert reply.status_code == 303
    return reply.cookies[next(iter(reply.cookies))]


def test_a_login_is_not_the_token_and_its_file_is_not_the_login(kept, tmp_path):
    number = kept[0].begin("ada", token_hash("of ada"))

    files = list((tmp_path / "logins").iterdir())
    assert kept[0].find(number) == "ada" and number not in files[0].name and "of ada" not in files[0].read_text()
    if os.name != "nt":
        assert files[0].stat().st_mode & 0o777 == 0o600 and (tmp_path / "logins").stat().st_mode & 0o777 == 0o700


def test_a_server_that_is_started_anew_still_knows_it(kept, tmp_path, clock):
    number = kept[0].begin("", token_hash(TOKEN))

    again = Logins(tmp_path, lambda user, key: key in kept[1], clock)

    assert again.find(number) == "" and again.find(number + "x") is None and again.find("../token") is None


def test_it_ends_when_it_is_not_used_for_half_a_day(kept, clock):
    number = kept[0].begin("", token_hash(TOKEN))

    for _ in range(3):
        clock.time += IDLE_SECONDS - 10
        assert kept[0].find(number) == ""
    clock.time += IDLE_SECONDS - 10
    assert kept[0].find(number, used=False) == ""
    clock.time += 20
    assert kept[0].find(number) is None


def test_it_ends_after_a_week_however_much_it_is_used(kept, clock):
    number, begun = kept[0].begin("", token_hash(TOKEN)), clock.time

    while clock.time - begun < LIFE_SECONDS - IDLE_SECONDS:
        clock.time += IDLE_SECONDS / 2
        assert kept[0].find(number) == ""
    clock.time = begun + LIFE_SECONDS + 1
    assert kept[0].find(number) is None


def test_it_ends_with_its_token(kept, clock):
    number = kept[0].begin("ada", token_hash("of ada"))
    kept[1].remove(token_hash("of ada"))

    clock.time += logins.REVIEW_SECONDS

    assert kept[0].find(number) is None


def test_another_server_on_the_folder_sees_that_it_ended(kept, tmp_path, clock):
    number = kept[0].begin("", token_hash(TOKEN))
    other = Logins(tmp_path, lambda user, key: True, clock)
    assert other.find(number) == ""

    kept[0].end(number)
    clock.time += logins.REVIEW_SECONDS

    assert other.find(number) is None


def test_there_are_never_more_than_a_limit(kept, tmp_path, clock, monkeypatch):
    monkeypatch.setattr(logins, "MAX_LOGINS", 3)
    numbers = []
    for _ in range(5):
        clock.time += 10
        numbers.append(kept[0].begin("", token_hash(TOKEN)))
        os.utime(max((tmp_path / "logins").iterdir(), key=os.path.getmtime), (clock.time,) * 2)

    assert len(list((tmp_path / "logins").iterdir())) == 3 and kept[0].find(numbers[-1]) == ""


def test_a_folder_that_cannot_be_written_keeps_it_in_memory(tmp_path, clock):
    (tmp_path / "logins").write_text("no folder")
    kept = Logins(tmp_path, lambda user, key: True, clock)

    number = kept.begin("", token_hash(TOKEN))
    clock.time += 100

    assert kept.find(number) == ""
    kept.end(number)
    assert kept.find(number) is None


def test_logging_out_ends_the_login_and_its_live_connection(guarded):
    store = guarded.config.app.state.shared.store
    session = store.add_session(store.add_case("rooms", rooms()).id).id
    with http(guarded) as client:
        number = login(client)
        cookie = {"Cookie": f"segmend_{guarded.settings.port}={number}"}
        with Client(guarded.address, session, additional_headers=cookie) as live:
            reply = client.post("/api/logout")
            assert reply.status_code == 204 and "Max-Age=0" in reply.headers["set-cookie"]
            assert client.get("/api/cases").status_code == 401
            assert client.get("/api/cases", headers=cookie).status_code == 401
            with pytest.raises(ConnectionClosed) as closed:
                live.next("answered")
            assert closed.value.rcvd.reason == "logged out"


def test_logging_out_without_a_login_changes_nothing(guarded):
    with http(guarded, headers=BEARER) as client:
        assert client.post("/api/logout").status_code == 204
        assert client.get("/api/cases").status_code == 200


def test_a_deleted_user_is_logged_out(guarded, monkeypatch):
    monkeypatch.setattr(logins, "REVIEW_SECONDS", 0.0)
    store = guarded.config.app.state.shared.store
    store.accounts.add("eve", token="a token for eve alone")
    with http(guarded) as client:
        assert client.get("/api/cases", params={"token": "a token for eve alone"}).status_code == 303
        assert client.get("/api/cases").status_code == 200
        store.accounts.remove("eve")
        assert client.get("/api/cases").status_code == 401


def test_wrong_tokens_make_the_next_ones_wait_ever_longer():
    times = iter([0.0] * 100)
    kept = Guesses(now=lambda: next(times))
    waits = []
    for _ in range(12):
        waits.append(kept.wait("192.0.2.7"))
        kept.add("192.0.2.7")

    assert waits[:6] == [0.0] * 6 and waits[6:9] == [0.25, 0.75, 1.75]
    assert waits[-1] is None  # too many wait already
    assert kept.wait("192.0.2.8") == 0.0


def test_a_peer_is_forgiven_for_the_right_token_and_after_a_while():
    clock = Clock()
    kept = Guesses(now=clock)
    for name in ("one", "other"):
        for _ in range(guesses.FREE + 3):
            kept.add(name)
    assert kept.wait("one") > 0

    kept.forgive("one")
    clock.time += guesses.FORGIVEN_SECONDS + 1

    assert kept.wait("one") == kept.wait("other") == 0.0 and not kept


def test_only_so_many_peers_are_remembered(monkeypatch):
    monkeypatch.setattr(guesses, "MAX_PEERS", 10)
    kept = Guesses()
    for number in range(100):
        kept.add(str(number))

    assert len(kept._peers) == 10


def test_a_guesser_waits_alone(guarded, monkeypatch):
    """Each of two people behind a proxy is known by an address of their own."""

    def ask(client, address, token):
        headers = {"X-Forwarded-For": address, "Authorization": f"Bearer {token}"}
        begun = time.monotonic()
        return client.get("/api/cases", headers=headers).status_code, time.monotonic() - begun

    with http(guarded) as client, http(guarded) as other:
        number = login(other)
        for _ in range(guesses.FREE + 3):
            assert ask(client, "192.0.2.1", "a wrong token")[0] == 401
        monkeypatch.setattr(guesses, "FIRST_SECONDS", 2.0)
        monkeypatch.setattr(guesses, "MOST_SECONDS", 8.0)
        slow = threading.Thread(target=ask, args=(client, "192.0.2.1", "a wrong token"))
        slow.start()  # it waits for eight seconds

        assert ask(other, "192.0.2.2", TOKEN)[0] == 200
        cookie = {"Cookie": f"segmend_{guarded.settings.port}={number}", "X-Forwarded-For": "192.0.2.1"}
        assert other.get("/api/cases", headers=cookie).status_code == 200
        assert other.get("/api/health").status_code == 200

        assert slow.is_alive()
        slow.join(PATIENCE)
        monkeypatch.undo()
        status, seconds = ask(client, "192.0.2.1", TOKEN)
        assert status == 200 and seconds >= 2  # the right token says no sooner that it is right
        monkeypatch.setattr(guesses, "FIRST_SECONDS", 60.0)
        monkeypatch.setattr(guesses, "MOST_SECONDS", 60.0)  # who waits so long is refused
        assert ask(client, "192.0.2.1", TOKEN)[0] == 200


def test_more_guesses_at_once_than_may_wait_are_refused(guarded, monkeypatch):
    monkeypatch.setattr(guesses, "PATIENCE_SECONDS", 1.0)
    with http(guarded) as client:
        headers = {"X-Forwarded-For": "192.0.2.3", "Authorization": "Bearer another wrong one"}
        for _ in range(guesses.FREE + 1):
            client.get("/api/cases", headers=headers)
        statuses = []

        def ask():
            with http(guarded) as another:
                statuses.append(another.get("/api/cases", headers=headers))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)

    refused = [reply for reply in statuses if reply.status_code == 429]
    assert {reply.status_code for reply in statuses} == {401, 429}
    assert refused[0].headers["retry-after"] == "10" and "Too many wrong tokens" in refused[0].json()["detail"]
