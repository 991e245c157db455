"""Marks, labels and what is shown: everything a person does to a mask once a case is open."""

import time

import numpy as np
import pytest
from playwright.sync_api import expect

from segmend import io
from segmend.core.session import PALETTE

MIDDLE = (5, 6, 6)


@pytest.fixture
def opened(annotator, add, volume):
    annotator.open(add(volume, "knee"))
    return annotator


def button(annotator, name):
    return annotator.page.get_by_role("button", name=name, exact=True)


def test_shift_turns_the_sign_of_one_click_and_x_of_all(opened):
    opened.click((5, 3, 3))
    opened.page.keyboard.down("Shift")
    opened.click((5, 3, 8))
    opened.page.keyboard.up("Shift")
    opened.page.keyboard.press("x")
    opened.click((5, 9, 3))
    opened.settle()

    assert [prompt["positive"] for prompt in opened.prompts] == [True, False, False]


def test_a_new_object_starts_with_positive_marks(opened):
    opened.page.keyboard.press("x")
    button(opened, "New label").click()
    opened.settle()
    opened.click(MIDDLE)
    opened.settle()

    assert opened.prompts[-1]["positive"]
    assert opened.label_at(MIDDLE) == 2


def test_a_stroke_is_a_line_without_gaps_of_the_chosen_width(opened):
    opened.page.keyboard.press("s")
    opened.page.keyboard.press("]")
    opened.drag([(5, 2, 2), (5, 2, 9), (5, 8, 9)])
    opened.settle()
    opened.page.keyboard.press("a")
    assert opened.state["radius"] == 1  # a quarter of a mask that is a voxel wide

    (stroke,) = opened.prompts
    points = np.array(stroke["points"])
    assert stroke["kind"] == "stroke" and stroke["positive"] and stroke["radius"] == 4
    assert points[0].tolist() == [5, 2, 2] and points[-1].tolist() == [5, 8, 9]
    assert np.abs(np.diff(points, axis=0)).max() == 1
    assert opened.label_at((5, 2, 5)) == 1


def test_a_box_holds_both_of_its_corners_and_lies_in_one_slice(opened):
    opened.page.keyboard.press("b")
    opened.drag([(5, 8, 9), (5, 3, 2)])
    opened.settle()

    assert opened.prompts == [{"kind": "box", "low": [5, 3, 2], "high": [6, 9, 10]}]
    assert opened.label_at((5, 8, 9)) == 1 and opened.label_at((4, 8, 9)) == 0


def test_escape_calls_off_a_stroke(opened):
    opened.page.keyboard.press("s")
    opened.page.mouse.move(*opened.place_of((5, 2, 2), "axial"))
    opened.page.mouse.down()
    opened.page.mouse.move(*opened.place_of((5, 8, 8), "axial"), steps=3)
    opened.page.keyboard.press("Escape")
    opened.page.mouse.up()
    opened.settle()

    assert opened.prompts == []
    assert opened.state["draft"] is None


def test_undo_and_redo_by_button_and_by_key(opened):
    opened.click(MIDDLE)
    opened.settle()
    assert opened.label_at(MIDDLE) == 1

    button(opened, "Undo").click()
    opened.settle()
    assert opened.label_at(MIDDLE) == 0
    opened.page.keyboard.press("Control+Shift+z")
    opened.settle()
    assert opened.label_at(MIDDLE) == 1
    opened.page.keyboard.press("Control+z")
    opened.settle()
    expect(button(opened, "Undo")).to_be_disabled()  # the first label stays
    button(opened, "Redo").click()
    opened.settle()

    assert opened.label_at(MIDDLE) == 1
    assert [event["event"] for event in opened.recorded["events"]] == [
        "defined", "prompted", "undone", "redone", "undone", "redone",
    ]  # fmt: skip


