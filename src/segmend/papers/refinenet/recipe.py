"""How RefineNet learns: backbone and refiner together, from seeds that follow from the backbone's own errors.

A sample is one whole slice at the networks' size. In each step the backbone guesses; skeletons of what it missed and
of what it has too many become the seeds; the refiner guesses again; both guesses are corrected. Two things are added
to the paper, both off in `PAPER`: some samples get only part of their seeds, as people leave work undone, and some get
those that the neighbouring slice would give them, as they will when a mask goes through a volume.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from segmend.core.image import MaskArray, Real
from segmend.core.masks import dice
from segmend.core.seeds import Seeds, seeds_of_errors, seeds_of_mask
from segmend.errors import SettingsError
from segmend.learning.augment import random_grid, warp
from segmend.learning.losses import overlap_and_entropy
from segmend.learning.perturb import perturb_mask
from segmend.learning.precision import autocast
from segmend.learning.sheets import Example, sheet
from segmend.learning.slices import Flat, SliceSampler, cut_axis, whole_window
from segmend.learning.subjects import Subject
from segmend.learning.subjects import subjects as found_subjects
from segmend.nets.refinenet import CascadedBackbone, FCNBackbone, RefineNet, Refiner, UNetBackbone
from segmend.papers.refinenet.method import AWAY, BACKBONE, CELLS, CHANNELS, HINT, REFINER, SCALES, seed_maps
from segmend.runtime.engine import export_network
from segmend.sampling.intensity import colour_or_grey, plane_intensity_channels
from segmend.sampling.window import (
    Window,
    around,
    cells_on_plane,
    resample_to_grid,
)

NAME = "refinenet"
BACKBONES = ("unet", "fcn", "cascaded")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run depends on; saved with its weights."""

    steps: int = 1800
    batch: int = 8
    rate: float = 2e-3
    decay: float = 1e-4
    seed: int = 0
    average: float = 0.99  # of the weights' moving mean
    backbone: str = "unet"  # or "fcn" (FCN-8s), or "cascaded" (two U-Nets)
    widths: tuple[int, ...] = (12, 24, 48, 64, 96)  # of the backbone's levels
    hidden: int = 96  # FCN: channels of its last two layers
    kernel: int = 3  # FCN: of the first of these
    decoder: int = 24  # FCN: channels of its scores
    normalise: bool = True  # FCN: batch norm, which it has not in its paper
    features: int = 0  # what a backbone hands on besides its two classes
    refiner: tuple[int, ...] = (32, 24, 16)  # from coarse to fine
    partial: float = 0.4  # the share of samples that get only some of their seeds
    carried: float = 0.4  # of those that get the seeds of the slice beside them
    beyond: float = 0.3  # of these: slices beyond the object's ends, where such seeds are wrong
    empty: float = 0.15  # of slices without the object, where a case has any
    values: tuple[int, ...] = ()  # labels that are the object; empty for all
    sets: tuple[str, ...] = ()  # the names of the data sets to learn from; empty for all
    varied: bool = True  # windows moved, slices deformed, other intensities


PAPER = replace(
    Settings(),
    steps=40000,
    rate=1e-4,
    decay=0.0,
    average=0.0,
    varied=False,
    widths=(64, 128, 256, 512, 1024),
    refiner=(64, 32, 16),
    partial=0.0,
    carried=0.0,
    empty=0.0,
)


FCN_PAPER = replace(PAPER, backbone="fcn", widths=(64, 128, 256, 512, 512), hidden=4096, kernel=7)  # VGG-16's sizes


def paper(options: Mapping[str, Any]) -> Settings:
    """Return the paper's settings, with the sizes of the FCN where it is the backbone."""
    return FCN_PAPER if options.get("backbone") == "fcn" else PAPER


PAPER_LOOP = {"clip": 0.0, "schedule": "constant"}  # the paper names no decay of the rate and no clipping


