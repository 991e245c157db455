"""A slide in the annotator: looked at by tiles, marked at the magnification seen, and one mask of all of it."""

import numpy as np
import pytest
from playwright.sync_api import expect

from segmend.store.slides import add_slide
from tests.slides import write_slide
from tests.web.axe import findings

TISSUE, GLASS = (160, 60, 120), (240, 240, 240)


@pytest.fixture(scope="module")
def slide(server, tmp_path_factory):
    """A slide with a block of tissue over (800..1000, 1200..1700)."""
    pixels = np.full((2100, 2601, 3), 240, np.uint8)
    pixels[800:1000, 1200:1700] = TISSUE
    path = write_slide(
        tmp_path_factory.mktemp("slide") / "biopsy.svs", pixels, levels=3, compression="zlib", inner=False
    )
    return add_slide(server.config.app.state.shared.store, path, "biopsy").id


def place_of(annotator, x, y):
    """Return where a pixel of the slide is on the page."""
    at = annotator.page.evaluate("(place) => window.segmend.screenOfPlace(place)", [x, y])
    return at["x"], at["y"]


def colour_at(annotator, x, y):
    """Return the colour that is drawn at a pixel of the slide."""
    at = place_of(annotator, x, y)
    return annotator.page.evaluate(
        """([x, y]) => {
          const canvas = document.querySelector(".pane-canvas");
          const box = canvas.getBoundingClientRect();
          const scale = canvas.width / box.width;
          const at = [(x - box.left) * scale, (y - box.top) * scale].map(Math.floor);
          return [...canvas.getContext("2d").getImageData(...at, 1, 1).data].slice(0, 3);
        }""",
        at,
    )


def zoom(annotator, x, y, turns):
    annotator.page.mouse.move(*place_of(annotator, x, y))
    for _ in range(abs(turns)):
        annotator.page.mouse.wheel(0, -400 if turns > 0 else 400)
    annotator.settle()


def press(annotator, x, y):
    annotator.page.mouse.click(*place_of(annotator, x, y))
    annotator.drawn()
    annotator.settle()


def marked(annotator, slide):
    """Return the pixels of the slide that are marked, and the level and marks of each field of view."""
    told = annotator.http.get(f"/api/cases/{slide}/slide").json()
    return sum(label["pixels"] for label in told["labels"]), [(one["level"], one["marks"]) for one in told["fields"]]


def near(found, wanted, off=12):
    return np.abs(np.subtract(found, wanted)).max() <= off


def test_a_slide_is_looked_at_and_marked_at_every_magnification(annotator, slide):
    page = annotator.open(slide).page
    expect(page.locator(".case-details")).to_have_text("Slide  ·  2601 × 2100  ·  0.5 µm")
    assert near(colour_at(annotator, 1450, 900), TISSUE)
    assert near(colour_at(annotator, 100, 100), GLASS)

    press(annotator, 1450, 900)  # all of it is seen: at a quarter
    assert marked(annotator, slide) == (25 * 16, [(2, 1)])

    zoom(annotator, 1210, 810, 6)
    assert near(colour_at(annotator, 1203, 805), TISSUE)  # sharp, though the field of view is a coarse one
    assert near(colour_at(annotator, 1196, 805), GLASS)
    expect(page.get_by_role("button", name="Mark here")).to_be_visible()
    press(annotator, 1212, 812)
    assert marked(annotator, slide) == (25 * 16 + 25, [(2, 1), (0, 1)])
    expect(page.get_by_role("button", name="Mark here")).to_be_hidden()
    press(annotator, 1230, 830)  # in the same field of view
    assert marked(annotator, slide) == (25 * 16 + 50, [(2, 1), (0, 2)])
    assert findings(page, "a slide") == []

    for left in (25 * 16 + 25, 25 * 16):
        page.keyboard.press("Control+z")
        annotator.settle()
        assert marked(annotator, slide)[0] == left
    page.keyboard.press("Control+z")  # and on in the field of view that was marked before
    expect(page.locator(".toast", has_text="field of view that was marked before")).to_be_visible()
    annotator.settle()
    assert marked(annotator, slide) == (0, [(2, 0), (0, 0)])
    page.keyboard.press("Control+Shift+z")
    annotator.settle()
    assert marked(annotator, slide)[0] == 25 * 16


def test_the_place_stays_where_it_is_while_another_field_of_view_is_opened(annotator, slide):
    page = annotator.open(slide).page
    zoom(annotator, 600, 1500, 5)
    before = place_of(annotator, 600, 1500)
    fields = len(marked(annotator, slide)[1])

    page.keyboard.press("Enter")
    annotator.settle()

    assert len(marked(annotator, slide)[1]) == fields + 1
    assert near(place_of(annotator, 600, 1500), before, 1)
    page.get_by_role("button", name="Whole slide").click()
    annotator.settle()
    assert near(colour_at(annotator, 1450, 840), TISSUE)
    box = page.locator(".slide-map").bounding_box()
    zoom(annotator, 1450, 840, 5)
    page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    annotator.settle()
    x, y = place_of(annotator, 2601 / 4, 2100 / 2)
    pane = page.locator(".pane-canvas").bounding_box()
    assert near((x, y), (pane["x"] + pane["width"] / 2, pane["y"] + pane["height"] / 2), 12)


def test_a_tool_that_draws_finds_the_place_ready_and_the_mask_leaves_as_files(annotator, slide):
    page = annotator.open(slide).page
    zoom(annotator, 2200, 300, 6)
    before = marked(annotator, slide)[0]
    page.keyboard.press("b")
    expect(page.get_by_role("button", name="Mark here")).to_be_hidden()
    annotator.settle()
    page.mouse.move(*place_of(annotator, 2190, 290))
    page.mouse.down()
    page.mouse.move(*place_of(annotator, 2209, 299), steps=3)
    page.mouse.up()
    annotator.settle()

    assert marked(annotator, slide)[0] == before + 20 * 10
    with page.expect_download() as download:
        page.get_by_role("link", name="Outlines (QuPath)").click()
    assert "Polygon" in download.value.path().read_text()
    expect(page.locator(".slide-panel .measure-values")).to_contain_text("µm²")
