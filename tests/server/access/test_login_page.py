"""Logging in by a page: names, passwords and tokens, and who is not let in."""

from __future__ import annotations

import os
import re

import httpx
import pytest

from segmend.cli import run
from segmend.server.access.login_page import own_path
from segmend.store import Store
from tests.server.running import http, in_thread, settings

BROWSER = {"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
PASSWORD, TOKEN = "grüße aus dem Norden", "a token for programs alone"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    with in_thread(
        settings(tmp_path_factory.mktemp("guarded"), token="the server's own", proxies=("127.0.0.1",))
    ) as running:
        accounts = running.config.app.state.shared.store.accounts
        accounts.add("ada", password=PASSWORD)
        accounts.add("pipeline", token=TOKEN)
        yield running


@pytest.fixture
def browser(guarded):
    with http(guarded, headers=BROWSER) as client:
        yield client


def entered(browser: httpx.Client, name: str, secret: str, to: str = "/") -> httpx.Response:
    return browser.post("/login", data={"name": name, "secret": secret, "next": to})


def test_a_browser_sees_a_page_and_a_program_a_sentence(browser, guarded):
    page = browser.get("/index.html")
    assert (page.status_code, page.headers["location"]) == (303, "/login?to=%2Findex.html")
    shown = browser.get(page.headers["location"])
    assert shown.status_code == 200 and 'value="/index.html"' in shown.text
    assert "form-action 'self'" in shown.headers["content-security-policy"]
    assert shown.headers["cache-control"] == "no-store"
    for headers in ({}, {**BROWSER, "Sec-Fetch-Mode": "cors"}):
        with http(guarded, headers=headers) as program:
            refused = program.get("/api/cases")
            assert refused.status_code == 401 and refused.json()["detail"].startswith("This server needs a token")


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("ada", PASSWORD),
        ("ada", "gru\u0308ße aus dem Norden"),
        ("pipeline", TOKEN),
        ("", TOKEN),
        ("", "the server's own"),
    ],
)
def test_who_names_the_right_secret_gets_in_and_out(browser, name, secret):
    reply = entered(browser, name, secret, "/index.html")
    assert (reply.status_code, reply.headers["location"]) == (303, "/index.html")
    assert re.search("HttpOnly.*SameSite=strict", reply.headers["set-cookie"])
    assert browser.get("/api/cases").status_code == 200
    browser.post("/api/logout")
    assert browser.get("/api/cases", headers={"Sec-Fetch-Mode": "cors"}).status_code == 401


@pytest.mark.parametrize(
    ("name", "secret"), [("ada", "wrong password"), ("nobody", PASSWORD), ("ada", TOKEN), ("", PASSWORD), ("ada", "")]
)
def test_who_does_not_stays_out_and_is_told_so(guarded, name, secret):
    with http(guarded, headers={**BROWSER, "X-Forwarded-For": f"10.0.0.{len(name) + len(secret)}"}) as browser:
        reply = entered(browser, name, secret)
        assert reply.status_code == 401 and "do not fit" in reply.text
        assert "set-cookie" not in reply.headers
        if name:
            assert f'value="{name}"' in reply.text


def test_guessing_is_slowed(tmp_path):
    with in_thread(settings(tmp_path, token="the server's own")) as server, http(server, headers=BROWSER) as browser:
        codes = [entered(browser, "ada", f"guess number {number}").status_code for number in range(6)]
        assert codes == [401] * 6
        assert entered(browser, "", "the server's own").elapsed.total_seconds() > 0.2


def test_names_and_addresses_are_not_taken_for_markup_or_other_sites(browser):
    page = entered(browser, '"><script>alert(1)</script>', "wrong", "//evil.example/")
    assert "<script>" not in page.text and "evil.example" not in page.text
    assert entered(browser, "", TOKEN, "https://evil.example/").headers["location"] == "/"
    assert [own_path(one) for one in ("/a?b=1", "javascript:alert(1)", "/\\evil", "/a\nb", "//[")] == ["/a?b=1"] + 4 * [
        "/"
    ]


