"""How quality learns: a plain U-Net first, then a refiner of its masks that also says how good each of them is.

The refiner's masks are the base network's, the same perturbed, and the truth perturbed: deformed, eroded or dilated,
with noise, rotated, flipped, shifted. The quality of each is known, since the truth is. With `own`, a mask
first goes through the refiner up to so many times, so that it learns to refine its own output: from scratch, or, with
`start`, from the weights of an earlier run (the paper's "warm").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from segmend.core.image import Real
from segmend.errors import ModelError, SettingsError
from segmend.learning.augment import random_grid, warp
from segmend.learning.loop import CHECKPOINT
from segmend.learning.losses import soft_dice
from segmend.learning.precision import autocast
from segmend.learning.sheets import Example, sheet
from segmend.learning.slices import (
    Crop,
    SliceSampler,
    augment_crop,
    drawn_crop,
    label_values,
    random_crop,
    slices_with,
)
from segmend.learning.subjects import Subject
from segmend.learning.subjects import subjects as found_subjects
from segmend.nets.quality import Base, Refiner
from segmend.papers.quality.method import CELLS
from segmend.runtime.engine import export_network
from segmend.sampling.intensity import plane_intensity_channels

Flat = NDArray[np.bool_]  # [n n]
Masks = NDArray[np.bool_]  # [b n n]
NAME = "quality"
STARTS = ("base", "perturbed base", "perturbed truth")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run depends on; saved with its weights."""

    steps: int = 2000
    first: float = 0.35  # the share of the steps, the first ones, in which the base network learns
    batch: int = 12
    rate: float = 2e-3
    decay: float = 1e-4  # of the weights, added to their gradient as L2 regularisation is
    seed: int = 0
    average: float = 0.99  # of the weights' moving mean
    sets: tuple[str, ...] = ()  # the names of the data sets to learn from; empty for all
    cells: int = CELLS
    widths: tuple[int, ...] = (12, 24, 48, 96)
    dense: int = 32
    norm: bool = True
    weight: float = 1.0  # of the quality's squared error, the paper's lambda; 0: no quality
    own: int = 1  # times that a mask may go through the refiner before it is learned from
    start: str = ""  # the folder of an earlier run whose weights to start from
    varied: bool = True  # pictures too, not only masks
    synthetic: float = 0.2  # the share of drawn scenes, for the refiner alone

    def __post_init__(self) -> None:
        if not 0 <= self.first <= 1:
            raise SettingsError(f"The base's share of the steps needs to be 0 to 1; got {self.first}.")
        step = 2 ** (len(self.widths) - 1)
        if self.cells % step:
            raise SettingsError(f"A network of {len(self.widths)} widths needs cells by {step}; got {self.cells}.")

    @property
    def base_steps(self) -> int:
        return round(self.first * self.steps)


PAPER = replace(
    Settings(), widths=(32, 64, 128, 256), dense=64, norm=False, rate=1e-4, decay=2e-3, average=0.0, own=0,
    varied=False, synthetic=0.0, first=0.5,
)  # fmt: skip


# 500 epochs at most for each network and 50 without a better validation; the rate stays.
PAPER_LOOP = {"epochs": 1000, "patience": 50, "clip": 0.0, "schedule": "constant"}


def patience_from(settings: Settings) -> int:
    """Return the step from which validations count for patience: while the base learns, nothing is refined yet."""
    return settings.base_steps if settings.first < 1 else 0


def subjects(data: Path, split: str, settings: Settings) -> list[Subject]:
    """Return the cases of a split that hold an object, of the sets that the settings name."""
    return found_subjects(data, split, names=settings.sets)


