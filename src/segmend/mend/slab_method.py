"""mend with the networks for slabs: one click in a picture or a volume, from top to bottom.

    newest mark ──▶ its plane is answered and shown first ──▶ first answer? carried along three axes, and fused
                                                         └─▶ correction? carried on until nothing changes

The plane, its windows and what is carried follow from the prompts and the mask so far alone, never from what is kept:
a replay gives the same masks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segmend.core.image import Box, Image, MaskArray, Real, bounds
from segmend.core.logits import sigmoid
from segmend.core.marks import marks
from segmend.core.masks import components_touching
from segmend.core.prompts import Adjust, Lasso, Mask, Prompt, is_positive
from segmend.core.segmenter import Prediction, Segmenter, Workspace, merged, replaced, without_additions
from segmend.errors import PromptError
from segmend.mend.adjustment import move_boundary
from segmend.mend.slab_carry import carried_box, carry, carry_change, logits_in_box
from segmend.mend.slab_networks import SlabAnswer, SlabNetworks, SlabPredictor
from segmend.mend.slab_plane import answer_plane, empty_plane
from segmend.runtime.engine import AUTO, Device, load_network, weights_file
from segmend.sampling.probability import uncertainty_of
from segmend.sampling.slice_prompts import apply_lassos, key_index, plane_axis, slice_range
from segmend.solvers.finetune import load_head, one_thread

FILES = {"encoder": "slab_reader.onnx", "decoder": "slab_refiner.onnx", "head": "slab_head.npz"}


def has_slab_networks(weights: Path | None) -> bool:
    """Tell whether a folder of weights holds the networks for slabs."""
    return weights is not None and weights_file(FILES["encoder"], weights).is_file()


def load_slabs(weights: Path, device: Device = AUTO) -> Segmenter:
    """Return mend with the networks for slabs of a folder of weights."""
    encoder, decoder = (
        load_network(str(weights_file(FILES[part], weights)), device=device.name, precision=device.precision)
        for part in ("encoder", "decoder")
    )
    return SlabMend(SlabNetworks(encoder, decoder, load_head(weights_file(FILES["head"], weights))))


@dataclass(frozen=True, eq=False)
class SlabMend(Segmenter):
    """The method round its networks."""

    networks: SlabNetworks
    axes: int = 3  # along how many a first answer is carried through a volume

    def open(self, image: Image) -> Workspace:
        return SlabWorkspace(self.networks, image, self.axes)


class SlabWorkspace(Workspace):
    """One image."""

    def __init__(self, networks: SlabNetworks, image: Image, axes: int = 3) -> None:
        self.image = image
        self.axes = axes
        self.predictor = SlabPredictor(networks, image)

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        return merged(list(self.stream(prompts, previous)), previous)

    def stream(self, prompts: Sequence[Prompt], previous: MaskArray) -> Iterator[Prediction]:
        if not prompts:
            raise PromptError("Mend needs at least one prompt; got none.")
        if isinstance(prompts[-1], Mask):
            yield replaced(prompts[-1], previous)
        elif isinstance(prompts[-1], Adjust):
            yield move_boundary(prompts[-1], prompts, previous, self.image)
        else:
            placed = [one for one in prompts if not isinstance(one, Adjust)]
            with one_thread():
                for part in self._stream(placed, previous):
                    yield part if is_positive(placed[-1]) else without_additions(part, previous)

    def _stream(self, prompts: Sequence[Prompt], previous: MaskArray) -> Iterator[Prediction]:
        newest = prompts[-1]
        mask = apply_lassos(prompts[-1:], previous)
        axis = plane_axis(newest, self.image)
        index = key_index(newest, axis)
        count = 1 if previous.any() else len(prompts)
        own = len(prompts) > count and not isinstance(prompts[-2], Mask) and not isinstance(newest, Lasso)
        here = np.take(mask, index, axis)
        answer = answer_plane(self.predictor, prompts, count, axis, index, here, own=own)
        yield plane_prediction(answer)
        if self.image.flat:
            return
        first, last = slice_range(prompts, axis, self.image.shape[axis])
        if mask.any():
            for found in carry_change(self.predictor, answer, prompts, mask, range(first, last)):
                yield plane_prediction(found)
        else:
            yield from self._whole(answer, prompts, count)

    def _whole(self, start: SlabAnswer, prompts: Sequence[Prompt], count: int) -> Iterator[Prediction]:
        """Yield an object that has no mask yet: its planes along the first axis, and then all axes fused."""
        axis = start.request.view.axis
        fields = {axis: {start.request.view.index: start}}
        for some in carry(self.predictor, start, prompts, range(*slice_range(prompts, axis, self.image.shape[axis]))):
            fields[axis].update(some)
            for answer in some.values():
                yield plane_prediction(answer)
        for other in self._other_axes(axis):
            middle = key_index(prompts[-1], other)
            first = answer_plane(
                self.predictor, prompts, count, other, middle, empty_plane(self.predictor, other), own=False
            )
            fields[other] = {middle: first}
            allowed = range(*slice_range(prompts, other, self.image.shape[other]))
            for some in carry(self.predictor, first, prompts, allowed):
                fields[other].update(some)
        fused = self._fused(fields, prompts)
        if fused is not None:
            yield fused

    def _other_axes(self, axis: int) -> list[int]:
        """Return the other axes to carry a mask along: none across which slices are thick."""
        others = [other for other in range(3) if other != axis][: self.axes - 1]
        thick = self.image.thick_axis
        return [] if thick is not None and self.image.spacing[thick] > 2 * self.image.spacing.min() else others

    def _fused(self, fields: dict[int, dict[int, SlabAnswer]], prompts: Sequence[Prompt]) -> Prediction | None:
        """Return the mean of the axes' logits, as far as it joins the marks."""
        boxes = [box for axis, answers in fields.items() if (box := carried_box(answers, axis)) is not None]
        if not boxes:
            return None
        box = boxes[0]
        for one in boxes[1:]:
            box = box.union(one)
        kept = {axis: answers for axis, answers in fields.items() if carried_box(answers, axis) is not None}
        logits = np.mean([logits_in_box(answers, axis, box) for axis, answers in kept.items()], axis=0)
        inside = _joined(logits > 0, box, prompts, self.image.shape)
        probability = np.where(inside | (logits <= 0), sigmoid(logits), 0.0).astype(np.float32)
        found = [answer for answers in kept.values() for answer in answers.values() if answer.cells.any()]
        sizes = [float(answer.cells.sum()) for answer in found]
        quality = float(np.average([answer.quality for answer in found], weights=sizes)) if found else None
        return Prediction(probability, box, quality, uncertainty_of(np.minimum(probability, 1 - probability)))


