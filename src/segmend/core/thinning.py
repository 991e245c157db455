"""The middle line of a flat shape: thinning (Guo and Hall, 1989) and the longest way through it."""

from __future__ import annotations

from collections import deque
from functools import cache

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.bool_]  # [y x]
Pixels = NDArray[np.intp]  # [n 2] (y, x)
Pixel = tuple[int, int]

RING = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))  # clockwise from above


def thin(shape: Plane) -> Plane:
    """Return the shape worn down to lines one pixel wide, as connected as it was.

    Only pixels that the erosion has reached are looked at in each round, so the time grows
    with the shape's outline and not with its area.

    >>> thin(np.ones((5, 7), bool)).astype(int)
    array([[0, 0, 0, 0, 0, 0, 0],
           [0, 0, 0, 0, 0, 0, 0],
           [0, 0, 1, 1, 1, 0, 0],
           [0, 0, 0, 0, 0, 0, 0],
           [0, 0, 0, 0, 0, 0, 0]])
    """
    from scipy import ndimage  # here, because `import segmend` is to load NumPy alone

    padded = np.pad(shape, 1).astype(np.uint8)
    layer = np.asarray(ndimage.distance_transform_cdt(padded)).ravel()
    flat = padded.ravel()
    width = padded.shape[1]
    offsets = [dy * width + dx for dy, dx in RING]
    waiting = np.flatnonzero(flat)
    order = np.argsort(layer[waiting], kind="stable")
    waiting, starts = waiting[order], np.searchsorted(layer[waiting[order]], np.arange(1, layer.max() + 2))
    alive = np.zeros(0, np.intp)
    depth = 0
    changed = True
    while changed or depth < len(starts) - 1:
        if depth < len(starts) - 1:
            alive = np.concatenate([alive, waiting[starts[depth] : starts[depth + 1]]])
            depth += 1
        changed = False
        for table in _removable():
            code = np.zeros(len(alive), np.uint8)
            for bit, offset in enumerate(offsets):
                code |= flat[alive + offset] << np.uint8(bit)
            gone = table[code]
            if gone.any():
                flat[alive[gone]] = 0
                alive = alive[~gone]
                changed = True
    return np.asarray(padded[1:-1, 1:-1].astype(bool))


@cache
def _removable() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return for both half rounds which of the 256 neighbourhoods let a pixel go."""
    bits = ((np.arange(256)[:, None] >> np.arange(8)) & 1).astype(bool)  # [256 8], clockwise from above
    side, corner = bits[:, 0::2], bits[:, 1::2]  # above, right, below, left; the corner after each
    following = np.roll(side, -1, axis=1)
    crossings = (~side & (corner | following)).sum(axis=1)
    pairs = np.minimum((side | corner).sum(axis=1), (corner | following).sum(axis=1))
    loose = (crossings == 1) & (pairs >= 2) & (pairs <= 3)
    (up, right, down, left), (up_right, down_right, down_left, up_left) = side.T, corner.T
    first = loose & ~((down | down_left | ~up_left) & left)
    second = loose & ~((up | up_right | ~down_right) & right)
    return first, second


def longest(lines: Plane) -> Pixels:
    """Return the pixels of a longest way along connected lines, from end to end.

    The way from one pixel to the one farthest from it, twice, counted in steps: exact on
    lines without loops, near enough with them.

    >>> longest(np.array([[1, 0, 0, 0], [0, 1, 1, 1], [0, 0, 1, 0]], bool)).tolist()
    [[0, 0], [1, 1], [1, 2], [1, 3]]
    """
    pixels = {(y, x) for y, x in np.argwhere(lines).tolist()}
    end, _ = _walk(pixels, min(pixels))
    start, back = _walk(pixels, end)
    way = [start]
    while way[-1] != end:
        way.append(back[way[-1]])
    return np.asarray(min(way, way[::-1]), np.intp)


def _walk(
    pixels: set[tuple[int, int]], start: tuple[int, int]
) -> tuple[tuple[int, int], dict[tuple[int, int], tuple[int, int]]]:
    """Return the pixel reached last, walking breadth first, and from where each was reached."""
    steps = RING[::2] + RING[1::2]  # sides before corners
    back = {start: start}
    queue = deque([start])
    here = start
    while queue:
        here = queue.popleft()
        for dy, dx in steps:
            there = (here[0] + dy, here[1] + dx)
            if there in pixels and there not in back:
                back[there] = here
                queue.append(there)
    return here, back
