"""DEXTR (Maninis et al., 2018): the object's extreme points, as Gaussians in a channel beside the image.

The plane is cut to the box of the points and a margin (50 of the 512 pixels of the paper's crop on each side) and
stretched to the network's grid. More points may follow: each lies on the object's edge where the mask was wrong. Six
points of a volume give the points of every slice between the outermost, as an ellipsoid through them has, and nothing
of the object lies outside their box. Without them a slice takes the extreme points of its neighbour's mask. The paper
has pictures alone, and its network is a ResNet-101; here it is a small U-Net.
"""

from __future__ import annotations

import math
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
from segmend.sampling.window import Plane, Window, resample_to_whole_plane, touches_window_edge

METHOD = cards.method("dextr")

CELLS = 96  # the side of the grid the network was trained on
MARGIN = 50 / 512  # of the crop, on each side of the points
DEVIATION = 10 / 512  # of the crop: of a point's Gaussian
LEAST = 8.0  # pixels: the smallest crop
THIN = 0.2  # of its largest radius: the least that an ellipsoid's slice has, at its tips
OFF = 1  # voxels that a point may lie inside the object's edge

Pixels = NDArray[np.intp]  # [n 2] (row, column)
Voxels = NDArray[np.intp]  # [n 3]


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
        flat, solid = _points(prompts, axis, index)
        if len(flat) < 3 and (here.any() or solid is not None):
            flat = np.concatenate([flat, _ends(here) if here.any() or solid is None else outline(solid, axis, index)])
        return self._ask(flat, axis, index, here.shape, solid)

    def propagate(self, prompts: Sequence[Prompt], axis: int, index: int, beside: Plane) -> PlaneAnswer:
        _, solid = _points(prompts, axis, index)
        if solid is None:
            return self._ask(_ends(beside), axis, index, beside.shape, solid)
        points = outline(solid, axis, index)
        found = self._ask(points, axis, index, beside.shape, solid)
        if touches_window_edge(found.mask, crop(points)):  # no ellipsoid: it is as wide here as anywhere
            found = self._ask(_widest(solid, axis), axis, index, beside.shape, solid)
        return found

    def _ask(self, points: Pixels, axis: int, index: int, shape: tuple[int, ...], solid: Voxels | None) -> PlaneAnswer:
        window = crop(points)
        x = np.concatenate(
            [colour_channels(self.channels(axis, index), window, CELLS), heat(points, window, CELLS)[None]]
        )
        logits = self.engine.run({"x": x[None]})["logits"][0, 0]
        found = resample_to_whole_plane(sigmoid(logits), window, shape[0], shape[1])
        if solid is not None:
            (top, left), (bottom, right) = (np.delete(end, axis) for end in (solid.min(axis=0), solid.max(axis=0)))
            inside = np.zeros(shape, bool)
            inside[max(0, top - OFF) : bottom + OFF + 1, max(0, left - OFF) : right + OFF + 1] = True
            found = np.where(inside, found, 0).astype(np.float32)
        return PlaneAnswer(found)


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


def outline(solid: Voxels, axis: int, index: int) -> Pixels:
    """Return the four extreme points of a slice of a volume's object, as an ellipsoid through its six points has them.

    >>> six = np.array([[0, 9, 9], [8, 9, 9], [4, 0, 9], [4, 18, 9], [4, 9, 0], [4, 9, 18]])
    >>> outline(six, 0, 4).tolist(), outline(six, 0, 1).tolist()
    ([[0, 9], [18, 9], [9, 0], [9, 18]], [[2, 9], [16, 9], [9, 2], [9, 16]])
    """
    along, across = solid[:, axis], np.delete(solid, axis, axis=1).astype(float)
    low, high = int(along.argmin()), int(along.argmax())
    middle, half = (along[low] + along[high]) / 2, (along[high] - along[low] + 1) / 2

    def centre(at: float) -> NDArray[np.float64]:  # on the line between the two tips
        share = (at - along[low]) / max(int(along[high] - along[low]), 1)
        return np.asarray(across[low] + share * (across[high] - across[low]))

    def radius(at: float) -> float:
        return max(THIN, math.sqrt(1 - min(1.0, abs(at - middle) / half) ** 2))

    ends = [int(choose(across[:, side])) for side in (0, 1) for choose in (np.argmin, np.argmax)]
    found = [
        centre(index) + (across[end] - centre(along[end])) * min(1.0, radius(index) / radius(along[end]))
        for end in ends
    ]
    return np.asarray(np.rint(np.clip(found, across.min(axis=0), across.max(axis=0))), np.intp)


def _widest(solid: Voxels, axis: int) -> Pixels:
    """Return the four extreme points across an axis, wherever along it they lie."""
    across = np.delete(solid, axis, axis=1)
    return np.stack([across[choose(across[:, side])] for side in (0, 1) for choose in (np.argmin, np.argmax)])


def _points(prompts: Sequence[Prompt], axis: int, index: int) -> tuple[Pixels, Voxels | None]:
    """Return the points put down on a plane, and the newest that are those of a whole volume."""
    flat, solid = [np.zeros((0, 2), np.intp)], None
    for prompt in prompts:
        box = extent(prompt)
        if isinstance(prompt, Extremes) and box is not None:
            points = np.asarray(prompt.points, np.intp)
            if box.shape[axis] > 1:
                solid = points
            elif box.low[axis] == index:
                flat.append(np.delete(points, axis, axis=1))
    return np.concatenate(flat), solid


def _ends(mask: Plane) -> Pixels:
    """Return the extreme points of a plane's mask."""
    return np.asarray(extreme_points(mask[None]), np.intp)[:, 1:]
