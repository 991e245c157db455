"""Adversarial refinement: an automatic network refined, while it learnt, by a discriminator (see `nets.gan`).

The discriminator is only there in training; in use the network looks at each slice once, and no mark changes what it
thinks. What marks do is choose: of the parts of its mask, positive ones keep those that they touch, negative ones
drop them, and what was chosen in one slice is followed into the next.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import label

from segmend.core.image import Image, MaskArray, Real
from segmend.core.prompts import Mask, Prompt
from segmend.core.segmenter import Prediction, Segmenter, Workspace
from segmend.papers.refinenet.method import CELLS, KEPT, of_two_classes, see_image, touching, within_boxes
from segmend.runtime import cards
from segmend.runtime.engine import AUTO, Device, Engine, weights_of
from segmend.sampling.slice_prompts import marked_pixels, plane_axis
from segmend.sampling.slices import PlaneAnswer, SliceWorkspace, plane_prediction
from segmend.sampling.window import Plane, resample_to_whole_plane

METHOD = cards.method("gan_refine")

WEIGHTS = "gan_refine.onnx"


def load(weights: Path | None = None, device: Device = AUTO) -> Segmenter:
    """Return the method with the weights that are shipped in the package, or others."""
    return GanRefine(weights_of(METHOD.id, WEIGHTS, weights, device))


@dataclass(frozen=True, eq=False)
class GanRefine(Segmenter):
    """The method round any engine that maps `x` [b 4 n n] to `logits` [b 2 n n], background and foreground."""

    engine: Engine

    def open(self, image: Image) -> Workspace:
        return GanRefineWorkspace(self.engine, image)


class GanRefineWorkspace(SliceWorkspace):
    """One image; what the network makes of a slice is kept."""

    title = METHOD.title

    def __init__(self, engine: Engine, image: Image) -> None:
        super().__init__(image)
        self._engine = engine
        self._found: OrderedDict[tuple[int, int], Real] = OrderedDict()

    def found(self, axis: int, index: int) -> Real:  # [y x]
        """Return the network's probabilities of a slice."""
        key = axis, index
        if key not in self._found:
            window = self.whole_window(axis)
            x = see_image(self.channels(axis, index), window, CELLS)[None]
            rows, columns = (int(n) for n in np.delete(self.image.shape, axis))
            self._found[key] = resample_to_whole_plane(
                of_two_classes(self._engine.run({"x": x})["logits"]), window, rows, columns
            )
            if len(self._found) > KEPT:
                self._found.popitem(last=False)
        self._found.move_to_end(key)
        return self._found[key]

    def stream(self, prompts: Sequence[Prompt], previous: MaskArray) -> Iterator[Prediction]:
        """Answer marks; a mask keeps the parts that it touches, an empty one keeps them all."""
        if not prompts or not isinstance(prompts[-1], Mask):
            yield from super().stream(prompts, previous)
            return
        METHOD.check(prompts)
        given = np.zeros(previous.shape, bool)
        given[prompts[-1].box.slices] = prompts[-1].inside
        axis = plane_axis(prompts[-1], self.image)
        for index in range(self.image.shape[axis]):
            found, beside = self.found(axis, index), np.take(given, index, axis)
            yield plane_prediction(PlaneAnswer(touching(found, beside) if given.any() else found), axis, index)

    def answer(self, prompts: Sequence[Prompt], axis: int, index: int, here: Plane) -> PlaneAnswer:
        """Return the parts of the slice's mask that the marks choose."""
        METHOD.check(prompts)
        probability = within_boxes(self.found(axis, index), prompts, axis, index)
        return PlaneAnswer(_choose(probability, prompts, axis, index))

    def propagate(self, prompts: Sequence[Prompt], axis: int, index: int, beside: Plane) -> PlaneAnswer:
        """Return the parts of the slice's mask that go on from the slice beside it."""
        probability = within_boxes(self.found(axis, index), prompts, axis, index)
        return PlaneAnswer(_choose(touching(probability, beside), prompts, axis, index))


def _choose(probability: Real, prompts: Sequence[Prompt], axis: int, index: int) -> Real:
    parts, _ = label(probability > 0.5)
    positive, negative = (marked_pixels(prompts, axis, index, positive=sign) for sign in (True, False))
    dropped = np.isin(parts, parts[tuple(negative.T)])
    if len(positive):
        dropped = ~np.isin(parts, parts[tuple(positive.T)])
    return np.where(dropped & (parts > 0), 0, probability).astype(np.float32)
