"""What a browser is told about the page: whence it may load things, who may link to it, how long it is logged in."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect

from tests.server.running import in_thread, settings
from tests.web.driving import Annotator, watched

TOKEN = "correct horse battery"


@pytest.fixture(scope="module")
def guarded(bundle, plugin_path, tmp_path_factory):
    with in_thread(settings(tmp_path_factory.mktemp("guarded"), token=TOKEN)) as running:
        yield running


@contextmanager
def another_site(link):
    """A site of another name, with a page that links to an address; gives the page's address."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f'<a href="{link}">the annotator</a>'.encode())

        def log_message(self, *_):
            pass

    site = ThreadingHTTPServer(("127.0.0.1", 0), Page)  # the server is localhost, which is another site than this
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{site.server_port}/"
    site.shutdown()
    thread.join()
    site.server_close()


def test_all_views_and_a_download_keep_to_the_policy(annotator, add, volume, server):
    policy = annotator.http.get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy

    annotator.open(add(volume), layout="grid")
    expect(annotator.page.locator(".render-note")).to_have_count(0, timeout=60_000)  # 3D is drawn last
    annotator.click((5, 6, 6))
    annotator.settle()
    annotator.page.get_by_role("button", name="Download").first.click()


def test_a_page_cannot_load_from_or_send_to_other_sites(chromium, server):
    context = chromium.new_context()
    page = context.new_page()
    with another_site("about:blank") as elsewhere:
        page.goto(server.address)
        said = page.evaluate(
            "(address) => new Promise((done) => { document.addEventListener('securitypolicyviolation',"
            " (event) => done(event.violatedDirective)); fetch(address).catch(() => {}); })",
            elsewhere,
        )
    context.close()

    assert said == "connect-src"


def test_a_link_of_another_site_finds_who_is_logged_in_and_nobody_else(chromium, guarded):
    context = chromium.new_context()
    page = context.new_page()
    bare = guarded.address.partition("?")[0]
    with watched(page), another_site(bare) as site:
        page.goto(site)
        page.get_by_text("the annotator").click()
        expect(page.locator("body")).to_contain_text("needs a login")

        page.goto(guarded.address)
        expect(page.locator(".empty")).to_be_visible()
        cookie = context.cookies()[0]
        assert cookie["sameSite"] == "Strict" and cookie["httpOnly"] and TOKEN not in cookie["value"]

        page.goto(site)
        page.get_by_text("the annotator").click()
        expect(page.locator(".empty")).to_be_visible()
    context.close()


def test_a_link_of_another_site_may_hold_the_token(chromium, guarded):
    context = chromium.new_context()
    page = context.new_page()
    with watched(page), another_site(guarded.address.replace("&", "&amp;")) as site:
        page.goto(site)
        page.get_by_text("the annotator").click()
        expect(page.locator(".empty")).to_be_visible()
        assert "token" not in page.url
    context.close()


def test_a_browser_whose_login_ended_says_so_and_sends_its_marks_after_the_next_one(chromium, guarded, volume):
    case = guarded.config.app.state.shared.store.add_case("knee", volume).id
    bare = guarded.address.partition("?")[0]
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    context.request.get(guarded.address)
    person = Annotator(context.new_page(), guarded.address).open(case)
    person.click((5, 3, 3))
    person.settle()
    banner = person.page.locator(".banner")
    expect(banner).to_be_hidden()

    assert context.request.post(f"{bare}api/logout").status == 204
    expect(banner).to_contain_text("This server needs a token")
    person.click((5, 9, 9))
    expect(banner).to_contain_text("One mark waits")
    context.request.get(guarded.address)
    expect(banner).to_be_hidden()
    person.settle()

    assert [person.label_at(index) for index in [(5, 3, 3), (5, 9, 9)]] == [1, 1]
    person.page.keyboard.press("?")
    person.page.get_by_role("button", name="Log out this browser").click()
    for secret, shown in (("a wrong one", "do not fit"), (TOKEN, "knee")):
        person.page.get_by_label("Password, or a token").fill(secret)
        person.page.get_by_role("button", name="Log in").click()
        expect(person.page.locator("body")).to_contain_text(shown)
    context.close()
    person.http.close()
