"""How iunet learns: random clicks of the object's size, and a Dice loss that a map of weights sharpens at the edge.

The map is 0 at the object's centre and rises as a Gaussian to 10 at its edge, inside and outside; clicks inside the
object enter it with weight 10, flat ("equal") or as a Gaussian hill ("gaussian"). A pixel counts one more than its
weight, as in the U-Net whose map this follows: with weights of 0 alone, false pixels far away would cost nothing.
The same weighted Dice is measured in testing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from segmend.core.image import Real
from segmend.core.masks import dice
from segmend.core.prompts import Click
from segmend.errors import SettingsError
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
from segmend.nets.iunet import IUNet
from segmend.papers.iunet.method import ALPHA, CELLS, FIRST_WIDTH, click_maps, click_width
from segmend.runtime.engine import export_network
from segmend.sampling.channels import stamp
from segmend.sampling.intensity import plane_intensity_channels
from segmend.sampling.window import Window
from segmend.users import RandomPair

Flat = NDArray[np.bool_]  # [n n]
Places = NDArray[np.float64]
NAME = "iunet"
MAX_WEIGHT = 10.0  # the loss's weight at the object's edge and under clicks
WEIGHTS = ("none", "map", "gaussian", "equal")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run depends on; saved with its weights."""

    steps: int = 2400
    batch: int = 16
    rate: float = 2e-3
    decay: float = 1e-4
    seed: int = 0
    average: float = 0.995  # of the weights' moving mean
    sets: tuple[str, ...] = ()  # the names of the data sets to learn from; empty for all
    cells: int = CELLS
    widths: tuple[int, ...] = (12, 24, 48, 64, 96)
    dropout: float = 0.1
    norm: bool = True
    clicks: bool = True  # False: the plain U-Net, which sees the image alone
    weights: str = "equal"  # none; map; map and gaussian or equal clicks
    width: float = 0.0  # of every click, in pixels; 0: alpha decides
    alpha: float = ALPHA  # of a click's width for each pixel of the object
    loose: float = (
        0.7  # deviation, in logarithms, of the mask whose size a click follows from the object; 0: the object's
    )
    most: int = 15  # interactions; each is one click inside and one beside the object
    whole: float = 0.4  # the share of looks at whole planes
    varied: bool = True  # rotation, deformation and intensity augmentation
    synthetic: float = 0.35  # the share of drawn scenes
    labels: tuple[int, ...] = ()  # the label values to learn; empty for all

    def __post_init__(self) -> None:
        if self.weights not in WEIGHTS:
            raise SettingsError(f"The loss's weights need to be one of {', '.join(WEIGHTS)}; got {self.weights!r}.")
        step = 2 ** (len(self.widths) - 1)
        if self.cells % step:
            raise SettingsError(f"A network of {len(self.widths)} widths needs cells by {step}; got {self.cells}.")
        if self.most < 1:
            raise SettingsError(f"Learning from clicks needs 1 interaction or more; got {self.most}.")


PAPER = replace(
    Settings(), widths=(64, 128, 256, 512, 1024), norm=False, cells=512, batch=8, rate=1e-4, decay=0.0, average=0.0,
    loose=0.0, most=1, whole=1.0, varied=False, synthetic=0.0,
)  # fmt: skip


# 100 epochs; the paper names no decay of the rate and no clipping.
PAPER_LOOP = {"epochs": 100, "clip": 0.0, "schedule": "constant"}


def subjects(data: Path, split: str, settings: Settings) -> list[Subject]:
    """Return the cases of a split that hold an object, of the sets that the settings name."""
    return found_subjects(data, split, names=settings.sets)


def samples_in(training: Sequence[Subject], settings: Settings) -> int:
    """Return how many slices of objects a pass over the cases is."""
    return sum(
        len(slices_with(subject, [value]))
        for subject in training
        for value in label_values(subject)
        if not settings.labels or value in settings.labels
    )


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture, its object, and the clicks of up to `most` interactions, of which it learns from the first `count`."""

    image: Real  # [1 n n]
    truth: Flat
    clicks: tuple[tuple[Click, ...], ...]
    count: int
    pixels: float  # of the mask whose size the clicks follow in learning; 0 for none yet
    settings: Settings


@dataclass(frozen=True, eq=False)
class Sampler(SliceSampler):
    """Draws samples by number: the same number is the same sample in any process."""

    settings: Settings

    def __getitem__(self, number: int) -> Sample:
        rng, s = np.random.default_rng((self.settings.seed, number)), self.settings
        if rng.random() < s.synthetic:
            drawn = drawn_crop(rng, s.cells)
        else:
            drawn = random_crop(rng, self.pool.draw(rng), s.cells, whole=s.whole, values=s.labels)
        if s.varied:
            drawn = augment_crop(rng, drawn)
        count = int(np.floor(np.exp(rng.uniform(0, np.log(s.most + 1)))))
        found = sample(drawn, s, count=min(count, s.most), seed=int(rng.integers(2**31)))
        return replace(found, pixels=_noisy_size(rng, found.pixels, s.loose)) if s.loose else found


def _noisy_size(rng: np.random.Generator, pixels: float, loose: float) -> float:
    """Return the pixels of a mask that is not the object's yet: of another size, or none."""
    return 0.0 if rng.random() < 0.25 else pixels * float(np.exp(rng.normal(0, loose)))


