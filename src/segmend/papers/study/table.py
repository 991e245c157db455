"""All papers' claims in one table, from the folders that `segmend reproduce` wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segmend.errors import FileError
from segmend.papers.study.claims import NOT_TESTED, Verdict, interval, judge_all, measured
from segmend.papers.study.experiment import experiment
from segmend.papers.study.reproduce import Book

RUN = "run.json"  # in every folder of a run
SEEDS = 3  # as many as a claim is judged by
HEAD = ("paper", "claim", "verdict", "effect", "95 % interval", "n", "p", "p, Holm")


@dataclass(frozen=True)
class Judged:
    """A paper's claims, judged by the scores of one run."""

    paper: str
    verdicts: tuple[Verdict, ...]


def judged(folder: Path) -> Judged:
    """Return a run's claims, judged anew; FileError where the folder is no run."""
    try:
        made_with = json.loads((folder / RUN).read_text(encoding="utf-8"))["made_with"]
        paper = str(made_with["paper"])
    except (OSError, ValueError, KeyError, TypeError):
        raise FileError(f"{folder} is no folder that `segmend reproduce` wrote.") from None
    return Judged(paper, judge_all(experiment(paper).claims, Book(folder, made_with).scores))


def runs_in(folder: Path) -> tuple[Path, ...]:
    """Return the folders of runs that these are: the folder itself, or those in it.

    FileError where there is none.
    """
    found = [one.parent for one in (folder / RUN, *sorted(folder.glob(f"*/{RUN}"))) if one.is_file()]
    if not found:
        raise FileError(f"{folder} is no folder that `segmend reproduce` wrote, and holds none.")
    return tuple(found)


def markdown(runs: Sequence[Judged]) -> str:
    """Return the table of all claims, as Markdown, with lines that count them and name what has too few seeds."""
    rows = [_row(run.paper, verdict) for run in runs for verdict in run.verdicts]
    outcomes = [verdict.outcome for run in runs for verdict in run.verdicts]
    counts = ", ".join(f"{outcomes.count(name)} {name}" for name in dict.fromkeys(sorted(outcomes)))
    lines = [" | ".join(HEAD), "|".join("---" for _ in HEAD), *(" | ".join(row) for row in rows)]
    few = [run.paper for run in runs if any(0 < verdict.seeds < SEEDS for verdict in run.verdicts)]
    said = [f"Fewer than {SEEDS} seeds: {', '.join(few)}.", ""] if few else []
    return "\n".join([*(f"| {line} |" for line in lines), "", f"{len(outcomes)} claims: {counts}.", "", *said])


def _row(paper: str, verdict: Verdict) -> list[str]:
    effect = "–" if verdict.value is None else measured(verdict.value, verdict.measure)
    counted = "–" if verdict.outcome == NOT_TESTED else f"{verdict.cases}, {verdict.seeds} seeds"
    claim, p = verdict.claim.replace("|", "\\|"), verdict.p_of_bar if verdict.measure == "s" else verdict.p_of_cases
    return [paper, claim, verdict.outcome, effect, interval(verdict), counted, _p(p), _p(verdict.p_holm)]


def _p(value: float | None) -> str:
    return "–" if value is None else "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")
