"""What makes pages: examples of docstrings in the API reference, the executed notebook, the README of indexes."""

import json
from pathlib import Path

import pytest
from PIL import Image as Picture

from hatch_readme import LINK, for_index
from tools.griffe_doctests import fenced
from tools.notebook import main, page

DOCS = Path(__file__).parent.parent / "docs"


def test_examples_in_docstrings_stand_between_fences():
    assert fenced("Add.\n\n>>> 1 + 1\n2\n\nMore.") == "Add.\n\n```pycon\n>>> 1 + 1\n2\n```\n\nMore."


def test_a_docstring_may_end_with_its_example():
    assert fenced("Add.\n\n>>> 1 + 1\n2") == "Add.\n\n```pycon\n>>> 1 + 1\n2\n```"


def test_a_docstring_without_an_example_stays():
    assert fenced("Add.\n\nMore.") == "Add.\n\nMore."


def cell(source):
    return {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [], "source": [source]}


def test_a_notebook_is_executed_and_becomes_a_page(tmp_path):
    (tmp_path / "images").mkdir()
    path = tmp_path / "small.ipynb"
    text = {"cell_type": "markdown", "metadata": {}, "source": ["# Small"]}
    picture = "from PIL import Image\nImage.new('RGB', (3, 2), (0, 9, 0))"
    path.write_text(json.dumps({"cells": [text, cell("a = 2\nprint(a)"), cell("a + 1"), cell(picture)]}))

    main(path)

    assert path.with_suffix(".md").read_text() == (
        "# Small\n\n```python\na = 2\nprint(a)\n```\n\n```text\n2\n```\n\n```python\na + 1\n```\n\n```text\n3\n```\n\n"
        f"```python\n{picture}\n```\n\n![What the cell above shows](images/small-3.png)\n"
    )
    with Picture.open(tmp_path / "images" / "small-3.png") as shown:
        assert shown.size == (3, 2) and shown.convert("RGB").getpixel((0, 0)) == (0, 9, 0)
    assert [each.get("execution_count") for each in json.loads(path.read_text())["cells"]] == [None, 1, 2, 3]


@pytest.mark.parametrize("name", ["notebook", "widget"])
def test_the_page_of_a_notebook_is_the_notebook(tmp_path, name):
    (tmp_path / "images").mkdir()
    cells = json.loads((DOCS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]

    assert page(cells, tmp_path, name) == (DOCS / f"{name}.md").read_text(encoding="utf-8")
    for picture in sorted((tmp_path / "images").iterdir()):
        assert picture.read_bytes() == (DOCS / "images" / picture.name).read_bytes()


def test_links_of_the_readme_point_to_the_sources_where_their_address_is_known():
    text = "![a](docs/a.gif) [b](docs/b.md#c) [d](#d) [e](https://e.example/e)"

    assert for_index(text, "https://host.example/us/") == (
        "![a](https://host.example/us/raw/HEAD/docs/a.gif) [b](https://host.example/us/blob/HEAD/docs/b.md#c) "
        "[d](#d) [e](https://e.example/e)"
    )


def test_links_of_the_readme_become_words_where_it_is_not():
    readme = for_index((DOCS.parent / "README.md").read_text(encoding="utf-8"), None)

    assert not LINK.search(readme)
    assert "Quick start" in readme and "annotator.gif" not in readme
