"""A reproduction as a report: the verdicts, the paper's table beside ours, plots, pictures, and how it was made."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segmend import __version__
from segmend.core.atomic import write_bytes
from segmend.papers.study.claims import (
    HELD,
    NOT_HELD,
    NOT_SIGNIFICANT,
    NOT_TESTED,
    OPEN,
    Cases,
    Verdict,
    interval,
    measured,
    pick_numbers,
    pick_scores,
)
from segmend.papers.study.experiment import Pick, Score, Tracks
from segmend.papers.study.reproduce import Reproduction
from segmend.report import page, plots
from segmend.report.page import NONE, Block, Cell, Gallery, Heading, Page, Plot, Shown, Table, Text, p_value

TONES = {HELD: "good", OPEN: "open", NOT_HELD: "bad", NOT_TESTED: "open"}
TITLES = "titles.json"
STEPS = (0, 1, 2, 3, 4, 5, 10, 15, 20)  # rows of the full table, and the last


def write(found: Reproduction) -> tuple[Path, ...]:
    """Write verdicts.json, report.html, report.md and their pictures into the run's folder; return the paths."""
    verdicts = found.plan.out / "verdicts.json"
    write_bytes(verdicts, (json.dumps(found.summary(), indent=1) + "\n").encode())
    report = page_of(found)
    titles = [one.title for block in report.blocks if isinstance(block, Gallery) for one in block.pictures]
    paths = page.write(report, found.plan.out)
    if titles:
        write_bytes(found.plan.out / "pictures" / TITLES, (json.dumps(titles) + "\n").encode())
    return (verdicts, *paths)


def shown(found: Reproduction) -> list[Shown]:
    """Return the experiment's pictures; when nothing new was measured, those of the report before, if it had any."""
    kept = found.plan.out / "pictures"
    if not found.fresh and (kept / TITLES).is_file():
        titles = json.loads((kept / TITLES).read_text(encoding="utf-8"))
        return [Shown(title, (kept / f"{number}.png").read_bytes()) for number, title in enumerate(titles, start=1)]
    drawn = found.experiment.pictures(found.plan) if found.experiment.pictures else ()
    return [Shown(one.title, one.png) for one in drawn]


def page_of(found: Reproduction) -> Page:
    """Return the report; it has no plots where matplotlib is missing."""
    arms = tuple(dict.fromkeys(score.arm for score in found.scores))
    pictures = shown(found)
    blocks: list[Block] = [Heading("The claims"), _verdicts(found.verdicts), Text(HOW)]
    blocks += [Heading("The paper's table, and ours"), *_beside(found, arms)]
    blocks += [Heading("Plots"), *_plots(found, arms)]
    if pictures:
        blocks += [Heading("Examples"), Gallery(pictures)]
    blocks += [Heading("Everything that was measured"), _full(found.scores, arms)]
    blocks += [Heading("How it was made"), _made(found)]
    if found.experiment.notes.strip():
        blocks += [
            Heading("Where the text was silent, and which data stand in for the paper's"),
            Text(found.experiment.notes),
        ]
    return Page(f"{found.experiment.title}", _lead(found), blocks)


HOW = """A claim is held when what was measured lies beyond its bar by more than chance, not held when it lies on the
other side by more than chance, and open within it: p below .05 over cases, their seeds averaged, with Holm's
correction over all claims of the paper ("p, Holm"). Differences are of the same data set, case and seed; p is of a
two-sided paired t-test over these pairs, "p, cases" of the same test with the seeds of a case averaged, for they are
not independent. A median of seconds is held against its bar by the sign test over cases."""


