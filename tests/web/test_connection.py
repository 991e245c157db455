"""A server that is killed and comes back: the page says so, and nothing is lost or sent twice."""

import time
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Error, expect

from segmend.store import Store
from tests.server.running import PATIENCE, Process, http
from tests.web.driving import PLUGIN, Annotator
from tests.web.line import Line


@pytest.fixture
def path_of_methods(plugin_path):
    """Where a process of its own finds the methods of `plugin/`."""
    for source in PLUGIN.glob("*.py"):
        (plugin_path / source.name).write_text(source.read_text())
    return plugin_path


def test_a_killed_server_is_waited_for_and_gets_each_mark_once(bundle, page, path_of_methods, tmp_path, volume):
    with Store.open(f"sqlite:///{tmp_path / 'segmend.db'}", str(tmp_path / "blobs")) as store:
        case = store.add_case("knee", volume).id
    first = Process(tmp_path, path_of_methods)
    person = Annotator(page, first.address).open(case)
    banner = page.locator(".banner")
    person.click((5, 3, 3))
    person.settle()
    expect(banner).to_be_hidden()

    first.kill()
    expect(banner).to_be_visible()
    expect(banner).to_contain_text("connection to Segmend is lost")
    person.click((5, 9, 9))
    person.click((5, 3, 9))
    expect(banner).to_contain_text("2 marks wait")
    expect(page.locator(".mark-row")).to_have_count(3)
    assert person.label_at((5, 3, 3)) == 1  # what was answered stays on the screen

    second = Process(tmp_path, path_of_methods, port=int(first.address.split(":")[2].strip("/")))
    try:
        expect(banner).to_be_hidden()
        person.settle()
        assert [tuple(prompt["index"]) for prompt in person.prompts] == [(5, 3, 3), (5, 9, 9), (5, 3, 9)]
        assert [person.label_at(index) for index in [(5, 3, 3), (5, 9, 9), (5, 3, 9)]] == [1, 1, 1]
        person.http.close()
    finally:
        second.kill()


@pytest.fixture
def line(server):
    line = Line(server)
    yield line
    line.cut()


def reconnect(page):
    """Press the banner's button, unless the page has tried again by itself meanwhile."""
    with suppress(Error):
        page.get_by_role("button", name="Try now").click(timeout=1000)


def test_a_line_that_is_cut_in_the_middle_of_a_mark_loses_and_doubles_nothing(page, server, line, add, volume):
    page.goto(f"{line.address}?{urlsplit(server.address).query}")  # the server is known by another port here: log in
    person = Annotator(page, line.address).open(add(volume))
    banner = page.locator(".banner")
    session = person.state["session"]
    with http(server) as client:

        def recorded():
            events = client.get(f"/api/sessions/{session}").json()["events"]
            return [event for event in events if event["event"] == "prompted"]

        page.keyboard.press("s")
        page.mouse.move(*person.place_of((5, 3, 3), "axial"))
        page.mouse.down()
        page.mouse.move(*person.place_of((5, 3, 6), "axial"))
        line.cut()  # while the stroke is drawn
        expect(banner).to_be_visible()
        page.mouse.move(*person.place_of((5, 3, 9), "axial"))
        page.mouse.up()
        expect(banner).to_contain_text("One mark waits")
        assert recorded() == []
        line.heal()
        reconnect(page)
        expect(banner).to_be_hidden()
        person.settle()
        assert [event["prompt"]["kind"] for event in recorded()] == ["stroke"]
        assert [person.label_at((5, 3, x)) for x in (3, 6, 9)] == [1, 1, 1]

        page.keyboard.press("c")
        line.deafen()
        person.click((5, 9, 9))
        end = time.monotonic() + PATIENCE
        while len(recorded()) < 2:  # it is recorded, and the page does not hear of it
            assert time.monotonic() < end
            page.wait_for_timeout(20)
        line.cut()
        expect(banner).to_contain_text("One mark waits")
        line.heal()
        reconnect(page)
        expect(banner).to_be_hidden()
        person.settle()
        assert [event["prompt"]["kind"] for event in recorded()] == ["stroke", "click"]
        expect(page.locator(".mark-row")).to_have_count(2)
        assert person.label_at((5, 9, 9)) == 1
    person.http.close()


def test_two_pages_on_one_session_see_the_same(annotator, add, volume, chromium, server):
    case = add(volume)
    annotator.open(case)
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    other = Annotator(context.new_page(), server.address).open(case)

    annotator.click((5, 6, 6))
    annotator.settle()
    expect(other.page.locator(".mark-row")).to_have_count(1)
    other.settle()
    expect(other.page.get_by_role("img", name="Guest has this case open")).to_be_visible()
    other.page.keyboard.press("Control+z")
    expect(other.page.get_by_text("another person's")).to_be_visible()
    other.click((5, 10, 11))
    expect(annotator.page.locator(".mark-row")).to_have_count(2)
    annotator.settle()
    annotator.page.keyboard.press("Control+z")
    expect(other.page.locator(".mark-row")).to_have_count(1)
    annotator.settle()
    other.settle()

    assert annotator.state["session"] == other.state["session"]
    assert annotator.label_at((5, 6, 6)) == other.label_at((5, 6, 6)) == 0
    assert annotator.label_at((5, 10, 11)) == other.label_at((5, 10, 11)) == 1

    other.page.get_by_role("button", name="You are Guest").click()
    other.page.get_by_role("textbox", name="The name that others see").fill("Anna B.")
    other.page.get_by_role("button", name="Save").click()
    expect(annotator.page.get_by_role("img", name="Anna B. has this case open")).to_have_text("AB")
    other.http.close()
    context.close()


def test_a_server_that_wants_a_token_says_so_in_words(chromium, bundle, tmp_path):
    from tests.server.running import in_thread, settings

    with in_thread(settings(tmp_path, token="correct horse")) as server:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(server.address)  # with the token, as the server printed it
        expect(page.locator(".empty")).to_be_visible()
        assert "token" not in page.url
        context.close()