def test_any_earlier_mark_can_be_removed_from_the_list(opened):
    opened.click((5, 3, 3))
    opened.settle()
    opened.click((5, 9, 9))
    opened.settle()
    rows = opened.page.locator(".mark-row")
    expect(rows).to_have_count(2)

    rows.nth(1).get_by_role("button", name="Remove").click()  # the newest is first
    opened.settle()

    expect(rows).to_have_count(1)
    assert opened.label_at((5, 3, 3)) == 0 and opened.label_at((5, 9, 9)) == 1
    assert opened.recorded["events"][-1] == {"event": "removed", "of": 1}


def test_labels_are_added_renamed_coloured_and_locked(opened):
    opened.page.keyboard.press("n")
    opened.settle()
    row = opened.page.locator(".label-row").nth(1)
    row.get_by_text("Object 2").dblclick()
    field = opened.page.get_by_label("Name of the label")
    field.fill("Tumour")
    field.press("Enter")
    opened.settle()
    row.get_by_label("Colour of Tumour").evaluate(
        "(input) => { input.value = '#102030'; input.dispatchEvent(new Event('change')); }"
    )
    opened.settle()
    row.get_by_role("button", name="Lock Tumour").click()
    opened.settle()
    opened.click(MIDDLE)

    opened.toast("Tumour is locked; unlock it to change it.")
    assert opened.prompts == []
    tumour = opened.recorded["labels"][1]
    assert tumour == {
        "value": 2, "name": "Tumour", "colour": [16, 32, 48], "locked": True, "opacity": 1, "codes": None,
        "layer": 0, "instance": None,
    }  # fmt: skip
    opened.page.keyboard.press("1")
    opened.click(MIDDLE)
    opened.settle()
    assert opened.recorded["events"][-1]["label"] == 1


def test_the_mask_is_drawn_in_its_labels_colour_with_the_chosen_opacity_and_can_be_hidden(opened):
    opened.plain()
    inside = (5, 4, 4)
    opened.go_to((5, 11, 12))
    (grey,) = opened.colours([inside])
    opened.click(MIDDLE)
    opened.settle()
    opened.go_to((5, 11, 12))
    (faint,) = opened.colours([inside])
    opened.page.get_by_label("Opacity").fill("90")
    (strong,) = opened.colours([inside])
    opened.page.locator("canvas").first.focus()
    opened.page.keyboard.press("h")
    (hidden,) = opened.colours([inside])

    red = np.array(PALETTE[0])
    assert np.abs(faint - (0.6 * np.array(grey) + 0.4 * red)).max() <= 3
    assert np.abs(strong - (0.1 * np.array(grey) + 0.9 * red)).max() <= 3
    assert np.abs(np.array(hidden) - grey).max() <= 1


def test_window_and_level_follow_a_right_drag_and_the_presets(opened):
    before = opened.state["contrast"]
    opened.drag([(5, 6, 10), (5, 6, 3)], button="right")  # to the screen's right, the patient's left
    wider = opened.state["contrast"]
    opened.drag([(5, 6, 3), (5, 10, 3)], button="right")
    brighter = opened.state["contrast"]
    button(opened, "Auto").click()

    assert wider["high"] - wider["low"] > before["high"] - before["low"]
    assert brighter["low"] < wider["low"] and brighter["high"] < wider["high"]
    assert opened.state["contrast"] == before
    assert opened.prompts == []


def test_the_wheel_scrolls_and_with_ctrl_zooms_and_the_middle_button_pans(opened):
    opened.page.mouse.move(*opened.place_of(MIDDLE, "axial"))
    opened.page.mouse.wheel(0, 100)
    opened.drawn()
    assert opened.state["crosshair"] == [6, 6, 6]  # one slice a notch, either way
    opened.page.mouse.wheel(0, -100)
    opened.page.mouse.wheel(0, -120)
    opened.drawn()
    assert opened.state["crosshair"] == [4, 6, 6]
    opened.go_to((7, 6, 6))
    opened.page.keyboard.down("Control")
    opened.page.mouse.wheel(0, -100)
    opened.page.keyboard.up("Control")
    opened.drawn()
    x, y = opened.place_of((7, 6, 6), "axial")
    opened.drag([(7, 6, 6), (7, 6, 8)], button="middle")
    opened.drawn()

    moved = opened.place_of((7, 6, 6), "axial")
    assert opened.state["views"]["axial"]["zoom"] > 1.2
    assert abs(moved[0] - x) > 20 and abs(moved[1] - y) < 2
    opened.page.keyboard.press("r")
    assert opened.state["views"] == {}


