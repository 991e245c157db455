"""An answer is held to the reach of its mark: nothing changes outside it, and inside all that the method says."""

import numpy as np
import pytest

from segmend.core.image import Box, whole
from segmend.core.prompts import Adjust, Click, Extremes, Lasso, Stroke
from segmend.core.reach import Reach, check_reach, reach_from_json, reach_to_json
from segmend.core.segmenter import Prediction, merged
from segmend.core.session import PALETTE, Defined, Label, Prompted, Session, event_from_json, event_to_json
from segmend.editing.reaching import within_reach
from segmend.errors import PromptError

SHAPE, SPACING = (4, 9, 12), (3.0, 1.0, 2.0)


def held(prompt, reach, *, answer=None, before=None, planes=False):
    """Return the mask after an answer, all of the image where none is given, in one part or plane by plane."""
    previous = np.zeros(SHAPE, bool) if before is None else before
    values = np.ones(SHAPE, np.float32) if answer is None else answer.astype(np.float32)
    boxes = [Box((z, 0, 0), (z + 1, *SHAPE[1:])) for z in range(SHAPE[0])] if planes else [whole(SHAPE)]
    parts = [Prediction(values[box.slices], box, quality=0.9, uncertainty=values[box.slices] / 2) for box in boxes]
    found = list(within_reach(parts, prompt, reach, previous, SPACING))
    return merged(found, previous).over(previous) if found else previous


@pytest.mark.parametrize("planes", [False, True])
def test_a_distance_is_that_of_the_patient_to_the_nearest_voxel_of_the_mark(planes):
    marked = np.argwhere(np.ones(SHAPE, bool))
    stroke = Stroke(((1, 2, 3), (1, 2, 7)))

    found = held(stroke, Reach(mm=4.0), planes=planes)

    away = [np.linalg.norm((marked - (1, 2, x)) * SPACING, axis=1) for x in range(3, 8)]
    np.testing.assert_array_equal(found, (np.min(away, axis=0) <= 4.0).reshape(SHAPE))


def test_a_mark_in_one_slice_changes_that_slice_alone_across_the_axis_that_is_said():
    for axis in range(3):
        found = held(Click((2, 5, 6)), Reach(axis=axis))
        expected = np.zeros(SHAPE, bool)
        np.moveaxis(expected, axis, 0)[(2, 5, 6)[axis]] = True
        np.testing.assert_array_equal(found, expected)


def test_a_distance_and_a_slice_both_hold():
    found = held(Click((2, 5, 6)), Reach(mm=3.5, axis=0), planes=True)

    near = held(Click((2, 5, 6)), Reach(mm=3.5))
    np.testing.assert_array_equal(found[2], near[2])
    assert near[1].any() and not found[[0, 1, 3]].any()


def test_the_inside_of_a_lasso_and_of_extreme_points_is_the_mark():
    square = ((1, 2, 4), (1, 2, 8), (1, 6, 8), (1, 6, 4))
    for prompt in (Lasso(square, axis=0), Extremes(square)):
        found = held(prompt, Reach(mm=0.5))
        assert found.sum() == 25 and found[1, 2:7, 4:9].all()


def test_only_the_component_of_the_mark_changes():
    before, answer = np.zeros((2, *SHAPE), bool)
    before[1, 2:5, 1:4] = before[1, 2:5, 8:11] = True  # two objects: the answer would grow one and drop the other
    answer[1, 2:6, 1:5] = answer[3, 0, 0] = True

    found = held(Click((1, 5, 4)), Reach(part=True), answer=answer, before=before, planes=True)

    assert found[1, 2:6, 1:5].all() and found[1, 2:5, 8:11].all() and not found[3].any()
    assert held(Click((1, 3, 9), positive=False), Reach(part=True), answer=answer, before=before)[1, :, :5].sum() == 9


def test_a_quality_is_told_of_the_method_own_mask_alone():
    parts = [Prediction(np.ones((1, 1, 7), np.float32), Box((0, 0, 0), (1, 1, 7)), quality=0.9)]
    nothing = np.zeros((1, 1, 7), bool)

    [all_of_it] = within_reach(parts, Click((0, 0, 3)), Reach(mm=9), nothing, (1, 1, 1))
    [some] = within_reach(parts, Click((0, 0, 3)), Reach(mm=1), nothing, (1, 1, 1))

    assert all_of_it.quality == 0.9 and some.quality is None
    assert list(within_reach(parts, Click((0, 0, 3)), None, nothing, (1, 1, 1))) == parts


@pytest.mark.parametrize(
    ("reach", "prompt", "words"),
    [
        (Reach(), Click((0, 0, 0)), "got none of them"),
        (Reach(mm=2000), Click((0, 0, 0)), "at most 1000 mm; got 2000"),
        (Reach(axis=3), Click((0, 0, 0)), "an axis of 0, 1 or 2; got 3"),
        (Reach(mm=3), Adjust(0.2), "adjust is for the whole mask"),
    ],
)
def test_a_reach_that_says_nothing_is_refused(reach, prompt, words):
    with pytest.raises(PromptError, match=words):
        check_reach(reach, prompt, SHAPE)
    session = Session(SHAPE).add(Defined(Label(1, "lesion", PALETTE[0])))
    with pytest.raises(PromptError, match=words):
        session.add(Prompted(prompt, 1, "mend", reach=reach))


@pytest.mark.parametrize("values", [3, {"mm": "far"}, {"axis": True}, {"part": 1}, {"miles": 1}])
def test_a_damaged_reach_is_refused(values):
    with pytest.raises(PromptError):
        event_from_json({**event_to_json(Prompted(Click((0, 0, 0)), 1, "mend")), "reach": values})


def test_a_reach_survives_being_written():
    for reach in (None, Reach(mm=2.5), Reach(axis=1, part=True)):
        event = Prompted(Click((0, 0, 0)), 1, "mend", reach=reach)
        assert event_from_json(event_to_json(event)) == event
        assert reach is None or reach_from_json(reach_to_json(reach)) == reach
