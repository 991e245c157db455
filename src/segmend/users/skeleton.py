"""A stroke along the middle of the largest error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import MaskArray
from segmend.core.prompts import Stroke
from segmend.core.thinning import longest, thin
from segmend.users.error_region import error_region, largest_component


@dataclass(frozen=True)
class SkeletonStroke:
    """Draw along the skeleton of the largest error, in the axial plane where it is widest.

    People draw in one plane, so in a volume this robot does too. Voxels that were missed
    and voxels that are too many are separate errors here: a stroke has one sign. The
    seed decides which of two equally wide planes.

    >>> truth = np.zeros((1, 5, 9), bool); truth[0, 1:4, 1:8] = True
    >>> SkeletonStroke()(truth, np.zeros_like(truth))
    Stroke(points=((0, 2, 2), (0, 2, 6)), positive=True, radius=1.0)
    """

    kinds: ClassVar[tuple[str, ...]] = ("stroke",)
    seed: int = 0
    radius: float = 1.0

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Stroke | None:
        found = error_region(truth, mask)
        if found is None:
            return None
        wanted = truth[found.box.slices]
        sides = [(positive, found.wrong & (wanted == positive)) for positive in (True, False)]
        parts = [(positive, largest_component(side)) for positive, side in sides if side.any()]
        positive, part = max(parts, key=lambda side: int(side[1].wrong.sum()))
        areas = part.wrong.sum(axis=(1, 2))
        planes = np.flatnonzero(areas == areas.max())
        plane = planes[0] if len(planes) == 1 else planes[found.generator(self.seed).integers(len(planes))]
        inside = largest_component(part.wrong[plane][None])
        path = longest(thin(inside.wrong[0])) + np.asarray(inside.box.low[1:], np.intp)
        voxels = np.column_stack([np.full(len(path), plane), path]).astype(np.intp) + np.asarray(part.box.low, np.intp)
        return Stroke(tuple(found.place(v) for v in corners(voxels)), positive, self.radius)


def corners(path: NDArray[np.intp]) -> NDArray[np.intp]:  # [n 3]
    """Return the ends of a path's straight pieces; the lines between them are the path again.

    >>> corners(np.array([[0, 0, 0], [0, 1, 1], [0, 2, 2], [0, 2, 3]])).tolist()
    [[0, 0, 0], [0, 2, 2], [0, 2, 3]]
    """
    if len(path) < 3:
        return path
    steps = np.diff(path, axis=0)
    turns = np.flatnonzero((steps[1:] != steps[:-1]).any(axis=1)) + 1
    return np.asarray(path[np.concatenate([[0], turns, [len(path) - 1]])])
