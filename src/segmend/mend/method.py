"""mend: Segmend's own promptable networks, in 2D and in 3D.

An image encoder (the reader) computes features of a window of an image, once; a prompt decoder (the refiner) turns
them, the mask so far, marks and boxes into a probability, the Dice that it expects of it, and features for fine-tuning
its last layers to this image. It is precise because its windows follow the object (`mend.plane`).

Volumes are segmented as one (`mend.volume`) where there are networks for it, stacks of a few slices and thick ones
slice by slice (`mend.slicewise`). An adjustment moves the boundary of the mask so far (`solvers.nudge`).

The weights of a task hold a third network, which finds the task's labels without a prompt (`mend.first_masks`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from segmend.core.image import Box, Image, MaskArray, Real
from segmend.core.logits import logit
from segmend.core.prompts import Adjust, Mask, Prompt
from segmend.core.segmenter import Method, Prediction, Segmenter, Workspace, merged, replaced
from segmend.core.session import Finetune
from segmend.errors import PromptError
from segmend.mend.adjustment import move_boundary
from segmend.mend.first_masks import Automatic, InPlanes, InSpace, Namer, read_labels
from segmend.mend.plane import PlanePredictor
from segmend.mend.plane_networks import CELLS, Networks, Question
from segmend.mend.plane_options import PlaneOptions
from segmend.mend.slab_method import has_slab_networks, load_slabs
from segmend.mend.slicewise import answer_slices
from segmend.mend.volume import VolumeWorkspace
from segmend.runtime import cards
from segmend.runtime.engine import AUTO, Device, Engine, load_network, weights_file, weights_of
from segmend.sampling.slice_prompts import (
    apply_lassos,
)
from segmend.solvers.finetune import load_head

METHOD = cards.method("mend")

# The file of the network that finds thin things, as `segmend train mend_lines` makes it.
LINES = "mend2d_lines.onnx"
# The least number of slices of a volume that is answered as one; fewer are answered one by one.
LEAST_SLICES = 4
# The distance of slices, in pixels' sides, from which they are answered one by one (docs/mend-experiments.md).
THICK = 4.0

__all__ = ["CELLS", "METHOD", "Mend", "MendWorkspace", "load"]


def load(weights: Path | None = None, device: Device = AUTO) -> Segmenter:
    """Return the method with the weights that are shipped in the package, or others.

    A folder with the networks for slabs (`segmend train mend_slabs`) is used by the way of answering that is theirs.
    """
    if weights is not None and has_slab_networks(weights):
        return load_slabs(weights, device)
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

    def prepare(self) -> None:
        if self.image.flat:
            self.planes.prepare()

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
            yield move_boundary(newest, prompts, previous, self.image, lambda box: self._logits(prompts, previous, box))
        elif self.in_space is not None:
            yield from self.in_space.stream(prompts, previous)
        else:
            yield from answer_slices(self.planes, prompts, apply_lassos(prompts[-1:], previous))

    def _logits(self, prompts: Sequence[Prompt], previous: MaskArray, box: Box) -> Real | None:  # [z y x] of the box
        """Return the logits that the network gives the mask of a picture; None in a volume."""
        if not self.image.flat:
            return None
        question = Question(prompts, 0, 0, previous[0])
        answer = self.planes.propagate(question)
        whole = np.zeros(previous.shape, np.float32)
        whole[0][answer.where] = logit(answer.probability, 0.01)
        return whole[box.slices]
