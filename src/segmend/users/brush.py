"""The brush of interactive deep editing (Zhou, Chen and Wang, 2019): a stroke through the largest wrong region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from segmend.core.image import MaskArray
from segmend.core.prompts import Stroke
from segmend.users.error_region import error_region
from segmend.users.skeleton import corners

Plane = NDArray[np.bool_]  # [y x]
Pixels = NDArray[np.intp]  # [n 2] (y, x)


@dataclass(frozen=True)
class Brush:
    """Draw one stroke through the largest wrong region of any axial slice, from end to end.

    A region is a 2D component, joined by sides and corners, of voxels that were missed or of voxels that are
    too many. Its ends are its two pixels that lie farthest apart; the stroke is the shortest path between them
    inside it. A stroke of fewer than `least` pixels is not drawn. Between equal regions the first is taken.

    >>> truth = np.zeros((2, 5, 9), bool); truth[1, 2:4, 1:8] = True
    >>> Brush()(truth, np.zeros_like(truth))
    Stroke(points=((1, 2, 1), (1, 2, 6), (1, 3, 7)), positive=True, radius=1.0)
    """

    kinds: ClassVar[tuple[str, ...]] = ("stroke",)
    seed: int = 0  # of no use here: this robot leaves nothing to chance
    least: int = 5  # pixels of a stroke
    radius: float = 1.0

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Stroke | None:
        found = error_region(truth, mask)
        if found is None:
            return None
        wanted = truth[found.box.slices]
        sides = [(positive, *_largest_region(found.wrong & (wanted == positive))) for positive in (True, False)]
        positive, index, region = max(sides, key=lambda side: np.count_nonzero(side[2]))
        line = shortest_path(region, *farthest(region))
        if len(line) < self.least:
            return None
        voxels = np.column_stack([np.full(len(line), index), line]).astype(np.intp)
        return Stroke(tuple(found.place(v) for v in corners(voxels)), positive, self.radius)


def _largest_region(wrong: MaskArray) -> tuple[int, Plane]:
    """Return the slice with the largest 2D component, and that component alone; an empty one where there is none."""
    best, where = wrong[0] & False, 0
    most = 0
    for index in np.argsort(-wrong.sum(axis=(1, 2)), kind="stable").tolist():
        if np.count_nonzero(wrong[index]) <= most:
            break
        labels, count = ndimage.label(wrong[index], np.ones((3, 3), bool))
        sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        if sizes.max() > most:
            most, where, best = int(sizes.max()), index, labels == 1 + sizes.argmax()
    return where, best


def farthest(region: Plane) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the two pixels that lie farthest apart.

    Both are the first or the last of their row, so only those are compared.

    >>> [end.tolist() for end in farthest(np.array([[0, 1, 1], [1, 1, 0]], bool))]
    [[0, 2], [1, 0]]
    """
    rows = np.flatnonzero(region.any(axis=1))
    first = region[rows].argmax(axis=1)
    last = region.shape[1] - 1 - region[rows, ::-1].argmax(axis=1)
    ends = np.concatenate([np.column_stack([rows, first]), np.column_stack([rows, last])])
    apart = ((ends[:, None] - ends[None]) ** 2).sum(axis=2)
    one, other = np.unravel_index(int(apart.argmax()), apart.shape)
    pair = sorted((ends[one].tolist(), ends[other].tolist()))
    return np.asarray(pair[0], np.intp), np.asarray(pair[1], np.intp)


def shortest_path(region: Plane, start: NDArray[np.intp], end: NDArray[np.intp]) -> Pixels:
    """Return the pixels of a shortest path inside a region, by sides (1) and corners (the root of 2).

    >>> bow = np.array([[1, 1, 1], [1, 0, 0], [1, 1, 1]], bool)
    >>> shortest_path(bow, np.array([0, 2]), np.array([2, 2])).tolist()
    [[0, 2], [0, 1], [1, 0], [2, 1], [2, 2]]
    """
    number = np.full(np.add(region.shape, 2), -1, np.intp)
    pixels = np.argwhere(region)
    number[tuple((pixels + 1).T)] = np.arange(len(pixels))
    starts, ends, lengths = [], [], []
    for step in ((0, 1), (1, 0), (1, 1), (1, -1)):
        there = number[tuple((pixels + 1 + step).T)]
        joined = np.flatnonzero(there >= 0)
        starts.append(joined)
        ends.append(there[joined])
        lengths.append(np.full(len(joined), np.hypot(*step)))
    joints = (np.concatenate(lengths), (np.concatenate(starts), np.concatenate(ends)))
    graph = coo_array(joints, shape=(len(pixels), len(pixels))).tocsr()
    first, last = (int(number[tuple(pixel + 1)]) for pixel in (start, end))
    _, before = dijkstra(graph, directed=False, indices=first, return_predecessors=True)
    line = [last]
    while line[-1] != first:
        line.append(int(before[line[-1]]))
    return np.asarray(pixels[line[::-1]], np.intp)
