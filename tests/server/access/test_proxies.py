"""A server behind a real proxy: on a name of its own, and under a path; and whose word for others is taken."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from segmend.errors import SettingsError
from segmend.io import write_image
from segmend.server.access.proxies import Proxies
from tests.server.certificates import certificate_of
from tests.server.running import PATIENCE, Client, clicked, defined, http, in_thread, rooms, settings
from tests.store.servers import free_port

TOKEN = "a token for everybody"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
BROWSER = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
PAGE = Path(__file__).parents[3] / "docs" / "deployment.md"
NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; {user}
events {{}}
http {{
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
{lines}
}}
"""


def lines_of(language: str, nth: int = 0) -> str:
    """Return the lines of one language that the page on deployment shows."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[nth]


def replaced(lines: str, **by: str) -> str:
    for old, new in by.items():
        assert old in lines, old
        lines = lines.replace(old, new)
    return lines


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return certificate_of(tmp_path_factory.mktemp("tls"))


@contextmanager
def nginx(folder, port, server, root, certificate):
    """Run nginx with the lines of the page, but for ports, files and names."""
    lines = replaced(
        lines_of("nginx"),
        **{
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "127.0.0.1:8765": f"127.0.0.1:{server}",
            "segmend.example.org": "localhost",
            "/etc/ssl/segmend.pem": str(certificate.chain),
            "/etc/ssl/segmend.key": str(certificate.key),
            "location / {": f"location {root}/ {{",
        },
    )
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, lines=lines, user=user))
    with ended(["nginx", "-p", folder, "-e", "stderr", "-c", folder / "nginx.conf"], port):
        yield


@contextmanager
def caddy(folder, port, server, root, certificate):
    """Run Caddy with the lines of the page, but for ports, files and names."""
    name = "example.org {" if root else "segmend.example.org {"
    lines = replaced(
        lines_of("caddy", 1 if root else 0),
        **{
            name: f"https://localhost:{port} {{\n    tls {certificate.chain} {certificate.key}",
            "127.0.0.1:8765": f"127.0.0.1:{server}",
        },
    )
    (folder / "Caddyfile").write_text(f"{{\n    admin off\n    auto_https disable_redirects\n}}\n{lines}")
    with ended(["caddy", "run", "--config", folder / "Caddyfile"], port, XDG_DATA_HOME=folder, XDG_CONFIG_HOME=folder):
        yield


@contextmanager
def ended(command, port, **environment):
    """Run a proxy until it answers, and end it afterwards."""
    program = shutil.which(command[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip(f"{command[0]} is not installed")
    process = subprocess.Popen(
        [program, *command[1:]], env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True
    )
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                httpx.get(f"https://localhost:{port}/", verify=False, timeout=PATIENCE)
                break
            except httpx.ConnectError:
                assert process.poll() is None, process.stderr.read()
                assert time.monotonic() < end
                time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


@pytest.mark.parametrize("root", ["", "/segmend"])
@pytest.mark.parametrize("proxy", [nginx, caddy])
def test_everything_goes_through_a_real_proxy(tmp_path, certificate, proxy, root):
    port, trusting = free_port(), ssl.create_default_context(cafile=certificate.chain)
    options = {"token": TOKEN, "proxies": ("127.0.0.1",), "root_path": root, "viewers": True}
    write_image(tmp_path / "rooms.nii", rooms())
    with (
        in_thread(settings(tmp_path / "data", **options)) as server,
        proxy(tmp_path, port, server.settings.port, root, certificate),
        httpx.Client(base_url=f"https://localhost:{port}{root}/", verify=trusting, timeout=PATIENCE) as browser,
    ):
        # a browser without a login is led to the page, and from there back
        asked = browser.get("", headers=BROWSER)
        assert asked.status_code == 303 and asked.headers["location"].startswith(f"{root}/login?to=")
        page = browser.get(f"https://localhost:{port}{asked.headers['location']}", headers=BROWSER)
        assert f'action="{root}/login"' in page.text and f'value="{root}/"' in page.text
        origin = {"Origin": f"https://localhost:{port}"}
        entered = browser.post("login", data={"secret": TOKEN, "next": f"{root}/"}, headers={**BROWSER, **origin})
        assert (entered.status_code, entered.headers["location"]) == (303, f"{root}/")
        assert f"Path={root}/;" in entered.headers["set-cookie"] and entered.headers["set-cookie"].endswith("; Secure")
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
        by_link = browser.get(f"?token={TOKEN}&x=1", headers=BROWSER)
        assert (by_link.status_code, by_link.headers["location"]) == (303, f"{root}/?x=1")

        # the page, its API, uploads and live connections
        assert browser.get("").headers["content-type"].startswith("text/html")
        assert browser.get("api/openapi.json").json().get("servers", [{"url": ""}])[0]["url"] == root
        with open(tmp_path / "rooms.nii", "rb") as file:
            [case] = browser.post("api/cases", files={"files": ("rooms.nii", file)}, headers=origin).json()
        session = browser.post(f"api/cases/{case['id']}/sessions", headers=origin).json()["id"]
        address = f"https://localhost:{port}{root}/"
        with Client(address, session, ssl=trusting, additional_headers={**cookie, **origin}) as live:
            live.do(defined(1))
            live.do(clicked((1, 2, 2)))
            assert live.map.sum() == 27
        refused = browser.post("api/logout", headers={"Origin": "https://evil.example"})
        assert refused.status_code == 403

        # viewers, in their own dialects; an address without its last slash leads to the one with it
        for path in ("v2/models", "info/", "dicom-web/studies", "label-studio/health", "ohif/segmend.js", "auth/"):
            assert browser.get(path, headers=BEARER).status_code == 200, path
        slashed = browser.get("train", headers=BEARER, follow_redirects=True)
        assert str(slashed.url).startswith(address)

        # and out again
        assert "Max-Age=0" in browser.post("api/logout", headers=origin).headers["set-cookie"]
        assert browser.get("api/cases").status_code == 401


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A server under a path, behind proxies on this machine."""
    options = {"proxies": ("127.0.0.0/8",), "token": TOKEN, "allowed_hosts": ("segmend.example.org",)}
    with in_thread(settings(tmp_path_factory.mktemp("named"), root_path="/in/here/", **options)) as running:
        yield running


