"""Kills servers, databases and commands for hours, and counts what was lost: python tools/soak.py [--kills 1000]

Real servers are killed with SIGKILL in the middle of marks, uploads and exports, PostgreSQL in the middle of marks,
commands in the middle of writing, `segmend adapt` in the middle of learning. After each kill everything that had been
acknowledged is looked for: events, answers bit for bit, uploaded cases voxel for voxel, maps after undo and redo, and
`segmend check` over the whole store; files that a command writes are the old ones or the new ones. Then, with
--clicks, so many clicks are put down in sessions of a hundred, and the growth of the server's memory is measured.

Prints a line for each kind of kill, and ends with 1 when anything was lost. The same seed kills at the same moments, as
far as a machine repeats itself. `make soak` runs it; 30 such kills are among the tests.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import nibabel
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from segmend.io.nifti import nifti_header  # noqa: E402 - after the path to the tests' servers
from segmend.samples import make, write_folder  # noqa: E402
from segmend.store import Store  # noqa: E402
from segmend.store.verify import verify  # noqa: E402
from tests.server.forking import Forked, Nursery  # noqa: E402
from tests.server.kills import SHAPE, Person, blocks, check  # noqa: E402
from tests.server.running import Client, clicked, defined, http, install_plugin  # noqa: E402
from tests.store.servers import Postgres, postgres_folder  # noqa: E402

# Kinds of kills, and how often each is drawn; `adapt` loads torch each time.
KINDS = {"marks": 8, "uploads and exports": 6, "database": 3, "commands": 5, "adapt": 1}
# Clicks of one session while memory is measured, clicks before it is, clicks between two looks at it, and the most
# megabytes by which it may grow in 1,000.
SITTING, WARMING, SAMPLED, MOST_GROWN = 50, 100, 20, 5.0
# Kills after which another store and another session are begun: what is looked for after a kill is all that the store
# holds, and 1,000 kills over one store would spend their time there.
KILLS_OF_A_SITE = 50
# Bytes that the server may keep on purpose: little, so that it is full before the measure begins.
KEPT_BYTES = 64 << 20
# Seconds that one of these clicks may take.
SLOW_SECONDS = 600
# The picture that is clicked in then.
PICTURE = (1, 96, 128)
# Seconds that the first upload and the first export may take, on a busy machine; there is no kill before them.
FIRST_SECONDS = 60


class Site:
    """A store with a session that servers on it are killed over."""

    def __init__(self, folder: Path, nursery: Nursery, seed: int, database: str | None = None) -> None:
        self.data, self.log = folder / "data", folder / "log"
        self.nursery, self.person, self.dice = nursery, Person(seed), random.Random(seed)
        self.database = database
        with self.store() as store:
            self.case = store.add_case("blocks", blocks(seed=3)).id
            self.session = store.add_session(self.case).id
        self.uploaded: dict[str, int] = {}  # id of a case -> the number that its voxels have
        self.exported = 0
        self.maps_met = 0
        self.answers: dict[int, Any] = {}
        self.begun = False

    def store(self) -> Store:
        self.data.mkdir(parents=True, exist_ok=True)
        return Store.open(self.database or f"sqlite:///{self.data / 'segmend.db'}", str(self.data / "blobs"))

    def start(self) -> Forked:
        return self.nursery.start(self.data, self.log, **({"database_url": self.database} if self.database else {}))

    def round(self, kill: Callable[[Forked], None], *, files: bool = False) -> None:
        """Start a server, hold it to what is known, work at it, kill something, and look at what is there."""
        server = self.start()
        helpers: list[threading.Thread] = []
        left = self.scratch()
        try:
            assert not left, f"uploads and exports of a killed server are left: {left}"
            with http(server) as client:
                if not self.begun:
                    for event in (defined(1), defined(2, "other")):
                        client.post(f"/api/sessions/{self.session}/events", json=event).raise_for_status()
                    self.begun = True
                else:
                    self.maps_met += check(client, self.session, self.person, steps=2)
            live = Client(server.address, self.session)
            live.next("frame")
            if files:
                helpers = [threading.Thread(target=work, args=(server,)) for work in (self._upload, self._export)]
                for helper in helpers:
                    helper.start()
            self.person.work(live, self.dice.uniform(0.4, 2.0) if files else self.dice.uniform(0.02, 0.5))
            end = time.monotonic() + FIRST_SECONDS
            while files and not (self.uploaded and self.exported) and time.monotonic() < end:
                time.sleep(0.01)
        finally:
            kill(server)
        self.person.drain(live)
        for helper in helpers:
            helper.join()
        self.look()

    def look(self) -> None:
        """Hold the store to everything that was acknowledged."""
        with self.store() as store:
            log = store.session(self.session)
            events = {i for i, e in self.person.accepted.items() if e["event"] not in ("prompted", "removed")}
            assert max(self.person.accepted, default=-1) < len(log.events), "an accepted event is lost"
            assert self.person.answered <= set(log.answers) | events, "an answer is lost"
            assert all(log.answers[i] == patch for i, patch in self.answers.items()), "an answer is another one"
            self.answers = dict(log.answers)
            store.sweep(abandoned=timedelta(0))
            damage = [finding.damage for finding in verify(store) if finding.damage]
            assert not damage, damage
            cases = {case.id for case in store.cases()}
            assert set(self.uploaded) <= cases, "an uploaded case is lost"
            for case, number in self.uploaded.items():
                assert (np.asarray(store.image(case).voxels) == number).all(), "an uploaded case has other voxels"
        parts = [str(path) for path in (self.data / "blobs").rglob("*.part")]
        assert not parts, f"half files are left: {parts}"
        for path in self.scratch():  # an hour later
            os.utime(path, (time.time() - 4000,) * 2)

    def counts(self) -> Counter[str]:
        """Return how much there was to lose, and how often a label map was compared with what it had been."""
        return Counter(
            {
                "events accepted": len(self.person.accepted),
                "answers told": len(self.person.answered),
                "uploads": len(self.uploaded),
                "maps met again": self.maps_met,
                "whole exports": self.exported,
            }
        )

    def scratch(self) -> list[Path]:
        """Return the folders of uploads and exports on their way."""
        return [*self.data.glob("upload-*"), *self.data.glob("export-*")]

    def _upload(self, server: Forked) -> None:
        with contextlib.suppress(httpx.HTTPError), http(server) as client:
            while True:
                number = self.dice.randrange(1, 3000)
                reply = client.post("/api/cases", files={"files": (f"{number}.nii", scan(number))})
                for case in reply.raise_for_status().json():
                    self.uploaded[case["id"]] = number

    def _export(self, server: Forked) -> None:
        with contextlib.suppress(httpx.HTTPError), http(server) as client:
            while True:
                reply = client.get(f"/api/sessions/{self.session}/export", params={"format": ".nii.gz"})
                content = gzip.decompress(reply.raise_for_status().content)
                assert nibabel.Nifti1Image.from_bytes(content).shape == SHAPE[::-1]
                self.exported += 1


def scan(number: int) -> bytes:
    """Return a NIfTI file whose voxels all have one value."""
    voxels = np.full((8, 64, 64), number, np.int16)
    return nifti_header(voxels.shape[::-1], voxels.dtype, np.eye(4)) + voxels.tobytes()


class Sites:
    """Sites one after the other, each for so many kills."""

    def __init__(self, begin: Callable[[int], Site]) -> None:
        self._begin, self._number, self._kills = begin, 0, 0
        self.site, self._before = begin(0), Counter[str]()

    def next(self) -> Site:
        """Return the site for another kill."""
        if self._kills == KILLS_OF_A_SITE:
            self._before += self.site.counts()
            self._number, self._kills = self._number + 1, 0
            self.site = self._begin(self._number)
        self._kills += 1
        return self.site

    def counts(self) -> Counter[str]:
        """Return the counts of all sites."""
        return self._before + self.site.counts()


class Commands:
    """A file that commands write again and again, and are killed while they do."""

    def __init__(self, folder: Path, sites: Sites, seed: int) -> None:
        self.sites, self.dice = sites, random.Random(seed)
        self.out = folder / "mask.nii.gz"
        self.wholes: set[bytes] = set()

    def round(self) -> None:
        site = self.sites.site
        command = [sys.executable, "-m", "segmend", "export", site.session, "--folder", str(site.data)]
        kill_after(self.dice.uniform(0.5, 4.0), [*command, "-o", str(self.out), "--force"])
        if self.out.exists():
            content = gzip.decompress(self.out.read_bytes())
            assert nibabel.Nifti1Image.from_bytes(content).shape == SHAPE[::-1], "a half file has the mask's name"
        for path in self.out.parent.iterdir():
            assert path == self.out or path.name.endswith(".part") or path.is_dir(), f"{path} is left"


class Adapting:
    """A run of `segmend adapt` that is killed and goes on."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.dice, self.out, self.cases = random.Random(seed), folder / "site", folder / "cases"
        self.begun = False  # it has got as far as to write something
        write_folder(self.cases, cases=12, shapes={"skin": (1, 96, 96)}, kinds=["skin"], seed=seed)

    def round(self) -> None:
        command = [sys.executable, "-m", "segmend", "adapt", "--data", str(self.cases / "skin"), "--out", str(self.out)]
        kill_after(self.dice.uniform(4, 40), [*command, "--steps", "20"])
        for path in self.out.rglob("*.json"):
            json.loads(path.read_text(encoding="utf-8"))  # whole, or not there
        for path in self.out.rglob("*.onnx"):
            assert path.stat().st_size > 1000, f"{path} is cut short"
        self.begun = self.begun or self.out.exists()


