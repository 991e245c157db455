"""Objects that BIFSeg is searched with and measured on: their boxes and scribbles, and what an answer is worth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Image, MaskArray
from segmend.core.masks import dice
from segmend.core.prompts import Prompt
from segmend.papers.bifseg.crop_grid import resample_to_box
from segmend.papers.bifseg.method import LONGEST, STEP, Crop, Frame, crop_of, frame_of, marked_cells
from segmend.papers.bifseg.search import Task
from segmend.runtime.engine import Engine
from segmend.solvers.finetune import Head
from segmend.users import BoxThenScribbles


@dataclass(frozen=True, eq=False)
class Object:
    """One object on its image, which is a picture where it is one of a plane."""

    set: str
    case: str
    image: Image
    truth: MaskArray


def largest_slice(image: Image, truth: MaskArray, across: int = 0) -> tuple[Image, MaskArray]:
    """Return the slice of a volume where an object is largest, as a picture, and the object there."""
    index = int(np.moveaxis(truth, across, 0).sum(axis=(1, 2)).argmax())
    plane = np.moveaxis(image.voxels, across + 1, 1)[:, index : index + 1]
    rows, columns = (float(side) for axis, side in enumerate(image.spacing) if axis != across)
    affine = image.affine if across == 0 else np.diag((1.0, rows, columns, 1.0))
    return Image(np.ascontiguousarray(plane), affine), np.moveaxis(truth, across, 0)[index : index + 1]


def boxed(one: Object, robot: BoxThenScribbles) -> tuple[Prompt, Frame]:
    """Return the box that a robot draws round an object, and where it makes BIFSeg look."""
    nothing = np.zeros_like(one.truth)
    box = robot.opening(one.truth, nothing)
    assert box is not None and not isinstance(box, tuple)
    return box, frame_of([box], nothing, one.image)


def scribbles(one: Object, mask: MaskArray, robot: BoxThenScribbles) -> tuple[Prompt, ...]:
    """Return the strokes that a robot draws in what is wrong with a mask."""
    found = robot(one.truth, mask)
    return tuple(found) if isinstance(found, tuple) else ()


def on_image(one: Object, frame: Frame, crop: Crop, cells: NDArray[np.generic]) -> MaskArray:
    """Return an answer of a crop's cells, labels or probabilities, as a mask of the image."""
    mask = np.zeros(one.truth.shape, bool)
    mask[frame.box.slices] = np.moveaxis(resample_to_box(cells.astype(np.float32), crop.grid), 0, frame.across) > 0.5
    return mask


def tasks_of(
    one: Object, engine: Engine, head: Head, robot: BoxThenScribbles, *, longest: int = LONGEST, step: int = STEP
) -> Iterator[Task]:
    """Yield an object without marks, and with scribbles in what the first answer has wrong."""
    box, frame = boxed(one, robot)
    crop = crop_of(one.image, frame, engine, longest, step)
    first = on_image(one, frame, crop, head.probability(crop.features))
    for prompts in ((box,), (box, *scribbles(one, first, robot))):
        marked = marked_cells(prompts, one.image.shape, frame, crop.grid)
        yield Task(crop, marked, partial(_dice_on_image, one, frame, crop))


def _dice_on_image(one: Object, frame: Frame, crop: Crop, cells: NDArray[np.generic]) -> float:
    return dice(one.truth, on_image(one, frame, crop, cells))