class TestWord:
    """Whose X-Forwarded headers are believed."""

    def test_nobodys_by_default_and_the_log_says_so_once(self, tmp_path, caplog):
        told = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example", "X-Forwarded-For": "192.0.2.1"}
        with in_thread(settings(tmp_path, token=TOKEN)) as server, http(server) as client:
            for _ in range(2):
                reply = client.get("/", params={"token": TOKEN}, headers=told)
                assert reply.status_code == 303 and "Secure" not in reply.headers["set-cookie"]
        assert caplog.text.count("name it with --proxy ADDRESS") == 1 and "192.0.2.1" not in caplog.text

    def test_a_named_ones(self, named):
        with http(f"http://127.0.0.1:{named.settings.port}/") as client:
            secure = client.get("/", params={"token": TOKEN}, headers={"X-Forwarded-Proto": "http, https"})
            assert secure.headers["set-cookie"].endswith("; Secure")
            assert secure.headers["location"] == "/in/here/"
            by_name = {"X-Forwarded-Host": "segmend.example.org", "Origin": "https://segmend.example.org"}
            assert client.post("/api/logout", headers={**by_name, **BEARER}).status_code == 204
            other = client.get("/api/health", headers={"X-Forwarded-Host": "localhost, evil.example"})
            assert other.status_code == 403 and "not known by the name" in other.json()["detail"]

    def test_under_a_path_whether_the_proxy_passes_it_on_or_takes_it_off(self, named):
        with http(f"http://127.0.0.1:{named.settings.port}/") as client:
            assert client.get("/in/here/api/health").status_code == client.get("/api/health").status_code == 200
            bare = client.get("/in/here")
            assert (bare.status_code, bare.headers["location"]) == (308, "/in/here/")
            assert client.get("/in/hereafter").status_code == 401
            assert client.put("/in/here/api/cases", headers=BEARER).headers["allow"]
        assert named.address.partition("?")[0].endswith("/in/here/")

    def test_the_last_address_that_is_no_named_proxys(self):
        named = Proxies(["10.0.0.0/8", "2001:db8::/32"])
        assert named.client_of(["203.0.113.9", "192.0.2.7:81", "10.0.0.2", "[2001:db8::5]:9"]) == "192.0.2.7"
        assert named.client_of(["10.0.0.3", "10.0.0.2"]) == "10.0.0.3"
        assert named.client_of(["unknown"]) == "unknown" and "::1" not in named
        assert Proxies(["*"]).client_of(["203.0.113.9", "192.0.2.7"]) == "203.0.113.9" and "" in Proxies(["*"])

    @pytest.mark.parametrize("path", ["segmend", "/a//b", "/../a", "/a b", "/é", "//evil.example"])
    def test_a_path_that_is_none_is_refused(self, tmp_path, path):
        with pytest.raises(SettingsError, match="A root path needs to be as /segmend"):
            settings(tmp_path, root_path=path)
