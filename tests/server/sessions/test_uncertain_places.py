"""Where the last answer is uncertain: by the library's rule, one place after the other, gone with the answer."""

import json

import numpy as np
import pytest

from segmend.core.image import Box, Image, scale_affine, whole
from segmend.core.prompts import Click
from segmend.core.segmenter import Prediction
from segmend.core.uncertainty import most_uncertain
from segmend.server.sessions.uncertainty import MAX_PLACES, UncertaintyMap
from segmend.server.sessions.wire import unpack
from tests.server.running import PATIENCE, Client, clicked, defined

SHAPE = (2, 20, 30)
SPACING = (2.0, 0.5, 0.8)
UNTOLD = "The last answer does not say where it is uncertain."


@pytest.fixture
def session(client, store):
    case = store.add_case("wide", Image(np.zeros((1, *SHAPE), np.uint8), scale_affine(SPACING))).id
    session = client.post(f"/api/cases/{case}/sessions").json()["id"]
    client.put(f"/api/sessions/{session}/labels/1", json={"name": "lesion", "colour": [1, 2, 3]})
    return session


def mark(client, session, index=(0, 1, 1), **options):
    event = clicked(index, **{"method": "unsure", **options})
    return client.post(f"/api/sessions/{session}/events", json=event).json()["position"]


def look(client, session, rank=0):
    reply = client.get(f"/api/sessions/{session}/uncertain", params={"rank": rank})
    return reply.status_code, reply.json()


def by_the_rule(*prompts):
    """The places that the library finds where the test method is uncertain."""
    uncertainty = np.zeros(SHAPE, np.float32)
    uncertainty[:, 2:7, 20:25] = uncertainty[:, 15:18, 3:6] = 1
    prediction = Prediction(uncertainty, whole(SHAPE), uncertainty=uncertainty)
    places = []
    while (place := most_uncertain(prediction, np.array(SPACING), prompts, looked_at=places)) is not None:
        places.append(place)
    return places


def test_places_are_those_of_the_library_in_its_order(client, session):
    position = mark(client, session)
    wanted = by_the_rule(Click((0, 1, 1)))

    told = [look(client, session, rank) for rank in (1, 0, *range(len(wanted) + 1))]

    mask = np.zeros(SHAPE, np.uint16)
    unpack(client.get(f"/api/sessions/{session}/map").content).onto(mask)
    assert 2 <= len(wanted) < MAX_PLACES
    assert told[2:] == [
        (200, {"position": position, "label": 1, "rank": rank, "place": list(place), "inside": bool(mask[place])})
        for rank, place in enumerate(wanted)
    ] + [(200, {"position": position, "label": 1, "rank": len(wanted), "place": None, "inside": None})]
    assert told[:2] == [told[3], told[2]]  # whoever asks, and in which order
    assert any(20 <= x < 25 for _, _, x in wanted) and any(3 <= x < 6 for _, _, x in wanted)


def test_marks_of_the_answer_are_no_places_and_a_sure_answer_has_none(client, session):
    first = by_the_rule()[0]
    mark(client, session, first)
    assert look(client, session)[1]["place"] == list(by_the_rule(Click(first))[0])

    mark(client, session, positive=False)

    assert look(client, session)[1]["place"] is None


def test_a_place_in_the_mask_says_so(client, session):
    mark(client, session)
    assert look(client, session)[1]["inside"] is False

    paint = {"event": "edited", "edit": {"kind": "paint", "points": [[0, 4, 22]], "radius": 9.0}, "label": 1}
    assert client.post(f"/api/sessions/{session}/events", json=paint).status_code == 200
    mark(client, session, (1, 1, 1))

    assert look(client, session)[1]["inside"] is True


@pytest.mark.parametrize(
    "change",
    [{"event": "undone"}, {"event": "removed", "of": 1}, clicked((0, 5, 5))],
    ids=["undone", "removed", "another method"],
)
def test_uncertainty_is_gone_when_the_mask_changes(client, session, change):
    assert look(client, session) == (404, {"detail": UNTOLD})
    mark(client, session)
    client.put(f"/api/sessions/{session}/labels/2", json={"name": "other", "colour": [3, 2, 1]})
    assert look(client, session)[0] == 200  # a label's name is not the mask

    client.post(f"/api/sessions/{session}/events", json=change)

    assert look(client, session) == (404, {"detail": UNTOLD})


@pytest.mark.parametrize("rank", [-1, "first", 2**40])
def test_a_rank_is_a_number_from_0(client, session, rank):
    status, reply = look(client, session, rank)

    assert status == 422 and "'rank' does not fit" in reply["detail"]


def test_newcomers_are_told_the_uncertainty_of_the_last_answer(server, client, session):
    mark(client, session)

    with Client(server.address, session) as newcomer:
        assert newcomer.socket.recv(timeout=PATIENCE)[:4] == b"SGM1"
        doubts = [newcomer.socket.recv(timeout=PATIENCE) for _ in range(SHAPE[0])]
        newcomer.socket.send(json.dumps({"id": 1, "event": defined(1, "renamed")}))
        after = newcomer.socket.recv(timeout=PATIENCE)

    assert [uncertainty[:4] for uncertainty in doubts] == [b"SGD1"] * 2
    assert json.loads(after)["type"] == "accepted"


def test_parts_that_say_nothing_lie_over_those_that_do_and_places_end_somewhere():
    uncertainty_map = UncertaintyMap(3, 1)
    uncertainty_map.take(Box((0, 0, 0), (0, 0, 0)), np.zeros((0, 0, 0), np.float32))
    uncertainty_map.take(Box((4, 10, 20), (5, 110, 220)), np.ones((1, 100, 200), np.float32))
    uncertainty_map.take(Box((4, 10, 20), (5, 110, 120)), None)

    places = [uncertainty_map.place(rank, np.array(SPACING)) for rank in (0, 10**9, MAX_PLACES - 1)]

    assert places[0][2] >= 120 and places[1] is None
    assert uncertainty_map.size_bytes == 100 * 200
