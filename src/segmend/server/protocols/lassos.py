"""Lassos that come as the voxels inside them, as lines again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmend.core.image import Index, MaskArray, bounds, index_of
from segmend.core.prompts import MAX_POINTS, Lasso
from segmend.errors import PromptError

Pixel = tuple[int, int]
# Pieces of one lasso: a line that crosses itself makes some, noise makes thousands.
MAX_PIECES = 64
# The neighbours of a pixel, clockwise from the left one.
AROUND: tuple[Pixel, ...] = ((0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1))


def lasso_of(inside: MaskArray, low: Index, *, positive: bool) -> Lasso:
    """Return the lasso whose inside are these voxels of a crop that begins at `low`; what they enclose is inside, too.

    They need to lie in one plane. Pieces that do not touch are joined by lines one voxel wide.

    >>> inside = np.zeros((1, 4, 5), bool); inside[0, 1:4, 1:4] = True
    >>> lasso_of(inside, (7, 0, 0), positive=True).points
    ((7, 1, 1), (7, 1, 3), (7, 3, 3), (7, 3, 1))
    """
    box = bounds(inside)
    if box is None:
        raise PromptError("A lasso needs at least one voxel.")
    flat = [axis for axis in range(3) if box.shape[axis] == 1]
    if not flat:
        raise PromptError(f"A lasso needs all its voxels in one plane; these fill a box of {box.shape}.")
    axis = flat[0]
    plane = inside[box.slices].any(axis=axis)
    pieces, count = ndimage.label(plane, np.ones((3, 3), bool))
    if count > MAX_PIECES:
        raise PromptError(f"A lasso needs at most {MAX_PIECES} pieces; got {count}.")
    line: list[Pixel] = []
    for number in range(1, count + 1):
        outline = _outline(pieces == number)
        line += [*outline, outline[0]] if count > 1 else outline
    if count > 1:  # back the way that the pieces were joined by
        starts = [_start(pieces == number) for number in range(count, 0, -1)]
        line += starts[1:]
    corner = index_of(np.add(box.low, low))
    return Lasso(tuple(_on_grid(pixel, axis, corner) for pixel in line), axis, positive)


def _start(piece: NDArray[np.bool_]) -> Pixel:
    """Return the first pixel of the topmost row."""
    row = int(piece.any(axis=1).argmax())
    return row, int(piece[row].argmax())


def _outline(piece: NDArray[np.bool_]) -> list[Pixel]:
    """Return the corners of the line round one connected piece, through its own pixels (Moore's tracing)."""
    padded = np.pad(piece, 1)
    start = tuple(i + 1 for i in _start(piece))
    here, way = (start[0], start[1]), 0  # it was come to from the left, where nothing is
    path: list[tuple[Pixel, int]] = []
    while True:
        for turn in range(8):
            step = (way + turn) % 8
            there = here[0] + AROUND[step][0], here[1] + AROUND[step][1]
            if padded[there]:
                break
        else:
            return [(here[0] - 1, here[1] - 1)]  # a single pixel
        if path and (here, step) == path[0]:
            break
        path.append((here, step))
        if len(path) > MAX_POINTS:
            raise PromptError(f"A lasso needs a line of at most {MAX_POINTS} pixels.")
        here, way = there, (step + 5 if step % 2 else step + 6) % 8  # go on behind the last empty neighbour
    corners = [pixel for (pixel, step), (_, before) in zip(path, [path[-1], *path[:-1]], strict=True) if step != before]
    return [(y - 1, x - 1) for y, x in corners]


def _on_grid(pixel: Pixel, axis: int, corner: Index) -> Index:
    voxel = list(pixel)
    voxel.insert(axis, 0)
    return index_of(np.add(voxel, corner))
