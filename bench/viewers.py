"""What viewers' dialects cost beside our own interface, and how fast a large image arrives by nnInteractive's.

    python bench/viewers.py [--method ID] [--clicks N]

A real server in a process of its own. The same clicks are put down in each dialect and by our own routes, in turn, each
in a session of its own on an image of 256 x 256 x 100; the masks need to be the same in every voxel. By default they
are answered by a method that takes no time, so that what is measured is the dialect: `--method mend` has a network
answer. A click's time is the client's own, from sending it to the mask that is unpacked, and beside it the processor
time that the server spent, which says the same on a busy machine. Both are told as what a dialect's click takes more
than the same click by our own routes. `set_image` is timed from sending 512 x 512 x 512 int16, packed before, to the
reply; the server's peak of memory is counted above what it held before, and above the image itself.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import io
import json
import os
import re
import struct
import sys
import tempfile
import time
import zlib
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
BUDGETS = {"set_image, seconds": 3, "set_image, MB above the image": 1000}
MORE_MS = 30  # that a click in a dialect may take more than by our own routes
QUICK = "quick"
# A method that answers at once: balls round clicks.
METHOD = """
import numpy as np
from segmend.core.image import Box
from segmend.core.segmenter import Method, Prediction, Segmenter, Workspace

METHOD = Method("quick", "Quick", "none", ("click",), (2, 3), "none needed")


class Quick(Workspace):
    def __init__(self, image):
        self.shape = image.shape

    def predict(self, prompts, previous):
        z, y, x = prompts[-1].index
        box = Box.of([z - 8, y - 24, x - 24], [z + 9, y + 25, x + 25]).clipped(self.shape)
        mask = previous[box.slices].astype(np.float32)
        at = np.ogrid[tuple(slice(low, high) for low, high in zip(box.low, box.high))]
        mask[((at[0] - z) / 8) ** 2 + ((at[1] - y) / 24) ** 2 + ((at[2] - x) / 24) ** 2 <= 1] = prompts[-1].positive
        return Prediction(mask, box)


class Loaded(Segmenter):
    def open(self, image):
        return Quick(image)


def load():
    return Loaded()
"""


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
    """A viewer that speaks nnInteractive's dialect."""

    name = "nnInteractive"

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


class LegacySlicer:
    """3D Slicer's extension before it spoke nnInteractive's dialect."""

    name = "SlicerNNInteractive 0.x"

    def __init__(self, served: Served) -> None:
        self.http = httpx.Client(base_url=served.address, timeout=600)

    def show(self, voxels: NDArray[Any]) -> None:
        self.mask = np.zeros(voxels.shape, bool)
        for path, array in (("/upload_image", voxels), ("/upload_segment", self.mask)):
            file = io.BytesIO()
            np.save(file, array)
            content = file.getvalue() if path == "/upload_image" else gzip.compress(file.getvalue(), 1)
            self.http.post(path, files={"file": ("volume.npy", content)}).raise_for_status()

    def click(self, index: list[int], positive: bool) -> None:
        values = {"voxel_coord": index, "positive_click": positive}
        bits = np.frombuffer(self.http.post("/add_point_interaction", json=values).raise_for_status().content, np.uint8)
        self.mask = np.unpackbits(bits)[: self.mask.size].reshape(self.mask.shape).astype(bool)


class ItkSnap:
    """ITK-SNAP."""

    name = "ITK-SNAP"

    def __init__(self, served: Served) -> None:
        self.http = httpx.Client(base_url=served.address, timeout=600)
        self.session = self.http.get("/v2/start_session/segmend").json()["session_id"]

    def show(self, voxels: NDArray[Any]) -> None:
        said = {
            "dimensions": list(voxels.shape[::-1]), "spacing": [0.8, 0.8, 2.5], "origin": [0, 0, 0],
            "direction": np.eye(3).ravel().tolist(), "components_per_pixel": 1, "component_type": "float",
        }  # fmt: skip
        content = gzip.compress(voxels.astype("<f4").tobytes(), 1)
        files = {"file": ("image.gz", content), "metadata": (None, json.dumps(said), "application/json")}
        self.http.post(f"/upload_raw/{self.session}", files=files).raise_for_status()
        self.mask = np.zeros(voxels.shape, bool)

    def click(self, index: list[int], positive: bool) -> None:
        query = [*(("point", number) for number in index[::-1]), ("foreground", str(positive).lower())]
        reply = self.http.get(f"/v2/process_point_interaction/{self.session}", params=query).raise_for_status()
        content = gzip.decompress(base64.b64decode(reply.json()["result"]))
        self.mask = np.frombuffer(content, np.int8).reshape(self.mask.shape) == 1


