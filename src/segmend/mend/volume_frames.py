"""Which frame a volume is looked at through.

Frames have only certain sizes and places, so that the same one comes again while a person works, and its features
need not be computed anew. The frame follows from the prompts and the mask so far alone, never from what is kept: a
replay gives the same masks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Box, Image, Index, MaskArray, bounds, three
from segmend.core.prompts import Extremes, Prompt, extent, is_positive
from segmend.mend.volume_networks import FrameAnswer
from segmend.mend.volume_options import VolumeOptions
from segmend.sampling.frame import Frame

# Sizes of frames between one and its double.
STEPS = 2
# Places of a frame along its own side: the grid that frames lie on.
PLACES = 8
# The least side of a frame, in voxels of the finest spacing: nearer, nothing more is to be seen.
LEAST_FRAME = 16.0
# The least side of a mask, in voxels of the finest spacing, from which it tells its object's size.
LEAST_KNOWN = 4.0


def object_frame(image: Image, box: Box, options: VolumeOptions) -> Frame:
    """Return the frame to look at an object through that fills this box."""
    spacing_mm = image.spacing
    side_mm = options.margin * float(np.max(spacing_mm * box.shape))
    side_mm = max(side_mm, LEAST_FRAME * float(spacing_mm.min()))
    return snap_frame(box, side_mm, spacing_mm, (options.cells,) * 3)


def wider_frame(image: Image, answer: FrameAnswer, options: VolumeOptions) -> Frame:
    """Return a frame from about twice as far, round the answer's mask, which is not empty."""
    cells = bounds(answer.mask)
    assert cells is not None
    box = answer.frame.box(cells, image.shape)
    side_mm = 1.9 * float(answer.frame.length[0] * image.spacing[0])
    return snap_frame(box, side_mm, image.spacing, (options.cells,) * 3)


def first_frames(image: Image, prompts: Sequence[Prompt], options: VolumeOptions) -> Iterator[Frame]:
    """Yield the frames from which marks alone are looked at: from near to the whole volume."""
    box = union(positive_boxes(prompts) or [place(prompts[-1])])
    spacing_mm, cells = image.spacing, (options.first,) * 3
    widest_mm = float(np.max(spacing_mm * image.shape))
    side_mm = max(LEAST_FRAME * float(spacing_mm.min()), 1.5 * float(np.max(spacing_mm * box.shape)))
    while True:
        yield snap_frame(box, side_mm, spacing_mm, cells)
        if side_mm >= widest_mm:
            return
        side_mm *= options.doubling


def object_box(image: Image, prompts: Sequence[Prompt], mask: MaskArray) -> Box | None:
    """Return the box round the mask so far, the boxes and the marks; None where there are marks alone."""
    found = bounds(mask)
    if found is not None:
        longest_mm = float(np.max(image.spacing * found.shape))
        if longest_mm < LEAST_KNOWN * float(image.spacing.min()):
            found = None
    sized = any(isinstance(prompt, Box | Extremes) for prompt in prompts)
    if found is None and not sized:
        return None
    inside = positive_boxes(prompts)
    return _deepened(image, union(inside if found is None else [found, *inside]))


def answer_box(image: Image, answer: FrameAnswer, prompts: Sequence[Prompt]) -> Box:
    """Return the box of an answer's mask and the marks; of the frame's middle where the mask is empty."""
    cells = bounds(answer.mask)
    if cells is None:
        side = answer.frame.cells[0]
        cells = Box((side // 4,) * 3, (side - side // 4,) * 3)
    return union([answer.frame.box(cells, image.shape), *positive_boxes(prompts)])


def touches_frame_side(answer: FrameAnswer, shape: Index) -> bool:
    """Tell whether the mask reaches a side of its frame that is not a side of the volume."""
    mask, frame = answer.mask, answer.frame
    for axis, (low, length, count) in enumerate(zip(frame.low, frame.length, shape, strict=True)):
        across = np.moveaxis(mask, axis, 0)
        edge = length / frame.cells[axis]
        if (low > edge and across[0].any()) or (low + length < count - edge and across[-1].any()):
            return True
    return False


def frame_in_cells(frame: Frame, other: Frame) -> Frame:
    """Return the other frame in the cells of the first, as if these were voxels."""
    edge = np.divide(frame.length, frame.cells)
    low, length = np.subtract(other.low, frame.low) / edge, np.divide(other.length, edge)
    return Frame(three(low), three(length), other.cells)


def snap_frame(box: Box, side_mm: float, spacing_mm: NDArray[np.float64], cells: Index) -> Frame:
    """Return the smallest frame of certain sizes that is so long at least, near the middle of a box.

    >>> snap_frame(Box((4, 4, 4), (6, 8, 8)), 12.0, np.array([2.0, 1.0, 1.0]), (8, 8, 8))
    Frame(low=(1.0, -2.0, -2.0), length=(8.0, 16.0, 16.0), cells=(8, 8, 8))
    """
    side = 2.0 ** (np.ceil(STEPS * np.log2(side_mm) - 1e-9) / STEPS)
    place_mm = side / PLACES
    middle_mm = (np.add(box.low, box.high) / 2) * spacing_mm
    low = place_mm * np.round((middle_mm - side / 2) / place_mm) / spacing_mm
    return Frame(three(low), three(side / spacing_mm), cells)


def positive_boxes(prompts: Sequence[Prompt]) -> list[Box]:
    """Return the boxes of all prompts but the negative ones, which may lie far from the object."""
    boxes = [extent(prompt) for prompt in prompts if is_positive(prompt)]
    return [box for box in boxes if box is not None]


def place(prompt: Prompt) -> Box:
    """Return the box round a prompt that has a place."""
    box = extent(prompt)
    assert box is not None  # adjustments were left out
    return box


def union(boxes: Sequence[Box]) -> Box:
    """Return the box round all of these, of which there is one at least."""
    return reduce(Box.union, boxes)


def _deepened(image: Image, box: Box) -> Box:
    """Return the box of something flat half as deep in mm as it is wide: nothing has been said of its depth."""
    spacing = image.spacing
    if 1 not in box.shape:
        return box
    wanted_mm = 0.5 * float(np.max(spacing * box.shape))
    room = [
        max(0, int(wanted_mm / step / 2)) if side == 1 else 0 for side, step in zip(box.shape, spacing, strict=True)
    ]
    return box.grown((room[0], room[1], room[2])).clipped(image.shape)
