"""Messages made up by a grammar, put to the live connection of sessions: right ones, nearly right ones and noise.

Whatever comes, each message is answered by an acceptance or by one sentence, the connection stays, and at the end what
the client has pieced together of the frames is the map that the server keeps.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from segmend.server.replies import MAX_DETAIL, UNEXPECTED
from segmend.server.sessions.wire import unpack
from tests.fuzz.readers import Findings
from tests.server.running import Client, defined, http, rooms

SHAPE = rooms().shape
METHODS = ("flood", "graphcut", "nobody", "", None, 5)
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 2**31, 2**63, -(2**70), 1e308, "", "1", "�", "a" * 5000, [], [[]], {}, [None],
    {"a": {}},
)  # fmt: skip


def index(random: Random) -> list[int]:
    """Return a voxel, mostly inside the image."""
    if random.random() < 0.9:
        return [random.randrange(side) for side in SHAPE]
    return [random.choice((-1, 0, side, 10**9)) for side in SHAPE]


def points(random: Random) -> list[list[int]]:
    return [index(random) for _ in range(random.choice((0, 1, 2, 2, 3)))]


def mask(random: Random) -> dict[str, Any]:
    shape = [random.randint(1, side) for side in SHAPE]
    bits = np.random.default_rng(random.getrandbits(32)).integers(0, 2, shape).astype(bool)
    packed = zlib.compress(np.packbits(bits).tobytes())
    return {"kind": "mask", "low": [0, 0, 0], "shape": shape, "bits": base64.b64encode(packed).decode()}


def prompt(random: Random) -> dict[str, Any]:
    sign = {"positive": random.random() < 0.7}
    return random.choice(
        (
            lambda: {"kind": "click", "index": index(random), **sign},
            lambda: {"kind": "click", "index": index(random), **sign},
            lambda: {"kind": "stroke", "points": points(random), "radius": random.choice((0, 1, 2.5, 1001)), **sign},
            lambda: {"kind": "box", "low": index(random), "high": index(random)},
            lambda: {"kind": "lasso", "points": [[1, *p[1:]] for p in points(random)], "axis": 0, **sign},
            lambda: {"kind": "extremes", "points": points(random)},
            lambda: {"kind": "adjust", "k": random.uniform(-1, 1)},
            lambda: mask(random),
        )
    )()


def prompted(given: dict[str, Any], random: Random) -> dict[str, Any]:
    method = {"mask": "given", "lasso": "graphcut", "extremes": "graphcut"}.get(given["kind"], "flood")
    method = random.choice(METHODS) if random.random() < 0.1 else method
    return {"event": "prompted", "prompt": given, "label": random.randint(1, 3), "method": method}


def event(random: Random) -> dict[str, Any]:
    kinds: list[Callable[[], dict[str, Any]]] = [
        lambda: prompted(prompt(random), random),
        lambda: defined(random.randint(1, 3), random.choice(("liver", "a\nb", " ")), locked=random.random() < 0.1),
        lambda: {"event": "removed", "of": random.randrange(30)},
        lambda: {"event": "undone"},
        lambda: {"event": "redone"},
    ]
    return random.choices(kinds, (6, 2, 1, 2, 1))[0]()


def spoilt(value: Any, random: Random) -> Any:
    """Return JSON values with one of them exchanged, left out or doubled."""
    if isinstance(value, dict) and value:
        key = random.choice(list(value))
        change = random.random()
        if change < 0.15:
            return {name: part for name, part in value.items() if name != key}
        if change < 0.3:
            return {**value, str(random.choice(ODD)): random.choice(ODD)}
        return {**value, key: spoilt(value[key], random)}
    if isinstance(value, list) and value and random.random() < 0.7:
        at = random.randrange(len(value))
        return [*value[:at], spoilt(value[at], random), *value[at + random.randint(0, 1) :]]
    return random.choice(ODD)


def message(random: Random, number: int) -> str | bytes:
    """Return a message: in two of three cases as it should be."""
    kind = random.random()
    whole: Any = {"id": number, "event": event(random)}
    if kind < 0.08:
        whole = {"id": number, "cancel": random.choice((0, 1, 2, 99, -1))}
    if kind < 0.65:
        return json.dumps(whole)
    if kind < 0.92:
        return json.dumps(
            {"id": number, **{name: spoilt(part, random) for name, part in whole.items() if name != "id"}}
        )
    text = json.dumps(whole)
    at = random.randrange(len(text))
    return random.choice(
        (
            text[:at],
            text[at:],
            "[" * 5000,
            "",
            "null",
            "NaN",
            text.replace(":", ",", 1),
            text.encode(),
            bytes(random.randrange(99)),
        )
    )


def play(address: str, session: str, seed: int, messages: int, findings: Findings) -> None:
    """Send messages one after the other and note whatever is not answered as it should be."""
    random = Random(f"live {seed}")
    with Client(address, session) as person:
        for value in (1, 2, 3):
            person.do(defined(value))
        for number in range(messages):
            sent = message(random, number)
            person.socket.send(sent)
            reply = settled(person)
            findings.outcomes[reply["type"]] += 1
            words = str(reply.get("message", ""))
            if words == UNEXPECTED or "Traceback" in words or "\n" in words or len(words) > MAX_DETAIL:
                findings.faults.append(f"live {seed} {number}: {sent[:300]!r} was answered: {words[:300]!r}")
        with http(address) as client:
            kept = np.zeros(SHAPE, np.uint16)
            unpack(client.get(f"/api/sessions/{session}/map").content).onto(kept)
        if not np.array_equal(kept, person.map):
            findings.faults.append(f"live {seed}: the map that was sent is not the one that is kept")


def settled(person: Client) -> dict[str, Any]:
    """Return how a message was answered: an error, or the answer to the event that was accepted."""
    while True:
        reply = person.receive()
        if not isinstance(reply, dict):
            continue
        if reply["type"] == "error" and "position" not in reply:
            return reply
        if reply["type"] == "accepted":
            position = reply["position"]
            while position not in person.answered:
                reply = person.receive()
                if isinstance(reply, dict) and reply["type"] == "error" and reply.get("position") == position:
                    return reply
            return person.answered[position]


def fuzz(server: Any, sessions: range, seed: int, messages: int = 40) -> Findings:
    """Return the findings of some sessions on one server."""
    findings = Findings()
    store = server.config.app.state.shared.store
    case = store.add_case("rooms", rooms()).id
    for number in sessions:
        with http(server) as client:
            session = client.post(f"/api/cases/{case}/sessions").json()["id"]
        try:
            play(server.address, session, seed * 10**6 + number, messages, findings)
        except Exception as error:
            findings.faults.append(f"live {seed * 10**6 + number}: {type(error).__name__} {error}")
    return findings
