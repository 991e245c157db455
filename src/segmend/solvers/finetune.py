"""Fine-tune a network's last layers to one image, while a person works on it: image-specific fine-tuning.

Wang et al., Interactive Medical Image Segmentation Using Deep Learning With Image-Specific Fine Tuning (TMI 2018).
The features of an image are computed once and stored; what is trained is the `Head` on them, 1 x 1 convolutions, which
are a small perceptron on each voxel alone. So fine-tuning is a few matrix products in NumPy, and works with any network
that gives out its features:

    head = finetune(features, labels, weights, head)

`alternate` is the paper's whole loop: labels by a graph cut of the head's logits, then the head trained on those
labels, four times. Voxels with an uncertain probability, and voxels that a mark close by contradicts, have weight 0;
marks have the largest weight, and are hard constraints of every cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import MaskArray, Real
from segmend.core.logits import sigmoid
from segmend.core.seeds import BACKGROUND, FOREGROUND, UNKNOWN
from segmend.errors import ModelError, ShapeError
from segmend.solvers.edges import likeness
from segmend.solvers.geodesic import geodesic
from segmend.solvers.maxflow import cut, offsets, whole_numbers

CHUNK = 4096  # voxels at a time: what is computed of them stays in the processor's cache
SCALE = 1000  # whole numbers a unit of logits
SURE = 16.0  # logits beyond this say no more


@dataclass(frozen=True, eq=False)
class Head:
    """Layers on one voxel's features, with ReLU between them, ending in one output or in two classes.

    >>> head = Head((np.array([[1.0, -1.0]], np.float32),), (np.zeros(1, np.float32),))
    >>> head.logits(np.array([[3.0, 0.0], [1.0, 1.0]], np.float32))
    array([ 2., -1.], dtype=float32)
    """

    weights: tuple[Real, ...]  # [outputs inputs] of each layer
    biases: tuple[Real, ...]  # [outputs]

    def __post_init__(self) -> None:
        shapes = [weight.shape for weight in self.weights]
        fits = len(shapes) > 0 and [bias.shape for bias in self.biases] == [shape[:1] for shape in shapes]
        fits = fits and all(a[0] == b[1] for a, b in pairwise(shapes)) and shapes[-1][0] in (1, 2)
        if not fits:
            raise ShapeError(f"A head needs layers that fit and 1 or 2 outputs; got weights of shapes {shapes}.")

    @property
    def inputs(self) -> int:
        return int(self.weights[0].shape[1])

    def logits(self, features: Real) -> Real:  # [f ...] -> [...]
        """Return the logits of the foreground."""
        if features.shape[0] != self.inputs:
            raise ShapeError(f"This head needs {self.inputs} features; got {features.shape[0]}.")
        flat = features.reshape(len(features), -1)
        out = np.empty(flat.shape[1], np.float32)
        with one_thread():
            for at in range(0, len(out), CHUNK):
                out[at : at + CHUNK] = self._contrast(self._layers(flat[:, at : at + CHUNK])[-1])
        return out.reshape(features.shape[1:])

    def probability(self, features: Real) -> Real:  # [f ...] -> [...]
        """Return the probability of the foreground."""
        return sigmoid(self.logits(features))

    def _layers(self, x: Real) -> list[Real]:
        """Return what every layer makes of features [f n], themselves first."""
        found = [x]
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = weight @ x + bias[:, None]
            if number + 1 < len(self.weights):
                np.maximum(x, 0, out=x)
            found.append(x)
        return found

    @staticmethod
    def _contrast(outputs: Real) -> Real:  # [1 n] or [2 n] -> [n]
        return np.asarray(outputs[-1] - outputs[0] if len(outputs) == 2 else outputs[0], np.float32)

    def gradients(self, x: Real, labels: Real, weights: Real) -> list[Real]:
        """Return how the weighted sum of cross entropies grows with each layer's weights, then with its biases."""
        found = self._layers(x)
        push = (weights * (sigmoid(self._contrast(found[-1])) - labels))[None]
        if len(found[-1]) == 2:
            push = np.concatenate([-push, push])
        steps: list[Real] = []
        shifts: list[Real] = []
        for number in reversed(range(len(self.weights))):
            steps.insert(0, push @ found[number].T)
            shifts.insert(0, push.sum(axis=1))
            if number:
                push = (self.weights[number].T @ push) * (found[number] > 0)
        return steps + shifts


