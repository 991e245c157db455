"""First masks without a prompt: what the networks of a task make of an image by themselves, all labels at once.

    all of it ──▶ what is where, roughly ──▶ round all that was found ──▶ round each label, from near ──▶ refined

Of a plane or a volume the namer first sees all, then the part that holds anything, then each label from near, where
the refiner answers once more from the label's mask; an answer that finds another thing does not count. What a place
is called is decided last, among all labels, so that they never overlap. Volumes without networks in space are named
plane by plane.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Box, Image, LabelMap, MaskArray, Real, bounds, whole
from segmend.core.marks import in_plane
from segmend.core.masks import dice
from segmend.core.prompts import Click
from segmend.core.segmenter import Prediction
from segmend.errors import ModelError
from segmend.mend.plane import PlanePredictor
from segmend.mend.plane_networks import CELLS, Question
from segmend.mend.plane_windows import object_window
from segmend.mend.volume import VolumeWorkspace
from segmend.mend.volume_first import settle
from segmend.mend.volume_frames import object_frame
from segmend.sampling.frame import Frame, whole_frame
from segmend.sampling.probability import clamp_to_mask
from segmend.sampling.slice_prompts import plane_axis
from segmend.sampling.window import Window, cells_on_plane, resample_to_plane
from segmend.solvers.finetune import one_thread

if TYPE_CHECKING:
    from segmend.runtime.engine import Engine

# The least Dice of a nearer answer with the one before; else it is of another object.
AGREED = 0.5


@dataclass(frozen=True, eq=False)
class Namer:
    """A network that maps f0, f1, ... to `logits` [1 labels+1 *cells], the background first, and its labels' names."""

    engine: Engine
    labels: Mapping[int, str]  # by value, in the network's order

    def probabilities(self, features: Mapping[str, Real]) -> Real:  # [labels+1 *cells]
        """Return the probability of each cell to be background and each label."""
        logits = self.engine.run(features)["logits"][0]
        powers = np.exp(logits - logits.max(axis=0))
        return np.asarray(powers / powers.sum(axis=0), np.float32)


def read_labels(path: Path) -> dict[int, str]:
    """Return the labels that weights were trained with, by value; ModelError when the file does not say."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["labels"]
        labels = {int(label["value"]): str(label["name"]) for label in found}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"The weights of a task need {path.name} with its labels: {error}.") from None
    if not labels:
        raise ModelError(f"The weights of a task need {path.name} with its labels; it has none.")
    return labels


@dataclass(frozen=True, eq=False)
class Guess:
    """The labels of a box without a prompt, how uncertain each voxel is, and the Dice that each label expects."""

    box: Box
    labels: LabelMap  # [z y x] of the box
    uncertainty: NDArray[np.float16]  # [z y x] of the box
    qualities: Mapping[int, float]

    def of(self, value: int) -> Prediction | None:
        """Return one label's part of it; None where there is nothing of it."""
        here = bounds(self.labels == value)
        if here is None:
            return None
        part = here.grown(1).clipped(self.labels.shape)
        low, high = np.add(self.box.low, part.low).tolist(), np.add(self.box.low, part.high).tolist()
        mask = (self.labels[part.slices] == value).astype(np.float32)
        box = Box.of(low, high)
        return Prediction(mask, box, self.qualities.get(value), self.uncertainty[part.slices].astype(np.float32))


class Automatic(ABC):
    """One image's first masks; what was worked out is kept, cut to what was found."""

    def __init__(self, namer: Namer) -> None:
        self.namer = namer

    @property
    def labels(self) -> Mapping[int, str]:
        return self.namer.labels

    @abstractmethod
    def guesses(self) -> Iterator[Guess | None]:
        """Yield the parts of the image, None for one that holds nothing."""

    def of(self, value: int) -> Iterator[Prediction]:
        """Yield one label's mask in parts; one empty part where there is nothing."""
        total, size, nothing = 0.0, 0, True
        for guess in self.guesses():
            part = None if guess is None else guess.of(value)
            if part is None:
                continue
            nothing = False
            if part.quality is not None:
                count = int(part.mask.sum())
                total, size = total + part.quality * count, size + count
            yield Prediction(part.probability, part.box, total / size if size else None, part.uncertainty)
        if nothing:
            yield Prediction(np.zeros((1, 1, 1), np.float32), Box((0, 0, 0), (1, 1, 1)))


