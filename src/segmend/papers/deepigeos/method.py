"""deepigeos (Wang et al., TPAMI 2018): P-Net answers alone, R-Net corrects that from geodesic distances to the marks.

P-Net sees the picture, R-Net the picture, the answer so far and how near each pixel is to the marks inside and to
those outside. Where the paper ends with a CRF that is trained with the networks and a
user's marks as hard constraints, a graph cut with the marks pinned stands here. Slices of a volume are answered one at
a time, as the paper's placentas are; a neighbour's mask is R-Net's first answer for the next slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from segmend.core.image import Box, Image, Real
from segmend.core.logits import sigmoid
from segmend.core.marks import in_plane
from segmend.core.prompts import Extremes, Prompt, extent
from segmend.core.seeds import BACKGROUND, FOREGROUND
from segmend.core.segmenter import Segmenter, Workspace
from segmend.papers.bifseg.method import between, normal
from segmend.runtime import cards
from segmend.runtime.engine import AUTO, Device, Engine, weights_of
from segmend.sampling.slice_prompts import marked_pixels
from segmend.sampling.slices import PlaneAnswer, SliceWorkspace
from segmend.sampling.window import (
    Plane,
    Window,
    cells_on_plane,
    resample_to_grid,
    resample_to_whole_plane,
    touches_window_edge,
    window_around_mask,
)
from segmend.solvers.finetune import Edges, Tuning
from segmend.solvers.geodesic import geodesic

METHOD = cards.method("deepigeos")

CELLS = 128  # the side of the grid the networks were trained on
MARGIN = 1.3  # of a box, and MASK_MARGIN of a mask, the window's side
MASK_MARGIN = 1.8
STEEP = 3.0  # the length of a path across an edge from the darkest intensity to the brightest
FAR = 32.0  # cells of even intensity that are as far as a third of that
CUTTING = Tuning(smoothness=1.0)


def load(weights: Path | None = None, device: Device = AUTO) -> Segmenter:
    """Return the method with the weights that are shipped in the package, or others."""
    names = ("deepigeos_first.onnx", "deepigeos_refine.onnx")
    return DeepIGeoS(*(weights_of(METHOD.id, name, weights, device) for name in names))


@dataclass(frozen=True, eq=False)
class DeepIGeoS(Segmenter):
    """The method round engines that map `x` [b 1 128 128] and `x` [b 4 128 128] to `logits` [b 2 128 128]."""

    first: Engine
    refine: Engine

    def open(self, image: Image) -> Workspace:
        return DeepIGeoSWorkspace(self, image)


class DeepIGeoSWorkspace(SliceWorkspace):
    """One image; planes are cut out of it as they are needed."""

    title = METHOD.title

    def __init__(self, method: DeepIGeoS, image: Image) -> None:
        super().__init__(image)
        self.method = method

    def answer(self, prompts: Sequence[Prompt], axis: int, index: int, here: Plane) -> PlaneAnswer:
        METHOD.check(prompts)
        drawn = _box_here(prompts, axis, index)
        window = self._window(prompts, axis, index, here, drawn)
        answer = self._ask(prompts, axis, index, window, here if here.any() else None, here.shape)
        if drawn is None and touches_window_edge(answer.mask, window):
            window = window_around_mask(
                answer.mask | here, self.whole_window(axis), self.aspect(axis), margin=1.5 * MASK_MARGIN
            )
            answer = self._ask(prompts, axis, index, window, answer.mask, here.shape)
        return answer

    def propagate(self, prompts: Sequence[Prompt], axis: int, index: int, beside: Plane) -> PlaneAnswer:
        """Let R-Net mend the neighbour's mask on this slice."""
        window = window_around_mask(beside, self.whole_window(axis), self.aspect(axis), margin=MASK_MARGIN)
        return self._ask(prompts, axis, index, window, beside, beside.shape)

    def _window(self, prompts: Sequence[Prompt], axis: int, index: int, here: Plane, drawn: Box | None) -> Window:
        """Return where to look: round the newest box, else round the mask so far and the marks, else everywhere."""
        shown = here.copy()
        if drawn is not None:
            (top, left), (bottom, right) = in_plane(drawn, axis)
            shown[top:bottom, left:right] = True
        elif not here.any():
            return self.whole_window(axis)
        shown[tuple(marked_pixels(prompts, axis, index, positive=True).T)] = True
        margin = MARGIN if drawn is not None and not here.any() else MASK_MARGIN
        return window_around_mask(shown, self.whole_window(axis), self.aspect(axis), margin=margin)

    def _ask(
        self,
        prompts: Sequence[Prompt],
        axis: int,
        index: int,
        window: Window,
        start: Plane | None,
        shape: tuple[int, ...],
    ) -> PlaneAnswer:
        """Return R-Net's answer from a mask, or from P-Net's answer; without marks P-Net's answer stands."""
        picture = standardised_window(self.channels(axis, index), window, CELLS)
        rows, columns = shape
        clicked = tuple(
            cells_of(marked_pixels(prompts, axis, index, positive=sign), window, CELLS) for sign in (True, False)
        )
        if start is None:
            first = foreground_logits(self.method.first.run({"x": picture[None, None]})["logits"])[0]
            before = sigmoid(first)
        else:
            before = resample_to_grid(start, window, CELLS)
        if start is None and not len(clicked[0]) and not len(clicked[1]):
            found = first
        else:
            x = np.concatenate([picture[None], before[None], nearness(picture, clicked)])
            found = foreground_logits(self.method.refine.run({"x": x[None]})["logits"])[0]
        pinned = np.zeros((1, CELLS, CELLS), np.uint8)
        for points, side in zip(reversed(clicked), (BACKGROUND, FOREGROUND), strict=True):
            pinned[0][tuple(points.T)] = side
        labels = Edges(between(picture)[None], CUTTING).cut(found[None], pinned)[0]
        sure = sigmoid(found)
        grid = np.where(labels, np.maximum(sure, 0.51), np.minimum(sure, 0.49)).astype(np.float32)
        return PlaneAnswer(resample_to_whole_plane(grid, window, rows, columns))


