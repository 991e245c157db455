"""Who is let in: tokens, names of the server, pages of other sites."""

import json
import socket
from base64 import b64encode

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from segmend.errors import SettingsError
from segmend.server.access import auth
from segmend.server.settings import ServerSettings
from tests.server.running import Client, defined, http, in_thread, rooms, settings

TOKEN = "correct-horse-battery"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def basic(said):
    """Return the header of HTTP's basic authentication."""
    return f"Basic {b64encode(said.encode()).decode()}"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server with a token."""
    with in_thread(settings(tmp_path_factory.mktemp("guarded"), token=TOKEN)) as running:
        yield running


@pytest.fixture(scope="module")
def session_of_guarded(guarded):
    store = guarded.config.app.state.shared.store
    return store.add_session(store.add_case("rooms", rooms()).id).id


def paths(server):
    with http(server, headers=BEARER) as client:
        document = client.get("/api/openapi.json").json()
    for path, methods in document["paths"].items():
        for method in methods:
            yield method.upper(), path.replace("{", "").replace("}", "")


def test_everything_but_health_and_readiness_needs_the_token(guarded):
    with http(guarded) as client:
        for method, path in [
            *paths(guarded),
            ("GET", "/healthz"),
            ("POST", "/claim"),
            ("GET", "/"),
            ("GET", "/index.html"),
            ("GET", "/api/openapi.json"),
        ]:
            reply = client.request(method, path)
            if path in ("/api/health", "/readyz", "/healthz"):
                assert reply.status_code in (200, 503)  # it may still be loading
            else:
                assert reply.status_code == 401, (method, path)
                assert reply.json() == {"detail": "This server needs a token: open the address it printed."}
                assert reply.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header",
    ["Bearer wrong", "Bearer", "Basic x", basic("ada:wrong"), basic(TOKEN), "Bearer " + TOKEN[:-1], "Bearer café ü"],
)
def test_a_wrong_token_opens_nothing(guarded, header):
    with http(guarded) as client:
        reply = client.get("/api/cases", headers={"Authorization": header.encode("latin-1")})

    assert reply.status_code == 401


def test_the_right_token_opens(guarded):
    with http(guarded, headers=BEARER) as client:
        assert client.get("/api/cases").status_code == 200


@pytest.mark.parametrize(
    "header", [basic(f"ada:{TOKEN}"), basic(f":{TOKEN}"), basic(f"ada:{TOKEN}").replace("B", "b", 1)]
)
def test_the_right_token_opens_as_a_password_with_any_name(guarded, header):
    with http(guarded) as client:
        assert client.get("/api/cases", headers={"Authorization": header}).status_code == 200


def test_a_token_in_the_address_becomes_a_cookie_that_scripts_cannot_read(guarded):
    with http(guarded) as client:
        reply = client.get("/api/cases", params={"project": "default", "token": TOKEN})

        assert reply.status_code == 303 and reply.headers["location"] == "/api/cases?project=default"
        cookie = reply.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie and f"segmend_{guarded.settings.port}=" in cookie
        assert TOKEN not in cookie and "Max-Age=604800" in cookie
        assert client.get("/api/cases").status_code == 200
        assert client.get("/api/cases?token=wrong").status_code == 401


def test_the_way_back_never_leads_to_another_site(guarded):
    with socket.create_connection(("127.0.0.1", guarded.settings.port)) as raw:
        raw.sendall(f"GET //evil.example/%5c?token={TOKEN} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        reply = raw.recv(4096).decode().lower()

    assert "location: /evil.example" in reply


def test_a_user_of_the_store_has_a_token_and_signs_the_events(guarded):
    store = guarded.config.app.state.shared.store
    store.accounts.add("ada", token="a token for ada alone")
    case = store.add_case("rooms", rooms()).id
    with http(guarded, headers={"Authorization": "Bearer a token for ada alone"}) as client:
        session = client.post(f"/api/cases/{case}/sessions").json()["id"]
        client.post(f"/api/sessions/{session}/events", json=defined(1))

    assert store.session_record(session).user == "ada"
    assert [record.user for record in store.history(session)] == ["ada"]


def test_the_live_connection_needs_the_token_too(guarded, session_of_guarded):
    with pytest.raises(InvalidStatus) as refused:
        Client(guarded.address, session_of_guarded)
    assert refused.value.response.status_code == 401
    assert "needs a token" in json.loads(refused.value.response.body)["detail"]

    with Client(guarded.address, session_of_guarded, additional_headers=BEARER) as live:
        assert live.do(defined(1))["position"] == 0
    url = f"ws://localhost:{guarded.settings.port}/api/sessions/{session_of_guarded}/live?token={TOKEN}"
    with connect(url) as bare:
        assert json.loads(bare.recv(timeout=60))["type"] == "state"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "192.0.2.7", "[", ""])
def test_a_name_that_is_not_ours_is_dns_rebinding(server, client, host):
    reply = client.get("/api/health", headers={"Host": f"{host}:{server.settings.port}"})

    assert reply.status_code == 403
    assert reply.json() == {"detail": "This server is not known by the name in this request's Host header."}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST:1"])
def test_loopback_names_are_ours(client, host):
    assert client.get("/api/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:1"},
        {"Origin": "null"},
        {"Origin": "file://"},
        {"Origin": "http://[evil"},
        {"Origin": "http://"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
def test_pages_of_other_sites_are_refused(client, case, headers):
    for method, path in [
        ("POST", f"/api/cases/{case}/sessions"),
        ("DELETE", f"/api/cases/{case}"),
        ("GET", "/api/cases"),
    ]:
        reply = client.request(method, path, headers=headers)
        assert reply.status_code == 403 and reply.json() == {"detail": "This request came from a page of another site."}
    assert client.get(f"/api/cases/{case}").status_code == 200


def test_our_own_page_is_let_in(server, client, case):
    own = {"Origin": f"http://127.0.0.1:{server.settings.port}", "Host": f"127.0.0.1:{server.settings.port}"}

    assert client.post(f"/api/cases/{case}/sessions", headers=own).status_code == 201


def test_a_cross_site_websocket_is_refused_before_it_opens(server, session):
    with pytest.raises(InvalidStatus) as refused:
        Client(server.address, session, origin="https://evil.example")

    assert refused.value.response.status_code == 403
    with Client(server.address, session, origin=f"http://localhost:{server.settings.port}"):
        pass


def test_nothing_of_a_patient_is_kept_by_a_browser(client, guarded, case, session):
    client.post(f"/api/sessions/{session}/events", json=defined(1))
    paths = [f"cases/{case}", f"cases/{case}/volume.nii", f"cases/{case}/sessions", "cases", "methods", "none such"]
    paths += [f"sessions/{session}{rest}" for rest in ("", "/map", "/uncertain", "/export", "/export?format=none")]
    with http(guarded) as stranger:
        replies = [*(client.get(f"/api/{path}") for path in paths), client.get("/"), stranger.get("/api/cases")]

    assert {reply.status_code for reply in replies} == {200, 401, 404, 422}
    assert [reply.url for reply in replies if reply.headers["cache-control"] != "no-store"] == []


def test_pages_load_nothing_from_elsewhere(client):
    policy = client.get("/").headers["content-security-policy"]

    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy


def test_replies_cannot_be_framed_or_sniffed(client):
    headers = client.get("/api/health").headers

    assert headers["x-frame-options"] == "DENY" and headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_beyond_localhost_addresses_and_told_names_are_ours(tmp_path):
    wide = ServerSettings(tmp_path, host="0.0.0.0", allowed_hosts=("segmend.hospital.example",))

    assert auth.host_allowed("192.0.2.7:8765", wide) and auth.host_allowed("Segmend.hospital.example", wide)
    assert auth.host_allowed(socket.gethostname(), wide) and not auth.host_allowed("evil.example", wide)
    assert auth.host_allowed("anything", ServerSettings(tmp_path, allowed_hosts=("*",)))


def test_other_pages_can_be_allowed(tmp_path):
    dev = "http://localhost:5173"
    with in_thread(settings(tmp_path, allowed_origins=(dev,))) as server, http(server) as client:
        assert client.get("/api/cases", headers={"Origin": dev}).status_code == 200
        assert client.get("/api/cases", headers={"Origin": "http://localhost:5174"}).status_code == 403


def test_a_browser_lets_pages_that_are_named_read_what_they_ask_and_no_others(tmp_path):
    page, token = "https://ohif.example", "correct-horse-battery"
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    with in_thread(settings(tmp_path, allowed_origins=(page,), token=token)) as server, http(server) as client:
        before = client.options("/infer/segmend", headers={**asking, "Origin": page})
        assert (before.status_code, before.content) == (204, b"")
        assert before.headers["access-control-allow-origin"] == page
        assert "Authorization" in before.headers["access-control-allow-headers"]
        for headers, status in [({}, 401), ({"Authorization": f"Bearer {token}"}, 200)]:
            reply = client.get("/info/", headers={**headers, "Origin": page})
            assert reply.status_code == status and reply.headers["access-control-allow-origin"] == page
            assert reply.headers["vary"] == "Origin"
            assert "access-control-allow-credentials" not in reply.headers
        for other in ("https://evil.example", "https://ohif.example.evil", "http://ohif.example", "null"):
            for reply in (
                client.options("/infer/segmend", headers={**asking, "Origin": other}),
                client.get("/info/", headers={"Origin": other, "Authorization": f"Bearer {token}"}),
            ):
                assert reply.status_code == 403 and "access-control-allow-origin" not in reply.headers
        rebound = client.options("/info/", headers={**asking, "Origin": page, "Host": "evil.example"})
        assert rebound.status_code == 403
        assert "access-control-allow-origin" not in client.get("/api/health").headers


def test_pages_that_are_named_may_frame_ours_and_no_others(tmp_path):
    with in_thread(settings(tmp_path, allowed_frames=("https://lab.example:8443",))) as server, http(server) as client:
        headers = client.get("/").headers
        assert "frame-ancestors 'self' https://lab.example:8443" in headers["content-security-policy"]
        assert "x-frame-options" not in headers


@pytest.mark.parametrize(
    "page", ["*", "null", "ohif.example", "https://", "https://a b", "https://a/path", "https://a;x"]
)
def test_a_page_needs_to_be_named_as_browsers_name_it(tmp_path, page):
    for option in ("allowed_origins", "allowed_frames"):
        with pytest.raises(SettingsError, match="A page needs to be named as"):
            settings(tmp_path, **{option: (page,)})


def test_a_broken_cookie_is_no_token(guarded):
    with http(guarded) as client:
        assert client.get("/api/cases", headers={"Cookie": "a=b; ;;\x01=;"}).status_code in (400, 401)
        name = f"segmend_{guarded.settings.port}"
        assert client.get("/api/cases", headers={"Cookie": f"{name}={TOKEN}"}).status_code == 401  # it is no login


def test_beyond_localhost_there_is_a_token_by_default(tmp_path):
    with in_thread(settings(tmp_path, host="0.0.0.0")) as server, http(server) as client:
        token = server.settings.token
        assert token and len(token) >= 32 and server.address.endswith(f"/?token={token}")
        assert client.get("/api/cases").status_code == 401
        link = client.post("/api/cases/link", json={"path": "/etc"}, headers={"Authorization": f"Bearer {token}"})
        assert link.status_code == 403 and "does not read folders" in link.json()["detail"]
    with in_thread(settings(tmp_path, host="0.0.0.0", without_token=True)) as server, http(server) as client:
        assert client.get("/api/cases").status_code == 200
