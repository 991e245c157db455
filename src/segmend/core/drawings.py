"""Voxel-drawn scribbles as strokes, for methods that know lines and no drawings."""

from __future__ import annotations

import numpy as np

from segmend.core.image import Index, index_of
from segmend.core.prompts import Drawn, Stroke
from segmend.core.thinning import longest, thin

# Of one drawing, the largest: more would be noise, not lines that somebody drew.
MAX_STROKES = 64


def strokes_of(drawn: Drawn) -> list[Stroke]:
    """Return a stroke along the middle of each connected piece of a drawing, plane by plane, the largest last.

    The planes are those across the drawing's thinnest side. A piece with branches gives the longest way through it;
    its radius is half its mean width.

    >>> inside = np.zeros((1, 3, 9), bool); inside[0, :, 1:8] = True
    >>> strokes_of(Drawn(inside, (4, 0, 0)))
    [Stroke(points=((4, 1, 2), (4, 1, 3), (4, 1, 4), (4, 1, 5), (4, 1, 6)), positive=True, radius=1.6)]
    """
    from scipy import ndimage  # here, because `import segmend` is to load NumPy alone

    inside = drawn.inside
    axis = int(np.argmin([int(inside.any(axis=tuple({0, 1, 2} - {a})).sum()) for a in range(3)]))
    found: list[tuple[int, Stroke]] = []
    for number in np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))).tolist():
        pieces, count = ndimage.label(np.take(inside, number, axis), np.ones((3, 3), bool))
        for piece in range(1, count + 1):
            shape = np.asarray(pieces == piece)
            way = longest(thin(shape))
            size = int(shape.sum())
            points = tuple(_on_grid((y, x), axis, number, drawn.low) for y, x in way.tolist())
            radius = max(0.0, round((size / len(points) - 1) / 2, 1))
            found.append((size, Stroke(points, drawn.positive, min(radius, 1000.0))))
    found.sort(key=lambda one: one[0])
    return [stroke for _, stroke in found[-MAX_STROKES:]]


def _on_grid(pixel: tuple[int, int], axis: int, number: int, low: Index) -> Index:
    voxel = list(pixel)
    voxel.insert(axis, number)
    return index_of(np.add(voxel, low))
