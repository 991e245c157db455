"""How editing learns: first F, the automatic network, then G, which sees the edits that F's mistakes call for.

One run trains both. Until step `first` F is trained. From then on F is frozen: its masks are compared with
the truth, the simulated person of `users.Edits` makes the edits of the three tools, and G is trained. F is
kept as the automatic network to compare with, and for a new run of G.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from segmend.core.image import Image, Index, MaskArray, Real
from segmend.core.masks import dice
from segmend.core.prompts import Adjust, Click, Prompt, Stroke
from segmend.errors import SettingsError
from segmend.learning import cache
from segmend.learning.losses import soft_dice
from segmend.learning.precision import autocast
from segmend.learning.sheets import Example, sheet
from segmend.learning.subjects import Subject
from segmend.learning.subjects import subjects as found_subjects
from segmend.nets.deepmedic import WIDTHS
from segmend.nets.edited import BODIES, Edited
from segmend.papers.editing.method import ABOUT, EDITS, WEIGHTS, edit_channels, see_volume
from segmend.runtime.engine import export_network
from segmend.sampling.frame import Frame, whole_frame
from segmend.users import Edits
from segmend.users.play import as_prompts

NAME = "editing"
FIRST = "editing_first.onnx"
CLIP = 0.5  # K is clipped to this in training; in use it is not
TURN, STRETCH = 0.2, 0.12  # the most a volume is turned (radians) and the spread of its stretching


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run depends on; saved with its weights."""

    steps: int = 1600  # of F and G together
    first: int = 700  # of F; as many as there are, and there is no G
    batch: int = 2
    rate: float = 2e-3
    decay: float = 1e-4
    seed: int = 0
    average: float = 0.99
    body: str = "isensee"  # or unet3d; deepmedic and highres3dnet to compare F with
    width: int = 8  # channels of the finest level
    levels: int = 4
    dropout: float = 0.1
    grid: tuple[int, int, int] = (48, 48, 48)
    channels: int = 1  # of the image
    labels: tuple[int, ...] = ()  # the values that are the object together; empty for all
    sets: tuple[str, ...] = ()  # the names of the data sets to learn from; empty for all
    keep: float = 0.5  # the probability of each tool to be used in a sample where it would be
    warm: bool = True  # G starts as F, blind to edits
    varied: bool = True  # volumes turned, stretched, mirrored, with other intensities
    entropy: float = 1.0  # of cross entropy beside the soft Dice
    falls: float = 0.0  # what is left of the rate after each hundred steps; 0 for a cosine


PAPER = replace(
    Settings(),
    steps=60000,
    first=30000,
    batch=2,
    rate=5e-4,
    decay=1e-5,
    falls=0.985,
    entropy=0.0,
    average=0.0,
    width=16,
    levels=5,
    dropout=0.3,
    grid=(128, 128, 128),
    channels=4,
    keep=1.0,
    warm=False,
)


# The paper does not say how it trains: 300 epochs of 100 batches, for each network, are those of its body's paper.
PAPER_LOOP = {"clip": 0.0}


def subjects(data: Path, split: str, settings: Settings) -> list[Subject]:
    """Return the volumes of a split that hold the object, all its labels merged into one."""
    found = found_subjects(data, split, names=settings.sets, flat=False, channels=settings.channels > 1)
    chosen = []
    for subject in found:
        mask = np.isin(subject.labels, settings.labels) if settings.labels else subject.labels > 0
        if mask.any():
            chosen.append(replace(subject, labels=mask.astype(np.uint16)))
    if not chosen:
        raise SettingsError(f"Editing learns from volumes with its object; the {split} split has none.")
    fewest = min(subject.image.channels for subject in chosen)
    if fewest < settings.channels:
        raise SettingsError(
            f"Editing was to see {settings.channels} channels; an image of the {split} split has {fewest}."
        )
    return chosen


@dataclass(frozen=True, eq=False)
class Sample:
    """A volume on the grid, its truth, and who will edit it."""

    image: Real  # [c *cells]
    truth: MaskArray  # [*cells]
    seed: int  # of the person
    tools: tuple[type[Prompt], ...]  # that are used where they would be


