"""Who needs a token on the machine itself: everybody but programs of the account that runs the server."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from websockets.exceptions import InvalidStatus

from segmend.io import write_image
from segmend.server.access import auth
from segmend.server.access.peers import account_of, own_account
from segmend.server.access.tokens import drawn_token
from tests.server.running import PATIENCE, Client, http, in_thread, rooms, settings
from tests.store.servers import free_port

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a connection is")
NOBODY = 65534
ASK = """
import http.client, json, sys
method, port, path, body, headers = json.loads(sys.argv[1])
connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
connection.request(method, path, body, headers)
reply = connection.getresponse()
print(json.dumps([reply.status, reply.read().decode("utf-8", "replace")]))
"""


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """A server as `segmend start` runs it: on localhost, no token given."""
    folder = tmp_path_factory.mktemp("ours")
    with in_thread(settings(folder / "data", link_folders=(folder,))) as running:
        yield running


@pytest.fixture
def token(ours):
    return {"Authorization": f"Bearer {ours.settings.token}"}


def ask_as_nobody(server, method, path, body=None, headers=None):
    """Ask as another account of this machine; only root can become one."""
    if os.geteuid() != 0:
        pytest.skip("only root can run a program as another account")
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")  # ours may lie in root's own folder
    if python is None:
        pytest.skip("there is no Python that other accounts may run")
    asked = json.dumps([method, server.settings.port, path, body, headers or {}])
    done = subprocess.run(
        [python, "-I", "-c", ASK, asked], user=NOBODY, group=NOBODY, extra_groups=[], cwd="/",
        capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@linux
def test_the_account_that_runs_the_server_needs_no_token(ours):
    assert ours.settings.token and ours.address.endswith(f"/?token={ours.settings.token}")
    with http(ours) as client:
        assert client.get("/api/cases").status_code == 200
        case = ours.config.app.state.shared.store.add_case("rooms", rooms()).id
        session = client.post(f"/api/cases/{case}/sessions").json()["id"]
    with Client(ours.address, session) as live:
        assert live.state["events"] == []


@linux
def test_the_account_is_known_on_ipv6_too(tmp_path):
    with in_thread(settings(tmp_path, host="::1")) as server, http(f"http://[::1]:{server.settings.port}") as client:
        assert client.get("/api/cases").status_code == 200
        assert client.get("/api/cases", headers={"Via": "1.1 proxy"}).status_code == 401


@linux
def test_another_account_reads_nothing_without_the_token(ours, token):
    private = ours.settings.data.parent / "private.nii"
    write_image(private, rooms())
    private.chmod(0o600)
    link = json.dumps({"path": str(private)})

    assert ask_as_nobody(ours, "GET", "/api/health")[0] == 200
    for method, path, body in [("GET", "/", None), ("GET", "/api/cases", None), ("POST", "/api/cases/link", link)]:
        assert ask_as_nobody(ours, method, path, body) == [
            401,
            json.dumps({"detail": auth.NEEDS_TOKEN}, separators=(",", ":")),
        ]
    assert ask_as_nobody(ours, "GET", "/api/cases", None, token)[0] == 200
    for name in ("token", "segmend.db"):
        with pytest.raises(PermissionError):
            read_as_nobody(ours.settings.data / name)


def read_as_nobody(path):
    done = subprocess.run(
        ["cat", path], user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", capture_output=True, timeout=PATIENCE
    )
    if done.returncode:
        raise PermissionError(done.stderr)
    return done.stdout


@contextmanager
def run_by_another_account(folder, monkeypatch):
    """A server that takes itself for one of another account, so that we are strangers."""
    monkeypatch.setattr(auth, "own_account", lambda: os.geteuid() + 1)
    with in_thread(settings(folder)) as server:
        yield server


@linux
def test_a_stranger_needs_the_token_everywhere(tmp_path, monkeypatch):
    with run_by_another_account(tmp_path, monkeypatch) as server, http(server) as client:
        store = server.config.app.state.shared.store
        session = store.add_session(store.add_case("rooms", rooms()).id).id

        assert client.get("/api/cases").status_code == client.post("/api/cases/link", json={}).status_code == 401
        with pytest.raises(InvalidStatus) as refused:
            Client(server.address, session)
        assert refused.value.response.status_code == 401
        assert client.get("/api/cases", params={"token": server.settings.token}).status_code == 303
        assert client.get("/api/cases").status_code == 200


def test_where_the_system_does_not_tell_everybody_needs_the_token(tmp_path, monkeypatch):
    monkeypatch.setattr(auth, "own_account", lambda: None)
    with in_thread(settings(tmp_path)) as server, http(server) as client:
        assert client.get("/api/cases").status_code == 401
        assert client.get("/api/cases", headers={"Authorization": f"Bearer {server.settings.token}"}).status_code == 200


def test_a_token_that_was_given_is_needed_by_the_own_account_too(tmp_path):
    with in_thread(settings(tmp_path, token="correct-horse")) as server, http(server) as client:
        assert client.get("/api/cases").status_code == 401
    assert not (tmp_path / "token").exists()


@pytest.mark.parametrize(
    "header",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-Proto": "http"},
        {"X-Forwarded-Host": "localhost"},
        {"Forwarded": "for=127.0.0.1"},
        {"X-Real-IP": "127.0.0.1"},
        {"Via": "1.1 proxy"},
    ],
)
def test_who_speaks_for_others_needs_the_token(ours, token, header):
    with http(ours) as client:
        assert client.get("/api/cases", headers=header).status_code == 401
        assert client.get("/api/cases", headers={**header, **token}).status_code == 200


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1:80", "[::1]:443"])
def test_who_came_by_another_port_needs_the_token(ours, host):
    with http(ours) as client:
        assert client.get("/api/cases", headers={"Host": host}).status_code == 401


def test_a_name_that_was_allowed_does_not_make_a_connection_ours(tmp_path):
    with in_thread(settings(tmp_path, allowed_hosts=("segmend.example.org",))) as server, http(server) as client:
        host = f"segmend.example.org:{server.settings.port}"
        assert client.get("/api/health", headers={"Host": host}).status_code == 200
        assert client.get("/api/cases", headers={"Host": host}).status_code == 401


def test_http_of_old_proxies_needs_the_token(ours):
    with socket.create_connection(("127.0.0.1", ours.settings.port)) as raw:
        raw.sendall(f"GET /api/cases HTTP/1.0\r\nHost: localhost:{ours.settings.port}\r\n\r\n".encode())
        reply = b"".join(iter(lambda: raw.recv(4096), b""))

    assert reply.split()[1] == b"401"


NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; {user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{server}; {more} }} }}
}}
"""
FORWARDING = "proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;"


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@linux
@pytest.mark.parametrize("more", ["proxy_http_version 1.0;", FORWARDING])
def test_nginx_of_the_same_account_lets_nobody_in_without_the_token(ours, token, tmp_path, more):
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    port, user = free_port(), "user root;" if os.geteuid() == 0 else ""
    config = NGINX.format(folder=tmp_path, port=port, server=ours.settings.port, more=more, user=user)
    (tmp_path / "nginx.conf").write_text(config)
    process = subprocess.Popen([program, "-p", tmp_path, "-e", "stderr", "-c", tmp_path / "nginx.conf"])
    try:
        with http(f"http://127.0.0.1:{port}") as client:
            end = time.monotonic() + PATIENCE
            while not answers(port):
                assert process.poll() is None and time.monotonic() < end
                time.sleep(0.02)
            assert client.get("/api/health").status_code == 200
            assert client.get("/api/cases").status_code == 401
            assert client.get("/api/cases", headers=token).status_code == 200
    finally:
        process.terminate()
        process.wait(PATIENCE)


