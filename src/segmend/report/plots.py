"""The plots of reports, as SVG whose text and lines take the colours of the page they stand on.

A name has one colour in all plots and tables of a report. Matplotlib is needed to draw; `available` says whether it is
there.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from segmend.report.page import INK, LINE, Cell
from segmend.runtime.libraries import prepare_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WITHOUT = "Plots need matplotlib: pip install 'segmend[report]'; the tables are written."
PALETTE = (  # twelve hues of middle lightness, which can be told apart on white and on black
    *("#3b7dd8", "#e8862e", "#3fa35b", "#d64550", "#8e62c9", "#a0703c"),
    *("#d968ae", "#7f8790", "#a89a1c", "#22a3b5", "#6a6ae0", "#c2571a"),
)
DASHES = ("solid", "dashed", "dotted", "dashdot")
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "segmend",
    "text.parse_math": False,
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINE,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "legend.frameon": False,
}
MAX_POINTS = 80  # points drawn over one box of a box plot; more would hide it

Line = tuple[Sequence[float], Sequence[float]]  # x and y


def available() -> bool:
    """Return whether plots can be drawn here."""
    return find_spec("matplotlib") is not None


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each name; after twelve they begin again.

    >>> colours(["a", "b"])
    {'a': '#3b7dd8', 'b': '#e8862e'}
    """
    return {name: PALETTE[number % len(PALETTE)] for number, name in enumerate(names)}


