"""The script for a GPU that is there for some minutes: what it packs, what it runs, what it brings back."""

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.datasets.test_folder import write_case, write_split
from tools import train_on_gpu as tool


def blob(seed: int) -> np.ndarray:
    labels = np.zeros((1, 40, 48), np.uint16)
    labels[0, 8 + seed : 30, 10:36] = 1
    return labels


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name in ("free", "small", "other"):
        (folder / name).mkdir()
        for number, case in enumerate(("a", "b", "c", "d")):
            write_case(folder / name, case, blob(number))
        write_split(folder / name, train=["a", "b"], val=["c"], test=["d"])
    (folder / "heads" / "labels").mkdir(parents=True)
    shutil.copy(folder / "free" / "labels" / "a.png", folder / "heads" / "labels" / "a.png")
    write_split(folder / "heads", train=["a"], val=[])
    licences = {name: {"may_ship": name != "other"} for name in ("free", "small", "other", "heads")}
    (folder / "licences.json").write_text(json.dumps(licences))
    return folder


@pytest.fixture(scope="module")
def packed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packed") / "data"
    tool.pack(data, out, limit=200, beside=[], val=1, unseen=1)
    return out


def splits(folder: Path) -> dict[str, dict[str, list[str]]]:
    return {path.parent.name: json.loads(path.read_text()) for path in sorted(folder.glob("*/split.json"))}


def test_what_may_not_ship_is_checked_on_alone_and_a_test_split_stays_at_home(packed: Path) -> None:
    assert splits(packed) == {
        "free": {"train": ["a", "b"], "val": ["c"]},
        "heads": {"train": ["a"]},
        "other": {"val": ["c"]},
        "small": {"train": ["a", "b"], "val": ["c"]},
    }
    assert sorted(path.name for path in (packed / "other" / "images").iterdir()) == ["c.png"]
    assert not list(packed.rglob("d.*"))
    assert tool.only_to_check(packed) == ("other",)


def test_no_more_is_packed_than_may_travel(data: Path, tmp_path: Path) -> None:
    used = sum(path.stat().st_size for path in tool.tracked(tool.ROOT))
    case = sum(path.stat().st_size for path in tool.files_of(data / "free", "c"))

    tool.pack(data, tmp_path / "out", limit=(used + 4.2 * case) / tool.MIB, beside=[], val=1, unseen=1)

    sizes = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*.png"))
    assert 3 * case < sizes <= 4.2 * case
    assert sum(len(parts.get("train", ())) for parts in splits(tmp_path / "out").values()) >= 1


TINY = ["widths=[8,8]", "light=[8,8]", "batch=2", "workers=0", "robots=0", "exam=1", "every=100"]


@pytest.mark.long
def test_a_run_comes_back_in_few_files_and_can_be_gone_on_from(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "PART_BYTES", 100_000)
    monkeypatch.setattr(tool, "MOST_PARTS", 30)
    lines: list[str] = []
    told = {"changes": [*TINY, "steps=2"], "most": 2, "end": time.monotonic() + 1000, "say": lines.append}
    out = tmp_path / "out"
    out.mkdir()
    (out / "results.tar.99").write_bytes(b"of an earlier time")

    tool.train(packed, tmp_path / "work", out, start=None, **told)
    assert tool.bring(tmp_path / "work", out) == "The run is in out, with its checkpoint."
    names = tool.unpack(tmp_path / "out", tmp_path / "back")

    there = {path.name for path in out.iterdir()}
    assert "results.tar.99" not in there
    assert there >= {"scores.json", "curve.png", "results.tar.0", "results.tar.1"}
    assert max(path.stat().st_size for path in (tmp_path / "out").glob("*.tar.*")) == 100_000
    assert lines[-1].startswith("evaluation  ")
    assert {"slab_reader.onnx", "slab_refiner.onnx", "slab_head.npz", "run.json", "checkpoint.pt"} <= set(names)
    kept = torch.load(tmp_path / "back" / "checkpoint.pt", weights_only=True)
    assert kept["step"] == 2 and kept["optimiser"]["state"][0]["exp_avg"].dtype == torch.bfloat16
    assert not (tmp_path / "back" / "results.tar").exists()

    onward = {**told, "changes": [*TINY, "steps=3"]}
    tool.train(packed, tmp_path / "on", out, start=tmp_path / "back", **onward)
    assert "resumed at step 2" in lines

    other = {**told, "changes": [*TINY, "batch=3", "steps=1"]}
    tool.train(packed, tmp_path / "other", out, start=tmp_path / "back" / "checkpoint.pt", **other)
    assert any("another batch" in line and "So its weights are taken alone." in line for line in lines)
    assert json.loads((tmp_path / "other" / "run" / "run.json").read_text())["steps"] == 1

    monkeypatch.setattr(tool, "MOST_PARTS", 1)
    assert "without a checkpoint" in tool.bring(tmp_path / "on", out)
    assert "checkpoint.pt" not in tool.unpack(out, tmp_path / "back_again")


@pytest.mark.long
def test_the_rate_falls_in_the_time_that_is_left(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "EXPORT_SECONDS", 0.0)
    lines: list[str] = []
    (tmp_path / "out").mkdir()

    tool.train(
        packed, tmp_path, tmp_path / "out", end=time.monotonic() + 4, changes=TINY, start=None, most=2, say=lines.append
    )

    about = json.loads((tmp_path / "run" / "run.json").read_text())
    (fall,) = [line for line in lines if "the rate falls until step" in line]
    assert 1 < about["steps"] <= about["settings"]["steps"]
    assert f"until step {about['settings']['steps']}. The run is in out, with" in fall
    assert (tmp_path / "out" / "results.tar.0").is_file()
    assert any(line.startswith("resumed at step") for line in lines)


def test_wheels_are_asked_for_what_is_missing_there_alone(tmp_path: Path) -> None:
    there = [f"{name}==1.0" for name in tool.NEEDS]

    assert tool.wheels(tmp_path, there=there, python="3.12") == []