def _joined(inside: MaskArray, box: Box, prompts: Sequence[Prompt], shape: Sequence[int]) -> MaskArray:
    """Return the connected components that positive marks touch; all of them where none does."""
    positive = marks(prompts, tuple(shape))[0]
    there = positive[((positive >= box.low) & (positive < box.high)).all(axis=1)] - np.asarray(box.low)
    seeds = np.zeros_like(inside)
    seeds[tuple(there.T)] = True
    found = components_touching(inside, seeds) if seeds.any() else inside
    return found if found.any() else inside


def plane_prediction(answer: SlabAnswer) -> Prediction:
    """Return a plane's answer as a part of the whole image's."""
    view = answer.request.view
    now = answer.mask()
    box = bounds((now | answer.request.here)[None])
    logits, where = answer.on_plane()
    rows, columns = (where[0].start, where[0].stop), (where[1].start, where[1].stop)
    probability: Real = np.where(now, 1.0, 0.0).astype(np.float32)
    own = sigmoid(logits)
    agrees = (own > 0.5) == now[where]
    probability[where] = np.where(agrees, own, probability[where])
    uncertain = np.zeros_like(probability)
    uncertain[where] = uncertainty_of(answer.uncertainty())
    top, left = rows[0], columns[0]
    bottom, right = rows[1], columns[1]
    if box is not None:
        top, left = min(top, box.low[1]), min(left, box.low[2])
        bottom, right = max(bottom, box.high[1]), max(right, box.high[2])
    low, high = [top, left], [bottom, right]
    low.insert(view.axis, view.index)
    high.insert(view.axis, view.index + 1)
    part = slice(top, bottom), slice(left, right)
    quality = answer.quality if now.any() else None
    return Prediction(
        np.expand_dims(probability[part], view.axis),
        Box.of(low, high),
        quality,
        np.expand_dims(uncertain[part], view.axis),
    )
