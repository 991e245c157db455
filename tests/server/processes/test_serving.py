"""A server whose methods run in processes of their own outlives them, with every mark."""

import os
import signal

import numpy as np
import pytest

from segmend.server.settings import ServerSettings
from tests.server.running import Client, clicked, defined, http, in_thread, rooms

BOX, BAR = (1, 2, 1), (1, 2, 5)
CRASH, HANG = (1, 2, 0), (1, 2, 2)  # clicks that end the method "dying"
GREY = rooms().voxels[0]


@pytest.fixture(scope="module")
def apart(tmp_path_factory, plugin):
    data = tmp_path_factory.mktemp("apart")
    with in_thread(ServerSettings(data, port=0, method="dying", answering_seconds=120)) as running:
        yield running
    assert not list(data.glob("answering-*"))


@pytest.fixture(scope="module")
def case(apart):
    return apart.config.app.state.shared.store.add_case("rooms", rooms()).id


@pytest.fixture
def live(apart, case):
    with http(apart) as client:
        session = client.post(f"/api/cases/{case}/sessions").json()["id"]
    with Client(apart.address, session) as person:
        person.do(defined(1))
        yield person


def test_a_method_that_hangs_costs_its_own_prompt_only_and_others_are_answered_meanwhile(apart, case, live):
    live.do(clicked(BAR, method="dying"))
    position = live.next("accepted", id=live.send(clicked(HANG, method="dying")))["position"]
    live.next("frame", position=position)  # it hangs behind its first part
    with http(apart) as client:
        session = client.post(f"/api/cases/{case}/sessions").json()["id"]
    with Client(apart.address, session) as other:
        other.do(defined(1))
        other.do(clicked(BOX, method="dying"))
        np.testing.assert_array_equal(other.map, GREY == 10)
    processes = apart.config.app.state.shared.sessions.processes
    (hung,) = [place.process for place in processes._places if not place.turn.free()]
    hung._deadline = 0  # its time is over

    error = live.next("error", position=position)
    state = live.next("answered", position=position + 1)["state"]

    assert error["message"] == (
        "Dying did not answer within 120 seconds and was ended; it is started again. What it was asked for was taken "
        "back, and all other marks are kept."
    )
    assert state["pending"] == [] and state["undone"] == [position]
    np.testing.assert_array_equal(live.map, GREY == 20)
    live.do(clicked(BOX, method="dying"))
    np.testing.assert_array_equal(live.map, (GREY == 10) | (GREY == 20))


def test_a_process_that_was_killed_is_started_again_unseen(apart, live):
    live.do(clicked(BAR, method="dying"))
    for number in apart.config.app.state.shared.sessions.processes.running:
        os.kill(number, signal.SIGKILL)

    live.do(clicked(BOX, method="dying"))

    np.testing.assert_array_equal(live.map, (GREY == 10) | (GREY == 20))


def test_a_method_that_crashes_is_500_with_one_sentence(apart, case):
    with http(apart) as client:
        session = client.post(f"/api/cases/{case}/sessions").json()["id"]
        client.post(f"/api/sessions/{session}/events", json=defined(1)).raise_for_status()
        click = {"prompt": {"kind": "click", "index": CRASH}, "label": 1, "method": "dying"}

        reply = client.post(f"/api/sessions/{session}/prompts", json=click)
        after = client.post(
            f"/api/sessions/{session}/prompts", json={**click, "prompt": {"kind": "click", "index": BOX}}
        )
        metrics = client.get("/metrics").text

    assert reply.status_code == 500 and reply.json()["detail"].startswith("Dying ended without an answer (SIGSEGV); it")
    assert after.status_code == 200
    ended = next(line for line in metrics.splitlines() if line.startswith("segmend_ended_processes_total"))
    assert float(ended.split()[1]) >= 2
