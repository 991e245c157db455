"""bifseg (Wang et al., TMI 2018): a box, a compact network that never saw such an object, and learning on the image.

The crop inside the box, brought to one size and normalised by its own mean and deviation, goes once through P-Net (a
plane) or PC-Net (a volume). Its features are stored. Then `segmend.solvers.finetune.alternate` cuts and fine-tunes
block 6 in turn, without marks or with all marks so far: every answer starts from the trained network, so it depends on
nothing but the image, the prompts and the mask so far, and a replay gives the same masks. With fine-tuning off, one cut
of what the trained network says is the answer. An update that would lose the object or a mark is left out.

The variants are what the paper compares with: fine-tuning with equal weights, a graph cut or a dense CRF of what the
network says, the network alone, and other networks, which learned from the same crops (`NETWORKS`).

The box is the newest box, or that of the newest extreme points; else it is that of the mask so far or of the positive
marks, with a margin; else it is the image. A box one voxel thick in a volume asks for that plane.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segmend.classical.solvers.densecrf import Kernels, densecrf
from segmend.core.image import Box, Image, Index, MaskArray, Real, bounds, whole
from segmend.core.marks import Points, marks
from segmend.core.prompts import Click, Extremes, Prompt, Stroke, extent
from segmend.core.seeds import BACKGROUND, FOREGROUND
from segmend.core.segmenter import Prediction, Segmenter, Workspace
from segmend.core.session import Finetune
from segmend.errors import ModelError, PromptError
from segmend.papers.bifseg.crop_grid import Grid, cells_of, planar, resample_to_box, resample_to_cells, solid
from segmend.runtime import cards
from segmend.runtime.engine import AUTO, Device, Engine, weights_file, weights_of
from segmend.solvers.finetune import IN_2D, IN_3D, Finetuned, Head, Tuning, alternate, load_head, size_beside

METHOD = cards.method("bifseg")

SHORTER, MOST = 96, 256  # cells of a plane's shorter side, and of its longer one at most
LONGEST = 80  # cells of a volume's longest side
STEP = 16  # sides are filled up to multiples of this, so that few shapes are compiled
MARGIN = 5  # voxels round extreme points: the middle of the margins in training
ROOM = 10  # voxels round a mask so far or marks: the largest margin in training
SHARE = 8  # marks alone say little of an object's size: an eighth of the image round them

# By dimensions. Tones are those of the crop, with mean 0 and deviation 1, as the paper's are. lambda, sigma, t0, t1,
# epsilon, omega are by grid search on training cases of the shipped networks' sets:
# python bench/bifseg_unseen.py search
TUNINGS: Mapping[int, Tuning] = MappingProxyType(
    {
        2: replace(IN_2D, smoothness=3.0, sigma=0.2, near=0.05, low=0.3, high=0.6, marks=5.0, guarded=True),
        3: replace(IN_3D, smoothness=0.1, sigma=1.0, near=0.05, low=0.05, high=0.6, marks=5.0, guarded=True),
    }
)
KERNELS = Kernels(smooth_weight=6.0, weight=1.5, intensity=0.02)  # of the dense CRF, with tones 0 to 1

# What is made of the network's first answer.
Refinement = Literal["finetune", "unweighted", "cut", "crf", "network"]
REFINEMENTS = ("unweighted", "cut", "crf", "network")

# The networks that the paper compares P-Net and PC-Net with, by dimensions; their variants have their names.
NETWORKS: Mapping[int, tuple[str, ...]] = MappingProxyType({2: ("fcn", "unet"), 3: ("deepmedic", "highres3dnet")})


def load(weights: Path | None = None, device: Device = AUTO, variant: str = "") -> Segmenter:
    """Return the method with the weights that are shipped in the package, or others: 2D, 3D or both."""
    if variant and variant not in REFINEMENTS:
        dimensions = next(key for key, names in NETWORKS.items() if variant in names)
        return Bifseg({dimensions: compared_net(variant, dimensions, weights, device)}, refinement="cut")
    found: dict[int, Net] = {}
    missing: ModelError | None = None
    for dimensions in (2, 3):
        try:
            found[dimensions] = net_of(f"bifseg{dimensions}d", weights, device)
        except ModelError as error:
            missing = missing or error
    if missing is not None and not found:
        raise missing
    refinement: Refinement = variant or "finetune"  # type: ignore[assignment]  # one of REFINEMENTS
    return Bifseg(found, refinement=refinement)


@dataclass(frozen=True, eq=False)
class Net:
    """A network that maps `x` [1 1 (z) y x] to `features` [1 f (z) y x], and the head that reads these.

    One without `features` gives `logits` [1 1 or 2 (z) y x], and its head takes these as they are. `step` is what its
    sides need to be multiples of. `longest` is the size of volumes that it learned from: at another one it sees things
    that it does not know.
    """

    engine: Engine
    head: Head
    longest: int = LONGEST
    step: int = STEP


def net_of(name: str, weights: Path | None, device: Device = AUTO) -> Net:
    """Return a network and its head from the package or a folder."""
    engine = weights_of(METHOD.id, f"{name}.onnx", weights, device)
    block = weights_file(f"{name}.npz", weights)
    return Net(engine, load_head(block), size_beside(block, "longest", LONGEST))


def compared_net(network: str, dimensions: int, weights: Path | None, device: Device = AUTO) -> Net:
    """Return one of the networks that the paper compares with: its logits are its features, and its head adds nothing.

    ModelError says how to train it.
    """
    name = f"bifseg{dimensions}d_{network}"
    if not weights_file(f"{name}.onnx", weights).is_file():
        raise ModelError(
            f"There are no weights {name}.onnx here; make them with: segmend train bifseg --data DIR --out DIR "
            f"--set dimensions={dimensions} --set network={network}"
        )
    block = weights_file(f"{name}.npz", weights)
    engine = weights_of(METHOD.id, f"{name}.onnx", weights, device)
    return Net(engine, load_head(block), size_beside(block, "longest", LONGEST), size_beside(block, "step", STEP))


@dataclass(frozen=True, eq=False)
class Bifseg(Segmenter):
    """The method round its networks, by dimensions."""

    nets: dict[int, Net]
    tunings: Mapping[int, Tuning] = field(default_factory=lambda: TUNINGS)
    refinement: Refinement = "finetune"

    def open(self, image: Image) -> Workspace:
        return BifsegWorkspace(self, image)

    def net(self, dimensions: int) -> Net:
        if dimensions not in self.nets:
            raise ModelError(
                f"BIFSeg has no weights for {dimensions}D here; make them with: "
                f"segmend train bifseg --data DIR --out DIR --set dimensions={dimensions}"
            )
        return self.nets[dimensions]


@dataclass(frozen=True)
class Frame:
    """Where to look: a box, seen with this axis first; `dimensions` is 2 for a single plane of it."""

    box: Box
    across: int
    dimensions: int
    strict: bool  # the person said so: nothing of the object lies outside


@dataclass(frozen=True, eq=False)
class Crop:
    """A frame as the network sees it: what is computed once a frame."""

    grid: Grid
    spacing: tuple[float, float, float]  # of the cells; the smallest is 1
    tones: Real  # [z y x] with mean 0 and deviation 1
    features: Real  # [f z y x]


class BifsegWorkspace(Workspace):
    """One image, and the crop that was asked about last."""

    def __init__(self, method: Bifseg, image: Image) -> None:
        self.method = method
        self.image = image
        self.finetunes: Finetune = "auto"
        self._kept: dict[Frame, Crop] = {}  # one

    def with_finetuning(self, finetune: Finetune) -> BifsegWorkspace:
        other = copy(self)
        other.finetunes = finetune
        return other

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        METHOD.check(prompts)
        if not prompts:
            raise PromptError("BIFSeg needs at least one prompt; got none.")
        frame = frame_of(prompts, previous, self.image)
        crop = self._crop(frame)
        marked = marked_cells(prompts, previous.shape, frame, crop.grid)
        head, tuning = self.method.net(frame.dimensions).head, self.method.tunings[frame.dimensions]
        refinement = (
            "cut" if self.finetunes == "off" and self.method.refinement == "finetune" else self.method.refinement
        )
        found = refined(crop, head, marked, refinement, tuning, expected=frame.strict)
        inside = resample_to_box(found.labels.astype(np.float32), crop.grid)
        unsure = resample_to_box((1 - np.abs(2 * found.probability - 1)).astype(np.float32), crop.grid)
        said = _place_answer(_back(inside, frame.across), _back(unsure, frame.across), frame, previous)
        return replace(said, finetuned=found.head is not head)

    def _crop(self, frame: Frame) -> Crop:
        if frame not in self._kept:
            net = self.method.net(frame.dimensions)
            self._kept.clear()
            self._kept[frame] = crop_of(self.image, frame, net.engine, net.longest, net.step)
        return self._kept[frame]


def refined(
    crop: Crop,
    head: Head,
    marked: NDArray[np.uint8],
    refinement: Refinement,
    tuning: Tuning,
    *,
    expected: bool = False,
) -> Finetuned:
    """Return what is made of a network's first answer; marked cells have their label.

    Where an object is `expected`, because a person drew a box round it, an answer without any is none.
    """
    match refinement:
        case "finetune" | "unweighted" | "cut":
            tuning = replace(
                tuning,
                weighted=tuning.weighted and refinement != "unweighted",
                rounds=0 if refinement == "cut" else tuning.rounds,
            )
            return alternate(
                crop.features,
                crop.tones,
                head,
                marked=marked,
                tuning=tuning,
                spacing=crop.spacing,
                expected=expected,
            )
        case "crf":
            probability = refine_by_crf(crop, head.probability(crop.features), marked, KERNELS)
        case "network":
            probability = head.probability(crop.features)
    return Finetuned(head, probability, ((probability > 0.5) | (marked == FOREGROUND)) & (marked != BACKGROUND))


def refine_by_crf(crop: Crop, probability: Real, marked: NDArray[np.uint8], kernels: Kernels) -> Real:
    """Return a first answer after the fully connected CRF; marks hold."""
    return densecrf(probability, between(crop.tones)[None], spacing=crop.spacing, pinned=marked, kernels=kernels)


def frame_of(prompts: Sequence[Prompt], previous: MaskArray, image: Image) -> Frame:
    """Return where the object is looked for.

    >>> image = Image(np.zeros((1, 1, 40, 50)))
    >>> frame_of([Click((0, 20, 25))], np.zeros((1, 40, 50), bool), image).box
    Box(low=(0, 10, 15), high=(1, 31, 36))
    """
    framing = [prompt for prompt in prompts if isinstance(prompt, Box | Extremes)]
    flat = (0, 1, 1) if image.flat else (1, 1, 1)
    if not framing:
        return Frame(_guess_box(prompts, previous, image), _across(image), 2 if image.flat else 3, strict=False)
    box = extent(framing[-1])
    assert box is not None
    across = _plane_of(box, image)
    if isinstance(framing[-1], Extremes):
        away = [MARGIN * side for side in flat]
        if across is not None:
            away[across] = 0
        box = box.grown((away[0], away[1], away[2])).clipped(image.shape)
    if across is None:
        return Frame(_with_marks(box, prompts), _across(image), 3, strict=True)
    newest = extent(prompts[-1]) or box
    index = (newest.low[across] + newest.high[across]) // 2
    box = _move_axis(box, across, index)
    here = [p for p in prompts if (e := extent(p)) is not None and e.low[across] <= index < e.high[across]]
    return Frame(_move_axis(_with_marks(box, here), across, index), across, 2, strict=True)


def _guess_box(prompts: Sequence[Prompt], previous: MaskArray, image: Image) -> Box:
    """Return the box of the mask so far and the positive marks with a margin, or the image."""
    known, said = bounds(previous), _with_marks(Box((0, 0, 0), (0, 0, 0)), prompts)
    if known is None and said.size == 0:
        return whole(image.shape)
    if known is not None:
        return known.union(said).grown(ROOM).clipped(image.shape)
    z, y, x = (max(ROOM, side // SHARE) for side in image.shape)
    return said.grown((z, y, x)).clipped(image.shape)


def _with_marks(box: Box, prompts: Sequence[Prompt]) -> Box:
    for prompt in prompts:
        if isinstance(prompt, Click | Stroke) and prompt.positive:
            box = box.union(extent(prompt) or box)
    return box


def _across(image: Image) -> int:
    """Return the axis across slices: the one of the thickest, the first where voxels are about cubes."""
    return 0 if image.flat else image.thick_axis or 0


def _plane_of(box: Box, image: Image) -> int | None:
    """Return the axis across the plane that a flat box was drawn in, None for a box with depth."""
    if image.flat:
        return 0
    thin = [axis for axis in range(3) if box.shape[axis] == 1]
    if not thin:
        return None
    return thin[0] if len(thin) == 1 else max(thin, key=lambda axis: float(image.spacing[axis]))


def _move_axis(box: Box, axis: int, index: int) -> Box:
    low, high = list(box.low), list(box.high)
    low[axis], high[axis] = index, index + 1
    return Box.of(low, high)


def crop_of(image: Image, frame: Frame, engine: Engine, longest: int = LONGEST, step: int = STEP) -> Crop:
    """Return a frame as the network sees it, with its features."""
    grid = grid_of(frame, image, longest)
    voxels = image.voxels[(slice(None), *frame.box.slices)]
    cells = resample_to_cells(_turn_axes(grey(voxels), frame.across), Grid(whole(grid.box.shape), grid.cells))
    tones = np.asarray(normal(cells), np.float32)
    x = filled_up(tones, frame.dimensions, step)
    found = engine.run({"x": x[0][None, None] if frame.dimensions == 2 else x[None, None]})
    features = found["features"][0] if "features" in found else _contrast(found["logits"][0])
    features = features[:, None] if frame.dimensions == 2 else features
    z, y, x_ = grid.cells
    spacing = np.asarray(_first(image.spacing, frame.across)) * grid.box.shape / np.asarray(grid.cells)
    relative = spacing / spacing[1:].min()
    return Crop(
        grid,
        (float(relative[0]), float(relative[1]), float(relative[2])),
        tones,
        np.ascontiguousarray(features[:, :z, :y, :x_], np.float32),
    )


def _contrast(logits: Real) -> Real:  # [1 or 2 ...] -> [1 ...]
    return logits[1:] - logits[:1] if len(logits) == 2 else logits


def grid_of(frame: Frame, image: Image, longest: int = LONGEST) -> Grid:
    """Return the cells of a frame, the axis across first."""
    box = Box(_order(frame.box.low, frame.across), _order(frame.box.high, frame.across))
    spacing = _first(image.spacing, frame.across)
    if frame.dimensions == 2:
        return planar(box, spacing, shorter=SHORTER, most=MOST)
    return solid(box, spacing, longest=longest)


def grey(voxels: NDArray[np.generic]) -> Real:  # [c z y x] -> [z y x]
    """Return the mean of red, green and blue, or the first channel of other images.

    >>> grey(np.array([1, 2, 6]).reshape(3, 1, 1, 1)).item()
    3.0
    """
    return np.asarray(voxels[:3].astype(np.float32).mean(axis=0) if len(voxels) == 3 else voxels[0], np.float32)


def normal(cells: Real) -> Real:
    """Return intensities with mean 0 and deviation 1; a constant is 0."""
    spread = float(cells.std())
    return np.asarray((cells - cells.mean()) / (spread if spread > 1e-6 * (1 + np.abs(cells).max()) else np.inf))


def between(cells: Real) -> Real:
    """Return intensities as 0 to 1 between the crop's percentiles."""
    low, high = np.percentile(cells, (0.5, 99.5))
    return np.asarray(np.clip((cells - low) / max(float(high - low), 1e-6), 0, 1), np.float32)


