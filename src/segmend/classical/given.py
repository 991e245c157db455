"""Slices of a volume that a person gave as masks: the rest of the volume follows from them, and they stay as they are.

To a solver the core of such a slice is marked inside and a rim round it outside, as RefineNet's paper makes seeds for
the graph cut that it compares with. What is solved on coarse cells, or smooths, would otherwise erase a single slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion

from segmend.classical.solvers.unary import Request
from segmend.core.image import Box, MaskArray
from segmend.core.prompts import Mask, Prompt, extent
from segmend.core.segmenter import Prediction

RIM = 3  # pixels between a slice's boundary and its marks, on either side


def given_slices(prompts: Sequence[Prompt], shape: Sequence[int]) -> list[Mask]:
    """Return the masks of one slice of a volume, cut out, oldest first; one that a later prompt corrects is none.

    >>> from segmend.core.prompts import Click
    >>> one, click = Mask(np.ones((1, 2, 2), bool), (3, 4, 5)), Click((3, 9, 9), positive=False)
    >>> given_slices([one], (9, 20, 20)), given_slices([one, click], (9, 20, 20))
    ([<Mask of 4 voxels in 1 x 2 x 2 from (3, 4, 5)>], [])
    """
    found: dict[tuple[int, int], Mask] = {}
    for prompt in prompts:
        box = extent(prompt)
        if box is None:
            continue
        if not isinstance(prompt, Box):
            found = {(a, at): mask for (a, at), mask in found.items() if not box.low[a] <= at < box.high[a]}
        thin = [axis for axis in range(3) if box.shape[axis] == 1 < shape[axis]]
        if isinstance(prompt, Mask) and len(thin) == 1:
            found[thin[0], box.low[thin[0]]] = Mask(prompt.inside[box.within(prompt.box)], box.low)
    return list(found.values())


def with_slices(request: Request, given: Sequence[Mask], *, newest: bool) -> Request:
    """Return a request in which given slices are marks: their cores inside, a rim round each outside.

    Where one is what was put down last, nothing else is known: the slices beside it are to be found, not empty.
    """
    if not given:
        return request
    inside, outside = [request.positive], [request.negative]
    for mask in given:
        z, y, x = (0 if side == 1 else 2 * RIM for side in mask.box.shape)
        box = mask.box.grown((z, y, x)).clipped(request.start.shape)
        here = np.zeros(box.shape, bool)
        here[mask.box.within(box)] = mask.inside
        disc = np.ones([1 if side == 1 else 3 for side in mask.box.shape], bool)
        core = binary_erosion(here, disc, iterations=RIM)
        rim = binary_dilation(here, disc, iterations=2 * RIM) & ~binary_dilation(here, disc, iterations=RIM)
        inside.append(_places(core if core.any() else here) + box.low)
        outside.append(_places(rim) + box.low)
    positive, negative = np.concatenate(inside), np.concatenate(outside)
    if not newest:
        return replace(request, positive=positive, negative=negative)
    nothing = np.zeros_like(request.start)
    return replace(request, positive=positive, negative=negative, start=nothing, known=None)


def _places(mask: MaskArray) -> NDArray[np.intp]:
    return np.asarray(np.argwhere(mask), np.intp)


def holding(found: Prediction, given: Sequence[Mask], previous: MaskArray) -> Prediction:
    """Return an answer in which every given slice is as it was given.

    >>> answer = Prediction(np.ones((2, 1, 2), np.float32), Box((0, 0, 0), (2, 1, 2)))
    >>> held = holding(answer, [Mask(np.ones((1, 1, 1), bool), (1, 0, 2))], np.zeros((2, 1, 3), bool))
    >>> held.probability.tolist()
    [[[1.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]]]
    """
    if not given:
        return found
    box = found.box
    for mask in given:
        box = box.union(mask.box)
    values = previous[box.slices].astype(np.float32)
    values[found.box.within(box)] = found.probability
    for mask in given:
        axis = mask.box.shape.index(1)
        where: list[slice] = [slice(None)] * 3
        where[axis] = slice(mask.low[axis] - box.low[axis], mask.low[axis] - box.low[axis] + 1)
        values[tuple(where)] = 0
        values[mask.box.within(box)] = mask.inside
    return replace(found, probability=values, box=box)
