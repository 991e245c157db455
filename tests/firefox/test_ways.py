"""The ten main ways through the annotator in Firefox, with graph cut as the method: what people do all day works there.

`make test-firefox` runs them; where there is no Firefox they are skipped.
"""

import os

import numpy as np
import pytest

import hatch_build
from segmend.core.image import Image, scale_affine
from segmend.io import read_mask
from tests.firefox.bidi import Firefox, found
from tests.server.running import http, in_thread, settings
from tests.web.conftest import ROOT

DEMANDED = "SEGMEND_DEMAND_FIREFOX"  # set by `make test-firefox`

pytestmark = [
    pytest.mark.skipif(not os.environ.get(DEMANDED), reason="make test-firefox drives Firefox"),
    pytest.mark.skipif(found() is None, reason="There is no Firefox: apt-get install firefox-esr"),
]

SHAPE, MIDDLE = (12, 64, 64), (6, 32, 30)


def phantom(shape=SHAPE):
    """A bright ball in dark noise."""
    z, y, x = np.indices(shape)
    inside = ((z - MIDDLE[0]) * 2) ** 2 + (y - MIDDLE[1]) ** 2 + (x - MIDDLE[2]) ** 2 < 12**2
    noise = np.random.default_rng(3).normal(0, 6, shape)
    return Image((noise + np.where(inside, 180, 60)).astype(np.int16)[None], scale_affine((2, 1, 1))), inside


