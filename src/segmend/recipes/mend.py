"""How mend learns: what a training sample is, and one step of the network on a batch.

A sample is one plane seen through a window round an object, at the network's size, with a
robot that will correct the network's own answers a few times. The robots and the network
meet in `play`, as they do in evaluation; only the last answer of a game carries gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segmend.augment import bend, bent, retoned, wobbled
from segmend.datasets.synthetic import pasted, region_of, scene
from segmend.encode import see_prompts
from segmend.engine import export_network
from segmend.image import Image, Real
from segmend.losses import overlap_and_entropy
from segmend.methods.mend import CELLS, CHANNELS
from segmend.nets.unet import UNet
from segmend.plane import Window, around, inside, normalised, see
from segmend.play import Turn, User, play
from segmend.recipes.subjects import Subject
from segmend.recipes.subjects import subjects as found_subjects
from segmend.training.precision import mixed
from segmend.training.sheets import Example, sheet
from segmend.users import BoxFirst, LargestError, NoisyHuman, RandomError, SkeletonStroke

Flat = NDArray[np.bool_]  # [n n]
LEAST_PIXELS = 20


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run depends on; saved with its weights."""

    steps: int = 10000
    batch: int = 16
    rate: float = 2e-3
    decay: float = 1e-4
    seed: int = 0
    widths: tuple[int, ...] = (16, 32, 64, 128, 192, 256)
    synthetic: float = 0.38  # the share of drawn scenes
    regions: float = 0.12  # of objects taken from real images by their tones
    pasted: float = 0.08  # of drawn objects put into real images
    average: float = 0.998  # of the weights' moving mean
    sets: tuple[str, ...] = ()  # the names of the data sets to learn from; empty for all


def subjects(data: Path, split: str, settings: Settings) -> list[Subject]:
    """Return the cases of a split that hold an object, of the sets that the settings name."""
    return found_subjects(data, split, names=settings.sets)


@dataclass(frozen=True, eq=False)
class Sample:
    """One game to play: the picture, the truth, the mask it starts from and the robot."""

    image: Real  # [4 n n]
    truth: Flat
    start: Flat
    user: User
    interactions: int  # 0: mend the starting mask without a prompt
    again: bool  # look a second time at the last answer before learning


@dataclass(frozen=True, eq=False)
class Sampler:
    """Draws samples by number: the same number is the same sample in any process."""

    subjects: Sequence[Subject]
    settings: Settings
    groups: dict[str, list[int]] = field(init=False)
    weights: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        groups: dict[str, list[int]] = {}
        for i, subject in enumerate(self.subjects):
            groups.setdefault(subject.group, []).append(i)
        size = np.sqrt([len(members) for members in groups.values()])
        object.__setattr__(self, "groups", groups)
        object.__setattr__(self, "weights", size / size.sum() if len(size) else size)

    def __getitem__(self, number: int) -> Sample:
        rng = np.random.default_rng((self.settings.seed, number))
        for _ in range(8):
            picture, truth, valid, before = _moved(rng, *self._picture(rng))
            if truth.sum() >= LEAST_PIXELS:
                break
        if rng.random() < 0.8:
            picture = retoned(rng, picture)
        image = normalised(picture, valid)
        return _game(rng, image, truth, before)

    def _picture(self, rng: np.random.Generator) -> tuple[Real, Flat, Flat, Flat | None]:
        """Return an image, an object, the cells on the image, and a neighbouring slice's object."""
        drawn, s = rng.random(), self.settings
        everywhere = np.ones((CELLS, CELLS), bool)
        if not len(self.subjects) or drawn < s.synthetic:
            image, truth = scene(rng, CELLS)
            return image, truth, everywhere, None
        picture, truth, valid, before = self._real(rng)
        if drawn < s.synthetic + s.regions:
            region = region_of(rng, picture)
            if region is not None:
                return picture, region & valid, valid, None
        elif drawn < s.synthetic + s.regions + s.pasted:
            image, truth = pasted(rng, picture, CELLS)
            return image, truth & valid, valid, None
        return picture, truth, valid, before

    def _real(self, rng: np.random.Generator) -> tuple[Real, Flat, Flat, Flat | None]:
        group = list(self.groups)[rng.choice(len(self.groups), p=self.weights)]
        subject = self.subjects[rng.choice(self.groups[group])]
        axis = _axis(rng, subject.image)
        values = np.unique(subject.labels)
        value = rng.choice(values[values > 0])
        mask = subject.labels == value
        if not subject.instances and len(values) > 2 and rng.random() < 0.15:
            mask = subject.labels > 0
        areas = mask.sum(axis=tuple(a for a in range(3) if a != axis))
        fit = np.flatnonzero(areas >= min(LEAST_PIXELS, areas.max()))
        index = int(rng.choice(fit))
        plane = np.take(mask, index, axis)
        aspect = float(np.divide(*np.delete(subject.image.spacing, axis)))
        window = _window(rng, plane, aspect)
        channels = np.take(subject.image.voxels, index, axis + 1)
        channels = channels[: 3 if len(channels) >= 3 else 1]
        picture = np.stack([see(c, window, CELLS) for c in channels])
        near = index + int(rng.choice([-1, 1]))
        before = None
        if 0 <= near < mask.shape[axis] and areas[near]:
            before = see(np.take(mask, near, axis), window, CELLS) > 0.5
        truth = see(plane, window, CELLS) > 0.5
        rows, columns = plane.shape
        return picture, truth, inside(window, rows, columns, CELLS), before


