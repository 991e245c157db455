"""Mouse, touch and keys do what they say and nothing by accident, and every control can be reached."""

import time

import numpy as np
import pytest
from playwright.sync_api import expect

from segmend.core.image import Image, scale_affine
from segmend.core.session import PALETTE
from tests.web.driving import Annotator, watched

MIDDLE = (5, 6, 6)


@pytest.fixture(scope="module")
def context(chromium):
    context = chromium.new_context(viewport={"width": 1280, "height": 720}, has_touch=True)
    yield context
    context.close()


@pytest.fixture(scope="module")
def person(context, server):
    """One page for all tests of this file."""
    page = context.new_page()
    with watched(page):
        person = Annotator(page, server.address)
        yield person
        person.http.close()


@pytest.fixture(autouse=True)
def forget(person):
    """Nobody likes anything yet."""
    person.open()
    person.page.evaluate("localStorage.clear()")


@pytest.fixture
def opened(person, add, volume):
    return person.open(add(volume, "knee"))


@pytest.fixture
def picture(person, add, photo):
    return person.open(add(photo, "a mole", modality="XC"))


def button(person, name):
    return person.page.get_by_role("button", name=name, exact=True)


class Fingers:
    """Fingers on a touch screen."""

    def __init__(self, person):
        self.session = person.page.context.new_cdp_session(person.page)

    def at(self, kind, *points):
        touched = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touched})


def test_two_fingers_zoom_and_never_mark(picture):
    x, y = picture.place_of((0, 20, 30), "axial")
    fingers = Fingers(picture)

    fingers.at("touchStart", (x - 30, y))
    fingers.at("touchStart", (x - 30, y), (x + 30, y))
    for far in (45, 60, 75):
        fingers.at("touchMove", (x - far, y), (x + far, y))
    fingers.at("touchEnd")
    picture.drawn()

    view = picture.state["views"]["axial"]
    assert 2 < view["zoom"] < 3  # fingers are 2.5 times as far apart
    assert picture.prompts == []
    now = picture.place_of((0, 20, 30), "axial")
    assert abs(now[0] - x) < 3 and abs(now[1] - y) < 3  # what lay between the fingers lies there still


def test_a_tap_marks_once_and_a_finger_that_moves_does_not(picture):
    fingers, place = Fingers(picture), picture.place_of((0, 20, 30), "axial")

    fingers.at("touchStart", place)
    fingers.at("touchMove", (place[0] + 40, place[1]))
    fingers.at("touchEnd")
    fingers.at("touchStart", place)
    fingers.at("touchEnd")
    picture.settle()

    assert [prompt["index"] for prompt in picture.prompts] == [[0, 20, 30]]


class Pen:
    """A pen on the same screen; its eraser end is what browsers make of it, for no browser can be told to have one."""

    def __init__(self, person):
        self.page = person.page
        self.session = person.page.context.new_cdp_session(person.page)

    def at(self, kind, place, *, button="none", now=None):
        event = {"type": kind, "x": place[0], "y": place[1], "button": button, "clickCount": 1, "pointerType": "pen"}
        self.session.send("Input.dispatchMouseEvent", event if now is None else {**event, "timestamp": now})

    def tap(self, place, *, now=None):
        self.at("mouseMoved", place)
        for kind in ("mousePressed", "mouseReleased"):
            self.at(kind, place, button="left", now=now)

    def erase(self, *places):
        self.at("mouseMoved", places[0])
        self.page.evaluate(
            """(places) => {
              const canvas = document.elementFromPoint(...places[0]);
              const pen = {bubbles: true, cancelable: true, pointerId: 1, pointerType: "pen"};
              const tell = (type, [clientX, clientY], button, buttons) =>
                canvas.dispatchEvent(new PointerEvent(type, {...pen, clientX, clientY, button, buttons}));
              tell("pointerdown", places[0], 5, 32);
              for (const place of places.slice(1)) tell("pointermove", place, -1, 32);
              tell("pointerup", places.at(-1), 5, 0);
            }""",
            [list(place) for place in places],
        )


def test_the_other_end_of_a_pen_takes_marks_away_and_erases(opened):
    pen, now = Pen(opened), time.time()
    pen.tap(opened.place_of(MIDDLE, "axial"), now=now)
    opened.settle()
    assert opened.label_at(MIDDLE) == 1

    pen.erase(opened.place_of(MIDDLE, "axial"))  # where the mark is
    expect(opened.page.locator(".mark-row")).to_have_count(0)
    opened.settle()
    assert opened.label_at(MIDDLE) == 0

    pen.tap(opened.place_of(MIDDLE, "axial"), now=now + 0.2)  # as soon as a double click: a new mark all the same
    opened.settle()
    assert opened.label_at(MIDDLE) == 1
    for _ in range(8):
        opened.page.keyboard.press("[")  # as thin as it gets
    pen.erase(*(opened.place_of((5, 4, x), "axial") for x in (4, 8)))
    expect(opened.page.locator(".mark-row")).to_have_count(2)
    opened.settle()
    assert [opened.label_at((5, 4, x)) for x in (4, 6, 8)] == [0, 0, 0]
    assert opened.label_at((5, 7, 6)) == 1 and opened.state["tool"] == "click"


