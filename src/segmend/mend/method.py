"""mend: Segmend's own promptable networks, in the plane and in space.

A reader network turns what a window of an image shows into features, once; a refiner turns them, the mask so far, marks
and boxes into a probability, the Dice that it expects of it, and features for fine-tuning its last layers to
this image. What makes it precise is where it looks: its windows follow the object (`mend.plane`).

Volumes are answered as one (`mend.volume`) where there are networks for it. Else, and in stacks of a few
slices, the plane of the newest prompt is answered first, then every other plane with marks that are new; their masks
are propagated from slice to slice in both directions until the object ends (`stream`). An adjustment moves the
boundary of the mask so far (`solvers.nudge`).

The weights of a task hold a third network, which finds the task's labels without a prompt (`mend.first_masks`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Box, Image, MaskArray, Real, bounds
from segmend.core.logits import logit
from segmend.core.marks import in_plane, marks
from segmend.core.prompts import Adjust, Click, Mask, Prompt, Stroke, extent
from segmend.core.seeds import BACKGROUND, FOREGROUND
from segmend.core.segmenter import Method, Prediction, Segmenter, Workspace, merged, replaced
from segmend.core.session import Finetune
from segmend.errors import PromptError
from segmend.mend.first_masks import Automatic, InPlanes, InSpace, Namer, read_labels
from segmend.mend.plane import PlanePredictor
from segmend.mend.plane_networks import CELLS, Networks, Question, WindowAnswer
from segmend.mend.plane_options import PlaneOptions
from segmend.mend.volume import VolumeWorkspace
from segmend.runtime import cards
from segmend.runtime.engine import AUTO, Device, Engine, load_network, weights_file, weights_of
from segmend.sampling.propagation import Step, apply_change, limit_to_change, propagate
from segmend.sampling.slice_prompts import (
    apply_lassos,
    disobeyed_slices,
    has_marks,
    key_index,
    newest_mark_last,
    plane_axis,
    slice_range,
)
from segmend.sampling.slices import continues, nearly_equal
from segmend.sampling.window import Plane
from segmend.solvers.finetune import load_head
from segmend.solvers.nudge import nudge, nudge_box

METHOD = cards.method("mend")

# The file of the network that finds thin things, as `segmend train mend_lines` makes it.
LINES = "mend2d_lines.onnx"
# The least number of slices of a volume that is answered as one; fewer are answered one by one.
LEAST_SLICES = 4
# The distance of slices, in pixels' sides, from which they are answered one by one (docs/mend-experiments.md).
THICK = 4.0
# The factor by which the expected Dice falls from slice to slice away from the marked ones. It was fitted to answers of
# the shipped weights (docs/mend-experiments.md).
SLICE_FACTOR = 0.82

__all__ = ["CELLS", "METHOD", "Mend", "MendWorkspace", "load"]


def load(weights: Path | None = None, device: Device = AUTO) -> Segmenter:
    """Return the method with the weights that are shipped in the package, or others."""
    return Mend(
        networks(weights, device),
        space=space(weights, device),
        plane_namer=namer(weights, 2, device),
        space_namer=namer(weights, 3, device),
    )


def card(weights: Path) -> Method:
    """Return the card with weights of a folder: those of a task find its labels by themselves."""
    for dimensions in (3, 2):
        if (weights / f"mend{dimensions}d_namer.onnx").is_file():
            labels = read_labels(weights / f"mend{dimensions}d_labels.json")
            return replace(METHOD, guesses=True, labels=tuple(labels.items()))
    return METHOD


def networks(weights: Path | None, device: Device = AUTO) -> Networks:
    """Return the networks for planes from a folder of weights, or those in the package that it has none of."""
    own = weights if weights_file(LINES, weights).is_file() else None
    if weights is not None and not any(weights.glob("mend2d_re*.onnx")) and (own or any(weights.glob("mend3d*.onnx"))):
        weights = None
    reader, refiner = (weights_of(METHOD.id, f"mend2d_{part}.onnx", weights, device) for part in ("reader", "refiner"))
    head = load_head(weights_file("mend2d_head.npz", weights))
    return Networks(reader, refiner, head, weights_of("mend_lines", LINES, own, device))


def space(weights: Path | None, device: Device = AUTO) -> Networks | None:
    """Return the networks for volumes from a folder or the package, None where it has none."""
    if not weights_file("mend3d_reader.onnx", weights).is_file():
        return None
    reader, refiner = (weights_of(METHOD.id, f"mend3d_{part}.onnx", weights, device) for part in ("reader", "refiner"))
    return Networks(reader, refiner, load_head(weights_file("mend3d_head.npz", weights)))


def namer(weights: Path | None, dimensions: int, device: Device = AUTO) -> Namer | None:
    """Return the network that finds a task's labels, None where there is none beside its reader."""
    name = f"mend{dimensions}d"
    file, reader = (weights_file(f"{name}_{part}.onnx", weights) for part in ("namer", "reader"))
    if not file.is_file() or not reader.is_file():
        return None
    engine = load_network(str(file), device=device.name, precision=device.precision)
    return Namer(engine, read_labels(weights_file(f"{name}_labels.json", weights)))


