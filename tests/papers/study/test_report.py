"""A reproduction's report tells every verdict, sets the paper's numbers beside ours, and needs no plots to do so."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from segmend.papers.study import report as reproduction
from segmend.papers.study.experiment import Better, Pick, Picture, Plan, Score
from segmend.papers.study.reproduce import Reproduction, reproduce
from segmend.report import plots
from segmend.report.page import Gallery, Plot, Table, Text, html, markdown
from segmend.samples import write_folder
from tests.drawn_experiment import EXPERIMENT, draw


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Reproduction:
    folder = tmp_path_factory.mktemp("reproduced")
    return reproduce(EXPERIMENT, Plan(draw(folder / "data"), folder / "out", (0, 1), log=lambda line: None))


def made_up(scores: list[Score], tmp_path: Path, **changes: object) -> Reproduction:
    """Return a reproduction of these scores, with no data behind it."""
    data = tmp_path / "data"
    write_folder(data, cases=1, kinds=["skin"], shapes={"skin": (1, 16, 16)})

    def run(plan: Plan) -> Iterator[Score]:
        yield from scores

    experiment = replace(EXPERIMENT, run=run, **({"pictures": None} | changes))  # type: ignore[arg-type]
    return reproduce(experiment, Plan(data, tmp_path / "out", (0,), log=lambda line: None))


def table(found: Reproduction, head: str) -> list[dict[str, str]]:
    """Return the rows of the table with this column."""
    blocks = [b for b in reproduction.page_of(found).blocks if isinstance(b, Table) and head in b.head]
    return [
        {name: getattr(cell, "text", cell) for name, cell in zip(blocks[0].head, row, strict=True)}
        for row in blocks[0].rows
    ]


def test_every_file_of_the_report_is_written(found: Reproduction) -> None:
    paths = reproduction.write(found)

    names = [path.relative_to(found.plan.out).as_posix() for path in paths]
    assert names == [
        "verdicts.json",
        "report.html",
        "report.md",
        "plots/boxes.svg",
        "plots/interactions.svg",
        "plots/predicted.svg",
        "pictures/1.png",
        "pictures/2.png",
    ]
    assert all(path.stat().st_size for path in paths)


def test_the_result_comes_first(found: Reproduction) -> None:
    lead = reproduction.page_of(found).lead

    assert lead == (
        "2 of 9 claims of the paper (drawn) held beyond chance, 4 are open, 1 did not hold, "
        "2 could not be tested: 6 cases of 2 data sets, 2 seeds."
    )


def test_every_claim_has_its_verdict_and_numbers(found: Reproduction) -> None:
    rows = table(found, "verdict")

    assert [row["claim"] for row in rows] == [claim.says for claim in EXPERIMENT.claims]
    first = found.verdicts[0]
    assert [rows[0]["verdict"], rows[4]["verdict"]] == ["open", "held"]
    assert rows[0]["p, Holm"] == reproduction.p_value(first.p_holm)
    assert rows[0]["measured"] == f"{first.value:+.3f}".replace("-", "−")
    assert rows[0]["p"] == reproduction.p_value(first.p)
    assert rows[5]["measured"] == f"r {found.verdicts[5].value:.2f}"
    assert rows[7]["measured"].endswith(" s")
    assert rows[3] == rows[3] | {"verdict": "could not be tested", "measured": "–", "p": "–", "cases": "–"}


def test_the_papers_rows_stand_beside_ours(tmp_path: Path) -> None:
    scores = [Score("graphcut", "skin", "a", d, at=at) for at, d in ((1, 0.5), (2, 0.6), (3, 0.8))]
    scores += [Score("other", "skin", "a", 0.7)]

    rows = table(made_up(scores, tmp_path), "SEN")

    assert [(r["arm"], r["at"], r["Dice"], r["skin"]) for r in rows] == [
        ("graphcut", "1", "0.61", "0.500"),
        ("graphcut", "3", "0.91", "0.800"),
        ("level set", "–", "0.945", "–"),
        ("other", "–", "–", "0.700"),
    ]


def test_a_paper_that_counts_in_per_cent_is_answered_so(tmp_path: Path) -> None:
    theirs = [{"arm": "graphcut", "spleen": 70.23, "colon": 63.9}]

    rows = table(made_up([Score("graphcut", "skin", "a", 0.512)], tmp_path, theirs=theirs), "spleen")

    assert rows == [{"arm": "graphcut", "spleen": "70.23", "colon": "63.9", "skin": "51.20"}]


def test_each_set_counts_once_in_the_mean(tmp_path: Path) -> None:
    scores = [Score("a", "skin", str(i), 0.4) for i in range(3)] + [Score("a", "head", "x", 0.8)]

    rows = table(made_up(scores, tmp_path, theirs=[]), "mean of sets")

    assert rows == [{"arm": "a", "mean of sets": "0.600", "skin": "0.400", "head": "0.800"}]


def test_everything_measured_is_listed(tmp_path: Path) -> None:
    scores = [Score("a", "skin", c, d, seconds=0.25, more={"nsd": d / 2}) for c, d in (("x", 0.4), ("y", 0.6))]

    rows = table(made_up(scores, tmp_path, theirs=[]), "nsd")

    assert rows == [
        {"arm": "a", "skin": "0.500 ± 0.100", "nsd": "0.250", "seconds": "0.25", "cases": "2", "seeds": "1"}
    ]


def test_what_was_used_and_what_was_missing_is_said(found: Reproduction) -> None:
    rows = {row["what"]: row["value"] for row in table(found, "what")}

    assert rows["data sets used"] == "skin, head"
    assert rows["data sets that were not there"] == "abdomen"
    assert rows["seeds"] == "0, 1"
    assert rows["scores"] == str(len(found.scores)) == "72"


def test_pictures_and_plots_are_inside_the_html(found: Reproduction) -> None:
    document = html(reproduction.page_of(found))

    assert document.count("data:image/png;base64,") == 2
    assert "A &lt;wave&gt;, drawn" in document
    assert len(re.findall(r'<figure role="img"', document)) == 3
    assert not re.findall(r'(?:src|href)="(?!data:|#)', document)


def test_a_report_that_is_written_again_draws_no_pictures_again(tmp_path: Path) -> None:
    drawn: list[int] = []

    def pictures(plan: Plan) -> list[Picture]:
        drawn.append(1)
        return [*EXPERIMENT.pictures(plan)] if EXPERIMENT.pictures else []

    first = made_up([Score("a", "skin", "x", 0.4)], tmp_path, pictures=pictures)
    reproduction.write(first)
    before = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    again = reproduce(first.experiment, first.plan)
    reproduction.write(again)

    assert drawn == [1]
    assert (first.fresh, again.fresh) == (True, False)
    after = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert before.count("data:image/png") == after.count("data:image/png") == 2
    assert "The same, again" in after


def test_an_experiment_with_one_number_a_case_has_no_lines(tmp_path: Path) -> None:
    page = reproduction.page_of(made_up([Score("a", "skin", "x", 0.4), Score("a", "skin", "y", 0.6)], tmp_path))

    assert [block.name for block in page.blocks if isinstance(block, Plot)] == ["boxes"]
    assert not [block for block in page.blocks if isinstance(block, Gallery)]


def test_a_run_that_measured_nothing_still_reports(tmp_path: Path) -> None:
    page = reproduction.page_of(made_up([], tmp_path, claims=(Better("It is.", Pick("a"), Pick("b")),)))

    assert "0 of 1 claim of the paper (drawn) held beyond chance, 1 could not be tested" in page.lead
    assert Text("Nothing was measured.") in page.blocks
    assert markdown(page).count("'a' was not measured") == 1


def test_without_matplotlib_the_tables_are_written_and_a_sentence_says_how_to_get_it(
    found: Reproduction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    page = reproduction.page_of(found)

    assert not plots.available()
    assert Text("Plots need matplotlib: pip install 'segmend[report]'; the tables are written.") in page.blocks
    assert not [block for block in page.blocks if isinstance(block, Plot)]
    assert [block for block in page.blocks if isinstance(block, Table)]
