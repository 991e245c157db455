"""editing: interactive deep editing in 3D (Zhou, Chen and Wang, 2019), with three tools.

The network G sees the whole volume at once, resampled to a fixed grid, and three channels of edits: *selection*
(1 or -1 round every clicked voxel), *brush* (the same along every stroke) and *adjustment* (K everywhere). It
answers anew from the image and all edits each time; its earlier answers are not fed back, so no edit fades and an
edit that is taken away is gone. Before any edit it makes a first mask by itself. Marks are made on slices and act
in 3D: what changes, and how far, the network judges from the image, which is why a wrong edit changes little.

It knows one kind of object, the one it was trained on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from segmend.core.image import Box, Image, Index, MaskArray, Real, bounds
from segmend.core.logits import sigmoid
from segmend.core.marks import Points, mark, marks
from segmend.core.prompts import Adjust, Mask, Prompt, Stroke, extent
from segmend.core.segmenter import Prediction, Segmenter, Workspace
from segmend.errors import ModelError, ShapeError
from segmend.mend.adjustment import move_boundary
from segmend.runtime import cards
from segmend.runtime.engine import AUTO, Device, Engine, weights_file, weights_of
from segmend.sampling.frame import Frame, whole_frame

METHOD = cards.method("editing")

WEIGHTS, ABOUT = "editing.onnx", "editing.json"
EDITS = 3  # channels: selection, brush, adjustment
DILATION = 2  # cells
LARGEST_K = 1e4  # no mask is so much too large; what a network can be given
SURE = 0.98  # the probability inside a mask from elsewhere
SEEN = 0.02  # probabilities below this are not resampled to voxels

REACH = np.asarray(  # the cells of a click: two dilations by the faces of a cell
    [
        (z, y, x)
        for z in range(-DILATION, DILATION + 1)
        for y in range(-DILATION, DILATION + 1)
        for x in range(-DILATION, DILATION + 1)
        if abs(z) + abs(y) + abs(x) <= DILATION
    ]
)


def load(weights: Path | None = None, device: Device = AUTO, variant: str = "") -> Segmenter:
    """Return the method with the weights that are shipped in the package, or others.

    A variant is another body, whose shipped weights have its name; a folder's are of the body it was trained with.
    """
    if not variant or weights is not None:
        engine = weights_of(METHOD.id, WEIGHTS, weights, device)
        cells, channels = read_about(weights_file(ABOUT, weights))
        return Editing(engine, cells, channels)
    name = f"editing_{variant}"
    if not weights_file(f"{name}.onnx").is_file():
        raise ModelError(
            f"The file {name}.onnx is not shipped; make weights with: segmend train editing --data DIR --out DIR "
            f"--set body={variant}, and use them with --weights DIR"
        )
    cells, channels = read_about(weights_file(f"{name}.json"))
    return Editing(weights_of(METHOD.id, f"{name}.onnx", None, device), cells, channels)


def read_about(path: Path) -> tuple[Index, int]:
    """Return the grid and the channels that weights were trained with; ModelError when the file does not say."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        z, y, x = (int(n) for n in about["grid"])
        return (z, y, x), int(about["channels"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"The weights of editing need {path.name} with their grid and channels: {error}.") from None


@dataclass(frozen=True, eq=False)
class Editing(Segmenter):
    """The method round any engine that maps `x` [1 channels + 3 *cells] to `logits` [1 1 *cells]."""

    engine: Engine
    cells: Index
    channels: int = 1

    def open(self, image: Image) -> Workspace:
        if image.flat:
            raise ShapeError(f"{METHOD.title} works in volumes; this image has one slice.")
        if self.channels > 1 and image.channels != self.channels:
            raise ShapeError(
                f"These weights of {METHOD.id} see images of {self.channels} channels; this one has {image.channels}."
            )
        return EditingWorkspace(self.engine, self.cells, image, self.channels)


class EditingWorkspace(Workspace):
    """One volume, seen through the grid once; an interaction is one pass of the network."""

    def __init__(self, engine: Engine, cells: Index, image: Image, channels: int) -> None:
        self.engine = engine
        self.image = image
        self.shape = image.shape
        self.frame = whole_frame(image.shape, image.spacing, cells)
        self._seen = see_volume(image, self.frame, channels)
        self._unedited: Real | None = None

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        """Return the network's answer; the prompts may be none, or an empty mask, before the first edit."""
        METHOD.check(prompts)
        starts = [number for number, prompt in enumerate(prompts) if isinstance(prompt, Mask)]
        edits = prompts[starts[-1] + 1 :] if starts else prompts
        given = prompts[starts[-1]] if starts else None
        if isinstance(given, Mask) and given.inside.any():
            return self._edit_given_mask(given, edits, previous)
        logits = self._logits(edits)
        newest = prompts[-1] if prompts else None
        if isinstance(newest, Adjust) and newest.of == "mask" and previous.any():
            return self._resize(newest, edits, previous, logits)
        box = self._box(logits, previous)
        return Prediction(sigmoid(self.frame.resample_to_voxels(logits, box)), box)

    def _resize(self, newest: Adjust, edits: Sequence[Prompt], previous: MaskArray, logits: Real) -> Prediction:
        """Return the mask so far as large as K asks for: the network's answer says where, K how many voxels."""
        return move_boundary(
            newest, edits, previous, self.image, lambda box: self.frame.resample_to_voxels(logits, box)
        )

    def _logits(self, edits: Sequence[Prompt]) -> Real:  # [cells]
        """Return the network's answer on its grid; the one without edits is kept."""
        if not edits and self._unedited is not None:
            return self._unedited
        x = np.concatenate([self._seen, edit_channels(edits, self.frame)])[None]
        logits: Real = np.clip(np.nan_to_num(self.engine.run({"x": x})["logits"][0, 0]), -30, 30).astype(np.float32)
        if not edits:
            self._unedited = logits
        return logits

    def _box(self, logits: Real, *masks: MaskArray) -> Box:
        """Return the voxels that the answer or one of the masks says anything about."""
        cells = bounds(sigmoid(logits) > SEEN)
        box = Box((0, 0, 0), (1, 1, 1))
        if cells is not None:
            seen = self.frame.box(cells.grown(1).clipped(self.frame.cells), self.shape)
            box = seen if seen.size else box  # cells beside the volume hold no voxel
        for mask in masks:
            found = bounds(mask)
            box = box if found is None else box.union(found)
        return box

    def _edit_given_mask(self, given: Mask, edits: Sequence[Prompt], previous: MaskArray) -> Prediction:
        """Return a mask from elsewhere with what the edits after it change.

        The network does not see that mask. Taken over from its answer is what the edits changed in it, and the
        whole of every difference to the mask that a mark points at.
        """
        start = np.zeros(self.shape, bool)
        start[given.box.slices] = given.inside
        if not edits:
            box = self._box(np.full(self.frame.cells, -30, np.float32), start, previous)
            return Prediction(np.where(start[box.slices], SURE, 1 - SURE).astype(np.float32), box)
        edited, unedited = self._logits(edits), self._logits(())
        box = self._box(np.maximum(edited, unedited), start, previous)
        for prompt in edits:
            touched = extent(prompt)
            box = box if touched is None else box.union(touched)
        probability, before, old = (
            sigmoid(self.frame.resample_to_voxels(edited, box)),
            self.frame.resample_to_voxels(unedited, box) > 0,
            start[box.slices],
        )
        taken = (probability > 0.5) != before
        apart, _ = ndimage.label((probability > 0.5) != old, np.ones((3, 3, 3), bool))
        for points in marks(edits, self.shape):
            named = np.unique(apart[tuple((points - box.low).T)])
            taken |= np.isin(apart, named[named > 0])
        mended = np.where(taken, probability, np.where(old, SURE, 1 - SURE))
        return Prediction(np.asarray(mended, np.float32), box)


def see_volume(image: Image, frame: Frame, channels: int) -> Real:  # [channels *cells]
    """Return the first channels of a volume on the grid: mean 0 and deviation 1 inside it, 0 round it.

    The darkest value is left out of both, so that air or a removed background does not decide them.

    >>> frame = whole_frame((2, 2, 4), (1, 1, 1), (2, 2, 4))
    >>> image = Image(np.tile([0, 1, 3, 3], (1, 2, 2, 1)))
    >>> see_volume(image, frame, 1)[0, 0, 0].round(2)
    array([-2.47, -1.41,  0.71,  0.71], dtype=float32)
    """
    inside = frame.cells_in_volume(image.shape)
    seen = np.zeros((channels, *frame.cells), np.float32)
    for channel, voxels in zip(seen, image.voxels, strict=False):
        channel[inside] = standardise(frame.resample_to_grid(voxels)[inside])
    return seen


def standardise(values: Real) -> Real:
    """Return values with mean 0 and deviation 1, their least value left out of both and outliers cut at 5."""
    above = values[values > values.min()] if values.size else values
    if not above.size:
        return np.zeros_like(values)
    spread = float(above.std(dtype=np.float64))
    scaled = (values - above.mean(dtype=np.float64)) / (spread if spread > 0 else 1.0)
    return np.asarray(np.clip(np.nan_to_num(scaled), -5, 5), np.float32)


def edit_channels(edits: Sequence[Prompt], frame: Frame) -> Real:  # [3 *cells]
    """Return what the network sees of the edits: selection, brush and adjustment.

    Marks that contradict each other: the later one holds. Adjustments add up, for each refers to the mask
    that the person saw. The network's K is the paper's: above 0 the mask is too large.

    >>> frame = whole_frame((5, 5, 5), (1, 1, 1), (5, 5, 5))
    >>> stroke = Stroke(((2, 1, 2), (2, 1, 4)), positive=False)
    >>> selection, brush, k = edit_channels([Adjust(0.5, of="truth"), stroke], frame)
    >>> brush[2].astype(int).tolist()[0], float(k[0, 0, 0]), bool(selection.any())
    ([0, -1, -1, -1, -1], -0.5, False)
    """
    out = np.zeros((EDITS, *frame.cells), np.float32)
    k = 0.0
    for edit in edits:
        if isinstance(edit, Adjust):
            k -= edit.k_of_truth
            continue
        found = mark(edit)
        if found is not None:
            voxels, positive = found
            where = dilate(frame.cell(voxels), frame.cells)
            tool, other = (1, 0) if isinstance(edit, Stroke) else (0, 1)
            out[tool][where] = 1.0 if positive else -1.0
            out[other][where] *= out[other][where] == out[tool][where]
    out[2] = np.clip(k, -LARGEST_K, LARGEST_K)
    return out


def dilate(cells: Points, grid: Sequence[int]) -> tuple[Points, Points, Points]:
    """Return the index of every cell within two steps of some cells, inside the grid.

    >>> [len(axis) for axis in dilate(np.array([[5, 5, 5]]), (9, 9, 9))]
    [25, 25, 25]
    """
    near = (np.asarray(cells)[:, None] + REACH).reshape(-1, 3)
    z, y, x = np.unique(near[((near >= 0) & (near < grid)).all(axis=1)], axis=0).T
    return z, y, x
