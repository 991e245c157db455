"""How 50 people are served at once: python bench/crowd.py [--people N] [--cases N] [--clicks N] [--large N] [--rush N]

A real server in a process of its own, sessions over real WebSockets on pictures of 512 x 512. First some people come
one after the other: what the server's processor spends on opening a session and on its first click, times 50, over the
cores, is the share of time that would be fair for 50. Then 50 people come, click at the same moment, and go on
clicking. A server that wastes nothing answers all of them within that share, half of them within half of it. Prints
how long 95 of 100 first clicks took beside it, how much longer than others the slowest waited, what the server weighs
after, and when all have gone. An error, or an answer that does not come, ends it with that.

With --large N it is another question: how much longer do N people wait who click on pictures while somebody clicks on a
volume of 512 x 512 x 300 voxels? They click alone, beside the volume, and alone again. Prints the time that 95 of 100
clicks take, and how much longer it is beside the volume.

With --rush N (200) another one: N people send clicks without waiting for answers, more than a session may have waiting.
Prints how many are refused, that all others are answered, and how long somebody who comes when it is over waits for an
opened session and its first click. A refusal that is no sentence, or an answer that does not come, ends it with that.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
from websockets.sync.client import connect

from segmend.store import Store
from server import FLAT, LARGE, Served, Sitting, scene

SECONDS = 300  # an answer that takes longer will never come
ALONE = 4  # people who come one after the other
SENT, WAITING = 4, 2  # clicks that somebody in a rush sends at once, and how many of a session's may wait then


def sit(served: Served, case: str, stack: ExitStack) -> Sitting:
    """Open a new session of a case and its live connection."""
    state = served.post(f"api/cases/{case}/sessions")
    url = f"{served.address.replace('http', 'ws')}api/sessions/{state['id']}/live"
    socket = stack.enter_context(connect(url, max_size=None, compression=None, open_timeout=60, ping_interval=None))
    return Sitting(socket, state, "mend", seconds=SECONDS)


def prompt_of(number: int) -> dict[str, Any]:
    """Return a click of a row of them."""
    place = [0, FLAT[1] // 2 + 9 * (number % 7) - 27, FLAT[2] // 2 + 11 * (number % 5) - 22]
    return {"kind": "click", "index": place, "positive": number % 4 != 3}


def click(sitting: Sitting, number: int) -> float:
    """Put down a click; return the seconds until it is answered."""
    begun = time.perf_counter()
    sitting.ask({"event": "prompted", "prompt": prompt_of(number), "label": 1, "method": "mend"})
    return time.perf_counter() - begun


def alone(served: Served, cases: Sequence[str]) -> float:
    """Return the processor seconds that opening a session and its first click cost, one person at a time."""
    used = served.seconds_of_processor()
    for case in cases:
        with ExitStack() as stack:
            click(sit(served, case, stack), 0)
    return (served.seconds_of_processor() - used) / len(cases)


def beside_a_large_one(people: int, clicks: int, more: str) -> None:
    """Print how long people wait for clicks on pictures, alone and while somebody clicks on a large volume."""
    with tempfile.TemporaryDirectory(prefix="segmend-bench-") as folder:
        with Store.local(folder) as store:
            cases = [store.add_case(f"case {n}", scene(FLAT, n)[0]).id for n in range(people)]
            large = store.add_case("large", scene(LARGE, 0)[0]).id
        with Served(Path(folder), "mend", more=more) as served, ExitStack() as stack:
            while not httpx.get(f"{served.address}api/health").json()["ready"]:
                time.sleep(0.2)
            sittings = [sit(served, case, stack) for case in cases]
            for sitting in sittings:
                click(sitting, 0)
            over = threading.Event()
            seconds: list[float] = []

            def click_on_the_large_one(sitting: Sitting) -> None:
                for number in range(10_000):
                    if over.is_set():
                        return
                    z, y, x = (side // 2 + 7 * (number % 5) - 14 for side in LARGE)
                    prompt = {"kind": "click", "index": [z, y, x], "positive": number % 4 != 3}
                    begun = time.perf_counter()
                    sitting.ask({"event": "prompted", "prompt": prompt, "label": 1, "method": "mend"})
                    seconds.append(time.perf_counter() - begun)

            def percentile() -> float:
                with ThreadPoolExecutor(people) as pool:
                    times = pool.map(lambda one: [click(one, n) for n in range(1, clicks + 1)], sittings)
                    return float(np.percentile([taken for own in times for taken in own], 95))

            before = percentile()
            busy = threading.Thread(target=click_on_the_large_one, args=[sit(served, large, stack)])
            busy.start()
            while not seconds:  # its first click opens the volume
                time.sleep(0.1)
            beside = percentile()
            over.set()
            busy.join()
            after = percentile()
            alone = (before + after) / 2
            print(f"95 of 100 clicks of {people}, alone, seconds       {before:8.3f}, again {after:.3f}")
            print(f"beside a volume of 512 x 512 x 300, seconds {beside:8.3f}   ({len(seconds)} clicks on it)")
            print(f"of alone                                    {beside / alone:8.2f}   (at most 2)")


def rush(people: int, number_of_cases: int) -> None:
    """Print what becomes of clicks that nobody waits for, and how soon a newcomer is served after."""
    with tempfile.TemporaryDirectory(prefix="segmend-bench-") as folder:
        with Store.local(folder) as store:
            cases = [store.add_case(f"case {n}", scene(FLAT, n)[0]).id for n in range(number_of_cases + 3)]
        with Served(Path(folder), "mend", more=f"max_waiting={WAITING}") as served, ExitStack() as stack:
            while not httpx.get(f"{served.address}api/health").json()["ready"]:
                time.sleep(0.2)
            newcomer(served, cases[-3])  # the first of all answers is slower
            before = newcomer(served, cases[-2])
            sittings = [sit(served, cases[n % number_of_cases], stack) for n in range(people)]
            together = threading.Barrier(people)

            def send_all(person: int) -> tuple[int, list[str]]:
                together.wait(SECONDS)
                return unwaited(sittings[person], person)

            with ThreadPoolExecutor(people) as pool:
                found = list(pool.map(send_all, range(people)))
            after = newcomer(served, cases[-1])
        refusals = [text for _, refused in found for text in refused]
        if wrong := next((text for text in refusals if text.count(".") != 1 or "\n" in text), None):
            sys.exit(f"A refusal is no sentence: {wrong}")
        print(f"clicks that {people} people sent at once   {people * SENT:8d}")
        print(f"of them answered                     {sum(answered for answered, _ in found):8d}")
        print(f"refused in one sentence              {len(refusals):8d}   ({refusals[0] if refusals else 'none'})")
        print(f"a newcomer right after, seconds      {after:8.2f}   (at most 5; before {before:.2f})")


def newcomer(served: Served, case: str) -> float:
    """Return the seconds in which somebody opens a case and has a first click answered."""
    begun = time.perf_counter()
    with ExitStack() as stack:
        click(sit(served, case, stack), 0)
    return time.perf_counter() - begun


def unwaited(sitting: Sitting, person: int) -> tuple[int, list[str]]:
    """Send clicks without waiting; return how many were answered and what was said of the others."""
    for number in range(1, SENT + 1):
        event = {"event": "prompted", "prompt": prompt_of(person + number), "label": 1, "method": "mend"}
        sitting.socket.send(json.dumps({"id": number + 1, "event": event}))  # 1 was the label's
    known, waited, refused, answered = 0, set[int](), list[str](), 0
    while known < SENT or waited:
        message = sitting.receive()
        if message is None:
            continue
        if message["type"] == "error":
            known, refused = known + 1, [*refused, message["message"]]
        elif message["type"] == "accepted" and message["id"] is not None:
            known += 1
            waited.add(message["position"])
        elif message["type"] == "answered" and message["position"] in waited:
            waited.remove(message["position"])
            answered += 1
    return answered, refused


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--cases", type=int, default=50, help="different pictures")
    parser.add_argument("--clicks", type=int, default=3, help="clicks a person")
    parser.add_argument("--large", type=int, metavar="N", help="people beside one at a large volume")
    parser.add_argument("--apart", action="store_true", help="all methods in processes of their own")
    parser.add_argument("--rush", type=int, metavar="N", help="people who send clicks without waiting for answers")
    options = parser.parse_args()
    if options.rush:
        rush(options.rush, options.cases)
        return
    if options.large:
        beside_a_large_one(options.large, options.clicks, "answering_apart='all'" if options.apart else "")
        return
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="segmend-bench-") as folder:
        with Store.local(folder) as store:
            cases = [store.add_case(f"case {n}", scene(FLAT, n)[0]).id for n in range(options.cases + ALONE)]
        with Served(Path(folder), "mend") as served, ExitStack() as stack:
            while not httpx.get(f"{served.address}api/health").json()["ready"]:
                time.sleep(0.2)
            alone(served, cases[:1])
            rest = served.megabytes()
            fair = alone(served, cases[-ALONE:]) * options.people / cores
            together = threading.Barrier(options.people)
            begun = served.seconds_of_processor()
            sittings = [sit(served, cases[i % options.cases], stack) for i in range(options.people)]

            def work(person: int) -> tuple[float, float]:
                together.wait(SECONDS)
                first = click(sittings[person], person)
                together.wait(SECONDS)
                if person == 0:
                    spent.append(served.seconds_of_processor())
                together.wait(SECONDS)
                return first, sum(click(sittings[person], person + number) for number in range(1, options.clicks))

            spent: list[float] = []
            with ThreadPoolExecutor(options.people) as people:
                times = list(people.map(work, range(options.people)))
            spent.append(served.seconds_of_processor())
            firsts = [first for first, _ in times]
            later = options.people * max(1, options.clicks - 1)
            each = fair * cores / options.people
            print(f"at rest, MB                          {rest[0]:8.0f}   ({rest[1]:.0f} mapped from files)")
            print(f"fair share, seconds                  {fair:8.2f}   ({each:.3f} of {cores} cores a person)")
            slow, rest_of_all = float(np.percentile(firsts, 95)), [seconds for _, seconds in times]
            print(f"first click of all, median seconds   {median(firsts):8.2f}")
            print(f"first click, 95 of 100 within        {slow:8.2f}   (at most {2 * fair:.2f}, 2 x fair)")
            print(f"of the fair share                    {slow / fair:8.2f}   (at most 2)")
            print(f"first click of all, last seconds     {max(firsts):8.2f}")
            if options.clicks > 1:
                slowest = max(rest_of_all) / median(rest_of_all)
                print(f"later clicks, the slowest person's   {slowest:8.2f}   x the median's")
            print(f"processor, opening and first click   {(spent[0] - begun) / options.people:8.3f}")
            print(f"processor, a later click             {(spent[1] - spent[0]) / later:8.3f}")
            total, mapped = served.megabytes()
            kept = httpx.get(f"{served.address}api/health").json()["memory"]["kept_bytes"] / 1e6
            print(f"with {options.people} sessions, MB                 {total:8.0f}   (at most 800)")
            print(f"of which kept for later, MB          {kept:8.0f}")
            stack.close()
            time.sleep(6)
            alone(served, cases[:1])
            print(
                f"when all have gone, MB               {served.megabytes()[0]:8.0f}   ({mapped:.0f} mapped from files)"
            )


if __name__ == "__main__":
    main()