class MonaiLabel:
    """MONAI Label's client, which asks about an image that the server has and sends all clicks each time."""

    name = "MONAI Label"

    def __init__(self, served: Served, case: str) -> None:
        self.http = httpx.Client(base_url=served.address, timeout=600)
        self.case = case
        self.http.post(f"/api/cases/{case}/sessions").raise_for_status()  # it goes on in the newest
        self.clicks: dict[bool, list[list[int]]] = {True: [], False: []}
        self.mask = np.zeros(SHAPE, bool)

    def click(self, index: list[int], positive: bool) -> None:
        self.clicks[positive].append(index[::-1])
        said = {"label": "spleen", "foreground": self.clicks[True], "background": self.clicks[False]}
        params = json.dumps({**said, "result_extension": ".nrrd", "result_dtype": "uint8"})
        reply = self.http.post(
            "/infer/segmend", params={"image": self.case}, files={"params": (None, params, "application/json")}
        ).raise_for_status()
        file = reply.content[reply.content.index(b"NRRD") :]
        values = zlib.decompressobj(31).decompress(file[re.search(rb"\r?\n\r?\n", file).end() :])
        self.mask = np.frombuffer(values, np.uint8).reshape(SHAPE) == 1


class Own:
    """A client of our own routes."""

    name = "our own routes"

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
    """Print what a click costs in each dialect."""
    image, truth = scene(SHAPE, 0)
    viewer, legacy, snap = Viewer(served), LegacySlicer(served), ItkSnap(served)
    for one in (viewer, legacy, snap):
        one.show(image.voxels[0])
    case = viewer.http.get("/api/cases", params={"project": "From viewers"}).json()[-1]["id"]
    own = Own(served, case, SHAPE)
    clients = [own, viewer, legacy, snap, MonaiLabel(served, case)]
    times: dict[Any, list[float]] = {client: [] for client in clients}
    used: dict[Any, list[float]] = {client: [] for client in clients}
    for number in range(clicks):
        prompt = LargestError(seed=0)(truth, own.mask == 1)
        index, positive = (list(prompt.index), prompt.positive) if prompt is not None else ([number, 5, 5], False)
        for client in clients[number % len(clients) :] + clients[: number % len(clients)]:
            before, begun = served.seconds_of_processor(), time.perf_counter()
            client.click(index, positive)
            times[client].append(1000 * (time.perf_counter() - begun))
            used[client].append(1000 * (served.seconds_of_processor() - before))
        for client in clients[1:]:
            if not np.array_equal(client.mask, own.mask):
                wrong = (client.mask != own.mask).sum()
                sys.exit(f"{client.name} has {wrong} wrong voxels after {number + 1} clicks.")
    for client in clients:
        say(f"{client.name}, median ms", median(times[client]))
        say(f"{client.name}, processor of the server, mean ms", sum(used[client]) / clicks)
    for client in clients[1:]:
        waited, worked = (
            [one - other for one, other in zip(taken[client], taken[own], strict=True)] for taken in (times, used)
        )
        for what, more in (("median ms", median(waited)), ("processor, mean ms", sum(worked) / clicks)):
            print(f"{f'{client.name} more, {what}':50} {more:9.1f}   (at most {MORE_MS})", flush=True)


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
    print(f"{name:50} {value:9.1f}{budget}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default=QUICK)
    parser.add_argument("--clicks", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="segmend-bench-") as name:
        folder = Path(name)
        install(folder / "plugin")
        with Served(folder / "data", options.method) as served:
            measure(served, options.clicks)


def measure(served: Served, clicks: int) -> None:
    served.settle()
    arrive(served)
    if clicks:
        compare(served, clicks)


def install(folder: Path) -> None:
    """Make the quick method one of another package, which the server finds."""
    info = folder / "quick-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: quick\nVersion: 0\n")
    (info / "entry_points.txt").write_text("[segmend.methods]\nquick = quick\n")
    (folder / "quick.py").write_text(METHOD)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])


if __name__ == "__main__":
    main()