def _axis(rng: np.random.Generator, image: Image) -> int:
    """Return a plane to look at: any where the voxels are about cubes, else the finest."""
    if image.flat:
        return 0
    spacing = image.spacing
    thickest = int(np.argmax(spacing))
    if spacing[thickest] > 1.2 * float(np.median(spacing)):
        return thickest if rng.random() < 0.85 else int(rng.integers(3))
    return int(rng.integers(3))


def _window(rng: np.random.Generator, plane: Flat, aspect: float) -> Window:
    """Return a window round the object: mostly near, sometimes far, never quite centred."""
    ys, xs = np.nonzero(plane)
    top, left, bottom, right = int(ys.min()), int(xs.min()), int(ys.max()) + 1, int(xs.max()) + 1
    rows, columns = plane.shape
    margin = float(np.exp(rng.uniform(np.log(1.15), np.log(2.2) if rng.random() < 0.6 else np.log(8.0))))
    window = around(top, left, bottom, right, margin=margin, aspect=aspect, least=12.0)
    largest = 1.25 * max(rows * aspect, columns)
    if window.width > largest or rng.random() < 0.15:
        return around(0, 0, rows, columns, margin=float(rng.uniform(1.0, 1.2)), aspect=aspect)
    slack = (0.5 - 0.5 / margin) * rng.uniform(-0.9, 0.9, 2)
    return Window(
        window.top + slack[0] * window.height, window.left + slack[1] * window.width, window.height, window.width
    )


def _moved(
    rng: np.random.Generator, picture: Real, truth: Flat, valid: Flat, before: Flat | None
) -> tuple[Real, Flat, Flat, Flat | None]:
    """Return everything flipped, turned and bent alike."""
    planes = [*picture, truth, valid] + ([] if before is None else [before])
    quarter, flip = int(rng.integers(4)), bool(rng.random() < 0.5)
    planes = [np.rot90(p[::-1] if flip else p, quarter) for p in planes]
    if rng.random() < 0.5:
        grid = bend(rng, CELLS)
        planes = [bent(p, grid) for p in planes]
        planes[len(picture) :] = [p > 0.5 for p in planes[len(picture) :]]
    channels = len(picture)
    moved = np.ascontiguousarray(np.stack(planes[:channels]), np.float32)
    masks = [np.ascontiguousarray(p, bool) for p in planes[channels:]]
    return moved, masks[0], masks[1], masks[2] if before is not None else None


def _game(rng: np.random.Generator, image: Real, truth: Flat, before: Flat | None) -> Sample:
    """Return the sample with a way to start and a robot."""
    seed = int(rng.integers(2**31))
    correct: User = rng.choice(
        np.array([LargestError(seed), RandomError(seed), SkeletonStroke(seed), NoisyHuman(seed)], dtype=object),
        p=[0.5, 0.2, 0.15, 0.15],
    )
    start = np.zeros_like(truth)
    interactions = int(rng.choice([1, 2, 3, 5], p=[0.45, 0.25, 0.2, 0.1]))
    begin = rng.random()
    if begin < 0.28:
        correct = BoxFirst(seed, margin=0.12, then=correct)
    elif begin < 0.50:
        start = before if before is not None else wobbled(rng, truth)
        interactions = int(rng.choice([0, 1, 2], p=[0.5, 0.3, 0.2]))
    return Sample(image, truth, start, correct, interactions, again=bool(rng.random() < 0.25))


def build(settings: Settings) -> UNet:
    """Return an untrained network."""
    torch.manual_seed(settings.seed)
    return UNet(inputs=CHANNELS, widths=settings.widths)


