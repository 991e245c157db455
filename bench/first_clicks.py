"""Is the first click as quick as the tenth: python bench/first_clicks.py [--empty-cache] [--idle SECONDS] [--json]

A real server and a real WebSocket. When the server says that it is ready, nothing happens for 20 seconds; then 20
interactions in a picture and 20 in a volume: clicks on the object and beside it, strokes, a box, undo, an adjustment,
and clicks that change the mask much. The same 20 follow in other cases of the same image (sessions of one case share
what the networks made of it), and each of the first is held to 1.5 times the
median of the later ones in its place. Processor time of the whole server is held to it, for on a busy machine time on
the clock says nothing; that is shown beside it. What differs by less than 10 ms nobody notices; it counts as equal.

With --empty-cache nothing is compiled when the server starts, as on a machine's very first start. Ends with 1 when one
interaction is beyond.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
from websockets.sync.client import connect

from segmend.core.image import Image, scale_affine
from segmend.store import Store
from server import Served, Sitting

LIMIT = 1.5  # times the median of the later ones
EQUAL = 10.0  # ms
ROUNDS = 4  # the first, and those it is compared with
OPENING = 3.0  # seconds that the server has to open the image when a session was opened, as a person would look at it
FLAT, SOLID = (1, 400, 480), (24, 128, 144)


@dataclass(frozen=True)
class Spent:
    """What an interaction took, in ms."""

    wall: float
    processor: float


def scene(shape: tuple[int, int, int]) -> Image:
    """Return a noisy image of a bright bumpy object, and of a larger and darker one beside it."""
    z, y, x = (np.linspace(-1, 1, n, dtype=np.float32) if n > 1 else np.zeros(1, np.float32) for n in shape)
    values = np.random.default_rng(0).normal(0, 12, shape).astype(np.float32)
    for grey, radius, (row, column) in ((100, 0.28, (-0.3, -0.45)), (70, 0.4, (0.25, 0.35))):
        angle = np.arctan2(y[:, None] - row, x[None] - column)
        far = np.hypot(y[:, None] - row, x[None] - column) / (1 + 0.15 * np.sin(3 * angle))
        values += grey * (far[None] < radius * np.sqrt(1 - 0.8 * z**2)[:, None, None])
    return Image(values.astype(np.int16)[None], scale_affine((1.5, 1.0, 1.0)))


def interactions(shape: tuple[int, int, int]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield 20 interactions with the scene of this shape, and what each is called."""

    def at(row: float, column: float) -> list[int]:
        return [shape[0] // 2, round((row + 1) / 2 * (shape[1] - 1)), round((column + 1) / 2 * (shape[2] - 1))]

    def prompted(prompt: dict[str, Any], label: int = 1) -> dict[str, Any]:
        return {"event": "prompted", "prompt": prompt, "label": label, "method": "mend"}

    def click(row: float, column: float, positive: bool = True, label: int = 1) -> dict[str, Any]:
        return prompted({"kind": "click", "index": at(row, column), "positive": positive}, label)

    def stroke(start: tuple[float, float], end: tuple[float, float], positive: bool, label: int = 1) -> dict[str, Any]:
        return prompted({"kind": "stroke", "points": [at(*start), at(*end)], "positive": positive}, label)

    low, high = at(-0.2, -0.1), at(0.7, 0.8)
    box = {"kind": "box", "low": [0, *low[1:]], "high": [shape[0], *high[1:]]}
    yield "click", click(-0.3, -0.45)
    yield "click beside", click(-0.3, 0.0, False)
    yield "click", click(-0.45, -0.5)
    yield "stroke", stroke((-0.2, -0.5), (-0.3, -0.35), True)
    yield "undo", {"event": "undone"}
    yield "stroke beside", stroke((-0.8, -0.6), (-0.7, -0.1), False)
    yield "click, much changes", click(0.25, 0.35)
    yield "click beside, much changes", click(0.35, 0.3, False)
    yield "undo", {"event": "undone"}
    yield "undo", {"event": "undone"}
    yield "adjust", prompted({"kind": "adjust", "k": 0.1})
    yield "box", prompted(box, 2)
    yield "click beside", click(-0.3, -0.45, False, 2)
    yield "click", click(0.3, 0.5, True, 2)
    yield "stroke", stroke((0.1, 0.2), (0.4, 0.4), True, 2)
    yield "stroke beside", stroke((0.8, -0.5), (0.8, 0.0), False, 2)
    yield "undo", {"event": "undone"}
    yield "click", click(0.1, 0.4, True, 2)
    yield "click beside", click(-0.8, 0.8, False, 2)
    yield "click", click(0.5, 0.3, True, 2)


class Measured(Served):
    """A server whose processor time is known to the microsecond, as long as its threads live."""

    def processor_ms(self) -> float:
        total = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            try:
                total += int((task / "schedstat").read_text().split()[0])
            except OSError:  # it ended
                continue
        return total / 1e6

    def until_ready(self) -> float:
        begun = time.perf_counter()
        while not httpx.get(f"{self.address}api/health", timeout=60).json().get("ready", True):
            time.sleep(0.1)
        return time.perf_counter() - begun

    def play(self, case: str, shape: tuple[int, int, int], idle: float) -> list[Spent]:
        """Play all interactions in a new session; what each took."""
        spent = []
        state = self.post(f"api/cases/{case}/sessions")
        url = f"{self.address.replace('http', 'ws')}api/sessions/{state['id']}/live"
        with connect(url, max_size=None, compression=None) as socket:
            sitting = Sitting(socket, state, "mend")
            colour = {"value": 2, "name": "other", "colour": [60, 160, 230], "locked": False}
            sitting.ask({"event": "defined", "label": colour})
            time.sleep(idle)
            for _, event in interactions(shape):
                used = self.processor_ms()
                _, wall = sitting.ask(event)
                time.sleep(0.03)  # what is done after the answer was sent belongs to it
                spent.append(Spent(wall, self.processor_ms() - used))
                time.sleep(0.1)
        return spent


def measured(idle: float) -> tuple[float, dict[str, list[list[Spent]]]]:
    """Return the seconds until a server was ready, and what each interaction took in each round, by dimensions."""
    shapes = {"2D": FLAT, "3D": SOLID}
    with tempfile.TemporaryDirectory(prefix="segmend-bench-") as folder:
        with Store.local(Path(folder)) as store:
            cases = {
                name: [store.add_case(name, scene(shape)).id for _ in range(ROUNDS)] for name, shape in shapes.items()
            }
        with Measured(Path(folder), "mend") as server:
            ready = server.until_ready()
            time.sleep(idle)
            rounds = {
                name: [server.play(case, shapes[name], OPENING) for case in copies] for name, copies in cases.items()
            }
    return ready, rounds


def beyond(first: float, later: float) -> bool:
    """Tell whether a first interaction took too long beside the later ones.

    >>> beyond(90, 50), beyond(70, 50), beyond(9, 1)
    (True, False, False)
    """
    return first > LIMIT * later and first - later > EQUAL


def row(name: str, number: int, kind: str, spent: list[Spent]) -> dict[str, Any]:
    """Return the figures of one interaction, from what it took in each round."""
    first, *later = spent
    processor = median(one.processor for one in later)
    return {
        "dimensions": name,
        "number": number + 1,
        "kind": kind,
        "first_ms": first.processor,
        "later_ms": processor,
        "first_wall_ms": first.wall,
        "later_wall_ms": median(one.wall for one in later),
        "late": beyond(first.processor, processor),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--empty-cache", action="store_true", help="nothing is compiled when the server starts")
    parser.add_argument("--idle", type=float, default=20.0, help="seconds between ready and the first interaction")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="segmend-compiled-") as compiled:
        if options.empty_cache:
            os.environ["NUMBA_CACHE_DIR"] = compiled  # of this process' server
        ready, rounds = measured(options.idle)
    rows = [
        row(name, number, kind, [one[number] for one in rounds[name]])
        for name, shape in (("2D", FLAT), ("3D", SOLID))
        for number, (kind, _) in enumerate(interactions(shape))
    ]
    late = sum(one["late"] for one in rows)
    if options.json:
        print(json.dumps({"ready_seconds": ready, "late": late, "interactions": rows}))
        return 1 if late else 0
    print(f"ready after {ready:.1f} s; ms of processor (and on the clock): first, median of {ROUNDS - 1} later rounds")
    for one in rows:
        ratio = one["first_ms"] / max(one["later_ms"], 1e-3)
        print(
            f"{one['dimensions']} {one['number']:2} {one['kind']:27} {one['first_ms']:7.0f} {one['later_ms']:7.0f}"
            f"   {ratio:5.2f}   ({one['first_wall_ms']:.0f}, {one['later_wall_ms']:.0f}){'   BEYOND' * one['late']}"
        )
    print(f"beyond {LIMIT} times the later ones: {late} of {len(rows)} (at most 0)")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
