"""All papers' claims in one table, from the folders that `segmend reproduce` wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segmend.errors import FileError
from segmend.papers.study.claims import NOT_TESTED, Verdict, judge_all
from segmend.papers.study.experiment import experiment
from segmend.papers.study.reproduce import Book

HEAD = ("paper", "claim", "verdict", "effect", "95 % interval", "n", "p", "p, Holm")


@dataclass(frozen=True)
class Judged:
    """A paper's claims, judged by the scores of one run."""

    paper: str
    verdicts: tuple[Verdict, ...]


def judged(folder: Path) -> Judged:
    """Return a run's claims, judged anew; FileError where the folder is no run."""
    try:
        made_with = json.loads((folder / "run.json").read_text(encoding="utf-8"))["made_with"]
        paper = str(made_with["paper"])
    except (OSError, ValueError, KeyError, TypeError):
        raise FileError(f"{folder} is no folder that `segmend reproduce` wrote.") from None
    return Judged(paper, judge_all(experiment(paper).claims, Book(folder, made_with).scores))


def markdown(runs: Sequence[Judged]) -> str:
    """Return the table of all claims, as Markdown, with a line that counts them."""
    rows = [_row(run.paper, verdict) for run in runs for verdict in run.verdicts]
    outcomes = [verdict.outcome for run in runs for verdict in run.verdicts]
    counts = ", ".join(f"{outcomes.count(name)} {name}" for name in dict.fromkeys(sorted(outcomes)))
    lines = [" | ".join(HEAD), "|".join("---" for _ in HEAD), *(" | ".join(row) for row in rows)]
    return "\n".join([*(f"| {line} |" for line in lines), "", f"{len(outcomes)} claims: {counts}.", ""])


def _row(paper: str, verdict: Verdict) -> list[str]:
    bar = verdict.measure
    effect = "–" if verdict.value is None else f"{bar} {verdict.value:+.3f}" if bar != "s" else f"{verdict.value:.3g} s"
    interval = "–" if verdict.low is None or verdict.high is None else f"{verdict.low:+.3f} to {verdict.high:+.3f}"
    counted = "–" if verdict.outcome == NOT_TESTED else f"{verdict.cases}, {verdict.seeds} seeds"
    claim = verdict.claim.replace("|", "\\|")
    return [paper, claim, verdict.outcome, effect, interval, counted, _p(verdict.p_of_cases), _p(verdict.p_holm)]


def _p(value: float | None) -> str:
    return "–" if value is None else "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")
