"""What a person marked is safe from other labels, a lost connection and a closed tab; the page says how it is."""

from importlib import import_module

import numpy as np
import pytest
from playwright.sync_api import expect

from segmend.core.image import Image
from segmend.store import Store
from tests.server.running import in_thread, settings
from tests.web.driving import Annotator, watched

MIDDLE = (5, 6, 6)


@pytest.fixture(scope="module")
def context(chromium):
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
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


@pytest.fixture
def opened(person, add, volume):
    return person.open(add(volume, "knee"))


def test_a_label_keeps_its_voxels_unless_the_switch_says_otherwise(opened):
    switch = opened.page.get_by_label("Overwrite other labels")
    opened.click(MIDDLE)
    opened.settle()
    expect(switch).to_be_hidden()  # there is no other label yet
    opened.page.keyboard.press("n")
    opened.settle()

    opened.click(MIDDLE)
    opened.settle()
    assert opened.label_at(MIDDLE) == 1
    opened.toast("Object 1 is already here and keeps its voxels.")
    switch.check()
    opened.click((5, 6, 7))
    opened.settle()

    assert opened.label_at(MIDDLE) == 2
    assert [event["overwrite"] for event in opened.recorded["events"] if event["event"] == "prompted"] == [
        False, False, True,
    ]  # fmt: skip
    opened.page.reload()
    opened.settle()
    expect(switch).not_to_be_checked()  # safe again
    assert opened.label_at(MIDDLE) == 2


def test_a_negative_click_never_adds_and_leaves_an_empty_label_empty(person, add):
    """With the method that comes with Segmend, which painted 18 000 pixels of skin once."""
    lesion = np.hypot(*(np.mgrid[0:96, 0:128] - np.array([48, 64])[:, None, None])) < 20
    shades = np.where(lesion, 90, 200) + np.random.default_rng(0).normal(0, 8, lesion.shape)
    colours = np.stack([shades, 0.8 * shades, 0.7 * shades])[:, None].clip(0, 255).astype(np.uint8)
    person.open(add(Image(colours), "mole", modality="XC"), method="mend")

    def voxels():
        measures = person.http.get(f"/api/sessions/{person.state['session']}/measures").json()
        return [label["voxels"] for label in measures["labels"]]

    def not_here(*index):
        person.page.keyboard.down("Shift")
        person.click(index)
        person.page.keyboard.up("Shift")
        person.settle()

    person.click((0, 48, 64))
    expect(person.page.locator(".mark-row:not(.waiting)")).to_have_count(1, timeout=120_000)  # its network is loaded
    person.settle()
    [marked] = voxels()
    assert marked > 500
    not_here(0, 8, 10)
    not_here(0, 88, 120)
    [left] = voxels()
    assert left <= marked and person.label_at((0, 48, 64)) == 1
    person.page.keyboard.press("n")
    person.settle()
    not_here(0, 10, 112)
    assert voxels() == [left, 0]
    assert [prompt["positive"] for prompt in person.prompts] == [True, False, False, False]


def test_locked_slices_and_the_reach_of_marks_hold(opened):
    page, lock = opened.page, opened.page.locator(".pane[data-plane=axial] .pane-lock")
    opened.go_to(MIDDLE)
    opened.click(MIDDLE)
    opened.settle()
    page.keyboard.press("u")
    expect(lock).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".pane[data-plane=axial] .slice-strip")).to_be_visible()
    opened.click((5, 3, 3))
    opened.toast("Axial slice 6 is locked; unlock it (U) to change the mask there.")
    opened.go_to((6, 10, 10))
    opened.click((6, 10, 10))  # its ball reaches into the locked slice
    opened.settle()
    assert opened.label_at((6, 10, 10)) == 1 and opened.label_at((5, 10, 10)) == 0

    page.keyboard.press("z")
    expect(page.locator(".status-hint")).to_contain_text("Only within 15 mm of the mark")
    page.keyboard.press("z")
    page.keyboard.press("n")
    opened.settle()
    opened.go_to((8, 4, 4))
    opened.click((8, 4, 4))
    opened.settle()

    assert opened.label_at((8, 4, 4)) == 2 and opened.label_at((7, 3, 3)) == 0
    assert opened.recorded["events"][-1]["reach"] == {"mm": None, "axis": 0, "part": False}
    page.get_by_label("Changes", exact=True).select_option("whole")
    opened.go_to(MIDDLE)
    lock.click()
    expect(lock).to_have_attribute("aria-pressed", "false")


def test_a_case_that_is_deleted_elsewhere_says_so_at_once(opened):
    opened.click(MIDDLE)
    opened.settle()
    dot = opened.page.locator(".status-dot")
    expect(dot).to_have_attribute("aria-label", "Connected; every mark is saved")

    opened.http.delete(f"/api/cases/{opened.state['case']}")

    opened.toast("“knee” was deleted, with all its marks.")
    expect(opened.page.locator(".empty")).to_be_visible()
    expect(dot).to_have_attribute("aria-label", "No case is open")
    assert [toast.inner_text() for toast in opened.page.locator(".toast").all()] == [
        "“knee” was deleted, with all its marks."
    ]  # and no sentence with a raw id