def test_a_hand_beside_a_pen_marks_nothing(opened):
    pen, fingers = Pen(opened), Fingers(opened)
    hand = opened.place_of((5, 10, 10), "axial")
    fingers.at("touchStart", hand)  # the hand comes before the pen
    pen.tap(opened.place_of(MIDDLE, "axial"))
    fingers.at("touchEnd")
    pen.at("mouseMoved", opened.place_of((5, 2, 2), "axial"))
    fingers.at("touchStart", hand)  # and with it
    fingers.at("touchEnd")
    opened.settle()
    assert [prompt["index"] for prompt in opened.prompts] == [list(MIDDLE)]

    opened.page.wait_for_timeout(600)  # the pen has gone
    fingers.at("touchStart", hand)
    fingers.at("touchEnd")
    opened.settle()
    assert [prompt["index"] for prompt in opened.prompts] == [list(MIDDLE), [5, 10, 10]]


def test_a_double_click_is_one_mark(opened):
    opened.page.mouse.dblclick(*opened.place_of(MIDDLE, "axial"))
    opened.settle()
    assert len(opened.prompts) == 1

    opened.page.keyboard.down("Shift")
    opened.click(MIDDLE)  # at once, but with the other sign
    opened.page.keyboard.up("Shift")
    opened.settle()

    assert [prompt["positive"] for prompt in opened.prompts] == [True, False]


def test_space_pans_and_presses_no_button(opened):
    button(opened, "Lock Object 1: its voxels will not change").click()
    opened.settle()
    assert opened.state["labels"][0]["locked"]

    opened.page.mouse.move(*opened.place_of(MIDDLE, "axial"))
    opened.page.keyboard.press("Space")  # and thinks the better of it
    opened.page.keyboard.down("Space")
    opened.drag([MIDDLE, (5, 6, 9)])
    opened.page.keyboard.up("Space")
    opened.settle()

    assert opened.state["labels"][0]["locked"]
    assert "axial" in opened.state["views"] and opened.prompts == []


def test_space_presses_the_button_that_the_tab_key_reached(opened):
    lock = button(opened, "Lock Object 1: its voxels will not change")
    opened.page.mouse.move(*opened.place_of(MIDDLE, "axial"))
    opened.page.keyboard.press("Tab")
    lock.focus()
    opened.page.keyboard.press("Space")
    opened.settle()

    assert opened.state["labels"][0]["locked"]


def test_letters_are_for_tools_and_not_for_the_menu_of_methods(opened):
    opened.page.locator("#method").focus()
    opened.page.keyboard.press("s")
    assert (opened.state["tool"], opened.state["method"]) == ("stroke", "ball")
    opened.page.keyboard.press("b")
    assert (opened.state["tool"], opened.state["method"]) == ("box", "ball")
    opened.page.mouse.move(*opened.place_of(MIDDLE, "axial"))  # back at the picture
    opened.page.keyboard.press("ArrowDown")
    assert (opened.state["crosshair"], opened.state["method"]) == ([4, 6, 6], "ball")


def test_arrows_move_the_slider_that_has_the_focus(opened):
    before = opened.state["crosshair"]
    opened.page.get_by_label("Opacity").focus()
    opened.page.keyboard.press("ArrowUp")
    assert opened.state["opacity"] == pytest.approx(0.41) and opened.state["crosshair"] == before

    opened.page.evaluate("window.segmend.show('grid')")
    opened.page.get_by_label("Coronal slice").focus()
    opened.page.keyboard.press("ArrowUp")
    assert opened.state["crosshair"] == [before[0], before[1] + 1, before[2]]


def test_a_picture_is_marked_by_keys_at_a_crosshair_that_is_seen(picture):
    picture.go_to((0, 20, 30))
    beside = [(0, 20, 20), (0, 10, 30)]
    plain = np.array(picture.colours(beside))
    picture.page.locator("canvas[data-plane=axial]").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft"):
        picture.page.keyboard.press(key)
    assert picture.state["crosshair"] == [0, 21, 31] and picture.state["aiming"]
    picture.page.keyboard.press("ArrowUp")
    picture.page.keyboard.press("ArrowLeft")
    aimed = np.array(picture.colours(beside))
    picture.page.keyboard.press("Enter")
    picture.page.keyboard.press("ArrowLeft")
    picture.page.keyboard.press("Shift+Enter")
    picture.settle()

    assert (np.abs(aimed - plain).max(axis=1) > 60).all()  # lines through the place
    assert [(prompt["index"], prompt["positive"]) for prompt in picture.prompts] == [
        ([0, 20, 30], True),
        ([0, 20, 29], False),
    ]
    picture.page.mouse.move(*picture.place_of((0, 20, 30), "axial"))
    assert not picture.state["aiming"]  # the pointer shows the place itself


