"""What a round of `segmend adapt` came to, as a page: the decision, the figures behind it, and every case."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segmend.report import page
from segmend.report.page import Block, Cell, Heading, Page, Table, Text

HOW = """\
A robot clicks at the centre of the largest mistake, five times, and in another game draws a box. A case counts as the
mean of its objects (eight at most). Differences are paired by case; p is of a two-sided paired t-test. Drawn scenes
are the same ones every time and were never learned from."""


def write(report: Mapping[str, Any], folder: Path) -> tuple[Path, ...]:
    """Write report.html and report.md into a folder and return their paths."""
    return page.write(page_of(report), folder)


def sentence(report: Mapping[str, Any], *, installed: bool, out: Path) -> str:
    """Return the decision for a person."""
    better = [kind for kind, part in report["parts"].items() if part["better"]]
    if installed:
        gains = ", ".join(f"{kind} {report['parts'][kind]['site']['gain']:+.3f}" for kind in better)
        return f"The new weights are better (mean Dice: {gains}) and in use: version {report['version']} of {out}."
    if better:
        return f"The new weights were better but were undone, so version {report['version']} of {out} is not in use."
    reasons = " ".join(why for part in report["parts"].values() for why in part["because"])
    return f"The old weights stay in use, for the new ones are not better. {reasons}"


def page_of(report: Mapping[str, Any]) -> Page:
    """Return the report as a page."""
    better = [kind for kind, part in report["parts"].items() if part["better"]]
    lead = (
        f"The new weights for {' and '.join(better)} are better and become version {report['version']}."
        if better
        else "The old weights stay in use, for the new ones are not better."
    )
    blocks: list[Block] = []
    for kind, part in report["parts"].items():
        blocks += _part(kind, part)
    blocks += [Heading("The cases"), _cases(report)]
    unplayed = [
        [problem["case"], problem["reason"]]
        for part in report["parts"].values()
        for problem in part["site"]["problems"]
    ]
    if report["left_out"] or unplayed:
        blocks += [Heading("Left out"), Table(["case", "why"], [*map(list, report["left_out"].items()), *unplayed])]
    rule = report["rule"]
    blocks += [
        Heading("How it was decided"),
        Text(
            f"{HOW}\n\nNew weights are used when the mean over cases and moments rises by {rule['gain']:g} or more, "
            f"more cases become better than worse, no moment is worse with p below .05, and what was "
            f"not to be forgotten loses at most "
            f"{rule['lost']:g}.\n\nFinished {report['finished']} with Segmend {report['segmend']}, over version "
            f"{report['over']}."
        ),
    ]
    return Page("Adapting to the site", lead, blocks)


def _part(kind: str, part: Mapping[str, Any]) -> list[Block]:
    settings = ", ".join(f"{name} {part['settings'][name]}" for name in ("steps", "batch", "rate", "synthetic", "seed"))
    verdict = (
        "They are better."
        if part["better"]
        else "They are not better:\n\n" + "\n".join(f"- {why}" for why in part["because"])
    )
    before: list[Block] = []
    if "before" in part:
        before = [Heading(f"{kind.capitalize()} of what was learned before"), _moments(part["before"])]
    return [
        Heading(kind.capitalize()),
        Text(f"{verdict}\n\nLearned with {settings}."),
        Heading(f"{kind.capitalize()} of the site"),
        _moments(part["site"]),
        Heading(f"Drawn {kind}, to see what was forgotten"),
        _moments(part["drawn"]),
        *before,
    ]


def _moments(found: Mapping[str, Any]) -> Block:
    if not found["moments"]:
        return Text("None could be played.")
    rows = [
        [name, f"{m['old']:.3f}", f"{m['new']:.3f}", Cell(_signed(m["difference"]), note=_between(m)), _p(m["p"]),
         str(m["better"]), str(m["worse"])]
        for name, m in found["moments"].items()
    ]  # fmt: skip
    rows.append(["mean", "", "", _signed(found["gain"]), "", str(found["better"]), str(found["worse"])])
    return Table(["after", "old Dice", "new Dice", "difference", "p", "cases better", "worse"], rows)


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")


def _between(moment: Mapping[str, Any]) -> str:
    if moment["low"] is None:
        return ""
    return f"{_signed(moment['low'])} to {_signed(moment['high'])}"


def _p(value: float | None) -> str:
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _cases(report: Mapping[str, Any]) -> Table:
    gains = {
        (kind, pair["case"]): pair["gain"] for kind, part in report["parts"].items() for pair in part["site"]["cases"]
    }
    rows = []
    for case in report["cases"]:
        gain = gains.get((case["kind"], case["id"])) if case["part"] == "check" else None
        what = "checked on" if case["part"] == "check" else "learned from"
        if case["kind"] not in report["parts"]:
            what = "too few of its kind"
        rows.append([case["name"], case["kind"], what, "" if gain is None else _signed(gain), case["image"][:12]])
    return Table(["case", "kind", "was", "difference", "image"], rows)
