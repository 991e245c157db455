"""Logging in at a provider of OpenID Connect, over HTTP, and what is not believed of one."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from segmend.cli.logins import oidc_of
from segmend.errors import SettingsError
from segmend.server.access import oidc
from segmend.server.settings import OidcSettings
from tests.server.access.provider import CLIENT, SECRET, providing
from tests.server.running import http, in_thread, settings

OWN = "the server's own"


@pytest.fixture(scope="module")
def provider():
    with providing() as running:
        yield running


@pytest.fixture(scope="module")
def hospital(tmp_path_factory, provider):
    roles = {"readers": ((None, "annotator"),), "lung-team": (("lungs", "reviewer"), ("gone", "admin"))}
    known = OidcSettings(
        provider.issuer, CLIENT, SECRET, name="Hospital <1>", role_claim="realm_access.roles", roles=roles
    )
    with in_thread(settings(tmp_path_factory.mktemp("hospital"), token=OWN, oidc=known)) as running:
        store = running.config.app.state.shared.store
        store.add_project("lungs")
        store.accounts.add("ben", password="a long password")
        yield running


@pytest.fixture
def person(hospital, provider):
    """A browser, and a provider without faults that knows ada."""
    provider.fault = None
    provider.claims = {"sub": "4711", "preferred_username": "ada", "realm_access": {"roles": ["readers"]}}
    with http(hospital) as client:
        yield client


def journey(client, to="/", change=lambda address: address):
    """Go to the provider and back; return the server's last reply."""
    there = client.get("/login/oidc", params={"to": to})
    assert there.status_code == 303, there.text
    back = client.get(there.headers["location"])  # the provider lets in at once
    return client.get(change(back.headers["location"]))


def who(client):
    return client.get("/api/me").json()


def store_of(server):
    return server.config.app.state.shared.store


def last_deed(server):
    return [(one.person, one.action) for one in store_of(server).audit.newest(limit=1)]


def test_the_page_leads_to_the_provider_and_back_to_where_one_wanted(hospital, person):
    page = person.get("/login", params={"to": "/#case=1"}, headers={"Accept": "text/html"})
    assert "Log in with Hospital &lt;1&gt;" in page.text
    assert 'href="/login/oidc?to=%2F%23case%3D1"' in page.text

    asked = parse_qs(urlsplit(person.get("/login/oidc").headers["location"]).query)
    assert (asked["response_type"], asked["code_challenge_method"], asked["scope"]) == (
        ["code"], ["S256"], ["openid profile"],
    )  # fmt: skip
    assert len(asked["state"][0]) >= 32 and len(asked["nonce"][0]) >= 32 and asked["state"] != asked["nonce"]

    done = journey(person, "/#case=1")
    assert done.status_code == 200 and 'content="0; url=/#case=1"' in done.text
    assert who(person)["name"] == "ada"
    assert last_deed(hospital) == [("ada", "login")]
    assert store_of(hospital).accounts.roles("ada").everywhere == "annotator"
    assert person.post("/api/logout").status_code == 204
    assert person.get("/api/me").status_code == 401


def test_the_login_leads_to_no_other_server(person):
    assert "evil" not in journey(person, "//evil.example/").text


def test_roles_follow_the_provider_with_every_login(hospital, person, provider):
    accounts = store_of(hospital).accounts
    journey(person)
    provider.claims["realm_access"] = {"roles": ["lung-team", "unknown"]}
    journey(person)
    assert (accounts.roles("ada").everywhere, dict(accounts.roles("ada").projects)) == (None, {"lungs": "reviewer"})
    said = [one.detail for one in store_of(hospital).audit.newest(limit=4) if one.action == "role"]
    assert {"of": "ada", "role": "reviewer", "before": None} in said

    provider.claims["realm_access"] = {"roles": ["unknown"]}
    refused = journey(person)
    assert refused.status_code == 403
    assert "ada has no role here" in refused.text
    assert last_deed(hospital) == [("unknown", "login failed")]


def test_another_account_of_the_same_name_is_not_taken_over(hospital, person, provider):
    provider.claims |= {"sub": "other", "preferred_username": "ben"}
    refused = journey(person)
    assert refused.status_code == 409
    assert "There is another account &#x27;ben&#x27; here" in refused.text
    assert person.get("/api/me").status_code == 401
    person.post("/login", data={"name": "ben", "secret": "a long password"})
    assert who(person)["name"] == "ben"


