"""quality (Rebelo, Fernandes and Cardoso): a mask is refined again and again while its predicted quality rises.

Two networks: a plain U-Net makes the first mask of a picture, where nobody gave one; the refiner sees the picture and
a mask, returns a better mask and predicts the Dice of the mask it was given. Its answer goes in again until the
prediction no longer rises; the mask of the highest prediction is the answer and the prediction is its quality.

The paper's own rule is a variant, `validated`: as many looks as served best on the validation set. With `once` a mask
is looked at once each time it is asked for, so that a person stops where it is best, as the paper's oracle does.

The paper knows no marks: nobody clicks. So that the method can be used in a conversation, marks are placed into the
mask before every look as discs and strokes of the sign they have; the networks never learned what they mean.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segmend.core.image import Image, MaskArray, Real, bounds
from segmend.core.logits import sigmoid
from segmend.core.marks import path
from segmend.core.prompts import Click, Mask, Prompt, Stroke
from segmend.core.segmenter import Prediction, Segmenter, Workspace, replaced
from segmend.errors import ModelError
from segmend.runtime import cards
from segmend.runtime.engine import AUTO, Device, Engine, weights_of
from segmend.sampling.channels import stamp
from segmend.sampling.intensity import colour_channels
from segmend.sampling.slice_prompts import plane_axis
from segmend.sampling.slices import PlaneAnswer, SliceWorkspace, plane_prediction
from segmend.sampling.window import Plane, resample_to_grid, resample_to_whole_plane

METHOD = cards.method("quality")

CELLS = 128  # the paper's size
MOST = 12  # looks at one mask; the paper's longest chain
MARK = 2.5  # cells: the radius of a mark in the mask


# How many looks served best on the validation samples of the shipped networks.
SHIPPED_LOOKS = 1


def load(weights: Path | None = None, device: Device = AUTO, variant: str = "") -> Segmenter:
    """Return the method with the weights that are shipped in the package, or others."""
    names = ("quality_base.onnx", "quality_refiner.onnx")
    base, refiner = (weights_of(METHOD.id, name, weights, device) for name in names)
    looks = {"": None, "once": 1, "validated": validated_looks(weights) if variant == "validated" else None}[variant]
    return Quality(base, refiner, looks)


def validated_looks(weights: Path | None) -> int:
    """Return how many looks gave the best Dice when these weights were validated; ModelError where nothing tells."""
    if weights is None:
        return SHIPPED_LOOKS
    try:
        scores = json.loads((weights / "run.json").read_text(encoding="utf-8"))["scores"]
        by_looks = {int(name[5:]): float(value) for name, value in scores.items() if name[5:].isdigit()}
        return max(by_looks, key=lambda looks: by_looks[looks])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ModelError(
            f"The number of looks by validation stands in the run.json that `segmend train` wrote; {weights} has none "
            "with scores."
        ) from None


@dataclass(frozen=True, eq=False)
class Quality(Segmenter):
    """The method round two engines.

    `base` maps `x` [b 3 128 128] to `logits` [b 1 128 128]; `refiner` maps `x` [b 4 128 128], the mask last, to
    `logits` and `quality` [b 1].
    """

    base: Engine
    refiner: Engine
    looks: int | None = None  # at a mask; None for as many as the predicted quality rises

    def open(self, image: Image) -> Workspace:
        return QualityWorkspace(self.base, self.refiner, image, self.looks)


class QualityWorkspace(SliceWorkspace):
    """One image; its planes are looked at whole."""

    title = METHOD.title

    def __init__(self, base: Engine, refiner: Engine, image: Image, looks: int | None = None) -> None:
        super().__init__(image)
        self.base = base
        self.refiner = refiner
        self.looks = looks

    def stream(self, prompts: Sequence[Prompt], previous: MaskArray) -> Iterator[Prediction]:
        if not prompts or not isinstance(prompts[-1], Mask):
            yield from super().stream(prompts, previous)
            return
        mask = prompts[-1]
        here = bounds(mask.inside)
        if here is None:
            yield from self._guess_slices(prompts, plane_axis(mask, self.image))
            return
        yield replaced(mask, previous)
        axis = plane_axis(mask, self.image)
        whole = np.zeros(previous.shape, bool)
        whole[mask.box.slices] = mask.inside
        for index in range(mask.low[axis] + here.low[axis], mask.low[axis] + here.high[axis]):
            plane = np.take(whole, index, axis)
            if plane.any():
                yield plane_prediction(self._refine(prompts, axis, index, plane), axis, index)

    def _guess_slices(self, prompts: Sequence[Prompt], axis: int) -> Iterator[Prediction]:
        """Answer every slice without a mask to start from, the middle one first."""
        count = self.image.shape[axis]
        rows, columns = (n for i, n in enumerate(self.image.shape) if i != axis)
        for index in sorted(range(count), key=lambda i: abs(i - count // 2)):
            first = self._first(axis, index, np.zeros((rows, columns), bool))
            refined = (
                self._refine(prompts, axis, index, first) if first.any() else PlaneAnswer(first.astype(np.float32))
            )
            yield plane_prediction(refined, axis, index)

    def answer(self, prompts: Sequence[Prompt], axis: int, index: int, here: Plane) -> PlaneAnswer:
        return self._refine(prompts, axis, index, here if here.any() else self._first(axis, index, here))

    def propagate(self, prompts: Sequence[Prompt], axis: int, index: int, beside: Plane) -> PlaneAnswer:
        return self._refine(prompts, axis, index, beside)

    def _first(self, axis: int, index: int, here: Plane) -> Plane:
        """Return the base network's mask of a plane."""
        window = self.whole_window(axis)
        x = colour_channels(self.channels(axis, index), window, CELLS)[None]
        logits = self.base.run({"x": x})["logits"][0, 0]
        return resample_to_whole_plane(sigmoid(logits), window, here.shape[0], here.shape[1]) > 0.5

    def _refine(self, prompts: Sequence[Prompt], axis: int, index: int, start: Plane) -> PlaneAnswer:
        """Refine a mask while its predicted quality rises, with the marks placed into it before every look."""
        window = self.whole_window(axis)
        picture = colour_channels(self.channels(axis, index), window, CELLS)
        radius = MARK * window.width / CELLS

        def look(probability: Real) -> tuple[Real, float]:
            mask = resample_to_grid(probability > 0.5, window, CELLS) > 0.5
            found = self.refiner.run({"x": np.concatenate([picture, mask[None].astype(np.float32)])[None]})
            better = resample_to_whole_plane(sigmoid(found["logits"][0, 0]), window, start.shape[0], start.shape[1])
            return place_marks(better, prompts, axis, index, radius), float(found["quality"][0, 0])

        best = place_marks(start.astype(np.float32), prompts, axis, index, radius)
        if self.looks is not None:
            for _ in range(self.looks):
                best, _ = look(best)
            return PlaneAnswer(best, round(min(max(look(best)[1], 0.0), 1.0), 4))
        better, quality = look(best)
        for _ in range(MOST - 1):
            after, promised = look(better)
            if promised <= quality:
                break
            best, quality, better = better, promised, after
        return PlaneAnswer(best, round(min(max(quality, 0.0), 1.0), 4))


def place_marks(probability: Real, prompts: Sequence[Prompt], axis: int, index: int, radius: float) -> Real:
    """Return a plane with the marks on it in place, as discs of this radius in pixels; later ones lie on top.

    >>> place_marks(np.ones((1, 5), np.float32), [Click((0, 0, 0), positive=False)], 0, 0, 1.0).tolist()
    [[0.0, 0.0, 1.0, 1.0, 1.0]]
    """
    out = probability.copy()
    for prompt in prompts:
        if isinstance(prompt, Click | Stroke):
            voxels = path(prompt.points) if isinstance(prompt, Stroke) else np.asarray([prompt.index])
            here = np.delete(voxels[voxels[:, axis] == index], axis, axis=1).astype(float)
            if len(here):
                grid = np.zeros_like(out)
                stamp(grid, here[:, 0], here[:, 1], radius)
                out[grid > 0] = float(prompt.positive)
    return out
