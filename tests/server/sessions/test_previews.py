"""What an event would change is shown before it is made, and nothing of it is kept."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from segmend.core.prompts import from_json
from segmend.server.sessions.wire import unpack
from tests.server.running import BLUE, PATIENCE, Client, clicked, defined, rooms

FRAME = {"Accept": "application/octet-stream"}


@pytest.fixture
def drawn(client, session):
    """A session in which the bar is painted as the second label."""
    for event in (defined(1), defined(2, "bar", BLUE), clicked((1, 2, 5), label=2)):
        assert client.post(f"/api/sessions/{session}/events", json=event).status_code == 200
    return session


def current(client, session):
    label_map = np.zeros((3, 6, 8), np.uint16)
    unpack(client.get(f"/api/sessions/{session}/map").content).onto(label_map)
    return label_map


def over(client, session, reply):
    """Return the map with a preview laid over it."""
    label_map = current(client, session)
    unpack(reply.content).onto(label_map)
    return label_map


@pytest.mark.parametrize(
    "event",
    [
        clicked((1, 2, 2)),
        {"event": "edited", "edit": {"kind": "grow", "mm": 1.0}, "label": 2},
        {"event": "removed", "of": 2},
    ],
)
def test_a_preview_is_what_the_event_makes_and_leaves_no_trace(client, drawn, event):
    before, log = current(client, drawn), client.get(f"/api/sessions/{drawn}").json()

    reply = client.post(f"/api/sessions/{drawn}/preview", json=event)

    assert reply.status_code == 200, reply.text
    seen = over(client, drawn, reply)
    assert (current(client, drawn) == before).all() and (seen != before).any()
    assert client.get(f"/api/sessions/{drawn}").json() == log
    assert client.post(f"/api/sessions/{drawn}/events", json=event).status_code == 200
    np.testing.assert_array_equal(current(client, drawn), seen)


def test_nobody_who_watches_hears_of_a_preview(server, client, drawn):
    with Client(server.address, drawn) as live:
        client.post(f"/api/sessions/{drawn}/preview", json=clicked((1, 2, 2)))
        live.do(clicked((1, 0, 0)))

        kinds = [message["type"] if isinstance(message, dict) else "frame" for message in live.messages]
    assert kinds.count("accepted") == 1 and kinds.count("answered") == 1


def test_another_method_is_compared_on_the_same_marks(client, drawn):
    client.post(f"/api/sessions/{drawn}/events", json=clicked((1, 2, 2)))
    edit = {"event": "edited", "edit": {"kind": "paint", "points": [[1, 4, 1]], "radius": 1.0}, "label": 1}
    client.post(f"/api/sessions/{drawn}/events", json=edit)

    reply = client.post(f"/api/sessions/{drawn}/compare", json={"label": 1, "method": "flood"})

    seen, grey = over(client, drawn, reply), rooms().voxels[0]
    assert (current(client, drawn) == 1).sum() > 27  # with what was painted, which the comparison leaves aside
    np.testing.assert_array_equal(seen, (grey == 10) + 2 * (grey == 20))


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("preview", {"event": "undone"}, "Only a mark, an edit or a removal can be looked at"),
        ("preview", clicked((1, 2, 2), label=7), "Label 7 is not defined here"),
        ("preview", clicked((9, 2, 2)), "outside"),
        ("compare", {"label": 1, "method": "flood"}, "This label has no marks yet"),
        ("compare", {"label": 7, "method": "flood"}, "Label 7 is not defined here"),
        ("compare", {"label": 2, "method": "nobody's"}, "There is no method"),
        ("compare", {"label": 2, "method": "dextr"}, "DEXTR takes extremes, and none of these marks"),
        ("compare", {"label": 2}, "A label's number and a method's name are needed"),
        ("robot", {"label": 1}, "The robot needs a right mask to play for"),
        ("robot", {"label": 7}, "Label 7 is not defined here"),
        ("robot", {"label": 2, "method": "dextr"}, "The robot clicks, and DEXTR takes extremes alone"),
        ("robot", {"label": 2, "prompts": [{"kind": "click", "index": [9, 9, 9]}]}, "outside"),
        ("robot", {"label": 2, "prompts": [{"kind": "adjust", "k": 1}]}, "A robot's marks are clicks"),
        ("robot", {"label": 2, "prompts": 3}, "A game has a list of at most 200 marks"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(client, drawn, path, body, words):
    reply = client.post(f"/api/sessions/{drawn}/{path}", json=body)

    assert reply.status_code == 422 and words in reply.text


def test_marks_come_first_and_end_a_preview(server, client, session, held):
    with Client(server.address, session) as live, ThreadPoolExecutor(1) as people:
        live.do(defined(1))
        preview = clicked((1, 2, 2), method="slow")
        asked = people.submit(client.post, f"/api/sessions/{session}/preview", json=preview)
        assert held.begun.wait(PATIENCE)
        position = live.next("accepted", id=live.send(clicked((1, 2, 5))))["position"]
        held.released.set()
        reply = asked.result(PATIENCE)
        live.next("answered", position=position)

    assert reply.status_code == 409 and "The session has changed meanwhile" in reply.text


def test_a_robot_plays_for_a_label_mark_by_mark_and_leaves_no_trace(client, drawn):
    """It is shown the bar's right mask; flood finds the room that it clicks into."""
    before = client.get(f"/api/sessions/{drawn}").json()

    game = {"label": 2, "method": "flood"}
    first = client.post(f"/api/sessions/{drawn}/robot", json=game).json()
    last = client.post(
        f"/api/sessions/{drawn}/robot", json={**game, "prompts": [first["prompt"]], "mask": first["mask"]}
    ).json()

    assert first["prompt"]["positive"] and first["dice"] == 1.0
    mask = from_json(first["mask"])
    assert mask.inside.all() and mask.box.shape == (3, 4, 2)
    assert last == {"prompt": None, "mask": first["mask"], "dice": 1.0}
    assert client.get(f"/api/sessions/{drawn}").json() == before


def test_a_robot_mends_what_is_wrong(client, drawn):
    paint = {"event": "edited", "edit": {"kind": "paint", "points": [[1, 0, 0]], "radius": 0.0}, "label": 2}
    client.post(f"/api/sessions/{drawn}/events", json=paint)

    first = client.post(f"/api/sessions/{drawn}/robot", json={"label": 2, "method": "flood"}).json()

    assert 0.9 < first["dice"] < 1.0  # flood cannot know of the voxel