def _lead(found: Reproduction) -> str:
    count = {outcome: sum(v.outcome == outcome for v in found.verdicts) for outcome in TONES}
    claims = _many(len(found.verdicts), "claim")
    parts = [f"{count[HELD]} of {claims} of the paper ({found.experiment.paper}) held beyond chance"]
    parts += [f"{count[OPEN]} {'is' if count[OPEN] == 1 else 'are'} open"] if count[OPEN] else []
    parts += [f"{count[NOT_HELD]} did not hold"] if count[NOT_HELD] else []
    parts += [f"{count[NOT_TESTED]} could not be tested"] if count[NOT_TESTED] else []
    cases = len({(score.set, score.case) for score in found.scores})
    seeds = len({score.seed for score in found.scores})
    sets = len({score.set for score in found.scores})
    over = f"{_many(cases, 'case')} of {_many(sets, 'data set')}, {_many(seeds, 'seed')}"
    return f"{', '.join(parts)}: {over}."


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


# The claims


def _verdicts(verdicts: Sequence[Verdict]) -> Table:
    head = ["verdict", "claim", "measured", "95 % interval", "p", "p, cases", "p, Holm", "cases", "seeds"]
    known = [abs(x) for v in verdicts if v.measure == "Dice" for x in (v.low, v.high, v.value, v.bar) if x is not None]
    reach = max([*known, 0.01])
    return Table(head, [_verdict(v, reach) for v in verdicts])


def _verdict(v: Verdict, reach: float) -> list[Cell | str]:
    sets = ", ".join(f"{name} {_signed(value)}" for name, value in v.by_set.items()) if len(v.by_set) > 1 else ""
    remark = v.remark.replace(NOT_SIGNIFICANT, "").strip()
    note = ". ".join(part.removesuffix(".") for part in (f"`{v.rule}`", remark, sets) if part) + "."
    drawn = _glyph(v, reach) if v.measure == "Dice" and v.value is not None else ""
    return [
        Cell(v.outcome, tone=TONES[v.outcome]),
        Cell(v.claim, note=note),
        NONE if v.value is None else measured(v.value, v.measure),
        Cell(interval(v), svg=drawn),
        p_value(v.p),
        p_value(v.p_of_cases),
        p_value(v.p_holm),
        Cell(str(v.cases or NONE), note=f"{v.pairs} {'steps' if v.measure == 's' else 'pairs'}" if v.pairs else ""),
        str(v.seeds or NONE),
    ]


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _glyph(v: Verdict, reach: float) -> str:
    """Return the interval as a small drawing: a line at zero, the bar dotted, the mean a dot."""
    assert v.value is not None

    def x(value: float) -> str:
        return f"{60 + 56 * max(-1.0, min(1.0, value / reach)):.1f}"

    bar = v.bar or 0.0
    colour = f"var(--{TONES[v.outcome]})"
    low, high = v.value if v.low is None else v.low, v.value if v.high is None else v.high
    return (
        '<svg class="interval" width="120" height="18" viewBox="0 0 120 18" aria-hidden="true">'
        f'<path d="M60 1V17" stroke="var(--soft)"/>'
        f'<path d="M{x(bar)} 1V17" stroke="var(--soft)" stroke-dasharray="2 2"/>'
        f'<path d="M{x(low)} 9H{x(high)}" stroke="{colour}" stroke-width="2"/>'
        f'<circle cx="{x(v.value)}" cy="9" r="4" fill="{colour}"/></svg>'
    )


# The tables


def _mean(values: Iterable[float]) -> float | None:
    known = [value for value in values if math.isfinite(value)]
    return float(np.mean(known)) if known else None


def by_set(cases: Cases) -> dict[str, list[float]]:
    """Return the Dice of picked scores, a set at a time."""
    found: dict[str, list[float]] = {}
    for (name, _, _), score in cases.items():
        found.setdefault(name, []).append(score.dice)
    return found


def overall(cases: Cases) -> float | None:
    """Return the mean over sets, each counting once."""
    return _mean(mean for mean in map(_mean, by_set(cases).values()) if mean is not None)