def subjects(data: Path, split: str, settings: Settings) -> list[Subject]:
    """Return the cases of a split that hold the object, of the sets that the settings name."""
    found = found_subjects(data, split, names=settings.sets)
    kept = [subject for subject in found if object_of(subject, settings).any()]
    if found and not kept:
        raise SettingsError(f"No case of the {split} split has one of the labels {settings.values}.")
    return kept


def object_of(subject: Subject, settings: Settings) -> MaskArray:
    """Return the voxels to find: those of the labels in the settings, or of all labels."""
    return np.isin(subject.labels, settings.values) if settings.values else np.asarray(subject.labels > 0)


@dataclass(frozen=True, eq=False)
class Sample:
    """One slice, its object, and where its seeds come from."""

    image: Real  # [4 n n]
    truth: Flat
    beside: Flat | None  # what a neighbouring slice's mask may be, which gives the seeds; None: errors give them
    share: float  # of the seeds that are kept, part by part
    seed: int


@dataclass(frozen=True, eq=False)
class Sampler(SliceSampler):
    """Draws samples by number: the same number is the same sample in any process."""

    settings: Settings

    def __getitem__(self, number: int) -> Sample:
        rng = np.random.default_rng((self.settings.seed, number))
        subject = self.pool.draw(rng)
        mask = object_of(subject, self.settings)
        axis = cut_axis(subject.image)
        carried = mask.shape[axis] > 1 and bool(rng.random() < self.settings.carried)
        index = self._slice(rng, mask, axis, empty=self.settings.beyond if carried else self.settings.empty)
        beside = _another_slice(rng, mask, axis, index) if carried else None
        plane = np.take(mask, index, axis)
        aspect = float(np.divide(*np.delete(subject.image.spacing, axis)))
        varied = self.settings.varied
        window = _window(rng, plane, aspect) if varied else whole_window(plane, aspect)
        channels = np.take(subject.image.voxels, index, axis + 1)
        channels = colour_or_grey(channels)
        seen = [resample_to_grid(channel, window, CELLS) for channel in channels]
        rows, columns = plane.shape
        valid = cells_on_plane(window, rows, columns, CELLS)
        masks = [resample_to_grid(one, window, CELLS) for one in (plane, beside) if one is not None]
        picture = plane_intensity_channels(np.stack(seen), valid)
        picture, (truth, *rest) = _warp(rng, picture, masks) if varied else (picture, [mask > 0.5 for mask in masks])
        share = float(rng.choice([0.0, 0.3, 0.6])) if rng.random() < self.settings.partial else 1.0
        before = (
            perturb_mask(rng, rest[0]) if rest and rng.random() < 0.6 else None
        )  # a mask that was carried so far errs
        before = rest[0] if rest and (before is None or not before.any()) else before
        picture = _augment_intensity(rng, picture) if varied else np.clip(picture, 0, 1)
        return Sample(picture, truth, before, share, int(rng.integers(2**31)))

    def _slice(self, rng: np.random.Generator, mask: MaskArray, axis: int, *, empty: float) -> int:
        areas = mask.sum(axis=tuple(a for a in range(3) if a != axis))
        filled, without = np.flatnonzero(areas), np.flatnonzero(areas == 0)
        return int(rng.choice(without if len(without) and rng.random() < empty else filled))


def _another_slice(rng: np.random.Generator, mask: MaskArray, axis: int, index: int) -> Flat | None:
    """Return the mask of a slice beside this one or, beyond the object's ends, that of the last slice that has any."""
    areas = mask.sum(axis=tuple(a for a in range(3) if a != axis))
    others = np.flatnonzero((areas > 0) & (np.arange(len(areas)) != index))
    if not len(others):
        return None
    gaps = np.abs(others - index)
    nearest = others[gaps == gaps.min()]
    return np.asarray(np.take(mask, int(rng.choice(nearest)), axis))


def _window(rng: np.random.Generator, plane: Flat, aspect: float) -> Window:
    """Return the window of a whole plane, a little nearer or farther and not quite centred."""
    margin = float(rng.uniform(0.95, 1.15))
    window = around(0, 0, *plane.shape, margin=margin, aspect=aspect)
    top, left = rng.uniform(-0.04, 0.04, 2) * (window.height, window.width)
    return Window(window.top + top, window.left + left, window.height, window.width)


