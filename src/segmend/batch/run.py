"""Many cases answered by processes that load the method once each, while the next images are read.

Whoever calls `outcomes` reads, in processes of their own (`io.apart`) that are copies of this one, which therefore has
no threads and loads no network. An image lies as a file in a folder of its own until it is answered. At most as many
images wait as there are processes that answer. A process that ends before its time costs the one case that it was
at; another one takes its place.
"""

from __future__ import annotations

import multiprocessing
import shutil
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from segmend.batch.cases import BatchCase
from segmend.batch.job import Job, Outcome, Ready
from segmend.batch.table import Results
from segmend.batch.worker import PICTURE, VOLUME, work
from segmend.datasets.generic import stem
from segmend.errors import FileError, ModelError, SegmendError, SettingsError
from segmend.io.apart import Apart, Kept
from segmend.io.prompts import Unplaced, read_points, read_prompts
from segmend.runtime.cores import usable_cores

# Processes of their own, new ones: a copy of this one might wait for ever for a lock that a thread of it held.
PROCESSES = multiprocessing.get_context("spawn")
# Seconds that a process gets to end by itself once it has nothing to do.
PATIENCE = 5.0


@contextmanager
def reading_apart(out: Path, seconds: float) -> Iterator[Apart]:
    """Give what reads files in processes of their own; where no other folder can be had, by way of the results'."""
    try:
        folder = TemporaryDirectory(prefix="segmend-")
    except OSError:
        folder = TemporaryDirectory(prefix=".segmend-", dir=out)
    kept = Kept() if sys.platform == "linux" else None
    try:
        with folder as name:
            yield Apart(Path(name), seconds=seconds, forked=kept is not None, kept=kept)
    finally:
        if kept is not None:
            kept.end()


def existing_mask(case: str, job: Job) -> Path | None:
    """Return the mask of a case that is there already."""
    return next((path for path in _masks_of(case, job) if path.exists()), None)


def check_images_stay(cases: Sequence[BatchCase], job: Job) -> None:
    """Raise SettingsError where the mask of a case would take the place of an image."""
    images = {path.resolve() for case in cases for path in case.images}
    for case in cases:
        for path in _masks_of(case.name, job):
            if path.resolve() in images:
                raise SettingsError(
                    f"The mask of {case.name} would be written over the image {path}; name another folder for masks."
                )


def _masks_of(case: str, job: Job) -> list[Path]:
    """Return the files that the mask of a case may be, by whether it is a picture or a volume."""
    endings = (job.ending,) if job.ending else (PICTURE, VOLUME)
    return [job.out / f"{case}{ending}" for ending in endings]


def outcomes(
    cases: Sequence[BatchCase], job: Job, apart: Apart, *, shared: Sequence[Unplaced] = (), workers: int = 1
) -> Iterator[Outcome]:
    """Yield what comes of each case, in the order in which they are done; it is kept in the folder of the masks.

    `shared` are prompts for all of them, newer than their own.
    """
    if workers < 1:
        raise SettingsError(f"Cases need 1 or more processes that answer; got {workers}.")
    if not cases:
        return
    reading, results = Reading(apart, job, shared), Results(job.out)
    todo, waiting = iter(cases), deque[Read]()
    count = min(workers, len(cases))
    crew = [_Worker(replace(job, cores=cores)) for cores in shares_of(count)]
    unread = True
    try:
        while unread or waiting or any(worker.case is not None for worker in crew):
            for worker in crew:
                if worker.case is None and waiting:
                    worker.give(waiting.popleft())
            busy = [worker for worker in crew if worker.case is not None]
            ahead = unread and len(waiting) < count
            for pipe in wait([worker.pipe for worker in busy], 0 if ahead else None) if busy else ():
                yield next(worker for worker in busy if worker.pipe is pipe).outcome(results)
            if ahead:
                case = next(todo, None)
                unread = case is not None
                if case is not None:
                    found = reading.read(case)
                    if isinstance(found, Outcome):
                        results.add(found)
                        yield found
                    else:
                        waiting.append(found)
    finally:
        for worker in crew:
            worker.end()
        for read in waiting:
            read.forget()