def export(network: UNet, settings: Settings, folder: Path) -> tuple[Path, ...]:
    """Write the network for the engine."""
    path = folder / "mend2d.onnx"
    export_network(
        network,
        path,
        architecture="unet:UNet",
        settings={"inputs": CHANNELS, "widths": list(settings.widths)},
        inputs={"x": torch.zeros(1, CHANNELS, CELLS, CELLS)},
    )
    return (path,)


GRID = Window(0, 0, CELLS, CELLS)


def encoded(images: Sequence[Real], turns: Sequence[Turn]) -> Tensor:  # [b 8 n n]
    """Return the network's input for one turn of each game."""
    rows = [
        np.concatenate([image, turn.mask.astype(np.float32), see_prompts(turn.prompts, 0, 0, GRID, CELLS)])
        for image, turn in zip(images, turns, strict=True)
    ]
    return torch.from_numpy(np.stack(rows)).contiguous(memory_format=torch.channels_last)


def answer_masks(network: UNet, images: Sequence[Real], turns: Sequence[Turn]) -> list[NDArray[np.bool_]]:
    """Return the network's masks for one turn of each game, without gradient."""
    network.eval()
    with torch.inference_mode(), mixed():
        logits = network(encoded(images, turns))
    return list((logits[:, 0] > 0).numpy()[:, None])


def last_turns(network: UNet, samples: Sequence[Sample]) -> list[Turn]:
    """Play every game up to its last question and return that question."""
    turns: list[Turn] = []
    games = []
    for sample in samples:
        start = sample.start[None]
        game = play(sample.user, sample.truth[None], interactions=sample.interactions, start=start)
        games.append(game)
        turns.append(next(game, None) or Turn((), start))
    going = [i for i, sample in enumerate(samples) if sample.interactions > 1]
    while going:
        masks = answer_masks(network, [samples[i].image for i in going], [turns[i] for i in going])
        still = []
        for i, mask in zip(going, masks, strict=True):
            try:
                turns[i] = games[i].send(mask)
            except StopIteration:
                continue
            if len(turns[i].prompts) < samples[i].interactions:
                still.append(i)
        going = still
    again = [i for i, sample in enumerate(samples) if sample.again]
    if again:
        masks = answer_masks(network, [samples[i].image for i in again], [turns[i] for i in again])
        for i, mask in zip(again, masks, strict=True):
            turns[i] = Turn(turns[i].prompts, mask)
    return turns


def loss(network: UNet, samples: Sequence[Sample], step: int = 0) -> Tensor:
    """Play a batch of games and return the loss of their last answers."""
    turns = last_turns(network, samples)
    network.train()
    with mixed():
        logits = network(encoded([s.image for s in samples], turns))
    truth = torch.from_numpy(np.stack([s.truth for s in samples])[:, None].astype(np.float32))
    return overlap_and_entropy(logits.float(), truth)


def validate(network: UNet, samples: Sequence[Sample], *, interactions: int = 5) -> dict[str, float]:
    """Return the mean Dice after 1, 3 and 5 clicks at the centre of the largest mistake."""
    masks = [np.zeros((1, CELLS, CELLS), bool) for _ in samples]
    prompts: list[tuple] = [() for _ in samples]  # type: ignore[type-arg]
    scores: dict[str, float] = {}
    robot = LargestError()
    for count in range(1, interactions + 1):
        for i, sample in enumerate(samples):
            prompt = robot(sample.truth[None], masks[i])
            prompts[i] = prompts[i] if prompt is None else (*prompts[i], prompt)
        turns = [Turn(p, m) for p, m in zip(prompts, masks, strict=True)]
        masks = answer_masks(network, [s.image for s in samples], turns)
        if count in (1, 3, interactions):
            overlap = [
                2 * float((m[0] & s.truth).sum()) / max(float(m.sum() + s.truth.sum()), 1.0)
                for m, s in zip(masks, samples, strict=True)
            ]
            scores[f"dice_{count}"] = float(np.mean(overlap))
    return scores


def pictures(network: UNet, samples: Sequence[Sample]) -> NDArray[np.uint8]:  # [y x 3]
    """Return a sheet of the masks after one click."""
    robot = LargestError()
    empty = np.zeros((1, CELLS, CELLS), bool)
    clicks = [robot(sample.truth[None], empty) for sample in samples]
    turns = [Turn(() if click is None else (click,), empty) for click in clicks]
    masks = answer_masks(network, [sample.image for sample in samples], turns)
    return sheet([Example(s.image[:3], s.truth, mask[0]) for s, mask in zip(samples, masks, strict=True)])
