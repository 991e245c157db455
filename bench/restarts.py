"""Does a server answer two first clicks at the same moment, after every start: python bench/restarts.py [--starts N]

Real servers, each a process of its own pinned to one core, and two sessions over WebSockets that click at the same
moment as soon as the server listens. Prints how many froze (an answer that did not come within a minute, no health, or
no end on SIGTERM), and ends with 1 if one did.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from segmend.store import Store
from server import TINY, Served, Sitting, scene

SECONDS = 60  # an answer that takes longer will never come


class Pinned(Served):
    """A server on one core."""

    def __init__(self, data: Path) -> None:
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(allowed)})  # a child inherits it
        try:
            super().__init__(data, "mend")
        finally:
            os.sched_setaffinity(0, allowed)

    def answers(self, cases: list[str]) -> bool:
        """Click in new sessions of all cases at the same moment; tell whether all is well, to the server's end."""
        together = threading.Barrier(len(cases))

        def click(case: str) -> None:
            state = self.post(f"api/cases/{case}/sessions")
            url = f"{self.address.replace('http', 'ws')}api/sessions/{state['id']}/live"
            with connect(url, max_size=None, compression=None, ping_interval=None, close_timeout=1) as socket:
                sitting = Sitting(socket, state, "mend", seconds=SECONDS)
                together.wait(SECONDS)
                prompt = {"kind": "click", "index": [0, TINY[1] // 2, TINY[2] // 2], "positive": True}
                sitting.ask({"event": "prompted", "prompt": prompt, "label": 1, "method": "mend"})

        try:
            with ThreadPoolExecutor() as people:
                list(people.map(click, cases))
            httpx.get(f"{self.address}api/health", timeout=SECONDS).raise_for_status()
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(SECONDS)
        except (
            TimeoutError,
            threading.BrokenBarrierError,
            httpx.HTTPError,
            WebSocketException,
            subprocess.TimeoutExpired,
        ):
            return False
        return True

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(20)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=20)
    options = parser.parse_args()
    froze, begun = 0, time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="segmend-bench-") as folder:
        with Store.local(Path(folder)) as store:
            cases = [store.add_case(f"case {seed}", scene(TINY, seed)[0]).id for seed in range(2)]
        for _ in range(options.starts):
            with Pinned(Path(folder)) as server:
                froze += not server.answers(cases)
    seconds = (time.perf_counter() - begun) / options.starts
    print(f"froze {froze} of {options.starts} (at most 0), {seconds:.1f} s a start")
    return 1 if froze else 0


if __name__ == "__main__":
    sys.exit(main())