def solid(image: Image) -> bool:
    """Tell whether a volume is answered in space rather than slice by slice.

    >>> solid(Image(np.zeros((1, 20, 30, 30)))), solid(Image(np.zeros((1, 3, 30, 30))))
    (True, False)
    """
    return min(image.shape) >= LEAST_SLICES and bool(image.spacing.max() < THICK * image.spacing.min())


# How planes are looked at that only tell how large an object is.
SIZING = PlaneOptions(again=0, near=False, second_prediction=False, finetune="off")


@dataclass(frozen=True, eq=False)
class Mend(Segmenter):
    """The method round any networks."""

    planes: Networks
    options: PlaneOptions = field(default_factory=PlaneOptions)
    space: Networks | None = None
    plane_namer: Namer | None = None
    space_namer: Namer | None = None

    @property
    def engine(self) -> Engine:
        """Return one of the engines, whose name says what runs them all."""
        return self.planes.reader

    def open(self, image: Image) -> Workspace:
        in_space = self._space(image) if solid(image) else None
        workspace = MendWorkspace(self.planes, image, self.options, in_space)
        workspace.automatic = self._automatic(image, workspace.planes, in_space)
        if image.flat:
            workspace.planes.prepare()
        return workspace

    def _space(self, image: Image) -> VolumeWorkspace | None:
        if self.space is None or image.flat:
            return None
        planes = PlanePredictor(self.planes, image, SIZING)
        return VolumeWorkspace(self.space.reader, self.space.refiner, image, head=self.space.head, planes=planes)

    def _automatic(self, image: Image, planes: PlanePredictor, in_space: VolumeWorkspace | None) -> Automatic | None:
        """Return what finds a task's labels: in space where that is how it answers or there is nothing else."""
        if in_space is None and self.plane_namer is None:
            in_space = self._space(image)
        if in_space is not None and self.space_namer is not None:
            return InSpace(self.space_namer, in_space)
        return None if self.plane_namer is None else InPlanes(self.plane_namer, planes)


