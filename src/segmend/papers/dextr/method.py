"""DEXTR (Maninis et al., 2018): the object's extreme points, as Gaussians in a channel beside the image.

The plane is cut to the box of the points and a margin (50 of the 512 pixels of the paper's crop on each side) and
stretched to the network's grid. More points may follow: each lies on the object's edge where the mask was wrong. Six
points of a volume are answered on its middle slice; from there every slice takes the extreme points of its neighbour's
mask, up to the outermost points. The paper's network is a ResNet-101; here it is a small U-Net.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Image, Real
from segmend.core.logits import sigmoid
from segmend.core.masks import extreme_points
from segmend.core.prompts import Extremes, Prompt, extent
from segmend.core.segmenter import Segmenter, Workspace
from segmend.runtime import cards
from segmend.runtime.engine import AUTO, Device, Engine, weights_of
from segmend.sampling.intensity import colour_channels
from segmend.sampling.slices import PlaneAnswer, SliceWorkspace
from segmend.sampling.window import Plane, Window, resample_to_whole_plane

METHOD = cards.method("dextr")

CELLS = 96  # the side of the grid the network was trained on
MARGIN = 50 / 512  # of the crop, on each side of the points
DEVIATION = 10 / 512  # of the crop: of a point's Gaussian
LEAST = 8.0  # pixels: the smallest crop

Pixels = NDArray[np.intp]  # [n 2] (row, column)


def load(weights: Path | None = None, device: Device = AUTO) -> Segmenter:
    """Return the method with the weights that are shipped in the package, or others."""
    return Dextr(weights_of(METHOD.id, "dextr.onnx", weights, device))


@dataclass(frozen=True, eq=False)
class Dextr(Segmenter):
    """The method round any engine that maps `x` [b 4 96 96] to `logits` [b 1 96 96]."""

    engine: Engine

    def open(self, image: Image) -> Workspace:
        return DextrWorkspace(self.engine, image)


class DextrWorkspace(SliceWorkspace):
    """One image; crops are cut out of it as they are needed."""

    title = METHOD.title

    def __init__(self, engine: Engine, image: Image) -> None:
        super().__init__(image)
        self.engine = engine

    def answer(self, prompts: Sequence[Prompt], axis: int, index: int, here: Plane) -> PlaneAnswer:
        flat, deep = _points(prompts, axis, index)
        if len(flat) < 3:
            flat = np.concatenate([flat, _ends(here) if here.any() else deep])
        return self._ask(flat, axis, index, here.shape)

    def propagate(self, prompts: Sequence[Prompt], axis: int, index: int, beside: Plane) -> PlaneAnswer:
        return self._ask(_ends(beside), axis, index, beside.shape)

    def _ask(self, points: Pixels, axis: int, index: int, shape: tuple[int, ...]) -> PlaneAnswer:
        window = crop(points)
        x = np.concatenate(
            [colour_channels(self.channels(axis, index), window, CELLS), heat(points, window, CELLS)[None]]
        )
        logits = self.engine.run({"x": x[None]})["logits"][0, 0]
        return PlaneAnswer(resample_to_whole_plane(sigmoid(logits), window, shape[0], shape[1]))


def crop(points: Pixels) -> Window:
    """Return the box of the points with the margin.

    >>> window = crop(np.array([[10, 4], [89, 20]]))
    >>> round(window.top, 2), round(window.bottom, 2)
    (0.29, 99.71)
    """
    low, high = points.min(axis=0).astype(float), points.max(axis=0) + 1.0
    size = np.maximum(high - low, LEAST * (1 - 2 * MARGIN)) / (1 - 2 * MARGIN)
    top, left = (low + high - size) / 2
    return Window(float(top), float(left), float(size[0]), float(size[1]))


def heat(points: Pixels, window: Window, cells: int) -> Real:  # [n n]
    """Return the points as Gaussians of height 1; where they overlap the higher one counts."""
    y, x = np.asarray([window.cell(row, column, cells) for row, column in points.tolist()]).T
    at, spread = np.arange(cells), 2 * (DEVIATION * cells) ** 2
    down, across = (np.exp(-((at - place[:, None]) ** 2) / spread) for place in (y, x))
    return np.asarray((down[:, :, None] * across[:, None, :]).max(axis=0), np.float32)


def _points(prompts: Sequence[Prompt], axis: int, index: int) -> tuple[Pixels, Pixels]:
    """Return the points put down on a plane, and those of the volume as they fall on it."""
    flat, deep = [np.zeros((0, 2), np.intp)], [np.zeros((0, 2), np.intp)]
    for prompt in prompts:
        box = extent(prompt)
        if isinstance(prompt, Extremes) and box is not None:
            points = np.asarray(prompt.points, np.intp)
            if box.shape[axis] > 1:
                deep.append(np.delete(points, axis, axis=1))
            elif box.low[axis] == index:
                flat.append(np.delete(points, axis, axis=1))
    return np.concatenate(flat), np.concatenate(deep)


def _ends(mask: Plane) -> Pixels:
    """Return the extreme points of a plane's mask."""
    return np.asarray(extreme_points(mask[None]), np.intp)[:, 1:]
