"""Sheets of example pictures: what a network saw, the truth outlined in green and its answer in magenta."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Real

TRUTH, ANSWER = (60, 200, 90), (235, 60, 200)
COLUMNS = 4  # examples in a row of a sheet
GAP_PIXELS = 2  # pixels between two examples


@dataclass(frozen=True, eq=False)
class Example:
    """One plane: grey or red, green and blue, with two masks."""

    image: Real  # [1 y x] or [3 y x], any range
    truth: NDArray[np.bool_]  # [y x]
    answer: NDArray[np.bool_]  # [y x]


def sheet(examples: Sequence[Example]) -> NDArray[np.uint8]:  # [y x 3]
    """Return examples of any size side by side, four in a row, top left in their cells.

    >>> blank = np.zeros((5, 6), bool)
    >>> sheet([Example(np.zeros((1, 5, 6), np.float32), blank, blank)] * 5).shape
    (12, 30, 3)
    """
    tiles = [_tile(example) for example in examples]
    height, width = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    made = np.zeros(
        (rows * (height + GAP_PIXELS) - GAP_PIXELS, columns * (width + GAP_PIXELS) - GAP_PIXELS, 3), np.uint8
    )
    for number, tile in enumerate(tiles):
        y, x = number // columns * (height + GAP_PIXELS), number % columns * (width + GAP_PIXELS)
        made[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return made


def _tile(example: Example) -> NDArray[np.uint8]:
    low, high = float(example.image.min()), float(example.image.max())
    grey = np.asarray((example.image - low) / max(high - low, 1e-6) * 255, np.uint8)
    tile = np.ascontiguousarray(np.moveaxis(np.broadcast_to(grey, (3, *grey.shape[1:])), 0, -1))
    tile[edge(example.truth)] = TRUTH
    tile[edge(example.answer)] = ANSWER
    return tile


def edge(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:  # [y x] both
    """Return the pixels of a mask that touch what is not of it, or the picture's edge.

    >>> edge(np.ones((3, 4), bool)).astype(int)
    array([[1, 1, 1, 1],
           [1, 0, 0, 1],
           [1, 1, 1, 1]])
    """
    padded = np.pad(mask, 1)
    within = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(mask & ~within)
