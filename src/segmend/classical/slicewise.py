"""A volume answered slice by slice from all its marks: what classical methods that carry a mask share.

This is no method itself. Slices lie across the axis of the widest spacing. The slices that the newest marks touch
are answered from their own marks; then each neighbour follows from the slice before it, in both directions, until
the object ends or a slice has positive marks of its own. A slice that had a mask keeps it away from the change, and
the propagation ends where nothing changes any more, so that a correction stays local. Every slice is a part of the
stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from segmend.classical.solvers.unary import Request, request_of
from segmend.core.image import Box, Image, Index, MaskArray, Real, bounds, whole
from segmend.core.masks import dice
from segmend.core.prompts import Mask, Prompt, extent
from segmend.core.segmenter import Method, Prediction, Segmenter, Workspace, merged
from segmend.sampling.propagation import Step, apply_change, limit_to_change, propagate
from segmend.sampling.window import Plane

AGREE = 0.98  # Dice from which two masks of a slice are the same
OVERLAP = 0.3  # of the smaller of two neighbours' masks, from which the one goes on from the other
GROWTH = 3.0  # how many times larger it may be
BOUNDARY_SHIFT = 1.0  # how far a boundary may move from slice to slice, times the step between them ...
LEAST, MOST = 3.0, 16.0  # ... and within these, in pixels


class Steps(Protocol):
    """How one method answers the slices of one request; it may learn on the way."""

    def first(self, index: int, request: Request) -> Prediction:
        """Return the answer for a slice from its own marks; boxes are of the slice alone, as [1 y x]."""
        ...

    def following(self, index: int, before: int, mask: Plane, request: Request) -> Prediction:
        """Return the answer for a slice whose neighbour `before` has this mask, which is not empty."""
        ...


@dataclass(frozen=True, eq=False)
class Slicewise(Segmenter):
    """A method that answers slice by slice; `steps` begins with the turned image and the request."""

    card: Method
    steps: Callable[[Image, Request], Steps]

    def open(self, image: Image) -> Workspace:
        return SlicewiseWorkspace(self, image)


class SlicewiseWorkspace(Workspace):
    """One image, turned so that its slices come first."""

    def __init__(self, method: Slicewise, image: Image) -> None:
        self._method = method
        axis = slice_axis(image)
        self._order = (axis, *(other for other in range(3) if other != axis))
        self._image = _reorder_axes(image, self._order)

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        return merged(list(self.stream(prompts, previous)), previous)

    def stream(self, prompts: Sequence[Prompt], previous: MaskArray) -> Iterator[Prediction]:
        self._method.card.check(prompts)
        request = _reorder_request(request_of(prompts, previous), self._order)
        part = None
        for index, part in self._parts(prompts, request, previous.transpose(self._order)):
            yield self._to_volume(index, part)
        if part is None:
            box = bounds(previous) or Box((0, 0, 0), (1, 1, 1))
            yield Prediction(previous[box.slices].astype(np.float32), box)

    def _parts(self, prompts: Sequence[Prompt], request: Request, old: MaskArray) -> Iterator[tuple[int, Prediction]]:
        mask = request.start.copy()  # as far as it is answered
        steps = self._method.steps(self._image, request)
        if prompts and isinstance(prompts[-1], Mask):
            keys = np.flatnonzero(mask.any(axis=(1, 2))).tolist()
            yield from _slices_of(mask, old)
            if len(keys) == 1:  # a slice from which the volume follows
                yield from _carry(steps, request, np.zeros_like(mask), mask, keys)
            return
        keys = self._keys(prompts, request)
        for index in keys:
            part = steps.first(index, of_slice(request, index))
            mask[index] = _applied(part, mask[index])
            yield index, part
        yield from _carry(steps, request, old, mask, keys)

    def _keys(self, prompts: Sequence[Prompt], request: Request) -> list[int]:
        """Return the slices to answer from their own marks, those nearest to the newest marks first."""
        first, last = _reach(request, len(request.start))
        newest = self._newest(prompts)
        if request.known is not None:
            wrong = {int(z) for z in request.positive[~request.start[tuple(request.positive.T)], 0]}
            wrong |= {int(z) for z in request.negative[request.start[tuple(request.negative.T)], 0]}
            keys = wrong | newest
        elif len(request.positive):
            keys = {int(z) for z in request.positive[:, 0]}
        else:
            keys = {(first + last - 1) // 2} if request.frame is not None else set()
        middle = float(np.mean(sorted(newest or keys or {0})))
        return sorted((key for key in keys if first <= key < last), key=lambda key: (abs(key - middle), key))

    def _newest(self, prompts: Sequence[Prompt]) -> set[int]:
        box = extent(prompts[-1]) if prompts else None
        if box is None:
            return set()
        low, high = box.low[self._order[0]], box.high[self._order[0]]
        return {(low + high - 1) // 2} if isinstance(prompts[-1], Box) else set(range(low, high))

    def _to_volume(self, index: int, part: Prediction) -> Prediction:
        """Return a slice's answer as one of the volume, turned back."""
        (_, y, x), (_, h, w) = part.box.low, part.box.high
        inverse = np.argsort(self._order)
        box = Box(_permute((index, y, x), inverse), _permute((index + 1, h, w), inverse))
        return Prediction(np.ascontiguousarray(part.probability.transpose(inverse)), box)


