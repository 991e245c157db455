"""How DEXTR learns: objects cut out by their extreme points, a few voxels careless, and a balanced cross entropy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segmend.core.image import Real
from segmend.core.masks import dice, rim
from segmend.core.prompts import Extremes
from segmend.errors import SettingsError
from segmend.learning.precision import autocast
from segmend.learning.sheets import Example, sheet
from segmend.learning.slices import Crop, SliceSampler, augment_crop, drawn_crop, random_crop
from segmend.learning.subjects import Subject
from segmend.learning.subjects import subjects as found_subjects
from segmend.nets.unet import UNet
from segmend.papers.dextr.method import CELLS, crop, heat
from segmend.runtime.engine import export_network
from segmend.sampling.intensity import plane_intensity_channels
from segmend.sampling.window import resample_to_grid
from segmend.users import ExtremePoints

Flat = NDArray[np.bool_]  # [n n]


NAME = "dextr"


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
    widths: tuple[int, ...] = (16, 32, 48, 64, 96)
    synthetic: float = 0.35  # the share of drawn scenes
    varied: bool = True  # rotation, deformation and intensity augmentation
    slack: float = 0.02  # of the object's size: how careless the points are
    fifth: float = 0.3  # the share of samples with one to three more points of the edge

    def __post_init__(self) -> None:
        step = 2 ** (len(self.widths) - 1)
        if self.cells % step:
            raise SettingsError(f"A network of {len(self.widths)} widths needs cells by {step}; got {self.cells}.")


PAPER = replace(Settings(), cells=512, batch=5, rate=1e-4, decay=5e-4, synthetic=0.0, average=0.0, fifth=0.0)


PAPER_LOOP = {"clip": 0.0, "schedule": "constant"}


def subjects(data: Path, split: str, settings: Settings) -> list[Subject]:
    """Return the cases of a split that hold an object, of the sets that the settings name."""
    return found_subjects(data, split, names=settings.sets)


@dataclass(frozen=True, eq=False)
class Sample:
    """What the network sees of one object, and the truth there."""

    x: Real  # [4 n n]
    truth: Flat


@dataclass(frozen=True, eq=False)
class Sampler(SliceSampler):
    """Draws samples by number: the same number is the same sample in any process."""

    settings: Settings

    def __getitem__(self, number: int) -> Sample:
        rng, s = np.random.default_rng((self.settings.seed, number)), self.settings
        fine = s.cells * 5 // 4
        if rng.random() < s.synthetic:
            drawn = drawn_crop(rng, fine)
        else:
            drawn = random_crop(rng, self.pool.draw(rng), fine, whole=0.0, margins=(1.3, 2.0))
        if s.varied:
            drawn = augment_crop(rng, drawn)
        return sample(rng, drawn, s)


def sample(rng: np.random.Generator, drawn: Crop, settings: Settings) -> Sample:
    """Return an object cut out by its extreme points."""
    ys, xs = np.nonzero(drawn.truth)
    slack = round(settings.slack * max(np.ptp(ys), np.ptp(xs)))
    truth = drawn.truth[None]
    prompt = ExtremePoints(int(rng.integers(2**31)), slack=slack).opening(truth, np.zeros_like(truth))
    assert isinstance(prompt, Extremes)
    points = np.asarray(prompt.points, np.intp)[:, 1:]
    if rng.random() < settings.fifth:
        edge = np.argwhere(rim(truth)[0])
        points = np.concatenate([points, edge[rng.integers(len(edge), size=int(rng.integers(1, 4)))]])
    window, cells = crop(points), settings.cells
    seen = np.stack([resample_to_grid(channel, window, cells) for channel in drawn.picture])
    valid = resample_to_grid(drawn.valid, window, cells) > 0.5
    colours = plane_intensity_channels(seen, valid, zero_if_constant=True)[:3]
    x = np.concatenate([colours, heat(points, window, cells)[None]])
    return Sample(x, resample_to_grid(drawn.truth, window, cells) > 0.5)


def build(settings: Settings) -> UNet:
    """Return an untrained network."""
    torch.manual_seed(settings.seed)
    return UNet(**_arguments(settings))


def _arguments(settings: Settings) -> dict[str, Any]:
    return {"inputs": 4, "widths": list(settings.widths)}


def balanced_entropy(logits: Tensor, truth: Tensor) -> Tensor:  # [b 1 y x] both -> []
    """Return the cross entropy in which object and background of a picture count the same.

    >>> truth = torch.zeros(1, 1, 1, 4); truth[..., 0] = 1
    >>> round(float(balanced_entropy(torch.zeros_like(truth), truth)), 4)
    0.6931
    """
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")

    def over(side: Tensor) -> Tensor:
        return (entropy * side).sum(dim=(1, 2, 3)) / side.sum(dim=(1, 2, 3)).clamp(min=1)

    return (0.5 * (over(truth) + over(1 - truth))).mean()


def loss(network: torch.nn.Module, samples: Sequence[Sample], step: int = 0) -> Tensor:
    """Return the balanced cross entropy of a batch."""
    network.train()
    with autocast():
        logits = network(_stacked(samples))
    truth = torch.from_numpy(np.stack([sample.truth for sample in samples])[:, None].astype(np.float32))
    return balanced_entropy(logits.float(), truth)


def _stacked(samples: Sequence[Sample]) -> Tensor:
    x = np.stack([sample.x for sample in samples])
    return torch.from_numpy(x).contiguous(memory_format=torch.channels_last)


def masks_of(network: torch.nn.Module, samples: Sequence[Sample]) -> NDArray[np.bool_]:  # [b n n]
    """Return the masks inside the crops."""
    network.eval()
    with torch.inference_mode(), autocast():
        return cast(NDArray[np.bool_], (network(_stacked(samples))[:, 0] > 0).numpy())


def validate(network: torch.nn.Module, samples: Sequence[Sample]) -> dict[str, float]:
    """Return the mean Dice of the masks inside their crops."""
    overlaps = [dice(mask, one.truth, empty=0.0) for mask, one in zip(masks_of(network, samples), samples, strict=True)]
    return {"dice": float(np.mean(overlaps))}


def pictures(network: torch.nn.Module, samples: Sequence[Sample]) -> NDArray[np.uint8]:  # [y x 3]
    """Return every sample's crop with its mask."""
    masks = masks_of(network, samples)
    return sheet([Example(s.x[:3], s.truth, mask) for s, mask in zip(samples, masks, strict=True)])


def export(network: torch.nn.Module, settings: Settings, folder: Path) -> tuple[Path, ...]:
    """Write the network for the engine."""
    path = folder / "dextr.onnx"
    inputs = {"x": torch.zeros(1, 4, settings.cells, settings.cells)}
    export_network(network, path, architecture="unet:UNet", settings=_arguments(settings), inputs=inputs)
    return (path,)
