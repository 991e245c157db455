"""Everybody can see, hear and reach the page: axe-core finds nothing on any screen, in any colours, nor do fingers."""

import re

import pytest
from playwright.sync_api import expect

from tests.server.running import in_thread, settings
from tests.web.axe import findings
from tests.web.driving import Annotator, watched

MIDDLE = (5, 6, 6)
# What can be pressed, and the area that answers: a label's for a box in it.
SMALL = """() => [...document.querySelectorAll("button, a[href], input, select, textarea, summary")]
  .filter((one) => one.checkVisibility({visibilityProperty: true}) && !one.closest("[hidden]"))
  .map((one) => ["checkbox", "radio"].includes(one.type) ? one.closest("label") ?? one : one)
  .map((one) => ({one, box: one.getBoundingClientRect()}))
  .filter(({box}) => box.width < 43.5 || box.height < 43.5)
  .map(({one, box}) => `${box.width.toFixed(0)} x ${box.height.toFixed(0)}: ${one.outerHTML.slice(0, 120)}`)"""


@pytest.fixture(scope="module")
def person(chromium, server):
    """One page for all tests of this file."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, color_scheme="dark")
    page = context.new_page()
    with watched(page):
        person = Annotator(page, server.address)
        yield person
        person.http.close()
    context.close()


@pytest.fixture(autouse=True)
def forget(person):
    """Nobody likes anything yet."""
    person.open()
    person.page.evaluate("localStorage.clear()")
    person.page.emulate_media(color_scheme="dark", contrast="no-preference")


def button(person, name):
    return person.page.get_by_role("button", name=name, exact=True)


def test_axe_finds_nothing_in_the_worklist_and_its_dialogs(person, add, photo):
    add(photo, "a mole")
    person.open()
    page = person.page
    expect(page.locator(".case-open").first).to_be_visible()
    page.get_by_role("searchbox").fill("a mole")
    expect(page.get_by_role("button", name="Delete a mole").first).to_be_attached()
    button(person, "Filter").click()
    page.evaluate("for (const one of document.querySelectorAll('.banner, .loading')) one.hidden = false")
    found = findings(person.page, "start page")

    for name, opens in {
        "settings": lambda: button(person, "Settings: language, colours, side of the panel").click(),
        "help": lambda: page.keyboard.press("?"),
        "results": lambda: button(person, "Results of these cases").click(),
        "link": lambda: button(person, "Link a folder or file of this computer").click(),
        "delete": page.get_by_role("button", name="Delete a mole").first.click,
        "methods": lambda: button(person, "What each method is good for, and how they compare").click(),
    }.items():
        opens()
        expect(page.locator("dialog[open]")).to_be_visible()
        found += findings(person.page, name)
        page.keyboard.press("Escape")
        expect(page.locator("dialog[open]")).to_have_count(0)

    assert "\n".join(found) == ""


def test_axe_finds_nothing_in_a_case_and_its_dialogs(person, add, volume):
    page, case = person.page, add(volume, "knee")
    person.open(case, layout="grid")
    person.click(MIDDLE)
    person.settle()
    page.keyboard.press("n")
    person.settle()
    page.locator(".editing summary").click()
    page.keyboard.press("?")
    button(person, "Tour of a minute").click()
    page.get_by_label("Show a change before it is made").check()
    person.go_to(MIDDLE)
    person.click((5, 6, 8))
    expect(page.locator(".preview-bar")).to_be_visible()
    found = findings(person.page, "volume")
    page.keyboard.press("Escape")
    button(person, "End the tour").click()

    with page.context.new_page() as other:
        other.goto(f"{person.address}#case={case}&layout=axial")
        expect(page.get_by_role("button", name="change the name that others see")).to_be_visible()
        other.get_by_role("button", name="change the name that others see").click()
        found += findings(other, "name")
    for name in ("Reject…", "by its name", "Labels of this project…"):
        button(person, name).click()
        expect(page.locator("dialog[open]")).to_be_visible()
        found += findings(person.page, name)
        page.keyboard.press("Escape")
    button(person, "Download").click()
    expect(page.locator("#download-menu")).to_be_visible()
    found += findings(person.page, "download")

    assert "\n".join(found) == ""


def test_axe_finds_nothing_in_a_picture(person, add, photo):
    person.open(add(photo, "a mole", modality="XC"))
    person.click((0, 20, 30))
    person.settle()

    assert "\n".join(findings(person.page, "picture")) == ""


def test_axe_finds_nothing_where_one_logs_in(person, bundle, tmp_path):
    with in_thread(settings(tmp_path, token="correct horse battery")) as guarded:
        person.page.goto(guarded.address.partition("?")[0])
        expect(person.page.get_by_role("button", name="Log in")).to_be_visible()
        assert "\n".join(findings(person.page, "login", ["dark"])) == ""


def test_colours_follow_the_system_until_they_are_chosen_and_pictures_stay_dark(person, add, photo):
    page, case = person.page, add(photo, "a mole", modality="XC")
    theme = page.locator("html")
    page.emulate_media(color_scheme="light")
    person.open(case)
    expect(theme).to_have_attribute("data-theme", "light")
    page.emulate_media(color_scheme="light", contrast="more")
    expect(theme).to_have_attribute("data-theme", "contrast")

    button(person, "Settings: language, colours, side of the panel").click()
    page.get_by_label("Light; pictures stay dark").check()
    page.get_by_label("On the left, for the left hand").check()
    page.keyboard.press("Escape")
    page.emulate_media(color_scheme="dark", contrast="no-preference")
    person.open(case)  # in a page that was loaded anew

    expect(theme).to_have_attribute("data-theme", "light")
    colour = "(one) => getComputedStyle(document.querySelector(one)).backgroundColor"
    assert page.evaluate(colour, ".panel") == "rgb(246, 248, 250)"
    assert page.evaluate(colour, ".pane") == "rgb(10, 12, 16)"
    panel, stage, rail = (page.locator(one).bounding_box() for one in (".panel", ".stage", ".rail"))
    assert panel["x"] < stage["x"] < rail["x"]


def test_a_page_in_arabic_is_mirrored_and_its_pictures_are_not(person, add, volume):
    page, case = person.page, add(volume, "knee")
    person.open(case, layout="grid")
    places = [person.place_of((5, 6, 2), "axial"), person.place_of((5, 6, 10), "axial")]
    order = page.locator(".pane").evaluate_all("(panes) => panes.map((one) => one.getBoundingClientRect().x)")
    button(person, "Settings: language, colours, side of the panel").click()
    page.get_by_label("Language", exact=True).select_option("ar")
    with page.expect_navigation():
        button(person, "Change the language").click()
    person.settle()

    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    expect(page.get_by_role("button", name="تراجع")).to_be_visible()
    panel, stage = (page.locator(one).bounding_box() for one in (".panel", ".stage"))
    assert panel["x"] < stage["x"]
    person.show("grid")
    now = [person.place_of((5, 6, 2), "axial"), person.place_of((5, 6, 10), "axial")]
    assert (now[0][0] < now[1][0]) == (places[0][0] < places[1][0])  # the patient's right is where it was
    mirrored = page.locator(".pane").evaluate_all("(panes) => panes.map((one) => one.getBoundingClientRect().x)")
    assert [one > order[0] for one in order] == [one > mirrored[0] for one in mirrored]
    written = page.locator("input[type=number]").evaluate_all(
        "(all) => all.map((one) => getComputedStyle(one).direction)"
    )
    assert len(written) > 3 and set(written) == {"ltr"}  # -160 and not 160-
    assert "\n".join(findings(person.page, "arabic")) == ""


def test_a_page_in_german_has_one_decimal_point_and_the_keys_of_its_keyboards(person, add, volume):
    page, case = person.page, add(volume, "knee")
    person.open(case)
    button(person, "Settings: language, colours, side of the panel").click()
    page.get_by_label("Language", exact=True).select_option("de")
    with page.expect_navigation():
        button(person, "Change the language").click()
    person.settle()

    expect(page.locator(".case-details")).to_contain_text("1 × 1,5 × 3 mm")
    expect(page.get_by_role("button", name="Rückgängig")).to_have_attribute("title", re.compile(r"\(Strg\+Z\)"))
    person.go_to((5, 6, 6))
    expect(page.locator("#status-voxel")).to_contain_text(re.compile(r"[LR] \d+,\d  "))


def test_fingers_have_targets_of_44_pixels(chromium, server, add, volume):
    context = chromium.new_context(viewport={"width": 1180, "height": 820}, has_touch=True, is_mobile=True)
    page = context.new_page()
    with watched(page):
        person = Annotator(page, server.address)
        person.open()
        assert page.evaluate("matchMedia('(pointer: coarse)').matches")
        small = page.evaluate(SMALL)
        person.open(add(volume, "knee"), layout="grid")
        page.locator(".editing summary").tap()
        person.click(MIDDLE)
        person.settle()
        small += page.evaluate(SMALL)
        for name in ("Settings: language, colours, side of the panel", "Shortcuts and help"):
            button(person, name).tap()
            small += page.locator("dialog").evaluate(SMALL)
            button(person, "Close").tap()
        person.http.close()
    context.close()

    assert "\n".join(small) == ""