def dashes(names: Sequence[str]) -> dict[str, str]:
    """Return how each name's line is dashed: names that share a colour differ in this."""
    return {name: DASHES[number // len(PALETTE) % len(DASHES)] for number, name in enumerate(names)}


def named(name: str, names: Sequence[str]) -> Cell:
    """Return a table's cell with a name and the colour it has in plots."""
    return Cell(name, colour=colours(names).get(name, ""), ring=dashes(names).get(name, DASHES[0]) != DASHES[0])


def lines(
    panels: Mapping[str, Mapping[str, Line]], names: Sequence[str], *, across: str, up: str = "Dice", wide: int = 3
) -> str:
    """Return a panel of lines each; `names` settles the colours and the order of the legend."""
    colour, dashed = colours(names), dashes(names)
    with _style():
        figure, axes = _grid(len(panels), wide, height=2.9, legend=True)
        for panel, (title, drawn) in zip(axes, panels.items(), strict=True):
            for name in (n for n in names if n in drawn):
                x, y = drawn[name]
                panel.plot(
                    x, y, color=colour[name], ls=dashed[name], lw=1.6, marker="o", ms=3, label=name, clip_on=False
                )
            _titled(panel, title)
            _upwards(panel, [value for _, y in drawn.values() for value in y])
            _whole_numbers(panel, sorted({value for x, _ in drawn.values() for value in x}))
            panel.set_xlabel(across)
            panel.grid(axis="y")
        axes[0].set_ylabel(up)
        _legend(figure, axes, names)
        return _svg(figure)


def boxes(panels: Mapping[str, Mapping[str, Sequence[float]]], names: Sequence[str], *, across: str = "Dice") -> str:
    """Return a panel of boxes each, a row a name; points are single scores where they are few."""
    colour = colours(names)
    with _style():
        shown = [name for name in names if any(name in drawn for drawn in panels.values())]
        figure, axes = _grid(len(panels), 3, height=0.75 + 0.3 * len(shown), share=True)
        for panel, (title, drawn) in zip(axes, panels.items(), strict=True):
            for row, name in enumerate(shown):
                values = np.asarray(drawn.get(name, ()), float)
                if values.size:
                    _box(panel, values, len(shown) - 1 - row, colour[name])
            _titled(panel, title)
            panel.set_yticks(range(len(shown))[::-1], shown)
            panel.set_ylim(-0.6, len(shown) - 0.4)
            panel.tick_params(axis="y", length=0)
            panel.spines["left"].set_visible(False)
            panel.set_xlabel(across)
            panel.locator_params(axis="x", nbins=6)
            panel.grid(axis="x")
            panel.set_axisbelow(True)
        return _svg(figure)


def _box(panel: Axes, values: Any, row: int, colour: str) -> None:
    panel.boxplot(
        [values],
        positions=[row],
        orientation="horizontal",
        widths=0.6,
        patch_artist=True,
        showfliers=values.size > MAX_POINTS,
        manage_ticks=False,
        boxprops={"facecolor": colour + "38", "edgecolor": colour},
        medianprops={"color": colour, "linewidth": 2.2},
        whiskerprops={"color": colour},
        capprops={"color": colour},
        flierprops={"marker": ".", "markersize": 3, "markerfacecolor": colour, "markeredgecolor": "none"},
    )
    if values.size <= MAX_POINTS:
        jitter = (np.arange(values.size) * 0.618034 % 1 - 0.5) * 0.36
        panel.plot(values, row + jitter, ".", color=colour, ms=3.5, alpha=0.55, mew=0)


def scatter(panels: Mapping[str, Mapping[str, Line]], names: Sequence[str], *, across: str, up: str = "Dice") -> str:
    """Return a panel of points each, with the line on which both numbers are equal."""
    colour = colours(names)
    with _style():
        figure, axes = _grid(len(panels), 3, height=3.2, legend=True, width=3.4)
        for panel, (title, drawn) in zip(axes, panels.items(), strict=True):
            panel.plot([0, 1], [0, 1], color=LINE, lw=1, zorder=0)
            for name, (x, y) in drawn.items():
                panel.plot(x, y, "o", color=colour[name], ms=4, alpha=0.65, mew=0, label=name)
            _titled(panel, title)
            values = [v for line in drawn.values() for part in line for v in part]
            span = (min(0.0, *values), max(1.0, *values))
            panel.set(xlim=span, ylim=span, aspect="equal", xlabel=across)
            panel.grid()
        axes[0].set_ylabel(up)
        _legend(figure, axes, names)
        return _svg(figure)


def speed(points: Mapping[str, tuple[float, float]], names: Sequence[str], *, up: str = "Dice") -> str:
    """Return a point for each name: seconds, on a scale of powers of ten, and how good."""
    colour, dashed = colours(names), dashes(names)
    with _style():
        figure, axes = _grid(1, 1, height=3.2, width=6, legend=True)
        for name in (n for n in names if n in points):
            seconds, value = points[name]
            mark = "osD^"[DASHES.index(dashed[name])]
            axes[0].plot(max(seconds, 1e-4), value, mark, color=colour[name], ms=7, mew=0, label=name)
        axes[0].set_xscale("log")
        axes[0].xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes[0].xaxis.set_minor_formatter(lambda value, _: "")
        axes[0].set(xlabel="Seconds per interaction, median", ylabel=up)
        _upwards(axes[0], [value for _, value in points.values()])
        axes[0].grid()
        _legend(figure, axes, names)
        return _svg(figure)


def _style() -> Any:
    prepare_matplotlib()
    from matplotlib import rc_context

    return rc_context(STYLE)


def _grid(
    count: int, wide: int, *, height: float, width: float = 0.0, legend: bool = False, share: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure of this many panels, `wide` in a row at most; each of this width, or eleven inches in all."""
    prepare_matplotlib()
    from matplotlib.figure import Figure

    columns = min(count, wide)
    rows = math.ceil(count / columns)
    across = width * columns + 1.8 * legend if width else 11 if columns > 1 or legend else 7
    figure = Figure(figsize=(across, height * rows), layout="constrained")
    figure.patch.set_alpha(0)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=share)
    axes = [panel for line in grid for panel in line]
    for panel in axes:
        panel.patch.set_alpha(0)
    for panel in axes[count:]:
        panel.remove()
    return figure, axes[:count]


def _titled(panel: Axes, title: str) -> None:
    if title:
        panel.set_title(title)


def _upwards(panel: Axes, values: Sequence[float]) -> None:
    """Show from the tenth below the lowest value to 1, so that near lines can be told apart."""
    known = [value for value in values if math.isfinite(value)]
    low = math.floor(min(known, default=0) * 10) / 10
    panel.set_ylim(min(max(low, 0), 0.9), max(1.0, *known, 1.0) if known else 1)


def _whole_numbers(panel: Axes, values: Sequence[float]) -> None:
    if len(values) <= 8:
        panel.set_xticks(values)


def _legend(figure: Figure, axes: Sequence[Axes], names: Sequence[str]) -> None:
    found = {label: handle for panel in axes for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    shown = [name for name in names if name in found]
    if len(shown) > 1:
        figure.legend([found[n] for n in shown], shown, loc="outside right center")


def _svg(figure: Figure) -> str:
    """Return the figure as SVG whose text takes the page's font."""
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = re.sub(r"\s*<(metadata|style)\b.*?</\1>", "", drawn.getvalue(), flags=re.DOTALL)
    return re.sub(r"font-family: [^;\"]*", "font-family: system-ui, sans-serif", text)
