"""How adversarial refinement learns: RefineNet's own networks without seeds, and a discriminator to please.

The segmentation is corrected by the truth, as RefineNet's is, and by a discriminator that sees image and mask and
learns to tell the truth from the network's masks. Its gradient comes back reversed: what makes the discriminator
surer makes the network's mask more like the truth. Only the segmentation network is exported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from segmend.learning.losses import overlap_and_entropy
from segmend.learning.precision import autocast
from segmend.learning.sheets import Example, sheet
from segmend.learning.subjects import Subject
from segmend.nets.gan import Discriminator, GanRefine, reverse
from segmend.papers.refinenet import recipe as refinenet
from segmend.papers.refinenet.gan_method import WEIGHTS
from segmend.papers.refinenet.method import CELLS, CHANNELS
from segmend.papers.refinenet.recipe import Sample, foreground_logits, image_batch, initial_loss, overlap, truths
from segmend.runtime.engine import export_network

NAME = "gan_refine"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run depends on; saved with its weights."""

    steps: int = 2000
    batch: int = 8
    rate: float = 2e-3
    decay: float = 1e-4
    seed: int = 0
    average: float = 0.99
    widths: tuple[int, ...] = (12, 24, 48, 64, 96)
    features: int = 0
    refiner: tuple[int, ...] = (32, 24, 16)
    discriminator: tuple[int, ...] = (12, 24, 32)
    strength: float = 0.02  # of the discriminator's gradient in the network
    rise: float = 0.2  # the share of the steps in which that strength grows from nothing
    empty: float = 0.15
    values: tuple[int, ...] = ()
    sets: tuple[str, ...] = ()


def _as_refinenet(settings: Settings) -> refinenet.Settings:
    return refinenet.Settings(
        seed=settings.seed, values=settings.values, sets=settings.sets, empty=settings.empty, partial=0.0, carried=0.0
    )


def subjects(data: Path, split: str, settings: Settings) -> list[Subject]:
    """Return the cases of a split that hold the object, of the sets that the settings name."""
    return refinenet.subjects(data, split, _as_refinenet(settings))


class Sampler(refinenet.Sampler):
    """RefineNet's samples, none with the seeds of a neighbour."""

    def __init__(self, subjects: Sequence[Subject], settings: Settings) -> None:
        super().__init__(subjects, _as_refinenet(settings))


class GeneratorAndDiscriminator(nn.Module):
    """The segmentation network and its discriminator, which learn from each other.

    >>> both = build(Settings(widths=(2, 3, 4), features=0, refiner=(2, 2, 2), discriminator=(2,)))
    >>> both(torch.zeros(1, 4, 8, 8)).shape
    torch.Size([1, 2, 8, 8])
    """

    def __init__(self, network: GanRefine, discriminator: Discriminator, settings: Settings) -> None:
        super().__init__()
        self.network = network
        self.discriminator = discriminator
        self.settings = settings

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)  # type: ignore[no-any-return]


def build(settings: Settings) -> GeneratorAndDiscriminator:
    """Return both networks, untrained."""
    torch.manual_seed(settings.seed)
    network = GanRefine(**_options(settings))
    return GeneratorAndDiscriminator(
        network, Discriminator(inputs=CHANNELS + 1, widths=settings.discriminator), settings
    )


def _options(settings: Settings) -> dict[str, Any]:
    return {
        "inputs": CHANNELS,
        "widths": list(settings.widths),
        "features": settings.features,
        "refiner": list(settings.refiner),
    }


def loss(networks: GeneratorAndDiscriminator, samples: Sequence[Sample], step: int = 0) -> Tensor:
    """Return the loss of both guesses and that of the discriminator, whose gradient is reversed in the network."""
    networks.train()
    x, truth = image_batch(samples), truths(samples)
    settings = networks.settings
    strength = settings.strength * min(1.0, step / max(settings.rise * settings.steps, 1.0))
    with autocast():
        initial, refined = networks.network.both(x)
        probability = foreground_logits(refined.float()).sigmoid()
        false = networks.discriminator(x, reverse(probability, strength))
        true = networks.discriminator(x, truth)
    return (
        overlap_and_entropy(foreground_logits(refined.float()), truth)
        + initial_loss(initial, truth)
        + discriminator_loss(true.float(), false.float())
    )


def discriminator_loss(true: Tensor, false: Tensor) -> Tensor:
    """Return the discriminator's loss: low where it takes the truth for true and the network's masks for false.

    >>> round(float(discriminator_loss(torch.tensor(9.0), torch.tensor(-9.0))), 3)
    0.0
    """
    return (
        binary_cross_entropy_with_logits(true, torch.ones_like(true))
        + binary_cross_entropy_with_logits(false, torch.zeros_like(false))
    ) / 2


def validate(networks: GeneratorAndDiscriminator, samples: Sequence[Sample]) -> dict[str, float]:
    """Return the mean Dice of the refined masks and of the first guesses."""
    first, refined = _guesses(networks, samples)
    return {"dice": overlap(samples, refined), "dice_first": overlap(samples, first)}


def pictures(networks: GeneratorAndDiscriminator, samples: Sequence[Sample]) -> NDArray[np.uint8]:  # [y x 3]
    """Return a sheet of the refined masks."""
    _, refined = _guesses(networks, samples)
    return sheet([Example(s.image[:3], s.truth, mask) for s, mask in zip(samples, refined, strict=True)])


def _guesses(
    networks: GeneratorAndDiscriminator, samples: Sequence[Sample]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    networks.eval()
    first, refined = [], []
    with torch.inference_mode(), autocast():
        for start in range(0, len(samples), 16):
            initial, last = networks.network.both(image_batch(samples[start : start + 16]))
            first.append((foreground_logits(initial[0])[:, 0] > 0).numpy())
            refined.append((foreground_logits(last)[:, 0] > 0).numpy())
    return np.concatenate(first), np.concatenate(refined)


def export(networks: GeneratorAndDiscriminator, settings: Settings, folder: Path) -> tuple[Path, ...]:
    """Write the segmentation network for the engine; the discriminator has done its work."""
    export_network(
        networks.network,
        folder / WEIGHTS,
        architecture="gan:GanRefine",
        settings=_options(settings),
        inputs={"x": torch.zeros(1, CHANNELS, CELLS, CELLS)},
    )
    return (folder / WEIGHTS,)