def kill_after(seconds: float, command: list[str]) -> None:
    """Run a command, and kill it after some time if it still runs."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


@dataclass(frozen=True)
class Growth:
    """How a server's memory grew over clicks: what it held beside what it keeps on purpose, and a line through that."""

    clicks: list[int]
    megabytes: list[float]

    @property
    def slope(self) -> float:
        """Megabytes in 1,000 clicks, by least squares."""
        return 1000 * float(np.polyfit(self.clicks, self.megabytes, 1)[0]) if len(self.clicks) > 1 else 0.0

    @property
    def error(self) -> float:
        """The standard error of the slope."""
        at, held = np.asarray(self.clicks, float), np.asarray(self.megabytes)
        if len(at) < 3:
            return 0.0
        left = held - np.polyval(np.polyfit(at, held, 1), at)
        return 1000 * float(np.sqrt((left**2).sum() / (len(at) - 2) / ((at - at.mean()) ** 2).sum()))

    def by_rounds(self, length: int) -> Growth:
        """Return the means of whole rounds of so many clicks: a picture and a volume need different memory."""
        rounds: dict[int, list[float]] = {}
        for at, held in zip(self.clicks, self.megabytes, strict=True):
            rounds.setdefault(at // length, []).append(held)
        whole = {number: held for number, held in rounds.items() if len(held) == length // SAMPLED}
        if not whole:
            return self
        return Growth([number * length for number in whole], [float(np.mean(held)) for held in whole.values()])

    def __str__(self) -> str:
        return (
            f"{self.clicks[-1] - self.clicks[0]} clicks: from {self.megabytes[0]:.1f} to {self.megabytes[-1]:.1f} MB "
            f"beside what is kept, {self.slope:+.2f} MB in 1,000 (at most 5), standard error {self.error:.2f}, "
            f"by least squares over {len(self.clicks)} means of rounds"
        )


def growth(nursery: Nursery, folder: Path, clicks: int, method: str) -> Growth:
    """Return how a server grew over so many clicks in sessions of a picture and of a small volume, in turn."""
    data = folder / "clicks"
    data.mkdir()
    with Store.open(f"sqlite:///{data / 'segmend.db'}", str(data / "blobs")) as store:
        cases = [
            (store.add_case("small", image).id, image.shape)
            for image in (make("skin", shape=PICTURE).image, blocks(seed=5))
        ]
    server = nursery.start(data, folder / "log", method=method, cache_bytes=KEPT_BYTES)
    dice = random.Random(1)
    found = Growth([], [])
    with http(server) as client:
        client.timeout = SLOW_SECONDS  # the machine may be busy, and nothing here is about time
        while not client.get("/api/health").json()["ready"]:
            time.sleep(1)
        for number in range(clicks + WARMING + 1):
            if number >= WARMING and number % SAMPLED == 0:
                memory = client.get("/api/health").json()["memory"]
                found.clicks.append(number - WARMING)
                found.megabytes.append((memory["resident_bytes"] - memory["kept_bytes"]) / 1e6)
                if len(found.clicks) % 10 == 0:
                    so_far = found.by_rounds(SITTING * len(cases))
                    slope = f"{so_far.slope:+.2f} MB in 1,000 so far, standard error {so_far.error:.2f}"
                    say(f"after {found.clicks[-1]} clicks {found.megabytes[-1]:.1f} MB beside what is kept, {slope}")
            case, shape = cases[number // SITTING % len(cases)]
            if number % SITTING == 0:
                session = client.post(f"/api/cases/{case}/sessions").raise_for_status().json()["id"]
                client.post(f"/api/sessions/{session}/events", json=defined(1)).raise_for_status()
            event = clicked([dice.randrange(n) for n in shape], positive=dice.random() < 0.7, method=method)
            client.post(f"/api/sessions/{session}/events", json=event).raise_for_status()
    server.kill()
    return found.by_rounds(SITTING * len(cases))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which no other kill is begun")
    parser.add_argument("--clicks", type=int, default=0, help="clicks after the kills, over which memory is measured")
    parser.add_argument("--method", default="mend", help="of those clicks")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", choices=list(KINDS), help="kinds of kills; repeat for more")
    options = parser.parse_args()
    dice, done, lost = random.Random(options.seed), Counter[str](), Counter[str]()
    wanted = options.only or list(KINDS)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="segmend-soak-")))
        install_plugin(folder / "plugin")
        nursery = stack.enter_context(Nursery(folder / "plugin"))
        sites = Sites(lambda n: Site(folder / f"site-{n}", nursery, options.seed + 1000 * n))
        all_sites = [sites]
        (folder / "out").mkdir()
        commands, programs = Commands(folder / "out", sites, options.seed), postgres_folder()
        rounds: dict[str, Callable[[], None]] = {
            "marks": lambda: sites.next().round(Forked.kill),
            "uploads and exports": lambda: sites.next().round(Forked.kill, files=True),
            "commands": commands.round,
        }
        adapting = Adapting(folder, options.seed) if "adapt" in wanted and options.kills else None
        if adapting is not None:
            rounds["adapt"] = adapting.round
        if programs is not None and "database" in wanted and options.kills:
            postgres = Postgres(programs)
            stack.callback(postgres.close)

            def share(number: int) -> Site:
                seed = options.seed + 1 + 1000 * number
                return Site(folder / f"shared-{number}", nursery, seed, postgres.database())

            over_database = Sites(share)
            all_sites.append(over_database)

            def crash(server: Forked) -> None:
                postgres.stop()
                time.sleep(dice.uniform(0, 0.2))
                postgres.start()
                server.kill()

            rounds["database"] = lambda: over_database.next().round(crash)
        kinds = [kind for kind in wanted if kind in rounds]
        begun = time.perf_counter()
        for number in range(options.kills if kinds else 0):
            if time.perf_counter() - begun > 60 * options.minutes:
                break
            kind = dice.choices(kinds, [KINDS[k] for k in kinds])[0]
            try:
                rounds[kind]()
            except Exception as error:  # it is told, and the soak goes on
                lost[kind] += 1
                say(f"kill {number} ({kind}): {type(error).__name__}: {str(error)[:500]}")
            done[kind] += 1
            if number % 50 == 49:
                say(f"{number + 1} kills, {sum(lost.values())} with a loss, {time.perf_counter() - begun:.0f} s")
        if adapting is not None and done["adapt"] > 2 and not adapting.begun:
            lost["adapt"] += 1
            say("segmend adapt was never killed at work: nothing was proved")
        for kind in kinds:
            say(f"{kind:22} {done[kind]:5} kills, {lost[kind]} with a loss (at most 0)")
        counts = sum((each.counts() for each in all_sites), Counter[str]())
        say(", ".join(f"{count} {name}" for name, count in counts.items()))
        grown = 0.0
        if options.clicks:
            measured = growth(nursery, folder, options.clicks, options.method)
            say(f"{options.method}, {measured}")
            grown = measured.slope
    return 1 if sum(lost.values()) or grown > MOST_GROWN else 0


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", "")
    sys.exit(main())