def _warp(rng: np.random.Generator, picture: Real, masks: Sequence[Real]) -> tuple[Real, list[Flat]]:
    """Return everything deformed alike: never mirrored, since organs have sides."""
    if rng.random() < 0.6:
        grid = random_grid(rng, CELLS, turn=0.25, stretch=0.12, ripple=2.0)
        picture = np.stack([warp(channel, grid) for channel in picture])
        masks = [warp(mask, grid) for mask in masks]
    return picture, [np.asarray(mask > 0.5) for mask in masks]


def _augment_intensity(rng: np.random.Generator, picture: Real) -> Real:
    """Return the picture a little darker or lighter, and noisier."""
    out = np.clip(picture, 0, 1)
    if rng.random() < 0.5:
        out = out ** np.float32(np.exp(rng.uniform(-0.3, 0.3)))
    if rng.random() < 0.4:
        out += (rng.standard_normal(out.shape[1:]) * rng.uniform(0, 0.06)).astype(np.float32)
    return np.asarray(out, np.float32)


def build(settings: Settings) -> RefineNet:
    """Return the untrained networks, connected."""
    torch.manual_seed(settings.seed)
    return RefineNet(_backbone(settings), Refiner(features=settings.features, seeds=2, widths=settings.refiner))


def _backbone(settings: Settings) -> nn.Module:
    options = _options(settings)
    match settings.backbone:
        case "unet":
            return UNetBackbone(**options)
        case "fcn":
            return FCNBackbone(**options)
        case "cascaded":
            return CascadedBackbone(**options)
        case other:
            raise SettingsError(f"A backbone needs to be one of {', '.join(BACKBONES)}; got {other!r}.")


def _options(settings: Settings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "inputs": CHANNELS,
        "widths": list(settings.widths),
        "features": settings.features,
    }
    if settings.backbone == "fcn":
        names = ("hidden", "kernel", "decoder", "normalise")
        options |= {name: getattr(settings, name) for name in names}
    return options


def export(network: RefineNet, settings: Settings, folder: Path) -> tuple[Path, ...]:
    """Write backbone and refiner for the engine."""
    x = torch.zeros(1, CHANNELS, CELLS, CELLS)
    network.eval()
    with torch.no_grad():
        initial = network.backbone(x)
    names = [*SCALES, *(f"found_{i}" for i in range(len(initial) - 3))]
    export_network(
        network.backbone,
        folder / BACKBONE,
        architecture=f"refinenet:{type(network.backbone).__name__}",
        settings=_options(settings),
        inputs={"x": x},
        outputs=names,
    )
    export_network(
        network.refiner,
        folder / REFINER,
        architecture="refinenet:Refiner",
        settings={"features": settings.features, "seeds": 2, "widths": list(settings.refiner)},
        inputs={**dict(zip(SCALES, initial, strict=False)), "seeds": torch.zeros(1, 2, CELLS, CELLS)},
    )
    return folder / BACKBONE, folder / REFINER


def seeds_of(sample: Sample, guess: Flat) -> Seeds:
    """Return a sample's seeds: those of its neighbour, or those of the guess's errors, or a part of these.

    A part that is not kept is left out, or shrinks to a single pixel: a click.
    """
    if sample.beside is not None:
        return seeds_of_mask(sample.beside, away=AWAY)
    seeds = seeds_of_errors(sample.truth, guess)
    if sample.share == 1.0:
        return seeds
    rng = np.random.default_rng(sample.seed)
    return Seeds(_some(rng, seeds.foreground, sample.share), _some(rng, seeds.background, sample.share))


def _some(rng: np.random.Generator, seeds: Flat, share: float) -> Flat:
    parts, count = ndimage.label(seeds, np.ones((3, 3)))
    draws = rng.random(count + 1)
    kept = np.isin(parts, np.flatnonzero(draws < share)) & seeds
    for number in range(1, count + 1):
        if draws[number] >= share and rng.random() < 0.5:
            pixels = np.argwhere(parts == number)
            kept[tuple(pixels[rng.integers(len(pixels))])] = True
    return np.asarray(kept)


