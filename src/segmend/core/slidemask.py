"""The one mask of a slide, kept as what was changed in each field of view, and put together where it is looked at.

A slide has levels: level k halves the sides of the slide k times. A field of view is a small picture of a region at one
level, marked like any other. Its *change* is what the marks changed there: the labels after, where they are others than
before. The mask of the slide is its changes laid over one another, oldest first; so what nobody changed stays as it was
drawn, at whatever level that was. Pixels of a coarse level are made of whole pixels of the finer ones, so nothing is
rounded: areas and outlines are those of the finest level that anything was marked at.

Rows and columns are counted in pixels of a level, (y, x) half-open. The changes of one layer of labels make one map, in
which no two labels share a pixel; labels that may overlap are in layers of their own.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import bounds

Labels = NDArray[np.uint16]  # [y x]
Changed = NDArray[np.bool_]  # [y x]
Places = NDArray[np.int64]
Point = tuple[int, int]  # (y, x)
# Pixels of a side of the blocks that a mask is gone through in.
BLOCK = 1024


@dataclass(frozen=True, eq=False)
class FieldChange:
    """What was changed in one field of view: labels of a box of one level, packed, and where they count."""

    level: int
    low: tuple[int, int]
    high: tuple[int, int]
    labels: bytes = field(repr=False)  # zlib of uint16
    changed: bytes = field(repr=False)  # zlib of bits

    @classmethod
    def between(cls, level: int, low: tuple[int, int], before: Labels, after: Labels) -> FieldChange | None:
        """Return what changed in a field of view that begins at `low`, None where nothing did.

        >>> before = np.zeros((4, 6), np.uint16)
        >>> after = before.copy(); after[1:3, 2:5] = 7
        >>> change = FieldChange.between(2, (10, 20), before, after)
        >>> change.low, change.high
        ((11, 22), (13, 25))
        """
        box = bounds((before != after)[None])
        if box is None:
            return None
        _, rows, columns = box.slices
        labels = np.ascontiguousarray(after[rows, columns], "<u2")
        changed = np.packbits(before[rows, columns] != after[rows, columns])
        (_, y0, x0), (_, y1, x1) = box.low, box.high
        corners = (low[0] + y0, low[1] + x0), (low[0] + y1, low[1] + x1)
        return cls(level, *corners, zlib.compress(labels.tobytes(), 1), zlib.compress(changed.tobytes(), 1))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Top, left, bottom and right in pixels of level 0."""
        k = self.level
        return self.low[0] << k, self.low[1] << k, self.high[0] << k, self.high[1] << k

    def meets(self, top: int, left: int, bottom: int, right: int) -> bool:
        """Return whether it reaches into a box of level 0."""
        y0, x0, y1, x1 = self.box
        return y0 < bottom and top < y1 and x0 < right and left < x1


@lru_cache(maxsize=8)
def _unpacked(change: FieldChange) -> tuple[Changed, Labels]:
    shape = change.high[0] - change.low[0], change.high[1] - change.low[1]
    labels = np.frombuffer(zlib.decompress(change.labels), "<u2").reshape(shape)
    bits = np.frombuffer(zlib.decompress(change.changed), np.uint8)
    return np.unpackbits(bits, count=labels.size).reshape(shape).astype(bool), labels


def labels_at(changes: Sequence[FieldChange], level: int, low: tuple[int, int], high: tuple[int, int]) -> Labels:
    """Return the labels of a region of a level; a pixel of a coarser level than was marked at is what its middle is.

    >>> change = FieldChange.between(1, (0, 0), np.zeros((1, 2), np.uint16), np.array([[0, 5]], np.uint16))
    >>> labels_at([change], 0, (0, 0), (2, 5)).tolist()
    [[0, 0, 5, 5, 0], [0, 0, 5, 5, 0]]
    """
    found: Labels = np.zeros((high[0] - low[0], high[1] - low[1]), np.uint16)
    for change in changes:
        if not change.meets(low[0] << level, low[1] << level, high[0] << level, high[1] << level):
            continue
        changed, labels = _unpacked(change)
        rows, ys = _places(level, low[0], high[0], change.level, change.low[0], change.high[0])
        columns, xs = _places(level, low[1], high[1], change.level, change.low[1], change.high[1])
        if rows.size and columns.size:
            here = found[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            places = np.ix_(ys, xs)
            np.copyto(here, labels[places], where=changed[places])
    return found


def flat_at(marked: Mapping[int, Sequence[FieldChange]], level: int, low: Point, high: Point) -> Labels:
    """Return the labels of a region by the changes of each layer: a later layer lies over the ones before."""
    found: Labels = np.zeros((high[0] - low[0], high[1] - low[1]), np.uint16)
    for layer in sorted(marked):
        labels = labels_at(marked[layer], level, low, high)
        np.copyto(found, labels, where=labels > 0)
    return found


def _places(level: int, low: int, high: int, other: int, start: int, stop: int) -> tuple[Places, Places]:
    """Return which of the pixels of one level lie in a range of another, counted from `low`, and where there."""
    middles = (2 * np.arange(low, high, dtype=np.int64) + 1) << level  # twice as finely as level 0
    there = (middles >> (other + 1)) - start
    inside = np.flatnonzero((there >= 0) & (there < stop - start))
    return inside, there[inside]


@dataclass(frozen=True, eq=False)
class Block:
    """The labels of a square of a slide, at the finest level that anything in it was marked at."""

    level: int
    low: tuple[int, int]  # in pixels of that level
    labels: Labels


def blocks(changes: Sequence[FieldChange], height: int, width: int) -> Iterator[Block]:
    """Yield all parts of a slide's mask in which there is any, each once."""
    side = BLOCK
    while side < max(height, width):
        side *= 2
    yield from _blocks(list(changes), 0, 0, side, height, width)


def _blocks(changes: list[FieldChange], top: int, left: int, side: int, height: int, width: int) -> Iterator[Block]:
    here = [change for change in changes if change.meets(top, left, top + side, left + side)]
    if not here or top >= height or left >= width:
        return
    level = min(change.level for change in here)
    if side >> level > BLOCK:
        half = side // 2
        for y, x in ((0, 0), (0, half), (half, 0), (half, half)):
            yield from _blocks(here, top + y, left + x, half, height, width)
        return
    low = top >> level, left >> level
    high = _up(min(height, top + side), level), _up(min(width, left + side), level)
    labels = labels_at(here, level, low, high)
    if labels.any():
        yield Block(level, low, labels)


def _up(value: int, level: int) -> int:
    return -(-value // (1 << level))


def areas(changes: Sequence[FieldChange], height: int, width: int) -> dict[int, int]:
    """Return how many pixels of level 0 each label covers.

    >>> change = FieldChange.between(1, (0, 0), np.zeros((1, 2), np.uint16), np.array([[0, 5]], np.uint16))
    >>> areas([change], 2, 3)
    {5: 2}
    """
    found: dict[int, int] = {}
    for block in blocks(changes, height, width):
        down, across = (_sizes(block, axis, end) for axis, end in ((0, height), (1, width)))
        for value in np.unique(block.labels).tolist():
            if value:
                found[value] = found.get(value, 0) + int(down @ (block.labels == value) @ across)
    return dict(sorted(found.items()))


def _sizes(block: Block, axis: int, end: int) -> NDArray[np.int64]:
    """Return how many pixels of level 0 each row or column of a block is, the last one of a slide perhaps fewer."""
    starts = np.arange(block.low[axis], block.low[axis] + block.labels.shape[axis], dtype=np.int64) << block.level
    return np.asarray(np.minimum(starts + (1 << block.level), end) - starts)
