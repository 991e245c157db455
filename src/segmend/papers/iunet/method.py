"""iunet (Pirabakaran and Khan): a 2D U-Net with clicks whose size follows the object's.

The network sees a grey image and two maps: the clicks inside the object and those outside, each a disc. A click's
width is a share (1/800) of the pixels of the mask, so that it says as much of a small object as of a large one. In use
the mask so far gives that size; where there is none the network first answers with clicks of 5 pixels, then again with
the size that its own first mask tells. The paper looks at whole slices; here a known object is looked at from near.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from segmend.core.image import Image, Real
from segmend.core.logits import sigmoid
from segmend.core.prompts import Click, Prompt
from segmend.core.segmenter import Segmenter, Workspace
from segmend.runtime import cards
from segmend.runtime.engine import AUTO, Device, Engine, weights_of
from segmend.sampling.channels import stamp
from segmend.sampling.intensity import plane_intensity_channels
from segmend.sampling.probability import expected_dice
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

METHOD = cards.method("iunet")

CELLS = 96  # the side of the grid the network was trained on
ALPHA = 1 / 800  # a click's width for each pixel of the mask
FIRST_WIDTH = 5.0  # pixels, while there is no mask
FIRST_LOOKS = (0.5, 0.25)  # of the plane's longer side, besides the whole
MARGIN = 2.0  # of the object's longer side, once there is a mask


@dataclass(frozen=True)
class Look:
    """How images and clicks come to the network: as it learned them."""

    cells: int = CELLS
    alpha: float = ALPHA
    width: float = 0.0  # of every click; 0: alpha decides
    clicks: bool = True  # False: the plain U-Net, which sees the image alone


# Click sizes of the paper's ablations.
VARIANTS = {"fixed2": Look(width=2.0), "fixed5": Look(width=5.0), "fixed10": Look(width=10.0)}
VARIANTS |= {"alpha500": Look(alpha=1 / 500)}


def load(weights: Path | None = None, device: Device = AUTO, variant: str = "") -> Segmenter:
    """Return the method with the weights that are shipped in the package, or others.

    A folder's run.json says how its network learned to look; a variant's clicks win over that.
    """
    look = Look() if weights is None else look_of(weights / "run.json")
    if variant:
        look = replace(look, alpha=VARIANTS[variant].alpha, width=VARIANTS[variant].width)
    return IUNetSegmenter(weights_of(METHOD.id, "iunet.onnx", weights, device), look)


def look_of(about: Path) -> Look:
    """Return how a run's network learned to look, as its settings say; the usual way where they do not.

    Networks of runs before there were presets answered on CELLS cells, whatever they learned on, and still do.
    """
    try:
        run = json.loads(about.read_text(encoding="utf-8"))
        settings = run["settings"]
        cells = int(settings["cells"]) if "preset" in run.get("loop", {}) else CELLS
        clicks = bool(settings["clicks"])
        return Look(cells, float(settings["alpha"]), float(settings["width"]), clicks)
    except (OSError, ValueError, KeyError, TypeError):
        return Look()


@dataclass(frozen=True, eq=False)
class IUNetSegmenter(Segmenter):
    """The method round any engine that maps `x` [b 3 n n] to `logits` [b 1 n n]; without clicks `x` is the image."""

    engine: Engine
    look: Look = Look()

    def open(self, image: Image) -> Workspace:
        return IUNetWorkspace(self.engine, image, self.look)


class IUNetWorkspace(SliceWorkspace):
    """One image; planes are cut out of it as they are needed."""

    title = METHOD.title

    def __init__(self, engine: Engine, image: Image, look: Look) -> None:
        super().__init__(image)
        self.engine = engine
        self.look = look

    def answer(self, prompts: Sequence[Prompt], axis: int, index: int, here: Plane) -> PlaneAnswer:
        mask = here if here.any() else self._first(prompts, axis, index, here.shape).mask
        frame, aspect = self.whole_window(axis), self.aspect(axis)
        shown = mask.copy()
        shown[tuple(marked_pixels(prompts, axis, index, positive=True).T)] = True
        window = window_around_mask(shown, frame, aspect, margin=MARGIN)
        answer = self._ask(prompts, axis, index, [window], mask)[0]
        for _ in range(2):
            if not touches_window_edge(answer.mask, window):
                break
            window = window_around_mask(answer.mask | shown, frame, aspect, margin=1.5 * MARGIN)
            answer = self._ask(prompts, axis, index, [window], answer.mask)[0]
        return answer

    def propagate(self, prompts: Sequence[Prompt], axis: int, index: int, beside: Plane) -> PlaneAnswer:
        """Click the deepest pixel of the neighbour's mask and the corners beside it, with the neighbour's size."""
        window = window_around_mask(beside, self.whole_window(axis), self.aspect(axis), margin=MARGIN)
        clicks = [Click(_voxel(p, axis, index), positive) for p, positive in _stand_ins(beside)]
        return self._ask([*clicks, *prompts], axis, index, [window], beside)[0]

    def _first(self, prompts: Sequence[Prompt], axis: int, index: int, shape: tuple[int, ...]) -> PlaneAnswer:
        """Answer without a mask: look from three distances with clicks of 5 pixels and keep the surest answer."""
        frame = self.whole_window(axis)
        windows = [frame]
        inner = marked_pixels(prompts, axis, index, positive=True)
        if len(inner):
            y, x = inner.mean(axis=0) + 0.5
            for share in FIRST_LOOKS:
                height, width = frame.height * share, frame.width * share
                if width >= 20:
                    windows.append(Window(y - height / 2, x - width / 2, height, width))
        answers = self._ask(prompts, axis, index, windows, np.zeros(shape, bool))

        def sure(number: int) -> float:
            answer = answers[number]
            return (expected_dice(answer.probability) or 0.0) - 0.3 * touches_window_edge(answer.mask, windows[number])

        return answers[max(range(len(windows)), key=sure)]

    def _ask(
        self, prompts: Sequence[Prompt], axis: int, index: int, windows: Sequence[Window], mask: Plane
    ) -> list[PlaneAnswer]:
        """Run the network on windows of one plane; the mask so far gives the clicks' size."""
        channels = self.channels(axis, index)
        inputs = []
        cells = self.look.cells
        for window in windows:
            pixels = float((resample_to_grid(mask, window, cells) > 0.5).sum())
            width = self.look.width or (click_width(pixels, self.look.alpha) if mask.any() else FIRST_WIDTH)
            seen = [grey(channels, window, cells)]
            seen += [click_maps(prompts, axis, index, window, cells, width)] if self.look.clicks else []
            inputs.append(np.concatenate(seen))
        logits = self.engine.run({"x": np.stack(inputs)})["logits"][:, 0]
        return [
            PlaneAnswer(resample_to_whole_plane(sigmoid(grid), window, *mask.shape))
            for grid, window in zip(logits, windows, strict=True)
        ]


