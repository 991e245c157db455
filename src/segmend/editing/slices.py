"""Masks from slice to slice: interpolated in shape between two, or copied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import MaskArray
from segmend.editing.distances import signed_distances
from segmend.errors import PromptError

Shape = NDArray[np.bool_]  # [rows columns] of one slice


def interpolate(mask: MaskArray, axis: int, slices: Sequence[int], spacing: Sequence[float]) -> MaskArray:
    """Return the mask with the slices between given ones replaced; without any, the empty ones between others filled.

    Between two slices the signed distances to their outlines are weighed by how near each is (Raya and Udupa, 1990).
    Where their shapes have no pixel in common they are moved onto each other meanwhile.
    PromptError unless two slices have a mask.

    >>> mask = np.zeros((3, 1, 7), bool); mask[0, 0, 2:5] = True; mask[2, 0, 3:4] = True
    >>> interpolate(mask, 0, (), (1, 1, 1))[1].astype(int).tolist()
    [[0, 0, 0, 1, 0, 0, 0]]
    """
    planes = np.moveaxis(mask.copy(), axis, 0)
    filled = np.flatnonzero(planes.any(axis=(1, 2))).tolist()
    known = sorted(set(slices)) if slices else filled
    empty = [number for number in known if number not in set(filled)]
    if empty or len(known) < 2:
        got = "one that was named has none" if empty else f"{len(known)} has one"
        raise PromptError(f"An interpolation needs two slices with a mask along axis {axis}; {got}.")
    if not slices and all(after - before == 1 for before, after in pairwise(known)):
        raise PromptError(f"There is no empty slice between those with a mask along axis {axis}.")
    in_plane = [step for side, step in enumerate(spacing) if side != axis]
    for before, after in pairwise(known):
        if after - before > 1:
            shares = [(number - before) / (after - before) for number in range(before + 1, after)]
            planes[before + 1 : after] = list(between(planes[before], planes[after], shares, in_plane))
    return np.moveaxis(planes, 0, axis)


def between(one: Shape, other: Shape, shares: Sequence[float], spacing: Sequence[float]) -> Iterator[Shape]:
    """Yield the shapes that lie between two, by these shares of the way from the one to the other."""
    apart = not (one & other).any()
    way = np.argwhere(other).mean(axis=0) - np.argwhere(one).mean(axis=0) if apart else np.zeros(2)
    first, last = signed_distances(one, spacing), signed_distances(other, spacing)
    for share in shares:
        if apart:
            first = signed_distances(_shifted(one, share * way), spacing)
            last = signed_distances(_shifted(other, (share - 1) * way), spacing)
        yield np.asarray((1 - share) * first + share * last > 0)


def _shifted(shape: Shape, by: NDArray[np.float64]) -> Shape:
    """Return a shape moved by whole pixels; what would leave the slice is gone, and if all would, nothing moves."""
    pixels = np.argwhere(shape) + np.floor(by + 0.5).astype(int)
    pixels = pixels[((pixels >= 0) & (pixels < shape.shape)).all(axis=1)]
    if not len(pixels):
        return shape
    out = np.zeros_like(shape)
    out[tuple(pixels.T)] = True
    return out


def copy_slice(mask: MaskArray, axis: int, source: int, target: int) -> MaskArray:
    """Return the mask with one slice's mask in place of another's; PromptError where the first is empty.

    >>> copy_slice(np.array([[[True, False]], [[False, True]]]), 0, 0, 1).astype(int).tolist()
    [[[1, 0]], [[1, 0]]]
    """
    planes = np.moveaxis(mask.copy(), axis, 0)
    if not planes[source].any():
        raise PromptError("The slice to copy from has no mask.")
    planes[target] = planes[source]
    return np.moveaxis(planes, 0, axis)