def _carry(
    steps: Steps, request: Request, before: MaskArray, mask: MaskArray, keys: Sequence[int]
) -> Iterator[tuple[int, Prediction]]:
    """Carry what changed in the keys' slices, between `before` and `mask`, to both sides, slice by slice in turn."""
    own = {*keys, *(int(z) for z in request.positive[:, 0])}

    def step(at: int, after: int, _: bool) -> Step[bool, tuple[int, Prediction]] | None:
        old = before[after]
        if mask[at].any():
            part = _following(steps, request, at, after, old, before[at], mask[at])
        elif any((after - at) * (z - after) > 0 for z in own):  # it ended here, but is marked further on
            part = None
        else:
            part = _empty(old.shape)
        if part is None:
            return None
        mask[after] = _applied(part, old)
        own.add(after)
        empty = not mask[after].any() and not old.any()
        return Step(None if empty else (after, part), None if _agree(old, mask[after]) else True, final=True)

    first, last = _reach(request, len(mask))
    yield from propagate(dict.fromkeys(keys, True), step, slices=range(first, last), fixed=own.__contains__)


def _following(
    steps: Steps, request: Request, at: int, after: int, old: Plane, was: Plane, new: Plane
) -> Prediction | None:
    """Return the answer for a slice whose neighbour changed from `was` to `new`; None where it stays as it is."""
    carried = apply_change(old, was, new)
    if not carried.any():
        return None
    part = steps.following(after, at, carried, of_slice(request, after))
    if not _continues(carried, _applied(part, np.zeros_like(old))):
        part = _empty(old.shape)
    return _limit_to_change(part, old, new ^ was)


def slice_axis(image: Image) -> int:
    """Return the axis across the slices: that of the widest spacing, the first unless another is clearly wider.

    >>> slice_axis(Image(np.zeros((1, 9, 9, 9)), np.diag((1.0, 1.0, 4.0, 1.0)), axes="zyx"))
    2
    """
    widest = int(np.argmax(image.spacing))
    return widest if not image.flat and image.spacing[widest] > 1.2 * image.spacing[0] else 0


def reach_between(image: Image) -> float:
    """Return how far a boundary may move between neighbouring slices, in pixels of their finer side.

    >>> reach_between(Image(np.zeros((1, 9, 9, 9)), np.array([[0, 0, 2, 0], [0, 1, 0, 0], [5, 0, 0, 0], [0, 0, 0, 1]])))
    5.0
    """
    step, *sides = (float(side) for side in image.spacing)
    return min(max(BOUNDARY_SHIFT * step / min(sides), LEAST), MOST)


