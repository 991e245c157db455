"""How deepigeos learns: P-Net from pictures, R-Net from what P-Net has wrong and simulated clicks on it.

The clicks are the paper's: in every wrong region of N pixels ceil(N / 100) at random, none below 30. The paper trains
P-Net first and R-Net after it; here one step trains both, R-Net on the P-Net of that moment. Some of R-Net's first
answers are the truth deformed, as a neighbouring slice's mask is, and some of its samples have no clicks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from segmend.core.image import Real
from segmend.core.masks import dice
from segmend.core.prompts import Click
from segmend.learning.descent import check as check_descent
from segmend.learning.descent import optimiser as optimiser
from segmend.learning.descent import share as share
from segmend.learning.losses import soft_dice
from segmend.learning.perturb import perturb_mask
from segmend.learning.slices import Crop, SliceSampler, augment_crop, drawn_crop, random_crop
from segmend.learning.subjects import Subject
from segmend.learning.subjects import subjects as found_subjects
from segmend.nets.pnet import PNet
from segmend.papers.bifseg.method import normal
from segmend.papers.deepigeos.method import CELLS, MARGIN, nearness
from segmend.runtime.engine import export_network
from segmend.users import RegionClicks
from segmend.users.play import as_prompts

Flat = NDArray[np.bool_]  # [n n]


NAME = "deepigeos"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run depends on; saved with its weights."""

    steps: int = 1400
    batch: int = 4
    rate: float = 2e-3
    decay: float = 1e-4
    seed: int = 0
    average: float = 0.99  # of the weights' moving mean
    sets: tuple[str, ...] = ()  # the names of the data sets to learn from; empty for all
    width: int = 16
    hidden: int = 32
    dropout: float = 0.0
    whole: float = 0.3  # the share of looks at whole planes; the others are at one object from near
    bent: float = 0.3  # the share of R-Net's first answers that are a deformed truth
    silent: float = 0.15  # the share of its samples without clicks
    synthetic: float = 0.3  # of drawn scenes
    overlap: float = 1.0  # of soft Dice beside the cross entropy: small objects in whole planes are not given up
    descent: str = "adamw"  # or sgd, with momentum 0.9 and a rate that halves every 5000 steps

    def __post_init__(self) -> None:
        check_descent(self.descent)


PAPER = replace(Settings(), steps=80_000, batch=1, rate=1e-3, decay=5e-4, average=0.0, width=64, hidden=128,
                dropout=0.5, whole=1.0, bent=0.0, silent=0.0, synthetic=0.0, overlap=0.0, descent="sgd")  # fmt: skip


PAPER_LOOP = {"clip": 0.0}  # the rate halves every 5000 steps


def subjects(data: Path, split: str, settings: Settings) -> list[Subject]:
    """Return the cases of a split that hold an object, of the sets that the settings name."""
    return found_subjects(data, split, names=settings.sets)


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture and its object, what R-Net may start from in place of P-Net's answer, and the robot that clicks."""

    picture: Real  # [n n] mean 0, deviation 1
    truth: Flat
    start: Flat | None
    robot: RegionClicks | None
    overlap: float = 0.0  # of soft Dice in its loss


@dataclass(frozen=True, eq=False)
class Sampler(SliceSampler):
    """Draws samples by number: the same number is the same sample in any process."""

    settings: Settings

    def __getitem__(self, number: int) -> Sample:
        rng, s = np.random.default_rng((self.settings.seed, number)), self.settings
        drawn = augment_crop(rng, self._crop(rng))
        picture = np.zeros(drawn.truth.shape, np.float32)
        if drawn.valid.any():
            picture[drawn.valid] = normal(drawn.picture.mean(axis=0)[drawn.valid])
        start = perturb_mask(rng, drawn.truth) if rng.random() < s.bent else None
        robot = None if rng.random() < s.silent else RegionClicks(int(rng.integers(2**31)))
        return Sample(picture, drawn.truth, start, robot, s.overlap)

    def _crop(self, rng: np.random.Generator) -> Crop:
        """Return a drawn scene, a whole plane with all that is labelled in it, or one object from near."""
        if rng.random() < self.settings.synthetic:
            return drawn_crop(rng, CELLS)
        subject = self.pool.draw(rng)
        if not subject.instances and rng.random() < self.settings.whole:
            return random_crop(rng, subject, CELLS, whole=1.0, merged=1.0)
        return random_crop(rng, subject, CELLS, whole=0.0, margins=(1.05, 1.5 * MARGIN))