def test_a_number_is_shown_only_where_it_is_near_the_truth(opened):
    line, row = opened.page.locator(".status-answer"), opened.page.locator(".look-row")
    opened.click(MIDDLE)
    opened.settle()
    expect(line).to_contain_text("expected Dice 0.75")  # of a method whose card says that it is calibrated
    expect(row).to_contain_text("0.75check it")
    expect(row).to_have_attribute("data-grade", "fair")
    opened.page.select_option("#method", "whole_mask")
    opened.page.get_by_role("button", name="Refine the mask").click()
    expect(opened.page.locator(".mark-row")).to_have_count(2)
    opened.settle()

    expect(line).to_contain_text("Answered in")
    expect(line).not_to_contain_text("Dice")
    expect(row).to_be_hidden()


@pytest.mark.parametrize("expected", [0.75, 0.93])
def test_good_enough_is_said_above_a_level_where_nothing_rises(opened, monkeypatch, expected):
    monkeypatch.setattr(import_module("ball"), "QUALITY", expected)
    line = opened.page.locator(".look-enough")
    for index in (MIDDLE, (5, 3, 3), (5, 9, 9), (5, 3, 9)):
        opened.click(index)
        opened.settle()
    expect(opened.page.locator(".status-answer")).to_contain_text(f"expected Dice {expected}")
    if expected < 0.9:
        expect(line).to_be_hidden()
    else:
        expect(line).to_contain_text("The expected Dice of Object 1 rises no more.")
        expect(line.get_by_role("button", name="Done and next")).to_be_visible()


def test_the_line_at_the_bottom_speaks_of_the_mask_that_is_there(opened, held):
    line = opened.page.locator(".status-answer")
    opened.click(MIDDLE)
    opened.settle()
    expect(line).to_contain_text("Answered in")
    opened.page.keyboard.press("n")
    opened.settle()
    expect(line).to_have_text("")  # the new label has no answer
    opened.page.keyboard.press("1")
    expect(line).to_contain_text("Answered in")
    opened.page.keyboard.press("Control+z")
    opened.page.keyboard.press("Control+z")
    opened.settle()
    expect(line).to_have_text("")  # nor has what was undone

    opened.page.select_option("#method", "patient")
    opened.click(MIDDLE)
    opened.page.get_by_role("button", name="Cancel").click()
    opened.settle()
    expect(line).to_have_text("")


def test_marks_of_a_closed_tab_are_sent_once_when_the_case_is_opened_again(context, bundle, tmp_path, volume, server):
    with Store.local(tmp_path) as store:
        case = store.add_case("knee", volume).id
    pages = [context.new_page(), context.new_page()]
    with in_thread(settings(tmp_path, method="ball")) as first:
        port = first.port if hasattr(first, "port") else int(first.address.split(":")[2].split("/")[0])
        closing, staying = (Annotator(page, first.address).open(case) for page in pages)
        closing.click((5, 3, 3))
        closing.settle()
        staying.settle()
    for one in (closing, staying):
        expect(one.page.locator(".banner")).to_be_visible()
    closing.click((5, 9, 9))
    closing.click((5, 3, 9))
    expect(closing.page.locator(".banner")).to_contain_text("2 marks wait and will be sent.")
    closing.page.keyboard.press("Control+z")
    expect(closing.page.locator(".banner")).to_contain_text("3 changes wait")
    expect(closing.page.locator(".status-dot")).to_have_attribute(
        "aria-label", "Connection lost. 3 changes wait to be saved"
    )
    staying.click((5, 9, 3))
    closing.page.wait_for_function("() => window.segmend.kept()")
    closing.page.close(run_before_unload=True)  # nothing would be lost, so it asks nothing
    closing.http.close()

    with in_thread(settings(tmp_path, method="ball", port=port)):
        staying.settle()  # it lives, and sends its own
        assert [prompt["index"] for prompt in staying.prompts] == [[5, 3, 3], [5, 9, 3]]
        start = Annotator(context.new_page(), staying.address).open()
        start.toast("3 changes wait to be saved in “knee”.")
        start.page.get_by_role("button", name="Open it").click()
        start.settle()
        expect(start.page.locator(".banner")).to_be_hidden()
        staying.settle()
        for again in (start, Annotator(context.new_page(), staying.address).open(case)):
            events = again.recorded["events"]
            assert [event["prompt"]["index"] for event in events if event["event"] == "prompted"] == [
                [5, 3, 3], [5, 9, 3], [5, 9, 9], [5, 3, 9],
            ]  # fmt: skip
            assert [event["event"] for event in events].count("undone") == 1
            assert again.label_at((5, 9, 9)) == 1 and again.label_at((5, 3, 9)) == 0
            again.http.close()
            again.page.close()
        staying.http.close()
        staying.page.close()
