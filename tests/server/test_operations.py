"""What those who run a server see of it: TLS, readiness, metrics, request ids and logs."""

from __future__ import annotations

import json
import logging
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from segmend.errors import SettingsError
from segmend.server.app import Server
from tests.server.certificates import Certificate, certificate_of
from tests.server.running import PATIENCE, Client, clicked, defined, http, in_thread, rooms, settings


def values(client: httpx.Client) -> dict[tuple[str, ...], float]:
    """Return all samples of the metrics, by their names and labels."""
    reply = client.get("/metrics")
    assert reply.status_code == 200 and reply.headers["content-type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(reply.text)
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate_of(tmp_path_factory.mktemp("tls"))


class TestTls:
    def test_pages_and_live_connections_go_over_it(self, tmp_path, certificate):
        chain, key, _ = certificate
        trusting = ssl.create_default_context(cafile=chain)
        with in_thread(settings(tmp_path, ssl_cert=chain, ssl_key=key, token="a good token")) as server:
            assert server.address.startswith("https://localhost:")
            store = server.config.app.state.shared.store
            session = store.add_session(store.add_case("rooms", rooms()).id).id
            with httpx.Client(base_url=server.address.split("?")[0], verify=trusting) as browser:
                assert browser.get("/api/cases").status_code == 401
                entered = browser.get("/?token=a good token")
                assert entered.status_code == 303 and "; Secure" in entered.headers["set-cookie"]
            bearer = {"Authorization": "Bearer a good token"}
            with Client(server.address, session, ssl=trusting, additional_headers=bearer) as live:
                live.do(defined(1))
                live.do(clicked((1, 2, 2)))
                assert live.map.sum() == 27

    def test_it_ends_in_order_while_a_client_leaves(self, tmp_path, certificate, monkeypatch):
        chain, key, _ = certificate
        trusting = ssl.create_default_context(cafile=chain)
        with in_thread(settings(tmp_path, ssl_cert=chain, ssl_key=key, token="a good token")) as server:
            store = server.config.app.state.shared.store
            session = store.add_session(store.add_case("rooms", rooms()).id).id
            port = urlsplit(server.address).port
            plain = socket.create_connection(("localhost", port), PATIENCE)
            leaving = trusting.wrap_socket(plain, server_hostname="localhost")
            leaving.sendall(
                f"GET /api/sessions/{session}/live HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
                "Sec-WebSocket-Version: 13\r\nAuthorization: Bearer a good token\r\n\r\n".encode()
            )
            assert leaving.recv(12) == b"HTTP/1.1 101"
            leaving.sendall(b"\x88\x82\0\0\0\0\x03\xe8")  # a close frame; the end of TLS never follows
            wait_until(lambda: any(one.transport.is_closing() for one in server.server_state.connections))
            imports = server.config.app.state.shared.imports
            ended, close = [], imports.close

            def leave_and_close():
                leaving.close()
                wait_until(lambda: not server.server_state.connections)
                close()
                ended.append(True)

            monkeypatch.setattr(imports, "close", leave_and_close)
        assert ended  # the end of the app, which a client that left had kept away

    def test_what_cannot_be_used_is_told_before_anything_listens(self, tmp_path, certificate):
        chain, key, locked = certificate
        (tmp_path / "none.pem").write_text("no certificate")
        for cert, with_key, words in (
            (tmp_path / "none.pem", key, "cannot be used"),
            (chain, None, "cannot be used"),
            (chain, locked, "needs to be without a password"),
        ):
            with pytest.raises(SettingsError, match=words):
                Server(settings(tmp_path / "data", ssl_cert=cert, ssl_key=with_key))
        with pytest.raises(SettingsError, match="needs its certificate"):
            settings(tmp_path, ssl_key=key)


class TestReadiness:
    def test_it_asks_the_method_and_the_store(self, tmp_path, monkeypatch):
        with in_thread(settings(tmp_path, token="a good token")) as server, http(server) as client:
            shared = server.config.app.state.shared
            assert shared.ready.wait(60)
            ready = client.get("/readyz")
            assert (ready.status_code, ready.json()) == (200, {"ready": True, "store": True, "method": True})
            shared.ready.clear()
            assert client.get("/readyz").json() == {"ready": False, "store": True, "method": False}
            shared.ready.set()
            database = tmp_path / "segmend.db"
            for path in tmp_path.glob("segmend.db*"):
                path.rename(path.with_name(f"away-{path.name}"))
            shared.store.database.close()
            database.mkdir()
            gone = client.get("/readyz")
            assert (gone.status_code, gone.json()) == (503, {"ready": False, "store": False, "method": True})
            database.rmdir()


class TestMetrics:
    def test_requests_answers_and_connections_are_counted(self, client, store, server):
        session = store.add_session(store.add_case("rooms", rooms()).id).id
        before = values(client)

        def grown(*name: str) -> float:
            now = values(client)
            return now.get(name, 0.0) - before.get(name, 0.0)

        client.get("/api/cases/none")
        client.get("/nowhere/at/all")
        client.request("BREW", "/api/cases")
        with Client(server.address, session) as live:
            live.do(defined(1))
            live.do(clicked((1, 2, 2)))
            assert grown("segmend_live_connections") == 1
        assert grown("segmend_http_requests_total", "GET", "/api/cases/{case}", "404") == 1
        assert grown("segmend_http_request_seconds_count", "/api/cases/{case}") == 1
        assert grown("segmend_http_requests_total", "other", "pages", "405") == 1
        assert grown("segmend_answer_seconds_count", "flood", "answered") == 1
        now = values(client)
        assert now["segmend_ready",] in (0, 1) and now["segmend_read_only",] == 0
        assert now["process_resident_memory_bytes",] > 1e7 and now["segmend_kept_limit_bytes",] > 0
        assert now["segmend_open_sessions",] >= 1

    def test_they_need_the_token_and_name_nobody(self, tmp_path):
        with in_thread(settings(tmp_path, token="a good token")) as server, http(server) as client:
            store = server.config.app.state.shared.store
            case = store.add_case("Mustermann, Erika", rooms(), patient="Patient-4711").id
            client.headers["Authorization"] = "Bearer a good token"
            client.get("/api/cases", params={"search": "Mustermann"})
            client.get(f"/api/cases/{case}")
            told = client.get("/metrics").text
            del client.headers["Authorization"]
            assert client.get("/metrics").status_code == 401
        assert "segmend_http_requests_total" in told
        assert not any(secret in told for secret in ("Mustermann", "Patient-4711", case, "good token"))


class TestRequests:
    def test_an_id_comes_back_and_stands_in_the_log(self, client, caplog):
        assert client.get("/api/health", headers={"X-Request-ID": "a1:b2"}).headers["X-Request-ID"] == "a1:b2"
        drawn = [client.get("/api/health").headers["X-Request-ID"] for _ in range(2)]
        assert drawn[0] != drawn[1] and len(drawn[0]) == 32
        forged = client.get("/api/health", headers={"X-Request-ID": 'x" level=error'}).headers["X-Request-ID"]
        assert len(forged) == 32

    def test_each_is_a_line_without_names_and_addresses(self, tmp_path, caplog):
        caplog.set_level(logging.INFO, "segmend.requests")
        with in_thread(settings(tmp_path, log_requests=True)) as server, http(server) as client:
            client.get("/api/cases", params={"search": "Mustermann"})
            client.get("/api/cases/0123")
        lines = [record for record in caplog.records if record.name == "segmend.requests"]
        assert [(line.route, line.status) for line in lines] == [("/api/cases", 200), ("/api/cases/{case}", 404)]
        assert "Mustermann" not in caplog.text and "0123" not in caplog.text


@contextmanager
def started(*options: str):
    """Run `segmend start` and give its process and its address."""
    command = [sys.executable, "-m", "segmend", "start", "--no-browser", "--no-samples", "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process, process.stdout.readline().split()[3]
    finally:
        process.kill()
        process.communicate()


def test_the_log_as_json_lines(tmp_path):
    """The text form's line is that of people; here each line is one object, for a collector of logs."""
    options = ("--folder", str(tmp_path), "--log-format", "json", "--log-requests", "--method", "graphcut")
    with started(*options) as (process, address), http(address) as client:
        client.get("/api/health", headers={"X-Request-ID": "mine"})
        process.send_signal(signal.SIGINT)
        _, logged = process.communicate(timeout=60)
    lines = [json.loads(line) for line in logged.splitlines()]
    (line,) = [line for line in lines if line.get("route") == "/api/health"]
    assert line["request_id"] == "mine" and line["status"] == 200 and line["level"] == "info"
    assert line["milliseconds"] >= 0 and line["time"].endswith("+00:00")


def test_what_cannot_be_answered_soon_is_refused_and_not_stored(server, client, session, held, monkeypatch):
    with server.config.app.state.shared.sessions.open(session) as opened:
        monkeypatch.setattr(opened, "_max_waiting", 2)
        with Client(server.address, session) as live:
            live.do(defined(1))
            first = live.next("accepted", id=live.send(clicked((1, 2, 2), method="slow")))["position"]
            assert held.begun.wait(PATIENCE)
            last = live.next("accepted", id=live.send(clicked((1, 2, 3), method="slow")))["position"]
            number = live.send(clicked((1, 2, 1), method="slow"))
            assert live.next("error", id=number)["message"].startswith("2 events of this session wait")
            refused = client.post(f"/api/sessions/{session}/events", json=clicked((1, 2, 1)))
            assert refused.status_code == 503 and refused.headers["Retry-After"] == "2"
            assert refused.json()["detail"] == "2 events of this session wait for their answers; send others later."
            held.released.set()
            live.next("answered", position=last)
            live.do(clicked((1, 2, 1)))
    assert (first, last) == (1, 2)
    assert len(client.get(f"/api/sessions/{session}").json()["events"]) == 4