def foreground_logits(logits: Tensor) -> Tensor:  # [b c y x] -> [b 1 y x]
    """Return the logits of foreground against background."""
    return logits[:, 1:2] - logits[:, :1]


def image_batch(samples: Sequence[Sample]) -> Tensor:  # [b 4 n n]
    """Return the backbone's input."""
    return torch.from_numpy(np.stack([s.image for s in samples])).contiguous(memory_format=torch.channels_last)


def truths(samples: Sequence[Sample]) -> Tensor:  # [b 1 n n]
    """Return the masks to learn."""
    return torch.from_numpy(np.stack([s.truth for s in samples])[:, None].astype(np.float32))


def seed_channels(samples: Sequence[Sample], initial: Tensor) -> Tensor:  # [b 2 n n]
    """Return the seed maps of a batch from its initial segmentations at full size."""
    guesses = (foreground_logits(initial.detach().float())[:, 0] > 0).numpy()
    seeds = [seeds_of(sample, guess) for sample, guess in zip(samples, guesses, strict=True)]
    heights = [1.0 if sample.beside is None else HINT for sample in samples]
    maps = [height * seed_maps(s.foreground, s.background) for height, s in zip(heights, seeds, strict=True)]
    return torch.from_numpy(np.stack(maps))


def initial_loss(initial: Sequence[Tensor], truth: Tensor) -> Tensor:
    """Return the mean loss of the initial segmentations, each against the truth at its size."""
    losses = []
    for logits in initial:
        factor = truth.shape[-1] // logits.shape[-1]
        losses.append(overlap_and_entropy(foreground_logits(logits.float()), avg_pool2d(truth, factor)))
    return torch.stack(losses).mean()


def loss(network: RefineNet, samples: Sequence[Sample], step: int = 0) -> Tensor:
    """Guess, find the seeds in the errors, refine; return the loss of both guesses."""
    network.train()
    truth = truths(samples)
    with autocast():
        initial = network.backbone(image_batch(samples))
        refined = network.refiner(*initial[:3], seed_channels(samples, initial[0]))
    return overlap_and_entropy(foreground_logits(refined.float()), truth) + initial_loss(initial, truth)


def validate(network: RefineNet, samples: Sequence[Sample]) -> dict[str, float]:
    """Return the mean Dice of the refined masks after all seeds at once, and of the first guesses."""
    whole = [replace(sample, beside=None, share=1.0) for sample in samples]
    first, refined = guesses(network, whole)
    return {
        "dice_seeded": overlap(whole, refined),
        "dice_first": overlap(whole, first),
    }


def pictures(network: RefineNet, samples: Sequence[Sample]) -> NDArray[np.uint8]:  # [y x 3]
    """Return a sheet of the masks after all seeds at once."""
    whole = [replace(sample, beside=None, share=1.0) for sample in samples]
    _, refined = guesses(network, whole)
    return sheet([Example(s.image[:3], s.truth, mask) for s, mask in zip(whole, refined, strict=True)])


def guesses(network: RefineNet, samples: Sequence[Sample]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the first and the refined masks of samples, without gradient."""
    network.eval()
    found: list[tuple[NDArray[np.bool_], NDArray[np.bool_]]] = []
    with torch.inference_mode(), autocast():
        for start in range(0, len(samples), 16):
            some = samples[start : start + 16]
            initial = network.backbone(image_batch(some))
            refined = network.refiner(*initial[:3], seed_channels(some, initial[0]))
            found.append(
                ((foreground_logits(initial[0])[:, 0] > 0).numpy(), (foreground_logits(refined)[:, 0] > 0).numpy())
            )
    return np.concatenate([a for a, _ in found]), np.concatenate([b for _, b in found])


def overlap(samples: Sequence[Sample], masks: NDArray[np.bool_]) -> float:
    """Return the mean Dice; an empty mask of an empty slice is right."""
    pairs = zip(masks, samples, strict=True)
    return float(np.mean([dice(mask, sample.truth) for mask, sample in pairs]))