def test_arrows_and_enter_mark_without_a_mouse(opened):
    opened.page.locator("canvas[data-plane=axial]").focus()
    opened.page.keyboard.press("ArrowUp")
    opened.page.keyboard.press("Enter")
    opened.settle()

    assert opened.prompts == [{"kind": "click", "index": [6, 6, 6], "positive": True}]


def test_all_planes_and_3d_are_shown_together_or_alone(annotator, add, volume):
    annotator.open(add(volume), layout="grid")
    page = annotator.page
    expect(page.locator(".pane")).to_have_count(4)
    expect(page.locator(".render-note")).to_have_count(0, timeout=60_000)
    canvas = page.locator(".render canvas")
    before = canvas.screenshot()
    with page.expect_response("**/surfaces/1*"):
        annotator.go_to((2, 6, 6))
        annotator.click(MIDDLE, "coronal")
        assert annotator.state["crosshair"] == list(MIDDLE)  # the other planes follow
        annotator.settle()
    end = time.monotonic() + 60
    while canvas.screenshot() == before:  # until the mask appears in 3D
        assert time.monotonic() < end
    page.locator(".pane[data-plane=sagittal]").hover()
    page.get_by_role("button", name="Show sagittal alone, or all planes").click()
    expect(page.locator(".pane[data-plane=axial]")).to_be_hidden()
    expect(page.locator(".pane[data-plane=sagittal]")).to_be_visible()
    page.keyboard.press("f")
    expect(page.locator(".pane[data-plane=axial]")).to_be_visible()


def test_the_mask_is_downloaded_in_every_format_the_server_offers(opened, volume, tmp_path):
    opened.click(MIDDLE)
    opened.settle()
    expected = np.zeros(volume.shape, np.uint16)
    expected[3:8, 4:9, 4:9] = 1
    formats = opened.http.get("/api/formats").json()
    suffixes = [one["suffix"] for one in formats if one["group"] == "masks" and one["of"] == "any"]
    assert ".png" not in suffixes  # which holds no volume
    opened.page.get_by_role("button", name="Download").click()
    items = opened.page.locator(".menu-item")
    assert [item.get_attribute("data-format") for item in items.all()] == [*suffixes, None]
    opened.page.keyboard.press("Escape")

    for suffix in (".nii.gz", ".seg.nrrd"):
        opened.page.get_by_role("button", name="Download").click()
        with opened.page.expect_download() as download:
            opened.page.locator(f".menu-item[data-format='{suffix}']").click()
        assert download.value.suggested_filename == f"knee-mask{suffix}"
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        assert (io.read_mask(path, volume) == expected).all()
        opened.toast(f"Downloaded knee-mask{suffix}.")


def test_the_list_of_shortcuts_opens_with_a_question_mark_and_names_them_all(opened):
    opened.page.keyboard.press("?")
    dialog = opened.page.get_by_role("dialog", name="Shortcuts")
    expect(dialog).to_be_visible()
    words = dialog.inner_text()
    for one in ("undo", "redo", "new label", "window and level", "box", "Ctrl", "Shift"):
        assert one in words
    opened.page.keyboard.press("n")  # the page behind is not obeyed
    opened.page.keyboard.press("Escape")

    expect(dialog).to_have_count(0)
    assert len(opened.state["labels"]) == 1


