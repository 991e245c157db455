"""The networks of a plane, asked through one window at a time.

The reader turns what a window shows into features, which are kept; the refiner turns features, the mask so far and
the prompts into an answer. Nothing else of mend touches the two.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Image, Real
from segmend.core.logits import sigmoid
from segmend.core.marks import marks
from segmend.core.prompts import Prompt
from segmend.core.seeds import BACKGROUND, FOREGROUND
from segmend.mend.vessels import FoundLines, lines_of
from segmend.runtime.budget import MEMORY
from segmend.runtime.engine import Engine
from segmend.sampling.channels import plane_prompt_channels
from segmend.sampling.intensity import colour_or_grey, window_channels
from segmend.sampling.probability import uncertainty_of
from segmend.sampling.window import Plane, Window, around, cells_on_plane, resample_to_grid, resample_to_plane
from segmend.solvers.finetune import Head, one_thread

# The side of the grid in cells. The shipped weights were trained on it.
CELLS = 128
# How many windows' features are kept of one image at most, 1.4 MB each: memory, not quality.
KEPT = 32

Pixels = NDArray[np.intp]  # [n 2] (row, column)
Where = tuple[slice, slice]  # a part of a plane


@dataclass(frozen=True, eq=False)
class Networks:
    """The reader maps `x` [1 4 n n] to f0, f1, ..., the refiner those and `prompts` [1 4 n n] to what it answers."""

    reader: Engine
    refiner: Engine
    head: Head | None = None  # the refiner's last layers, on `hidden`
    lines: Engine | None = None  # maps levelled intensities `x` [1 1 n n] to `logits` of lying on a dark line


@dataclass(frozen=True, eq=False)
class WindowFeatures:
    """What a window shows, and what the reader makes of it."""

    channels: Real  # [4 n n] red, green, blue, equalised grey
    features: dict[str, Real]


@dataclass(frozen=True, eq=False)
class Question:
    """A plane, its mask so far, and the prompts."""

    prompts: Sequence[Prompt]
    axis: int
    index: int
    here: Plane  # the mask so far
    # What was answered to these prompts without a mask so far, by window: a second prediction asks for it again.
    unmasked: dict[Window, WindowAnswer] = field(default_factory=dict, init=False, repr=False)

    def with_mask(self, here: Plane) -> Question:
        other = replace(self, here=here)
        object.__setattr__(other, "unmasked", self.unmasked)
        return other


@dataclass(frozen=True, eq=False)
class WindowAnswer:
    """The answer through one window: on its cells, and on the pixels `where` of its plane."""

    window: Window
    logits: Real  # [n n]
    probability: Real  # [y x] of `where`
    uncertainty: Real  # [y x] of `where`, 0 to 1
    where: Where
    quality: float | None  # the Dice that the refiner expects; None for an empty mask
    hidden: Real  # [w n n] the features that the refiner's last layers read
    finetuned: bool = False  # by last layers that were fine-tuned to this image

    @property
    def mask(self) -> Plane:
        return np.asarray(self.probability > 0.5)


class WindowNetworks:
    """One image, of which the networks answer any plane through any window; the newest windows' features are kept.

    Several workspaces of one image may share it (`window_networks`), in threads of their own.
    """

    def __init__(self, networks: Networks, image: Image) -> None:
        self.networks = networks
        self.image = image
        self._owner = object()  # of what is kept in `MEMORY`
        self._lines: tuple[FoundLines | None] | None = None  # None until they are found
        self._lock = Lock()  # so that what two threads want at once is computed once
        weakref.finalize(self, MEMORY.forget_later, self._owner)

    def lines(self) -> FoundLines | None:
        """Return the lines of a picture, None where it has none."""
        with self._lock:
            if self._lines is None:
                engine = self.networks.lines
                channels = colour_or_grey(self.image.voxels[:, 0])
                self._lines = (None if engine is None else lines_of(channels, engine),)
            return self._lines[0]

    def whole_window(self, axis: int) -> Window:
        """Return the window of a whole plane."""
        rows, columns = np.delete(self.image.shape, axis)
        return around(0, 0, int(rows), int(columns), margin=1.0, aspect=self.aspect(axis))

    def aspect(self, axis: int) -> float:
        """Return the row spacing over the column spacing of a plane."""
        rows, columns = np.delete(self.image.spacing, axis)
        return float(rows / columns)

    def predict(self, question: Question, window: Window) -> WindowAnswer:
        """Return the networks' answer through a window; without a mask so far they are asked once a window."""
        if question.here.any():
            return self._asked(question, window)
        found = question.unmasked.get(window)
        if found is None:
            found = question.unmasked[window] = self._asked(question, window)
        else:
            MEMORY.get(self._owner, (question.axis, question.index, window))  # its features will be wanted again
        return found

    def _asked(self, question: Question, window: Window) -> WindowAnswer:
        with one_thread():  # the products are small: on a busy machine two threads took twice as long a click
            return self._predict(question, window)

    def _predict(self, question: Question, window: Window) -> WindowAnswer:
        features = self.features(question.axis, question.index, window).features
        prompts = plane_prompt_channels(question.prompts, question.axis, question.index, window, CELLS)
        mask = resample_to_grid(question.here, window, CELLS)[None]
        answer = self.networks.refiner.run({"prompts": np.concatenate([mask, prompts])[None], **features})
        shape = question.here.shape
        made = window_answer(answer["logits"][0, 0], window, shape, float(answer["quality"][0]), answer["hidden"][0])
        wrong, _ = resample_to_plane(answer["error_logits"][0, 0], window, shape[0], shape[1])
        return replace(made, uncertainty=uncertainty_of(sigmoid(wrong)))

    def features(self, axis: int, index: int, window: Window) -> WindowFeatures:
        """Return what a window shows and what the reader makes of it, from what is kept if it is."""
        key = (axis, index, window)
        with self._lock:
            found: WindowFeatures | None = MEMORY.get(self._owner, key)
            if found is None:
                channels = window_channels(np.take(self.image.voxels, index, axis + 1), window, CELLS)
                read = self.networks.reader.run({"x": channels[None]})
                found = WindowFeatures(channels, {name: np.asarray(value) for name, value in read.items()})
                size = channels.nbytes + sum(values.nbytes for values in found.features.values())
                MEMORY.put(self._owner, key, found, size)
                MEMORY.keep_newest(self._owner, KEPT)
        return found

    def release(self, axis: int, index: int, windows: Iterable[Window]) -> None:
        """Let the features of windows go first where room is needed, unless they are asked for again."""
        MEMORY.demote(self._owner, [(axis, index, window) for window in windows])

    def cells_on_image(self, question: Question, window: Window) -> NDArray[np.bool_]:  # [1 n n]
        """Return which cells of a window lie on the plane."""
        rows, columns = question.here.shape
        return cells_on_plane(window, rows, columns, CELLS)[None]

    def marked_pixels(self, question: Question) -> tuple[Pixels, Pixels]:
        """Return the pixels of a plane that are pinned inside and outside."""
        axis, index = question.axis, question.index
        positive, negative = (
            np.delete(points[points[:, axis] == index], axis, axis=1)
            for points in marks(question.prompts, self.image.shape)
        )
        return positive, negative

    def marked_cells(self, question: Question, window: Window) -> NDArray[np.uint8]:  # [1 n n]
        """Return which cells the marks pin as seeds; where both fall into one cell, it is foreground."""
        pinned = np.zeros((1, CELLS, CELLS), np.uint8)
        for pixels, side in zip(self.marked_pixels(question)[::-1], (BACKGROUND, FOREGROUND), strict=True):
            y, x = (np.rint(at).astype(np.intp) for at in window.cells(pixels[:, 0], pixels[:, 1], CELLS))
            inside = (y >= 0) & (y < CELLS) & (x >= 0) & (x < CELLS)
            pinned[0, y[inside], x[inside]] = side
        return pinned


