"""What is looked at of a label map while an answer is painted on it."""

import numpy as np

from segmend.core.image import Box
from segmend.core.session import PALETTE, Defined, Label, Session
from segmend.server.sessions.answering import Part
from segmend.server.sessions.draft_map import Draft, DraftMap
from segmend.server.sessions.uncertainty import UncertaintyMap


def painted(draft_map, draft, low, high):
    box = Box(low, high)
    draft_map.paint(draft, Part(box, np.ones(box.shape, bool)))


def test_a_box_is_told_as_it_was_before_the_draft():
    session = Session((2, 5, 6)).add(Defined(Label(1, "lesion", PALETTE[0]))).add(Defined(Label(2, "node", PALETTE[1])))
    draft_map = DraftMap(session.shape)
    answered = Draft(session, 0, 1, (), UncertaintyMap(0, 1, ()))
    painted(draft_map, answered, (0, 1, 1), (2, 3, 4))
    before = draft_map.without_draft()[0]
    draft_map.draft = Draft(session, 1, 2, (), UncertaintyMap(1, 2, ()))
    painted(draft_map, draft_map.draft, (1, 2, 3), (2, 5, 6))
    painted(draft_map, draft_map.draft, (0, 2, 2), (1, 3, 3))

    for box in (
        Box((0, 0, 0), (2, 5, 6)),
        Box((1, 2, 2), (2, 4, 6)),
        Box((0, 4, 0), (1, 5, 1)),
        Box((0, 1, 1), (0, 1, 1)),
    ):
        values = draft_map.values(box)
        np.testing.assert_array_equal(values, before[box.slices])
        values[...] = 9  # a copy
    assert draft_map.draft.parts == 2 and not (draft_map.without_draft()[0] == 9).any()