def test_the_menu_offers_the_methods_and_tools_those_they_take(opened):
    options = opened.page.locator("#method option")
    offered = [option.get_attribute("value") for option in options.all()]
    cards = opened.http.get("/api/methods").json()
    groups = [group.get_attribute("label") for group in opened.page.locator("#method optgroup").all()]
    untrained = [card["id"] for card in cards if card["weights"] == "none needed"]
    assert offered[0] == "mend" and offered[1 : 1 + len(untrained)] == untrained
    assert groups == ["Without training", "From papers, trained on small examples", "Others"][: len(groups)]
    assert sorted(offered) == sorted(card["id"] for card in cards)
    expect(button(opened, "Stroke")).to_be_enabled()

    opened.page.keyboard.press("s")
    opened.page.select_option("#method", "patient")

    expect(button(opened, "Stroke")).to_be_disabled()
    assert opened.state["tool"] == "click"


def test_work_of_more_than_half_a_second_shows_itself_and_the_mark_waits(opened, held):
    opened.page.select_option("#method", "patient")
    opened.click(MIDDLE)

    working = opened.page.locator(".status-busy", has_text="Working")
    expect(opened.page.locator(".mark-row.waiting")).to_be_visible()
    expect(working).to_be_visible()
    held.set()
    opened.settle()
    expect(working).to_be_hidden()
    expect(opened.page.locator(".status-answer")).to_contain_text("ms, expected Dice 0.75")


def test_a_case_is_deleted_only_after_a_question(annotator, add, volume):
    case = add(volume, "to be deleted")
    annotator.open(case)
    page = annotator.page
    page.get_by_role("button", name="Show or hide the list of cases").click() if not annotator.state[
        "sidebar"
    ] else None
    row = page.locator(".case-row", has_text="to be deleted")
    row.hover()
    row.get_by_role("button", name="Delete to be deleted").click()
    page.get_by_role("button", name="Keep it").click()
    assert annotator.http.get(f"/api/cases/{case}").status_code == 200

    row.hover()
    row.get_by_role("button", name="Delete to be deleted").click()
    page.get_by_role("button", name="Delete", exact=True).click()

    expect(row).to_have_count(0)
    assert annotator.http.get(f"/api/cases/{case}").status_code == 404


def test_a_case_opened_again_is_as_it_was_left(opened):
    opened.click(MIDDLE)
    opened.settle()
    session = opened.state["session"]

    opened.page.reload()
    opened.settle()

    assert opened.state["session"] == session
    assert opened.label_at(MIDDLE) == 1
    expect(opened.page.locator(".mark-row")).to_have_count(1)


def test_everything_that_can_be_pressed_has_a_name(opened):
    nameless = opened.page.evaluate(
        """() => [...document.querySelectorAll("button, input, select")]
          .filter((one) => !(one.ariaLabel || one.labels?.length || one.innerText || one.textContent.trim()))
          .map((one) => one.outerHTML)"""
    )
    assert nameless == []


def test_a_click_is_dragged_elsewhere_and_turned_over_in_single_steps(opened):
    opened.click((5, 3, 3))
    opened.settle()
    opened.drag([(5, 3, 3), (5, 8, 9)])
    opened.settle()
    (mark,) = opened.page.locator(".mark-row").all()

    assert opened.prompts[-1] == {"kind": "click", "index": [5, 8, 9], "positive": True}
    assert opened.label_at((5, 8, 9)) == 1 and opened.label_at((5, 3, 3)) == 0
    assert mark.locator(".mark-words").inner_text() == "Click +"

    opened.page.mouse.move(*opened.place_of((5, 8, 9), "axial"))
    opened.page.keyboard.press("t")
    opened.settle()
    assert not opened.prompts[-1]["positive"] and opened.label_at((5, 8, 9)) == 0

    button(opened, "Make Click − positive").click()
    opened.settle()
    assert opened.label_at((5, 8, 9)) == 1

    for _ in range(3):
        opened.page.keyboard.press("Control+z")
    opened.settle()
    assert opened.label_at((5, 3, 3)) == 1 and opened.label_at((5, 8, 9)) == 0


