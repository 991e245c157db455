"""How bifseg learns: every instance cropped with its box, whatever its class, foreground or not.

A sample is one object in the crop of its bounding box, each side moved out by up to 10 voxels, brought to the
network's size and normalised by its own mean and deviation. So the network learns what makes "the thing in the box",
and can be asked for things of classes it has never seen. In the plane it is P-Net, in a volume PC-Net; `network` puts
the papers' comparisons in their place, which learn from the same crops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from segmend.core.image import Box, Image, Index, MaskArray, Real, bounds, scale_affine, whole
from segmend.core.masks import dice
from segmend.errors import SettingsError
from segmend.learning.descent import check as check_descent
from segmend.learning.descent import optimiser as optimiser
from segmend.learning.descent import share as share
from segmend.learning.drawn.synthetic import scene
from segmend.learning.losses import soft_dice
from segmend.learning.slices import CasePool, cut_axis, label_values
from segmend.learning.subjects import Subject
from segmend.learning.subjects import subjects as found_subjects
from segmend.nets.deepmedic import DeepMedic
from segmend.nets.fcn import FCN8s
from segmend.nets.highres3dnet import HighRes3DNet
from segmend.nets.norms import IN_PLANES
from segmend.nets.pcnet import PCNet
from segmend.nets.pnet import PNet
from segmend.nets.unet import UNet
from segmend.papers.bifseg.crop_grid import Grid, resample_to_cells
from segmend.papers.bifseg.method import LONGEST, STEP, Frame, filled_up, grey, grid_of, normal
from segmend.papers.bifseg.method import NETWORKS as COMPARED
from segmend.runtime.engine import export_network
from segmend.solvers.finetune import Head, save_head

NAME = "bifseg"
NETWORKS = {2: ("pnet", *COMPARED[2]), 3: ("pcnet", *COMPARED[3])}  # the paper's own first
SCENE_SIDE = {2: 128, 3: 48}  # the side of drawn scenes, in cells, by dimensions
FCN_STEP = 32  # what an FCN's sides need to be multiples of
AS_IT_IS = Head((np.ones((1, 1), np.float32),), (np.zeros(1, np.float32),))  # takes one logit and gives it
MIN_SLICE_VOXELS = 12  # a slice is drawn from those with so many voxels of the object, if there are any


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run depends on; saved with its weights."""

    steps: int = 2500
    batch: int = 4
    rate: float = 2e-3
    decay: float = 1e-4
    seed: int = 0
    average: float = 0.99  # of the weights' moving mean
    sets: tuple[str, ...] = ()  # the names of the data sets to learn from; empty for all
    labels: tuple[int, ...] = ()  # the label values to learn; empty for all
    dimensions: int = 2
    network: str = ""  # pnet, fcn or unet; pcnet, deepmedic or highres3dnet; empty for the paper's own
    width: int = 16  # channels of a layer; of the comparisons, of their first level
    kept: int = 4  # channels of each block after compression, in a volume
    hidden: int = 32  # channels of block 6
    dropout: float = 0.0
    norm: bool = False  # normalise each of PC-Net's layers within its crop
    compared_norm: str = "batch"  # of the comparisons: batch, or instance, for crops go through one by one
    margin: int = 10  # voxels that each side of the box is moved out at most
    smallest: int = LONGEST  # cells of a volume's longest side at least; smaller learns quicker
    largest: int = LONGEST  # and at most
    varied: bool = True  # rotation and intensity augmentation
    synthetic: float = 0.3  # the share of drawn scenes
    overlap: float = 1.0  # of soft Dice beside the cross entropy: small objects in loose boxes are not given up
    descent: str = "adamw"  # or sgd, with momentum 0.9 and a rate that halves every 5000 steps

    def __post_init__(self) -> None:
        if self.dimensions not in NETWORKS:
            raise SettingsError(f"BIFSeg has 2 or 3 dimensions; got {self.dimensions}.")
        if self.chosen not in NETWORKS[self.dimensions]:
            known = ", ".join(NETWORKS[self.dimensions])
            raise SettingsError(f"The networks in {self.dimensions}D are {known}; got {self.network!r}.")
        if not 8 <= self.smallest <= self.largest <= LONGEST:
            raise SettingsError(
                f"A volume's longest side needs 8 to {LONGEST} cells; got {self.smallest} to {self.largest}."
            )
        if self.compared_norm not in IN_PLANES:
            raise SettingsError(f"A comparison's norm needs to be batch or instance; got {self.compared_norm!r}.")
        check_descent(self.descent)

    @property
    def chosen(self) -> str:
        return self.network or NETWORKS[self.dimensions][0]