def samples_in(training: Sequence[Subject], settings: Settings) -> int:
    """Return how many pictures a pass over the cases is: of a volume, its slices with an object."""
    return sum(len(slices_with(subject, label_values(subject))) for subject in training)


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture and its foreground; `start` says which mask the refiner is given, made by the generator of `seed`."""

    image: Real  # [3 n n]
    truth: Flat
    start: str  # one of STARTS
    times: int  # through the refiner before it is learned from
    seed: int
    drawn: bool  # a scene, of which no network could know the object
    settings: Settings


@dataclass(frozen=True, eq=False)
class Sampler(SliceSampler):
    """Draws samples by number: the same number is the same sample in any process."""

    settings: Settings

    def __getitem__(self, number: int) -> Sample:
        s = self.settings
        rng = np.random.default_rng((s.seed, number))
        drawn = number >= s.base_steps * s.batch and rng.random() < s.synthetic
        if drawn:
            crop = drawn_crop(rng, s.cells)
        else:
            crop = random_crop(rng, self.pool.draw(rng), s.cells, whole=1.0, merged=1.0)
        if s.varied:
            crop = augment_crop(rng, crop)
        start = "perturbed truth" if drawn else str(rng.choice(STARTS, p=[0.4, 0.2, 0.4]))
        return sample(
            crop, s, start=start, times=int(rng.integers(s.own + 1)), seed=int(rng.integers(2**31)), drawn=drawn
        )


def sample(
    crop: Crop, settings: Settings, *, start: str = "base", times: int = 0, seed: int = 0, drawn: bool = False
) -> Sample:
    """Return a crop as a sample."""
    return Sample(
        plane_intensity_channels(crop.picture, crop.valid, zero_if_constant=True)[:3],
        crop.truth,
        start,
        times,
        seed,
        drawn,
        settings,
    )


def perturb(rng: np.random.Generator, mask: Flat) -> Flat:
    """Return the mask with one to three of the paper's perturbations, each of a random size."""
    out = mask
    for fault in rng.permutation(len(PERTURBATIONS))[: int(rng.integers(1, 4))]:
        out = PERTURBATIONS[fault](rng, out)
    return out


def deform(rng: np.random.Generator, mask: Flat) -> Flat:
    """Return the mask after an elastic deformation."""
    grid = random_grid(rng, len(mask), turn=0, stretch=0, ripple=len(mask) / 16)
    return warp(mask, grid) > 0.5


