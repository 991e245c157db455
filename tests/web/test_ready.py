"""The page says while the server still loads its method."""

import pytest
from playwright.sync_api import expect


@pytest.fixture
def ready(server):
    """What the server sets when its method is loaded; set again after the test."""
    event = server.config.app.state.shared.ready
    assert event.wait(20)
    event.clear()
    yield event
    event.set()


def test_the_page_says_that_the_model_is_loaded_until_it_is(annotator, ready, add, volume):
    said = annotator.page.get_by_text("Loading the model")
    annotator.open(add(volume))
    expect(said).to_be_visible()

    annotator.click((5, 6, 6))  # is answered all the same
    annotator.settle()
    assert annotator.label_at((5, 6, 6)) == 1
    expect(said).to_be_visible()
    ready.set()

    expect(said).to_be_hidden()