class TwoStageNetwork(nn.Module):
    """P-Net and R-Net, which is a P-Net with three channels more."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        kind = {"width": settings.width, "hidden": settings.hidden, "dropout": settings.dropout}
        self.first = PNet(inputs=1, **kind)  # type: ignore[arg-type]
        self.refine = PNet(inputs=4, **kind)  # type: ignore[arg-type]


def build(settings: Settings) -> TwoStageNetwork:
    """Return both networks, untrained."""
    torch.manual_seed(settings.seed)
    return TwoStageNetwork(settings)


def clicks_of(sample: Sample, mask: Flat) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the cells of the robot's clicks on what a mask has wrong, inside the object and outside."""
    marks = None if sample.robot is None else sample.robot(sample.truth[None], mask[None])
    clicks = [mark for mark in as_prompts(marks or ()) if isinstance(mark, Click)]
    inner, outer = (
        np.asarray([click.index[1:] for click in clicks if click.positive is sign], np.intp).reshape(-1, 2)
        for sign in (True, False)
    )
    return inner, outer


def refinement_input(sample: Sample, probability: Real) -> Real:  # [n n] -> [4 n n]
    """Return R-Net's input: the picture, the answer it starts from, and how near the clicks on its errors are."""
    before = probability if sample.start is None else sample.start.astype(np.float32)
    clicks = clicks_of(sample, before > 0.5)
    return np.concatenate([sample.picture[None], before[None], nearness(sample.picture, clicks)])


def _batch(arrays: Sequence[Real]) -> Tensor:
    return torch.from_numpy(np.stack(arrays)).contiguous(memory_format=torch.channels_last)


def loss(network: TwoStageNetwork, samples: Sequence[Sample], step: int = 0) -> Tensor:
    """Return the cross entropy, and the soft Dice, of P-Net's answers and of R-Net's."""
    network.train()
    truth = torch.from_numpy(np.stack([sample.truth for sample in samples]).astype(np.int64))
    with torch.autocast("cpu", torch.bfloat16):
        first = network.first(_batch([sample.picture[None] for sample in samples]))[1]
    probability = first.detach().float().softmax(dim=1)[:, 1].numpy()
    x = [refinement_input(sample, found) for sample, found in zip(samples, probability, strict=True)]
    with torch.autocast("cpu", torch.bfloat16):
        second = network.refine(_batch(x))[1]
    total = torch.zeros(())
    for classes in (first.float(), second.float()):
        total = total + cross_entropy(classes, truth)
        if samples[0].overlap:
            logits = classes[:, 1:] - classes[:, :1]
            total = total + samples[0].overlap * soft_dice(logits, truth[:, None].float())
    return total


def validate(network: TwoStageNetwork, samples: Sequence[Sample]) -> dict[str, float]:
    """Return the mean Dice of R-Net after one round of clicks on P-Net's errors, and P-Net's own."""
    network.eval()
    scores: dict[str, list[float]] = {"refined": [], "first": []}
    for sample in samples:
        shown = replace(sample, start=None, robot=sample.robot or RegionClicks())
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            first = network.first(_batch([shown.picture[None]]))[1].float().softmax(dim=1)[0, 1].numpy()
            second = network.refine(_batch([refinement_input(shown, first)]))[1].float().softmax(dim=1)[0, 1].numpy()
        for name, found in (("refined", second), ("first", first)):
            mask = found > 0.5
            scores[name].append(dice(mask, sample.truth, empty=0.0))
    return {name: float(np.mean(found)) for name, found in scores.items()}


def export(network: TwoStageNetwork, settings: Settings, folder: Path) -> tuple[Path, ...]:
    """Write both networks for the engine."""
    paths = []
    for name, net, inputs in (("first", network.first, 1), ("refine", network.refine, 4)):
        paths.append(folder / f"deepigeos_{name}.onnx")
        export_network(
            net,
            paths[-1],
            architecture="pnet:PNet",
            settings={
                "inputs": inputs,
                "width": settings.width,
                "hidden": settings.hidden,
                "dropout": settings.dropout,
            },
            inputs={"x": torch.zeros(1, inputs, CELLS, CELLS)},
            outputs=("features", "logits"),
        )
    return tuple(paths)
