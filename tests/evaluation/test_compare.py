"""A comparison plays each method in a process of its own, and says of every method that is missing why it is."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from segmend import methods
from segmend.cli import run
from segmend.errors import FileError, SettingsError
from segmend.evaluation.compare import Comparison, MethodRun, compare
from segmend.evaluation.evaluate import CaseResult, Curve, Problem, Report
from segmend.report import comparison
from segmend.report.page import Cell, Plot, Table, Text
from segmend.users import user
from tests.datasets.test_folder import flat_labels, solid_labels, write_case, write_split

PLUGINS = {
    "boxed": ('prompts=("box",), dimensions=(2, 3)', "raise AssertionError"),
    "solid": ('prompts=("click",), dimensions=(3,)', "return Everything()"),
    "weightless": ('prompts=("click",), dimensions=(2, 3)', 'raise ModelError("Train it first.")'),
    "broken": ('prompts=("click",), dimensions=(2, 3)', 'raise RuntimeError("a bug")'),
    "dying": ('prompts=("click",), dimensions=(2, 3)', "import os; os._exit(3)"),
    "refusing": ('prompts=("click",), dimensions=(2, 3)', "return Refusing()"),
}
PLUGIN = """
import numpy as np
from segmend.errors import ModelError, PromptError
from segmend.core.image import whole
from segmend.core.segmenter import Method, Prediction, Segmenter, Workspace

METHOD = Method(id="{name}", title="{name}", paper="", {card}, weights="none needed")

class Everything(Segmenter, Workspace):
    def open(self, image):
        return self

    def predict(self, prompts, previous):
        return Prediction(np.ones(previous.shape, np.float32), whole(previous.shape))

class Refusing(Everything):
    def predict(self, prompts, previous):
        raise PromptError("It wants a box first.")

def load():
    {load}
