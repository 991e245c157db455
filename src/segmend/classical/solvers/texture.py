"""Texture features of a pixel and its surroundings, for a random forest.

As in Slic-Seg, from squares of up to 9 x 9 pixels: the pixel's values, their means and deviations, Haar wavelets of
two sizes, and a histogram of the directions of gradients. Colours give the first kind each, the others are of their
mean.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter

from segmend.core.image import Real

WIDTHS = (3, 9)  # of the squares
STEPS = (2, 4)  # of the wavelets
DIRECTIONS = 4


def count(channels: int) -> int:
    """Return how many features an image of so many channels has.

    >>> count(1), count(3)
    (15, 25)
    """
    return (1 + 2 * len(WIDTHS)) * channels + 3 * len(STEPS) + DIRECTIONS


def features(values: Real) -> Real:  # [c y x] -> [f y x]
    """Return the features of every pixel; beyond the edges the image is mirrored.

    >>> features(np.zeros((3, 5, 7), np.float32)).shape
    (25, 5, 7)
    """
    found = [*values]
    for width in WIDTHS:
        for channel in values:
            mean = uniform_filter(channel, width)
            square = uniform_filter(channel * channel, width)
            found += [mean, np.sqrt(np.maximum(square - mean * mean, 0))]
    grey = values.mean(axis=0)
    for step in STEPS:
        found += _wavelets(grey, step)
    found += _directions(grey)
    return np.stack(found).astype(np.float32)


def _wavelets(grey: Real, step: int) -> list[Real]:
    """Return the differences of neighbouring squares: left and right, above and below, and crosswise."""
    half = step // 2
    rows, columns = grey.shape
    mean = np.pad(uniform_filter(grey, step), half, mode="symmetric")
    a, b, c, d = (mean[y : y + rows, x : x + columns] for y in (0, step) for x in (0, step))
    return [a + b - c - d, a - b + c - d, a - b - c + d]


def _directions(grey: Real) -> list[Real]:
    """Return how steep the surroundings are in each of a few directions, a gradient and its opposite being one."""
    down, across = (np.gradient(grey, axis=axis) if grey.shape[axis] > 1 else np.zeros_like(grey) for axis in (0, 1))
    steepness = np.hypot(down, across)
    angle = np.arctan2(down, across) % np.pi
    bins = np.minimum((angle * (DIRECTIONS / np.pi)).astype(np.intp), DIRECTIONS - 1)
    return [uniform_filter(np.where(bins == n, steepness, 0).astype(np.float32), WIDTHS[-1]) for n in range(DIRECTIONS)]