def test_a_form_of_another_site_is_refused_and_so_is_an_endless_one(browser):
    foreign = browser.post("/login", data={"secret": TOKEN}, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert browser.post("/login", content=b"secret=" + b"x" * 20_000).status_code == 400


def test_a_login_ends_when_its_password_changes_or_its_user_is_disabled(guarded, browser):
    accounts = guarded.config.app.state.shared.store.accounts
    accounts.add("eve", password="before before")
    now = [0.0]
    logins = guarded.config.app.state.shared.logins
    clock, logins._now = logins._now, lambda: clock() + now[0]
    try:
        for change in (
            lambda: accounts.set_password("eve", "after after"),
            lambda: accounts.disable("eve"),
        ):
            assert entered(browser, "eve", "before before" if not now[0] else "after after").status_code == 303
            assert browser.get("/api/cases").status_code == 200
            change()
            now[0] += 5.0  # a login is believed for two seconds
            assert browser.get("/api/cases", headers={"Sec-Fetch-Mode": "cors"}).status_code == 401
        assert entered(browser, "eve", "after after").status_code == 401
    finally:
        logins._now = clock


class TestCommandLine:
    @pytest.fixture
    def said(self, tmp_path, capsys, monkeypatch):
        def said(*arguments: str, line: str = "") -> tuple[int, str, str]:
            read, write = os.pipe()
            with open(write, "w") as pipe:
                pipe.write(line)
            with open(read) as stdin:
                monkeypatch.setattr("sys.stdin", stdin)
                code = run(["user", *arguments, "--folder", str(tmp_path)])
            return (code, *capsys.readouterr())

        return said

    def test_people_are_added_listed_changed_and_removed(self, said, tmp_path):
        assert said("add", "ada", line="a long password\n")[:2] == (0, "ada can log in.\n")
        code, token, _ = said("add", "pipeline", "--token")
        assert code == 0 and len(token.strip()) == 32
        assert said("list")[1] == "ada  password  annotator\npipeline  token  annotator\n"
        with Store.local(tmp_path) as store:
            assert store.accounts.with_token(token.strip()) == "pipeline"
            assert store.accounts.with_password("ada", "a long password")
        other = said("token", "pipeline")[1].strip()
        said("password", "ada", line="another password\n")
        said("disable", "ada")
        with Store.local(tmp_path) as store:
            assert store.accounts.with_token(token.strip()) is None and store.accounts.with_token(other) == "pipeline"
            assert store.accounts.with_password("ada", "another password") is None
        assert said("list")[1].startswith("ada  disabled")
        said("enable", "ada")
        assert said("token", "pipeline", "--none")[0] == 0
        assert said("list")[1] == "ada  password  annotator\npipeline  neither password nor token  annotator\n"
        assert said("remove", "ada")[0] == 0
        assert said("remove", "ada")[::2] == (2, "There is no user 'ada'.\n")

    def test_people_get_roles_and_invitations(self, said, tmp_path):
        said("add", "ada", "--role", "reviewer", line="a long password\n")
        said("role", "ada", "admin", "--project", "default")
        code, link, _ = said("invite", "eve", "--project", "default", "--address", "https://segmend.example.org/")
        assert code == 0 and link.startswith("https://segmend.example.org/invitation?code=")
        assert said("list")[1] == (
            "ada  password  reviewer, admin of default\neve  neither password nor token  annotator of default\n"
        )
        assert said("role", "ada", "none")[0] == 0
        with Store.local(tmp_path) as store:
            assert store.accounts.invited(link.strip().partition("code=")[2]) == "eve"
            assert store.accounts.roles("ada").everywhere is None
        assert said("invite", "ada")[2].startswith("ada has a password already")
        assert said("role", "ada", "admin", "--project", "moon")[2] == "There is no project 'moon'.\n"

    @pytest.mark.parametrize(
        ("arguments", "line", "sentence"),
        [
            (("add", "ada"), "short\n", "A password needs 8 to 1000 characters; got 5."),
            (("add", "ada"), "", "A password needs to be typed, or to come as a line of a pipe; got none."),
            (("add", " "), "long enough\n", "A user's name needs 1 to 300 readable characters; got ' '."),
            (("password", "nobody"), "long enough\n", "There is no user 'nobody'."),
        ],
    )
    def test_what_does_not_go_is_one_sentence(self, said, arguments, line, sentence):
        assert said(*arguments, line=line)[::2] == (2, sentence + "\n")


def test_a_password_is_not_kept(tmp_path):
    with Store.local(tmp_path) as store:
        store.accounts.add("ada", password="correct horse battery")
    assert b"correct horse" not in b"".join(path.read_bytes() for path in tmp_path.glob("segmend.db*"))