@contextmanager
def connected(family, host, *, dual=False):
    """Two ends of a connection within this machine."""
    with socket.socket(family) as listener:
        listener.bind((host, 0))
        listener.listen()
        near = socket.socket(socket.AF_INET6 if dual else family)
        near.connect((f"::ffff:{host}" if dual else host, listener.getsockname()[1]))
        far, _ = listener.accept()
        with near, far:
            yield near, far


@linux
@pytest.mark.parametrize(
    ("family", "host", "dual"),
    [(socket.AF_INET, "127.0.0.1", False), (socket.AF_INET6, "::1", False), (socket.AF_INET, "127.0.0.1", True)],
)
def test_the_system_tells_whose_a_connection_is_while_it_is_open(family, host, dual):
    with connected(family, host, dual=dual) as (near, far):
        client, server = far.getpeername()[:2], far.getsockname()[:2]
        assert account_of(client, server) == os.geteuid() == own_account()
        assert account_of((client[0], client[1] ^ 1), server) is None
        near.close()  # the list now says root: nobody's

        assert account_of(client, server) is None


def test_nothing_is_known_of_connections_from_elsewhere(tmp_path):
    assert account_of(("192.0.2.7", 5000), ("192.0.2.1", 80)) is None
    assert account_of(("127.0.0.1", 5000), ("192.0.2.1", 80)) is None
    assert account_of(("127.0.0.1", 5000), ("127.0.0.1", 80), (tmp_path / "none", tmp_path / "none")) is None


def test_the_drawn_token_is_kept_for_the_owners_eyes(tmp_path):
    token = drawn_token(tmp_path)

    assert len(token) == 32 and (tmp_path / "token").read_text() == token
    assert drawn_token(tmp_path) == token  # the address stays the same
    if os.name != "nt":
        assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
        (tmp_path / "token").chmod(0o644)
        assert drawn_token(tmp_path) != token  # others may have read it
        assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "short", "x" * 33, "tökentökentökentökentökentökentök"])
def test_what_is_no_drawn_token_is_drawn_anew(tmp_path, text):
    (tmp_path / "token").write_text(text)
    (tmp_path / "token").chmod(0o600)

    token = drawn_token(tmp_path)

    assert len(token) == 32 and (tmp_path / "token").read_text() == token


def test_a_token_that_cannot_be_kept_is_drawn_nevertheless(tmp_path):
    assert len(drawn_token(tmp_path / "no such folder")) == 32