def shares_of(count: int) -> list[tuple[int, ...]]:
    """Return the cores of the processor for each of so many processes; nothing where one has them all."""
    cores = usable_cores()
    if count == 1:
        return [()] * count
    each = max(1, len(cores) // count)
    return [tuple(cores[(n * each + i) % len(cores)] for i in range(each)) for n in range(count)]


@dataclass(frozen=True)
class Read:
    """A case that was read, and the folder that its voxels lie in."""

    ready: Ready
    folder: Path

    def forget(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class Reading:
    """Reads what belongs to a case."""

    apart: Apart
    job: Job
    shared: Sequence[Unplaced]
    tables: dict[Path, dict[str, list[Unplaced]]] = field(default_factory=dict)  # points by case, of tables for all

    def read(self, case: BatchCase) -> Read | Outcome:
        begun = time.perf_counter()
        folder = Path(mkdtemp(dir=self.apart.folder))
        try:
            return Read(self._ready(case, folder, begun), folder)
        except SegmendError as error:
            shutil.rmtree(folder, ignore_errors=True)
            files = tuple(map(str, case.images))
            words = " ".join(str(error).split())
            return Outcome(case.name, "failed", files, method=self.job.method, error=words)

    def _ready(self, case: BatchCase, folder: Path, begun: float) -> Ready:
        if case.problem:
            raise FileError(case.problem)
        steps = [*(step for path in case.prompts for step in self._prompts(path, case.name)), *self.shared]
        if self.job.refine and case.start is None:
            raise FileError("There is no mask of it to refine.")
        images = []
        for number, path in enumerate(case.images):
            channel = folder / str(number)
            channel.mkdir()
            images.append(replace(self.apart, folder=channel).saved(path, series=case.series))
        start = None
        if case.start is not None:
            scan = images[0].image()
            start = replace(self.apart, folder=folder).saved_mask(case.start, scan.shape, images[0].affine)
        name = case.label or self.job.name
        seconds = time.perf_counter() - begun
        return Ready(case.name, tuple(images), case.images, case.series, steps, start, name, seconds)

    def _prompts(self, path: Path, case: str) -> list[Unplaced]:
        if path.suffix.lower() != ".csv":
            return read_prompts(path)
        if path not in self.tables:
            self.tables[path] = {stem(name): points for name, points in read_points(path).items()}
        return [*self.tables[path].get("", []), *self.tables[path].get(stem(case), [])]


class _Worker:
    """A process that answers, as the one that reads sees it."""

    pipe: Connection

    def __init__(self, job: Job) -> None:
        self._job = job
        self.case: Read | None = None  # the one that it is at
        self._start()

    def _start(self) -> None:
        self._loaded = False
        self.pipe, other = PROCESSES.Pipe()
        self._process = PROCESSES.Process(target=work, args=(other, self._job), daemon=True)
        self._process.start()
        other.close()

    def give(self, read: Read) -> None:
        if self._process.exitcode is not None and self._loaded:
            self.pipe.close()
            self._start()
        self.case = read
        with suppress(OSError):  # it has ended, which its silence will tell
            self.pipe.send(read.ready)

    def outcome(self, results: Results) -> Outcome:
        """Return what came of its case, once it has said something; raise what it says instead of loading."""
        assert self.case is not None
        read, self.case = self.case, None
        try:
            said = self.pipe.recv()
            if not self._loaded and not isinstance(said, SegmendError):
                self._loaded = True
                said = self.pipe.recv()
        except (EOFError, OSError):
            said = self._ending(read.ready)
            if isinstance(said, Outcome):
                results.add(said)  # which it could not do itself
        finally:
            read.forget()
        if isinstance(said, SegmendError):
            raise said
        assert isinstance(said, Outcome)
        return said

    def _ending(self, ready: Ready) -> Outcome | SegmendError:
        """Return what is said of a process that ended while it had a case."""
        self._process.join()
        code = self._process.exitcode or 0
        how = f"by signal {-code}" if code < 0 else f"with code {code}"
        if not self._loaded:
            return ModelError(f"The process that loads the method {self._job.method!r} ended {how}.")
        words = f"The process that answered it ended {how}; perhaps it needs more memory than there is."
        files = tuple(map(str, ready.files))
        return Outcome(ready.case, "failed", files, method=self._job.method, error=words)

    def end(self) -> None:
        """Let the process end; one that is at a case is stopped."""
        self.pipe.close()
        if self.case is not None:
            self._process.kill()
            self.case.forget()
        self._process.join(PATIENCE)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
