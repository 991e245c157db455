"""Requests of viewers of others, made up: right ones, nearly right ones and noise, in nnInteractive's dialect.

Whatever comes, the server answers with a status that the dialect knows, never with 500, it does not grow, the log of
the session stays one that can be opened, and who works beside is not disturbed.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from random import Random
from typing import Any

import blosc2
import httpx
import numpy as np

from segmend.errors import LimitError
from segmend.runtime.budget import resident_bytes
from segmend.server.protocols import nnia
from segmend.server.replies import UnreadableError
from tests.fuzz.beside import Beside
from tests.fuzz.damage import damaged
from tests.fuzz.readers import Findings
from tests.server.running import http, rooms

SHAPE = rooms().shape
KINDS = ("uint8", "int16", "bool", "float32", "float16", "int64")
STATUSES = {200, 400, 410, 413}
# Bytes that a server may grow by, whatever comes: what allocators keep.
GROWTH = 300 << 20
# Requests after which it is asked how those are who work beside: less than a minute, in which a viewer is not heard of.
LOOK = 100
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 2**63, -(2**70), 1e308, float("nan"), float("inf"), "", "1", "�", "a" * 500, [],
    [[]], {}, [None], {"a": {}}, [1, 2], [1, 2, 3], [[0, 1]], [[0, 1]] * 3, [["a", "b"]] * 3,
)  # fmt: skip


def number(random: Random, side: int) -> float | int:
    if random.random() < 0.8:
        return random.choice((random.randrange(side), round(random.uniform(0, side - 1), 3)))
    return random.choice((-1, -0.5, side, side + 0.5, 10**9, -(10**9)))


def ends(random: Random) -> list[list[float | int]]:
    return [[number(random, side), number(random, side)] for side in SHAPE]


def inside(random: Random) -> list[list[int]]:
    """Return a box inside the image."""
    corners = [sorted(random.sample(range(side + 1), 2)) for side in SHAPE]
    if random.random() < 0.6:
        axis = random.randrange(3)
        low = random.randrange(SHAPE[axis])
        corners[axis] = [low, low + 1]
    return corners


def array(random: Random, shape: list[int]) -> bytes:
    """Return an array as viewers pack it."""
    kind = np.dtype(random.choice(KINDS))
    voxels = (np.random.default_rng(random.getrandbits(32)).random(shape) < random.choice((0, 0.1, 0.9, 1))).astype(
        kind
    )
    codec = random.choice(((1, blosc2.Codec.ZSTD), (2, blosc2.Codec.LZ4)))
    filters = [random.choice((blosc2.Filter.NOFILTER, blosc2.Filter.SHUFFLE))]
    chunk = b""
    if voxels.size:
        packed = blosc2.compress2(voxels.tobytes(), typesize=kind.itemsize, codec=codec[1], clevel=3, filters=filters)
        chunk = struct.pack("<QQ", voxels.nbytes, len(packed)) + packed
    name = kind.name.encode()
    head = struct.pack("<4s4B", b"NNIA", 1, codec[0], len(shape), len(name)) + name
    return head + struct.pack(f"<{len(shape)}qI", *shape, int(bool(chunk))) + chunk


def spoilt(random: Random, values: dict[str, Any]) -> dict[str, Any]:
    """Return values of which, now and then, one is odd, missing or too many."""
    changed = dict(values)
    while random.random() < 0.25:
        name = random.choice((*changed, "more"))
        if random.random() < 0.3:
            changed.pop(name, None)
        else:
            changed[name] = random.choice(ODD)
    return changed


def flags(random: Random) -> dict[str, Any]:
    return {"include_interaction": random.random() < 0.7, "run_prediction": random.random() < 0.7}


def by_json(
    path: str, made: Callable[[Random], dict[str, Any]]
) -> Callable[[Random], tuple[str, bytes, dict[str, str]]]:
    def request(random: Random) -> tuple[str, bytes, dict[str, str]]:
        body = json.dumps(spoilt(random, made(random))).encode()
        return path, damaged(body, random) if random.random() < 0.15 else body, {}

    return request


def by_array(path: str, axes: int) -> Callable[[Random], tuple[str, bytes, dict[str, str]]]:
    def request(random: Random) -> tuple[str, bytes, dict[str, str]]:
        box = inside(random) if random.random() < 0.7 and path != "/add_initial_seg_interaction" else None
        shape = [high - low for low, high in box] if box is not None else list(SHAPE)
        if axes == 4:
            shape = (
                [1, *SHAPE] if random.random() < 0.7 else [random.randint(0, 4) for _ in range(random.randint(1, 5))]
            )
        body = array(random, shape)
        meta = spoilt(
            random, {**flags(random), "interaction_bbox": box, "image_properties": {"spacing": [3, 0.5, 0.8]}}
        )
        said = json.dumps(meta) if random.random() < 0.95 else random.choice(("", "{", "[]", '{"image_properties": 3}'))
        return path, damaged(body, random) if random.random() < 0.5 else body, {"X-Meta": said}

    return request


REQUESTS = (
    by_json(
        "/add_point_interaction", lambda random: {"coordinates": [number(random, s) for s in SHAPE], **flags(random)}
    ),
    by_json("/add_bbox_interaction", lambda random: {"bbox_coords": ends(random), **flags(random)}),
    by_array("/add_scribble_interaction", 3),
    by_array("/add_lasso_interaction", 3),
    by_array("/add_initial_seg_interaction", 3),
    by_array("/set_image", 4),
    by_json("/set_target_buffer", lambda random: {"shape": list(SHAPE), "dtype": random.choice(KINDS)}),
    by_json("/set_do_autozoom", lambda random: {"do_autozoom": True}),
    by_json("/reset_interactions", lambda random: {}),
    by_json("/undo", lambda random: {}),
    by_json("/predict", lambda random: {"force_full_refine": False}),
    by_json("/heartbeat", lambda random: {}),
)


def connect(client: httpx.Client, random: Random) -> dict[str, str]:
    """Return the header of a new lease, at an image."""
    lease = {"X-Lease-Token": client.post("/claim").json()["lease_token"]}
    client.post("/set_image", content=array(random, [1, *SHAPE]), headers=lease)
    return lease


def fuzz_containers(number: int, seed: int) -> Findings:
    """Return the findings of so many damaged containers, read as the server reads them."""
    random, found = Random(f"containers {seed}"), Findings()
    before = resident_bytes()
    for step in range(number):
        if step % 100 == 0:
            sound = array(random, [random.choice((1, 4, 40)), *SHAPE])
        body = damaged(sound, random)
        try:
            nnia.unpack(body, fits=nnia.within(64 << 20))
            found.outcomes["read"] += 1
        except (UnreadableError, LimitError) as error:
            found.outcomes[type(error).__name__] += 1
        except Exception as error:
            found.faults.append(f"{seed} {step}: {type(error).__name__} {error}")
    found.largest = resident_bytes() - before
    if found.largest > GROWTH:
        found.faults.append(f"{seed}: grew by {found.largest >> 20} MB")
    return found


def fuzz(server: Any, requests: int, seed: int) -> Findings:
    """Return the findings of so many requests; the same seed makes the same ones."""
    random, found = Random(f"viewers {seed}"), Findings()
    with http(server) as client, Beside(server) as beside:
        lease = connect(client, random)
        before = resident_bytes()
        for step in range(requests):
            if step % LOOK == LOOK - 1:
                found.faults += [f"{seed} before {step}: {what}" for what in beside.disturbed()]
            if step % 200 == 199:  # another image, and no log that grows for ever
                client.post("/release", headers=lease)
                lease = connect(client, random)
            path, body, headers = random.choice(REQUESTS)(random)
            try:
                reply = client.post(path, content=body, headers={**lease, **headers})
            except httpx.HTTPError as error:
                found.faults.append(f"{seed} {step} {path}: {type(error).__name__}")
                continue
            found.outcomes[f"{path} {reply.status_code}"] += 1
            if reply.status_code not in STATUSES:
                found.faults.append(f"{seed} {step} {path}: {reply.status_code} {reply.text[:200]}")
        found.largest = resident_bytes() - before
        if found.largest > GROWTH:
            found.faults.append(f"{seed}: the server grew by {found.largest >> 20} MB")
        found.faults += [f"{seed} at the end: {what}" for what in beside.disturbed()]
        if client.post("/undo", headers=lease).status_code != 200:
            found.faults.append(f"{seed}: the lease was lost")
        client.post("/release", headers=lease)
    return found
