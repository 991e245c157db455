"""Marks in every region that is wrong: the clicks of DeepIGeoS's training, and scribbles as BIFSeg's users draw them.

Wang et al., DeepIGeoS (TPAMI 2018): from every connected mis-segmented region of N pixels, n = ceil(N / 100) are
picked at random, none where N is below 30. Wang et al., BIFSeg (TMI 2018): a box that holds the object, each side
moved out by 0 to 10 pixels, then scribbles in the regions that are wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmend.core.image import Box, Index, MaskArray, bounds
from segmend.core.prompts import Click, Stroke
from segmend.core.thinning import longest, thin
from segmend.users.error_region import error_region
from segmend.users.play import Marks
from segmend.users.skeleton import corners

MIN_VOXELS = 30  # regions of fewer voxels are left alone
VOXELS_PER_CLICK = 100  # a region is clicked once for so many voxels, and once for the rest


def regions(truth: MaskArray, mask: MaskArray, *, least: int = MIN_VOXELS) -> Iterator[tuple[MaskArray, Index, bool]]:
    """Yield each region that is wrong, cut out, with its place, and whether it was missed; largest first.

    Regions join by faces, edges and corners; missed voxels and false ones are regions apart.
    """
    found = error_region(truth, mask)
    if found is None:
        return
    wanted = truth[found.box.slices]
    every: list[tuple[int, MaskArray, Index, bool]] = []
    for missed in (True, False):
        labels, count = ndimage.label(found.wrong & (wanted == missed), np.ones((3, 3, 3)))
        sizes = np.bincount(np.asarray(labels).ravel(), minlength=count + 1)
        for number, where in enumerate(ndimage.find_objects(labels), start=1):
            if sizes[number] >= least:
                place = found.place(np.asarray([s.start for s in where]))
                every.append((int(sizes[number]), np.asarray(labels[where] == number), place, missed))
    for _, part, place, missed in sorted(every, key=lambda one: -one[0]):
        yield part, place, missed


@dataclass(frozen=True)
class RegionClicks:
    """Click ceil(N / 100) random voxels of every wrong region of N voxels, none where N is below 30.

    >>> truth = np.zeros((1, 20, 20), bool); truth[0, 2:14, 2:14] = True  # 144 pixels
    >>> len(RegionClicks()(truth, np.zeros_like(truth)))
    2
    """

    kinds: ClassVar[tuple[str, ...]] = ("click",)
    seed: int = 0

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Marks | None:
        found = error_region(truth, mask)
        if found is None:
            return None
        generator = found.generator(self.seed)
        clicks = []
        for part, place, missed in regions(truth, mask):
            voxels = np.argwhere(part)
            count = -(-len(voxels) // VOXELS_PER_CLICK)
            chosen = voxels[generator.choice(len(voxels), size=count, replace=False)]
            clicks += [Click(_to_grid(voxel, place), missed) for voxel in chosen]
        return tuple(clicks) or None


@dataclass(frozen=True)
class BoxThenScribbles:
    """A box whose sides lie 0 to 10 voxels outside the object, then a stroke in each of the largest wrong regions.

    A stroke runs along the region's skeleton, in the axial plane where the region is widest; regions below 30 voxels
    are let be, and `most` strokes at most are drawn at a time.

    >>> truth = np.zeros((1, 40, 40), bool); truth[0, 12:28, 14:30] = True
    >>> box = BoxThenScribbles(seed=1).opening(truth, np.zeros_like(truth))
    >>> all(low - 10 <= at <= low for at, low in zip(box.low[1:], (12, 14)))
    True
    """

    kinds: ClassVar[tuple[str, ...]] = ("box", "stroke")
    seed: int = 0
    margin: int = 10
    most: int = 5

    def opening(self, truth: MaskArray, mask: MaskArray) -> Marks | None:
        """Return the first prompt of a game: the box, unless there is a mask or no object."""
        box, found = bounds(truth), error_region(truth, mask)
        if box is None or found is None or mask.any():
            return self(truth, mask)
        moves = found.generator(self.seed).integers(0, self.margin + 1, (2, 3))
        moves[:, 0] *= truth.shape[0] > 1
        return Box.of(np.asarray(box.low) - moves[0], np.asarray(box.high) + moves[1]).clipped(truth.shape)

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Marks | None:
        strokes: list[Stroke] = []
        for part, place, missed in regions(truth, mask):
            if len(strokes) == self.most:
                break
            strokes.append(Stroke(_skeleton_path(part, place), missed))
        return tuple(strokes) or None


def _skeleton_path(part: MaskArray, place: Index) -> tuple[Index, ...]:
    """Return a path along the skeleton of a region's widest plane."""
    plane = int(part.sum(axis=(1, 2)).argmax())
    labels, _ = ndimage.label(part[plane], np.ones((3, 3)))
    piece = np.asarray(labels == np.bincount(np.asarray(labels).ravel())[1:].argmax() + 1)
    shortest_path = longest(thin(piece))
    voxels = np.column_stack([np.full(len(shortest_path), plane), shortest_path]).astype(np.intp)
    return tuple(_to_grid(voxel, place) for voxel in corners(voxels))


def _to_grid(voxel: NDArray[np.intp], place: Index) -> Index:
    z, y, x = (int(v) + low for v, low in zip(voxel, place, strict=True))
    return z, y, x