PAPER = replace(
    Settings(), steps=80_000, batch=1, rate=1e-3, decay=5e-4, average=0.0, width=64, kept=16, hidden=128,
    varied=False, synthetic=0.0, overlap=0.0, descent="sgd", compared_norm="instance",
)  # fmt: skip
SMALL_3D = replace(
    Settings(),
    dimensions=3,
    steps=1500,
    batch=2,
    rate=4e-3,
    width=8,
    kept=8,
    hidden=16,
    norm=True,
    smallest=24,
    largest=44,
)


PAPER_LOOP = {"clip": 0.0}  # the rate halves every 5000 steps


def small(options: Mapping[str, Any]) -> Settings:
    """Return what the small examples learned with, in a plane or in volumes; comparisons norm each crop alone."""
    usual = SMALL_3D if options.get("dimensions") == 3 else Settings()
    compared = options.get("network") in (*COMPARED[2], *COMPARED[3])
    return replace(usual, compared_norm="instance") if compared else usual


def subjects(data: Path, split: str, settings: Settings) -> list[Subject]:
    """Return the cases of a split that hold an object: all in the plane, volumes for PC-Net."""
    return found_subjects(data, split, names=settings.sets, flat=False if settings.dimensions == 3 else None)


@dataclass(frozen=True, eq=False)
class Sample:
    """One object in its crop, as the network sees it; a plane is one slice."""

    cells: Real  # [z y x] normalised, filled up with zeros
    truth: MaskArray  # [z y x]
    inner: Index  # the cells that are not filling
    overlap: float = 0.0  # of soft Dice in its loss


@dataclass(frozen=True, eq=False)
class Sampler:
    """Draws samples by number: the same number is the same sample in any process."""

    subjects: Sequence[Subject]
    settings: Settings
    pool: CasePool = field(init=False)

    def __post_init__(self) -> None:
        able = [one for one in self.subjects if set(label_values(one)) & set(self.settings.labels or label_values(one))]
        object.__setattr__(self, "pool", CasePool(able))

    def __getitem__(self, number: int) -> Sample:
        rng, s = np.random.default_rng((self.settings.seed, number)), self.settings
        if rng.random() < s.synthetic:
            subject = _drawn_case(rng, s.dimensions)
            return replace(_sample(rng, subject.image, subject.labels > 0, s), overlap=s.overlap)
        subject = self.pool.draw(rng)
        values = [value for value in label_values(subject) if not s.labels or value in s.labels]
        return replace(_sample(rng, subject.image, subject.labels == rng.choice(values), s), overlap=s.overlap)


def _sample(rng: np.random.Generator, image: Image, truth: MaskArray, settings: Settings) -> Sample:
    if settings.dimensions == 3 and image.flat:
        raise SettingsError("PC-Net learns from volumes; this case is a picture.")
    across, flat = cut_axis(image), settings.dimensions == 2
    if flat:
        areas = truth.sum(axis=tuple(axis for axis in range(3) if axis != across))
        index = int(rng.choice(np.flatnonzero(areas >= min(MIN_SLICE_VOXELS, areas.max()))))
        here = np.zeros_like(truth)
        at: tuple[slice | int, ...] = tuple(index if axis == across else slice(None) for axis in range(3))
        here[at] = truth[at]
        truth = here
    box = jitter_box(rng, bounds(truth), settings.margin, across if flat else None).clipped(truth.shape)
    sample = crop_sample(image, truth, Frame(box, across, settings.dimensions, strict=True), _longest(rng, settings))
    return _augment(rng, sample, settings) if settings.varied else sample