def sample(drawn: Crop, settings: Settings, *, count: int, seed: int) -> Sample:
    """Return a look with its clicks."""
    image = plane_intensity_channels(drawn.picture.mean(axis=0, keepdims=True), drawn.valid, zero_if_constant=True)[:1]
    truth = drawn.truth[None]
    robots = [RandomPair(seed + i) for i in range(settings.most)]
    clicks = tuple(robot(truth, ~truth) or () for robot in robots)
    return Sample(image, drawn.truth, clicks, count, float(truth.sum()), settings)


def weight_map(truth: Flat) -> Real:
    """Return 0 at the object's deepest pixel, rising as a Gaussian to 10 at its edge, and falling again outside.

    The Gaussian's deviation is a third of the object's depth.

    >>> weight_map(np.array([[0, 1, 1, 1, 1, 1, 0]], bool)).round(1).tolist()
    [[10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0]]
    """
    if not truth.any():
        return np.zeros(truth.shape, np.float32)
    inner = np.asarray(ndimage.distance_transform_edt(np.pad(truth, 1)))[1:-1, 1:-1]
    outer = np.asarray(ndimage.distance_transform_edt(~truth)) if not truth.all() else inner
    distance = np.where(truth, inner, outer) - 1
    deepest = float(inner.max()) - 1
    if deepest == 0:
        return np.asarray(MAX_WEIGHT * (distance <= 0), np.float32)
    least = np.exp(-4.5)
    hill = (np.exp(-4.5 * (distance / deepest) ** 2) - least) / (1 - least)
    return np.asarray(MAX_WEIGHT * np.clip(hill, 0, 1), np.float32)


def weights_of(sample: Sample) -> Real:  # [n n]
    """Return how much each pixel counts in the loss."""
    settings = sample.settings
    if settings.weights == "none":
        return np.ones(sample.truth.shape, np.float32)
    heights = weight_map(sample.truth)
    clicks = [click for pair in sample.clicks[: sample.count] for click in pair if click.positive]
    if settings.weights != "map" and settings.clicks and clicks:
        width = width_of(float(sample.truth.sum()), settings)
        y, x = np.asarray([click.index[1:] for click in clicks], float).T
        marked = disks if settings.weights == "equal" else gaussians
        heights = np.maximum(heights, MAX_WEIGHT * marked(heights.shape, y, x, width))
    return 1 + heights


def disks(shape: tuple[int, ...], y: Places, x: Places, width: float) -> Real:
    """Return 1 under clicks of this width, 0 elsewhere."""
    grid = np.zeros(shape, np.float32)
    stamp(grid, y, x, width / 2)
    return grid


def gaussians(shape: tuple[int, ...], y: Places, x: Places, width: float) -> Real:
    """Return a Gaussian of height 1 at each click, whose deviation is a quarter of the click's width.

    >>> print(gaussians((1, 5), np.array([0.0]), np.array([2.0]), 8.0).round(2))
    [[0.61 0.88 1.   0.88 0.61]]
    """
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    apart = ((rows[..., None] - y) ** 2 + (columns[..., None] - x) ** 2).min(axis=-1)
    return np.asarray(np.exp(-apart / (2 * (width / 4) ** 2)), np.float32)


def width_of(pixels: float, settings: Settings) -> float:
    """Return the width of a click on an object of so many pixels, as the settings say."""
    return settings.width or click_width(pixels, settings.alpha)


def weighted_dice(logits: Tensor, truth: Tensor, weights: Tensor) -> Tensor:  # [b 1 y x] each -> []
    """Return the Dice loss whose every pixel counts by its weight, of the object and of the background.

    >>> truth = torch.zeros(1, 1, 2, 2); truth[..., 0] = 1
    >>> round(float(weighted_dice(30 * (2 * truth - 1), truth, torch.ones_like(truth))), 4)
    0.0
    """
    p = logits.sigmoid()
    total = torch.zeros(len(p))
    for seen, wanted in ((p, truth), (1 - p, 1 - truth)):
        common = (weights * seen * wanted).sum(dim=(1, 2, 3))
        both = (weights * (seen + wanted)).sum(dim=(1, 2, 3))
        total = total + 1 - (2 * common + 1) / (both + 1)
    return total.mean()


