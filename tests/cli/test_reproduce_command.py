"""`segmend reproduce` runs a paper that is installed, tells its verdicts, and refuses in one sentence."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from segmend.cli import run
from segmend.runtime import cards
from segmend.runtime.cards import PaperCard
from tests.drawn_experiment import EXPERIMENT, draw


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]):
    def call(*arguments: object) -> tuple[int, str, str]:
        code = run([str(a) for a in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def install(monkeypatch: pytest.MonkeyPatch, **modules: str) -> None:
    """Put these papers, by name and module, in the place of Segmend's own."""
    found = {name: PaperCard(name, EXPERIMENT.title, EXPERIMENT.sets, module) for name, module in modules.items()}
    monkeypatch.setattr(cards, "papers", lambda: found)


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a paper called `drawn`; return data."""
    install(monkeypatch, drawn="tests.drawn_experiment")
    return draw(tmp_path / "data", cases=1)


def write_module(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    install(monkeypatch, **{name: name})


def test_a_paper_is_run_and_its_verdicts_are_told(said, drawn: Path, tmp_path: Path) -> None:
    code, out, err = said("reproduce", "drawn", "--data", drawn, "--out", tmp_path / "out", "--seeds", "0,4")

    assert code == 0, err
    assert "open                 More clicks are better than one. (" in out  # two cases prove nothing
    assert "could not be tested  It also holds in the abdomen." in out
    assert "report.html" in out
    assert f"abdomen is not in {drawn}; the experiment goes without it." in err
    assert (tmp_path / "out" / "report.html").is_file()


def test_all_papers_are_run_and_their_claims_stand_in_one_table(
    said, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = dict(cards.papers())
    found["other"] = replace(found["drawn"], id="other")
    (tmp_path / "elsewhere.py").write_text(
        "from dataclasses import replace\nfrom tests.drawn_experiment import EXPERIMENT\n"
        "EXPERIMENT = replace(EXPERIMENT, paper='absent', sets=('nowhere',))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found["absent"] = replace(found["drawn"], id="absent", module="elsewhere")
    monkeypatch.setattr(cards, "papers", lambda: found)

    code, out, err = said(
        "reproduce", "all", "--data", drawn / "skin", "--out", tmp_path / "runs", "--seeds", "0", "--json"
    )

    table = (tmp_path / "runs" / "claims.md").read_text()
    assert code == 0, err
    assert [one["paper"] for one in json.loads(out)] == ["drawn", "drawn"]  # what each run says of itself
    assert (tmp_path / "runs" / "drawn" / "report.md").is_file()
    assert (tmp_path / "runs" / "other" / "scores.csv").is_file()
    assert "absent was left out: The experiment of absent needs nowhere" in err
    assert "| drawn | More clicks are better than one. | open |" in table
    assert said("reproduce", "--claims", tmp_path / "runs")[1].strip() == table.strip()


def test_programs_get_one_json_document(said, drawn: Path, tmp_path: Path) -> None:
    code, out, err = said(
        "reproduce", "drawn", "--data", drawn / "skin", "--out", tmp_path / "out", "--seeds", "0", "--json"
    )

    found = json.loads(out)
    assert code == 0, err
    assert (found["paper"], found["sets"], found["missing"]) == ("drawn", ["skin"], ["head", "abdomen"])
    assert found["claims"][0]["outcome"] == "open"


def test_the_papers_are_listed(said, drawn: Path) -> None:
    assert said("reproduce", "--list")[1] == (
        "drawn        Two solvers on drawn pictures\n             on skin, head, abdomen\n"
    )
    assert json.loads(said("reproduce", "--json")[1])[0]["sets"] == ["skin", "head", "abdomen"]


def test_the_projects_own_papers_are_listed(said) -> None:
    code, _, err = said("reproduce", "--list")

    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nothing", "--data", "."], "There is no paper 'nothing'; there are drawn."),
        (["drawn"], "A reproduction needs data; add --data DIR."),
        (["drawn", "--data", "nowhere"], "There is no folder nowhere."),
        (["drawn", "--data", ".", "--seeds", "one"], "Seeds need whole numbers with commas between them; got 'one'."),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(
    said, drawn: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], why: str
) -> None:
    monkeypatch.delenv("SEGMEND_DATA", raising=False)

    assert said("reproduce", *arguments) == (2, "", f"{why}\n")


def test_no_data_set_at_all_is_one_sentence(said, drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    code, _, err = said("reproduce", "drawn", "--data", tmp_path / "empty", "--out", tmp_path / "out")

    assert code == 2
    assert err == f"The experiment of drawn needs skin or head or abdomen; {tmp_path / 'empty'} has none of them.\n"


def test_a_paper_whose_networks_need_torch_says_so(
    said, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_module(tmp_path, "learned_paper", "import torch\n", monkeypatch)
    monkeypatch.setitem(sys.modules, "torch", None)

    code, _, err = said("reproduce", "learned_paper", "--data", drawn)

    assert (code, err) == (2, "This paper's networks need torch; install it with: pip install 'segmend[train]'.\n")


def test_another_missing_library_is_a_bug_and_shows_itself(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_module(tmp_path, "broken_paper", "import there_is_no_such_library\n", monkeypatch)

    with pytest.raises(ModuleNotFoundError, match="there_is_no_such_library"):
        run(["reproduce", "broken_paper", "--data", str(drawn)])


def test_without_matplotlib_the_tables_are_written(
    said, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    code, _, err = said("reproduce", "drawn", "--data", drawn / "skin", "--out", tmp_path / "out", "--seeds", "0")

    assert code == 0
    assert "Plots need matplotlib: pip install 'segmend[report]'; the tables are written." in err
    assert (tmp_path / "out" / "report.html").is_file()
    assert not (tmp_path / "out" / "plots").exists()
