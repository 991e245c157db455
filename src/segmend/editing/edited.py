"""Any edit, worked out: which voxels of the label map it changes, and to what.

`edited` gives a `Change`, the label's mask in a box; `laid_over` puts a change over the label map there, where locked
labels, and others unless the edit or `overwrite` says so, keep their voxels. `edit_map` does both at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmend.core.edits import (
    Combine,
    Component,
    CopySlice,
    Cut,
    Draw,
    Edit,
    FillHoles,
    Grow,
    Interpolate,
    KeepLargest,
    Merge,
    Paint,
    Range,
    RemoveSmall,
    Smooth,
    Threshold,
    check_edit,
)
from segmend.core.image import Box, Image, Index, LabelMap, MaskArray, bounds, whole
from segmend.core.marks import fill_lasso
from segmend.core.prompts import Lasso, extent
from segmend.editing import rules
from segmend.editing.brush import covered
from segmend.editing.cuts import cut_part
from segmend.editing.distances import SLACK, within_mm
from segmend.editing.slices import copy_slice, interpolate
from segmend.errors import PromptError


@dataclass(frozen=True, eq=False)
class Change:
    """What an edit makes of a label's mask inside a box; outside it nothing changes."""

    box: Box
    mask: MaskArray  # [z y x] of the box
    gained: int | None = None  # the label that gets the voxels which the mask loses; None: nobody does
    taken: int | None = None  # the other label that loses voxels to the mask


def edited(edit: Edit, mask: MaskArray, image: Image, mask_of: Callable[[int], MaskArray]) -> Change | None:
    """Return what an edit makes of a mask, None where nothing is to be changed.

    `mask_of` gives another label's mask. PromptError where the edit finds nothing to work on, such as no slices to
    interpolate between.

    >>> image = Image(np.zeros((1, 1, 3, 5)))
    >>> ring = np.ones(image.shape, bool); ring[0, 1, 2] = False
    >>> change = edited(FillHoles(), ring, image, lambda label: ring)
    >>> change.box, int(change.mask.sum())
    (Box(low=(0, 0, 0), high=(1, 3, 5)), 15)
    """
    change = _change(edit, mask, image, mask_of)
    return None if change is None or np.array_equal(change.mask, mask[change.box.slices]) else change


def laid_over(
    before: LabelMap, change: Change, label: int, *, locked: Collection[int] = (), overwrite: bool = False
) -> LabelMap:
    """Return the label map of a change's box after it; another label's voxels stay where they are not to be taken.

    >>> before = np.array([[[0, 1, 2, 3]]], np.uint16)
    >>> change = Change(Box((0, 0, 0), (1, 1, 4)), np.ones((1, 1, 4), bool))
    >>> laid_over(before, change, 1).tolist(), laid_over(before, change, 1, locked=[3], overwrite=True).tolist()
    ([[[1, 1, 2, 3]]], [[[1, 1, 1, 3]]])
    """
    own = before == label
    free = own | (before == 0)
    if overwrite:
        free |= ~np.isin(before, list(locked))
    elif change.taken is not None and change.taken not in locked:
        free |= before == change.taken
    after = before.copy()
    after[own & ~change.mask] = 0 if change.gained is None or change.gained in locked else change.gained
    after[change.mask & free] = label
    return after


def edit_map(
    before: LabelMap,
    edit: Edit,
    image: Image,
    *,
    label: int = 1,
    locked: Collection[int] = (),
    overwrite: bool = False,
) -> LabelMap:
    """Return a label map after an edit of one label's mask.

    >>> image = Image(np.zeros((1, 1, 3, 5)))
    >>> before = np.zeros(image.shape, np.uint16); before[0, 1, 2] = 7
    >>> edit_map(before, Grow(1.0), image, label=7)[0].tolist()
    [[0, 0, 7, 0, 0], [0, 7, 7, 7, 0], [0, 0, 7, 0, 0]]
    """
    check_edit(edit, before.shape)
    change = edited(edit, before == label, image, lambda other: np.asarray(before == other))
    after = before.copy()
    if change is not None:
        there = after[change.box.slices]
        there[...] = laid_over(there, change, label, locked=locked, overwrite=overwrite)
    return after