def test_a_name_that_changes_at_the_provider_stays_here(hospital, person, provider):
    journey(person)
    provider.claims["preferred_username"] = "ada-since-her-wedding"
    journey(person)
    assert who(person)["name"] == "ada"


def test_who_is_disabled_here_is_not_let_in_and_a_login_ends(hospital, person):
    journey(person)
    store_of(hospital).accounts.disable("ada")
    try:
        refused = journey(person)
        assert refused.status_code == 403 and "ada may not log in here any longer" in refused.text
        assert not store_of(hospital).accounts.has_key("ada", oidc_key(hospital))
    finally:
        store_of(hospital).accounts.disable("ada", disabled=False)
    assert store_of(hospital).accounts.has_key("ada", oidc_key(hospital))


def oidc_key(hospital):
    accounts, issuer = store_of(hospital).accounts, hospital.settings.oidc.issuer
    return accounts.with_subject(f"{issuer} 4711", "ada", None, None, link=False)[1] if enabled(accounts) else "none"


def enabled(accounts):
    return not accounts.get("ada").disabled


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("issuer", "does not fit"),
        ("audience", "does not fit"),
        ("time", "does not fit"),
        ("nonce", "does not fit"),
        ("azp", "made for another program"),
        ("key", "no signature that fits its keys"),
        ("none", "no signature that fits its keys"),
        ("symmetric", "no signature that fits its keys"),
        ("refused", "did not let you in"),
    ],
)
def test_what_is_not_to_be_believed_lets_nobody_in(person, provider, fault, said):
    provider.fault = fault
    refused = journey(person)
    assert refused.status_code == 403
    assert said in refused.text
    assert person.get("/api/me").status_code == 401


def test_a_code_of_another_browser_lets_nobody_in(hospital, person):
    there = person.get("/login/oidc").headers["location"]
    back = person.get(there).headers["location"]
    with http(hospital) as victim:
        assert victim.get(back).status_code == 403  # without a journey of its own
        victim.get("/login/oidc")
        refused = victim.get(back)
        assert refused.status_code == 403 and "begun elsewhere" in refused.text
        assert victim.get("/api/me").status_code == 401
    assert person.get(back.replace("127.0.0.1", "127.0.0.1") + "x").status_code in (403, 409)
    other = journey(person, change=lambda address: f"{address}&iss=https%3A%2F%2Fevil.example")
    assert other.status_code == 403


def test_a_code_is_taken_once(person):
    there = person.get("/login/oidc").headers["location"]
    back = person.get(there).headers["location"]
    kept = dict(person.cookies)
    assert person.get(back).status_code == 200
    person.cookies.update({name: value for name, value in kept.items() if name == "segmend_journey"})
    assert person.get(back).status_code == 403


def test_new_keys_of_the_provider_are_fetched(person, provider, monkeypatch):
    from joserfc.jwk import RSAKey

    journey(person)
    monkeypatch.setattr(oidc, "KEYS_SECONDS", 0.0)
    provider.keys.append(RSAKey.generate_key(2048, {"kid": "second", "use": "sig"}))
    assert journey(person).status_code == 200


def test_a_server_without_a_provider_says_so(client):
    assert client.get("/login/oidc").status_code == 404
    assert "/login/oidc" not in client.get("/login").text


def test_settings_come_from_a_file(tmp_path, monkeypatch):
    path = tmp_path / "oidc.toml"
    path.write_text(
        'issuer = "https://login.example.org/realms/hospital"\nclient_id = "segmend"\nclient_secret = "$SECRET"\n'
        'role_claim = "groups"\n[roles]\nreaders = "annotator"\nlungs = ["lungs:reviewer", "annotator"]\n'
    )
    with pytest.raises(SettingsError, match="The variable SECRET with the provider's client_secret is not set"):
        oidc_of(path)
    monkeypatch.setenv("SECRET", "of the client")
    found = oidc_of(path)
    assert found.client_secret == "of the client"
    assert found.roles == {"readers": ((None, "annotator"),), "lungs": (("lungs", "reviewer"), (None, "annotator"))}
    for wrong, said in (("role_claim = 'x'", "need a role_claim, and roles"), ("name = 'x'\nwhat = 1", "needs issuer")):
        path.write_text(f'issuer = "https://login.example.org"\nclient_id = "segmend"\n{wrong}\n')
        with pytest.raises(SettingsError, match=said):
            oidc_of(path)
    with pytest.raises(SettingsError, match="needs an https address as its issuer"):
        replace(found, issuer="http://login.example.org")
