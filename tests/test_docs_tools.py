"""What makes pages of the documentation: examples of docstrings in the API reference."""

from tools.griffe_doctests import fenced


def test_examples_in_docstrings_stand_between_fences():
    assert fenced("Add.\n\n>>> 1 + 1\n2\n\nMore.") == "Add.\n\n```pycon\n>>> 1 + 1\n2\n```\n\nMore."


def test_a_docstring_may_end_with_its_example():
    assert fenced("Add.\n\n>>> 1 + 1\n2") == "Add.\n\n```pycon\n>>> 1 + 1\n2\n```"


def test_a_docstring_without_an_example_stays():
    assert fenced("Add.\n\nMore.") == "Add.\n\nMore."
