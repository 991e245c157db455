"""`segmend adapt` as a person runs it: from the annotator's locked labels or a folder, undone, and refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segmend.cli import run
from segmend.continual import improve as room
from segmend.continual.trial import Trials
from segmend.core.image import Box
from segmend.core.session import PALETTE, Defined, Label, Patch, Prompted
from segmend.runtime import versions
from segmend.store import Store
from tests.continual.test_improve import TAKE, site, untrained, write

LESION = Label(1, "lesion", PALETTE[0])
QUICK = ["--steps", "1", *(w for s in ("batch=2", "threads=1", "workers=0", "exam=0") for w in ("--set", s))]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The annotator's folder with nine cases whose object is locked, and one that is not finished."""
    folder = tmp_path_factory.mktemp("kept")
    with Store.local(folder) as store:
        for number, case in enumerate(site(10)):
            example = case.read()
            session = store.add_session(store.add_case(case.name, example.image).id).id
            store.append(session, 0, Defined(LESION))
            store.append(session, 1, Prompted(Box((0, 2, 2), (1, 40, 40)), 1, "mend"))
            store.answer(session, 1, Patch.between(np.zeros_like(example.labels), example.labels))
            if number < 9:
                store.append(session, 2, Defined(replace(LESION, locked=True)))
    return folder


@pytest.fixture
def better(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every check find the new weights better, without playing."""
    monkeypatch.setattr(room, "check", lambda *_, **__: Trials(TAKE, TAKE))


def test_the_annotators_locked_objects_are_learned_from_and_undone(
    old: Path, kept: Path, tmp_path: Path, better: None, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "site")
    command = ["adapt", "--store", str(kept), "--out", out, "--weights", str(old), *QUICK]

    assert run([*command, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["installed"], values["again"], values["version"]) == (True, False, 1)
    assert sorted(case["name"] for case in values["cases"]) == [f"case {n}" for n in range(9)]
    assert Path(values["folder"], "report.html").is_file()

    assert run(command) == 0
    said = capsys.readouterr().out
    assert said.startswith("This was decided before; accept more cases, or change the settings. The new weights are")
    assert run(["adapt", "--undo", out]) == 0
    assert capsys.readouterr().out == f"Version 0 of {out} is in use again.\n"
    assert run(["adapt", "--undo", out]) == 2
    assert capsys.readouterr().err == f"The weights in {out} are the first it had, so there is nothing to undo.\n"


def test_adapted_weights_are_used_by_segment(
    old: Path, tmp_path: Path, better: None, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "data", str(tmp_path / "site")
    write(data, [f"case{n}" for n in range(9)])
    assert run(["adapt", "--data", str(data), "--out", out, "--weights", str(old), *QUICK]) == 0
    assert "in use: version 1 of" in capsys.readouterr().out

    assert versions.in_use(Path(out)) == Path(out) / "versions" / "001"
    image, mask = str(data / "images" / "case0.png"), str(tmp_path / "mask.png")
    assert run(["segment", image, "--click", "0,24,24", "--weights", out, "-o", mask]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "here"], "Adapting needs a folder to keep the weights in, for example --out site; got none."),
        (["--out", "site"], "Adapting needs cases: either --store DIR, the annotator's folder, or --data DIR."),
        (["--out", "site", "--data", "here", "--store", "there"], "Adapting needs cases: either --store DIR"),
        (
            ["--out", "site", "--data", "here", "--steps", "3", "--minutes", "1"],
            "needs --steps or --minutes, not both.",
        ),
        (["--out", "site", "--store", "there"], "There is no annotator's folder there: it has no segmend.db."),
        (["--out", "site", "--data", "here"], "There is no folder here."),
        (["--undo", "site"], "There are no versions of weights in site, so there is nothing to undo."),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    assert run(["adapt", *arguments]) == 2

    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
