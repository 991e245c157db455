"""First masks of a case by the method that its project trusts, when it is first opened or when somebody asks."""

import json
import time

import numpy as np
import pytest

from segmend.errors import PromptError
from segmend.server.access.projects import first_masks_of
from segmend.server.sessions.wire import unpack
from segmend.store.records import FirstMasks
from tests.server.running import PATIENCE, RED, clicked, rooms

GREY = rooms().voxels[0]


@pytest.fixture
def project(client, store, request):
    name = f"trusted {request.node.name}"[:100]
    store.add_project(name)
    return name


@pytest.fixture
def case(store, project):
    return store.add_case("rooms", rooms(), project=project).id


def trust(client, project, **values):
    return client.put(f"/api/projects/{project}/first-masks", json={"method": "organs", "dice": 0.91, **values})


def answered(client, session):
    """Return a session's log once all of it is answered."""
    end = time.monotonic() + PATIENCE
    while (state := client.get(f"/api/sessions/{session}").json())["pending"]:
        assert time.monotonic() < end
        time.sleep(0.01)
    return state


def mask(client, session):
    found = np.zeros(GREY.shape, np.uint16)
    unpack(client.get(f"/api/sessions/{session}/map").content).onto(found)
    return found


def opened(client, case):
    return client.post(f"/api/cases/{case}/sessions").json()["id"]


def test_a_case_begins_with_masks_only_where_its_project_says_so(client, project, case, store):
    assert [event["event"] for event in answered(client, opened(client, case))["events"]] == []

    assert trust(client, project).json()["first"] == {"method": "organs", "dice": 0.91}
    other = store.add_case("rooms", rooms(), project=project).id
    session = opened(client, other)
    state = answered(client, session)

    assert [event["event"] for event in state["events"]] == ["defined", "defined", "prompted", "prompted"]
    assert {event["method"] for event in state["events"][2:]} == {"organs"}
    np.testing.assert_array_equal(mask(client, session), np.where(GREY == 10, 1, np.where(GREY == 20, 2, 0)))
    client.post(f"/api/sessions/{session}/undo")  # one step
    assert not mask(client, session).any() and len(client.get(f"/api/sessions/{session}").json()["labels"]) == 2


def test_labels_of_the_project_get_the_masks_that_are_theirs_by_name(client, project, case):
    labels = [{"name": "aorta", "colour": RED}, {"name": "Bar", "colour": RED}]
    client.put(f"/api/projects/{project}/template", json={"labels": labels})
    trust(client, project)

    session = opened(client, case)
    answered(client, session)

    np.testing.assert_array_equal(mask(client, session), np.where(GREY == 20, 2, 0))


def test_somebody_may_ask_in_a_case_that_was_opened_before(client, project, case):
    session = opened(client, case)
    refused = client.post(f"/api/sessions/{session}/first-masks")
    assert refused.status_code == 422 and "names no method that makes first masks" in refused.json()["detail"]

    trust(client, project)
    assert client.post(f"/api/sessions/{session}/first-masks").status_code == 200
    answered(client, session)
    assert set(np.unique(mask(client, session))) == {0, 1, 2}

    again = client.post(f"/api/sessions/{session}/first-masks")  # a label with marks is left as it is
    assert again.status_code == 422 and "none of the labels here that have no marks" in again.json()["detail"]


def test_it_is_off_again_when_it_is_taken_back(client, project, case, store):
    trust(client, project)
    assert trust(client, project, method=None, dice=None).json()["first"] is None
    assert store.project(project).first is None
    assert answered(client, opened(client, case))["events"] == []


@pytest.mark.parametrize(
    ("values", "status", "words"),
    [
        ({"method": "flood"}, 422, "finds nothing without a mark"),
        ({"method": "nobody"}, 422, "There is no method 'nobody'"),
        ({"dice": None}, 422, "need the Dice that was measured"),
        ({"dice": 1.5}, 422, "at most 1; got 1.5"),
        ({"method": 3}, 422, "need the id of a method"),
    ],
)
def test_a_method_that_cannot_be_trusted_is_refused(client, project, values, status, words):
    reply = trust(client, project, **values)
    assert reply.status_code == status and words in reply.json()["detail"], reply.text


def test_the_dice_is_that_of_the_weights_own_validation(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"scores": {"dice": 0.87}}))
    assert first_masks_of({"method": "organs"}, {"organs": tmp_path}) == FirstMasks("organs", 0.87)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(PromptError, match="need the Dice that was measured"):
        first_masks_of({"method": "organs"}, {"organs": tmp_path})


def test_a_mark_is_put_down_on_what_was_found_as_on_any_mask(client, project, case):
    trust(client, project)
    session = opened(client, case)
    answered(client, session)
    reply = client.post(f"/api/sessions/{session}/events", json=clicked((1, 0, 0), label=1))
    assert reply.status_code == 200