def depth_in(mask: Plane, image: Image) -> Real:  # [y x]
    """Return how deep each pixel of a slice lies in a mask, in pixels of the finer side; below 0 outside it.

    >>> depth_in(np.array([[False, True, True, True]]), Image(np.zeros((1, 1, 1, 4)))).tolist()
    [[-0.5, 0.5, 1.5, 2.5]]
    """
    spacing = image.spacing[1:] / image.spacing[1:].min()
    wide = np.pad(mask, 1, mode="edge")
    depths = [
        distance_transform_edt(side, sampling=spacing) - 0.5 if not side.all() else None for side in (wide, ~wide)
    ]
    inside, outside = (np.full(wide.shape, MOST) if depth is None else depth for depth in depths)
    return np.asarray(np.where(wide, inside, -outside)[1:-1, 1:-1], np.float32)


def of_slice(request: Request, index: int) -> Request:
    """Return the request for one slice, as for an image of its own."""
    positive, negative = (
        np.asarray(marks[marks[:, 0] == index] * (0, 1, 1), np.intp) for marks in (request.positive, request.negative)
    )
    start = request.start[index : index + 1]
    known = whole(start.shape) if start.any() else None
    frame = request.frame
    if frame is not None:
        frame = Box((0, *frame.low[1:]), (1, *frame.high[1:]))
    return replace(request, positive=positive, negative=negative, start=start, known=known, frame=frame)


def _reorder_axes(image: Image, order: Sequence[int]) -> Image:
    if tuple(order) == (0, 1, 2):
        return image
    voxels = image.voxels.transpose(0, *(axis + 1 for axis in order))
    return Image(voxels, image.affine[:, [*order, 3]], axes="zyx")


def _reorder_request(request: Request, order: Sequence[int]) -> Request:
    known, frame = (
        box and Box(_permute(box.low, order), _permute(box.high, order)) for box in (request.known, request.frame)
    )
    positive, negative = (np.ascontiguousarray(marks[:, list(order)]) for marks in (request.positive, request.negative))
    start = request.start.transpose(order)
    return replace(request, positive=positive, negative=negative, start=start, known=known, frame=frame)


def _permute(index: Sequence[int], order: Sequence[int] | NDArray[np.intp]) -> Index:
    z, y, x = (int(index[axis]) for axis in order)
    return z, y, x


def _reach(request: Request, count: int) -> tuple[int, int]:
    return (0, count) if request.frame is None else (max(0, request.frame.low[0]), min(count, request.frame.high[0]))


def _applied(part: Prediction, old: Plane) -> Plane:
    return np.asarray(part.over(old[None])[0])


def _limit_to_change(part: Prediction, old: Plane, changed: Plane) -> Prediction:
    """Return the answer with the slice's own mask away from the change, where it had one."""
    if not old.any():
        return part
    new = np.zeros(old.shape, np.float32)
    new[part.box.slices[1:]] = part.probability[0]
    return Prediction(limit_to_change(new, old, changed)[None], whole((1, *old.shape)))


def _empty(shape: Sequence[int]) -> Prediction:
    return Prediction(np.zeros((1, *shape), np.float32), whole((1, *shape)))


def _slices_of(mask: MaskArray, old: MaskArray) -> Iterator[tuple[int, Prediction]]:
    """Yield a mask from elsewhere as it is, and what was there before as nothing."""
    for index in np.flatnonzero((mask | old).any(axis=(1, 2))).tolist():
        yield index, Prediction(mask[index][None].astype(np.float32), whole((1, *mask.shape[1:])))


def _agree(old: Plane, new: Plane) -> bool:
    return dice(old, new) >= AGREE


def _continues(before: Plane, after: Plane) -> bool:
    """Tell whether a slice's mask goes on from its neighbour's: they overlap, and it is not much larger."""
    common, was, now = int((before & after).sum()), int(before.sum()), int(after.sum())
    return now > 0 and common >= OVERLAP * min(was, now) and now <= GROWTH * was + 20
