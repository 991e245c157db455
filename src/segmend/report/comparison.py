"""A comparison as a report: a table of all methods for pictures and one for volumes, plots, and who was left out."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from segmend import __version__, methods
from segmend.core.atomic import write_bytes
from segmend.errors import FileError
from segmend.evaluation.compare import KINDS, OWN, Comparison, Standing, only
from segmend.evaluation.evaluate import Report
from segmend.evaluation.metrics import TOLERANCE_MM
from segmend.report import page, plots
from segmend.report.evaluation import Row, csv_of, objects_table, sets_table
from segmend.report.page import NONE, Block, Cell, Heading, Page, Plot, Table, Text, p_value

MAX_PROBLEMS = 40  # problems that a report lists


def write(found: Comparison, folder: Path) -> tuple[Path, ...]:
    """Write the comparison's tables and report into a folder, and return the paths."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"The folder {folder} could not be made: {error.strerror}.") from None
    files = {
        "summary.json": (json.dumps(found.summary(), indent=1) + "\n"),
        "methods.csv": csv_of(methods_table(found)),
        "objects.csv": csv_of(
            [{"method": name} | row for name, report in found.reports.items() for row in objects_table(report)]
        ),
    }
    for name, text in files.items():
        write_bytes(folder / name, text.encode())
    return (*(folder / name for name in files), *page.write(page_of(found), folder))


def methods_table(found: Comparison) -> list[Row]:
    """Return a row for each method and set, and one for its mean over pictures or volumes."""
    rows: list[Row] = []
    for kind in KINDS:
        for one in found.standings(kind):
            versus = one.versus
            beside: Row = {"versus_best": versus.mean if versus else None, "p": versus.p if versus else None}
            for row in sets_table(one.report.summary()):
                mean = row["set"] == "mean"
                plain = {key: value for key, value in row.items() if key != "problems"}
                rows.append({"method": one.method, "kind": kind} | plain | (beside if mean else dict.fromkeys(beside)))
    return rows


def page_of(found: Comparison) -> Page:
    """Return the report; it has no plots where matplotlib is missing."""
    blocks: list[Block] = []
    leads = []
    for kind in KINDS:
        standings = found.standings(kind)
        if standings:
            blocks += _kind(found, kind, standings)
            leads.append(f"{kind}: {standings[0].method}, Dice {_number(_last(found, standings[0]))}")
    if not leads:
        blocks += [Text("Nothing was played.")]
    elif not plots.available():
        blocks += [Text(plots.WITHOUT)]
    blocks += [Heading("Methods that did not take part"), _absent(found)]
    problems = [(method, p) for method, report in found.reports.items() for p in report.problems]
    if problems:
        rows = [[method, p.set, p.case, p.reason] for method, p in problems[:MAX_PROBLEMS]]
        more = f" These are the first {MAX_PROBLEMS}." if len(problems) > MAX_PROBLEMS else ""
        blocks += [Heading("Cases that could not be played"), Text(f"{len(problems)} games are missing.{more}")]
        blocks += [Table(["method", "set", "case", "why"], rows)]
    blocks += [Heading("How it was made"), _made(found), Text(HOW)]
    turns = f"{found.interactions} interaction{'s' if found.interactions > 1 else ''}"
    played = "each method's own robot" if found.user == OWN else f"the robot '{found.user}'"
    lead = f"The best after {turns} of {played}, mean over data sets: {'; '.join(leads) or 'none'}."
    return Page(f"{len(found.reports)} methods on the same objects", lead, blocks)


HOW = f"""Dice and NSD (at {TOLERANCE_MM:g} mm) are means over objects, then over data sets, each set counting once. NoC
is the mean number of interactions to a Dice of 0.85, an object that never gets there counting as the number allowed;
failures are those objects. Seconds are the median of the method's answers alone: no robot, no opening, no measuring.
Memory is the largest of a process in which only this method ran, Python and libraries included. "to the best" is the
mean difference of the last Dice to the best method's, on the objects that both played, with its 95 % confidence
interval; p is of a two-sided paired t-test and is not corrected for the number of methods. The best is sought among
those that played the most objects."""


def _last(found: Comparison, one: Standing) -> float | None:
    value = one.values["dice"][str(found.interactions)]
    return None if value is None else float(value)


def _kind(found: Comparison, kind: str, standings: Sequence[Standing]) -> list[Block]:
    names = [name for name, of in found.kinds.items() if of == kind]
    objects = max(len(one.report.curves) for one in standings)
    said = f"{objects} objects of {len(names)} data set{'s' if len(names) > 1 else ''}: {', '.join(names)}."
    blocks: list[Block] = [Heading(kind.capitalize()), Text(said), _table(found, standings)]
    if plots.available():
        blocks += [_lines(found, kind, names, standings), _speed(found, kind, standings)]
    if len(names) > 1:
        blocks += [Text(f"Dice after the last interaction, a data set at a time ({kind})."), _by_set(names, standings)]
    return blocks


