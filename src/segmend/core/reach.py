"""How far the answer to a mark may change its label's mask, as the person who put the mark down said it.

`segmend.editing.reaching` holds an answer to it. `reach_to_json` and `reach_from_json` are the one form that it takes
in the database, on the wire and in the browser.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segmend.core.prompts import Adjust, Mask, Prompt, kind_of, read_number
from segmend.errors import PromptError

# The largest distance in mm that can be said; no object of a patient is larger.
MAX_REACH_MM = 1000.0


@dataclass(frozen=True)
class Reach:
    """Where an answer may change the mask; where several things are said, all of them hold."""

    mm: float | None = None  # at most so far from the mark
    axis: int | None = None  # in the mark's own slices across this axis
    part: bool = False  # in the connected component of the mask that the mark is on, or makes


def check_reach(reach: Reach, prompt: Prompt, shape: Sequence[int]) -> None:
    """Raise PromptError unless a reach says something, and of a mark that has a place.

    >>> from segmend.core.prompts import Click
    >>> check_reach(Reach(mm=0.0), Click((0, 1, 1)), (1, 8, 8))
    Traceback (most recent call last):
    ...
    segmend.errors.PromptError: A reach needs a distance of more than 0 and at most 1000 mm; got 0.
    """
    if isinstance(prompt, Mask | Adjust):
        raise PromptError(f"A reach needs a mark with a place; {kind_of(prompt)} is for the whole mask.")
    if reach == Reach():
        raise PromptError("A reach needs a distance in mm, an axis or the part; got none of them.")
    if reach.mm is not None and not (math.isfinite(reach.mm) and 0 < reach.mm <= MAX_REACH_MM):
        raise PromptError(f"A reach needs a distance of more than 0 and at most {MAX_REACH_MM:g} mm; got {reach.mm:g}.")
    if reach.axis is not None and not 0 <= reach.axis < len(shape):
        raise PromptError(f"A reach needs an axis of 0, 1 or 2; got {reach.axis}.")


def reach_to_json(reach: Reach) -> dict[str, Any]:
    """Return the reach as plain JSON values.

    >>> reach_to_json(Reach(mm=10.0))
    {'mm': 10.0, 'axis': None, 'part': False}
    """
    return {"mm": reach.mm, "axis": reach.axis, "part": reach.part}


def reach_from_json(values: Any) -> Reach:
    """Return the reach that `reach_to_json` wrote; PromptError says what is wrong.

    >>> reach_from_json({"axis": 0})
    Reach(mm=None, axis=0, part=False)
    """
    if not isinstance(values, Mapping) or not values.keys() <= {"mm", "axis", "part"}:
        raise PromptError(f"A reach needs an object of mm, axis and part; got {values!r}.")
    axis, part = values.get("axis"), values.get("part", False)
    if axis is not None and (isinstance(axis, bool) or not isinstance(axis, int)):
        raise PromptError(f"'axis' of a reach needs 0, 1 or 2; got {axis!r}.")
    if not isinstance(part, bool):
        raise PromptError(f"'part' of a reach needs true or false; got {part!r}.")
    return Reach(None if values.get("mm") is None else read_number(values, "mm"), axis, part)