def _percent(theirs: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the paper gives its numbers in per cent."""
    numbers = [v for row in theirs for k, v in row.items() if k != "at" and isinstance(v, int | float)]
    return bool(numbers) and float(np.median(numbers)) > 1.5


def _beside(found: Reproduction, arms: Sequence[str]) -> list[Block]:
    """Return the paper's rows, each with our mean Dice of the same arm, then the arms that only we have."""
    theirs = found.experiment.theirs
    columns = list(dict.fromkeys(key for row in theirs for key in row if key not in ("arm", "at")))
    turns = any("at" in row for row in theirs)
    sets = list(dict.fromkeys(score.set for score in found.scores))
    percent = _percent(theirs)
    ours = ["mean of sets", *sets] if len(sets) > 1 else sets
    rows = [(str(row.get("arm", "")), row.get("at"), row) for row in theirs]
    rows += [(arm, None, {}) for arm in arms if arm not in {str(row.get("arm")) for row in theirs}]
    lines: list[list[Cell | str]] = []
    for arm, at, row in rows:
        cases = pick_scores(found.scores, Pick(arm, at=at if isinstance(at, int) else None))
        here = _here({} if isinstance(cases, str) else cases, sets, percent)
        lead: list[Cell | str] = [plots.named(arm, arms), *([NONE if at is None else str(at)] if turns else [])]
        lines.append([*lead, *(_plain(row.get(column)) for column in columns), *here])
    first = 1 + turns
    groups = [("", first), *([("the paper", len(columns))] if columns else []), ("here", len(ours))]
    unit = "Dice (in per cent, as in the paper)" if percent else "Dice"
    last = ", after the last interaction unless a row says otherwise" if turns or _turned(found.scores) else ""
    said = f"Ours are means of {unit} over cases and seeds{last}."
    warning = "The data differ, so compare the order of the arms, not the numbers."
    return [Text(f"{said} {warning}"), Table(["arm", *(["at"] if turns else []), *columns, *ours], lines, groups)]


def _here(cases: Cases, sets: Sequence[str], percent: bool) -> list[str]:
    values = by_set(cases)
    means = [_mean(values.get(name, ())) for name in sets]
    means = [overall(cases), *means] if len(sets) > 1 else means
    return [NONE if m is None else f"{m * 100:.2f}" if percent else f"{m:.3f}" for m in means]


def _plain(value: Any) -> str:
    if value is None:
        return NONE
    return f"{value:g}" if isinstance(value, float) else str(value)


def _turned(scores: Iterable[Score]) -> bool:
    return len({score.at for score in scores}) > 1


def _full(scores: Sequence[Score], arms: Sequence[str]) -> Table:
    """Return a row for each arm and number of interactions."""
    sets = list(dict.fromkeys(score.set for score in scores))
    extra = list(dict.fromkeys(name for score in scores for name in score.more))[:6]
    turns = _turned(scores)
    rows: list[list[Cell | str]] = []
    for arm in arms:
        mine = [score for score in scores if score.arm == arm]
        known = sorted({score.at for score in mine})
        for at in (at for at in known if at in STEPS or at == known[-1]):
            cases = pick_scores(mine, Pick(arm, at=at))
            assert not isinstance(cases, str)
            values = by_set(cases)
            steps = [s.seconds for s in mine if s.at == at and s.seconds is not None]
            rows.append(
                [
                    plots.named(arm, arms),
                    *([str(at)] if turns else []),
                    *(_spread(values.get(name, ())) for name in sets),
                    *(_number(_mean(s.more[name] for s in cases.values() if name in s.more)) for name in extra),
                    f"{np.median(steps):.3g}" if steps else NONE,
                    str(len({key[:2] for key in cases})),
                    str(len({key[2] for key in cases})),
                ]
            )
    tail = [*extra, "seconds", "cases", "seeds"]
    head = ["arm", *(["at"] if turns else []), *sets, *tail]
    groups = [
        ("", 1 + turns),
        ("Dice, mean ± deviation", len(sets)),
        ("means, and the median step", len(extra) + 1),
        ("", 2),
    ]
    return Table(head, rows, groups)


def _spread(values: Sequence[float]) -> str:
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return NONE
    return f"{np.mean(known):.3f} ± {np.std(known):.3f}"


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"


# The plots


def _plots(found: Reproduction, arms: Sequence[str]) -> list[Block]:
    if not found.scores:
        return [Text("Nothing was measured.")]
    if not plots.available():
        return [Text(plots.WITHOUT)]
    sets = list(dict.fromkeys(score.set for score in found.scores))
    blocks: list[Block] = [
        Text("Each arm's Dice after its last interaction, a point a case and seed."),
        _boxes(found.scores, sets, arms),
    ]
    if _turned(found.scores):
        blocks += [Text("Dice against interactions, the mean over cases and seeds."), _lines(found.scores, sets, arms)]
    followers = [claim for claim in found.experiment.claims if isinstance(claim, Tracks)]
    drawn = {f"{c.this.arm}: {c.number}": pick_numbers(found.scores, c.this, c.number) for c in followers}
    known = {title: cases for title, cases in drawn.items() if not isinstance(cases, str)}
    if known:
        blocks += [
            Text("What was predicted, and what was true; on the grey line both are equal."),
            _scatter(known, followers, sets),
        ]
    return blocks


def _boxes(scores: Sequence[Score], sets: Sequence[str], arms: Sequence[str]) -> Plot:
    panels: dict[str, dict[str, list[float]]] = {name: {} for name in sets}
    for arm in arms:
        cases = pick_scores(scores, Pick(arm))
        assert not isinstance(cases, str)
        for name, values in by_set(cases).items():
            panels[name][arm] = [value for value in values if math.isfinite(value)]
    return Plot("boxes", f"Box plots of Dice for {', '.join(arms)}", plots.boxes(panels, arms))


def _lines(scores: Sequence[Score], sets: Sequence[str], arms: Sequence[str]) -> Plot:
    panels: dict[str, dict[str, plots.Line]] = {
        name: {} for name in (["mean of sets"] if len(sets) > 1 else []) + list(sets)
    }
    for arm in arms:
        known = sorted({score.at for score in scores if score.arm == arm})
        at = {turn: pick_scores(scores, Pick(arm, at=turn)) for turn in known}
        cases = {turn: found for turn, found in at.items() if not isinstance(found, str)}
        for name in panels:
            means = {t: overall(c) if name not in sets else _mean(by_set(c).get(name, ())) for t, c in cases.items()}
            shown = {turn: mean for turn, mean in means.items() if mean is not None}
            if shown:
                panels[name][arm] = (list(shown), list(shown.values()))
    return Plot(
        "interactions", "Dice against interactions, a line an arm", plots.lines(panels, arms, across="Interactions")
    )


def _scatter(known: Mapping[str, Cases], claims: Sequence[Tracks], sets: Sequence[str]) -> Plot:
    numbers = {f"{claim.this.arm}: {claim.number}": claim.number for claim in claims}
    panels: dict[str, dict[str, plots.Line]] = {}
    for title, cases in known.items():
        panels[title] = {}
        for name in sets:
            mine = [score for key, score in cases.items() if key[0] == name]
            if mine:
                panels[title][name] = ([s.more[numbers[title]] for s in mine], [s.dice for s in mine])
    return Plot("predicted", "Predicted against true Dice", plots.scatter(panels, sets, across="Predicted"))


# How it was made


def _made(found: Reproduction) -> Table:
    plan = found.plan
    seconds = found.seconds
    rows = [
        ("data sets used", ", ".join(found.used)),
        ("data sets that were not there", ", ".join(found.missing) or "none"),
        ("seeds", ", ".join(str(seed) for seed in sorted({score.seed for score in found.scores}))),
        ("effort (share of the full training)", f"{plan.effort:g}"),
        ("cases of each set, at most", "all" if plan.limit is None else str(plan.limit)),
        ("scores", str(len(found.scores))),
        ("time, all runs together", f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"),
        ("made with", f"Segmend {__version__}, Python {platform.python_version()}, {platform.machine()}"),
    ]
    return Table(["what", "value"], rows)
