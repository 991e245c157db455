"""Locked slices stay bit for bit as they were, whatever is marked, edited, taken away or worked out again."""

import numpy as np
import pytest

from segmend.core.prompts import Mask, to_json
from segmend.core.session import Canvas, Session, event_from_json
from segmend.errors import PromptError
from tests.server.running import Client, clicked, defined, rooms

BOX, BAR = (1, 2, 2), (1, 2, 5)
GREY = rooms().voxels[0]


def edited(kind, *, label=1, overwrite=False, **values):
    return {"event": "edited", "edit": {"kind": kind, **values}, "label": label, "overwrite": overwrite}


def locked(axis, *slices, locked=True):
    return {"event": "slices_locked", "axis": axis, "slices": list(slices), "locked": locked}


@pytest.fixture
def live(server, session):
    with Client(server.address, session) as client:
        client.do(defined(1))
        client.do(defined(2, "bar"))
        yield client


def test_no_event_changes_a_locked_slice(live, store, session):
    """In two planes, by every kind of event that can change a mask."""
    first = live.do(clicked(BOX))["position"]
    live.do(edited("paint", points=[[1, 5, 0]], radius=0, axis=0))
    live.do(clicked(BAR, label=2))
    for event in (locked(0, 1), locked(2, 2)):
        live.do(event)
    before = live.map.copy()
    inside = np.ones(before.shape, bool)

    for event in (
        clicked((0, 2, 6), label=1),
        clicked((0, 2, 1), positive=False),
        edited("grow", mm=1.0),
        edited("interpolate", axis=1, slices=[1, 3]),
        edited("copy_slice", axis=0, source=1, target=0),
        edited("combine", operation="union", other=2),
        edited("paint", points=[[0, 2, 2], [0, 4, 6]], radius=3),
        {"event": "prompted", "prompt": to_json(Mask(inside, (0, 0, 0))), "label": 1, "method": "given"},
        {"event": "removed", "of": first},
    ):
        live.do(event)
        np.testing.assert_array_equal(live.map[1], before[1], err_msg=str(event))
        np.testing.assert_array_equal(live.map[:, :, 2], before[:, :, 2], err_msg=str(event))
    assert (live.map[0] != before[0]).any()

    log = store.session(session)
    canvas = Canvas(log.shape)
    canvas.follow(Session(log.shape, log.events, log.answers))
    np.testing.assert_array_equal(canvas.map, live.map)


def test_an_unlocked_slice_changes_again_and_undo_locks_it_again(live):
    live.do(clicked(BOX))
    live.do(locked(0, 1))
    live.do(locked(0, 1, locked=False))
    live.do(clicked(BAR))
    assert live.map[BAR] == 1

    live.do({"event": "undone"})
    live.do({"event": "undone"})
    number = live.send(clicked(BAR))

    assert "Slice 1 across axis 0 is locked" in live.next("error", id=number)["message"]


def test_what_was_asked_before_a_slice_was_locked_is_still_answered(held, live):
    number = live.send(clicked(BOX, method="slow"))
    position = live.next("accepted", id=number)["position"]
    assert held.begun.wait(10)
    live.do(locked(0, 0, 1))

    held.released.set()
    live.next("answered", position=position)
    before = live.map.copy()
    live.do(edited("grow", mm=1.0))

    assert before[1].any()
    np.testing.assert_array_equal(live.map[:2], before[:2])
    assert (live.map[2] != before[2]).any()


def test_a_mark_that_could_change_nothing_is_refused(live):
    live.do(clicked(BOX))
    live.do(locked(1, 1, 2))

    for event, words in (
        (clicked(BOX), "Slice 2 across axis 1 is locked"),
        ({**clicked(BOX), "prompt": {"kind": "stroke", "points": [[1, 1, 1], [1, 2, 1]]}}, "Slices 1 to 2 across axis"),
        (edited("paint", points=[[1, 2, 1]], radius=5, axis=1), "is locked"),
        (edited("copy_slice", axis=1, source=3, target=2), "is locked"),
        ({"event": "deleted", "label": 1}, "cannot go while slices are locked"),
        (edited("merge", other=1, label=2), "cannot go while slices are locked"),
        (locked(1, 6), "numbers of 0 to 5 across axis 1"),
        (locked(3, 0), "an axis of 0, 1 or 2"),
    ):
        number = live.send(event)
        assert words in live.next("error", id=number)["message"]
    live.do({"event": "deleted", "label": 2})  # which has no marks, so no voxels


@pytest.mark.parametrize("values", [{"axis": "z"}, {"slices": 3}, {"slices": [1.5]}, {"locked": 1}])
def test_a_damaged_event_is_refused(values):
    with pytest.raises(PromptError):
        event_from_json({**locked(0, 1), **values})


def test_a_mark_reaches_no_farther_than_it_says(live):
    live.do({**clicked(BOX), "reach": {"axis": 0}})
    assert live.map[1].any() and not live.map[0].any()

    live.do({"event": "undone"})
    live.do({**clicked(BOX), "reach": {"mm": 1.0}})

    away = np.linalg.norm((np.argwhere(np.ones(GREY.shape)) - BOX) * (3.0, 0.5, 0.8), axis=1).reshape(GREY.shape)
    np.testing.assert_array_equal(live.map == 1, (GREY == 10) & (away <= 1.0))
