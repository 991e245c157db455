"""Where to look next: the place in a mask where its method is most uncertain.

Uncertainty is smoothed at the scale of a click, for one uncertain voxel is no place to look at. Of the regions where it
then reaches half its peak, the one with the most uncertainty in all is where most voxels are likely to be wrong; a
click belongs where that region is widest. What is marked has been looked at, and so have the places that were named
before.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Box, Index, Real
from segmend.core.marks import mark
from segmend.core.prompts import Click, Prompt
from segmend.core.segmenter import Prediction

SCALE = 0.03  # of the longest side of where the method looked: about the size of a click there
SEEN = 3  # clicks' sizes round a place that was looked at: what is seen along with it
LEVEL = 0.5  # of the peak, from which a region is uncertain
SURE = 0.02  # smoothed uncertainty below which nothing is uncertain


def most_uncertain(
    prediction: Prediction,
    spacing_mm: NDArray[np.float64],
    prompts: Sequence[Prompt] = (),
    *,
    looked_at: Sequence[Index] = (),
) -> Index | None:
    """Return the voxel to look at next; None where the method does not tell its uncertainty, or is sure.

    `prompts` are those that the prediction answers, `looked_at` the places returned for it before; what is
    near either has been seen. The time does not grow with the prediction's box, of which so much is averaged that a
    click stays a few voxels wide.

    >>> uncertainty = np.zeros((1, 9, 40), np.float32); uncertainty[0, 3:6, 6:9] = uncertainty[0, 4, 30] = 1
    >>> prediction = Prediction(uncertainty, Box((3, 10, 0), (4, 19, 40)), uncertainty=uncertainty)
    >>> most_uncertain(prediction, np.ones(3))
    (3, 14, 7)
    >>> most_uncertain(prediction, np.ones(3), looked_at=[(3, 14, 7)])
    (3, 14, 30)
    """
    if prediction.uncertainty is None:
        return None
    return most_uncertain_of([(prediction.box, prediction.uncertainty)], spacing_mm, prompts, looked_at=looked_at)


def most_uncertain_of(
    parts: Sequence[tuple[Box, Real]],
    spacing_mm: NDArray[np.float64],
    prompts: Sequence[Prompt] = (),
    *,
    looked_at: Sequence[Index] = (),
) -> Index | None:
    """Return the voxel to look at next in an answer of several parts, each the uncertainty of its box; later ones hold.

    >>> dim, loud = np.full((1, 4, 4), 0.4), np.full((1, 4, 4), 0.8)
    >>> most_uncertain_of([(Box((2, 0, 0), (3, 4, 4)), dim), (Box((5, 0, 0), (6, 4, 4)), loud)], np.array([4.0, 1, 1]))
    (5, 1, 1)
    """
    box, uncertainty = _together(parts)
    if uncertainty.size == 0:
        return None
    scale_mm = max(SCALE * float(np.max(spacing_mm * uncertainty.shape)), float(spacing_mm.min()))
    step = np.maximum((scale_mm / spacing_mm / 2).astype(np.intp), 1)
    marked = _bins(box, prompts, step)
    seen = _bins(box, [Click(place) for place in looked_at], step)
    place = _widest(_binned(uncertainty, step), scale_mm, step * spacing_mm, marked, seen)
    if place is None:
        return None
    inner = np.minimum(place * step + step // 2, np.asarray(uncertainty.shape) - 1)
    z, y, x = (inner + box.low).tolist()
    return z, y, x


def _together(parts: Sequence[tuple[Box, Real]]) -> tuple[Box, Real]:
    """Return the parts' uncertainty in the box round all of them, 0 between them."""
    box = reduce(Box.union, (part for part, _ in parts), Box((0, 0, 0), (0, 0, 0)))
    whole = np.zeros(box.shape, np.float32)
    for part, uncertainty in parts:
        whole[part.within(box)] = uncertainty
    return box, whole


def _widest(
    uncertainty: Real,
    scale_mm: float,
    spacing_mm: NDArray[np.float64],
    marked: NDArray[np.intp],
    seen: NDArray[np.intp],
) -> NDArray[np.intp] | None:
    """Return the middle of the most uncertain region."""
    from scipy import ndimage  # a method's card is read without it

    smooth = ndimage.gaussian_filter(uncertainty, scale_mm / spacing_mm, mode="nearest", truncate=3)
    for known, reach_mm in ((marked, scale_mm), (seen, SEEN * scale_mm)):
        if len(known):
            away = np.ones(uncertainty.shape, bool)
            away[tuple(known.T)] = False
            smooth[ndimage.distance_transform_edt(away, sampling=spacing_mm) <= reach_mm] = 0
    peak = float(smooth.max())
    if peak < SURE:
        return None
    regions, count = ndimage.label(smooth >= LEVEL * peak, np.ones((3, 3, 3), bool))
    most = 1 + int(np.argmax(ndimage.sum_labels(smooth, regions, np.arange(1, count + 1))))
    region = regions == most
    rim = [(int(side > 1),) * 2 for side in region.shape]  # beyond its box it ends; a flat one has no other side
    inside = tuple(slice(low, low + side) for (low, _), side in zip(rim, region.shape, strict=True))
    depth = ndimage.distance_transform_edt(np.pad(region, rim), sampling=spacing_mm)[inside]
    deepest = np.where(region & (depth >= depth.max() - 1e-6), smooth, -1)
    return np.asarray(np.unravel_index(int(np.argmax(deepest)), region.shape), np.intp)


def _binned(values: Real, step: NDArray[np.intp]) -> Real:
    """Return the means of blocks of voxels; those at the far sides may be cut.

    >>> _binned(np.float32([[[0, 2, 4, 6, 9]]]), np.array([1, 1, 2])).tolist()
    [[[1.0, 5.0, 9.0]]]
    """
    if (step == 1).all():
        return values
    total: Real = values.astype(np.float32)
    counts = np.ones((), np.float32)
    for axis, size in enumerate(step.tolist()):
        starts = np.arange(0, total.shape[axis], size)
        widths = np.diff([*starts, total.shape[axis]]).astype(np.float32)
        total = np.add.reduceat(total, starts, axis=axis)
        counts = counts[..., None] * widths
    return np.asarray(total / counts, np.float32)


def _bins(box: Box, prompts: Sequence[Prompt], step: NDArray[np.intp]) -> NDArray[np.intp]:  # [n 3]
    """Return the blocks with a mark."""
    found = [pinned[0] for prompt in prompts if (pinned := mark(prompt)) is not None]
    points = np.concatenate([np.zeros((0, 3), np.intp), *found]) - box.low
    inside = ((points >= 0) & (points < box.shape)).all(axis=1)
    return np.unique(points[inside] // step, axis=0)