def one_thread() -> AbstractContextManager[Any]:
    """Return a context in which matrix products take one thread.

    The products here are small: on a busy machine two threads that wait for each other took 60 times as long.
    """
    return cast("AbstractContextManager[Any]", _libraries().limit(limits=1, user_api="blas"))


@cache
def _libraries() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def save_head(head: Head, path: Path, **sizes: int) -> None:
    """Write a head to a file that `load_head` reads, and whole numbers that belong to its network beside it."""
    arrays = {f"weight{i}": w for i, w in enumerate(head.weights)} | {f"bias{i}": b for i, b in enumerate(head.biases)}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, **{name: value.astype(np.float16) for name, value in arrays.items()}, **sizes)  # type: ignore[arg-type]
    partial.replace(path)


def load_head(path: Path) -> Head:
    """Return a head from its file; ModelError when the file is missing or no head."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            layers = range(sum(name.startswith("weight") for name in arrays.files))
            weights = tuple(arrays[f"weight{i}"].astype(np.float32) for i in layers)
            biases = tuple(arrays[f"bias{i}"].astype(np.float32) for i in layers)
        return Head(weights, biases)
    except FileNotFoundError:
        raise ModelError(f"The file {path.name} is missing; it belongs beside the network's weights.") from None
    except Exception as error:
        raise ModelError(f"The file {path.name} could not be read as a network's head: {error}") from None


def size_beside(path: Path, name: str, default: int) -> int:
    """Return a whole number that `save_head` wrote, or the default where the file has none of that name."""
    with np.load(path, allow_pickle=False) as arrays:
        return int(arrays[name]) if name in arrays.files else default


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """The settings of `alternate`; the values are the paper's for 2D images."""

    smoothness: float = 3.0  # lambda: the cost of a boundary where the image has no edge, in logits
    sigma: float = 0.1  # the difference of intensities (0 to 1) at which a boundary becomes cheap
    low: float = 0.2  # t0: a voxel between this probability
    high: float = 0.7  # t1: and this one has weight 0
    near: float = 0.2  # epsilon: so has one within this geodesic distance of a mark that contradicts it
    marks: float = 5.0  # omega: the weight of a marked voxel
    weighted: bool = True  # without, every voxel has weight 1
    sure: float = SURE  # logits of the head are clipped to this in a cut
    rounds: int = 4
    rate: float = 1e-2
    steps: int = 20
    momentum: float = 0.9
    most: int = 1 << 13  # voxels in a step; of more, an even sample is taken
    guarded: bool = False  # leave out what would lose the object: a first cut, or an update that denies marks, too


IN_2D = Tuning()
# The paper's lambda of 10 and sigma of .1 cut everything away where a small PC-Net is not confident; these keep it.
IN_3D = Tuning(smoothness=1.0, sigma=0.02, high=0.6, most=1 << 14)


def finetune(
    features: Real,  # [f ...]
    labels: MaskArray,  # [...]
    weights: Real,  # [...] of the voxels
    head: Head,
    *,
    rate: float = 1e-2,
    steps: int = 20,
    momentum: float = 0.9,
    most: int | None = None,
) -> Head:
    """Return the head after some steps down the weighted mean cross entropy of labels on features.

    >>> features = np.array([[-1.0, -2.0, 1.0, 3.0]], np.float32)
    >>> blank = Head((np.zeros((1, 1), np.float32),), (np.zeros(1, np.float32),))
    >>> finetuned = finetune(features, features[0] > 0, np.ones(4, np.float32), blank, rate=1.0)
    >>> (finetuned.logits(features) > 0).tolist()
    [False, False, True, True]
    """
    if labels.shape != features.shape[1:] or weights.shape != labels.shape:
        raise ShapeError(
            f"Fine-tuning needs labels and weights for every voxel of {features.shape[1:]}; "
            f"got {labels.shape} and {weights.shape}."
        )
    flat, wanted = features.reshape(len(features), -1), labels.ravel()
    chosen, shares = _chosen(weights.ravel(), most)
    if not len(chosen):
        return head
    x = np.ascontiguousarray(flat[:, chosen])
    y, shares = wanted[chosen].astype(np.float32), np.asarray(shares / shares.sum(), np.float32)
    layers = len(head.weights)
    values = [value.copy() for value in (*head.weights, *head.biases)]
    speed = [np.zeros_like(value) for value in values]
    with one_thread():
        for _ in range(steps):
            slopes = [np.zeros_like(value) for value in values]
            for at in range(0, len(y), CHUNK):
                part = slice(at, at + CHUNK)
                for slope, found in zip(slopes, head.gradients(x[:, part], y[part], shares[part]), strict=True):
                    slope += found
            for value, velocity, slope in zip(values, speed, slopes, strict=True):
                velocity *= np.float32(momentum)
                velocity -= np.float32(rate) * slope
                value += velocity
            head = Head(tuple(values[:layers]), tuple(values[layers:]))
    return head


