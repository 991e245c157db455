"""A person who works at a server that is killed, and what the server is held to when it is back."""

import random
import time

import numpy as np
from websockets.exceptions import ConnectionClosed

from segmend.core.image import Image
from segmend.server.sessions.wire import unpack
from tests.server.running import PATIENCE, clicked

SHAPE = (4, 24, 20)


def blocks(seed):
    """An image of small blocks of seven greys, so that clicks take regions of all sizes."""
    greys = np.random.default_rng(seed).integers(0, 7, (1, 2, 6, 5)).astype(np.int16)
    return Image(greys.repeat(2, 1).repeat(4, 2).repeat(4, 3))


class Person:
    """Clicks, edits, undoes, redoes and removes at random, and remembers everything the server has told."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.accepted = {}  # place -> event
        self.answered = set()  # places
        self.maps = {}  # events in effect, all answered -> the map then
        self.kinds = set()
        self.undid = False  # as its last event, so that there is something to redo

    def event(self):
        index = [self.dice.randrange(n) for n in SHAPE]
        chance, undid, self.undid = self.dice.random(), self.undid, False
        if chance < (0.6 if undid else 0.04):
            return {"event": "redone"}
        if chance < 0.18:
            self.undid = True
            return {"event": "undone"}
        if chance < 0.28 and self.accepted:
            return {"event": "removed", "of": self.dice.choice(sorted(self.accepted))}
        if chance < 0.42:
            label = self.dice.choice([1, 2])
            return {"event": "edited", "edit": self.edit(index, 3 - label), "label": label, "overwrite": False}
        method = self.dice.choice(["flood", "slow"])
        return clicked(index, label=self.dice.choice([1, 2]), positive=self.dice.random() < 0.8, method=method)

    def edit(self, index, other):
        """Return an edit by hand or by rule."""
        brush = {"kind": "paint", "points": [index], "radius": 2.0, "positive": self.dice.random() < 0.5}
        union = {"kind": "combine", "operation": "union", "other": other}
        away = {"kind": "combine", "operation": "subtract", "other": other, "margin_mm": 1.0}
        return self.dice.choice([brush, brush, union, away])

    def work(self, client, seconds):
        """Work without waiting for answers, with a few prompts in flight, so long after the first is accepted."""
        end, waiting, known = None, 0, len(self.accepted)
        while end is None or time.monotonic() < end:
            if end is None and len(self.accepted) > known:
                end = time.monotonic() + seconds
            while waiting < self.dice.randint(1, 3):
                client.send(self.event())
                waiting += 1
            try:
                waiting -= self.hear(client, client.receive(timeout=0.005))
            except TimeoutError:
                continue

    def hear(self, client, message):
        """Remember a message; returns 1 when it ends a request."""
        if not isinstance(message, dict):
            return 0
        if message["type"] == "accepted":
            self.accepted[message["position"]] = message["event"]
            self.kinds.add(message["event"]["event"])
        if message["type"] == "answered" and not message["withdrawn"]:
            self.answered.add(message["position"])
            if not message["state"]["pending"]:
                self.maps[tuple(message["state"]["done"])] = client.map.copy()
        return message["type"] in ("answered", "error")

    def drain(self, client):
        """Hear what had been sent before the server died."""
        try:
            while True:
                self.hear(client, client.receive(timeout=PATIENCE))
        except ConnectionClosed:
            client.close()


def settled(client, session):
    """Return the session's state once everything pending is answered."""
    for _ in range(3000):
        state = client.get(f"/api/sessions/{session}").raise_for_status().json()
        if not state["pending"]:
            return state
        time.sleep(0.01)
    raise AssertionError(f"still pending: {state['pending']}")


def current(client, session):
    label_map = np.zeros(SHAPE, np.uint16)
    unpack(client.get(f"/api/sessions/{session}/map").content).onto(label_map)
    return label_map


def check_audit(client, session, events):
    """Hold the audit to the log: an entry for each event, neither more nor fewer, in a chain that is whole."""
    found = client.get("/api/audit", params={"action": "marked", "limit": 1000}).json()["entries"]
    noted = sorted(one["detail"]["event"] for one in found if one["session"] == session)
    assert noted == list(range(events))[-len(noted) :]
    assert len(noted) == events or len(found) == 1000
    assert client.get("/api/audit/check").json()["damage"] == []


def check(client, session, person, *, steps):
    """Hold the server to all that the person was told; undo some steps and redo them."""
    state = settled(client, session)
    for place, event in person.accepted.items():
        assert state["events"][place] == event, place
    check_audit(client, session, len(state["events"]))
    undo, redo = f"/api/sessions/{session}/undo", f"/api/sessions/{session}/redo"
    met, last, undoable = 0, current(client, session), len(state["done"]) - 2
    for way in [None, *[undo] * min(steps, undoable), *[redo] * min(steps, undoable)]:
        state = client.post(way).json()["state"] if way else state
        if tuple(state["done"]) in person.maps:
            met += 1
            np.testing.assert_array_equal(current(client, session), person.maps[tuple(state["done"])])
        else:
            person.maps[tuple(state["done"])] = current(client, session)
    np.testing.assert_array_equal(current(client, session), last)
    return met
