"""A mask carried through a volume by the networks for slabs, plane by plane, in both directions.

The next plane is answered from its image and the mask of the plane before; it ends where that answer is empty. Planes
about two cells apart are answered; what lies between them is interpolated. A first answer is carried along three axes,
and the three are fused: where they agree the mask is sure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from segmend.core.image import Box, MaskArray, Real, bounds
from segmend.core.marks import in_plane
from segmend.core.prompts import Prompt
from segmend.mend.plane_windows import union
from segmend.mend.slab_networks import Request, SlabAnswer, SlabPredictor, View
from segmend.mend.slab_plane import empty_plane, object_window, prompt_rectangles, with_step
from segmend.sampling.propagation import limit_to_change
from segmend.sampling.slices import nearly_equal
from segmend.sampling.window import Plane

# How far apart planes are answered, in cells of the window; never nearer than slices are.
CARRY_CELLS = 2.0
# The fewest pixels of a mask that is carried on.
LEAST_PIXELS = 3
# Logits are clipped to this size before they are fused: no axis outvotes two others.
MOST_LOGIT = 6.0


def carry(
    predictor: SlabPredictor, start: SlabAnswer, prompts: Sequence[Prompt], allowed: range
) -> Iterator[dict[int, SlabAnswer]]:
    """Yield the answers of further planes on both sides of an answered one, the nearest first.

    The last one on each side is empty or nearly so, unless the volume ends there.
    """
    axis = start.request.view.axis
    fronts = dict.fromkeys((-1, 1), start) if int(start.cells.sum()) >= LEAST_PIXELS else {}
    while fronts:
        requests = {}
        for way, front in fronts.items():
            request = _next_request(predictor, front, prompts, axis, way, allowed)
            if request is not None:
                requests[way] = request
        answers = dict(zip(requests, predictor.predict(list(requests.values())), strict=True))
        yield {answer.request.view.index: answer for answer in answers.values()}
        fronts = {way: answer for way, answer in answers.items() if int(answer.mask().sum()) >= LEAST_PIXELS}


def _next_request(
    predictor: SlabPredictor, front: SlabAnswer, prompts: Sequence[Prompt], axis: int, way: int, allowed: range
) -> Request | None:
    """Return the request for the next plane on one side; None where the volume, or what is allowed of it, ends."""
    mask = front.mask()
    found = bounds(mask[None])
    view = front.request.view
    if found is None:
        return None
    apart = float(predictor.image.spacing[axis])
    step = max(1, round(CARRY_CELLS * predictor.cell_mm(axis, view.window) / apart))
    index = view.index + way * step
    if index not in allowed:
        index = allowed[-1] if way > 0 else allowed[0]
        if (index - view.index) * way <= 0:
            return None
    rectangle = union([in_plane(found, 0), *prompt_rectangles(prompts, axis, index)])
    assert rectangle is not None
    window = object_window(predictor, rectangle, axis)
    request = Request(
        View(axis, index, 1, window),
        prompts,
        0,
        empty_plane(predictor, axis),
        own=False,
        neighbour=mask,
        distance_mm=abs(index - view.index) * apart,
    )
    return with_step(predictor, request)


def carried_box(answers: Mapping[int, SlabAnswer], axis: int) -> Box | None:
    """Return the box round the masks of all planes along an axis, None where all are empty."""
    found: list[tuple[int, Box]] = []
    for index, answer in answers.items():
        flat = bounds(answer.mask()[None])
        if flat is not None:
            found.append((index, flat))
    if not found:
        return None
    rectangle = union([in_plane(flat, 0) for _, flat in found])
    assert rectangle is not None
    top, left, bottom, right = (round(side) for side in rectangle)
    low, high = [top, left], [bottom, right]
    low.insert(axis, min(index for index, _ in found))
    high.insert(axis, max(index for index, _ in found) + 1)
    return Box.of(low, high)


def logits_in_box(answers: Mapping[int, SlabAnswer], axis: int, box: Box) -> Real:  # [*box]
    """Return the logits along one axis in a box: those of the answered planes, interpolated between them.

    Outside of all windows, and beyond the planes where the mask ended, it is background.
    """
    out = np.full(box.shape, -MOST_LOGIT, np.float32)
    planes = np.moveaxis(out, axis, 0)
    low, high = box.low[axis], box.high[axis]
    (top, left), (bottom, right) = in_plane(box, axis)
    known = sorted(answers)
    filled: dict[int, Real] = {}
    for index in known:
        whole = np.full(answers[index].request.here.shape, -MOST_LOGIT, np.float32)
        logits, where = answers[index].on_plane()
        whole[where] = np.clip(logits, -MOST_LOGIT, MOST_LOGIT)
        filled[index] = whole[top:bottom, left:right]
        if low <= index < high:
            planes[index - low] = filled[index]
    for one, other in pairwise(known):
        for index in range(max(one + 1, low), min(other, high)):
            share = (index - one) / (other - one)
            planes[index - low] = (1 - share) * filled[one] + share * filled[other]
    return out


def carry_change(
    predictor: SlabPredictor, answer: SlabAnswer, prompts: Sequence[Prompt], previous: MaskArray, allowed: range
) -> Iterator[SlabAnswer]:
    """Yield the planes on both sides of a corrected one that change with it, until nothing changes any more.

    A plane changes only near what changed beside it; its answer's mask so far is the new mask.
    """
    axis = answer.request.view.axis
    apart = float(predictor.image.spacing[axis])
    changed = {way: answer.mask() ^ answer.request.here for way in (-1, 1)}
    fronts = dict.fromkeys((-1, 1), answer)
    while fronts:
        requests = {}
        for way, front in fronts.items():
            index = front.request.view.index + way
            new = front.mask()
            old = np.take(previous, index, axis) if index in allowed else None
            if old is None or not changed[way].any() or not (new.any() or old.any()):
                continue
            rectangle = union([in_plane(box, 0) for plane in (new, old) if (box := bounds(plane[None])) is not None])
            assert rectangle is not None
            window = object_window(predictor, rectangle, axis)
            view = View(axis, index, 1, window)
            requests[way] = with_step(
                predictor, Request(view, prompts, 0, old, own=True, neighbour=new, distance_mm=apart)
            )
        answers = dict(zip(requests, predictor.predict(list(requests.values())), strict=True))
        fronts = {}
        for way, found in answers.items():
            old = found.request.here
            now = limit_to_change(found.mask().astype(np.float32), old, changed[way]) > 0.5
            if nearly_equal(old, now) or not (now.any() or old.any()):
                continue
            settled = settled_answer(found, now)
            yield settled
            changed[way] = now ^ old
            fronts[way] = settled


def settled_answer(answer: SlabAnswer, mask: Plane) -> SlabAnswer:
    """Return an answer whose mask so far is its final mask, for planes that change in a part alone."""
    return _Settled(
        replace(answer.request, here=mask), answer.logits, answer.error_logits, answer.quality, answer.valid
    )


class _Settled(SlabAnswer):
    """An answer that was limited afterwards: its request's mask is the result."""

    def mask(self) -> Plane:
        return self.request.here
