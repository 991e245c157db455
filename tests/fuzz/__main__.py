"""`make fuzz`: damaged files, made-up requests and made-up messages, for as long as is wanted.

    python -m tests.fuzz [PART ...] [--seconds N | --requests N] [--only DIALECT] [--seed N] [--keep FOLDER]

Readers are tried in a process of their own, so that one which ends or hangs is a finding, too. What was found is
printed, and files that made it are kept. The same seed makes the same files, requests and messages. With --requests
each dialect of others is asked so many times, however long that takes; how much memory the server holds is said then
and now, for it may not grow with them.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from segmend.runtime.budget import resident_bytes
from tests.fuzz import dialects, dimse, live, readers, requests, viewers
from tests.fuzz.batch import say
from tests.fuzz.files import FILES
from tests.server.running import PLUGIN, in_thread, install_plugin, settings

BATCH = 400  # files of a kind that one process tries; in every round twice as many as in the one before,
MOST_BATCH = 6400  # up to so many: a process takes as long to start as 200 files
PATIENCE = 120  # seconds by the clock, for one file: the machine may be busy
SETTLED = 5000  # requests after which a server holds what it keeps, and may not grow any more
MOST_GROWTH = 100 << 20  # bytes, after that: what allocators do not give back


@dataclass(frozen=True)
class Until:
    """How long a part goes on: until a time by the monotonic clock, or for so many requests of each dialect."""

    end: float
    requests: int | None = None
    only: tuple[str, ...] = ()  # the dialects to ask; empty: all

    def reached(self, requests: int) -> bool:
        return time.monotonic() >= self.end if self.requests is None else requests >= self.requests


def main() -> int:
    parser = ArgumentParser(prog="python -m tests.fuzz", description="Try readers and server with what is damaged.")
    parser.add_argument(
        "parts",
        nargs="*",
        choices=["readers", "requests", "live", "viewers", "dialects", "dimse", []],
        help="all if none is named",
    )
    parser.add_argument("--seconds", type=float, default=120, help="how long, all parts together (3600: an hour)")
    parser.add_argument("--requests", type=int, help="so many of each dialect of others, in place of a time")
    parser.add_argument("--only", action="append", default=[], choices=dialects.DIALECTS, help="dialects to ask")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="the folder for files with findings")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    parts = given.parts or list(PARTS)
    faults = []
    for part in parts:
        until = Until(time.monotonic() + given.seconds / len(parts), given.requests, tuple(given.only))
        faults += PARTS[part](until, given.seed, given.keep)
    for fault in faults:
        say(f"FOUND {fault}")
    return 1 if faults else 0


def fuzz_readers(until: Until, seed: int, keep: Path) -> list[str]:
    end = until.end
    faults: list[str] = []
    outcomes: Counter[str] = Counter()
    slowest, largest, start, batch = 0.0, 0, 0, BATCH
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        while time.monotonic() < end:
            for kind in FILES:
                first = start
                while first < start + batch and time.monotonic() < end:
                    lines, words = run_batch(kind, first, start + batch, seed, folder)
                    numbers = [int(line) for line in lines if line.isdecimal()]
                    last = numbers[-1] if numbers else first
                    faults += [line.removeprefix("FAULT ") for line in lines if line.startswith("FAULT ")]
                    done = next((line for line in lines if line.startswith("DONE ")), None)
                    if done is None:
                        faults.append(f"{kind} {last} {seed}: {words}")
                        keep.mkdir(exist_ok=True)
                        (keep / f"{kind}-{seed}-{last}").write_bytes(readers.made(kind, last, seed, folder))
                        outcomes["ended"] += 1
                        first = last + 1
                        continue
                    counts, seconds, memory = json.loads(done.removeprefix("DONE "))
                    outcomes.update(counts)
                    slowest, largest = max(slowest, seconds), max(largest, memory)
                    first = start + batch
            start += batch
            batch = min(2 * batch, MOST_BATCH)
            say(f"readers: {sum(outcomes.values())} files, {dict(outcomes)}, slowest {slowest:.2f} s, "
                  f"largest {largest >> 20} MB, {len(faults)} findings")  # fmt: skip
    return faults


def run_batch(kind: str, first: int, last: int, seed: int, folder: Path) -> tuple[list[str], str]:
    """Return what the process of a batch said, and how it ended where it did not finish."""
    numbers = [str(number) for number in (first, last, seed)]
    command = [sys.executable, "-m", "tests.fuzz.batch", kind, *numbers, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        said, errors = process.communicate(timeout=PATIENCE + (last - first))
        return said.splitlines(), f"the process ended with {process.returncode}: {errors[-300:]}"
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
        return said.splitlines(), "the process hangs"


def fuzz_requests(until: Until, seed: int, _: Path) -> list[str]:
    faults: list[str] = []
    with served() as server:
        faults += requests.wrong_methods(server)
        total = 0
        while time.monotonic() < until.end:
            found = requests.fuzz(server, 20, seed)
            faults += found.faults
            total += found.tried
            seed += 1
            say(f"requests: {total}, {len(faults)} findings")
    return faults


def fuzz_live(until: Until, seed: int, _: Path) -> list[str]:
    faults: list[str] = []
    outcomes: Counter[str] = Counter()
    with served() as server:
        number = 0
        while time.monotonic() < until.end:
            found = live.fuzz(server, range(number, number + 10), seed)
            faults += found.faults
            outcomes.update(found.outcomes)
            number += 10
            say(f"live: {sum(outcomes.values())} messages, {dict(outcomes)}, {len(faults)} findings")
    return faults


def fuzz_viewers(until: Until, seed: int, _: Path) -> list[str]:
    faults: list[str] = []
    outcomes: Counter[str] = Counter()
    tried = 0
    memory = Memory()
    with served() as server:
        while not until.reached(outcomes.total()):
            found, containers = viewers.fuzz(server, 1000, seed), viewers.fuzz_containers(1000, seed)
            faults += found.faults + containers.faults
            outcomes.update(found.outcomes)
            tried += containers.tried
            seed += 1
            statuses = Counter(outcome.rpartition(" ")[2] for outcome in outcomes.elements())
            said = memory.look(outcomes.total())
            say(f"nninteractive: {outcomes.total()} requests, {dict(statuses)}, {tried} containers, {said}, "
                f"{len(faults)} findings")  # fmt: skip
    return faults + memory.faults("nninteractive")


def fuzz_dialects(until: Until, seed: int, _: Path) -> list[str]:
    faults: list[str] = []
    for name in until.only or dialects.DIALECTS:
        counted: Counter[str] = Counter()
        memory, number = Memory(), seed
        end = time.monotonic() + (until.end - time.monotonic()) / len(until.only or dialects.DIALECTS)
        with served() as server:
            while not Until(end, until.requests).reached(counted.total()):
                found = dialects.fuzz(server, name, 1000, number)
                faults += found.faults
                counted.update(outcome.rpartition(" ")[2] for outcome in found.outcomes.elements())
                number += 1
                said = memory.look(counted.total())
                say(f"{name}: {counted.total()} requests, {dict(counted)}, {said}, {len(faults)} findings")
        faults += memory.faults(name)
    return faults


def fuzz_dimse(until: Until, seed: int, _: Path) -> list[str]:
    faults: list[str] = []
    outcomes: Counter[str] = Counter()
    memory = Memory()
    with dimse.receiving() as (receiver, port, said):
        while not until.reached(outcomes.total()):
            found = dimse.fuzz(receiver, port, said, 500, seed)
            faults += found.faults
            outcomes.update(found.outcomes)
            seed += 1
            words = memory.look(outcomes.total())
            say(f"dimse: {outcomes.total()} connections, {dict(outcomes)}, {words}, {len(faults)} findings")
    return faults + memory.faults("dimse")


class Memory:
    """What a process holds when it has settled, and later."""

    def __init__(self) -> None:
        self._settled: int | None = None
        self._now = 0

    def look(self, requests: int) -> str:
        """Return in words what the process holds after so many requests."""
        self._now = resident_bytes()
        if self._settled is None and requests >= SETTLED:
            self._settled = self._now
        then = "" if self._settled is None else f" (settled {self._settled >> 20})"
        return f"{self._now >> 20} MB{then}"

    def faults(self, name: str) -> list[str]:
        """Return what is to be said against how it grew."""
        grown = 0 if self._settled is None else self._now - self._settled
        return [f"{name}: grew by {grown >> 20} MB"] if grown > MOST_GROWTH else []


def served():
    """Give a running server with the tests' methods."""
    folder = Path(tempfile.mkdtemp())
    install_plugin(folder / "plugin")
    sys.path[:0] = [str(folder / "plugin"), str(PLUGIN)]
    return in_thread(settings(folder / "data", read_apart=False))


PARTS = {
    "readers": fuzz_readers,
    "requests": fuzz_requests,
    "live": fuzz_live,
    "viewers": fuzz_viewers,
    "dialects": fuzz_dialects,
    "dimse": fuzz_dimse,
}

if __name__ == "__main__":
    sys.exit(main())