def _change(edit: Edit, mask: MaskArray, image: Image, mask_of: Callable[[int], MaskArray]) -> Change | None:
    match edit:
        case Paint():
            box, inside = covered(edit, image.spacing.tolist(), mask.shape)
            return _drawn(mask, box, inside, edit.positive, edit.within, image)
        case Draw(drawn=drawn, within=within):
            return _drawn(mask, drawn.box, drawn.inside, drawn.positive, within, image)
        case Threshold():
            return _threshold(edit, mask, image)
        case Combine():
            return _combine(edit, mask, mask_of(edit.other), image)
        case Merge(other=other):
            return _union(mask, mask_of(other), other)
        case _:
            return _ruled(edit, mask, image)


def _drawn(mask: MaskArray, box: Box, inside: MaskArray, positive: bool, within: Range | None, image: Image) -> Change:
    if within is not None:
        inside = inside & in_range(image, box, within)
    here = mask[box.slices]
    return Change(box, here | inside if positive else here & ~inside)


def in_range(image: Image, box: Box, within: Range) -> MaskArray:
    """Return where an image's values, the mean of its channels, lie in a range.

    >>> image = Image(np.array([[[[1, 2, 3]]], [[[5, 6, 9]]]]))
    >>> in_range(image, Box((0, 0, 0), (1, 1, 3)), (4, 6)).tolist()
    [[[False, True, True]]]
    """
    there = image.voxels[(slice(None), *box.slices)]
    values: NDArray[Any] = there[0] if len(there) == 1 else there.astype(np.float64).mean(axis=0)
    return np.asarray((values >= within[0]) & (values <= within[1]))


def _ruled(edit: Edit, mask: MaskArray, image: Image) -> Change | None:
    """Return what a rule that looks at the mask alone makes of it, in the box of the mask with room for the change."""
    spacing, shape = image.spacing.tolist(), mask.shape
    found = bounds(mask)
    if found is None:
        raise PromptError("There is no mask of this label yet, so there is nothing to edit.")
    margin = edit.mm if isinstance(edit, Grow) and edit.mm > 0 else 0.0
    box = found.grown(voxels_within(margin, spacing)).grown(1).clipped(shape)
    if isinstance(edit, Component | Cut):  # a place was picked, and may lie beside the mask
        z, y, x = edit.index
        box = box.union(Box((z, y, x), (z + 1, y + 1, x + 1)))
    if isinstance(edit, CopySlice):
        low, high = list(box.low), list(box.high)
        low[edit.axis] = min(low[edit.axis], edit.source, edit.target)
        high[edit.axis] = max(high[edit.axis], edit.source + 1, edit.target + 1)
        box = Box.of(low, high)
    here = mask[box.slices]
    gained = edit.to if isinstance(edit, Cut) else None
    return Change(box, _rule(edit, here, box.low, spacing), gained)


