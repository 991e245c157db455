"""Propagation of a mask from slice to slice, which every method that answers slice by slice shares.

From the slices that were answered it goes to both sides, a slice at a time in turn. What is made of the next slice,
and when an object has ended, is each method's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from scipy.ndimage import binary_dilation

from segmend.core.image import Real
from segmend.sampling.window import Plane

# Pixels round a change in which a neighbouring slice that has a mask may change too.
NEAR = 6

State = TypeVar("State")
Part = TypeVar("Part")


@dataclass(frozen=True, eq=False)
class Step(Generic[State, Part]):
    """What came of a slice beside another: its answer, if it has one, and what to go on from, if it goes on."""

    part: Part | None
    state: State | None
    final: bool  # the slice is not visited again from the other side


def propagate(
    answered: Mapping[int, State],
    step: Callable[[int, int, State], Step[State, Part] | None],
    *,
    slices: range,
    fixed: Callable[[int], bool],
) -> Iterator[Part]:
    """Yield the answers of slices on both sides of those answered, each slice once, the nearest first.

    `step` takes the slice before, the slice to answer and the state of the one before; None ends that side. It goes
    no further than `slices`, and stops at a slice that is `fixed`, as those are that have marks of their own.

    >>> def copy(before, after, label): return Step(f"{label} from {before} to {after}", label, final=True)
    >>> list(propagate({2: "a"}, copy, slices=range(1, 6), fixed=lambda index: index == 5))
    ['a from 2 to 1', 'a from 2 to 3', 'a from 3 to 4']
    """
    visited = set(answered)
    fronts = [(index, way, state) for index, state in answered.items() for way in (-1, 1)]
    while fronts:
        onward = []
        for before, way, state in fronts:
            after = before + way
            if after not in slices or after in visited or fixed(after):
                continue
            found = step(before, after, state)
            if found is None:
                continue
            if found.final:
                visited.add(after)
            if found.part is not None:
                yield found.part
            if found.state is not None:
                onward.append((after, way, found.state))
        fronts = onward


def apply_change(old: Plane, before: Plane, after: Plane) -> Plane:
    """Return a slice's mask with the change that its neighbour's mask went through.

    >>> apply_change(np.array([True, True, False]), np.array([True, False, False]), np.array([False, False, True]))
    array([False,  True,  True])
    """
    return np.asarray((old | (after & ~before)) & ~(before & ~after))


def limit_to_change(probability: Real, old: Plane, changed: Plane) -> Real:
    """Return a slice's probability near what changed in the slice beside it, and its own mask further off.

    So a correction mends what is near it and spoils nothing further off. A slice without a mask may change anywhere.
    """
    if not old.any():
        return probability
    near = binary_dilation(changed, iterations=NEAR) if changed.any() else changed
    return np.where(near, probability, old).astype(np.float32)
