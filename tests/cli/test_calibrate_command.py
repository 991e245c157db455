"""`segmend calibrate`: robots play, and what was expected of the masks is held to the truth."""

import json

import pytest

from segmend.cli import run
from tests.datasets.test_folder import flat_labels, write_case, write_split


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four sets of one picture each."""
    folder = tmp_path_factory.mktemp("sets")
    for name in ("a", "b", "c", "d"):
        write_case(folder / name, "one", flat_labels())
        write_split(folder / name, train=["one"])
    return folder


def test_a_run_goes_on_where_the_last_one_ended_and_tells_how_good_it_is(data, tmp_path, capsys):
    kept, out = tmp_path / "answers.jsonl", tmp_path / "mend_calibration.json"
    asked = ["calibrate", "--data", str(data), "--answers", str(kept), "--out", str(out), "--objects", "1"]

    assert run([*asked, "--set", "a", "--set", "b"]) == 2
    first = kept.read_text()
    assert "needs answers of 4 sets or more" in capsys.readouterr().err and not out.exists()
    assert run(asked) == 0
    said = capsys.readouterr().out

    assert first and kept.read_text().startswith(first) and kept.read_text().count('"set": "a"') == first.count('"a"')
    assert said.startswith("2D, each set left out once:") and "of 4 sets: off by" in said
    values = json.loads(out.read_text())
    assert values["method"] == "mend" and values["dimensions"]["2"]["sets"] == ["a", "b", "c", "d"]
    assert run(asked) == 2  # which is there
    assert "--force" in capsys.readouterr().err


def test_what_cannot_be_calibrated_is_said(data, tmp_path, capsys):
    assert run(["calibrate", "--data", str(data)]) == 2
    assert "needs --out" in capsys.readouterr().err
    assert run(["calibrate", "--data", str(data), "--method", "graphcut", "--out", str(tmp_path / "a.json")]) == 2
    assert "graphcut says of no mask here what Dice it expects" in capsys.readouterr().err