"""


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install methods as another package would: modules, and the entry points that name them."""
    place = tmp_path / "site"
    about = place / "plugged-1.0.dist-info"
    about.mkdir(parents=True)
    for name, (card, load) in PLUGINS.items():
        (place / f"plugged_{name}.py").write_text(PLUGIN.format(name=name, card=card, load=load))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    lines = "\n".join(f"{name} = plugged_{name}" for name in PLUGINS)
    (about / "entry_points.txt").write_text(f"[segmend.methods]\n{lines}\n")
    monkeypatch.syspath_prepend(str(place))
    methods._others.cache_clear()
    yield
    monkeypatch.undo()
    methods._others.cache_clear()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sets: a picture with three objects, a volume with two."""
    folder = tmp_path_factory.mktemp("data")
    write_case(folder / "flat", "a", flat_labels())
    write_split(folder / "flat", val=["a"])
    write_case(folder / "thick", "v", solid_labels(), suffix=".nii.gz")
    write_split(folder / "thick", val=["v"])
    return folder


def test_methods_meet_on_the_same_objects_and_the_others_are_named(data: Path, plugins: None) -> None:
    told: list[str] = []

    found = compare(data, ["graphcut", *PLUGINS], interactions=2, log=told.append)

    assert found.kinds == {"flat": "pictures", "thick": "volumes"}
    assert [one.method for one in found.standings("pictures")] == ["graphcut"]
    assert {one.method for one in found.standings("volumes")} == {"graphcut", "solid"}
    assert found.absent == {
        "boxed": "It takes box; the robot puts down click.",
        "weightless": "Train it first.",
        "broken": "RuntimeError: a bug",
        "dying": "Its process died; it may have run out of memory.",
        "refusing": "It could play no case: It wants a box first.",
    }
    assert "graphcut plays ..." in told
    assert "weightless does not take part: Train it first." in told


def test_a_method_for_volumes_alone_is_not_asked_about_pictures(data: Path, plugins: None) -> None:
    found = compare(data / "flat", ["solid", "graphcut"], interactions=1)

    assert found.absent == {"solid": "It takes 3D images; the data hold pictures."}
    assert found.standings("volumes") == ()


def test_memory_is_that_of_a_process_of_its_own(data: Path) -> None:
    ballast = np.ones(600_000_000, np.uint8)  # of this process, which no method should answer for

    found = compare(data / "flat", ["graphcut"], interactions=1)

    peak = found.standings("pictures")[0].values["peak_mb"]
    assert ballast[-1] == 1
    assert peak is None or 20 < peak < 600


@pytest.mark.long
def test_two_at_a_time_give_what_one_at_a_time_gives(data: Path) -> None:
    asked = ["graphcut", "randomwalker"]

    one = compare(data / "flat", asked, interactions=2)
    two = compare(data / "flat", asked, interactions=2, workers=2)

    def dices(found: Comparison) -> dict[str, list[tuple[float, ...]]]:
        return {name: [curve.dice for curve in report.curves] for name, report in found.reports.items()}

    assert list(dices(two)) == asked
    assert dices(one) == dices(two)


def test_what_was_played_is_kept_and_only_the_same_question_finds_it(data: Path, tmp_path: Path) -> None:
    told: list[str] = []

    first = compare(data / "flat", ["graphcut"], interactions=2, out=tmp_path)
    again = compare(data / "flat", ["graphcut"], interactions=2, out=tmp_path, log=told.append)
    assert told == ["graphcut: kept from an earlier run"]
    assert again == first
    told.clear()
    compare(data / "flat", ["graphcut"], interactions=1, out=tmp_path, log=told.append)
    assert told[0] == "graphcut plays ..."
    told.clear()
    (tmp_path / "methods" / "graphcut.json").write_text('{"asked": {')
    compare(data / "flat", ["graphcut"], interactions=1, out=tmp_path, log=told.append)
    assert told[0] == "graphcut plays ..."


def test_all_means_every_installed_method(data: Path, plugins: None, monkeypatch: pytest.MonkeyPatch) -> None:
    plugged = tuple(card for card in methods.cards() if card.id in ("boxed", "weightless"))
    monkeypatch.setattr(methods, "cards", lambda: plugged)  # the whole house would take half a minute

    assert compare(data / "flat", interactions=1).absent.keys() == {"boxed", "weightless"}


def test_systems_are_all_methods_with_their_variants_each_with_its_own_robot(
    data: Path, plugins: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {card.id: card for card in methods.cards() if card.id in ("graphcut", "bifseg", "solid")}
    monkeypatch.setattr(methods, "cards", lambda: tuple(own.values()))
    played: list[tuple[str, str]] = []

    def note(run: MethodRun) -> str:
        played.append((run.method, run.user))
        return "noted"

    monkeypatch.setattr("segmend.evaluation.compare._play_in_process", note)

    found = compare(data, ["systems"], "own", interactions=1)

    assert dict(played) == {
        "graphcut": "stroke",
        "solid": "click",
        "bifseg": "scribbles",
        **{f"bifseg.{name}": "scribbles" for name, _ in own["bifseg"].variants},
    }
    assert set(found.absent) == dict(played).keys()


def test_every_card_names_a_robot_that_it_can_be_played_with() -> None:
    for card in methods.cards():
        assert set(user(card.robot).kinds) <= set(card.prompts), card.id


def test_the_table_names_each_methods_own_robot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    found = replace(made_up(), user="own")

    assert [row["method"].note for row in rows(found, "objects")][:2] == ["robot click", "robot click"]
    assert "each method's own robot" in comparison.page_of(found).lead


def test_a_set_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for name in ("good", "torn"):
        write_case(tmp_path / name, "a", flat_labels())
        write_split(tmp_path / name, val=["a"])
    (tmp_path / "torn" / "images" / "a.png").write_bytes(b"no picture")

    found = compare(tmp_path, ["graphcut"], interactions=1)

    assert (found.unreadable, list(found.kinds)) == (("torn",), ["good"])
    blocks = comparison.page_of(found).blocks
    assert ["(all, on torn)", "None of its cases could be read."] in [
        list(row) for block in blocks if isinstance(block, Table) for row in block.rows
    ]


def test_what_cannot_be_asked_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="needs 1 interaction and 1 worker or more; got 0 and 1"):
        compare(data, interactions=0)
    with pytest.raises(SettingsError, match="needs 1 interaction and 1 worker or more; got 5 and 0"):
        compare(data, workers=0)
    with pytest.raises(SettingsError, match="There is no method 'nothing'"):
        compare(data, ["nothing"])
    with pytest.raises(SettingsError, match="There is no user 'nobody'"):
        compare(data, ["graphcut"], "nobody")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="could not be made: Not a directory"):
        compare(data / "flat", ["graphcut"], interactions=1, out=tmp_path / "file")


# What is made of the games


def report(name: str, dices: dict[str, list[float]], problems: int = 0) -> Report:
    """Return two interactions on each object, its last Dice given, a set at a time."""
    cases = [
        CaseResult(
            of,
            f"{of}{number}",
            (Curve(of, f"{of}{number}", 1, 100, 2, (last / 2, last), (last / 3, last / 2), (0.1, 0.3), 1.0, 0.5),),
            1.0,
            200.0 + number,
        )
        for of, values in dices.items()
        for number, last in enumerate(values)
    ]
    return Report(name, "click", 2, tuple(cases), tuple(Problem("one", str(n), "It is torn.") for n in range(problems)))


def made_up() -> Comparison:
    reports = {
        "good": report("good", {"one": [0.9, 0.8, 0.7], "two": [0.9]}),
        "plain": report("plain", {"one": [0.6, 0.7, 0.5], "two": [0.3]}),
        "lucky": report("lucky", {"one": [0.95]}, problems=50),
    }
    kinds = {"one": "pictures", "two": "pictures"}
    return Comparison("click", 2, "val", None, 0, kinds, reports, {"shy": "It takes box."})


def rows(found: Comparison, head: str) -> list[dict[str, Cell]]:
    tables = [b for b in comparison.page_of(found).blocks if isinstance(b, Table) and head in b.head]
    cells = [[c if isinstance(c, Cell) else Cell(c) for c in row] for row in tables[0].rows]
    return [dict(zip(tables[0].head, row, strict=True)) for row in cells]


def test_the_best_is_sought_among_those_that_played_most() -> None:
    best, lucky, plain = made_up().standings("pictures")

    assert [best.method, lucky.method, plain.method] == ["good", "lucky", "plain"]
    assert best.versus is None
    assert (lucky.versus.pairs, lucky.versus.mean) == (1, pytest.approx(0.05))
    expected = stats.ttest_rel([0.6, 0.7, 0.5, 0.3], [0.9, 0.8, 0.7, 0.9])
    assert plain.versus.p == pytest.approx(expected.pvalue)
    assert plain.values["dice"]["2"] == pytest.approx((0.6 + 0.3) / 2)


def test_the_table_tells_it_all() -> None:
    table = rows(made_up(), "NoC")

    plain = table[2]
    assert [row["method"].text for row in table] == ["good", "lucky", "plain"]
    assert table[0]["difference"] == Cell("–", note="the best")
    assert plain["difference"].text == "−0.300"
    assert (plain["s"].text, plain["MB"].text, plain["failures"].text, plain["NoC"].text) == (
        "0.200",
        "202",
        "4",
        "2.00",
    )
    assert table[1]["objects"] == Cell("1", note="50 missing")


def test_every_set_has_its_column_and_the_best_is_marked() -> None:
    table = rows(made_up(), "two")

    assert [(row["one"].text, row["one"].tone) for row in table] == [("0.800", ""), ("0.950", "best"), ("0.600", "")]
    assert [row["two"].text for row in table] == ["0.900", "–", "0.300"]


def test_missing_methods_and_games_are_listed() -> None:
    assert [row["method"].text for row in rows(made_up(), "why")] == ["shy"]
    texts = [block.text for block in comparison.page_of(made_up()).blocks if isinstance(block, Text)]
    assert "50 games are missing. These are the first 40." in texts


def test_files_are_written_and_say_the_same(tmp_path: Path) -> None:
    paths = comparison.write(made_up(), tmp_path / "new")

    names = [path.relative_to(tmp_path / "new").as_posix() for path in paths]
    assert names == [
        *("summary.json", "methods.csv", "objects.csv", "report.html", "report.md"),
        *("plots/pictures-dice.svg", "plots/pictures-speed.svg"),
    ]
    table = list(csv.DictReader((tmp_path / "new" / "methods.csv").read_text().splitlines()))
    plain = [row for row in table if row["method"] == "plain"]
    assert [(row["set"], row["dice_2"]) for row in plain] == [("one", "0.6"), ("two", "0.3"), ("mean", "0.45")]
    assert [row["versus_best"] for row in plain] == ["", "", "-0.3"]
    objects = list(csv.DictReader((tmp_path / "new" / "objects.csv").read_text().splitlines()))
    assert len(objects) == 4 + 4 + 1
    summary = json.loads((tmp_path / "new" / "summary.json").read_text())
    assert summary["pictures"]["plain"]["versus_best"]["pairs"] == 4
    assert "50 games are missing" in (tmp_path / "new" / "report.html").read_text()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(FileError, match="could not be made: Not a directory"):
        comparison.write(made_up(), tmp_path / "file" / "inside")


def test_without_matplotlib_the_tables_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    blocks = comparison.page_of(made_up()).blocks

    assert Text("Plots need matplotlib: pip install 'segmend[report]'; the tables are written.") in blocks
    assert not [block for block in blocks if isinstance(block, Plot)]


def test_when_nobody_can_play_the_report_says_so() -> None:
    found = Comparison("click", 2, "val", None, 0, {"one": "pictures"}, {}, {"shy": "It takes box."})

    page = comparison.page_of(found)

    assert page.title == "0 methods on the same objects"
    assert Text("Nothing was played.") in page.blocks


# The command


def test_the_command_prints_a_table_and_writes_the_report(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["compare", "--data", str(data), "--methods", "graphcut, randomwalker", "--interactions", "2"]

    code = run([*arguments, "--out", str(tmp_path / "out")])
    told = capsys.readouterr()
    again = run([*arguments, "--out", str(tmp_path / "out"), "--json"])
    values = json.loads(capsys.readouterr().out)

    assert (code, again) == (0, 0)
    lines = told.out.splitlines()
    assert lines[0].split()[:3] == ["pictures", "objects", "dice@1"]
    assert {line.split()[0] for line in lines[1:3]} == {"graphcut", "randomwalker"}
    assert str(tmp_path / "out" / "report.html") in lines
    assert "graphcut plays ..." in told.err
    assert set(values["pictures"]) == {"graphcut", "randomwalker"}
    assert values["sets"] == {"flat": "pictures", "thick": "volumes"}


def test_the_command_says_what_did_not_take_part(data: Path, plugins: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", "--data", str(data), "--methods", "boxed"]) == 0
    assert capsys.readouterr().out == "boxed did not take part: It takes box; the robot puts down click.\n"
    assert run(["compare", "--data", "nowhere"]) == 2
    assert capsys.readouterr().err == "There is no folder nowhere.\n"


def test_the_command_without_matplotlib_still_writes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    code = run(
        [
            "compare",
            "--data",
            str(data / "flat"),
            "--methods",
            "graphcut",
            "--interactions",
            "1",
            "--out",
            str(tmp_path),
        ]
    )

    assert code == 0
    assert "Plots need matplotlib" in capsys.readouterr().err
    assert (tmp_path / "report.html").is_file()
