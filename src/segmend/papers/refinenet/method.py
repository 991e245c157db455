"""RefineNet: Kitrungrotsakul et al., Interactive deep refinement network for medical image segmentation.

A backbone guesses the object in a slice, once, at three scales. A light refiner takes these guesses and seed points,
each a Gaussian, and guesses again: once an interaction. Seeds are the person's marks or, in a volume, what the slice
beside an answered one gives: the skeleton of its mask is foreground, the rim of its dilated mask background. So a
mask goes from slice to slice both ways until the object ends, from one given slice or from one that was corrected.
Where the guess is near to neither class, the prediction says that it is uncertain.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, label

from segmend.classical.solvers.densecrf import densecrf
from segmend.core.image import Box, Image, MaskArray, Real, whole
from segmend.core.logits import sigmoid
from segmend.core.marks import marks
from segmend.core.prompts import Click, Mask, Prompt, extent
from segmend.core.seeds import BACKGROUND, FOREGROUND, UNKNOWN, seeds_of_errors, seeds_of_mask
from segmend.core.segmenter import Prediction, Segmenter, Workspace, replaced
from segmend.errors import ModelError
from segmend.runtime import cards
from segmend.runtime.engine import AUTO, Device, Engine, weights_file, weights_of
from segmend.sampling.intensity import colour_or_grey, plane_intensity_channels
from segmend.sampling.slice_prompts import (
    has_marks,
    key_index,
    marked_pixels,
    plane_axis,
    slice_range,
)
from segmend.sampling.slices import PlaneAnswer, SliceWorkspace, continues, nearly_equal, plane_prediction
from segmend.sampling.window import Plane, Window, cells_on_plane, resample_to_grid, resample_to_whole_plane
from segmend.solvers.edges import noise

METHOD = cards.method("refinenet")

CELLS = 128  # the side of the grid the networks were trained on
CHANNELS = 4  # red, green, blue and an equalised grey
SCALES = ("whole", "half", "quarter")
BACKBONE, REFINER = "refinenet_backbone.onnx", "refinenet_refiner.onnx"
SIGMA = 2.0  # cells: the width of a seed
HINT = 0.5  # how high the seeds are that a neighbouring slice gives, beside a person's: they may be wrong
AWAY = 3  # cells between a slice's mask and the rim of background seeds that it gives its neighbours
KEPT = 64  # slices whose guesses are kept: 0.7 MB each
STRANGE = 2.0  # deviations of the intensities in the first slice's mask: beyond them a mask is of something else
BELIEVED = 0.4  # of what the backbone thinks of the first slice's mask: with less the object has ended
CLEAR = 4 * SIGMA  # cells round a mark in which older seeds of the other class no longer count

NOTHING = Mask(np.zeros((1, 1, 1), bool))  # asks for the first guess, as no prompt does

Grid = NDArray[np.bool_]  # [n n]


def load(weights: Path | None = None, device: Device = AUTO, variant: str = "") -> Segmenter:
    """Return the method with the weights that are shipped in the package, or others.

    A variant is another backbone, whose shipped weights have its name (a folder's are of the backbone it was trained
    with), or a dense CRF in place of the refiner; `cascaded_crf` is both.
    """
    backbone, _, last = variant.rpartition("_") if variant.endswith("_crf") else (variant, "", "")
    crf = variant == "crf" or last == "crf"
    backbone = "" if variant == "crf" else backbone
    return _loaded(backbone, weights, device, crf=crf)


def _loaded(variant: str, weights: Path | None, device: Device, *, crf: bool) -> RefineNet:
    if not variant or weights is not None:
        first, refiner = (weights_of(METHOD.id, name, weights, device) for name in (BACKBONE, REFINER))
        return RefineNet(first, refiner, crf)
    names = [name.replace("refinenet_", f"refinenet_{variant}_") for name in (BACKBONE, REFINER)]
    if missing := next((name for name in names if not weights_file(name).is_file()), None):
        raise ModelError(
            f"The file {missing} is not shipped; make weights with: segmend train refinenet --data DIR --out DIR "
            f"--set backbone={variant}, and use them with --weights DIR"
        )
    first, refiner = (weights_of(METHOD.id, name, None, device) for name in names)
    return RefineNet(first, refiner, crf)


@dataclass(frozen=True, eq=False)
class RefineNet(Segmenter):
    """The method round any two engines.

    The backbone maps `x` [b 4 n n] to `whole`, `half` and `quarter`; the refiner maps these three and `seeds` [b 2 n n]
    to `logits` [b 2 n n], background and foreground.
    """

    backbone: Engine
    refiner: Engine
    crf: bool = False  # refine the backbone's answer by a dense CRF, in 3D for a volume

    def open(self, image: Image) -> Workspace:
        return CrfWorkspace(self, image) if self.crf else RefineNetWorkspace(self, image)


class CrfWorkspace(Workspace):
    """One image: the backbone's probabilities, slice by slice, and a dense CRF over all of them in which marks hold."""

    def __init__(self, method: RefineNet, image: Image) -> None:
        self._slices = RefineNetWorkspace(replace(method, crf=False), image)
        self.image = image
        self._guess: Real | None = None

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        METHOD.check(prompts)
        newest = prompts[-1] if prompts else NOTHING
        if isinstance(newest, Mask) and newest.inside.any():
            return replaced(newest, previous)
        if self._guess is None:
            axis = plane_axis(Click((0, 0, 0)), self.image)
            planes = [self._slices.backbone_answer(axis, z).probability for z in range(self.image.shape[axis])]
            self._guess = np.stack(planes, axis=axis)
        pinned = np.full(previous.shape, UNKNOWN, np.uint8)
        boxes = [prompt for prompt in prompts if isinstance(prompt, Box)]
        if boxes:
            pinned[:] = BACKGROUND
            pinned[boxes[-1].slices] = UNKNOWN
        for points, side in zip(marks(prompts, previous.shape), (FOREGROUND, BACKGROUND), strict=True):
            pinned[tuple(points.T)] = side
        spacing = self.image.spacing / self.image.spacing.min()
        probability = densecrf(self._guess, in_noise(self.image), spacing=spacing.tolist(), pinned=pinned)
        uncertainty = np.asarray(1 - np.abs(2 * probability - 1), np.float32)
        return Prediction(probability, whole(previous.shape), uncertainty=uncertainty)