def _rule(edit: Edit, here: MaskArray, low: Index, spacing: Sequence[float]) -> MaskArray:
    flat = 0 if here.shape[0] == 1 else None  # a slice alone has nothing above and below that could enclose it
    match edit:
        case FillHoles(axis=axis):
            return rules.fill_holes(here, flat if axis is None else axis)
        case KeepLargest():
            return rules.keep_largest(here)
        case RemoveSmall(below_mm3=size):
            return rules.remove_small(here, size / float(np.prod(spacing)))
        case Component(index=(z, y, x), action=action, axis=axis):
            at = (z - low[0], y - low[1], x - low[2])
            if action == "fill":
                return here | rules.hole_at(here, at, flat if axis is None else axis)
            found = rules.component_at(here, at, axis)
            if action == "erase":
                return here & ~found
            if axis is None:
                return found
            planes = np.moveaxis(here.copy(), axis, 0)
            planes[at[axis]] = np.take(found, at[axis], axis)
            return np.moveaxis(planes, 0, axis)
        case Smooth(mm=mm, filter=kind):
            smooth = rules.smooth_gaussian if kind == "gaussian" else rules.smooth_median
            return smooth(here, mm, spacing)
        case Grow(mm=mm):
            return rules.grow(here, mm, spacing)
        case Interpolate(axis=axis, slices=slices):
            return interpolate(here, axis, [number - low[axis] for number in slices], spacing)
        case CopySlice(axis=axis, source=source, target=target):
            return copy_slice(here, axis, source - low[axis], target - low[axis])
        case Cut(points=points, index=index, axis=axis, through=through):
            return here & ~cut_part(here, points, index, axis, through=through, low=low)
        case _:
            raise AssertionError(edit)


def _threshold(edit: Threshold, mask: MaskArray, image: Image) -> Change | None:
    shape, spacing = mask.shape, image.spacing.tolist()
    region: MaskArray | None = None
    if edit.region is None:
        found = bounds(mask)
        if found is None:
            raise PromptError("There is no mask of this label to threshold round; draw a lasso or a box.")
        box = found.grown(voxels_within(edit.margin_mm, spacing)).clipped(shape)
        here = mask[box.slices]
        region = within_mm(here, edit.margin_mm, spacing) if edit.margin_mm else here
    else:
        there = extent(edit.region)
        assert there is not None
        box = there
        if isinstance(edit.region, Lasso):
            region = inside_lasso(edit.region, box)
    bright = in_range(image, box, edit.within)
    region = np.ones(box.shape, bool) if region is None else region
    here = mask[box.slices]
    gained = here | (bright & region) if edit.inside != "remove" else here
    return Change(box, gained if edit.inside == "add" else gained & ~(region & ~bright))


def inside_lasso(lasso: Lasso, box: Box) -> MaskArray:
    """Return the inside of a lasso, in the box round its line."""
    others = [axis for axis in range(3) if axis != lasso.axis]
    corners = (np.asarray(lasso.points, np.intp) - np.asarray(box.low))[:, others]
    rows, columns = (box.shape[axis] for axis in others)
    return np.expand_dims(fill_lasso(corners, rows, columns), lasso.axis)


def _combine(edit: Combine, mask: MaskArray, other: MaskArray, image: Image) -> Change | None:
    spacing, shape = image.spacing.tolist(), mask.shape
    mine, theirs = bounds(mask), bounds(other)
    if edit.operation == "union":
        return _union(mask, other, edit.other)
    if mine is None:
        return None
    reach = whole(shape) if theirs is None else theirs.grown(voxels_within(edit.margin_mm, spacing)).clipped(shape)
    if theirs is None or reach.intersection(mine).size == 0:
        return None if edit.operation == "subtract" else Change(mine, np.zeros(mine.shape, bool))
    near = np.zeros(mine.shape, bool)
    part = reach.intersection(mine)
    near[part.within(mine)] = within_mm(other[reach.slices], edit.margin_mm, spacing)[part.within(reach)]
    here = mask[mine.slices]
    return Change(mine, here & ~near if edit.operation == "subtract" else here & near)


def _union(mask: MaskArray, other: MaskArray, label: int) -> Change | None:
    """Return what takes all voxels of another label over."""
    mine, theirs = bounds(mask), bounds(other)
    if theirs is None:
        return None
    box = theirs if mine is None else theirs.union(mine)
    return Change(box, mask[box.slices] | other[box.slices], taken=label)


def voxels_within(mm: float, spacing: Sequence[float]) -> Index:
    """Return how many voxels a distance is along each axis, rounded down."""
    z, y, x = (int(mm * (1 + SLACK) / step) for step in spacing)
    return z, y, x
