"""Starting and ending: settings, taken ports, folders that cannot be, pages, errors nobody foresaw."""

import os
import re
import signal
import socket
import threading
import time

import pytest

from segmend import methods
from segmend.errors import SettingsError, StoreError
from segmend.runtime import warming
from segmend.server import app as app_module
from segmend.server import replies
from segmend.server.app import Server
from segmend.server.settings import ServerSettings
from segmend.store import Store
from tests.server.running import PATIENCE, Process, http, in_thread, settings


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"port": 70000}, "number of 0 to 65535; got 70000"),
        ({"token": "short"}, "at least 8 printable ASCII characters"),
        ({"token": "tökentöken"}, "at least 8 printable ASCII characters"),
        ({"workers": 0}, "at least 1 worker; got 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, options, words):
    with pytest.raises(SettingsError, match=re.escape(words)):
        ServerSettings(tmp_path, **options)


def test_a_taken_port_is_one_sentence(tmp_path, server):
    with pytest.raises(SettingsError, match=r"cannot listen at 127.0.0.1:\d+: Address already in use"):
        Server(settings(tmp_path, port=server.settings.port))


def test_a_reply_does_not_wait_for_the_client_to_acknowledge_its_head(client):
    """Nagle's algorithm and delayed acknowledgements together make 40 ms of it on a connection that is kept."""
    seconds = []
    for _ in range(100):
        begun = time.perf_counter()
        client.get("/api/formats")
        seconds.append(time.perf_counter() - begun)

    assert min(seconds[1:]) < 0.03


def test_a_name_that_is_no_address_is_one_sentence(tmp_path):
    with pytest.raises(SettingsError, match="cannot listen at no.such.name.invalid:0"):
        Server(settings(tmp_path, host="no.such.name.invalid"))


def test_a_data_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match=r"The data folder .*file/data cannot be made: Not a directory"):
        Server(settings(tmp_path / "file" / "data"))


def test_a_server_in_a_process_ends_cleanly(tmp_path, plugin_path):
    process = Process(tmp_path, plugin_path)
    with http(process) as client:
        assert client.get("/api/health").json()["status"] == "ok"

    assert process.end() == (0, "")


def until_ready(client):
    """Wait until health says that the server is ready."""
    end = time.monotonic() + PATIENCE
    while not client.get("/api/health").json()["ready"]:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_health_says_when_the_method_is_loaded_and_warm(tmp_path, monkeypatch):
    warmed, released = [], threading.Event()

    def warm(_segmenter, card, dimension):
        released.wait(PATIENCE)
        warmed.append((card.id, dimension))

    monkeypatch.setattr(warming, "warm", warm)
    methods._warm.cache_clear()
    try:
        with in_thread(settings(tmp_path, method="graphcut")) as server, http(server) as client:
            assert client.get("/api/health").json()["ready"] is False
            released.set()
            until_ready(client)
            assert warmed == [("graphcut", 2), ("graphcut", 3)]
    finally:
        released.set()
        methods._warm.cache_clear()


def test_a_missing_method_is_said_in_the_log_only(tmp_path, caplog):
    with in_thread(settings(tmp_path, method="none such")) as server, http(server) as client:
        until_ready(client)
    assert "The method none such is not there: There is no method 'none such'" in caplog.text


def test_leftovers_of_a_killed_server_are_swept(tmp_path):
    for name, age in [("upload-old", 7200), ("export-old", 7200), ("upload-new", 0)]:
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)

    with in_thread(settings(tmp_path)):
        assert sorted(p.name for p in tmp_path.iterdir() if "load-" in p.name or "port-" in p.name) == ["upload-new"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_an_older_data_folder_is_taken_from_other_accounts_with_one_line(tmp_path, caplog):
    before = os.umask(0o022)
    try:
        (tmp_path / "blobs").mkdir()
        Store.local(tmp_path).close()
        for path in (tmp_path, tmp_path / "blobs"):
            path.chmod(0o755)
        (tmp_path / "segmend.db").chmod(0o644)
        with in_thread(settings(tmp_path)) as server, http(server) as client:
            assert client.get("/api/health").status_code == 200
            found = {path.name: oct(path.stat().st_mode & 0o777) for path in [tmp_path, *tmp_path.iterdir()]}
    finally:
        os.umask(before)

    assert found[tmp_path.name] == found["blobs"] == "0o700"
    assert found["segmend.db"] == found["segmend.db-wal"] == "0o600"
    assert [line for line in caplog.messages if "accounts" in line] == [
        f"Other accounts could look into the data folder {tmp_path}; now only its owner can."
    ]


def test_pages_are_served_and_nothing_beside_them(tmp_path, monkeypatch):
    pages = tmp_path / "pages"
    (pages / "assets").mkdir(parents=True)
    (pages / "index.html").write_text("<p>the annotator")
    (pages / "assets" / "main.js").write_text("1")
    (tmp_path / "secret.txt").write_text("secret")
    (pages / "link.txt").symlink_to(tmp_path / "secret.txt")
    monkeypatch.setattr(app_module, "PAGES", pages)

    with in_thread(settings(tmp_path / "data")) as server, http(server) as client:
        assert client.get("/").text == "<p>the annotator"
        assert client.get("/assets/main.js").text == "1"
        assert client.get("/link.txt").status_code == 404
        assert client.get("/none.js").json() == {"detail": "There is nothing at this address."}
        for path in [
            "/../secret.txt",
            "/%2e%2e/secret.txt",
            "/..%2fsecret.txt",
            "/assets/..\\..\\..\\secret.txt",
            "//",
        ]:
            with socket.create_connection(("127.0.0.1", server.settings.port)) as raw:
                raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                reply = b"".join(iter(lambda: raw.recv(4096), b""))
            assert b"secret" not in reply, path


def test_without_pages_the_server_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(app_module, "PAGES", tmp_path / "none")
    with in_thread(settings(tmp_path)) as server, http(server) as client:
        assert "was not built with this package" in client.get("/").text


def test_an_error_nobody_foresaw_is_one_sentence_and_a_line_in_the_log(tmp_path, caplog):
    with in_thread(settings(tmp_path)) as server, http(server) as client:

        @server.config.app.get("/api/oops")
        def oops():
            raise RuntimeError("Jane Doe, born 1970")

        router = server.config.app.router
        router.routes.insert(0, router.routes.pop())
        reply = client.get("/api/oops")

    assert reply.status_code == 500 and reply.json() == {"detail": replies.UNEXPECTED}
    assert "RuntimeError at" in caplog.text and "Jane" not in caplog.text


def test_sigterm_ends_it_too(tmp_path, plugin_path):
    process = Process(tmp_path, plugin_path)

    process.process.send_signal(signal.SIGTERM)
    _, logged = process.process.communicate(timeout=60)

    assert process.process.returncode in (0, -signal.SIGTERM) and logged == ""