def filled_up(cells: Real, dimensions: int, step: int = STEP) -> Real:
    """Return the cells with zeros behind them, up to multiples of a step (across slices: of half of it in a volume)."""
    steps = (1 if dimensions == 2 else step // 2, step, step)
    return np.pad(cells, [(0, -side % step) for side, step in zip(cells.shape, steps, strict=True)])


def marked_cells(prompts: Sequence[Prompt], shape: Index, frame: Frame, grid: Grid) -> NDArray[np.uint8]:
    """Return which cells the marks pin; where both fall into one cell, inside it is."""
    pinned = np.zeros(grid.cells, np.uint8)
    for points, side in zip(marks(prompts, shape)[::-1], (BACKGROUND, FOREGROUND), strict=True):
        turned: Points = np.stack([points[:, axis] for axis in _axes(frame.across)], axis=1)
        pinned[tuple(cells_of(turned, grid).T)] = side
    return pinned


def _axes(across: int) -> tuple[int, int, int]:
    rows, columns = (axis for axis in range(3) if axis != across)
    return across, rows, columns


def _order(index: Index, across: int) -> Index:
    z, y, x = (index[axis] for axis in _axes(across))
    return z, y, x


def _first(values: NDArray[np.float64], across: int) -> tuple[float, float, float]:
    z, y, x = (float(values[axis]) for axis in _axes(across))
    return z, y, x


def _turn_axes(volume: Real, across: int) -> Real:
    return np.moveaxis(volume, across, 0)


def _back(volume: Real, across: int) -> Real:
    return np.moveaxis(volume, 0, across)


def _place_answer(inside: Real, unsure: Real, frame: Frame, previous: MaskArray) -> Prediction:
    """Return the crop's answer; where the person drew the box, the object has nothing outside it."""
    box = frame.box
    if frame.strict:
        old = bounds(previous)
        if old is not None and frame.dimensions == 2:
            old = old.intersection(_move_axis(old, frame.across, box.low[frame.across]))
        box = box if old is None else box.union(old)
    around = [
        (l - low, high - h) for l, low, h, high in zip(frame.box.low, box.low, frame.box.high, box.high, strict=True)
    ]
    probability, uncertainty = (np.pad(np.clip(values, 0, 1), around) for values in (inside, unsure))
    return Prediction(probability, box, uncertainty=uncertainty)