class InPlanes(Automatic):
    """A picture, or a volume plane by plane, the middle one first."""

    def __init__(self, namer: Namer, planes: PlanePredictor) -> None:
        super().__init__(namer)
        self.windows = planes.windows
        self.axis = plane_axis(Click((0, 0, 0)), self.windows.image)
        self._kept: dict[int, Guess | None] = {}

    def guesses(self) -> Iterator[Guess | None]:
        count = self.windows.image.shape[self.axis]
        for index in sorted(range(count), key=lambda i: abs(i - count // 2)):
            if index not in self._kept:
                with one_thread():
                    self._kept[index] = self._plane(index)
            yield self._kept[index]

    def _plane(self, index: int) -> Guess | None:
        rows, columns = np.delete(self.windows.image.shape, self.axis).tolist()
        probabilities = np.zeros((len(self.labels) + 1, rows, columns), np.float32)
        probabilities[0] = 1
        self._predict(probabilities, index, self.windows.whole_window(self.axis))
        found = bounds(np.argmax(probabilities, axis=0)[None])
        if found is None:
            return None
        window = self._window(found)
        if window != self.windows.whole_window(self.axis):
            self._predict(probabilities, index, window)
        names = np.argmax(probabilities, axis=0)
        one = np.zeros_like(probabilities[1:])
        qualities = {}
        for place, value in enumerate(self.labels, start=1):
            quality = self._refine(probabilities, names == place, place, index, one[place - 1])
            if quality is not None:
                qualities[value] = quality
        low = [0, 0, 0]
        low[self.axis] = index
        return choose_labels(np.expand_dims(one, self.axis + 1), self.labels, qualities, low)

    def _window(self, found: Box) -> Window:
        (top, left), (bottom, right) = in_plane(found, 0)
        return object_window(self.windows, (top, left, bottom, right), self.axis)

    def _predict(self, probabilities: Real, index: int, window: Window) -> None:
        """Put what the namer finds through a window in place of what it found from further away."""
        seen = self.namer.probabilities(self.windows.features(self.axis, index, window).features)
        rows, columns = probabilities.shape[1:]
        beyond = ~cells_on_plane(window, rows, columns, CELLS)
        seen[0][beyond], seen[1:, beyond] = 1, 0
        for place, cells in enumerate(seen):
            filled, where = resample_to_plane(cells, window, rows, columns)
            probabilities[place][where] = filled

    def _refine(
        self, probabilities: Real, named: NDArray[np.bool_], place: int, index: int, into: Real
    ) -> float | None:
        """Answer one label from near, refine it, write its probability, and return the Dice it expects."""
        found = bounds(named[None])
        if found is None:
            return None
        window = self._window(found)
        near = probabilities.copy()
        self._predict(near, index, window)
        here = np.argmax(near, axis=0) == place
        if not agree(here, named):
            near, here = probabilities, named
        into[:] = clamp_to_mask(near[place], here)
        answer = self.windows.predict(Question((), self.axis, index, here), window)
        if not agree(answer.mask, here[answer.where]):
            return None
        into[answer.where] = answer.probability
        return answer.quality


class InSpace(Automatic):
    """A volume as a whole."""

    def __init__(self, namer: Namer, workspace: VolumeWorkspace) -> None:
        super().__init__(namer)
        self.frames = workspace.frames
        self.options = workspace.options
        self._kept: list[Guess | None] = []

    def guesses(self) -> Iterator[Guess | None]:
        if not self._kept:
            with one_thread():
                self._kept = [self._volume()]
        yield self._kept[0]

    def _volume(self) -> Guess | None:
        image = self.frames.image
        frame = whole_frame(image.shape, image.spacing, (self.options.cells,) * 3)
        far = self._label_cells(frame)
        box = self._box(far > 0, frame, image)
        if box is None:
            return None
        frame = object_frame(image, box, self.options)
        names = self._label_cells(frame)
        boxes = [self._box(names == place, frame, image) for place in range(1, len(self.labels) + 1)]
        every = [found for found in boxes if found is not None]
        if not every:
            return None
        around = every[0]
        for more in every[1:]:
            around = around.union(more)
        around = around.grown(2).clipped(image.shape)
        one = np.zeros((len(boxes), *around.shape), np.float32)
        qualities = {}
        for place, (value, found) in enumerate(zip(self.labels, boxes, strict=True), start=1):
            if found is not None:
                one[place - 1] = frame.resample_to_voxels(np.asarray(names == place, np.float32), around)
                quality = self._refine(found, place, around, one[place - 1])
                if quality is not None:
                    qualities[value] = quality
        return choose_labels(one, self.labels, qualities, around.low)

    def _label_cells(self, frame: Frame) -> NDArray[np.intp]:  # [*cells]
        names: NDArray[np.intp] = np.argmax(self.namer.probabilities(self.frames.features(frame)), axis=0)
        names[~frame.cells_in_volume(self.frames.image.shape)] = 0
        return names

    def _box(self, cells: MaskArray, frame: Frame, image: Image) -> Box | None:
        found = bounds(cells)
        box = None if found is None else frame.box(found, image.shape)
        return box if box is not None and box.size else None

    def _refine(self, found: Box, place: int, around: Box, into: Real) -> float | None:
        """Answer one label from near, refine it, write its probability, and return the Dice it expects."""
        shape, frame = self.frames.image.shape, object_frame(self.frames.image, found, self.options)
        part = frame.box(whole(frame.cells), shape).intersection(around)
        named = into[part.within(around)]
        probabilities = self.namer.probabilities(self.frames.features(frame))
        here = (np.argmax(probabilities, axis=0) == place) & frame.cells_in_volume(shape)
        nearer = frame.resample_to_voxels(clamp_to_mask(probabilities[place], here), part)
        if not agree(nearer > 0.5, named > 0.5):
            return None
        named[:] = nearer
        answer = settle(self.frames, (), frame, here.astype(np.float32), self.options)
        if not agree(answer.mask, here):
            return None
        named[:] = frame.resample_to_voxels(answer.probability, part)
        return answer.quality or None


def agree(refined: NDArray[np.bool_], named: NDArray[np.bool_]) -> bool:
    """Tell whether a nearer answer's mask is still of what was named before.

    >>> agree(np.array([True, True, False]), np.array([True, False, False])), agree(np.zeros(3, bool), np.ones(3, bool))
    (True, False)
    """
    return dice(refined, named, empty=0.0) >= AGREED


def choose_labels(
    probabilities: Real, labels: Mapping[int, str], qualities: Mapping[int, float], low: Sequence[int]
) -> Guess | None:  # [labels z y x] of a box that begins at voxel `low`
    """Return which label each voxel of a box has, if any: the likeliest of those more likely than not."""
    best, most = np.argmax(probabilities, axis=0), probabilities.max(axis=0)
    values = np.asarray(list(labels), np.uint16)
    names = np.where(most > 0.5, values[best], 0).astype(np.uint16)
    inner = bounds(names)
    if inner is None:
        return None
    inner = inner.grown(2).clipped(names.shape)
    uncertainty = 1 - np.abs(2 * most[inner.slices] - 1)
    start, stop = np.add(low, inner.low).tolist(), np.add(low, inner.high).tolist()
    box = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    return Guess(box, names[inner.slices].copy(), uncertainty.astype(np.float16), dict(qualities))