def erode_or_dilate(rng: np.random.Generator, mask: Flat) -> Flat:
    """Return the mask eroded or dilated by a few cells."""
    times = int(rng.integers(1, max(2, len(mask) // 20)))
    change = ndimage.binary_erosion if rng.random() < 0.5 else ndimage.binary_dilation
    return np.asarray(change(mask, iterations=times), bool)


def add_noise(rng: np.random.Generator, mask: Flat) -> Flat:
    """Return the mask with flipped cells, or blobs of cells."""
    size = float(rng.uniform(0, 2.0))
    grain = ndimage.gaussian_filter(rng.standard_normal(mask.shape), size) if size > 0.5 else rng.random(mask.shape)
    return mask ^ (grain >= np.quantile(grain, 1 - rng.uniform(0.005, 0.08)))


def rotate(rng: np.random.Generator, mask: Flat) -> Flat:
    """Return the mask turned by up to 25 degrees round the middle of its object."""
    angle, middle = rng.uniform(-0.45, 0.45), _middle(mask)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = ndimage.affine_transform(mask.astype(np.float32), matrix, middle - matrix @ middle, order=1)
    return np.asarray(moved > 0.5)


def flip(rng: np.random.Generator, mask: Flat) -> Flat:
    """Return the mask mirrored about the middle of its object."""
    axis = int(rng.integers(2))
    middle = _middle(mask)[axis]
    return _shift(np.flip(mask, axis), axis, round(2 * middle - (len(mask) - 1)))


def shift(rng: np.random.Generator, mask: Flat) -> Flat:
    """Return the mask moved by up to an eighth of the picture."""
    most = len(mask) // 8
    for axis in (0, 1):
        mask = _shift(mask, axis, int(rng.integers(-most, most + 1)))
    return mask


PERTURBATIONS = (deform, erode_or_dilate, add_noise, rotate, flip, shift)


def _middle(mask: Flat) -> NDArray[np.float64]:
    if not mask.any():
        return (np.asarray(mask.shape) - 1) / 2
    return np.asarray(np.argwhere(mask).mean(axis=0))


def _shift(mask: Flat, axis: int, by: int) -> Flat:
    """Return the mask moved along an axis; what comes in is empty."""
    out = np.zeros_like(mask)
    count = mask.shape[axis]
    if abs(by) < count:
        to, since = [slice(None)] * 2, [slice(None)] * 2
        to[axis], since[axis] = slice(max(by, 0), count + min(by, 0)), slice(max(-by, 0), count - max(by, 0))
        out[tuple(to)] = mask[tuple(since)]
    return out


class BaseAndRefiner(nn.Module):
    """The two networks of the method; they learn one after the other."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.base = Base(inputs=3, widths=settings.widths, norm=settings.norm)
        self.refiner = Refiner(inputs=4, widths=settings.widths, dense=settings.dense, norm=settings.norm)


def build(settings: Settings) -> BaseAndRefiner:
    """Return the networks, untrained or with the averaged weights of the run in `start`."""
    torch.manual_seed(settings.seed)
    pair = BaseAndRefiner(settings)
    if settings.start:
        path = Path(settings.start) / CHECKPOINT
        try:
            pair.load_state_dict(torch.load(path, weights_only=True)["average"])
        except Exception as error:
            raise ModelError(f"The run to start from, {path}, could not be used: {type(error).__name__}.") from None
    return pair


def optimiser(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """Return Adam with the paper's L2 regularisation of the convolutions' and dense layers' weights."""
    kernels = [p for p in network.parameters() if p.ndim > 1]
    rest = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": kernels, "weight_decay": settings.decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.Adam(groups, settings.rate)


def share(step: int, settings: Settings) -> float:
    """Return the share of the learning rate at a step: a short rise, then a cosine, once for each network."""
    if step < settings.base_steps:
        at, steps = step, settings.base_steps
    else:
        at, steps = step - settings.base_steps, settings.steps - settings.base_steps
    rise = min(100, steps // 10 + 1)
    if at < rise:
        return (at + 1) / rise
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (at - rise) / max(steps - rise, 1)))


def loss(network: BaseAndRefiner, samples: Sequence[Sample], step: int = 0) -> Tensor:
    """Return the base's Dice loss in its steps, then the refiner's Dice loss and its quality's squared error."""
    truth = torch.from_numpy(np.stack([s.truth for s in samples])[:, None].astype(np.float32))
    images = _images(samples)
    if step < network.settings.base_steps:
        network.base.train()
        with autocast():
            logits = network.base(images)
        return soft_dice(logits.float(), truth)
    masks = given_masks(network, samples, images)
    network.refiner.train()
    with autocast():
        logits, quality = network.refiner(_image_and_mask(images, masks))
    found = soft_dice(logits.float(), truth)
    if not network.settings.weight:
        return found
    true = torch.from_numpy(dices(masks, samples).astype(np.float32))
    missed: Tensor = (quality[:, 0].float() - true).square().mean()
    return found + network.settings.weight * missed


def given_masks(network: BaseAndRefiner, samples: Sequence[Sample], images: Tensor) -> Masks:
    """Return the masks that the refiner is given."""
    masks = np.stack([s.truth for s in samples])
    base = first_masks(network, images) if any(s.start != "perturbed truth" for s in samples) else masks
    for i, one in enumerate(samples):
        mask = masks[i] if one.start == "perturbed truth" else base[i]
        masks[i] = mask if one.start == "base" else perturb(np.random.default_rng(one.seed), mask)
    for time in range(max(s.times for s in samples)):
        again = [i for i, s in enumerate(samples) if s.times > time]
        masks[again] = refine(network, images[again], masks[again])[0]
    return masks


def first_masks(network: BaseAndRefiner, images: Tensor) -> Masks:
    """Return the base's masks."""
    network.base.eval()
    with torch.inference_mode(), autocast():
        return cast(Masks, (network.base(images)[:, 0] > 0).numpy())


def refine(network: BaseAndRefiner, images: Tensor, masks: Masks) -> tuple[Masks, NDArray[np.float32]]:
    """Return the refiner's masks, and the quality that it predicts of those it was given."""
    network.refiner.eval()
    with torch.inference_mode(), autocast():
        logits, quality = network.refiner(_image_and_mask(images, masks))
    return (logits[:, 0] > 0).numpy(), quality[:, 0].float().numpy()


@dataclass(frozen=True, eq=False)
class Chain:
    """Masks refined again and again; number 0 is the base's."""

    dice: NDArray[np.float64]  # [iterations + 1, b] true
    predicted: NDArray[np.float32]  # [iterations + 1, b]
    masks: Masks  # [iterations + 1, b, n, n]


def chain(network: BaseAndRefiner, samples: Sequence[Sample], iterations: int) -> Chain:
    """Return what becomes of the base's masks when they are refined so many times, and how good each is."""
    images = _images(samples)
    masks, predicted = [first_masks(network, images)], []
    for _ in range(iterations + 1):
        better, quality = refine(network, images, masks[-1])
        masks.append(better)
        predicted.append(quality)
    masks.pop()
    return Chain(np.stack([dices(m, samples) for m in masks]), np.stack(predicted), np.stack(masks))


def count_rises(values: NDArray[np.floating[Any]]) -> int:
    """Return the number after which a row of values no longer rises.

    >>> count_rises(np.array([0.5, 0.7, 0.7, 0.9]))
    1
    """
    for number in range(len(values) - 1):
        if values[number + 1] <= values[number]:
            return number
    return len(values) - 1


def dices(masks: Masks, samples: Sequence[Sample]) -> NDArray[np.float64]:
    """Return each mask's Dice."""
    truth = np.stack([s.truth for s in samples])
    total = masks.sum(axis=(1, 2)) + truth.sum(axis=(1, 2))
    return np.asarray(np.where(total == 0, 1.0, 2 * (masks & truth).sum(axis=(1, 2)) / np.maximum(total, 1)))


def _images(samples: Sequence[Sample]) -> Tensor:
    return torch.from_numpy(np.stack([s.image for s in samples])).contiguous(memory_format=torch.channels_last)


def _image_and_mask(images: Tensor, masks: Masks) -> Tensor:
    return torch.cat([images, torch.from_numpy(masks[:, None].astype(np.float32))], dim=1)


def validate(network: BaseAndRefiner, samples: Sequence[Sample]) -> dict[str, float]:
    """Return the mean Dice where the predicted quality says stop, that of the base and after one to four looks.

    And how far the predicted quality is off. A run of the base alone stops at the base's masks.
    """
    found = chain(network, samples, 4)
    alone = network.settings.first == 1
    stops = [0 if alone else count_rises(found.predicted[:, i]) for i in range(len(samples))]
    scores = {"dice": float(np.mean([found.dice[stop, i] for i, stop in enumerate(stops)]))}
    scores |= {f"dice_{k}": float(found.dice[k].mean()) for k in range(5)}
    return scores | {"quality_error": float(np.abs(found.predicted - found.dice)[:3].mean())}


def pictures(network: BaseAndRefiner, samples: Sequence[Sample]) -> NDArray[np.uint8]:  # [y x 3]
    """Return the base's masks of the samples, then those after one and after two looks."""
    rows = chain(network, samples, 2).masks
    return sheet([Example(s.image, s.truth, m) for row in rows for s, m in zip(samples, row, strict=True)])


def export(network: BaseAndRefiner, settings: Settings, folder: Path) -> tuple[Path, ...]:
    """Write both networks for the engine."""
    shared = {"widths": list(settings.widths), "norm": settings.norm}
    size = (settings.cells, settings.cells)
    base, refiner = folder / "quality_base.onnx", folder / "quality_refiner.onnx"
    export_network(
        network.base,
        base,
        architecture="quality:Base",
        settings={"inputs": 3, **shared},
        inputs={"x": torch.zeros(1, 3, *size)},
    )
    export_network(
        network.refiner,
        refiner,
        architecture="quality:Refiner",
        settings={"inputs": 4, "dense": settings.dense, **shared},
        inputs={"x": torch.zeros(1, 4, *size)},
        outputs=("logits", "quality"),
    )
    return base, refiner