def build(settings: Settings) -> IUNet:
    """Return an untrained network."""
    torch.manual_seed(settings.seed)
    return IUNet(**_arguments(settings))


def _arguments(settings: Settings) -> dict[str, Any]:
    inputs = 3 if settings.clicks else 1
    return {"inputs": inputs, "widths": list(settings.widths), "dropout": settings.dropout, "norm": settings.norm}


def encoded(sample: Sample, count: int, pixels: float) -> Real:  # [1|3 n n]
    """Return what the network sees after so many interactions on a mask of so many pixels; 0 for none yet."""
    settings = sample.settings
    if not settings.clicks:
        return sample.image
    width = width_of(pixels, settings) if pixels else settings.width or FIRST_WIDTH
    clicks = [click for pair in sample.clicks[:count] for click in pair]
    cells = len(sample.truth)
    return np.concatenate([sample.image, click_maps(clicks, 0, 0, Window(0, 0, cells, cells), cells, width)])


def loss(network: torch.nn.Module, samples: Sequence[Sample], step: int = 0) -> Tensor:
    """Return the weighted Dice loss of a batch."""
    network.train()
    x = [encoded(sample, sample.count, sample.pixels) for sample in samples]
    with autocast():
        logits = network(torch.from_numpy(np.stack(x)).contiguous(memory_format=torch.channels_last))
    truth = torch.from_numpy(np.stack([sample.truth for sample in samples])[:, None].astype(np.float32))
    weights = torch.from_numpy(np.stack([weights_of(sample) for sample in samples])[:, None])
    return weighted_dice(logits.float(), truth, weights)


def predict(network: torch.nn.Module, samples: Sequence[Sample], count: int) -> NDArray[np.float32]:  # [b n n]
    """Return probabilities after so many interactions.

    Where the clicks' size follows the mask, a first look with clicks of 5 pixels gives the mask.
    """
    network.eval()

    def predict_with(pixels: Sequence[float]) -> NDArray[np.float32]:
        x = [encoded(sample, count, size) for sample, size in zip(samples, pixels, strict=True)]
        with torch.inference_mode(), autocast():
            logits = network(torch.from_numpy(np.stack(x)).contiguous(memory_format=torch.channels_last))
        return cast(NDArray[np.float32], logits[:, 0].float().sigmoid().numpy())

    first = predict_with([0.0] * len(samples))
    settings = samples[0].settings
    if settings.width or not settings.clicks:
        return first
    return predict_with((first > 0.5).sum(axis=(1, 2)).astype(float).tolist())


def overlaps(samples: Sequence[Sample], probability: NDArray[np.float32]) -> list[float]:
    """Return the Dice of each mask."""
    found = []
    for sample, mask in zip(samples, probability > 0.5, strict=True):
        found.append(dice(mask, sample.truth))
    return found


def validate(network: torch.nn.Module, samples: Sequence[Sample]) -> dict[str, float]:
    """Return the mean Dice after one and after five interactions, and the weighted Dice after one."""
    most = samples[0].settings.most
    first = predict(network, samples, 1)
    truth = torch.from_numpy(np.stack([s.truth for s in samples])[:, None].astype(np.float32))
    weights = torch.from_numpy(np.stack([weights_of(s) for s in samples])[:, None])
    weighted = weighted_dice(torch.logit(torch.from_numpy(first)[:, None], 1e-6), truth, weights)
    scores = {"dice_1": float(np.mean(overlaps(samples, first)))}
    if most >= 5:
        scores["dice_5"] = float(np.mean(overlaps(samples, predict(network, samples, 5))))
    return scores | {"weighted_dice": 1 - float(weighted) / 2}


def pictures(network: torch.nn.Module, samples: Sequence[Sample]) -> NDArray[np.uint8]:  # [y x 3]
    """Return the samples after one interaction, then after all of their clicks."""
    counts = (1, samples[0].settings.most)
    masks = [predict(network, samples, count) > 0.5 for count in counts]
    return sheet([Example(s.image, s.truth, m) for row in masks for s, m in zip(samples, row, strict=True)])


def export(network: torch.nn.Module, settings: Settings, folder: Path) -> tuple[Path, ...]:
    """Write the network for the engine."""
    path = folder / "iunet.onnx"
    channels = 3 if settings.clicks else 1
    export_network(
        network,
        path,
        architecture="iunet:IUNet",
        settings=_arguments(settings),
        inputs={"x": torch.zeros(1, channels, settings.cells, settings.cells)},
    )
    return (path,)
