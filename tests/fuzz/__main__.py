"""`make fuzz`: damaged files, made-up requests and made-up messages, for as long as is wanted.

    python -m tests.fuzz [readers] [requests] [live] [viewers] [dialects] [--seconds N] [--seed N] [--keep FOLDER]

Readers are tried in a process of their own, so that one which ends or hangs is a finding, too. What was found is
printed, and files that made it are kept. The same seed makes the same files, requests and messages.
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
from pathlib import Path

from tests.fuzz import dialects, live, readers, requests, viewers
from tests.fuzz.files import FILES
from tests.server.running import PLUGIN, in_thread, install_plugin, settings

BATCH = 400  # files of a kind that one process tries
PATIENCE = 120  # seconds by the clock, for one file: the machine may be busy


def main() -> int:
    parser = ArgumentParser(prog="python -m tests.fuzz", description="Try readers and server with what is damaged.")
    parser.add_argument(
        "parts",
        nargs="*",
        choices=["readers", "requests", "live", "viewers", "dialects", []],
        help="all if none is named",
    )
    parser.add_argument("--seconds", type=float, default=120, help="how long, all parts together (3600: an hour)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="the folder for files with findings")
    parser.add_argument("--batch", nargs=4, metavar=("KIND", "FROM", "TO", "FOLDER"), help="for a process of its own")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if given.batch:
        return try_batch(given.batch[0], int(given.batch[1]), int(given.batch[2]), given.seed, Path(given.batch[3]))
    parts = given.parts or list(PARTS)
    faults = []
    for part in parts:
        faults += PARTS[part](time.monotonic() + given.seconds / len(parts), given.seed, given.keep)
    for fault in faults:
        say(f"FOUND {fault}")
    return 1 if faults else 0


def say(words: object) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def try_batch(kind: str, first: int, last: int, seed: int, folder: Path) -> int:
    """Try some files of a kind, and say on standard output which is next and what was found."""
    found = readers.fuzz(kind, range(first, last), seed, folder, watch=say)
    for fault in found.faults:
        say(f"FAULT {fault!r}")
    say(f"DONE {json.dumps([found.outcomes, found.slowest, found.largest])}")
    return 0


def fuzz_readers(end: float, seed: int, keep: Path) -> list[str]:
    faults: list[str] = []
    outcomes: Counter[str] = Counter()
    slowest, largest, start = 0.0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        while time.monotonic() < end:
            for kind in FILES:
                first = start
                while first < start + BATCH and time.monotonic() < end:
                    lines, words = run_batch(kind, first, start + BATCH, seed, folder)
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
                    first = start + BATCH
            start += BATCH
            say(f"readers: {sum(outcomes.values())} files, {dict(outcomes)}, slowest {slowest:.2f} s, "
                  f"largest {largest >> 20} MB, {len(faults)} findings")  # fmt: skip
    return faults


def run_batch(kind: str, first: int, last: int, seed: int, folder: Path) -> tuple[list[str], str]:
    """Return what the process of a batch said, and how it ended where it did not finish."""
    command = [
        sys.executable,
        "-m",
        "tests.fuzz",
        "--seed",
        str(seed),
        "--batch",
        kind,
        str(first),
        str(last),
        str(folder),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        said, errors = process.communicate(timeout=PATIENCE + (last - first))
        return said.splitlines(), f"the process ended with {process.returncode}: {errors[-300:]}"
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
        return said.splitlines(), "the process hangs"


def fuzz_requests(end: float, seed: int, _: Path) -> list[str]:
    faults: list[str] = []
    with served() as server:
        faults += requests.wrong_methods(server)
        total = 0
        while time.monotonic() < end:
            found = requests.fuzz(server, 20, seed)
            faults += found.faults
            total += found.tried
            seed += 1
            say(f"requests: {total}, {len(faults)} findings")
    return faults


def fuzz_live(end: float, seed: int, _: Path) -> list[str]:
    faults: list[str] = []
    outcomes: Counter[str] = Counter()
    with served() as server:
        number = 0
        while time.monotonic() < end:
            found = live.fuzz(server, range(number, number + 10), seed)
            faults += found.faults
            outcomes.update(found.outcomes)
            number += 10
            say(f"live: {sum(outcomes.values())} messages, {dict(outcomes)}, {len(faults)} findings")
    return faults


def fuzz_viewers(end: float, seed: int, _: Path) -> list[str]:
    faults: list[str] = []
    outcomes: Counter[str] = Counter()
    tried = 0
    with served() as server:
        while time.monotonic() < end:
            found, containers = viewers.fuzz(server, 1000, seed), viewers.fuzz_containers(10_000, seed)
            faults += found.faults + containers.faults
            outcomes.update(found.outcomes)
            tried += containers.tried
            seed += 1
            statuses = Counter(outcome.rpartition(" ")[2] for outcome in outcomes.elements())
            say(f"viewers: {sum(outcomes.values())} requests, {dict(statuses)}, grew {found.largest >> 20} MB, "
                f"{tried} containers, {len(faults)} findings")  # fmt: skip
    return faults


def fuzz_dialects(end: float, seed: int, _: Path) -> list[str]:
    faults: list[str] = []
    statuses: dict[str, Counter[str]] = {name: Counter() for name in dialects.DIALECTS}
    with served() as server:
        while time.monotonic() < end:
            for name, counted in statuses.items():
                found = dialects.fuzz(server, name, 1000, seed)
                faults += found.faults
                counted.update(outcome.rpartition(" ")[2] for outcome in found.outcomes.elements())
                say(f"{name}: {counted.total()} requests, {dict(counted)}, grew {found.largest >> 20} MB, "
                    f"{len(faults)} findings")  # fmt: skip
            seed += 1
    return faults


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
}

if __name__ == "__main__":
    sys.exit(main())
