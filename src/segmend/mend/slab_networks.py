"""The networks for slabs, asked about windows of planes: any plane of a volume with the planes beside it, or a picture.

The encoder's features are kept by window, so later marks cost the decoder alone. Several windows are answered in one
pass. Nothing else of mend touches the two networks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Image, Real
from segmend.core.logits import sigmoid
from segmend.core.prompts import Click, Prompt, Stroke, extent
from segmend.runtime.engine import Engine
from segmend.sampling.channels import plane_prompt_channels
from segmend.sampling.intensity import colour_or_grey
from segmend.sampling.slab import Shown, fade, neighbour_channel, slab_image_channels, slab_prompt_channels
from segmend.sampling.window import Plane, Window, around, cells_on_plane, resample_to_grid, resample_to_plane
from segmend.solvers.finetune import Head

CELLS = 128  # the side of the grid in cells; the networks were trained on it
MOST_KEPT = 256  # windows whose features are kept, half a megabyte each
LEAST_FADE = 0.1  # marks of other planes that have faded to less are not shown
MOST_OTHER_PLANES = 6  # planes with marks that are shown beside a plane's own, the nearest ones


@dataclass(frozen=True, eq=False)
class SlabNetworks:
    """The encoder maps `x` [b 6 n n] to f0, f1, ..., the decoder those and `prompts` [b 7 n n] to what it answers."""

    encoder: Engine
    decoder: Engine
    head: Head | None = None  # the decoder's last layers, on `hidden`


@dataclass(frozen=True)
class View:
    """What the encoder is shown: a window of a plane, and the planes so many slices before and behind it."""

    axis: int
    index: int
    step: int
    window: Window


@dataclass(frozen=True, eq=False)
class Request:
    """A plane, what is known of its object, and where it is looked at."""

    view: View
    prompts: Sequence[Prompt]  # of the whole image, oldest first
    newest: int  # how many of them, the last ones, are new
    here: Plane  # the mask so far
    own: bool  # it is the networks' own
    neighbour: Plane | None = None  # the mask of the plane that is carried on from
    distance_mm: float = 0.0  # how far away that plane is

    def through(self, window: Window) -> Request:
        """Return the same request through another window."""
        return replace(self, view=replace(self.view, window=window))


@dataclass(frozen=True, eq=False)
class SlabAnswer:
    """The answer to one request, on the window's cells."""

    request: Request
    logits: Real  # [n n]
    error_logits: Real  # [n n]
    quality: float  # the Dice that the decoder expects
    valid: NDArray[np.bool_]  # [n n] the cells that lie on the plane

    @property
    def cells(self) -> Plane:
        """Return the mask on the window's cells."""
        return np.asarray((self.logits > 0) & self.valid)

    def on_plane(self) -> tuple[Real, tuple[slice, slice]]:
        """Return the logits on the pixels that the window covers, and which these are."""
        rows, columns = self.request.here.shape
        return resample_to_plane(self.logits, self.request.view.window, rows, columns)

    def uncertainty(self) -> Real:
        """Return the probability of each covered pixel to be wrong."""
        rows, columns = self.request.here.shape
        values, _ = resample_to_plane(self.error_logits, self.request.view.window, rows, columns)
        return sigmoid(values)

    def mask(self) -> Plane:
        """Return the plane's mask: the answer in the window, the mask so far round it."""
        logits, where = self.on_plane()
        whole = self.request.here.copy()
        whole[where] = logits > 0
        return whole


