"""An answer held to the reach of its mark: outside it the label's mask stays as it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from segmend.core.image import Box, MaskArray, bounds
from segmend.core.marks import mark
from segmend.core.masks import components_touching
from segmend.core.prompts import Click, Drawn, Lasso, Prompt, Stroke, extent
from segmend.core.reach import Reach
from segmend.core.segmenter import Prediction, merged
from segmend.editing.distances import within_mm
from segmend.editing.edited import inside_lasso, voxels_within


def within_reach(
    parts: Iterable[Prediction],
    prompt: Prompt,
    reach: Reach | None,
    previous: MaskArray,
    spacing: Sequence[float],
) -> Iterator[Prediction]:
    """Yield the parts of an answer as far as they lie within the reach of its mark; all of them where there is none.

    Where something is held back, the Dice that the method expects is of another mask, so it is left out.

    >>> part = Prediction(np.ones((1, 1, 7), np.float32), Box((0, 0, 0), (1, 1, 7)), quality=0.9)
    >>> [held] = within_reach([part], Click((0, 0, 3)), Reach(mm=2), np.zeros((1, 1, 7), bool), (1, 1, 1))
    >>> held.box, held.mask.sum(), held.quality
    (Box(low=(0, 0, 1), high=(1, 1, 6)), np.int64(5), None)
    """
    if reach is None:
        yield from parts
        return
    area = _area(prompt, reach, previous.shape, spacing)
    if reach.part:
        found = list(parts)
        parts = [_in_component(merged(found, previous), prompt, previous)] if found else []
    for part in parts:
        held = _held(part, area, previous)
        if held is not None:
            yield held


@dataclass(frozen=True, eq=False)
class _Area:
    """Where an answer may change the mask: inside a box, and there perhaps only in some voxels."""

    box: Box
    inside: MaskArray | None  # [z y x] of the box; None: all of it


def _area(prompt: Prompt, reach: Reach, shape: Sequence[int], spacing: Sequence[float]) -> _Area:
    place = extent(prompt)
    assert place is not None, prompt
    box = Box.of((0, 0, 0), shape)
    inside = None
    if reach.mm is not None:
        box = place.grown(voxels_within(reach.mm, spacing)).clipped(shape)
        inside = within_mm(_marked(prompt, box), reach.mm, spacing)
    if reach.axis is not None:
        low, high = list(box.low), list(box.high)
        low[reach.axis], high[reach.axis] = place.low[reach.axis], place.high[reach.axis]
        slices = Box.of(low, high)
        inside = None if inside is None else inside[slices.within(box)]
        box = slices
    return _Area(box, inside)


def _marked(prompt: Prompt, box: Box) -> MaskArray:
    """Return the voxels of a box that a mark lies on; of a lasso and a box, and between extreme points, all inside."""
    there = np.zeros(box.shape, bool)
    found = mark(prompt) if isinstance(prompt, Click | Stroke | Drawn) else None
    place = extent(prompt)
    if found is not None:
        points = found[0] - np.asarray(box.low)
        there[tuple(points[((points >= 0) & (points < box.shape)).all(axis=1)].T)] = True
    elif place is not None:
        inside = inside_lasso(prompt, place) if isinstance(prompt, Lasso) else True
        there[place.within(box)] = inside
    return there


def _in_component(whole: Prediction, prompt: Prompt, previous: MaskArray) -> Prediction:
    """Return an answer that changes only the connected component, of the mask before and after, that a mark is on."""
    before = bounds(previous)
    box = (whole.box if before is None else whole.box.union(before)).grown(1).clipped(previous.shape)
    was = previous[box.slices]
    either = was.copy()
    either[whole.box.within(box)] |= whole.mask
    near = ndimage.binary_dilation(_marked(prompt, box), np.ones((3, 3, 3), bool))
    own = components_touching(either, near & either)[whole.box.within(box)]
    return _keeping(whole, own, previous)


def _held(part: Prediction, area: _Area, previous: MaskArray) -> Prediction | None:
    """Return what of a part lies in an area; None where that is nothing."""
    box = part.box.intersection(area.box)
    if not box.size:
        return None
    at = box.within(part.box)
    outside = bounds(part.mask ^ previous[part.box.slices])
    quality = part.quality
    if outside is not None and outside.moved(part.box.low).intersection(box) != outside.moved(part.box.low):
        quality = None
    uncertainty = None if part.uncertainty is None else part.uncertainty[at]
    cut = replace(part, probability=part.probability[at], box=box, quality=quality, uncertainty=uncertainty)
    return cut if area.inside is None else _keeping(cut, area.inside[box.within(area.box)], previous)


def _keeping(part: Prediction, free: MaskArray, previous: MaskArray) -> Prediction:
    """Return a part of an answer that leaves the mask as it was but where it is free to change it."""
    was = previous[part.box.slices]
    back = ~free & (part.mask != was)
    if not back.any():
        return part
    return replace(part, probability=np.where(back, was.astype(np.float32), part.probability), quality=None)
