"""Areas and whole masks: lasso, extreme points, nudging, refining, and where the method is uncertain."""

import re

import pytest
from playwright.sync_api import expect

from tests.web.driving import wait_for


@pytest.fixture
def opened(annotator, add, volume):
    return annotator.open(add(volume, "knee"), method="whole_mask")


def button(annotator, name):
    return annotator.page.get_by_role("button", name=name, exact=True)


def test_a_lasso_takes_its_inside_and_its_line(opened):
    opened.page.keyboard.press("l")
    opened.drag([(5, 2, 2), (5, 2, 8), (5, 8, 8), (5, 8, 2)])
    opened.settle()

    (lasso,) = opened.prompts
    assert lasso["kind"] == "lasso" and lasso["axis"] == 0 and lasso["positive"]
    assert lasso["points"][0] == [5, 2, 2] and lasso["points"][-1] == [5, 8, 2]
    assert opened.label_at((5, 5, 5)) == 1 and opened.label_at((5, 2, 5)) == 1
    assert opened.label_at((5, 9, 5)) == 0 and opened.label_at((4, 5, 5)) == 0


def test_the_fourth_extreme_point_sends_them(opened):
    opened.page.keyboard.press("e")
    for index in [(5, 2, 6), (5, 9, 6), (5, 6, 3)]:
        opened.click(index)
    assert opened.prompts == []
    assert opened.state["points"] == [[5, 2, 6], [5, 9, 6], [5, 6, 3]]
    opened.click((5, 6, 10))
    opened.settle()

    assert opened.prompts == [{"kind": "extremes", "points": [[5, 2, 6], [5, 9, 6], [5, 6, 3], [5, 6, 10]]}]
    assert opened.state["points"] == []
    assert opened.label_at((5, 9, 10)) == 1


def test_ends_in_several_planes_are_six(opened):
    opened.page.keyboard.press("e")
    ends = [(3, 6, 6), (8, 6, 6), (5, 2, 6), (5, 9, 6), (5, 6, 3), (5, 6, 10)]
    for count, index in enumerate(ends):
        assert len(opened.state["points"]) == count
        opened.go_to(index)
        opened.click(index)
    opened.settle()

    assert opened.prompts == [{"kind": "extremes", "points": [list(index) for index in ends]}]
    assert opened.label_at((3, 2, 3)) == 1 and opened.label_at((2, 6, 6)) == 0


def test_escape_and_another_tool_call_extreme_points_off(opened):
    opened.page.keyboard.press("e")
    opened.click((5, 2, 6))
    opened.page.keyboard.press("Escape")
    assert opened.state["points"] == []

    opened.click((5, 2, 6))
    opened.page.keyboard.press("l")

    assert opened.state["points"] == []
    assert opened.prompts == []


def refine(opened, count):
    """Press the button, and wait for the mark that it packs in the background."""
    button(opened, "Refine the mask" if count > 1 else "First guess").click()
    expect(opened.page.locator(".mark-row")).to_have_count(count)
    opened.settle()


def test_a_first_guess_is_refined_and_nudged(opened):
    refine(opened, 1)
    assert opened.label_at((5, 6, 6)) == 1 and opened.label_at((5, 6, 7)) == 0

    refine(opened, 2)
    assert opened.label_at((5, 6, 7)) == 1 and opened.label_at((5, 6, 8)) == 0

    nudge = opened.page.get_by_label("Nudge")
    nudge.evaluate("(slider) => { slider.value = 20; slider.dispatchEvent(new Event('input')); }")
    expect(opened.page.locator(".preview-bar")).to_contain_text(re.compile(r"Released, this nudge: .* would gain \d+"))
    assert len(opened.prompts) == 2
    nudge.evaluate("(slider) => slider.dispatchEvent(new Event('change'))")
    expect(opened.page.locator(".preview-bar")).to_have_count(0)
    opened.settle()

    assert [prompt["kind"] for prompt in opened.prompts] == ["mask", "mask", "adjust"]
    assert opened.prompts[-1] == {"kind": "adjust", "k": 0.2, "of": "mask"}  # a fifth of the mask as it is
    expect(opened.page.locator(".mark-row").first).to_contain_text("Grow by 20 %")
    assert opened.label_at((5, 6, 8)) == 1
    assert nudge.input_value() == "0"

    opened.page.keyboard.press("Escape")
    nudge.evaluate("(slider) => slider.blur()")
    opened.page.keyboard.press("-")
    opened.settle()
    assert opened.prompts[-1] == {"kind": "adjust", "k": -0.1, "of": "mask"}


