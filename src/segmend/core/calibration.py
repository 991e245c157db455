"""What the Dice that a method expects of its masks turned out to be worth.

Networks are too sure of kinds of images that they never saw. So games whose truth was known (`segmend calibrate`) say
what the true Dice was, by what the method had expected and by the marks that it had been given, and how far it lay from
that. A figure that nobody has held to the truth in this way is shown to no person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segmend.core.image import Box
from segmend.core.prompts import Click, Drawn, Extremes, Lasso, Prompt, Stroke

# Numbers of marks that are told apart: one, two or three, more.
MARKS = (1, 3)

Knots = tuple[tuple[float, float], ...]  # what the method expects and the mean true Dice, both rising
Intervals = tuple[tuple[float, float, float], ...]  # a calibrated Dice, and between what the true one mostly lies


def asked_with(prompts: Sequence[Prompt]) -> str:
    """Return a name for the number and kind of marks, by which answers are told apart.

    Strokes of one sign after each other count once: a drawing is taken by methods as many.

    >>> from segmend.core.prompts import Click
    >>> asked_with([Click((0, 1, 1))]), asked_with([Box((0, 0, 0), (1, 5, 5))] + [Click((0, 1, 1))] * 4)
    ('1', 'box+more')
    """
    around = any(isinstance(prompt, Box | Extremes | Lasso) for prompt in prompts)
    marks, before = 0, None
    for prompt in prompts:
        sign = prompt.positive if isinstance(prompt, Stroke) else None
        if isinstance(prompt, Click | Drawn) or (sign is not None and sign != before):
            marks += 1
        before = sign
    return name_of(marks, around=around)


def name_of(marks: int, *, around: bool) -> str:
    """Return the name of so many marks, perhaps beside a box or another outline.

    >>> name_of(3, around=False), name_of(0, around=True)
    ('3', 'box')
    """
    number = next((str(most) for most in MARKS if marks <= most), "more")
    if not around:
        return number
    return "box" if marks == 0 else f"box+{number}"


@dataclass(frozen=True)
class Calibration:
    """What a method's expected Dice is worth in pictures or in volumes.

    `knots` lead from what it expects to the mean true Dice, by the marks that were given; "any" is for the rest.
    `intervals` say between what eight of ten true values lay.
    """

    knots: Mapping[str, Knots]
    intervals: Intervals

    def expected(self, quality: float, prompts: Sequence[Prompt]) -> float:
        """Return the mean true Dice of masks of which the method expected as much after such marks."""
        return mean_dice(self.knots, asked_with(prompts), quality)

    def values(self) -> dict[str, Any]:
        """Return plain JSON values, from which `calibration_from` makes it again."""
        return {"knots": {name: list(map(list, knots)) for name, knots in self.knots.items()},
                "intervals": list(map(list, self.intervals))}  # fmt: skip


def calibration_from(values: Mapping[str, Any]) -> Calibration:
    """Return a calibration from the plain values of a file; KeyError, TypeError or ValueError where they are none."""
    knots = {str(name): tuple((float(x), float(y)) for x, y in pairs) for name, pairs in dict(values["knots"]).items()}
    intervals = tuple((float(at), float(low), float(high)) for at, low, high in values["intervals"])
    if not intervals or not knots["any"] or not all(knots.values()):
        raise ValueError("a calibration needs knots and intervals")
    return Calibration(knots, intervals)


def mean_dice(knots: Mapping[str, Knots], marks: str, quality: float) -> float:
    """Return the mean true Dice of masks of which as much was expected after marks of this number and kind.

    >>> mean_dice({"any": ((0.0, 0.0), (1.0, 0.5))}, "1", 0.5)
    0.25
    """
    expected, true = zip(*knots.get(marks, knots["any"]), strict=True)
    return float(np.interp(quality, expected, true))