def test_every_mark_is_drawn_by_keys_in_a_picture(picture):
    press, canvas = picture.page.keyboard.press, picture.page.locator("canvas[data-plane=axial]")

    def draw(tool, *keys):
        canvas.focus()
        picture.go_to((0, 20, 30))
        for key in (tool, "Enter", *keys):
            press(key)
        picture.settle()

    hint = picture.page.locator(".status-hint")
    draw("s", "ArrowRight", "ArrowRight")
    expect(hint).to_contain_text("Arrows draw")
    press("Enter")
    draw("b", "ArrowRight", "ArrowDown", "ArrowDown", "Enter")
    draw("s", "ArrowRight", "Escape")  # called off
    draw("p", "ArrowRight", "Enter")
    picture.page.select_option("#method", "whole_mask")
    draw("l", "ArrowRight", "ArrowDown", "ArrowLeft", "Enter")
    draw("e", "ArrowUp", "Enter", "ArrowRight", "Enter", "ArrowDown", "Enter")  # four points

    events = picture.recorded["events"]
    stroke, box, lasso, ends = (event["prompt"] for event in events if event["event"] == "prompted")
    assert (stroke["kind"], stroke["points"]) == ("stroke", [[0, 20, 30], [0, 20, 31], [0, 20, 32]])
    assert (box["low"], box["high"]) == ([0, 20, 30], [1, 23, 32])
    assert lasso["points"] == [[0, 20, 30], [0, 20, 31], [0, 21, 31], [0, 21, 30]]
    assert ends["points"] == [[0, 20, 30], [0, 19, 30], [0, 19, 31], [0, 20, 31]]
    painted = [event["edit"] for event in events if event["event"] == "edited"]
    assert [edit["points"] for edit in painted] == [[[0, 20, 30], [0, 20, 31]]]


def test_a_new_label_stays_chosen_while_the_mark_before_it_is_on_its_way(picture):
    picture.page.evaluate("""async () => {
      const canvas = document.querySelector("canvas[data-plane=axial]");
      const press = (key) => canvas.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
      canvas.focus();
      press("Enter");
      for (let i = 0; i < 20; i++) await null;  // no answer can come in between
      press("n");
    }""")
    picture.settle()
    picture.page.keyboard.press("Enter")
    picture.settle()

    events = picture.recorded["events"]
    assert [event["label"] for event in events if event["event"] == "prompted"] == [1, 2]


def test_labels_that_are_added_at_once_are_several(picture):
    picture.page.locator("canvas[data-plane=axial]").focus()
    picture.page.evaluate("""() => {
      const press = () => new KeyboardEvent("keydown", {key: "n", bubbles: true, cancelable: true});
      for (let i = 0; i < 2; i++) document.activeElement.dispatchEvent(press());
    }""")
    picture.settle()

    assert [label["name"] for label in picture.state["labels"]] == ["Object 1", "Object 2", "Object 3"]


def test_a_box_gets_depth_by_keys_and_a_mark_is_moved(opened):
    press = opened.page.keyboard.press
    opened.go_to(MIDDLE)
    opened.page.locator("canvas[data-plane=axial]").focus()
    for key in ("b", "Enter", "ArrowRight", "ArrowRight", "ArrowDown", "PageUp", "PageUp", "Enter"):
        press(key)
    opened.settle()
    opened.go_to((2, 6, 6))
    for key in ("c", "Enter", "v", "Enter", "ArrowDown", "ArrowDown", "Enter"):
        press(key)
        opened.settle()

    box, click, moved = opened.prompts
    assert [high - low for low, high in zip(box["low"], box["high"], strict=True)] == [3, 2, 3]
    assert click["index"] == [2, 6, 6]
    assert moved["index"][0] == 2 and moved["index"] != click["index"] and moved["index"][2] == 6


def test_arrows_move_within_a_plane_of_a_volume_too(opened):
    opened.page.locator("canvas[data-plane=axial]").focus()
    for key in ("ArrowRight", "ArrowRight", "Shift+ArrowDown", "ArrowUp"):
        opened.page.keyboard.press(key)
    x, y = opened.place_of(opened.state["crosshair"], "axial")
    opened.go_to((6, 6, 6))
    before = opened.place_of((6, 6, 6), "axial")

    assert x > before[0] and y > before[1]  # to the screen's right, and down