@dataclass(frozen=True, eq=False)
class Sampler:
    """Draws samples by number: the same number is the same sample in any process."""

    subjects: Sequence[Subject]
    settings: Settings

    def __getitem__(self, number: int) -> Sample:
        rng = np.random.default_rng((self.settings.seed, number))
        subject = self.subjects[int(rng.integers(len(self.subjects)))]
        frame = whole_frame(subject.image.shape, subject.image.spacing, self.settings.grid)
        image, truth = on_grid(subject, frame, self.settings)
        if self.settings.varied:
            image = _augment_intensity(rng, image, frame, subject.image)
            image, truth = _augment_geometry(rng, image, truth)
        tools = tuple(tool for tool in (Click, Stroke, Adjust) if rng.random() < self.settings.keep)
        return Sample(image, truth, int(rng.integers(2**31)), tools)


def on_grid(subject: Subject, frame: Frame, settings: Settings) -> tuple[Real, MaskArray]:
    """Return a case's volume and its object on the grid, which takes a second of a large one: kept where files are."""

    def image() -> Real:
        return see_volume(subject.image, frame, settings.channels)

    def truth() -> MaskArray:
        return resampled_mask(subject.labels > 0, frame)

    if not subject.kept:
        return image(), truth()
    how = cache.name_of((), subject.kept, settings.grid, settings.channels, settings.labels)
    return cache.kept(f"{how}-grid", image), np.asarray(cache.kept(f"{how}-truth", truth))


def resampled_mask(mask: MaskArray, frame: Frame) -> MaskArray:  # [z y x] -> [*cells]
    """Return the cells that a mask mostly fills; one that fills none keeps the cell where it is densest.

    >>> tiny = np.zeros((4, 4, 4), bool); tiny[1, 2, 3] = True
    >>> np.argwhere(resampled_mask(tiny, whole_frame((4, 4, 4), (1, 1, 1), (2, 2, 2)))).tolist()
    [[0, 1, 1]]
    """
    share = frame.resample_to_grid(mask)
    seen = share > 0.5
    if mask.any() and not seen.any():
        seen = share == share.max()
    return np.asarray(seen)


def _augment_intensity(rng: np.random.Generator, image: Real, frame: Frame, whole: Image) -> Real:
    """Return the image with another contrast and brightness, and some noise."""
    scale = np.exp(rng.normal(0, 0.15, (len(image), 1, 1, 1)))
    shift = rng.normal(0, 0.15, (len(image), 1, 1, 1))
    noise = rng.standard_normal(image.shape, np.float32) * rng.uniform(0, 0.15)
    return np.asarray((image * scale + shift + noise) * frame.cells_in_volume(whole.shape), np.float32)


def _augment_geometry(rng: np.random.Generator, image: Real, truth: MaskArray) -> tuple[Real, MaskArray]:
    """Return both mirrored left to right half of the time, turned and stretched; the object never leaves."""
    if rng.random() < 0.5:
        image, truth = image[..., ::-1], truth[..., ::-1]
    a, b, c = rng.uniform(-TURN, TURN, 3)
    turn = np.array([[1, -a, -b], [a, 1, -c], [b, c, 1]]) * np.exp(rng.normal(0, STRETCH, 3))
    centre = (np.asarray(truth.shape) - 1) / 2
    offset = centre - turn @ (centre + rng.uniform(-0.06, 0.06, 3) * truth.shape)
    moved = ndimage.affine_transform(truth.astype(np.float32), turn, offset, order=1) > 0.5
    if not moved.any():
        return np.ascontiguousarray(image), np.ascontiguousarray(truth)
    return np.stack([ndimage.affine_transform(c, turn, offset, order=1) for c in image]), np.asarray(moved)


