"""What a click costs at the server, what the server weighs, and how fast a large volume arrives.

    python bench/server.py [--method ID] [--clicks N] [--json]

A real server in a process of its own, a real WebSocket client on localhost, events and answers stored
durably. Each object is clicked by the challenge's robot (centre of the largest error); a click's time
is the client's own, from sending it to the first changed box and to `answered`, and beside it the
processor time that the server spent, which says the same on a busy machine. What a start still does in
the background is waited for: bench/first_clicks.py measures that. Memory is the server's
resident set after a first click; pages that it only maps from files are shown apart, for they
cost nothing when memory is short.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from websockets.sync.client import ClientConnection, connect

from segmend.core.image import Image, scale_affine
from segmend.core.prompts import to_json
from segmend.server.sessions.wire import UNCERTAINTY, unpack
from segmend.store import Store
from segmend.users import LargestError

Mask = NDArray[np.bool_]
TINY, FLAT, SOLID, LARGE = (1, 64, 64), (1, 512, 512), (64, 256, 256), (300, 512, 512)
OBJECTS = 2
START = """
import sys
from pathlib import Path
from segmend.server.app import serve
from segmend.server.settings import ServerSettings
settings = ServerSettings(Path(sys.argv[1]), port=0, method=sys.argv[2], MORE)
serve(settings, on_ready=lambda address: print(address, flush=True))
"""


def scene(shape: tuple[int, int, int], seed: int) -> tuple[Image, Mask]:
    """Return a noisy CT-like image with one bumpy object, and the object."""
    generator = np.random.default_rng(seed)
    z, y, x = (np.linspace(-1, 1, n, dtype=np.float32) if n > 1 else np.zeros(1, np.float32) for n in shape)
    centre = generator.uniform(-0.2, 0.2, 3)
    angle = np.arctan2(y[:, None] - centre[1], x[None] - centre[2])
    radius = 0.35 + 0.05 * np.sin(3 * angle) + 0.03 * np.cos(5 * angle + seed)
    flat = (y[:, None] - centre[1]) ** 2 + (x[None] - centre[2]) ** 2
    truth = flat[None] < (radius**2)[None] * (1 - np.clip(2 * (z - centre[0]), -1, 1) ** 2)[:, None, None]
    voxels = np.empty(shape, np.int16)
    for plane, mask in zip(voxels, truth, strict=True):  # slice by slice: the large one would not fit otherwise
        plane[...] = generator.normal(40 + 60 * mask, 25)
    return Image(voxels[None], scale_affine((2.5, 0.8, 0.8))), truth


class Served:
    """A server in a process of its own, on cases that are already in its store."""

    def __init__(self, data: Path, method: str, *, more: str = "") -> None:
        begun = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-c", START.replace("MORE", more), str(data), method], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip().partition("?")[0]  # this account needs no token
        if not self.address:
            sys.exit("The server did not start.")
        self.seconds = time.perf_counter() - begun

    def settle(self) -> None:
        """Wait until a second passes without work: a server warms its methods in the background at its start."""
        used = -1.0
        while self.seconds_of_processor() - used > 0.02:
            used = self.seconds_of_processor()
            time.sleep(1)

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(20)

    def post(self, path: str) -> Any:
        reply = httpx.post(f"{self.address}{path}", timeout=60)
        return reply.raise_for_status().json()

    def megabytes(self) -> tuple[float, float]:
        """Return the resident memory now, and the part of it that is only mapped from files."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
        return int(status["VmRSS"][0]) / 1024, int(status["RssFile"][0]) / 1024

    def megabytes_of_all(self) -> list[float]:
        """Return what this process and each that it started hold now, without what they only map from files."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").parent.parent.glob("*/children")
        numbers = [str(self.process.pid), *(number for path in children for number in path.read_text().split())]
        return [round(_held(number), 1) for number in numbers]

    def seconds_of_processor(self) -> float:
        """Return the processor time used so far, by all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _held(process: str) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    return (int(status["RssAnon"][0]) + int(status["RssShmem"][0])) / 1024