def in_noise(image: Image) -> Real:  # [c z y x]
    """Return an image's values in units of their noise, as the dense CRF's kernels are meant for."""
    values = colour_or_grey(image.voxels).astype(np.float32)
    unit = np.maximum(noise(values), 1e-3 * np.maximum(np.ptp(values, axis=(1, 2, 3)), 1e-6))
    return np.asarray(values / unit[:, None, None, None], np.float32)


class RefineNetWorkspace(SliceWorkspace):
    """One image; what the backbone makes of a slice is kept."""

    title = METHOD.title

    def __init__(self, method: RefineNet, image: Image) -> None:
        super().__init__(image)
        self._method = method
        self._guesses: OrderedDict[tuple[int, int], dict[str, Real]] = OrderedDict()

    def stream(self, prompts: Sequence[Prompt], previous: MaskArray) -> Iterator[Prediction]:
        METHOD.check(prompts)
        newest = prompts[-1] if prompts else NOTHING
        if isinstance(newest, Mask) and not newest.inside.any():
            yield from self._without_prompts()
            return
        axis = plane_axis(newest, self.image)
        if isinstance(newest, Mask):
            given = replaced(newest, previous)
            yield replace(given, uncertainty=np.zeros(given.box.shape, np.float32))
            if _is_given(newest, axis) and self.image.shape[axis] > 1:
                alone, index = np.zeros_like(previous), key_index(newest, axis)
                alone[newest.box.slices] = newest.inside
                yield from self._propagate(prompts, alone, axis, index, np.take(alone, index, axis))
            return
        index = key_index(newest, axis)
        first = self.answer(prompts, axis, index, np.take(previous, index, axis))
        yield self._person_seeds(first, axis, index)
        if self.image.shape[axis] > 1 and first.mask.any():
            yield from self._propagate(prompts, previous, axis, index, first.mask)

    def backbone_answer(self, axis: int, index: int) -> PlaneAnswer:
        """Return what the backbone alone makes of a slice."""
        return self._to_plane(of_two_classes(self._guess(axis, index)["whole"]), axis, index)

    def answer(self, prompts: Sequence[Prompt], axis: int, index: int, here: Plane) -> PlaneAnswer:
        """Return the refined slice, from its marks and from how its mask so far differs from the first guess."""
        foreground, background = self._marks(prompts, axis, index)
        if here.any() and (not self.image.flat or any(isinstance(prompt, Mask) for prompt in prompts)):
            guess = of_two_classes(self._guess(axis, index)["whole"]) > 0.5
            known = seeds_of_errors(self._to_grid(here, axis), guess)
            foreground, background = (
                foreground | _away_from(background, known.foreground),
                background | _away_from(foreground, known.background),
            )
        return self._refine(prompts, seed_maps(foreground, background), axis, index)

    def propagate(self, prompts: Sequence[Prompt], axis: int, index: int, beside: Plane) -> PlaneAnswer:
        """Return the refined slice, from the seeds that the slice beside it gives and from marks of its own."""
        given = seeds_of_mask(self._to_grid(beside, axis), away=AWAY)
        foreground, background = self._marks(prompts, axis, index)
        hints = _away_from(background, given.foreground), _away_from(foreground, given.background)
        seeds = np.maximum(seed_maps(foreground, background), HINT * seed_maps(*hints))
        answer = self._refine(prompts, seeds, axis, index)
        return replace(answer, probability=touching(answer.probability, beside))

    def uncertainty(self, answer: PlaneAnswer) -> Real:
        """Return how near each pixel's probability is to neither class, 0 (sure) to 1."""
        return np.asarray(1 - np.abs(2 * answer.probability - 1), np.float32)

    def _without_prompts(self) -> Iterator[Prediction]:
        axis = plane_axis(Click((0, 0, 0)), self.image)
        for index in range(self.image.shape[axis]):
            nothing = np.zeros(np.delete(self.image.shape, axis), bool)
            yield self._person_seeds(self.answer((), axis, index, nothing), axis, index)

    def _propagate(
        self, prompts: Sequence[Prompt], mask: MaskArray, axis: int, index: int, here: Plane
    ) -> Iterator[Prediction]:
        """Go from slice to slice, both ways, each result giving the next its seeds, until the object ends."""
        first, last = slice_range(prompts, axis, self.image.shape[axis])
        begun = self._trace(axis, index, here)
        given = {key_index(p, axis) for p in prompts if isinstance(p, Mask) and _is_given(p, axis)}
        fronts = dict.fromkeys((-1, 1), (index, here))
        while fronts:
            for step, (at, before) in list(fronts.items()):
                del fronts[step]
                after = at + step
                if not first <= after < last or after in given or has_marks(prompts, axis, after):
                    continue
                fresh = self.propagate(prompts, axis, after, before)
                if not continues(before, fresh.mask) or begun.ends(self._trace(axis, after, fresh.mask)):
                    continue
                yield self._person_seeds(fresh, axis, after)
                if not nearly_equal(np.take(mask, after, axis), fresh.mask):
                    fronts[step] = (after, fresh.mask)

    def _trace(self, axis: int, index: int, here: Plane) -> _SliceStatistics:
        intensities = self.channels(axis, index).astype(np.float32).mean(axis=0)
        floor = 0.05 * float(np.ptp(intensities))
        probability = self.backbone_answer(axis, index).probability[here]
        return _SliceStatistics(
            float(intensities[here].mean()), max(float(intensities[here].std()), floor), float(probability.mean())
        )

    def _person_seeds(self, answer: PlaneAnswer, axis: int, index: int) -> Prediction:
        return replace(
            plane_prediction(answer, axis, index), uncertainty=np.expand_dims(self.uncertainty(answer), axis)
        )

    def _guess(self, axis: int, index: int) -> dict[str, Real]:
        key = axis, index
        if key not in self._guesses:
            channels = self.channels(axis, index)
            x = see_image(channels, self.whole_window(axis), CELLS)[None]
            self._guesses[key] = self._method.backbone.run({"x": x})
            if len(self._guesses) > KEPT:
                self._guesses.popitem(last=False)
        self._guesses.move_to_end(key)
        return self._guesses[key]

    def _refine(self, prompts: Sequence[Prompt], seeds: Real, axis: int, index: int) -> PlaneAnswer:
        guess = self._guess(axis, index)
        inputs = {**{scale: guess[scale] for scale in SCALES}, "seeds": seeds[None]}
        logits = self._method.refiner.run(inputs)["logits"]
        answer = self._to_plane(of_two_classes(logits), axis, index)
        return replace(answer, probability=within_boxes(answer.probability, prompts, axis, index))

    def _to_plane(self, probability: Real, axis: int, index: int) -> PlaneAnswer:
        rows, columns = (int(n) for n in np.delete(self.image.shape, axis))
        return PlaneAnswer(resample_to_whole_plane(probability, self.whole_window(axis), rows, columns))

    def _to_grid(self, plane: Plane, axis: int) -> Grid:
        return np.asarray(resample_to_grid(plane, self.whole_window(axis), CELLS) > 0.5)

    def _marks(self, prompts: Sequence[Prompt], axis: int, index: int) -> tuple[Grid, Grid]:
        """Return the cells of the foreground and the background seeds that a person put down in a slice."""
        window = self.whole_window(axis)
        foreground, background = (
            _cells(marked_pixels(prompts, axis, index, positive=positive), window) for positive in (True, False)
        )
        for box in _boxes(prompts, axis, index):
            low, high = np.delete(box.low, axis), np.delete(box.high, axis) - 1
            ys, xs = np.arange(low[0] - 1, high[0] + 2), np.arange(low[1] - 1, high[1] + 2)
            sides = [(ys, low[1] - 1), (ys, high[1] + 1), (low[0] - 1, xs), (high[0] + 1, xs)]
            for side in sides:
                background |= _cells(np.column_stack(np.broadcast_arrays(*side)), window)
        return foreground, background & ~foreground


