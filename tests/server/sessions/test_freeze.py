"""A server that was just started answers everybody, however many first clicks come at the same moment."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from segmend.core.image import Image
from segmend.store import Store
from tests.server.running import Client, Process, clicked, defined, http

SECONDS = 60  # an answer that takes longer will never come


@pytest.fixture
def sessions(tmp_path):
    """Two sessions, each of a case of its own: a noisy disc."""
    y, x = np.indices((96, 96))
    disc = 100.0 * (np.hypot(y - 48, x - 48) < 20)
    noise = np.random.default_rng(0).normal(0, 5, disc.shape)
    image = Image((disc + noise).astype(np.float32)[None, None])
    with Store.open(f"sqlite:///{tmp_path / 'segmend.db'}", str(tmp_path / "blobs")) as store:
        return [store.add_session(store.add_case(name, image).id).id for name in ("one", "two")]


def click(address, together, session):
    """Click in the disc as soon as the other is there, too; return the map that comes."""
    with Client(address, session) as client:
        if 1 not in [label["value"] for label in client.state["labels"]]:
            client.do(defined(1))
        together.wait(SECONDS)
        position = client.next("accepted", SECONDS, id=client.send(clicked((0, 48, 48), method="mend")))["position"]
        client.next("answered", SECONDS, position=position)
        return client.map


@pytest.mark.parametrize("starts", [1, pytest.param(6, marks=pytest.mark.long)])
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be pinned to a core here")
def test_two_first_clicks_at_the_same_moment_are_answered_after_every_start(starts, tmp_path, plugin_path, sessions):
    """On one core, five of six starts froze for ever: OpenVINO's first conversion of an array in two threads."""
    core = min(os.sched_getaffinity(0))

    for _ in range(starts):
        server = Process(tmp_path, plugin_path, method="mend", core=core)
        try:
            together = threading.Barrier(len(sessions))
            with ThreadPoolExecutor() as people:
                masks = list(people.map(partial(click, server.address, together), sessions))

            assert all(mask[0, 48, 48] == 1 for mask in masks)
            with http(server) as client:
                assert client.get("/api/health").json()["status"] == "ok"
            code, _ = server.end(signal.SIGTERM)
            assert code == -signal.SIGTERM  # raised again when everything has ended as it should
        finally:
            server.kill()
