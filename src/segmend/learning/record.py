"""What a run leaves beside its weights: what it was (run.json), how it went (curve), how it looks (pictures)."""

from __future__ import annotations

import csv
import io
import json
import platform
import time
from collections.abc import Mapping, Sequence
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segmend import __version__
from segmend.errors import ModelError
from segmend.learning.checkpoint import Row, Run, keep
from segmend.runtime.libraries import prepare_matplotlib

ABOUT = "run.json"
SHOWN_ROWS = 20  # validations in the table of the page
UNSEEN = "unseen_"  # the beginning of the names of scores on kinds that nothing is learned from
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="60">
<title>{title}</title>
<style>
body {{ font: 15px system-ui, sans-serif; margin: 2rem; max-width: 72rem }}
img {{ max-width: 100% }}
table {{ border-collapse: collapse; font-size: 12px; font-variant-numeric: tabular-nums }}
td, th {{ padding: 2px 8px; text-align: right; border-bottom: 1px solid #ddd }}
div {{ overflow-x: auto }}
</style>
<h1>{title}</h1>
{curve}
<div><table><tr>{head}</tr>{body}</table></div>
{shown}
</html>
"""
DRAW_SECONDS = 20.0  # the least time between two drawings of the curve during a run


def write_about(folder: Path, run: Run, validation: Mapping[str, int], **more: Any) -> None:
    """Write run.json: method, seed, settings, versions, cases by data set, and what else is known by now."""
    about = {
        "method": run.method,
        "seed": run.settings.get("seed"),
        "settings": dict(run.settings),
        "versions": {
            "segmend": __version__,
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "cases": {"train": dict(run.cases), "val": dict(validation)},
        **more,
    }
    keep(folder / ABOUT, (json.dumps(about, indent=2) + "\n").encode())


class Curve:
    """The rows of all validations as curve.csv and, where matplotlib is installed, as curve.png and curve.svg."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._drawn = time.monotonic()
        self._stale = False

    def write(self, rows: Sequence[Row]) -> None:
        """Write the table, and the plot when the one that is there is old."""
        names = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO()
        table = csv.DictWriter(text, names, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        keep(self.folder / "curve.csv", text.getvalue().encode())
        self._stale = True
        if time.monotonic() - self._drawn > DRAW_SECONDS:
            self.finish(rows)

    def finish(self, rows: Sequence[Row]) -> None:
        """Draw the plot if rows came since the last one."""
        if self._stale and find_spec("matplotlib") is not None:
            for suffix, drawn in _curve(rows).items():
                keep(self.folder / f"curve.{suffix}", drawn)
        self._stale, self._drawn = False, time.monotonic()


def _curve(rows: Sequence[Row]) -> dict[str, bytes]:
    """Return the plot of loss and scores against steps, as a file's bytes by suffix; unseen kinds have own axes."""
    prepare_matplotlib()
    from matplotlib.figure import Figure

    names = [name for name in rows[-1] if name not in ("step", "loss")]
    unseen = [name for name in names if name.startswith(UNSEEN)]
    parts = [("Validation", [name for name in names if name not in unseen])]
    if unseen:
        parts = [("Known kinds", parts[0][1]), ("Unseen kinds", unseen)]
    plot = Figure(figsize=(8, 2.5 * (1 + len(parts))), layout="constrained")
    upper, *lower = plot.subplots(1 + len(parts), 1, sharex=True)
    steps = [row["step"] for row in rows]
    upper.plot(steps, [row["loss"] for row in rows], color="black", lw=1.4, marker="o", ms=2.5)
    upper.set_ylabel("Loss")
    for axes, (title, some) in zip(lower, parts, strict=True):
        for name in some:
            values = [row.get(name, float("nan")) for row in rows]
            axes.plot(steps, values, lw=1.4, marker="o", ms=2.5, label=f"{name.removeprefix(UNSEEN)}  {values[-1]:.3f}")
        axes.set_ylabel(title)
        if some:
            axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)
    lower[-1].set_xlabel("Steps")
    for axes in (upper, *lower):
        axes.grid(axis="y", color="0.9", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
    files = {}
    for suffix in ("png", "svg"):
        picture = io.BytesIO()
        plot.savefig(picture, format=suffix, dpi=120)
        plot.set_layout_engine("none")  # laying out takes most of the time, and the second file is laid out alike
        files[suffix] = picture.getvalue()
    return files


def write_page(folder: Path, rows: Sequence[Row]) -> None:
    """Write index.html, which shows the run in a browser, anew every minute: curve, scores, newest pictures."""
    picture = max((folder / "pictures").glob("*.png"), default=None)
    names = list(rows[-1]) if rows else []
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>"
        + "".join(f"<td>{row.get(name, float('nan')):.{0 if name == 'step' else 3}f}</td>" for name in names)
        + "</tr>"
        for row in reversed(rows[-SHOWN_ROWS:])
    )
    curve = '<img src="curve.svg" alt="Loss and scores">' if (folder / "curve.svg").is_file() else ""
    shown = ""
    if picture is not None:
        shown = f"<h2>Step {int(picture.stem)}: truth green, mask magenta</h2>"
        shown += f'<img src="pictures/{picture.name}" alt="Examples">'
    page = PAGE.format(title=escape(folder.resolve().name), curve=curve, head=head, body=body, shown=shown)
    keep(folder / "index.html", page.encode())


def write_picture(folder: Path, step: int, sheet: NDArray[np.uint8]) -> None:
    """Write a sheet of examples, [y x 3], as pictures/STEP.png."""
    from PIL import Image as Pillow

    if sheet.ndim != 3 or sheet.shape[2] != 3 or sheet.dtype != np.uint8:
        raise ModelError(f"A recipe's pictures need bytes of shape [y x 3]; got {sheet.dtype} {sheet.shape}.")
    picture = io.BytesIO()
    Pillow.fromarray(np.ascontiguousarray(sheet)).save(picture, "PNG")
    keep(folder / "pictures" / f"{step:06d}.png", picture.getvalue())
