"""An evaluation as files: tables for spreadsheets, JSON for programs, plots for people.

summary.json         what `segmend evaluate --json` prints
sets.csv             the same as a table, a row for each set and one for their mean
objects.csv          every object: Dice and NSD after each interaction, seconds, the last mask's distances
problems.csv         cases that could not be played, and why; only when there are any
dice.png, dice.svg   Dice against interactions, a line for each set and their mean
nsd.png, nsd.svg     the same for NSD
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segmend.core.atomic import write_bytes
from segmend.errors import FileError, SettingsError
from segmend.evaluation.evaluate import Curve, Report
from segmend.evaluation.metrics import TOLERANCE_MM, clicks_to
from segmend.report import plots
from segmend.runtime.libraries import prepare_matplotlib

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = dict[str, Any]


def write(report: Report, folder: Path) -> tuple[Path, ...]:
    """Write the report's files into a folder, made if need be, and return their paths.

    Without the plots' library there are tables only.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"The folder {folder} could not be made: {error.strerror}.") from None
    summary = report.summary()
    tables = {"sets.csv": sets_table(summary), "objects.csv": objects_table(report)}
    if report.problems:
        tables["problems.csv"] = summary["problems"]
    written = [folder / "summary.json", *(folder / name for name in tables)]
    write_bytes(written[0], (json.dumps(summary, indent=2) + "\n").encode())
    for path, rows in zip(written[1:], tables.values(), strict=True):
        write_bytes(path, csv_of(rows).encode())
    for measure in ("dice", "nsd") if plots.available() else ():
        plot = figure(report, measure)
        for suffix in ("png", "svg"):
            picture = io.BytesIO()
            plot.savefig(picture, format=suffix, dpi=150)
            written.append(folder / f"{measure}.{suffix}")
            write_bytes(written[-1], picture.getvalue())
    return tuple(written)


def sets_table(summary: dict[str, Any]) -> list[Row]:
    """Return a row for each set, and one for the mean, from a report's summary."""
    rows = []
    for name, values in [*summary["sets"].items(), ("mean", summary["mean"])]:
        row: Row = {"set": name}
        for key, value in values.items():
            row |= {f"{key}_{inner}": v for inner, v in value.items()} if isinstance(value, dict) else {key: value}
        rows.append(row)
    return rows


def objects_table(report: Report) -> list[Row]:
    """Return a row for each object."""
    return [_object(curve, report) for curve in report.curves]


def _object(curve: Curve, report: Report) -> Row:
    row: Row = {"set": curve.set, "case": curve.case, "object": curve.object, "voxels": curve.voxels}
    row["played"] = curve.played
    row |= {f"dice_{turn}": value for turn, value in enumerate(curve.dice, start=1)}
    row |= {f"nsd_{turn}": value for turn, value in enumerate(curve.nsd, start=1)}
    qualities = (*curve.quality, *[None] * (report.interactions - len(curve.quality)))
    row |= {f"quality_{turn}": value for turn, value in enumerate(qualities, start=1)}
    row |= {"dice_auc": curve.dice_auc, "nsd_auc": curve.nsd_auc}
    row |= {f"clicks_to_{target}": clicks_to(curve.dice, target) for target in report.targets}
    row |= {"hd95_mm": curve.hd95_mm, "assd_mm": curve.assd_mm}
    return row | {"seconds_per_interaction": float(np.mean(curve.seconds))}


def csv_of(rows: Sequence[Row]) -> str:
    """Return rows of the same columns as CSV; what is not known is an empty cell."""
    text = io.StringIO()
    if rows:
        table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.5g}" if isinstance(value, float) and math.isfinite(value) else str(value)


def figure(report: Report, measure: str) -> Figure:
    """Return a plot of "dice" or "nsd" against interactions: the sets, best first, and their mean."""
    prepare_matplotlib()
    try:
        from matplotlib import colormaps
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        raise SettingsError(plots.WITHOUT) from None
    plot = Figure(figsize=(8, 4.5), layout="constrained")
    axes = plot.add_subplot()
    lines = _lines(report, measure)
    turns = np.arange(1, report.interactions + 1)
    for number, (name, line) in enumerate(lines.items()):
        colour = colormaps["tab10" if len(lines) <= 10 else "tab20"](number % 20)
        axes.plot(turns, line, color=colour, lw=1.4, marker="o", ms=2.5, clip_on=False, label=f"{name}  {line[-1]:.3f}")
    if len(lines) > 1:
        mean = np.mean(list(lines.values()), axis=0)
        axes.plot(turns, mean, color="black", linewidth=2.6, label=f"mean of sets  {mean[-1]:.3f}")
    axes.set_xlabel("Interactions")
    axes.set_ylabel("Dice" if measure == "dice" else f"NSD at {TOLERANCE_MM:g} mm")
    axes.set_title(f"{report.method}, played by the user '{report.user}'", loc="left", fontsize=11)
    axes.set_ylim(0, 1.01)
    axes.set_xlim(1, max(report.interactions, 2))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    if lines:
        plot.legend(loc="outside right center", frameon=False, fontsize=8, title="after the last", title_fontsize=8)
    return plot


def _lines(report: Report, measure: str) -> dict[str, NDArray[np.float64]]:
    """Return for each set with objects their mean after each interaction, best set first."""
    values = {name: [getattr(curve, measure) for curve in report.curves if curve.set == name] for name in report.sets}
    lines = {name: np.mean(rows, axis=0) for name, rows in values.items() if rows}
    return dict(sorted(lines.items(), key=lambda item: -item[1][-1]))
