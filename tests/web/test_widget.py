"""The page of `segmend.show` in a browser, with a host that does what anywidget does: JSON and bytes, both ways."""

import base64
import io
import json
import queue
import time

import numpy as np
import pytest
from PIL import Image as Picture

import segmend
from segmend import methods
from segmend.annotating.view import SCRIPT
from segmend.core.image import Image
from tests.web.driving import PATIENCE

HOST = """
<!doctype html><meta charset="utf-8"><div id="here" style="width: 700px"></div>
<script type="module">
import widget from "/widget.js";
const listeners = new Set();
window.tell = (content, buffers) => {
  const views = buffers.map((text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer));
  for (const listener of [...listeners]) listener(content, views);
};
const model = {
  send: (content) => window.say(JSON.stringify(content)),
  on: (name, listener) => listeners.add(listener),
  off: (name, listener) => listeners.delete(listener),
};
window.end = widget.render({ model, el: document.getElementById("here") });
window.view = document.querySelector(".segmend-view").segmend;
</script>
"""


class Page:
    """A person at the widget."""

    def __init__(self, page, view):
        self.page, self.view, self._told, self.asked = page, view, queue.Queue(), []
        view.panel.listen(lambda content, buffers: self._told.put((content, buffers)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.expose_function("say", lambda text: self.view.panel.take(json.loads(text)) and None)
        page.route("http://widget.test/", lambda route: route.fulfill(body=HOST, content_type="text/html"))
        script = SCRIPT.read_text(encoding="utf-8")
        page.route("**/widget.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
        page.goto("http://widget.test/")
        page.wait_for_function("window.view !== undefined")
        self.settle()

    def settle(self):
        """Bring messages to the page until it shows what came of them."""
        end = time.monotonic() + PATIENCE / 1000
        while True:
            self.page.evaluate("new Promise((done) => setTimeout(done, 0))")  # what it says is heard meanwhile
            self.view.panel.ask(lambda: None)
            if self._told.empty() and self.page.evaluate("window.view.settled()"):
                return
            assert time.monotonic() < end, "the page does not come to rest"
            while not self._told.empty():
                content, buffers = self._told.get()
                packed = [base64.b64encode(one).decode() for one in buffers]
                self.page.evaluate("([content, buffers]) => window.tell(content, buffers)", [content, packed])

    def place(self, index):
        place = self.page.evaluate("(index) => window.view.placeOf(index)", list(index))
        assert place is not None, f"{index} is not shown"
        return place

    def click(self, index, **options):
        self.page.mouse.click(*self.place(index), **options)
        self.settle()

    def drag(self, indices):
        first, *rest = (self.place(index) for index in indices)
        self.page.mouse.move(*first)
        self.page.mouse.down()
        for place in rest:
            self.page.mouse.move(*place, steps=3)
        self.page.mouse.up()
        self.settle()

    def press(self, name):
        self.page.get_by_role("button", name=name, exact=True).click()
        self.settle()

    def show(self, plane, index):
        self.page.evaluate("([plane, index]) => window.view.show(plane, index)", [plane, index])
        self.settle()

    def label_at(self, index):
        return self.page.evaluate("(index) => window.view.labelAt(index)", list(index))

    @property
    def prompts(self):
        return [mark.prompt for mark in self.view.annotation.marks]


@pytest.fixture(scope="module")
def scan():
    """9 x 24 x 30 voxels of 2 x 1 x 1 mm; two bright blocks."""
    voxels = np.random.default_rng(1).normal(20, 2, (1, 9, 24, 30)).astype(np.float32)
    voxels[0, 2:7, 5:14, 4:13] += 80
    voxels[0, 2:7, 12:20, 18:27] += 80
    affine = np.array([[0, 0, -1, 0], [0, -1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1.0]])
    return Image(voxels, affine, axes="zyx")


@pytest.fixture
def opened(page, server):
    """Show an image with a method, on a page."""
    views = []

    def opened(image, **options):
        views.append(segmend.show(image, **options))
        return Page(page, views[-1])

    yield opened
    for view in views:
        view.close()


def test_a_volume_is_marked_in_all_planes_with_every_tool(opened, scan):
    person = opened(scan, method="geos")
    view = person.view
    person.click((4, 9, 8))
    assert person.prompts[-1].index == (4, 9, 8) and person.prompts[-1].positive
    assert view.mask()[2:7, 5:14, 4:13].mean() > 0.9
    for index in [(4, 9, 8), (4, 1, 1), (4, 15, 22), (4, 13, 12), (4, 5, 4)]:
        assert person.label_at(index) == view.annotation.map[index]

    person.click((4, 22, 2), button="right")
    assert not person.prompts[-1].positive
    person.press("Add a label")
    person.press("Box")
    person.drag([(4, 11, 17), (4, 16, 22), (4, 20, 27)])
    assert (person.prompts[-1].low, person.prompts[-1].high) == ((4, 11, 17), (5, 21, 28))
    assert view.mask(2)[4, 12:20, 18:27].mean() > 0.9 and person.label_at((4, 15, 22)) == 2

    person.press("coronal")
    person.show(1, 15)
    person.press("Stroke")
    person.press("− not")
    person.drag([(0, 15, 5), (1, 15, 9)])
    stroke = person.prompts[-1]
    assert {point[1] for point in stroke.points} == {15} and not stroke.positive
    assert stroke.points[0] == (0, 15, 5) and stroke.points[-1] == (1, 15, 9)
    person.press("sagittal")
    person.show(2, 22)
    person.press("+ object")
    person.press("Lasso")
    person.drag([(3, 13, 22), (3, 18, 22), (5, 18, 22), (5, 13, 22)])
    assert person.prompts[-1].axis == 2 and len(person.prompts) == 5
    assert person.label_at((4, 15, 22)) == 2

    marks = person.prompts
    person.page.keyboard.press("Control+z")
    person.settle()
    assert person.prompts == marks[:-1]
    person.press("Redo")
    assert person.prompts == marks
    person.press("axial")
    person.show(0, 4)
    person.page.get_by_role("button", name="object", exact=False).first.click()
    person.page.get_by_title("Work on object; a double click renames it").click()
    person.settle()
    person.press("Remove a mark")
    person.click((4, 22, 2))
    assert len(person.prompts) == 4 and all(mark != marks[1] for mark in person.prompts)
    assert person.page.get_by_role("alert").inner_text() == ""
    assert {url.split("/")[2] for url in person.asked} == {"widget.test"}  # nothing from anywhere


def test_a_picture_is_marked_and_its_mask_is_an_array_of_two_axes(opened):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[10:25, 20:45] = (200, 40, 90)
    person = opened(pixels, axes="yxc", method="geos", labels=["patch"])
    person.click((0, 15, 30))
    mask = person.view.mask()

    assert mask.shape == (40, 60) and mask[10:25, 20:45].mean() > 0.9 and mask.sum() < 500
    assert person.page.get_by_role("button", name="axial").count() == 0
    assert person.label_at((0, 15, 30)) == 1 and person.label_at((0, 2, 2)) == 0
    person.page.get_by_title("Work on patch; a double click renames it").dblclick()
    person.page.get_by_title("The label's name").fill("naevus")
    person.page.keyboard.press("Enter")
    person.settle()
    assert person.view.labels == {1: "naevus"}
    shown = person.view.panel.picture()
    assert shown.shape == (40, 60, 3) and (shown[15, 30] != pixels[15, 30]).any() and (shown[2, 2] == 0).all()


def test_the_page_says_what_is_wrong_and_what_python_does(opened, scan):
    person = opened(scan, method="ball")
    person.page.get_by_role("button", name="Remove a mark").click()
    person.click((4, 3, 3))
    assert "no mask" not in person.page.get_by_role("alert").inner_text()
    assert person.page.get_by_role("alert").inner_text() == "There is no mark of this label here."
    assert person.page.get_by_role("button", name="Undo").is_disabled()
    person.view.click(4, 9, 8)  # what Python does is on the page, too
    person.settle()
    assert person.label_at((4, 9, 8)) == 1
    assert person.page.get_by_role("status").inner_text().startswith("Slice 5 of 9 · 1 mark")
    assert "expected Dice 0.75" in person.page.get_by_role("status").inner_text()
    person.view.look(15, plane=1)
    person.settle()
    assert person.label_at((4, 15, 22)) == 0 and person.page.evaluate("window.view.look()")["plane"] == 1
    person.page.evaluate("window.end()")


def test_the_page_goes_where_an_answer_is_uncertain(opened, monkeypatch):
    import unsure  # a method of the server's tests

    monkeypatch.setitem(methods._others(), "unsure", unsure)
    person = opened(np.zeros((30, 40), np.uint8), method="unsure")
    assert person.page.get_by_role("button", name="Where next?").is_disabled()
    person.click((0, 10, 10))
    place = person.view.annotation.uncertain_place(0)
    assert place[1] in range(2, 7) and place[2] in range(20, 25)
    person.page.keyboard.press("n")
    person.settle()
    assert person.page.get_by_role("button", name="+ object").get_attribute("aria-pressed") == "true"
    person.press("Uncertainty")
    shot = np.asarray(Picture.open(io.BytesIO(person.page.screenshot())).convert("RGB")).astype(int)
    most, least = (shot[int(y), int(x)] for x, y in (person.place((0, 3, 21)), person.place((0, 25, 35))))
    assert most[0] > most[1] + 100 and most[2] > most[1] + 100 and abs(least - least.mean()).max() < 12  # magenta; grey