# The networks at each image that is open, so that everybody who works on it shares what they made of it.
_open: weakref.WeakValueDictionary[tuple[int, int], WindowNetworks] = weakref.WeakValueDictionary()
_open_lock = Lock()


def window_networks(networks: Networks, image: Image) -> WindowNetworks:
    """Return the networks at an image, those that are there already where somebody has it open."""
    key = id(networks), id(image)  # it holds both as long as it is there, so no other thing has these numbers
    with _open_lock:
        found = _open.get(key)
        if found is None:
            found = _open[key] = WindowNetworks(networks, image)
    return found


def window_answer(
    logits: Real, window: Window, shape: Sequence[int], quality: float | None, hidden: Real
) -> WindowAnswer:
    """Return logits on a window's cells as an answer for a plane of this shape; an empty mask has no quality."""
    values, where = resample_to_plane(logits, window, shape[0], shape[1])
    probability = sigmoid(values)
    if not (probability > 0.5).any():
        quality = None
    uncertainty = uncertainty_of(np.minimum(probability, 1 - probability))
    return WindowAnswer(window, logits, probability, uncertainty, where, quality, hidden)


def whole_mask(here: Plane, answer: WindowAnswer) -> Plane:
    """Return a plane's mask so far with the answer in its place."""
    mask = here.copy()
    mask[answer.where] = answer.mask
    return mask


def whole_plane(plane: Plane | Real) -> Where:
    """Return all of a plane as a part of it."""
    return slice(0, plane.shape[0]), slice(0, plane.shape[1])
