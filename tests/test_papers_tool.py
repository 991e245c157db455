"""The papers' pages take the claims and tables of a run's report, and nothing else."""

import json

import pytest

from tools import papers

REPORT = """# A title

2 of 2 claims held:
1 seed.

## The claims

| verdict | claim | measured |
|---|---|--:|
| **held**<br>not significant | It is close.<br>`\\|a − b\\| ≤ 0.02`. skin +0.010, head −0.005. | +0.003 |
| **held** | It is fast. | 0.1 s |

A claim holds.

## The paper's table, and ours

| arm |
|---|

## Examples

![a patient](pictures/1.png)
"""


def test_a_run_replaces_what_stood_between_the_marks(tmp_path, monkeypatch):
    monkeypatch.setattr(papers, "DOCS", tmp_path)
    page, run = tmp_path / "toy-measured.md", tmp_path / "run"
    page.write_text("before\n\n<!-- measured -->\n\nof an earlier run\n\n<!-- end -->\n\nafter\n")
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"made_with": {"paper": "toy", "effort": 0.5}}))
    (run / "report.md").write_text(REPORT)

    papers.main([str(run)])

    text = page.read_text()
    assert text.startswith(
        "before\n\n<!-- measured -->\n\n`segmend reproduce toy --effort 0.5`. 2 of 2 claims held: 1 seed."
    )
    assert text.endswith("<!-- end -->\n\nafter\n")
    assert "### The claims\n\n| verdict | claim |" in text
    assert "### The paper's table, and ours" in text
    assert "earlier run" not in text
    assert "patient" not in text


def test_how_a_claim_was_tested_stands_below_the_table():
    table, tests = papers.claims(REPORT).split("A claim holds.")

    assert "| **held**<br>not significant | 1. It is close. | +0.003 |" in table
    assert "| **held** | It is fast. | 0.1 s |" in table
    assert tests.endswith(":\n\n1. `|a − b| ≤ 0.02`. skin +0.010, head −0.005.")


def test_a_page_without_marks_is_left_alone():
    with pytest.raises(SystemExit, match=r"needs a line <!-- measured --> and a line <!-- end --> after it"):
        papers.put("no marks", "new")