def _table(found: Comparison, standings: Sequence[Standing]) -> Table:
    turns = [str(m) for m in standings[0].report.milestones]
    target, own = str(standings[0].report.targets[0]), found.user == OWN
    columns: dict[str, list[float | None]] = {
        **{f"dice {t}": [one.values["dice"][t] for one in standings] for t in turns},
        **{f"nsd {t}": [one.values["nsd"][t] for one in standings] for t in turns},
    }
    shown = {name: _marked(values) for name, values in columns.items()}
    rows: list[list[Cell | str]] = []
    for number, one in enumerate(standings):
        missing = len(one.report.problems)
        rows.append(
            [
                replace(plots.named(one.method, known()), note=f"robot {one.report.user}" if own else ""),
                Cell(str(len(one.report.curves)), note=f"{missing} missing" if missing else ""),
                *(cells[number] for cells in shown.values()),
                _number(one.values["noc"][target], 2),
                str(one.values["failures"][target]),
                _number(_median(one.report), 3),
                _number(one.values["peak_mb"], 0),
                *_versus(one),
            ]
        )
    head = ["method", "objects", *turns, *turns, "NoC", "failures", "s", "MB", "difference", "p"]
    groups = [("", 2), ("Dice after", len(turns)), ("NSD after", len(turns)), ("to Dice .85", 2), ("a step", 2)]
    return Table(head, rows, [*groups, ("to the best", 2)])


def known() -> list[str]:
    """Return all installed methods, then their variants: a method's colour depends on nothing else."""
    found = methods.cards()
    return [*(card.id for card in found), *(f"{card.id}.{name}" for card in found for name, _ in card.variants)]


def _marked(values: Sequence[float | None]) -> list[Cell]:
    """Return numbers, the highest marked."""
    best = max((value for value in values if value is not None), default=None)
    return [Cell(_number(value), tone="best" if value is not None and value == best else "") for value in values]


def _number(value: float | None, digits: int = 3) -> str:
    return NONE if value is None else f"{value:.{digits}f}"


def _median(report: Report) -> float | None:
    seconds = [second for curve in report.curves for second in curve.seconds]
    return float(np.median(seconds)) if seconds else None


def _versus(one: Standing) -> tuple[Cell | str, str]:
    if one.versus is None:
        return Cell(NONE, note="the best"), NONE
    mean, low, high = one.versus.mean, one.versus.low, one.versus.high
    note = "" if low is None or high is None else f"{_signed(low)} to {_signed(high)}"
    return Cell(_signed(mean), note=note), p_value(one.versus.p)


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _by_set(names: Sequence[str], standings: Sequence[Standing]) -> Table:
    columns = []
    for name in names:
        curves = [[c.dice[-1] for c in only(one.report, [name]).curves] for one in standings]
        columns.append(_marked([float(np.mean(dices)) if dices else None for dices in curves]))
    rows = [
        [plots.named(one.method, known()), *(column[number] for column in columns)]
        for number, one in enumerate(standings)
    ]
    return Table(["method", *names], rows)


def _lines(found: Comparison, kind: str, names: Sequence[str], standings: Sequence[Standing]) -> Plot:
    turns = list(range(1, found.interactions + 1))
    panels: dict[str, dict[str, plots.Line]] = {name: {} for name in names}
    means: dict[str, plots.Line] = {}
    for one in standings:
        curves = {name: [c.dice for c in only(one.report, [name]).curves] for name in names}
        lines = {name: np.mean(dices, axis=0) for name, dices in curves.items() if dices}
        for name, line in lines.items():
            panels[name][one.method] = (turns, line.tolist())
        means[one.method] = (turns, np.mean(list(lines.values()), axis=0).tolist())
    shown: Mapping[str, Any] = {"mean of sets": means, **panels} if len(names) > 1 else panels
    return Plot(
        f"{kind}-dice",
        f"Dice against interactions on {kind}, a line a method",
        plots.lines(shown, known(), across="Interactions"),
    )


def _speed(found: Comparison, kind: str, standings: Sequence[Standing]) -> Plot:
    points = {
        one.method: (seconds, last)
        for one in standings
        if (seconds := _median(one.report)) is not None and (last := _last(found, one)) is not None
    }
    says = f"Dice after the last interaction against seconds per interaction on {kind}"
    return Plot(f"{kind}-speed", says, plots.speed(points, known()))


def _absent(found: Comparison) -> Block:
    rows = [[name, why] for name, why in found.absent.items()]
    rows += [[f"(all, on {name})", "None of its cases could be read."] for name in found.unreadable]
    return Table(["method", "why"], rows) if rows else Text("All that were asked took part.")


def _made(found: Comparison) -> Table:
    rows = [
        ["robot", f"{found.user}, seed {found.seed}"],
        ["interactions", str(found.interactions)],
        ["split", found.split],
        ["cases of each set, at most", "all" if found.limit is None else str(found.limit)],
        ["data sets", ", ".join(f"{name} ({kind})" for name, kind in found.kinds.items())],
        ["made with", f"Segmend {__version__}, Python {platform.python_version()}, {platform.machine()}"],
    ]
    return Table(["what", "value"], rows)
