"""What the dialect of nnInteractive costs beside our own interface, and how fast a large image arrives by it.

    python bench/viewers.py [--method ID] [--clicks N]

A real server in a process of its own. The same clicks are put down by a viewer and by our own routes, in turn, each in
a session of its own on one image of 256 x 256 x 100; the masks need to be the same in every voxel. A click's time is
the client's own, from sending it to the mask that is laid over its buffer, and beside it the processor time that the
server spent, which says the same on a busy machine. `set_image` is timed from sending 512 x 512 x 512 int16, packed
before, to the reply; the server's peak of memory is counted above what it held before, and above the image itself.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import blosc2
import httpx
import numpy as np
from numpy.typing import NDArray

from segmend.server.protocols import nnia
from segmend.server.sessions.wire import unpack
from segmend.users import LargestError
from server import Served, scene

SHAPE, LARGE = (100, 256, 256), (512, 512, 512)
BUDGETS = {"more, median ms": 30, "set_image, seconds": 3, "set_image, MB above the image": 1000}


def packed(array: NDArray[Any]) -> bytes:
    """Return an array as the client packs it."""
    name = array.dtype.name.encode()
    chunk = blosc2.compress2(
        memoryview(array.reshape(-1).view(np.uint8)),
        typesize=array.dtype.itemsize, codec=blosc2.Codec.ZSTD, clevel=3, filters=[blosc2.Filter.SHUFFLE],
    )  # fmt: skip
    head = struct.pack("<4s4B", b"NNIA", 1, 1, array.ndim, len(name)) + name
    return head + struct.pack(f"<{array.ndim}qIQQ", *array.shape, 1, array.nbytes, len(chunk)) + chunk


class Viewer:
    """A viewer at the server."""

    def __init__(self, served: Served) -> None:
        self.http = httpx.Client(base_url=served.address, timeout=600)
        self.http.headers["X-Lease-Token"] = self.http.post("/claim").json()["lease_token"]

    def show(self, voxels: NDArray[Any]) -> None:
        self.send(packed(voxels[None]))
        self.mask = np.zeros(voxels.shape, np.uint8)

    def send(self, body: bytes) -> None:
        meta = {"X-Meta": json.dumps({"image_properties": {"spacing": [2.5, 0.8, 0.8]}})}
        self.http.post("/set_image", content=body, headers=meta).raise_for_status()

    def click(self, index: list[int], positive: bool) -> None:
        values = {"coordinates": index, "include_interaction": positive}
        reply = self.http.post("/add_point_interaction", json=values).raise_for_status()
        box = json.loads(reply.headers["x-meta"])["bbox"]
        if box is not None:
            part = nnia.unpack(reply.content, fits=lambda shape, size: None)
            self.mask[tuple(slice(low, high) for low, high in box)] = part


class Own:
    """A client of our own routes."""

    def __init__(self, served: Served, case: str, shape: tuple[int, ...]) -> None:
        self.http = httpx.Client(base_url=served.address, timeout=600, headers={"Accept": "application/octet-stream"})
        session = self.http.post(f"/api/cases/{case}/sessions").json()["id"]
        self.path = f"/api/sessions/{session}/prompts"
        self.http.put(f"/api/sessions/{session}/labels/1", json={"name": "object", "colour": [230, 75, 60]})
        self.mask = np.zeros(shape, np.uint16)

    def click(self, index: list[int], positive: bool) -> None:
        prompt = {"kind": "click", "index": index, "positive": positive}
        reply = self.http.post(self.path, json={"prompt": prompt, "label": 1}).raise_for_status()
        unpack(reply.content).onto(self.mask)


def compare(served: Served, clicks: int) -> None:
    """Print what a click costs in both ways."""
    image, truth = scene(SHAPE, 0)
    viewer = Viewer(served)
    viewer.show(image.voxels[0])
    case = viewer.http.get("/api/cases", params={"project": "From viewers"}).json()[-1]["id"]
    own = Own(served, case, SHAPE)
    times: dict[Any, list[float]] = {viewer: [], own: []}
    used: dict[Any, list[float]] = {viewer: [], own: []}
    for number in range(clicks):
        prompt = LargestError(seed=0)(truth, viewer.mask == 1)
        index, positive = (list(prompt.index), prompt.positive) if prompt is not None else ([number, 5, 5], False)
        for client in (viewer, own) if number % 2 else (own, viewer):
            before, begun = served.seconds_of_processor(), time.perf_counter()
            client.click(index, positive)
            times[client].append(1000 * (time.perf_counter() - begun))
            used[client].append(1000 * (served.seconds_of_processor() - before))
        if not np.array_equal(viewer.mask, own.mask):
            sys.exit(f"The masks differ in {(viewer.mask != own.mask).sum()} voxels after {number + 1} clicks.")
    more = [one - other for one, other in zip(times[viewer], times[own], strict=True)]
    say("by the viewer, median ms", median(times[viewer]))
    say("by our own routes, median ms", median(times[own]))
    say("more, median ms", median(more))
    say("by the viewer, processor, mean ms", sum(used[viewer]) / clicks)
    say("by our own routes, processor, mean ms", sum(used[own]) / clicks)


def memory(served: Served, name: str) -> float:
    lines = Path(f"/proc/{served.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def arrive(served: Served) -> None:
    """Print how a large image arrives."""
    generator = np.random.default_rng(0)
    plane = generator.normal(40, 25, (1, 512, 512))
    voxels = np.empty(LARGE, np.int16)
    for number in range(LARGE[0]):
        voxels[number] = plane + generator.integers(-8, 9, (512, 512)) + 30 * np.sin(number / 40)
    body = packed(voxels[None])
    del voxels
    viewer = Viewer(served)
    Path(f"/proc/{served.process.pid}/clear_refs").write_text("5")  # the peak begins anew
    before, used, begun = memory(served, "VmRSS"), served.seconds_of_processor(), time.perf_counter()
    viewer.send(body)
    seconds, used = time.perf_counter() - begun, served.seconds_of_processor() - used
    peak = memory(served, "VmHWM") - before
    say("set_image, MB packed", len(body) / 2**20)
    say("set_image, seconds", seconds)
    say("set_image, seconds of processor", used)
    say("set_image, MB above the image", peak - 256)


def say(name: str, value: float) -> None:
    budget = f"   (at most {BUDGETS[name]})" if name in BUDGETS else ""
    print(f"{name:40} {value:9.1f}{budget}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="mend")
    parser.add_argument("--clicks", type=int, default=20)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="segmend-bench-") as folder,
        Served(Path(folder), options.method) as served,
    ):
        arrive(served)
        if options.clicks:
            compare(served, options.clicks)


if __name__ == "__main__":
    main()