def _box_here(prompts: Sequence[Prompt], axis: int, index: int) -> Box | None:
    """Return the newest box of the object that reaches into a plane, extreme points being one."""
    boxes = [extent(prompt) for prompt in prompts if isinstance(prompt, Box | Extremes)]
    here = [box for box in boxes if box is not None and box.low[axis] <= index < box.high[axis]]
    return here[-1] if here else None


def foreground_logits(logits: Real) -> Real:  # [b 2 y x] -> [b y x]
    """Return the logits of the foreground."""
    return np.asarray(logits[:, 1] - logits[:, 0], np.float32)


def standardised_window(channels: NDArray[np.generic], window: Window, cells: int) -> Real:  # [c y x] -> [n n]
    """Return what a window sees, with mean 0 and deviation 1; cells beside the image are 0."""
    grey = np.stack([resample_to_grid(channel, window, cells) for channel in channels]).mean(axis=0)
    valid = cells_on_plane(window, channels.shape[1], channels.shape[2], cells)
    out = np.zeros((cells, cells), np.float32)
    if valid.any():
        out[valid] = normal(grey[valid])
    return out


def cells_of(pixels: NDArray[np.intp], window: Window, cells: int) -> NDArray[np.intp]:  # [n 2] -> [m 2]
    """Return the cells that pixels fall into, those outside the window left out.

    >>> cells_of(np.array([[0, 0], [3, 2], [9, 9]]), Window(0, 0, 4, 4), 2).tolist()
    [[0, 0], [1, 1]]
    """
    if not len(pixels):
        return np.zeros((0, 2), np.intp)
    found = np.rint([window.cell(row, column, cells) for row, column in pixels.tolist()]).astype(np.intp)
    return np.asarray(found[((found >= 0) & (found < cells)).all(axis=1)])


def nearness(picture: Real, clicked: Sequence[NDArray[np.intp]]) -> Real:  # [n n] -> [2 n n]
    """Return exp(-geodesic distance) of each cell to the marks inside and to those outside, 0 where there are none.

    Noise is smoothed first, for it lengthens every path.
    """
    intensities = np.asarray(gaussian_filter(between(picture), 1.0), np.float32)[None, None]
    maps = np.zeros((len(clicked), *picture.shape), np.float32)
    for grid, points in zip(maps, clicked, strict=True):
        if len(points):
            sources = np.zeros((1, *picture.shape), bool)
            sources[0][tuple(points.T)] = True
            step = STEEP / 3 / FAR
            grid[:] = np.exp(-geodesic(intensities, sources, spacing=(step,) * 3, contrast=STEEP, passes=2)[0])
    return maps