class SlabPredictor:
    """One image, any plane of which can be asked about; the newest windows' features are kept."""

    def __init__(self, networks: SlabNetworks, image: Image) -> None:
        self.networks = networks
        self.image = image
        self._kept: OrderedDict[View, dict[str, Real]] = OrderedDict()

    def aspect(self, axis: int) -> float:
        """Return the row spacing over the column spacing of a plane."""
        rows, columns = np.delete(self.image.spacing, axis)
        return float(rows / columns)

    def whole_window(self, axis: int) -> Window:
        """Return the window of a whole plane."""
        rows, columns = np.delete(self.image.shape, axis)
        return around(0, 0, int(rows), int(columns), margin=1.0, aspect=self.aspect(axis))

    def cell_mm(self, axis: int, window: Window) -> float:
        """Return the side of a window's cells in millimetres."""
        return window.width / CELLS * float(np.delete(self.image.spacing, axis)[1])

    def predict(self, requests: Sequence[Request]) -> list[SlabAnswer]:
        """Return the answers to some requests, all in one pass of the decoder."""
        if not requests:
            return []
        features = self._features([request.view for request in requests])
        prompts = np.stack([self._prompt_channels(request) for request in requests])
        found = self.networks.decoder.run({"prompts": prompts, **features})
        answers = []
        for i, request in enumerate(requests):
            rows, columns = request.here.shape
            valid = cells_on_plane(request.view.window, rows, columns, CELLS)
            answers.append(
                SlabAnswer(
                    request, found["logits"][i, 0], found["error_logits"][i, 0], float(found["quality"][i]), valid
                )
            )
        return answers

    def _features(self, views: Sequence[View]) -> dict[str, Real]:
        """Return the features of some views as a batch, computing what is not kept."""
        new = [view for view in dict.fromkeys(views) if view not in self._kept]
        if new:
            found = self.networks.encoder.run({"x": np.stack([self._image_channels(view) for view in new])})
            for i, view in enumerate(new):
                self._kept[view] = {name: np.ascontiguousarray(values[i]) for name, values in found.items()}
        for view in views:
            self._kept.move_to_end(view)
        batch = {name: np.stack([self._kept[view][name] for view in views]) for name in self._kept[views[0]]}
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return batch

    def _image_channels(self, view: View) -> Real:
        axis, window, image = view.axis, view.window, self.image

        def seen(index: int) -> Real:
            channels = colour_or_grey(np.take(image.voxels, index, axis + 1))
            return np.stack([resample_to_grid(one, window, CELLS) for one in channels])

        count = image.shape[axis]
        rows, columns = np.delete(image.shape, axis)
        planes = seen(view.index)
        beside = None
        if count > 1:
            sides = [min(max(view.index + way * view.step, 0), count - 1) for way in (-1, 1)]
            beside = np.stack([seen(at)[0] for at in sides])
        return slab_image_channels(planes, beside, cells_on_plane(window, int(rows), int(columns), CELLS))

    def _prompt_channels(self, request: Request) -> Real:
        view, window = request.view, request.view.window
        mask = resample_to_grid(request.here, window, CELLS) > 0.5
        shown = Shown(request.prompts, request.newest, mask, request.own, self._context(request))
        return slab_prompt_channels(shown, view.axis, view.index, window, CELLS)

    def _context(self, request: Request) -> Real | None:
        """Return the marks of other planes and a neighbour's mask, each as weak as it is far; None for none."""
        view = request.view
        cell = self.cell_mm(view.axis, view.window)
        apart = float(self.image.spacing[view.axis])
        out = np.zeros((3, CELLS, CELLS), np.float32)
        others = {at for at in _marked_indices(request.prompts, view.axis) if at != view.index}
        for at in sorted(others, key=lambda at: abs(at - view.index))[:MOST_OTHER_PLANES]:
            strength = fade(abs(at - view.index) * apart / cell)
            if strength < LEAST_FADE:
                break
            marks = plane_prompt_channels(request.prompts, view.axis, at, view.window, CELLS)[:2] * strength
            np.maximum(out[:2], marks, out=out[:2])
        if request.neighbour is not None:
            mask = resample_to_grid(request.neighbour, view.window, CELLS) > 0.5
            out[2] = neighbour_channel(mask, request.distance_mm / cell)
        return out if out.any() else None


def _marked_indices(prompts: Sequence[Prompt], axis: int) -> set[int]:
    """Return the planes across an axis in which clicks lie, and strokes that lie in one plane."""
    found = set()
    for prompt in prompts:
        box = extent(prompt) if isinstance(prompt, Click | Stroke) else None
        if box is not None and box.high[axis] - box.low[axis] == 1:
            found.add(box.low[axis])
    return found