class FirstAndEdited(nn.Module):
    """F, which learns up to step `switch`, and G, which learns from there on; `warm` makes G start as F."""

    def __init__(
        self, first: nn.Module, edited: Edited, *, switch: int, warm: bool, both: bool, entropy: float
    ) -> None:
        super().__init__()
        self.first = first
        self.edited = edited
        self.switch = switch
        self.warm = warm
        self.both = both  # whether G is trained at all
        self.entropy = entropy  # of cross entropy in the loss

    def warm_up(self) -> None:
        """Make G what F is, with no weight on the edits."""
        state = self.first.state_dict()
        with torch.no_grad():
            for key, value in self.edited.body.state_dict().items():
                if value.shape == state[key].shape:
                    value.copy_(state[key])
                else:  # the layers that see the input
                    value.zero_()
                    value[:, : state[key].shape[1]] = state[key]


def build(settings: Settings) -> FirstAndEdited:
    """Return two untrained networks of one kind; the second also sees the edits."""
    torch.manual_seed(settings.seed)
    if settings.body not in BODIES:
        raise SettingsError(f"Editing has no body {settings.body!r}; there are {', '.join(BODIES)}.")
    first = BODIES[settings.body](**arguments(settings, settings.channels))
    edited = Edited(body=settings.body, arguments=arguments(settings, settings.channels + EDITS))
    both = settings.steps > settings.first
    return FirstAndEdited(first, edited, switch=settings.first, warm=settings.warm, both=both, entropy=settings.entropy)


