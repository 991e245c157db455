"""Labels that may share voxels, many objects of one name, and moving among buttons and labels without a mouse."""

import numpy as np
import pytest
from playwright.sync_api import expect

from segmend.core.image import Image, scale_affine
from tests.web.driving import Annotator, wait_for, watched

INSIDE, BESIDE = (5, 6, 6), (5, 6, 10)


@pytest.fixture(scope="module")
def person(chromium, server):
    """One person with fingers and keys at one browser for the whole file, who comes to each case anew."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, has_touch=True)
    page = context.new_page()
    with watched(page):
        made = Annotator(page, server.address)
        yield made
        made.http.close()
    context.close()


@pytest.fixture
def opened(person, add):
    return person.open(add(Image(np.zeros((1, 11, 12, 13), np.uint8), scale_affine((3, 1.5, 1))), "knee"))


def titles(person):
    return person.page.locator(".label-text").all_inner_texts()


def labels_at(person, index):
    return person.page.evaluate("(index) => window.segmend.labelsAt(index)", list(index))


def test_a_label_that_may_overlap_leaves_the_other_whole(opened):
    page = opened.page
    opened.go_to(INSIDE)
    opened.click(INSIDE)
    opened.settle()
    overlap = page.get_by_label("May overlap other labels")
    expect(overlap).to_be_disabled()  # it has marks

    page.keyboard.press("n")
    overlap.check()
    opened.settle()
    opened.click(INSIDE)
    opened.settle()

    assert labels_at(opened, INSIDE) == [1, 2]
    assert [label["layer"] for label in opened.recorded["labels"]] == [0, 2]
    expect(page.locator(".status-voxel")).to_contain_text("Object 1, Object 2")
    wait_for(page, "window.segmend.state().measured?.labels.every(({ voxels }) => voxels > 0)")

    page.reload()  # what comes at a new connection is every layer
    opened.settle()
    assert labels_at(opened, INSIDE) == [1, 2]
    page.keyboard.press("Control+z")
    opened.settle()
    assert labels_at(opened, INSIDE) == [1]

    page.get_by_role("button", name="Download").click()
    page.get_by_role("button", name="Surfaces, measures").click()
    expect(page.locator(".results-overlap")).to_contain_text("the one further down the list has it")
    page.keyboard.press("Escape")


def test_a_key_begins_the_next_object_of_a_label(opened):
    page = opened.page
    opened.go_to(INSIDE)
    page.get_by_label("May overlap other labels").check()
    opened.settle()

    opened.click(INSIDE)
    opened.settle()
    page.keyboard.press("j")
    opened.settle()
    opened.click(BESIDE)
    opened.settle()
    page.get_by_role("button", name="Next object").click()
    opened.settle()

    assert titles(opened) == ["Object 1.1", "Object 1.2", "Object 1.3"]
    first, second, third = opened.recorded["labels"]
    assert [one["instance"] for one in (first, second, third)] == [1, 2, 3]
    assert first["layer"] == second["layer"] == third["layer"] == 1
    assert len({tuple(one["colour"]) for one in (first, second, third)}) == 3
    expect(page.locator(".object-count")).to_have_text("3 of 3")
    assert [labels_at(opened, at) for at in (INSIDE, BESIDE)] == [[1], [second["value"]]]

    page.locator("[data-key=label-1]").dblclick()
    page.get_by_label("Name of the label").fill("Nodule")
    page.keyboard.press("Enter")
    opened.settle()
    assert titles(opened) == ["Nodule 1", "Nodule 2", "Nodule 3"]
    page.keyboard.press("Control+z")
    opened.settle()
    assert titles(opened) == ["Object 1.1", "Object 1.2", "Object 1.3"]


def test_a_label_that_overlaps_becomes_a_part_of_another_in_one_step(opened):
    page = opened.page
    opened.go_to(INSIDE)
    opened.click(INSIDE)
    page.keyboard.press("n")
    page.get_by_label("May overlap other labels").check()
    opened.settle()
    opened.click(BESIDE)
    opened.settle()

    page.locator(".editing > summary").click()
    page.get_by_role("button", name="Merge", exact=True).click()
    opened.settle()

    assert titles(opened) == ["Object 2"] and labels_at(opened, INSIDE) == [2]
    page.keyboard.press("Control+z")
    opened.settle()
    assert titles(opened) == ["Object 1", "Object 2"] and labels_at(opened, INSIDE) == [1]


def test_a_finger_moves_a_label_by_its_grip(opened):
    page = opened.page
    for _ in range(2):
        page.keyboard.press("n")
    opened.settle()
    boxes = [page.locator(".label-grip").nth(i).bounding_box() for i in (0, 2)]
    (x, first), (_, last) = ((box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) for box in boxes)
    session = page.context.new_cdp_session(page)

    def touch(kind, *y):
        points = [{"x": x, "y": at} for at in y]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", last)
    for step in range(1, 6):
        touch("touchMove", last + (first - 6 - last) * step / 5)
    touch("touchEnd")

    expect(page.locator(".label-text").first).to_have_text("Object 3")
    opened.settle()
    assert [label["value"] for label in opened.recorded["labels"]] == [3, 1, 2]


def test_tools_are_one_stop_of_the_tab_key_and_arrows_go_through_them(opened):
    page = opened.page
    rail = page.get_by_role("toolbar")
    slice_before = opened.state["crosshair"]

    assert rail.locator("button[tabindex='0']").count() == 1
    rail.get_by_role("button", name="Click").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")

    assert opened.state["tool"] == "stroke" and opened.state["crosshair"] == slice_before
    assert rail.locator("button[tabindex='0']").get_attribute("data-tool") == "stroke"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('[role=toolbar]') === null")
    for group in page.locator(".presets[role=group]:visible").all():
        assert group.locator("button[tabindex='0']").count() == 1