def click_width(pixels: float, alpha: float) -> float:
    """Return the width of a click on an object of so many pixels; at least one pixel.

    >>> click_width(4000, 1 / 800), click_width(10, 1 / 800)
    (5.0, 1.0)
    """
    return max(1.0, alpha * pixels)


def grey(channels: NDArray[np.generic], window: Window, cells: int) -> Real:  # [c y x] -> [1 n n]
    """Return the mean intensity in a window, 0 to 1 between its percentiles."""
    seen = np.stack([resample_to_grid(channel, window, cells) for channel in channels]).mean(axis=0, keepdims=True)
    valid = cells_on_plane(window, channels.shape[1], channels.shape[2], cells)
    return plane_intensity_channels(np.asarray(seen, np.float32), valid, zero_if_constant=True)[:1]


def click_maps(
    prompts: Sequence[Prompt], axis: int, index: int, window: Window, cells: int, width: float
) -> Real:  # [2 n n]
    """Return the map of the clicks inside the object and that of those outside, as discs of this width in cells."""
    maps = np.zeros((2, cells, cells), np.float32)
    for grid, positive in zip(maps, (True, False), strict=True):
        pixels = marked_pixels(prompts, axis, index, positive=positive)
        if len(pixels):
            y, x = np.asarray([window.cell(row, column, cells) for row, column in pixels.tolist()]).T
            stamp(grid, y, x, width / 2)
    return maps


def _stand_ins(beside: Plane) -> list[tuple[tuple[int, int], bool]]:
    """Return clicks for a slice that nobody marked: deep inside its neighbour's mask, and off its box's corners."""
    depth = np.asarray(distance_transform_edt(np.pad(beside, 1)))[1:-1, 1:-1]
    deep = np.unravel_index(int(depth.argmax()), beside.shape)
    ys, xs = np.nonzero(beside)
    off = 2 + int(0.15 * max(np.ptp(ys), np.ptp(xs)))
    corners = [
        (y, x) for y in (int(ys.min()) - off, int(ys.max()) + off) for x in (int(xs.min()) - off, int(xs.max()) + off)
    ]
    rows, columns = beside.shape
    outside = [(y, x) for y, x in corners if 0 <= y < rows and 0 <= x < columns]
    return [((int(deep[0]), int(deep[1])), True), *((corner, False) for corner in outside)]


def _voxel(pixel: tuple[int, int], axis: int, index: int) -> tuple[int, int, int]:
    voxel = list(pixel)
    voxel.insert(axis, index)
    return voxel[0], voxel[1], voxel[2]