def share(step: int, settings: Settings) -> float:
    """Return the share of the learning rate: for F and again for G a short rise, then a cosine to a hundredth.

    Or, as the settings say, it falls every hundred steps.

    >>> [round(share(step, Settings(steps=40, first=20)), 2) for step in (0, 2, 19, 20, 22, 39)]
    [0.33, 1.0, 0.02, 0.33, 1.0, 0.02]
    >>> [round(share(step, PAPER), 3) for step in (0, 99, 100, 29_999, 30_000)]
    [1.0, 1.0, 0.985, 0.011, 1.0]
    """
    begun, ends = (0, settings.first) if step < settings.first else (settings.first, settings.steps)
    at, steps = step - begun, ends - begun
    if settings.falls:
        return float(settings.falls ** (at // 100))
    rise = min(100, steps // 10 + 1)
    if at < rise:
        return (at + 1) / rise
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (at - rise) / max(steps - rise, 1)))


def arguments(settings: Settings, inputs: int) -> dict[str, object]:
    """Return the arguments of the network of these settings; SettingsError when the grid does not fit it.

    >>> arguments(Settings(body="highres3dnet"), 4)
    {'inputs': 4, 'widths': [8, 16, 32], 'last': 40, 'dropout': 0.1}
    """
    width = settings.width
    if settings.body == "deepmedic":
        return {"inputs": inputs, "widths": [max(1, w * width // 30) for w in WIDTHS], "joined": [5 * width] * 2}
    if settings.body == "highres3dnet":
        widths = [width, 2 * width, 4 * width]
        return {"inputs": inputs, "widths": widths, "last": 5 * width, "dropout": settings.dropout}
    step = 2 ** (settings.levels - 1)
    if any(side % step or side < step for side in settings.grid):
        raise SettingsError(f"{settings.levels} levels need a grid of sides that {step} divides; got {settings.grid}.")
    if settings.body == "unet3d":
        widths = [width * 2**level for level in range(settings.levels)]
        return {"inputs": inputs, "widths": widths, "norm": "instance"}
    return {"inputs": inputs, "width": width, "levels": settings.levels, "dropout": settings.dropout}


def export(network: FirstAndEdited, settings: Settings, folder: Path) -> tuple[Path, ...]:
    """Write F and, if it was trained, G for the engine, and what the method must know of them."""
    channels, grid = settings.channels, settings.grid
    written = [folder / FIRST]
    export_network(
        network.first,
        folder / FIRST,
        architecture=f"{settings.body}:{type(network.first).__name__}",
        settings=arguments(settings, channels),
        inputs={"x": torch.zeros(1, channels, *grid)},
    )
    if network.both:
        written.append(folder / WEIGHTS)
        export_network(
            network.edited,
            folder / WEIGHTS,
            architecture="edited:Edited",
            settings={"body": settings.body, "arguments": arguments(settings, channels + EDITS)},
            inputs={"x": torch.zeros(1, channels + EDITS, *grid)},
        )
    about = folder / ABOUT
    about.write_text(json.dumps({"grid": list(grid), "channels": channels}) + "\n", encoding="utf-8")
    return (*written, about)


def frame_of(grid: Index) -> Frame:
    """Return the frame in which a grid is the volume itself, as in training."""
    z, y, x = (float(n) for n in grid)
    return Frame((0.0, 0.0, 0.0), (z, y, x), grid)


def masks_of(network: nn.Module, inputs: Sequence[Real]) -> list[MaskArray]:
    """Return a network's masks of volumes, without gradient."""
    network.eval()
    with torch.inference_mode(), autocast():
        logits = network(torch.from_numpy(np.stack(inputs)))
    return list((logits[:, 0] > 0).numpy())


def edits_of(sample: Sample, mask: MaskArray) -> tuple[Prompt, ...]:
    """Return the edits that the simulated person makes to a mask, of the sample's tools alone."""
    marks = Edits(sample.seed, clip=CLIP)(sample.truth, mask)
    return () if marks is None else tuple(edit for edit in as_prompts(marks) if isinstance(edit, sample.tools))


def with_edits(sample: Sample, edits: Sequence[Prompt]) -> Real:  # [c + 3 *cells]
    """Return what G sees of a sample."""
    z, y, x = sample.truth.shape
    return np.concatenate([sample.image, edit_channels(edits, frame_of((z, y, x)))])


def loss(network: FirstAndEdited, samples: Sequence[Sample], step: int = 0) -> Tensor:
    """Return F's loss before the switch, and G's, with the edits that F's masks call for, from there on."""
    images = [sample.image for sample in samples]
    if step < network.switch:
        return _missed(network.first, images, samples, network.entropy)
    if step == network.switch and network.warm:
        network.warm_up()
    masks = masks_of(network.first, images)
    seen = [with_edits(sample, edits_of(sample, mask)) for sample, mask in zip(samples, masks, strict=True)]
    return _missed(network.edited, seen, samples, network.entropy)


def _missed(network: nn.Module, inputs: Sequence[Real], samples: Sequence[Sample], entropy: float) -> Tensor:
    truth = torch.from_numpy(np.stack([sample.truth for sample in samples])[:, None].astype(np.float32))
    network.train()
    with autocast():
        logits = network(torch.from_numpy(np.stack(inputs)))
    missed = soft_dice(logits.float(), truth)
    return missed + entropy * binary_cross_entropy_with_logits(logits.float(), truth) if entropy else missed


def _answers(network: FirstAndEdited, sample: Sample) -> dict[str, MaskArray]:
    """Return G's mask after all simulated edits of its own first mask, that first mask, and F's."""
    first = {"first": masks_of(network.first, [sample.image])[0]}
    if not network.both:
        return first
    whole = replace(sample, tools=(Click, Stroke, Adjust))
    unedited = masks_of(network.edited, [with_edits(whole, ())])[0]
    edited = masks_of(network.edited, [with_edits(whole, edits_of(whole, unedited))])[0]
    return {"edited": edited, "unedited": unedited, **first}


def validate(network: FirstAndEdited, samples: Sequence[Sample]) -> dict[str, float]:
    """Return the mean Dice of G after the simulated edits of its own mask, of G without edits, and of F."""
    found = [{name: dice(s.truth, mask) for name, mask in _answers(network, s).items()} for s in samples]
    return {name: float(np.mean([scores[name] for scores in found])) for name in found[0]}


def pictures(network: FirstAndEdited, samples: Sequence[Sample]) -> NDArray[np.uint8]:  # [y x 3]
    """Return the truth's largest slice of four samples, each with G's mask before edits, F's, and G's after edits."""
    examples: list[Example] = []
    for sample in samples[:4]:
        at = int(sample.truth.sum(axis=(1, 2)).argmax())
        masks = [mask for _, mask in sorted(_answers(network, sample).items(), reverse=True)]  # unedited, first, edited
        examples += [Example(sample.image[:1, at], sample.truth[at], mask[at]) for mask in masks]
    return sheet(examples)
