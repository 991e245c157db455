"""The switch that says whether a method may learn this image, and the sign that it did."""

import pytest
from playwright.sync_api import expect


@pytest.fixture
def opened(annotator, add, volume):
    return annotator.open(add(volume, "knee"), method="learner")


def finetunes(opened):
    return opened.page.get_by_label("Fine-tuning")


def said(opened):
    return opened.page.locator(".status-answer").inner_text()


def test_a_method_that_cannot_adapt_has_no_switch(opened):
    expect(finetunes(opened)).to_be_visible()
    expect(finetunes(opened)).to_have_value("auto")

    opened.page.select_option("#method", "ball")

    expect(finetunes(opened)).to_be_hidden()


def test_every_mark_is_answered_and_recorded_as_the_switch_stands(opened):
    opened.click((5, 5, 5))
    opened.settle()
    assert "finetuned" not in said(opened)
    finetunes(opened).select_option("Fine-tunes always")
    opened.click((5, 5, 9))
    opened.settle()
    assert said(opened).endswith("fine-tuned to this image")
    assert opened.label_at((5, 5, 11)) == 1
    finetunes(opened).select_option("Fine-tunes never")
    opened.click((5, 9, 5))
    opened.settle()

    assert "finetuned" not in said(opened)
    marks = [event for event in opened.recorded["events"] if event["event"] == "prompted"]
    assert [mark["finetune"] for mark in marks] == ["auto", "on", "off"]


def test_a_session_goes_on_as_it_was_left(opened):
    finetunes(opened).select_option("Fine-tunes never")
    opened.click((5, 5, 5))
    opened.settle()

    opened.open(opened.state["case"], method="learner")

    expect(finetunes(opened)).to_have_value("off")


def test_taking_a_mark_away_answers_the_others_as_they_were(opened):
    opened.click((5, 2, 2))
    opened.settle()
    finetunes(opened).select_option("Fine-tunes always")
    opened.click((5, 5, 9))
    opened.settle()
    finetunes(opened).select_option("Fine-tunes never")

    opened.page.get_by_role("button", name="Remove click +").last.click()
    opened.settle()

    assert opened.label_at((5, 2, 2)) == 0
    assert opened.label_at((5, 5, 11)) == 1  # as it was when it was put down
    assert said(opened).endswith("fine-tuned to this image")
