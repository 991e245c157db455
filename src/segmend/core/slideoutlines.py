"""Outlines of a slide's mask as polygons along the edges of its pixels, joined across all its parts.

Every part of the mask gives the edges of its pixels, each with a direction: the inside is on the right. Edges that lie
on each other in opposite directions are inside, and go; what is left is linked to rings. As pixels of a coarse level
are made of whole pixels of the finer ones, all of it is in whole pixels of level 0, and exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segmend.core.slidemask import Block, FieldChange, blocks

Point = tuple[int, int]  # (x, y) in pixels of level 0: corners of pixels
Ring = list[Point]  # closed: the last point is the first
Edges = NDArray[np.int64]  # [n 4] line, from, to, +1 or -1 for the direction


@dataclass(frozen=True)
class Polygon:
    """One connected part: its outline and those of its holes."""

    outline: Ring
    holes: tuple[Ring, ...] = ()


def outlines(changes: Sequence[FieldChange], height: int, width: int) -> dict[int, list[Polygon]]:
    """Return the polygons of every label of a slide's mask.

    >>> after = np.zeros((2, 3), np.uint16); after[0, 1:] = 4
    >>> outlines([FieldChange.between(1, (0, 0), np.zeros((2, 3), np.uint16), after)], 4, 6)
    {4: [Polygon(outline=[(2, 0), (6, 0), (6, 2), (2, 2), (2, 0)], holes=())]}
    """
    across: dict[int, list[Edges]] = {}
    down: dict[int, list[Edges]] = {}
    for block in blocks(changes, height, width):
        for value in np.unique(block.labels).tolist():
            if value:
                mask = block.labels == value
                across.setdefault(value, []).append(_edges(mask, block, 0, height, width))
                down.setdefault(value, []).append(_edges(mask.T, block, 1, height, width))
    return {
        value: _polygons(_rings(_joined(np.concatenate(across[value])), _joined(np.concatenate(down[value]))))
        for value in sorted(across)
    }


def _edges(mask: NDArray[np.bool_], block: Block, axis: int, height: int, width: int) -> Edges:
    """Return the edges of a mask's pixels along one axis: those that the pixel lies behind are +1, the others -1."""
    padded = np.zeros((mask.shape[0] + 2, mask.shape[1]), np.int8)
    padded[1:-1] = mask
    change = np.diff(padded, axis=0)
    lines, places = np.nonzero(change)
    ends = (height, width) if axis == 0 else (width, height)
    origin = block.low if axis == 0 else block.low[::-1]
    k = block.level
    line = np.minimum((lines + origin[0]) << k, ends[0])
    start = (places + origin[1]) << k
    stop = np.minimum(start + (1 << k), ends[1])
    return np.stack([line, start, stop, change[lines, places]], axis=1).astype(np.int64)


def _joined(edges: Edges) -> Edges:
    """Return edges as long as they go, without those that lie on each other in opposite directions."""
    line = np.concatenate([edges[:, 0], edges[:, 0]])
    place = np.concatenate([edges[:, 1], edges[:, 2]])
    step = np.concatenate([edges[:, 3], -edges[:, 3]])
    order = np.lexsort((place, line))
    line, place, step = line[order], place[order], step[order]
    first = np.flatnonzero(np.r_[True, (line[1:] != line[:-1]) | (place[1:] != place[:-1])])
    line, place, step = line[first], place[first], np.add.reduceat(step, first)
    kept = step != 0
    line, place, value = line[kept], place[kept], np.cumsum(step[kept])
    here = np.flatnonzero(value)  # from each of these places to the next one of its line
    return np.stack([line[here], place[here], place[here + 1], value[here]], axis=1)


def _rings(across: Edges, down: Edges) -> list[Ring]:
    """Return the rings that edges along rows and columns make; the inside is on the right of every one."""
    # The pixel below a row's edge: to the right. The pixel to the right of a column's edge: upwards.
    rows: dict[Point, list[Point]] = {}
    for y, x0, x1, way in across.tolist():
        start, stop = (x0, x1) if way > 0 else (x1, x0)
        rows.setdefault((start, y), []).append((stop, y))
    columns: dict[Point, list[Point]] = {}
    for x, y0, y1, way in down.tolist():
        start, stop = (y1, y0) if way > 0 else (y0, y1)
        columns.setdefault((x, start), []).append((x, stop))
    rings: list[Ring] = []
    while rows:
        begin = next(iter(rows))
        ring: Ring = [begin]
        at, along = begin, True
        before = begin
        while True:
            following = (rows if along else columns)[at]
            after = following[0] if len(following) == 1 else _to_the_right(before, at, following)
            following.remove(after)
            if not following:
                del (rows if along else columns)[at]
            before, at, along = at, after, not along
            ring.append(at)
            if at == begin and along:
                break
        rings.append(ring)
    return rings


def _to_the_right(before: Point, at: Point, following: Sequence[Point]) -> Point:
    """Return which edge turns to the right, so that parts that touch at a corner alone stay apart."""
    (x, y), dx, dy = at, at[0] - before[0], at[1] - before[1]
    return max(following, key=lambda point: dx * (point[1] - y) - dy * (point[0] - x))


def _area(ring: Ring) -> float:
    """Return the area of a ring: below 0 for a hole."""
    x, y = np.array(ring, np.float64).T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2)


def _polygons(rings: Sequence[Ring]) -> list[Polygon]:
    """Return outlines with the holes that lie in them."""
    outer = sorted(((_area(ring), ring) for ring in rings if _area(ring) > 0), key=lambda one: one[0])
    holes: list[list[Ring]] = [[] for _ in outer]
    edges = [_flat_edges(ring) for _, ring in outer]
    boxes = np.array([[*np.min(ring, axis=0), *np.max(ring, axis=0)] for _, ring in outer]).reshape(-1, 4)
    for ring in rings:
        if _area(ring) < 0:
            (x0, y0), (x1, y1) = np.min(ring, axis=0), np.max(ring, axis=0)
            fits = (boxes[:, 0] <= x0) & (boxes[:, 1] <= y0) & (boxes[:, 2] >= x1) & (boxes[:, 3] >= y1)
            # A pixel beside the hole's first edge belongs to the outline round it.
            (ax, ay), (bx, _) = ring[0], ring[1]
            beside = (min(ax, bx) + 0.5, ay + (0.5 if bx > ax else -0.5))
            inside = (i for i in np.flatnonzero(fits).tolist() if _contains(edges[i], beside))
            holes[next(inside)].append(ring)
    return [Polygon(ring, tuple(inner)) for (_, ring), inner in zip(outer, holes, strict=True)]


def _flat_edges(ring: Ring) -> NDArray[np.int64]:
    """Return the edges of a ring that run along rows: [3 n] from, to, row."""
    corners = np.array(ring, np.int64)
    x0, x1, y = corners[:-1, 0], corners[1:, 0], corners[:-1, 1]
    flat = y == corners[1:, 1]
    return np.stack([np.minimum(x0, x1)[flat], np.maximum(x0, x1)[flat], y[flat]])


def _contains(edges: NDArray[np.int64], point: tuple[float, float]) -> bool:
    """Return whether a point, which lies on no edge, is inside a ring: an odd number of edges is above it."""
    low, high, y = edges
    return int(((low < point[0]) & (point[0] < high) & (y < point[1])).sum()) % 2 == 1
