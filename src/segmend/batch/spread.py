"""Many cases answered by the processes of a cluster.

Files are read and masks are written here, where the folders are: an image goes to the cluster, its masks come back, and
a case is done when they are written. So a process that dies costs time and nothing else.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from segmend.batch.cases import BatchCase
from segmend.batch.job import Job, Outcome, Ready
from segmend.batch.run import Read, Reading
from segmend.batch.table import Results
from segmend.batch.worker import Found, Scene, Writing, find, in_words, scene_of
from segmend.core.segmenter import Method, Segmenter
from segmend.io.apart import Apart
from segmend.io.prompts import Unplaced
from segmend.methods import card, load
from segmend.runtime.cluster import Cluster, LostError


@dataclass(frozen=True, eq=False)
class Sent:
    """A case as it goes to a process."""

    ready: Ready
    scene: Scene


@dataclass(frozen=True, eq=False)
class _Begun:
    """What is kept here of a case until its masks are there."""

    read: Read
    writing: Writing
    seconds: float  # that reading took


def spread_outcomes(
    cases: Sequence[BatchCase], job: Job, apart: Apart, cluster: Cluster, *, shared: Sequence[Unplaced] = ()
) -> Iterator[Outcome]:
    """Yield what comes of each case as `run.outcomes` does, answered by a cluster."""
    if not cases:
        return
    reading, chosen, results = Reading(apart, job, shared), card(job.method, job.weights), Results(job.out)
    refused, begun = deque[Outcome](), dict[str, _Begun]()

    def sent() -> Iterator[Sent]:
        for case in cases:
            read = reading.read(case)
            if isinstance(read, Outcome):
                refused.append(read)
                continue
            ready, started = read.ready, time.perf_counter()
            opened = in_words(ready, job, partial(_opened, ready, job, chosen))
            if isinstance(opened, Outcome):
                read.forget()
                refused.append(opened)
                continue
            scene, writing = opened
            begun[case.name] = _Begun(read, writing, ready.seconds + time.perf_counter() - started)
            yield Sent(ready, scene)

    try:
        for item, found in cluster.spread(sent(), partial(_loaded, job), partial(_found, job)):
            one = begun.pop(item.ready.case)
            try:
                refused.append(_outcome(item.ready, job, one, found))
            finally:
                one.read.forget()
            yield from _kept(refused, results)
        yield from _kept(refused, results)
    finally:
        for one in begun.values():
            one.read.forget()


def _opened(ready: Ready, job: Job, chosen: Method) -> tuple[Scene, Writing]:
    scene = scene_of(ready, job, chosen)
    return scene, Writing(ready, scene.scan, job)


def _outcome(ready: Ready, job: Job, one: _Begun, found: Found | Outcome | LostError) -> Outcome:
    if isinstance(found, Outcome):
        return found
    if isinstance(found, LostError):
        files = tuple(map(str, ready.files))
        return Outcome(ready.case, "failed", files, method=job.method, error=f"It was given up, for {found}.")
    return in_words(ready, job, partial(one.writing.outcome, found, one.seconds))


def _kept(outcomes: deque[Outcome], results: Results) -> Iterator[Outcome]:
    while outcomes:
        results.add(outcomes[0])
        yield outcomes.popleft()


# What runs in the processes of the cluster.


def _loaded(job: Job) -> tuple[Method, Segmenter]:
    """Return the method that a process answers with."""
    segmenter = load(job.method, job.weights, device=job.device, precision=job.precision)
    return card(job.method, job.weights), segmenter


def _found(job: Job, ready_method: tuple[Method, Segmenter], sent: Sent) -> Found | Outcome:
    """Return what the method finds in a case."""
    return in_words(sent.ready, job, lambda: find(sent.scene, job, *ready_method))
