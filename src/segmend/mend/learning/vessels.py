"""How mend's network for thin things learns: from drawn strands alone, each of whose pixels it has to find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from segmend.core.image import Real
from segmend.core.masks import dice
from segmend.learning.drawn.strands import strands
from segmend.learning.precision import autocast
from segmend.learning.sheets import Example, sheet
from segmend.learning.subjects import Subject
from segmend.mend.vessels import log_intensity, remove_background
from segmend.nets.unet import UNet
from segmend.runtime.engine import export_network

NAME = "mend_lines"
CELLS = 128
LEAST_SEEN = 0.01  # of a picture: with fewer pixels on strands the Dice says nothing


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run depends on; saved with its weights."""

    steps: int = 3000
    batch: int = 16
    rate: float = 3e-3
    decay: float = 1e-4
    seed: int = 0
    widths: tuple[int, ...] = (12, 24, 32, 48)
    average: float = 0.995


@dataclass(frozen=True, eq=False)
class Sample:
    """A drawn picture as the network sees it, and where its strands are."""

    intensities: Real  # [n n]
    truth: NDArray[np.bool_]  # [n n]


class Sampler:
    """Draws a picture for every number."""

    def __init__(self, cases: Sequence[Subject], settings: Settings) -> None:
        self.settings = settings

    def __getitem__(self, number: int) -> Sample:
        light, truth = strands(np.random.default_rng((self.settings.seed, number)), CELLS)
        return Sample(remove_background(log_intensity(light)), truth)


def subjects(data: Path, split: str, settings: Settings) -> list[Subject]:
    """Return no case at all: nobody's pictures are learned from."""
    return []


def build(settings: Settings) -> UNet:
    torch.manual_seed(settings.seed)
    return UNet(inputs=1, widths=settings.widths).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _batch(arrays: Sequence[NDArray[np.generic]]) -> Tensor:  # [y x], ... -> [b 1 y x]
    return torch.from_numpy(np.stack(arrays)[:, None].astype(np.float32)).contiguous(memory_format=torch.channels_last)


def loss(network: UNet, samples: Sequence[Sample], step: int) -> Tensor:
    """Return half of the cross entropy and of one less the soft Dice of every picture."""
    with autocast():
        logits = network(_batch([sample.intensities for sample in samples])).float()
    truth = _batch([sample.truth for sample in samples])
    probability = torch.sigmoid(logits)
    both, either = (probability * truth).sum((1, 2, 3)), (probability + truth).sum((1, 2, 3))
    return binary_cross_entropy_with_logits(logits, truth) + 0.5 * (1 - (2 * both + 10) / (either + 10)).mean()


def validate(network: UNet, samples: Sequence[Sample]) -> dict[str, float]:
    """Return the mean Dice of the pictures that have strands."""
    masks = _answers(network, samples)
    there = [(s.truth, mask) for s, mask in zip(samples, masks, strict=True) if s.truth.mean() > LEAST_SEEN]
    return {"dice": float(np.mean([dice(truth, mask) for truth, mask in there])) if there else 0.0}


def pictures(network: UNet, samples: Sequence[Sample]) -> NDArray[np.uint8]:  # [y x 3]
    """Return a sheet of what was found."""
    masks = _answers(network, samples)
    return sheet([Example(s.intensities[None], s.truth, mask) for s, mask in zip(samples, masks, strict=True)])


def _answers(network: UNet, samples: Sequence[Sample]) -> list[NDArray[np.bool_]]:
    network.eval()
    with torch.no_grad(), autocast():
        return [np.asarray(network(_batch([s.intensities])).float()[0, 0] > 0) for s in samples]


def export(network: UNet, settings: Settings, folder: Path) -> tuple[Path, ...]:
    """Write the network for the engine."""
    side = 2 * 2 ** (len(settings.widths) - 1)
    file = folder / "mend2d_lines.onnx"
    export_network(
        network,
        file,
        architecture="unet:UNet",
        settings={"inputs": 1, "widths": list(settings.widths)},
        inputs={"x": torch.zeros(1, 1, side, side)},
    )
    return (file,)
