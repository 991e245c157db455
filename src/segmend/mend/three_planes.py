"""What the three planes through a mark, answered as pictures are, say of the volume round it.

Networks for planes have learned from far more than those for volumes. In the plane of a click they mend a mistake
better, and three cross-sections tell most of an object.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from segmend.core.image import Box, Index, MaskArray, bounds
from segmend.core.marks import marks
from segmend.core.masks import components_touching
from segmend.core.prompts import Click, Prompt, Stroke, is_positive
from segmend.mend.plane import PlanePredictor
from segmend.mend.plane_networks import Question, whole_mask
from segmend.sampling.window import Plane


@dataclass(frozen=True, eq=False)
class Solid:
    """A part of a volume: the voxels `inside` of a box."""

    box: Box
    inside: MaskArray  # [z y x] of the box


def box_at(planes: PlanePredictor, mark: Click | Stroke, shape: Index) -> Box | None:
    """Return the box round the answers in the planes through a mark, None where these are empty."""
    found: list[Box] = []
    for axis, index, (_, after) in _answers(planes, [mark], np.zeros(shape, bool)):
        part = bounds(np.expand_dims(after, axis))
        if part is not None:
            low, high = list(part.low), list(part.high)
            low[axis], high[axis] = index, index + 1
            found.append(Box.of(low, high))
    return reduce(Box.union, found) if found else None


def mistake_at(planes: PlanePredictor, prompts: Sequence[Prompt], mask: MaskArray) -> Solid | None:
    """Return what three planes find wrong round the newest click; None where they change nothing there."""
    newest = prompts[-1]
    if not isinstance(newest, Click) or bool(mask[newest.index]) == newest.positive:
        return None
    sections = []
    for axis, _, (before, after) in _answers(planes, prompts, mask):
        at = tuple(np.delete(newest.index, axis).tolist())
        sections.append(_component_at((after != before) & (after == newest.positive), at))
    return crossing(sections)


def _answers(
    planes: PlanePredictor, prompts: Sequence[Prompt], mask: MaskArray
) -> Iterator[tuple[int, int, tuple[Plane, Plane]]]:
    """Yield the axis and the place of each plane through the newest mark, with its mask before and after."""
    newest = prompts[-1]
    points = marks([newest], mask.shape)[0 if is_positive(newest) else 1]
    for axis, index in enumerate(points[len(points) // 2].tolist()):
        before = np.take(mask, index, axis).copy()
        answer = planes.answer_by_networks(Question(prompts, axis, index, before))
        yield axis, index, (before, whole_mask(before, answer))


def _component_at(changed: Plane, at: tuple[int, ...]) -> Plane:
    """Return the connected component of a plane at a pixel; the pixel alone where there is none."""
    seed = np.zeros_like(changed)
    seed[at] = True
    return components_touching(changed, seed, corners=False) if changed[at] else seed


def crossing(sections: Sequence[Plane]) -> Solid | None:  # [y x], [z x], [z y]
    """Return what lies inside three cross-sections, each seen along its axis; None where there is nothing.

    >>> found = crossing([np.eye(3, 4, dtype=bool)[:2], np.ones((2, 4), bool), np.ones((2, 2), bool)])
    >>> found.box, found.inside[0].tolist()
    (Box(low=(0, 0, 0), high=(2, 2, 2)), [[True, False], [False, True]])
    """
    down, front, side = sections
    boxes = [bounds(np.expand_dims(section, axis)) for axis, section in enumerate(sections)]
    spans = []
    for axis in range(3):
        some = [(box.low[axis], box.high[axis]) for other, box in enumerate(boxes) if box is not None and other != axis]
        spans.append((max(low for low, _ in some), min(high for _, high in some)))
    (z, up), (y, bottom), (x, right) = spans
    if up <= z or bottom <= y or right <= x:
        return None
    box = Box((z, y, x), (up, bottom, right))
    inside = down[None, y:bottom, x:right] & front[z:up, None, x:right] & side[z:up, y:bottom, None]
    return Solid(box, inside) if inside.any() else None
