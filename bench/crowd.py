"""How 50 people are served at once: python bench/crowd.py [--people N] [--cases N] [--clicks N]

A real server in a process of its own, sessions over real WebSockets on pictures of 512 x 512, all of whose people click
at the same moment, once and then a few times more. Prints how long the first clicks took, the share of that which would
be fair (all processor time that they cost, over the cores), what the server weighs after, and when all have gone.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import httpx
from websockets.sync.client import connect

from segmend.store import Store
from server import FLAT, Served, Sitting, scene

SECONDS = 300  # an answer that takes longer will never come


def sit(served: Served, case: str, stack: ExitStack) -> Sitting:
    """Open a new session of a case and its live connection."""
    state = served.post(f"api/cases/{case}/sessions")
    url = f"{served.address.replace('http', 'ws')}api/sessions/{state['id']}/live"
    socket = stack.enter_context(connect(url, max_size=None, compression=None, open_timeout=60, ping_interval=None))
    return Sitting(socket, state, "mend", seconds=SECONDS)


def click(sitting: Sitting, number: int) -> float:
    """Put down a click; return the seconds until it is answered."""
    begun = time.perf_counter()
    place = [0, FLAT[1] // 2 + 9 * (number % 7) - 27, FLAT[2] // 2 + 11 * (number % 5) - 22]
    prompt = {"kind": "click", "index": place, "positive": number % 4 != 3}
    sitting.ask({"event": "prompted", "prompt": prompt, "label": 1, "method": "mend"})
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--cases", type=int, default=50, help="different pictures")
    parser.add_argument("--clicks", type=int, default=3, help="clicks a person")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="segmend-bench-") as folder:
        with Store.local(folder) as store:
            cases = [store.add_case(f"case {seed}", scene(FLAT, seed)[0]).id for seed in range(options.cases)]
        with Served(Path(folder), "mend") as served, ExitStack() as stack:
            while not httpx.get(f"{served.address}api/health").json()["ready"]:
                time.sleep(0.2)
            with ExitStack() as first:
                click(sit(served, cases[0], first), 0)
            rest = served.megabytes()
            together = threading.Barrier(options.people)
            sittings = [sit(served, cases[i % len(cases)], stack) for i in range(options.people)]

            def work(person: int) -> list[float]:
                together.wait(SECONDS)
                return [click(sittings[person], person + number) for number in range(options.clicks)]

            used = served.seconds_of_processor()
            with ThreadPoolExecutor(options.people) as people:
                times = list(people.map(work, range(options.people)))
            used = served.seconds_of_processor() - used
            firsts = [each[0] for each in times]
            fair = used / options.clicks / len(os.sched_getaffinity(0))
            print(f"at rest, MB                          {rest[0]:8.0f}   ({rest[1]:.0f} mapped from files)")
            print(f"first click of all, median seconds   {median(firsts):8.2f}   (at most {2 * fair:.2f}, 2 x fair)")
            print(f"first click of all, last seconds     {max(firsts):8.2f}")
            print(f"processor a click, seconds           {used / options.people / options.clicks:8.3f}")
            total, mapped = served.megabytes()
            kept = httpx.get(f"{served.address}api/health").json()["memory"]["kept_bytes"] / 1e6
            print(f"with {options.people} sessions, MB                 {total:8.0f}   (at most 800)")
            print(f"of which kept for later, MB          {kept:8.0f}")
            stack.close()
            time.sleep(6)
            with ExitStack() as last:
                click(sit(served, cases[0], last), 0)
            print(
                f"when all have gone, MB               {served.megabytes()[0]:8.0f}   ({mapped:.0f} mapped from files)"
            )


if __name__ == "__main__":
    main()