def _longest(rng: np.random.Generator, settings: Settings) -> int:
    return int(rng.integers(settings.smallest, settings.largest + 1))


def jitter_box(rng: np.random.Generator, box: Box | None, margin: int, still: int | None) -> Box:
    """Return the box with each side moved out by 0 to `margin` voxels, but not along the axis `still`."""
    assert box is not None
    moves = rng.integers(0, margin + 1, (2, 3))
    if still is not None:
        moves[:, still] = 0
    return Box.of(np.asarray(box.low) - moves[0], np.asarray(box.high) + moves[1])


def crop_sample(image: Image, truth: MaskArray, frame: Frame, longest: int = LONGEST) -> Sample:
    """Return a crop of an image and its truth on the network's cells."""
    grid = grid_of(frame, image)
    if frame.dimensions == 3 and longest < LONGEST:
        shares = np.maximum(np.asarray(grid.cells) * longest // LONGEST, 1)
        slices = grid.cells[0] if grid.cells[0] == grid.box.shape[0] else int(shares[0])
        grid = Grid(grid.box, (slices, int(shares[1]), int(shares[2])))
    inner = Grid(whole(grid.box.shape), grid.cells)
    intensities = np.moveaxis(grey(image.voxels[(slice(None), *frame.box.slices)]), frame.across, 0)
    object_ = np.moveaxis(truth[frame.box.slices], frame.across, 0)
    cells = normal(resample_to_cells(intensities, inner))
    inside = resample_to_cells(object_, inner)
    # a thin thing may fill no cell by half: then its fullest cells stand for it
    mask = inside > min(0.5, 0.99 * float(inside.max()))
    dimensions = frame.dimensions
    return Sample(filled_up(cells, dimensions), filled_up(mask.astype(np.float32), dimensions) > 0, grid.cells)


def _augment(rng: np.random.Generator, sample: Sample, settings: Settings) -> Sample:
    """Return the sample flipped, with other intensities."""
    z, y, x = sample.inner
    cells, truth = sample.cells[:z, :y, :x], sample.truth[:z, :y, :x]
    for axis in (1, 2) if settings.dimensions == 2 else (0, 1, 2):
        if rng.random() < 0.5:
            cells, truth = np.flip(cells, axis), np.flip(truth, axis)
    if rng.random() < 0.5:
        cells, truth = cells.swapaxes(1, 2), truth.swapaxes(1, 2)
    if rng.random() < 0.8:
        cells = _augment_intensity(rng, cells)
    inner = (int(cells.shape[0]), int(cells.shape[1]), int(cells.shape[2]))
    full = filled_up(truth.astype(np.float32), settings.dimensions) > 0
    return Sample(filled_up(normal(np.ascontiguousarray(cells)), settings.dimensions), full, inner)


def _augment_intensity(rng: np.random.Generator, cells: Real) -> Real:
    """Return a crop with another contrast: gamma, inversion, blur, noise."""
    low, high = np.percentile(cells, (0.5, 99.5))
    out = np.clip((cells - low) / max(float(high - low), 1e-6), 0, 1) ** np.exp(rng.uniform(-0.6, 0.6))
    if rng.random() < 0.2:
        out = 1 - out
    if rng.random() < 0.2:
        out = ndimage.gaussian_filter(out, [min(side - 1, rng.uniform(0.5, 1.5)) for side in out.shape])
    return np.asarray(out + rng.standard_normal(out.shape) * rng.uniform(0, 0.1), np.float32)


def _drawn_case(rng: np.random.Generator, dimensions: int) -> Subject:
    """Return a drawn scene with one object."""
    side = SCENE_SIDE[dimensions]
    if dimensions == 2:
        picture, truth = scene(rng, side)
        return Subject(Image(picture[:, None]), truth[None].astype(np.uint16), False, "drawn")
    image, inside = ball(rng, side)
    return Subject(Image(image[None], scale_affine()), inside.astype(np.uint16), False, "drawn")


def ball(rng: np.random.Generator, side: int) -> tuple[Real, MaskArray]:
    """Return a drawn volume and the lumpy ellipsoid in it, among others of other intensities.

    >>> image, truth = ball(np.random.default_rng(0), 24)
    >>> image.shape, bool(truth.any())
    ((24, 24, 24), True)
    """
    at = np.stack(np.meshgrid(*[np.linspace(-1, 1, side)] * 3, indexing="ij"))

    def lumps(knots: int) -> Real:
        small = rng.standard_normal((knots,) * 3)
        return np.asarray(ndimage.zoom(small, side / knots, order=1, mode="nearest")[:side, :side, :side], np.float32)

    image = rng.normal(0, 0.5) + 0.4 * lumps(int(rng.integers(2, 6)))
    truth = np.zeros((side,) * 3, bool)
    for number in range(int(rng.integers(1, 5))):
        middle, radii = rng.uniform(-0.6, 0.6, 3), rng.uniform(0.2, 0.6, 3)
        distance = np.sqrt((((at - middle[:, None, None, None]) / radii[:, None, None, None]) ** 2).sum(axis=0))
        inside = distance + rng.uniform(0, 0.3) * lumps(5) < 1
        image = np.where(inside, rng.normal(0, 1.0) + rng.uniform(0, 0.4) * lumps(int(rng.integers(3, 12))), image)
        truth = inside if number == 0 else truth & ~inside
    if truth.sum() < 50:
        truth[(slice(side // 3, side // 2),) * 3] = True
        image = np.where(truth, image + 1.5, image)
    image = ndimage.gaussian_filter(image, rng.uniform(0, 1.0)) + rng.uniform(0, 0.4) * rng.standard_normal(image.shape)
    return np.asarray(image, np.float32), truth


def build(settings: Settings) -> nn.Module:
    """Return an untrained network."""
    torch.manual_seed(settings.seed)
    kind, options = architecture(settings)
    return kind(**options)


def architecture(settings: Settings) -> tuple[type[nn.Module], dict[str, Any]]:
    """Return a network's class and what it is made with."""
    s, width = settings, settings.width
    match s.chosen:
        case "pnet":
            return PNet, {"width": width, "hidden": s.hidden, "dropout": s.dropout}
        case "pcnet":
            return PCNet, {"width": width, "kept": s.kept, "hidden": s.hidden, "dropout": s.dropout, "norm": s.norm}
        case "fcn":
            widths = [width * share for share in (1, 2, 4, 8, 8)]
            kernel = 7 if width == 64 else 3
            made = {"widths": widths, "hidden": 64 * width, "kernel": kernel, "normalise": True}
            return FCN8s, {"inputs": 1, "outputs": 2, **made, "norm": s.compared_norm}
        case "unet":
            widths = [width * share for share in (1, 2, 4, 8, 16)]
            return UNet, {"inputs": 1, "outputs": 1, "widths": widths, "norm": s.compared_norm}
        case "deepmedic":
            share = width / 64
            widths = [max(2, round(each * share)) for each in (30, 30, 40, 40, 40, 40, 50, 50)]
            joined = [max(4, round(150 * share))] * 2
            return DeepMedic, {"inputs": 1, "outputs": 2, "widths": widths, "joined": joined, "norm": s.compared_norm}
        case _:
            widths = [max(2, round(each * width / 64)) for each in (16, 32, 64)]
            last = max(4, round(80 * width / 64))
            return HighRes3DNet, {"inputs": 1, "outputs": 2, "widths": widths, "last": last, "norm": s.compared_norm}


def logits_of(network: nn.Module, x: Tensor) -> Tensor:  # [b 1 ...] -> [b ...]
    """Return the logits of the foreground, whichever network it is."""
    if isinstance(network, FCN8s):
        rows, columns = x.shape[-2:]
        x = nn.functional.pad(x, (0, -columns % 32, 0, -rows % 32))
        logits = network(x)[..., :rows, :columns]
    else:
        found = network(x)
        logits = found[1] if isinstance(found, tuple) else found
    contrast = logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits[:, 0]
    return contrast.float()  # type: ignore[no-any-return]


def _input(sample: Sample, settings_2d: bool) -> Tensor:
    cells = torch.from_numpy(sample.cells if not settings_2d else sample.cells[0])
    x = cells[None, None]
    return x.contiguous(memory_format=torch.channels_last) if settings_2d else x


def predicted(network: nn.Module, sample: Sample) -> Tensor:  # -> [z y x]
    """Return the logits of the cells of a sample that are not filling."""
    flat = not any(value.ndim == 5 for value in network.parameters())
    logits = logits_of(network, _input(sample, flat))
    z, y, x = sample.inner
    return (logits if flat else logits[0])[:z, :y, :x]


def loss(network: nn.Module, samples: Sequence[Sample], step: int = 0) -> Tensor:
    """Return the mean loss of a batch; crops have sizes of their own, so they go through one by one."""
    network.train()
    total = torch.zeros(())
    for sample in samples:
        with torch.autocast("cpu", torch.bfloat16):
            logits = predicted(network, sample)
        z, y, x = sample.inner
        truth = torch.from_numpy(sample.truth[:z, :y, :x].astype(np.float32))
        total = total + binary_cross_entropy_with_logits(logits, truth)
        if sample.overlap:
            total = total + sample.overlap * soft_dice(logits[None, None], truth[None, None])
    return total / len(samples)


def validate(network: nn.Module, samples: Sequence[Sample]) -> dict[str, float]:
    """Return the mean Dice of the first answer, before any learning on the image."""
    network.eval()
    found = []
    for sample in samples:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            mask = (predicted(network, sample) > 0).numpy()
        z, y, x = sample.inner
        truth = sample.truth[:z, :y, :x]
        found.append(dice(mask, truth, empty=0.0))
    return {"dice": float(np.mean(found))}


def head_of(network: nn.Module) -> Head:
    """Return block 6 of P-Net or PC-Net as a head that can be fine-tuned without torch."""
    layers = [layer for layer in network.head if isinstance(layer, nn.Conv2d | nn.Conv3d)]  # type: ignore[union-attr]
    with torch.no_grad():
        weights = tuple(layer.weight.flatten(1).float().numpy().copy() for layer in layers)
        biases = tuple(layer.bias.float().numpy().copy() for layer in layers if layer.bias is not None)
    return Head(weights, biases)


def export(network: nn.Module, settings: Settings, folder: Path) -> tuple[Path, ...]:
    """Write the network for the engine and beside it the head that reads what it gives out.

    For P-Net and PC-Net the head is block 6. A comparison gives out logits, which its head takes as they are.
    """
    kind, made = architecture(settings)
    own = settings.chosen in ("pnet", "pcnet")
    name = f"bifseg{settings.dimensions}d" + ("" if own else f"_{settings.chosen}")
    step = FCN_STEP if settings.chosen == "fcn" else STEP
    sides = (step, 2 * step) if settings.dimensions == 2 else (step // 2, step, 2 * step)
    path, block = folder / f"{name}.onnx", folder / f"{name}.npz"
    export_network(
        network,
        path,
        architecture=f"{kind.__module__.rpartition('.')[2]}:{kind.__name__}",
        settings=made,
        inputs={"x": torch.zeros(1, 1, *sides)},
        outputs=("features", "logits") if own else ("logits",),
    )
    sizes = {"longest": settings.largest} if settings.dimensions == 3 else {}
    sizes |= {} if step == STEP else {"step": step}
    save_head(head_of(network) if own else AS_IT_IS, block, **sizes)
    return path, block