@dataclass(frozen=True)
class _SliceStatistics:
    """What the image and the backbone say of a slice's mask."""

    intensity: float
    spread: float
    probability: float

    def ends(self, other: _SliceStatistics) -> bool:
        """Tell whether another slice's mask is hardly of the same object any more.

        Both bars were chosen on training cases: 3 % of an object's slices lie beyond them, most of them tips, and
        three fifths of the slices past the ends into which a network of 180 steps carried its mask.
        """
        return (
            abs(other.intensity - self.intensity) > STRANGE * self.spread
            or other.probability < BELIEVED * self.probability
        )


def see_image(channels: NDArray[np.generic], window: Window, cells: int) -> Real:  # [c y x] -> [4 n n]
    """Return the image's four input channels, 0 to 1 between the window's percentiles."""
    seen = np.stack([resample_to_grid(channel, window, cells) for channel in colour_or_grey(channels)])
    rows, columns = channels.shape[1:]
    return plane_intensity_channels(seen, cells_on_plane(window, rows, columns, cells))


def seed_maps(foreground: Grid, background: Grid) -> Real:  # -> [2 n n]
    """Return the two seed maps: at each cell the Gaussian of the nearest seed, which is the largest of all seeds'.

    >>> one = np.zeros((3, 4), bool); one[1, 1] = True
    >>> seed_maps(one, np.zeros_like(one))[0].round(2)
    array([[0.78, 0.88, 0.78, 0.54],
           [0.88, 1.  , 0.88, 0.61],
           [0.78, 0.88, 0.78, 0.54]], dtype=float32)
    """
    maps = np.zeros((2, *foreground.shape), np.float32)
    for out, seeds in zip(maps, (foreground, background), strict=True):
        if seeds.any():
            out[:] = np.exp(-(np.asarray(distance_transform_edt(~seeds)) ** 2) / (2 * SIGMA**2))
    return maps