class Person:
    """Somebody at the annotator in Firefox."""

    def __init__(self, browser, address):
        self.browser = browser
        self.address = address.split("?")[0]
        self.http = http(self.address)

    def open(self, case):
        self.browser.go(self.address)
        self.browser.evaluate("localStorage.clear()")  # nobody likes a tool yet
        self.browser.go("about:blank")
        self.browser.go(f"{self.address}#case={case}&layout=axial")
        self.settle()
        self.browser.evaluate(f"window.segmend.goTo({list(MIDDLE)})")
        self.drawn()

    def settle(self):
        self.browser.wait("window.segmend?.settled()")
        self.drawn()

    def drawn(self):
        self.browser.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    @property
    def state(self):
        return self.browser.evaluate("window.segmend.state()")

    @property
    def session(self):
        return self.http.get(f"/api/sessions/{self.state['session']}").json()

    def place(self, index):
        at = self.browser.evaluate(f"window.segmend.screenOf({list(index)}, 'axial')")
        assert at is not None, index
        return at["x"], at["y"]

    def drag(self, *indices):
        self.browser.drag([self.place(index) for index in indices])
        self.settle()

    def label_at(self, index):
        return self.browser.evaluate(f"window.segmend.labelAt({list(index)})")

    def marks(self):
        return [event["prompt"]["kind"] for event in self.session["events"] if event["event"] == "prompted"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if not hatch_build.is_current(ROOT):
        hatch_build.build(ROOT)
    with in_thread(settings(tmp_path_factory.mktemp("firefox-server"), method="graphcut")) as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Firefox(tmp_path_factory.mktemp("firefox"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def store(server):
    return server.config.app.state.shared.store


@pytest.fixture
def person(browser, server):
    person = Person(browser, server.address)
    browser.said.clear()
    yield person
    person.http.close()
    assert browser.said == []


@pytest.fixture
def opened(person, store):
    image, _ = phantom()
    person.open(store.add_case("ball", image, modality="MR").id)
    return person


def test_a_case_opens_and_is_drawn(opened):
    assert opened.state["arrived"] == 1 and opened.browser.evaluate("document.title").startswith("ball")
    bright, dark = opened.browser.evaluate(
        """(() => {
          const canvas = document.querySelector('canvas[data-plane=axial]');
          const box = canvas.getBoundingClientRect();
          return [[6, 32, 34], [6, 6, 6]].map((index) => {
            const { x, y } = window.segmend.screenOf(index, 'axial');
            const at = [(x - box.x) * canvas.width / box.width, (y - box.y) * canvas.height / box.height];
            return canvas.getContext('2d').getImageData(...at.map(Math.round), 1, 1).data[0];
          });
        })()"""
    )
    assert bright > dark + 60


def test_a_click_makes_a_mask(opened):
    opened.drag(MIDDLE)

    assert opened.label_at(MIDDLE) == 1 and opened.label_at((6, 4, 4)) == 0
    assert opened.marks() == ["click"]


def test_a_stroke_follows_the_mouse(opened):
    opened.browser.press("s")
    opened.drag((6, 32, 26), (6, 32, 30), (6, 32, 34))

    [stroke] = [event["prompt"] for event in opened.session["events"] if event["event"] == "prompted"]
    assert stroke["kind"] == "stroke" and stroke["points"][0] == [6, 32, 26] and stroke["points"][-1] == [6, 32, 34]
    assert opened.label_at(MIDDLE) == 1


def test_a_box_is_drawn_from_corner_to_corner(opened):
    opened.browser.press("b")
    opened.drag((6, 20, 18), (6, 44, 42))

    [box] = [event["prompt"] for event in opened.session["events"] if event["event"] == "prompted"]
    assert (box["kind"], box["low"][1:], box["high"][1:]) == ("box", [20, 18], [45, 43])
    assert opened.label_at(MIDDLE) == 1


def test_a_lasso_is_drawn_round_the_object(opened):
    opened.browser.press("l")
    opened.drag((6, 18, 30), (6, 26, 44), (6, 40, 44), (6, 46, 30), (6, 36, 17), (6, 24, 17))

    assert opened.marks() == ["lasso"] and opened.label_at(MIDDLE) == 1


def test_undo_and_redo_by_keys_and_buttons(opened):
    opened.drag(MIDDLE)
    opened.browser.press("Control+z")
    opened.settle()
    assert opened.label_at(MIDDLE) == 0

    opened.browser.press("Control+Shift+z")
    opened.settle()
    assert opened.label_at(MIDDLE) == 1
    opened.browser.click_on("button[aria-label^='Undo']")
    opened.settle()
    assert opened.label_at(MIDDLE) == 0


def test_labels_are_added_named_and_marked_apart(opened):
    opened.drag(MIDDLE)
    opened.browser.press("n")
    opened.settle()
    x, y = opened.browser.evaluate(
        "(() => { const box = document.querySelector('[data-key=label-2]').getBoundingClientRect();"
        " return [box.x + 20, box.y + 10]; })()"
    )
    opened.browser.drag([(x, y)])
    opened.browser.press("2")
    opened.browser.evaluate("document.querySelector('[data-key=label-2]').focus()")
    opened.browser.act({"type": "key"}, *[{"type": kind, "value": "\ue032"} for kind in ("keyDown", "keyUp")])  # F2
    opened.browser.evaluate("document.activeElement.select()")
    opened.browser.type("Cyst")
    opened.browser.press("Enter")
    opened.settle()
    opened.drag((6, 56, 56))

    assert [label["name"] for label in opened.session["labels"]] == ["Object 1", "Cyst"]
    assert opened.session["events"][-1]["label"] == 2 and opened.label_at(MIDDLE) == 1


def test_the_wheel_goes_slice_by_slice(opened):
    place = opened.place(MIDDLE)
    opened.browser.turn(place, -2)
    opened.drawn()
    assert abs(opened.state["crosshair"][0] - MIDDLE[0]) == 2

    opened.browser.turn(place, 2)
    opened.drawn()
    opened.browser.press("ArrowUp")
    opened.drawn()
    assert opened.state["crosshair"][0] == MIDDLE[0] + 1


def test_the_mask_is_downloaded(opened):
    opened.drag(MIDDLE)
    image, inside = phantom()

    opened.browser.click_on("button", text="Download")
    opened.browser.click_on(".menu-item", text="NIfTI, packed")

    path = opened.browser.downloads / "ball-mask.nii.gz"
    opened.browser.wait("document.querySelector('.toast')?.textContent.includes('Downloaded')")
    for _ in range(200):
        if path.exists() and path.stat().st_size:
            break
        opened.drawn()
    mask = read_mask(path, image) == 1
    assert 2 * (mask & inside).sum() / (mask.sum() + inside.sum()) > 0.7


def test_the_worklist_is_searched_and_worked_through(person, store):
    image, _ = phantom()
    first, second = (store.add_case(name, image, modality="MR").id for name in ("zebra one", "zebra two"))
    person.open(first)
    person.drag(MIDDLE)

    person.browser.press("/")
    person.browser.type("zebra")
    person.browser.wait("document.querySelectorAll('.case-row').length === 2")
    person.browser.press("Escape")
    person.browser.evaluate("document.querySelector('canvas').focus()")
    person.browser.click_on("button", text="Done and next")

    person.browser.wait(f"window.segmend.state().case === '{second}'")
    person.settle()
    assert person.http.get(f"/api/cases/{first}").json()["status"] == "done"
    person.browser.wait("document.querySelector('.case-open[aria-current]')?.textContent.includes('zebra two')")
