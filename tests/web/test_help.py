"""What a person is helped with: a change is seen before it is made, methods say what they are good for and compare."""

import numpy as np
import pytest
from playwright.sync_api import expect

from segmend.core.image import Image, scale_affine
from tests.web.driving import Annotator

FIRST, SECOND = (0, 8, 8), (0, 8, 15)


@pytest.fixture
def opened(annotator: Annotator, add):
    picture = Image(np.full((1, 1, 20, 26), 90, np.uint8), scale_affine((1, 1, 1)))
    annotator.open(add(picture, "helped"))
    return annotator


def test_a_change_is_seen_in_two_colours_before_it_is_made(opened):
    page = opened.page
    opened.click(FIRST)
    opened.settle()
    page.get_by_label("Show a change before it is made").check()
    bar = page.locator(".preview-bar")

    opened.click(SECOND)
    expect(bar).to_contain_text("This mark: Object 1 would")
    assert len(opened.prompts) == 1 and opened.label_at(SECOND) == 0  # nothing is made yet
    [(red, _, blue)] = opened.colours([(0, 8, 17)])
    assert blue > 150 and blue > red + 60  # what is gained
    page.keyboard.press("Escape")
    expect(bar).to_have_count(0)
    assert len(opened.prompts) == 1

    opened.click(SECOND)
    expect(bar.get_by_role("button", name="Take it")).to_be_visible()
    page.keyboard.press("Enter")
    expect(bar).to_have_count(0)
    opened.settle()
    assert len(opened.prompts) == 2 and opened.label_at(SECOND) == 1

    page.get_by_label("Show a change before it is made").uncheck()
    opened.click((0, 15, 20))
    opened.settle()
    assert len(opened.prompts) == 3


def test_methods_say_what_they_are_good_for_and_compare_on_the_same_marks(opened):
    page = opened.page
    page.get_by_role("button", name="What each method is good for").click()
    dialog = page.locator("dialog.methods")
    expect(dialog.locator("section").first).to_contain_text("Mend")
    expect(dialog).to_contain_text(
        "A coloured object in a box, on a background of other colours; in a volume the box needs depth."
    )
    expect(dialog.get_by_role("heading", name="From papers, trained on small examples")).to_be_visible()
    expect(dialog.get_by_role("button", name="Compare Graph cut", exact=True)).to_be_disabled()
    page.keyboard.press("Escape")
    opened.click(FIRST)
    opened.settle()

    page.get_by_role("button", name="What each method is good for").click()
    dialog.get_by_role("button", name="Compare Random walker").click()
    bar = page.locator(".preview-bar")
    expect(bar).to_contain_text("Random walker, on the same marks: Object 1 would")
    assert len(opened.prompts) == 1
    bar.get_by_role("button", name="Take it").click()
    opened.settle()
    assert [prompt["kind"] for prompt in opened.prompts] == ["click", "mask"]


def test_a_robot_is_watched_with_its_dice_and_keeps_nothing(opened):
    page = opened.page
    opened.click(FIRST)
    opened.settle()
    opened.click((0, 8, 16))
    opened.settle()
    page.get_by_role("button", name="What each method is good for").click()
    page.get_by_role("button", name="Watch a robot").click()

    bar = page.locator(".robot-place .preview-bar")
    expect(bar).to_contain_text("and the robot is done")
    assert len(opened.state["robot"]["prompts"]) == bar.locator("circle").count() >= 2
    assert opened.state["robot"]["dices"][-1] > opened.state["robot"]["dices"][0]
    assert len(opened.prompts) == 2
    bar.get_by_role("button", name="Close").click()
    expect(bar).to_have_count(0)


def test_the_tour_goes_on_when_a_thing_was_tried(opened):
    page = opened.page
    page.keyboard.press("?")
    page.get_by_role("button", name="Tour of a minute").click()
    card = page.get_by_role("region", name="Tour")
    expect(card).to_contain_text("1 of 6")

    opened.click(FIRST)
    expect(card).to_contain_text("2 of 6")
    page.keyboard.down("Shift")
    opened.click((0, 8, 9))
    page.keyboard.up("Shift")
    expect(card).to_contain_text("3 of 6")
    page.keyboard.press("Control+z")
    expect(card).to_contain_text("Look around")
    card.get_by_role("button", name="Next").click()
    page.keyboard.press("n")
    expect(card).to_contain_text("Finish")
    card.get_by_role("button", name="Done").click()
    expect(card).to_have_count(0)