class Sitting:
    """A new session of a case, and the map as its client sees it."""

    def __init__(self, socket: ClientConnection, state: dict[str, Any], method: str, seconds: float = 300) -> None:
        self.socket, self.method, self.seconds = socket, method, seconds
        self.map = np.zeros(state["shape"], np.uint16)
        self.receive()  # the state
        self.ask(
            {"event": "defined", "label": {"value": 1, "name": "object", "colour": [230, 75, 60], "locked": False}}
        )

    def receive(self) -> dict[str, Any] | None:
        message = self.socket.recv(timeout=self.seconds)
        if isinstance(message, str):
            values: dict[str, Any] = json.loads(message)
            return values
        if message.startswith(UNCERTAINTY):
            return None  # it is looked at by nobody here
        frame = unpack(message)
        frame.onto(self.map)
        return None if frame.box.size == 0 else {"type": "frame"}

    def ask(self, event: dict[str, Any]) -> tuple[float, float]:
        """Send an event; return the milliseconds to its first changed box and to its answer."""
        begun, first = time.perf_counter(), 0.0
        self.socket.send(json.dumps({"id": 1, "event": event}))
        while True:
            message = self.receive()
            if message is None:
                continue
            if message["type"] == "error":
                sys.exit(message["message"])
            if message["type"] == "frame":
                first = first or (time.perf_counter() - begun) * 1000
            if message["type"] == "answered":
                whole = (time.perf_counter() - begun) * 1000
                return first or whole, whole

    def clicks(self, truth: Mask, number: int) -> list[tuple[float, float]]:
        times = []
        for _ in range(number):
            prompt = LargestError(seed=0)(truth, self.map == 1)
            if prompt is None:
                break
            times.append(self.ask({"event": "prompted", "prompt": to_json(prompt), "label": 1, "method": self.method}))
        return times


def clicked(served: Served, case: str, truth: Mask, number: int, method: str) -> list[tuple[float, float]]:
    state = served.post(f"api/cases/{case}/sessions")
    url = f"{served.address.replace('http', 'ws')}api/sessions/{state['id']}/live"
    with connect(url, max_size=None, compression=None) as socket:
        return Sitting(socket, state, method).clicks(truth, number)


def downloaded(served: Served, case: str) -> tuple[float, float]:
    """Return the seconds to the first byte of the volume and to its last."""
    begun = time.perf_counter()
    with httpx.stream("GET", f"{served.address}api/cases/{case}/volume.nii", timeout=60) as reply:
        pieces = reply.iter_raw()
        next(pieces)
        first = time.perf_counter() - begun
        for _ in pieces:
            pass
    return first, time.perf_counter() - begun


def measured(data: Path, method: str, clicks: int) -> Iterator[tuple[str, float]]:
    """Yield each figure as it is known."""
    (tiny, whole), (large, truth) = scene(TINY, 0), scene(LARGE, 0)
    scenes = {
        "2d": [scene(FLAT, seed) for seed in range(OBJECTS)],
        "3d": [scene(SOLID, seed) for seed in range(OBJECTS)],
    }
    with Store.local(data) as store:
        cases = {name: [store.add_case(name, image).id for image, _ in pairs] for name, pairs in scenes.items()}
        small, big = store.add_case("tiny", tiny).id, store.add_case("large", large).id
    del large
    with Served(data, method) as served:
        yield "start, seconds", served.seconds
        clicked(served, small, whole, 1, method)
        served.settle()
        total, mapped = served.megabytes()
        yield "at rest, MB", total
        yield "at rest, MB mapped from files", mapped
        for name, pairs in scenes.items():
            times: list[tuple[float, float]] = []
            used = served.seconds_of_processor()
            for case, (_, wanted) in zip(cases[name], pairs, strict=True):
                times += clicked(served, case, wanted, clicks, method)
            yield f"{name} first part, median ms", median(first for first, _ in times)
            yield f"{name} whole, median ms", median(last for _, last in times)
            yield f"{name} processor, mean ms", 1000 * (served.seconds_of_processor() - used) / len(times)
    with Served(data, method) as served:
        served.settle()
        first, last = downloaded(served, big)
        yield "volume first byte, seconds", first
        yield "volume whole, seconds", last
        times = clicked(served, big, truth, 2, method)
        yield "large first part, median ms", median(first for first, _ in times)
        yield "large whole, median ms", median(last for _, last in times)
        total, mapped = served.megabytes()
        yield "large session, MB", total
        yield "large session, MB mapped from files", mapped


BUDGETS = {
    "at rest, MB": 400,
    "2d whole, median ms": 40,
    "3d first part, median ms": 400,
    "volume whole, seconds": 3,
    "large session, MB": 1000,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="mend")
    parser.add_argument("--clicks", type=int, default=4, help="clicks an object")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not options.json:
        print(f"method {options.method}; 2d is 512 x 512, 3d 256 x 256 x 64, large and volume 512 x 512 x 300 int16")
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="segmend-bench-") as folder:
        for name, value in measured(Path(folder), options.method, options.clicks):
            figures[name] = value
            if not options.json:
                budget = f"   (at most {BUDGETS[name]})" if name in BUDGETS else ""
                print(f"{name:40} {value:9.1f}{budget}", flush=True)
    if options.json:
        print(json.dumps({"method": options.method, **figures}))


if __name__ == "__main__":
    main()
