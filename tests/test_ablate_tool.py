"""Rules of the inference are switched off alone, and held to what all of them bring."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from segmend.samples import write_folder

BENCH = Path(__file__).parents[1] / "bench"


@pytest.fixture(scope="module")
def ablate() -> Any:
    if not BENCH.is_dir():
        pytest.skip("bench/ is not part of this installation")
    before, path = sys.modules.get("figures"), list(sys.path)
    sys.path.insert(0, str(BENCH))
    try:
        return import_module("ablate")
    finally:
        sys.path[:] = path
        if before is None:
            sys.modules.pop("figures", None)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_every_rule_is_there_to_be_switched_off_and_is_on_again_after(ablate: Any, dimensions: int) -> None:
    place = import_module("segmend.mend.plane" if dimensions == 2 else "segmend.mend.volume_first")
    before = place.CUT_OFF_LOSS
    for rule in ablate.RULES[dimensions].values():
        with ablate.off(rule):
            if any(name.endswith("CUT_OFF_LOSS") for name in rule.names):
                assert place.CUT_OFF_LOSS == 0.0
        assert place.CUT_OFF_LOSS == before
        assert rule.options or rule.names

    with pytest.raises(AttributeError), ablate.off(ablate.Rule("gone", names={"plane.NO_SUCH_RULE": 0})):
        pass


def test_games_with_and_without_a_rule_are_compared_and_kept(ablate: Any, tmp_path: Path, capsys: Any) -> None:
    write_folder(tmp_path / "data", cases=2, kinds=["skin"], shapes={"skin": (1, 48, 64)})
    call = [
        "ablate",
        "--data",
        str(tmp_path / "data"),
        "--objects",
        "1",
        "--split",
        "train",
        "--rules",
        "again",
        "span",
    ]
    kept = tmp_path / "out" / "ablate2d.jsonl"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [*call, "--out", str(tmp_path / "out")])
        ablate.main()
        rows = [json.loads(line) for line in kept.read_text().splitlines()]
        ablate.main()  # plays nothing again

    assert [(row["rule"], row["game"]) for row in rows] == [
        ("", "clicks"), ("", "person"), ("", "box"), ("", "mask"),
        ("again", "clicks"), ("again", "box"), ("again", "mask"), ("span", "box"),
    ]  # fmt: skip
    assert len(kept.read_text().splitlines()) == len(rows)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["rule", "again", "span"] * 2

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["ablate", "--data", str(tmp_path), "--rules", "nobody"])
        with pytest.raises(SystemExit):
            ablate.main()
    assert "There is no rule 'nobody'; there are" in capsys.readouterr().err


def test_a_rule_pays_where_chance_does_not_explain_what_it_brings(ablate: Any) -> None:
    def rows(rule: str, gains: list[float]) -> list[dict[str, Any]]:
        same = {"game": "box", "set": "s", "case": "a", "ms": 1.0}
        return [same | {"rule": rule, "object": n, "dice": 0.5 - gain} for n, gain in enumerate(gains)]

    base = rows("", [0.0] * 8)
    span = ablate.Rule("", games=("box",))
    better = ablate.verdict(base + rows("x", [0.1, 0.2] * 4), "x", span)
    worse = ablate.verdict(base + rows("x", [-0.1, -0.2] * 4), "x", span)
    either = ablate.verdict(base + rows("x", [-0.1, 0.1] * 4), "x", span)
    assert [one.word for one in (better, worse, either)] == ["pays", "harms", "open"]
    assert better.gain == pytest.approx(0.15)
    assert (better.objects, better.moved) == (8, 1.0)
    assert ablate.verdict(base, "x", span) is None