def test_a_box_gets_depth_by_its_handle_in_another_plane_and_moves_by_its_middle(opened):
    opened.page.keyboard.press("b")
    opened.drag([(5, 4, 4), (5, 8, 8)])
    opened.settle()
    opened.drag([(5, 6, 6), (5, 7, 8)])  # by its middle
    opened.settle()
    assert opened.prompts[-1] == {"kind": "box", "low": [5, 5, 6], "high": [6, 10, 11]}

    opened.show("coronal")
    opened.go_to((5, 7, 8))
    # The upper side lies between two slices.
    top, three_up = (np.mean([opened.place_of((z, 7, 8), "coronal") for z in (low, low + 1)], axis=0) for low in (5, 8))
    opened.page.mouse.move(*top)
    opened.page.mouse.down()
    opened.page.mouse.move(*three_up, steps=4)
    opened.page.mouse.up()
    opened.settle()

    assert opened.prompts[-1] == {"kind": "box", "low": [5, 5, 6], "high": [9, 10, 11]}
    assert opened.label_at((8, 7, 8)) == 1


def test_a_box_is_as_deep_as_the_wheel_is_turned_while_it_is_drawn(opened):
    opened.page.keyboard.press("b")
    opened.page.mouse.move(*opened.place_of((5, 4, 4), "axial"))
    opened.page.mouse.down()
    opened.page.mouse.move(*opened.place_of((5, 8, 8), "axial"), steps=4)
    for _ in range(2):
        opened.page.mouse.wheel(0, 100)
        opened.drawn()
    opened.page.mouse.up()  # where it was when the wheel was turned
    opened.settle()

    assert opened.prompts == [{"kind": "box", "low": [5, 4, 4], "high": [8, 9, 9]}]


def test_the_pointer_carries_the_tool(opened):
    x, y = opened.place_of(MIDDLE, "axial")
    beside = {"x": x + 10, "y": y + 10, "width": 18, "height": 18}
    seen = {}
    for key in ("v", "c", "x", "s", "b", "p", "q", "k", "Shift+K", "Shift+L", "m"):
        opened.page.keyboard.press(key)
        opened.page.mouse.move(x, y + 1)
        opened.page.mouse.move(x, y)
        opened.drawn()
        seen[key] = opened.page.screenshot(clip=beside)

    assert len(set(seen.values())) == len(seen)


def test_the_line_at_the_bottom_says_what_the_tool_wants_next(opened):
    hint = opened.page.locator(".status-hint")
    opened.page.keyboard.press("x")
    expect(hint).to_have_text("Click on what is not the object; drag a mark to move it")
    opened.page.keyboard.press("b")
    expect(hint).to_contain_text("Drag from corner to corner")


def test_a_label_is_hidden_merged_and_deleted_and_each_is_undone(opened):
    first, second = (5, 3, 3), (5, 8, 9)
    opened.click(first)
    button(opened, "New label").click()
    opened.settle()
    opened.click(second)
    opened.settle()

    opened.plain()
    shown = opened.colours([first])
    opened.page.get_by_role("button", name="Hide Object 1").click()
    assert opened.colours([first]) != shown
    opened.page.get_by_role("button", name="Show Object 1").click()
    assert opened.colours([first]) == shown

    opened.page.get_by_role("button", name="Delete Object 1").click()
    opened.settle()
    assert opened.label_at(first) == 0 and [label["name"] for label in opened.state["labels"]] == ["Object 2"]
    assert opened.page.locator(".mark-row").count() == 1
    opened.page.keyboard.press("Control+z")
    opened.settle()
    assert opened.label_at(first) == 1 and opened.page.locator(".mark-row").count() == 2

    opened.page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    button(opened, "Merge").click()
    opened.settle()
    assert [opened.label_at(index) for index in (first, second)] == [2, 2]
    assert [label["name"] for label in opened.state["labels"]] == ["Object 2"]
    opened.page.keyboard.press("Control+z")
    opened.settle()
    assert [opened.label_at(index) for index in (first, second)] == [1, 2]