def of_two_classes(logits: Real) -> Real:  # [1 c n n] background, foreground, ... -> [n n]
    """Return the probability of the foreground of two classes."""
    return sigmoid(logits[0, 1] - logits[0, 0])


def _cells(pixels: NDArray[np.intp], window: Window) -> Grid:  # [n 2]
    grid = np.zeros((CELLS, CELLS), bool)
    if len(pixels):
        y, x = window.cell(pixels[:, 0], pixels[:, 1], CELLS)  # type: ignore[arg-type]
        y, x = np.rint(y).astype(np.intp), np.rint(x).astype(np.intp)
        here = (y >= 0) & (y < CELLS) & (x >= 0) & (x < CELLS)
        grid[y[here], x[here]] = True
    return grid


def _away_from(marks: Grid, seeds: Grid) -> Grid:
    """Return the seeds that are not close to marks of the other class."""
    return seeds & (np.asarray(distance_transform_edt(~marks)) > CLEAR) if marks.any() else seeds


def touching(probability: Real, beside: Plane) -> Real:
    """Return the probabilities without the parts that have nothing to do with the slice beside."""
    parts, count = label(probability > 0.5)
    if count == 0:
        return probability
    kept = np.unique(parts[binary_dilation(beside, iterations=2)])
    return np.where((parts > 0) & ~np.isin(parts, kept), 0, probability).astype(np.float32)


def _boxes(prompts: Sequence[Prompt], axis: int, index: int) -> list[Box]:
    return [p for p in prompts if isinstance(p, Box) and p.low[axis] <= index < p.high[axis]]


def within_boxes(probability: Real, prompts: Sequence[Prompt], axis: int, index: int) -> Real:
    """Return the probabilities of a plane, none left outside its boxes."""
    for box in _boxes(prompts, axis, index):
        (top, left), (bottom, right) = np.delete(box.low, axis), np.delete(box.high, axis)
        kept = np.zeros_like(probability)
        kept[top:bottom, left:right] = probability[top:bottom, left:right]
        probability = kept
    return probability


def _is_given(mask: Mask, axis: int) -> bool:
    """Tell whether a mask is one slice of an object, from which the others follow."""
    box = extent(mask)
    return box is not None and box.shape[axis] == 1