def _chosen(weights: Real, most: int | None) -> tuple[NDArray[np.intp], Real]:
    """Return the voxels to train on and their weights: all of the largest weight, and an even sample of the others."""
    chosen = np.flatnonzero(weights > 0)
    if most is None or len(chosen) <= most:
        return chosen, weights[chosen]
    top = weights[chosen] == weights.max()
    first, rest = chosen[top], chosen[~top]
    if not len(rest) or len(first) >= most // 2:  # no few that count more than the others
        first, rest = chosen[:0], chosen
    kept = rest[np.arange(most - len(first)) * len(rest) // (most - len(first))]
    scaled = weights[kept] * np.float32(weights[rest].sum() / weights[kept].sum())
    return np.concatenate([first, kept]), np.concatenate([weights[first], scaled])


class Edges:
    """The pairwise costs of an image of intensities 0 to 1, computed once for many cuts.

    >>> intensities = np.array([[[0.1, 0.1, 0.9, 0.9]]], np.float32)
    >>> logits = np.array([[[-2.0, 0.5, -0.5, 2.0]]], np.float32)
    >>> Edges(intensities, IN_2D).cut(logits, np.zeros((1, 1, 4), np.uint8))
    array([[[False, False,  True,  True]]])
    """

    def __init__(self, values: Real, tuning: Tuning, spacing: Sequence[float] = (1.0, 1.0, 1.0)) -> None:
        self.steps = offsets(values.shape, diagonal=values.shape[0] == 1)
        alike = likeness(values[None], self.steps, spacing=spacing, sharpness=1 / (2 * tuning.sigma**2))
        self.pairwise = whole_numbers(alike, scale=SCALE * tuning.smoothness)

    def cut(self, logits: Real, marked: NDArray[np.uint8]) -> MaskArray:
        """Return the labels of least energy; marked voxels keep their label."""
        unary = whole_numbers(np.clip(logits, -SURE, SURE), scale=SCALE)
        return cut(unary, self.pairwise, steps=self.steps, fixed=marked).inside


@dataclass(frozen=True, eq=False)
class Finetuned:
    """The result of `alternate`: the fine-tuned head, its probability, and the last cut of that."""

    head: Head
    probability: Real  # [z y x]
    labels: MaskArray  # [z y x]


def alternate(
    features: Real,  # [f z y x]
    values: Real,  # [z y x] the image's intensities, on the scale that `sigma` and `near` are meant for
    head: Head,
    *,
    marked: NDArray[np.uint8],  # [z y x] UNKNOWN, FOREGROUND or BACKGROUND
    tuning: Tuning = IN_2D,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    said: Real | float = 0.0,  # [z y x] logits that every cut adds to the head's, such as those round a mark
    expected: bool = False,  # there is an object: where a guarded head finds none, its likeliest voxels are
) -> Finetuned:
    """Return the labels of an image after graph cuts and fine-tuning in turn, starting from a trained head.

    Without marks it is the unsupervised mode of the paper, with them the supervised one; with no rounds it is a
    graph cut of the trained head's logits.
    """
    if values.shape != features.shape[1:] or marked.shape != values.shape:
        raise ShapeError(
            f"Fine-tuning needs intensities and marks for every voxel of {features.shape[1:]}; "
            f"got {values.shape} and {marked.shape}."
        )
    edges = Edges(values, tuning, spacing)
    contradicts = (_near(values, marked == FOREGROUND, tuning), _near(values, marked == BACKGROUND, tuning))
    logits = head.logits(features)
    labels = edges.cut(np.clip(logits, -tuning.sure, tuning.sure) + said, marked)
    if tuning.guarded and not (labels & (marked == UNKNOWN)).any():  # a cut that leaves nothing of what the head says
        found = logits > 0
        if expected and not (found & (marked == UNKNOWN)).any():
            found = _likeliest(logits, marked == UNKNOWN)
        labels = (found | (marked == FOREGROUND)) & (marked != BACKGROUND)
    for _ in range(tuning.rounds):
        weights = voxel_weights(sigmoid(logits), labels, marked, contradicts, tuning)
        if tuning.guarded and not _both_sides(labels, weights):
            break
        taught = finetune(
            features,
            labels,
            weights,
            head,
            rate=tuning.rate,
            steps=tuning.steps,
            momentum=tuning.momentum,
            most=tuning.most,
        )
        after = taught.logits(features)
        changed = edges.cut(np.clip(after, -tuning.sure, tuning.sure) + said, marked)
        if tuning.guarded and _collapses((logits, labels), (after, changed), marked):
            break  # the next round would start from the same and end in the same
        head, logits, labels = taught, after, changed
    return Finetuned(head, sigmoid(logits), labels)


def _likeliest(logits: Real, free: MaskArray) -> MaskArray:
    """Return the free voxels whose logits are nearer to the highest of them than to their median.

    >>> _likeliest(np.array([-9.0, -8.0, -1.0, -2.0, -8.0]), np.ones(5, bool)).tolist()
    [False, False, True, True, False]
    """
    if not free.any():
        return free
    return np.asarray(free & (2 * logits > float(logits[free].max()) + float(np.median(logits[free]))))


def _both_sides(labels: MaskArray, weights: Real) -> bool:
    """Tell whether voxels of both labels count: from one side alone a network learns that there is no other."""
    return bool((labels & (weights > 0)).any() and (~labels & (weights > 0)).any())


def _collapses(before: tuple[Real, MaskArray], after: tuple[Real, MaskArray], marked: NDArray[np.uint8]) -> bool:
    """Tell whether, by logits and labels, nothing but the marks is left of an object, or fewer marks are agreed with.

    >>> marked = np.array([[[FOREGROUND, UNKNOWN]]], np.uint8)
    >>> full, bare = np.array([[[True, True]]]), np.array([[[True, False]]])
    >>> logits = np.array([[[2.0, 1.0]]])
    >>> [_collapses((logits, full), (after, labels), marked) for after, labels in ((logits, bare), (-logits, full))]
    [True, True]
    >>> _collapses((logits, bare), (logits, full), marked)
    False
    """
    unmarked = marked == UNKNOWN
    if (before[1] & unmarked).any() and not (after[1] & unmarked).any():
        return True
    return _agreement(after[0], marked) < _agreement(before[0], marked)


def _agreement(logits: Real, marked: NDArray[np.uint8]) -> float:
    """Return the share of the marks of each side that the network agrees with, both sides counting alike."""
    inside, outside = logits[marked == FOREGROUND] > 0, logits[marked == BACKGROUND] <= 0
    return float(inside.mean() if inside.size else 1.0) + float(outside.mean() if outside.size else 1.0)


def voxel_weights(
    probability: Real,
    labels: MaskArray,
    marked: NDArray[np.uint8],
    near: tuple[MaskArray, MaskArray],  # voxels close to the marks inside, and to those outside
    tuning: Tuning,
) -> Real:
    """Return the weight of each voxel: marks most, uncertain ones 0 (the paper's equation 12).

    >>> p, labels = np.array([[[0.9, 0.5, 0.1, 0.1]]]), np.array([[[True, True, False, False]]])
    >>> marked, inside = np.array([[[0, 0, 0, 1]]], np.uint8), np.array([[[False, False, True, True]]])
    >>> voxel_weights(p, labels, marked, (inside, ~inside & False), Tuning()).tolist()
    [[[1.0, 0.0, 0.0, 5.0]]]
    """
    weights = np.ones(labels.shape, np.float32)
    if not tuning.weighted:
        return weights
    inside, outside = near
    weights[(probability > tuning.low) & (probability < tuning.high)] = 0
    weights[(inside & ~labels) | (outside & labels)] = 0
    weights[marked != UNKNOWN] = tuning.marks
    return weights


def _near(values: Real, sources: MaskArray, tuning: Tuning) -> MaskArray:
    """Return the voxels within a short geodesic distance of the marks.

    A path's length counts in the crop's longest side, so that position and intensity both go from 0 to 1.
    """
    if not sources.any() or not tuning.weighted or not tuning.rounds:
        return np.zeros(sources.shape, bool)
    step = 1 / max(values.shape)
    return np.asarray(geodesic(values[None], sources, spacing=(step, step, step), passes=2) < tuning.near)
