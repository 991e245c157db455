"""How edits and prompts go together: a method mends the edited mask, and what was edited stays unless a mark undoes it.

A method is given the edited mask as a mask from elsewhere, in the place of the newest edit among the prompts, and
marks that an edit contradicted no longer hold. Its answer may change voxels that were last changed by an edit only
where the change is connected with the newest prompt: a mark far away takes no edit back, whatever the method thinks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from segmend.core.edits import other_label
from segmend.core.image import Box, MaskArray, bounds
from segmend.core.marks import Points, mark
from segmend.core.masks import components_touching
from segmend.core.prompts import Adjust, Click, Drawn, Mask, Prompt, Stroke, extent
from segmend.core.segmenter import Prediction
from segmend.core.session import Edited, Event, Session

# Voxels beside a prompt in which a change still counts as connected with it.
REACH = 1


def edits_label(event: Event, label: int) -> bool:
    """Tell whether an event is an edit that is said to change the mask of this label."""
    return isinstance(event, Edited) and label in (event.label, other_label(event.edit))


class EditedVoxels:
    """Which voxels were last changed by an edit of one label; follows a session from state to state like a `Canvas`."""

    def __init__(self, shape: Sequence[int], label: int) -> None:
        self._shape = tuple(shape)
        self._label = label
        self._followed: list[int] = []  # events whose changes are in the voxels, in order
        self._voxels: MaskArray | None = None

    @property
    def size_bytes(self) -> int:
        return 0 if self._voxels is None else self._voxels.nbytes

    def before(self, session: Session, position: int) -> MaskArray | None:
        """Return them as an event found them; None where there was no such edit."""
        layer = session.layer_of(position)
        answered = [i for i in session.done if i < position and i in session.answers and session.layer_of(i) == layer]
        if not any(edits_label(session.events[i], self._label) for i in answered):
            return None
        known = self._followed
        if self._voxels is None or answered[: len(known)] != known:
            self._voxels, known = np.zeros(self._shape, bool), []
        for i in answered[len(known) :]:
            patch = session.answers[i]
            if patch.box.size:
                self._voxels[patch.box.slices][patch.values != 0] = edits_label(session.events[i], self._label)
        self._followed = answered
        return self._voxels


def prompts_with_edits(
    prompts: Sequence[tuple[int, Prompt]], edits: Sequence[int], previous: MaskArray, edited: MaskArray | None
) -> tuple[Prompt, ...]:
    """Return what a method is given of prompts (each with its place in the log) beside edits of the same label.

    >>> previous = np.array([[[True, True, False]]])
    >>> clicks = [(1, Click((0, 0, 0))), (2, Click((0, 0, 2))), (4, Click((0, 0, 1)))]
    >>> from segmend.core.prompts import kind_of
    >>> seen = prompts_with_edits(clicks, [3], previous, np.array([[[False, False, True]]]))
    >>> [kind_of(prompt) for prompt in seen]
    ['click', 'mask', 'click']
    """
    if not edits or edited is None:
        return tuple(prompt for _, prompt in prompts)
    newest_edit, newest = max(edits), prompts[-1][0] if prompts else -1
    found = bounds(previous)
    start = [] if found is None else [Mask(previous[found.slices].copy(), found.low)]
    holding = [
        (position, kept)
        for position, prompt in prompts
        if (kept := prompt if position == newest else not_contradicted(prompt, previous, edited)) is not None
    ]
    earlier = [prompt for position, prompt in holding if position < newest_edit]
    later = [prompt for position, prompt in holding if position > newest_edit]
    return (*earlier, *start, *later)


def not_contradicted(prompt: Prompt, previous: MaskArray, edited: MaskArray) -> Prompt | None:
    """Return what of a mark still holds: not the voxels that an edit has made the opposite of what it says."""
    found = mark(prompt)
    if found is None:
        return prompt
    points, positive = found
    at = tuple(points.T)
    gone = edited[at] & (previous[at] != positive)
    if not gone.any():
        return prompt
    return None if gone.all() else _drawing(points[~gone], positive)


def _drawing(points: Points, positive: bool) -> Drawn:
    low = points.min(axis=0)
    inside = np.zeros(points.max(axis=0) - low + 1, bool)
    inside[tuple((points - low).T)] = True
    return Drawn(inside, Box.of(low, low).low, positive)


def keep_edits(
    parts: Iterable[Prediction], newest: Prompt, previous: MaskArray, edited: MaskArray | None
) -> Iterator[Prediction]:
    """Yield the parts of an answer without changes of edited voxels that have nothing to do with the newest prompt.

    A whole mask in place of the old one, and an adjustment of all of it, change what they like.

    >>> ones = np.ones((1, 1, 5), np.float32)
    >>> part = Prediction(ones, Box((0, 0, 0), (1, 1, 5)))
    >>> previous, edited = np.zeros((2, 1, 1, 5), bool); previous[0, 0, 2] = edited[0, 0, 3:] = True
    >>> [kept] = keep_edits([part], Click((0, 0, 0)), previous, edited)
    >>> kept.mask.astype(int).tolist()
    [[[1, 1, 1, 0, 0]]]
    """
    if edited is None or isinstance(newest, Mask | Adjust):
        yield from parts
        return
    taken = np.zeros(previous.shape, bool)  # changes that are connected with the newest prompt
    for part in parts:
        here = previous[part.box.slices]
        change = part.mask ^ here
        inner = bounds(change) if change.size else None
        if inner is None:
            yield part
            continue
        box = inner.moved(part.box.low)
        near = _near(newest, taken, box)
        connected = components_touching(change[inner.slices], near)
        taken[box.slices] |= connected
        back = change[inner.slices] & ~connected & edited[box.slices]
        if back.any():
            probability = part.probability.copy()
            probability[inner.slices][back] = here[inner.slices][back]
            part = replace(part, probability=probability)
        yield part


def _near(newest: Prompt, taken: MaskArray, box: Box) -> MaskArray:
    """Return the voxels of a box that touch the newest prompt or what was changed along with it."""
    room = box.grown(REACH)
    wide = room.clipped(taken.shape)
    seeds = np.zeros(room.shape, bool)
    seeds[wide.within(room)] = taken[wide.slices]
    found = mark(newest) if isinstance(newest, Click | Stroke | Drawn) else None
    place = extent(newest)
    if found is not None:
        points = found[0][((found[0] >= room.low) & (found[0] < room.high)).all(axis=1)] - np.asarray(room.low)
        seeds[tuple(points.T)] = True
    elif place is not None and (shared := place.intersection(room)).size:
        seeds[shared.within(room)] = True
    return np.asarray(ndimage.binary_dilation(seeds, np.ones((3, 3, 3), bool))[box.within(room)])
