"""What a brush covers that is drawn along a line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segmend.core.edits import Paint
from segmend.core.image import Box, MaskArray
from segmend.core.marks import path
from segmend.editing.distances import SLACK, within_mm
from segmend.errors import LimitError

# Voxels of the box round all that one gesture may cover.
MAX_VOXELS = 1 << 25


def covered(paint: Paint, spacing: Sequence[float], shape: Sequence[int]) -> tuple[Box, MaskArray]:
    """Return the box round what the brush covers, and its voxels.

    A radius in voxels is one of the finest spacing in the plane, so that the brush is round in mm.

    >>> box, inside = covered(Paint(((0, 2, 2),), radius=1.0, axis=0), (4.0, 1.0, 1.0), (3, 5, 5))
    >>> box, inside[0].astype(int).tolist()
    (Box(low=(0, 1, 1), high=(1, 4, 4)), [[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    """
    radius_mm = paint.radius * _unit_mm(paint, spacing, shape)
    flat = shape[0] == 1
    steps = [np.inf if axis == paint.axis or (flat and axis == 0) else step for axis, step in enumerate(spacing)]
    reach = [int(radius_mm * (1 + SLACK) / step) for step in steps]
    line = path(paint.points)
    box = Box.of(line.min(axis=0) - reach, line.max(axis=0) + reach + 1).clipped(shape)
    if box.size > MAX_VOXELS:
        raise LimitError(f"A brush may reach over {MAX_VOXELS} voxels; the box of this one has {box.size}.")
    drawn = np.zeros(box.shape, bool)
    drawn[tuple((line - np.asarray(box.low)).T)] = True
    if paint.square:
        for axis, away in enumerate(reach):
            drawn = _spread(drawn, axis, away)
        return box, drawn
    # across the plane nothing is near: a step longer than the radius
    return box, within_mm(drawn, radius_mm, [min(step, 2 * radius_mm + 1.0) for step in steps])


def _unit_mm(paint: Paint, spacing: Sequence[float], shape: Sequence[int]) -> float:
    if paint.unit == "mm":
        return 1.0
    across = 0 if paint.axis is None and shape[0] == 1 else paint.axis
    return min(float(step) for axis, step in enumerate(spacing) if axis != across)


def _spread(drawn: MaskArray, axis: int, away: int) -> MaskArray:
    """Return the mask spread by so many voxels to both sides along an axis."""
    if away == 0:
        return drawn
    counts = np.cumsum(drawn, axis=axis, dtype=np.int32)
    counts = np.moveaxis(counts, axis, 0)
    length = len(counts)
    at = np.arange(length)
    upper = counts[np.minimum(at + away, length - 1)]
    lower = np.where((at > away).reshape(-1, 1, 1), counts[np.maximum(at - away - 1, 0)], 0)
    return np.asarray(np.moveaxis(upper > lower, 0, axis))
