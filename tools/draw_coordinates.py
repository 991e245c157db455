"""Draws the pictures of docs/coordinates.md: python tools/draw_coordinates.py docs/images"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.patches import Circle, Polygon, Rectangle

INK, GREY, TEAL, RED = "#333333", "#b9c0c4", "#00897b", "#e64b3c"


def stack(path: Path) -> None:
    """Draw a volume as a stack of slices with its three axes and one voxel of it."""
    figure, axes = plt.subplots(figsize=(6.4, 4.2))
    rows, columns, lean = 5, 6, np.array([0.55, 0.8])
    for z in range(3, -1, -1):
        corner = z * lean * 1.15
        outline = [corner, corner + (columns, 0), corner + (columns, -rows), corner + (0, -rows)]
        axes.add_patch(Polygon(outline, closed=True, facecolor="white", edgecolor=INK, zorder=10 - 2 * z))
        for x in range(1, columns):
            axes.plot(*zip(corner + (x, 0), corner + (x, -rows), strict=True), color=GREY, lw=0.6, zorder=11 - 2 * z)
        for y in range(1, rows):
            axes.plot(
                *zip(corner + (0, -y), corner + (columns, -y), strict=True), color=GREY, lw=0.6, zorder=11 - 2 * z
            )
        axes.text(corner[0] + columns + 0.15, corner[1] - 0.35, f"z = {z}", color=INK, fontsize=9, zorder=20)
        if z == 0:
            axes.add_patch(Rectangle(corner + (4, -3), 1, 1, color=RED, zorder=12))
    axes.annotate("", (2.6, 0.35 - rows - 0.8), (0, 0.35 - rows - 0.8), arrowprops={"arrowstyle": "->", "color": TEAL})
    axes.text(0, -rows - 1.0, "x: columns, to the right of the picture", color=TEAL, fontsize=10)
    axes.annotate("", (-0.4, -2.6), (-0.4, 0), arrowprops={"arrowstyle": "->", "color": TEAL})
    axes.text(-0.85, -2.6, "y: rows, downwards", color=TEAL, rotation=90, fontsize=10, va="center")
    axes.annotate("", lean * 3.2 + (-0.5, 0.2), (-0.5, 0.2), arrowprops={"arrowstyle": "->", "color": TEAL})
    axes.text(-0.75, 1.9, "z: slices", color=TEAL, rotation=52, fontsize=10)
    axes.annotate(
        "(z, y, x) = (0, 2, 4)",
        (5.0, -2.6),
        (7.0, -4.9),
        color=RED,
        arrowprops={"arrowstyle": "-", "color": RED},
        zorder=13,
    )
    axes.set(xlim=(-1.4, 10.6), ylim=(-6.6, 4.2), aspect="equal")
    save(figure, path)


def box(path: Path) -> None:
    """Draw a half-open box on one slice: its low corner is inside, its high corner just outside."""
    figure, axes = plt.subplots(figsize=(6.4, 3.6))
    rows, columns = 6, 9
    low, high = (1, 2), (5, 7)
    for y in range(rows):
        for x in range(columns):
            inside = low[0] <= y < high[0] and low[1] <= x < high[1]
            axes.add_patch(Rectangle((x, y), 1, 1, facecolor="#d5ece9" if inside else "white", edgecolor=GREY))
            axes.text(x + 0.5, y + 0.5, f"{y},{x}", ha="center", va="center", fontsize=7, color=INK)
    axes.add_patch(Rectangle((low[1], low[0]), high[1] - low[1], high[0] - low[0], fill=False, edgecolor=TEAL, lw=2))
    for (y, x), name, colour in ((low, "low", TEAL), (high, "high", RED)):
        axes.add_patch(Circle((x + 0.5, y + 0.5), 0.42, fill=False, color=colour, lw=2))
        axes.annotate(name, (x + 0.85, y + 0.3), (x + 1.1, y - 0.05), color=colour, fontsize=11, weight="bold")
    axes.text(0, rows + 0.65, "Box((0, 1, 2), (1, 5, 7)): 1 slice, 4 rows, 5 columns", color=INK, fontsize=10)
    axes.set(xlim=(-0.3, columns + 0.6), ylim=(rows + 0.9, -0.3), aspect="equal")
    save(figure, path)


def millimetres(path: Path) -> None:
    """Draw a coarse grid laid over millimetres: an index names a voxel's centre, not its corner."""
    figure, axes = plt.subplots(figsize=(6.4, 3.4))
    spacing_y, spacing_x = 3.0, 2.0
    for y in range(3):
        for x in range(5):
            centre = (x * spacing_x, y * spacing_y)
            axes.add_patch(
                Rectangle(
                    (centre[0] - spacing_x / 2, centre[1] - spacing_y / 2), spacing_x, spacing_y, fill=False, ec=GREY
                )
            )
            axes.plot(*centre, ".", color=TEAL)
            axes.text(centre[0] + 0.12, centre[1] - 0.3, f"({y}, {x})", fontsize=7, color=INK)
    axes.plot(0, 0, "o", color=RED, mfc="none", ms=11)
    axes.text(-0.9, -1.9, "index (0, 0) is this centre: 0, 0 mm", color=RED, fontsize=9)
    axes.text(2.0, 8.0, "index (2, 3) is at y = 6 mm, x = 6 mm", color=TEAL, fontsize=9)
    axes.plot(6, 6, "o", color=TEAL, mfc="none", ms=11)
    axes.set_xticks(range(0, 9, 2), [f"{n} mm" for n in range(0, 9, 2)])
    axes.set_yticks(range(0, 7, 3), [f"{n} mm" for n in range(0, 7, 3)])
    axes.set(xlim=(-1.4, 9.4), ylim=(8.4, -2.4), aspect="equal")
    for side in axes.spines.values():
        side.set_visible(False)
    save(figure, path, ticks=True)


def save(figure: plt.Figure, path: Path, *, ticks: bool = False) -> None:
    """Write the same bytes every time."""
    if not ticks:
        figure.axes[0].axis("off")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "segmend", "svg.fonttype": "none", "font.family": "sans-serif"})
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    stack(folder / "axes.svg")
    box(folder / "box.svg")
    millimetres(folder / "millimetres.svg")