def test_a_method_that_takes_no_whole_masks_shows_none_of_it(opened):
    expect(button(opened, "First guess")).to_be_enabled()

    opened.page.select_option("#method", "ball")

    expect(button(opened, "First guess")).to_be_hidden()
    expect(opened.page.get_by_label("Nudge")).to_be_hidden()


def test_uncertainty_is_shown_over_the_image_until_the_mask_changes(opened):
    beside = (5, 6, 7)
    opened.go_to((5, 2, 2))
    opened.plain()
    (plain,) = opened.colours([beside])
    refine(opened, 1)

    (uncertain,) = opened.colours([beside])
    assert uncertain[1] < plain[1] - 50 and min(uncertain[0], uncertain[2]) > 200  # magenta over a bright voxel

    opened.page.keyboard.press("d")
    assert opened.colours([beside]) == [plain]
    opened.page.keyboard.press("d")
    assert opened.colours([beside]) == [uncertain]
    opened.page.keyboard.press("Control+z")
    opened.settle()
    assert opened.colours([beside]) == [plain]


def test_uncertain_places_are_gone_through_until_the_mask_changes(opened):
    look, said = button(opened, "Next uncertain place"), opened.page.locator(".status-answer")
    expect(look).to_be_disabled()
    expect(look).to_have_attribute("title", re.compile("Put down a mark"))
    refine(opened, 1)
    expect(opened.page.locator(".look-row")).to_be_hidden()  # what it expects is not known to be near the truth
    opened.go_to((5, 2, 2))

    look.click()
    expect(said).to_contain_text("Looks uncertain here.")
    first = opened.state["crosshair"]
    assert opened.state["ring"] == first
    assert sum(abs(a - b) for a, b in zip(first, (5, 6, 6), strict=True)) <= 2  # by the voxel whose rim is uncertain
    opened.page.keyboard.press("g")
    expect(said).to_contain_text("Looks uncertain here (place 2).")
    assert opened.state["crosshair"] != first
    while (found := opened.state["uncertainPlace"])["place"] is not None:
        opened.page.keyboard.press("g")
        wait_for(opened.page, f"window.segmend.state().uncertainPlace.rank > {found['rank']}")
    expect(said).to_have_text("Nothing else looks uncertain.")
    opened.page.keyboard.press("g")
    expect(said).to_contain_text("Looks uncertain here.")
    assert opened.state["crosshair"] == first

    opened.page.keyboard.press("Control+z")
    opened.settle()
    expect(look).to_be_disabled()
    assert opened.state["ring"] is None
    opened.page.keyboard.press("g")
    opened.toast("Put down a mark")


def test_a_method_that_does_not_say_where_it_is_uncertain_says_so(opened):
    opened.page.select_option("#method", "ball")
    opened.page.keyboard.press("c")
    opened.click((5, 6, 6))
    opened.settle()

    look = button(opened, "Next uncertain place")
    expect(look).to_be_disabled()
    expect(look).to_have_attribute("title", "Ball does not say where it is uncertain.")
    expect(opened.page.locator(".look-dice")).to_have_text("0.75")


def test_a_method_that_only_refines_needs_a_mask_first(opened):
    opened.page.select_option("#method", "graphcut")
    expect(button(opened, "First guess")).to_be_disabled()

    opened.page.keyboard.press("c")
    opened.click((5, 6, 6))
    opened.settle()

    expect(button(opened, "Refine the mask")).to_be_enabled()


def test_a_project_names_who_makes_the_first_masks(annotator, add, volume):
    page = annotator.page
    first, second = add(volume, "knee"), add(volume, "other knee")
    annotator.open(first)
    annotator.settle()
    try:
        page.get_by_role("button", name="Labels of this project…").click()
        page.get_by_label("First masks by").select_option("whole_mask")
        page.get_by_label("Its measured Dice").fill("0.9")
        page.get_by_role("button", name="Save", exact=True).click()
        button(annotator, "First masks by Whole").click()  # in a case that was opened before
        expect(page.locator(".mark-row")).to_have_count(1)
        annotator.settle()
        assert annotator.label_at((5, 6, 6)) == 1

        annotator.open(second)  # for the first time
        expect(page.locator(".mark-row")).to_have_count(1)
        annotator.settle()
        note = page.locator(".case-notes")
        expect(note).to_contain_text("First masks of Object 1 by Whole, whose Dice was measured as 0.90: check them.")
        assert annotator.label_at((5, 6, 6)) == 1
        page.keyboard.press("Control+z")
        annotator.settle()
        assert annotator.label_at((5, 6, 6)) == 0
        expect(note).to_be_hidden()
    finally:
        annotator.http.put("/api/projects/default/first-masks", json={"method": None})
