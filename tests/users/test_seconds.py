"""A person's seconds follow from what is put down, and a volume has to be looked through."""

import numpy as np
import pytest

from segmend.core.prompts import Box, Click, Drawn, Extremes, Mask, Stroke
from segmend.users import user
from segmend.users.play import as_prompts
from segmend.users.seconds import LOOKING, SECONDS, seconds_of


def test_a_drawing_takes_as_long_as_a_stroke_and_a_slice_as_long_as_its_outline():
    inside = np.ones((1, 2, 3), bool)
    stroke, drawn, given = (
        seconds_of([mark], flat=True) for mark in (Stroke(((0, 0, 0), (0, 1, 1))), Drawn(inside), Mask(inside))
    )

    assert drawn == stroke == SECONDS["stroke"] > SECONDS["click"]
    assert given > 5 * stroke
    assert seconds_of([Extremes(((0, 0, 0), (0, 5, 5)))], flat=True) == seconds_of(
        [Box((0, 0, 0), (1, 2, 2))], flat=True
    )


def test_deep_editings_edits_take_the_minutes_that_its_paper_says():
    edits = [SECONDS["click"], SECONDS["stroke"], SECONDS["adjust"]]

    mean = LOOKING + np.mean(edits)

    assert 2.68 * mean == pytest.approx(90, abs=2)
    assert seconds_of([], flat=False) == LOOKING


@pytest.mark.parametrize("name", ["click", "box", "stroke", "scribbles", "slice", "extremes", "adjustment", "pair"])
def test_whatever_a_robot_puts_down_has_seconds(name):
    truth = np.zeros((3, 24, 30), bool)
    truth[:, 6:18, 8:22] = True
    robot, mask = user(name), truth & (np.arange(30) < 19)
    nothing = np.zeros_like(truth)

    marks = robot(truth, mask) if name == "adjustment" else getattr(robot, "opening", robot)(truth, nothing)

    assert marks is not None and seconds_of(as_prompts(marks), flat=True) >= SECONDS["click"]
    assert seconds_of([Click((0, 0, 0))], flat=True) == SECONDS["click"]
