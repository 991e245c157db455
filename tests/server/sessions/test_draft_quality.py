"""The Dice that is told of an answer rises only with marks that told the method something."""

import numpy as np
import pytest

from segmend.core.image import Box
from segmend.core.prompts import Click, Stroke
from segmend.core.session import Defined, Label, Prompted, Session
from segmend.server.sessions.draft_map import Draft
from segmend.server.sessions.uncertainty import UncertaintyMap

CHANGED = Box((0, 0, 2), (1, 1, 4))


def draft(prompt, *, changed=True):
    """The answer to a prompt that expects .8, and changed two voxels or none."""
    session = Session((1, 3, 8)).add(Defined(Label(1, "lesion", (230, 75, 60)))).add(Prompted(prompt, 1, "mend"))
    changes = [(CHANGED, np.ones(CHANGED.shape, np.uint16))] if changed else []
    return Draft(session, 1, 1, (), UncertaintyMap(1, 1, [prompt]), changes, quality=0.8)


@pytest.mark.parametrize("prompt", [Click((0, 0, 3)), Stroke(((0, 0, 0), (0, 0, 7))), Box((0, 0, 0), (1, 2, 6))])
def test_a_mark_that_contradicted_the_mask_is_told_what_is_expected(prompt):
    assert draft(prompt).told_quality(0.6) == draft(prompt).told_quality(0.9) == draft(prompt).told_quality(None) == 0.8


@pytest.mark.parametrize("prompt", [Click((0, 0, 5)), Stroke(((0, 1, 0), (0, 1, 7))), Click((0, 2, 3), positive=False)])
def test_one_that_said_what_the_mask_said_is_no_better_than_before(prompt):
    """Though the method changed the mask elsewhere."""
    assert draft(prompt).told_quality(0.6) == 0.6 and draft(prompt).told_quality(0.9) == 0.8
    assert draft(prompt).told_quality(None) is None


def test_nor_is_one_that_changed_nothing():
    assert draft(Click((0, 0, 3)), changed=False).told_quality(0.6) == 0.6
