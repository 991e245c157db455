"""What a run leaves beside its weights: what it was (run.json), how it went (curve), how it looks (pictures)."""

from __future__ import annotations

import csv
import io
import json
import platform
import time
from collections.abc import Mapping, Sequence
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
            for suffix in ("png", "svg"):
                keep(self.folder / f"curve.{suffix}", _curve(rows, suffix))
        self._stale, self._drawn = False, time.monotonic()


def _curve(rows: Sequence[Row], suffix: str) -> bytes:
    """Return the plot of loss and scores against steps, as a file's bytes."""
    prepare_matplotlib()
    from matplotlib.figure import Figure

    plot = Figure(figsize=(8, 5), layout="constrained")
    upper, lower = plot.subplots(2, 1, sharex=True)
    steps = [row["step"] for row in rows]
    upper.plot(steps, [row["loss"] for row in rows], color="black", lw=1.4, marker="o", ms=2.5)
    upper.set_ylabel("Loss")
    for name in [name for name in rows[-1] if name not in ("step", "loss")]:
        values = [row.get(name, float("nan")) for row in rows]
        lower.plot(steps, values, lw=1.4, marker="o", ms=2.5, label=f"{name}  {values[-1]:.3f}")
    lower.set_ylabel("Validation")
    lower.set_xlabel("Steps")
    for axes in (upper, lower):
        axes.grid(axis="y", color="0.9", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
    if lower.lines:
        plot.legend(loc="outside right center", frameon=False, fontsize=8)
    picture = io.BytesIO()
    plot.savefig(picture, format=suffix, dpi=120)
    return picture.getvalue()


def write_picture(folder: Path, step: int, sheet: NDArray[np.uint8]) -> None:
    """Write a sheet of examples, [y x 3], as pictures/STEP.png."""
    from PIL import Image as Pillow

    if sheet.ndim != 3 or sheet.shape[2] != 3 or sheet.dtype != np.uint8:
        raise ModelError(f"A recipe's pictures need bytes of shape [y x 3]; got {sheet.dtype} {sheet.shape}.")
    picture = io.BytesIO()
    Pillow.fromarray(np.ascontiguousarray(sheet)).save(picture, "PNG")
    keep(folder / "pictures" / f"{step:06d}.png", picture.getvalue())