def test_a_row_of_marks_shows_its_place(picture):
    picture.click((0, 20, 30))
    picture.settle()
    picture.click((0, 30, 50))
    picture.settle()
    older = picture.page.locator(".mark-row").nth(1)

    older.hover()
    assert picture.state["hovered"] == 1
    picture.drawn()
    older.get_by_text("Click +").click()

    assert picture.state["ring"] == [0, 20, 30]
    picture.page.mouse.move(5, 5)
    assert picture.state["hovered"] is None


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1024, 700)])
def test_every_control_can_be_reached_with_twenty_labels(person, add, server, width, height):
    voxels = np.random.default_rng(0).integers(-1000, 1500, (1, 6, 20, 20)).astype(np.int16)
    case = add(Image(voxels, scale_affine((3, 1, 1))), "chest", modality="CT")
    session = person.http.post(f"/api/cases/{case}/sessions").json()["id"]
    for value in range(1, 21):
        label = {"name": f"Object {value}", "colour": list(PALETTE[value % len(PALETTE)])}
        person.http.put(f"/api/sessions/{session}/labels/{value}", json=label)
    person.page.set_viewport_size({"width": width, "height": height})
    person.open(case, method="mend")
    controls = person.page.locator(":is(.panel, .rail, .header) :is(button, input, select)")
    unreachable = controls.evaluate_all(
        """(controls) => controls.filter((one) => one.checkVisibility({visibilityProperty: true})).filter((one) => {
          one.scrollIntoView({block: "nearest"});
          const {left, right, top, bottom} = one.getBoundingClientRect();
          const there = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
          const inside = left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight;
          return !(inside && (one.contains(there) || one.closest("label")?.contains(there)));
        }).map((one) => one.ariaLabel || one.title || one.outerHTML)"""
    )
    count = controls.count()
    person.page.set_viewport_size({"width": 1280, "height": 720})

    assert count > 60
    assert unreachable == []


def test_marks_are_listed_on_a_tablet_held_upright(picture):
    page = picture.page
    page.set_viewport_size({"width": 820, "height": 1180})
    for column in (12, 30, 48):
        picture.click((0, 20, column))
        picture.settle()
    heights = page.locator(".mark-row").evaluate_all("(rows) => rows.map((row) => row.offsetHeight)")
    seen = page.locator(".mark-list").evaluate("(list) => list.clientHeight")
    page.set_viewport_size({"width": 1280, "height": 720})

    assert len(heights) == 3
    assert seen >= sum(heights)


def test_what_a_person_likes_is_remembered(person, add, volume, photo):
    head = Image(np.random.default_rng(0).integers(-1000, 1500, (1, 6, 20, 20)).astype(np.int16))
    first, second, third = (add(head, name, modality="CT") for name in ("one", "two", "three"))
    mole = add(photo, "mole", modality="XC")
    person.open(first, layout="coronal")
    person.page.evaluate("window.segmend.show('sagittal')")
    button(person, "Bone").click()
    person.page.get_by_label("Opacity").fill("70")
    person.page.keyboard.press("s")
    chosen = {"layout": "sagittal", "opacity": 0.7, "tool": "stroke", "method": "ball"}
    bone = person.state["contrast"]

    person.page.goto("about:blank")
    person.page.goto(f"{person.address}#case={second}")  # the next case, in a page that was loaded anew
    person.settle()
    assert {key: person.state[key] for key in chosen} == chosen
    assert person.state["contrast"] == bone
    person.page.goto("about:blank")
    person.page.goto(f"{person.address}#case={second}&layout=axial")
    person.settle()
    assert person.state["layout"] == "axial"  # an address says it for itself
    person.page.goto("about:blank")
    person.page.goto(f"{person.address}#case={mole}")
    person.settle()
    assert person.state["method"] == "mend" and person.state["contrast"] == {"low": 0, "high": 255}
    person.page.goto("about:blank")
    person.page.goto(f"{person.address}#case={third}")  # one that was never open; another opens as it was left
    person.settle()
    assert person.state["layout"] == "sagittal"


def test_what_was_done_to_the_images_is_said_while_the_case_is_open(person, add, volume):
    words = "47 slices at uneven distances were interpolated onto 50 slices."
    person.open(add(Image(volume.voxels, volume.affine, (words,)), "uneven"))
    notes = person.page.locator(".case-notes")
    person.click(MIDDLE)
    person.settle()

    expect(notes).to_have_text(words)
    expect(notes).to_be_visible()
    person.open(add(volume, "even"))
    expect(notes).to_be_hidden()
