"""The papers' pages take the claims and tables of a run's report, and nothing else."""

import json

import pytest

from tools import papers

REPORT = """# A title

2 of 2 claims held:
1 seed.

## The claims

| verdict |
|---|
| **held** |

## The paper's table, and ours

| arm |
|---|

## Examples

![a patient](pictures/1.png)
"""


def test_a_run_replaces_what_stood_between_the_marks(tmp_path, monkeypatch):
    monkeypatch.setattr(papers, "DOCS", tmp_path)
    page, run = tmp_path / "toy-measured.md", tmp_path / "run"
    page.write_text("before\n\n<!-- measured -->\n\nold\n\n<!-- end -->\n\nafter\n")
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"made_with": {"paper": "toy", "effort": 0.5}}))
    (run / "report.md").write_text(REPORT)

    papers.main([str(run)])

    text = page.read_text()
    assert text.startswith(
        "before\n\n<!-- measured -->\n\n`segmend reproduce toy --effort 0.5`. 2 of 2 claims held: 1 seed."
    )
    assert text.endswith("<!-- end -->\n\nafter\n")
    assert "### The claims\n\n| verdict |" in text
    assert "### The paper's table, and ours" in text
    assert "old" not in text
    assert "patient" not in text


def test_a_page_without_marks_is_left_alone():
    with pytest.raises(SystemExit, match=r"needs a line <!-- measured --> and a line <!-- end --> after it"):
        papers.put("no marks", "new")