class MendWorkspace(Workspace):
    """One image, answered in space or a plane at a time."""

    def __init__(
        self,
        networks: Networks,
        image: Image,
        looking: PlaneOptions | None = None,
        in_space: Workspace | None = None,
    ) -> None:
        self.image = image
        self.planes = PlanePredictor(networks, image, looking)
        self.in_space = in_space
        self.automatic: Automatic | None = None

    @property
    def labels(self) -> Mapping[int, str]:
        return super().labels if self.automatic is None else self.automatic.labels

    def guess(self, label: int) -> Iterator[Prediction]:
        if self.automatic is None or label not in self.labels:
            yield from super().guess(label)
        else:
            yield from self.automatic.of(label)

    def with_finetuning(self, finetune: Finetune) -> MendWorkspace:
        other = copy(self)
        other.planes = self.planes.with_finetuning(finetune)
        other.in_space = None if self.in_space is None else self.in_space.with_finetuning(finetune)
        return other

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        return merged(list(self.stream(prompts, previous)), previous)

    def stream(self, prompts: Sequence[Prompt], previous: MaskArray) -> Iterator[Prediction]:
        if not prompts:
            raise PromptError("Mend needs at least one prompt; got none.")
        newest = prompts[-1]
        if isinstance(newest, Mask) and self.automatic is not None and not newest.inside.any():
            raise PromptError(
                f"Mend finds {', '.join(self.labels.values())} here; a first mask needs to be of one of them."
            )
        if isinstance(newest, Mask):
            yield replaced(newest, previous)
        elif isinstance(newest, Adjust):
            yield self._nudged(newest, prompts, previous)
        elif self.in_space is not None:
            yield from self.in_space.stream(prompts, previous)
        else:
            yield from self._answered(prompts, apply_lassos(prompts[-1:], previous))

    def _answered(self, prompts: Sequence[Prompt], mask: MaskArray) -> Iterator[Prediction]:
        """Yield the plane of the newest prompt, others with new marks, then what this brings about beside them."""
        axis = plane_axis(prompts[-1], self.image)
        index = key_index(prompts[-1], axis)
        quality = _StackQuality(prompts, mask, axis)
        answered: dict[int, Plane] = {}
        for plane in (index, *disobeyed_slices(prompts, mask, axis, index)):
            here = np.take(mask, plane, axis).copy()
            question = Question(newest_mark_last(prompts, axis, plane), axis, plane, here)
            answer = self.planes.answer(question)
            here[answer.where] = answer.mask
            expected = quality.add(answer, plane, here)
            part = _prediction(answer.probability, answer.uncertainty, answer.where, axis, plane, expected)
            yield replace(part, finetuned=answer.finetuned)
            answered[plane] = here
        if self.image.shape[axis] > 1:
            yield from self._propagated(prompts, mask, axis, answered, quality)

    def _nudged(self, newest: Adjust, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        """Move the boundary of the mask so far by K; nothing else changes."""
        spacing = self.image.spacing.tolist()
        box = nudge_box(previous, spacing)
        if box is None:  # nothing has no boundary
            return Prediction(np.zeros((1, 1, 1), np.float32), Box((0, 0, 0), (1, 1, 1)))
        pinned = np.zeros(box.shape, np.uint8)
        for points, side in zip(marks(prompts, previous.shape), (FOREGROUND, BACKGROUND), strict=True):
            inside = ((points >= box.low) & (points < box.high)).all(axis=1)
            pinned[tuple((points[inside] - box.low).T)] = side
        logits = self._logits(prompts, previous, box)
        moved = nudge(previous[box.slices], newest.k, logits=logits, pinned=pinned, spacing=spacing)
        return Prediction(moved.astype(np.float32), box)

    def _logits(self, prompts: Sequence[Prompt], previous: MaskArray, box: Box) -> Real | None:  # [z y x] of the box
        """Return the logits that the network gives the mask of a picture; None in a volume."""
        if not self.image.flat:
            return None
        question = Question(prompts, 0, 0, previous[0])
        answer = self.planes.propagate(question)
        whole = np.zeros(previous.shape, np.float32)
        whole[0][answer.where] = logit(answer.probability, 0.01)
        return whole[box.slices]

    # From slice to slice.

    def _propagated(
        self,
        prompts: Sequence[Prompt],
        mask: MaskArray,
        axis: int,
        answered: Mapping[int, Plane],
        quality: _StackQuality,
    ) -> Iterator[Prediction]:
        """Yield the slices on both sides of the answered ones, each with what changed in the slice beside it.

        A slice that has a mask already keeps it away from the change, so that a correction mends what is near it and
        spoils nothing further off.
        """

        def step(before: int, after: int, fresh: Plane) -> Step[Plane, Prediction]:
            was, old = np.take(mask, before, axis), np.take(mask, after, axis)
            question = Question(prompts, axis, after, apply_change(old, was, fresh))
            probability, answer = self._answer_beside(question, old, fresh ^ was)
            now = np.asarray(probability > 0.5)
            onward = None if nearly_equal(old, now) else now
            if not now.any() and not old.any():
                return Step(None, onward, final=False)
            where = _bounds(probability, old)
            uncertainty = np.zeros(old.shape, np.float32)
            if answer is not None:
                uncertainty[answer.where] = answer.uncertainty
            expected = quality.add(answer, after, now)
            part = _prediction(probability[where], uncertainty[where], where, axis, after, expected)
            return Step(part, onward, final=True)

        first, last = slice_range(prompts, axis, self.image.shape[axis])
        yield from propagate(
            answered, step, slices=range(first, last), fixed=lambda index: has_marks(prompts, axis, index)
        )

    def _answer_beside(self, question: Question, old: Plane, changed: Plane) -> tuple[Real, WindowAnswer | None]:
        """Return the probability of a slice beside an answered one, and the networks' answer, if it counts."""
        probability = np.zeros(old.shape, np.float32)
        answer = None
        if question.here.any():
            answer = self.planes.propagate(question)
            probability[answer.where] = answer.probability
        if not continues(question.here, probability > 0.5):
            probability[:] = 0
            answer = None
        return limit_to_change(probability, old, changed), answer


class _StackQuality:
    """The Dice that is expected of all slices: the mean of those that were answered, each counting by its size.

    It is less, the further the mask goes from the slices that a person marked.
    """

    def __init__(self, prompts: Sequence[Prompt], mask: MaskArray, axis: int) -> None:
        self.total = 0.0
        self.size = 0
        self.there = np.asarray(np.moveaxis(mask, axis, 0).reshape(mask.shape[axis], -1).any(axis=1))
        away = np.ones_like(self.there)
        for prompt in prompts:
            box = extent(prompt)
            if isinstance(prompt, Click | Stroke) and box is not None:
                away[box.low[axis] : box.high[axis]] = False
            elif box is not None and not isinstance(prompt, Mask):
                away[key_index(prompt, axis)] = False
        self.away = _distances(away)

    def add(self, answer: WindowAnswer | None, index: int, now: Plane) -> float | None:
        """Return it with one slice more, which has this mask now."""
        self.there[index] = now.any()
        if answer is not None and answer.quality is not None:
            size = int(answer.mask.sum())
            self.total += answer.quality * size
            self.size += size
        if not self.size:
            return None
        far = float(self.away[self.there].mean()) if self.there.any() else 0.0
        return float(self.total / self.size * SLICE_FACTOR**far)


def _distances(away: NDArray[np.bool_]) -> Real:  # [n]
    """Return how many steps each place lies from the nearest that is not away; 0 where all are.

    >>> _distances(np.array([True, False, True, True])).tolist()
    [1.0, 0.0, 1.0, 2.0]
    """
    at, near = np.arange(len(away)), np.flatnonzero(~away)
    if not len(near):
        return np.zeros(len(away), np.float32)
    return np.asarray(np.abs(at[:, None] - near).min(axis=1), np.float32)


def _prediction(
    probability: Real, uncertainty: Real, where: tuple[slice, slice], axis: int, index: int, quality: float | None
) -> Prediction:
    low, high = [s.start for s in where], [s.stop for s in where]
    low.insert(axis, index)
    high.insert(axis, index + 1)
    box = Box.of(low, high)
    return Prediction(np.expand_dims(probability, axis), box, quality, np.expand_dims(uncertainty, axis))


def _bounds(probability: Real, old: Plane) -> tuple[slice, slice]:
    """Return where in a plane the answer or the old mask says anything."""
    box = bounds(((probability > 0.01) | old)[None])
    assert box is not None
    (top, left), (bottom, right) = in_plane(box, 0)
    return slice(top, bottom), slice(left, right)
