"""A process that answers: it loads the method once, and takes one case after the other from a pipe.

It says {"ready": seconds} when it has the method, or the refusal as an error. Then each `Ready` that it gets is
answered with an `Outcome`, or an error where that cannot be kept, until the pipe is closed. A mask is written beside
its place and renamed, so whatever ends this process, no half mask is left; what came of the case is kept at once, so
whatever ends the other one, it is known.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from segmend import io
from segmend.batch.answering import Answered, answer_image, labels_of, refine_masks
from segmend.batch.job import Job, Outcome, Ready
from segmend.batch.table import Results
from segmend.core.image import Image, LabelMap
from segmend.core.prompts import Prompt
from segmend.core.segmenter import Method, Segmenter
from segmend.datasets.case import stacked
from segmend.editing.steps import Step
from segmend.errors import FileError, PromptError, SegmendError
from segmend.io.prompts import check_flat, placed
from segmend.methods import card, load

Done = TypeVar("Done")
# Endings of masks where nobody said one.
PICTURE, VOLUME = ".png", ".nii.gz"


def work(pipe: Connection, job: Job) -> None:
    """Be a process that answers until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for whoever started this
    if job.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job.cores)  # which the engines take for all that there are
    with threadpool_limits(len(job.cores) or None):
        begun = time.perf_counter()
        try:
            chosen = card(job.method, job.weights)
            segmenter = load(job.method, job.weights, device=job.device, precision=job.precision)
        except SegmendError as error:
            pipe.send(error)
            return
        with suppress(OSError):  # all cases were bad ones, and nobody waits
            pipe.send({"ready": time.perf_counter() - begun})
        results = Results(job.out)
        while (ready := _next(pipe)) is not None:
            outcome = outcome_of(ready, job, chosen, segmenter)
            said: Outcome | SegmendError = outcome
            try:
                results.add(outcome)
            except SegmendError as error:  # then no other case could be kept either
                said = error
            with suppress(OSError):  # nobody is left to be told, but the mask is written
                pipe.send(said)


def _next(pipe: Connection) -> Ready | None:
    try:
        ready: Ready = pipe.recv()
    except (EOFError, OSError):
        return None
    return ready


def outcome_of(ready: Ready, job: Job, chosen: Method, segmenter: Segmenter) -> Outcome:
    """Return what comes of a case; whatever goes wrong is said in it."""
    return in_words(ready, job, lambda: _answer(ready, job, chosen, segmenter))


def in_words(ready: Ready, job: Job, do: Callable[[], Done]) -> Done | Outcome:
    """Return what is done for a case; whatever goes wrong, as what came of it."""
    files = tuple(map(str, ready.files))
    try:
        return do()
    except SegmendError as error:
        return Outcome(ready.case, "failed", files, method=job.method, error=" ".join(str(error).split()))
    except MemoryError:
        return Outcome(ready.case, "failed", files, method=job.method, error="It needs more memory than there is.")
    except Exception as error:  # a bug, which one case of a thousand may show
        traceback.print_exc()
        words = " ".join(f"{type(error).__name__}: {error}".split())
        return Outcome(ready.case, "failed", files, method=job.method, error=f"Segmend itself went wrong: {words}.")


@dataclass(frozen=True, eq=False)
class Scene:
    """What a case is answered from."""

    scan: Image
    steps: Sequence[Step]
    start: LabelMap | None  # [z y x]
    name: str


@dataclass(frozen=True, eq=False)
class Found:
    """What a method finds in a case, and the seconds that opening and answering it took."""

    answered: Answered
    open_seconds: float
    answer_seconds: float


def _answer(ready: Ready, job: Job, chosen: Method, segmenter: Segmenter) -> Outcome:
    begun = time.perf_counter()
    scene = scene_of(ready, job, chosen)
    written = Writing(ready, scene.scan, job)
    seconds = ready.seconds + time.perf_counter() - begun
    return written.outcome(find(scene, job, chosen, segmenter), seconds)


def scene_of(ready: Ready, job: Job, chosen: Method) -> Scene:
    """Return what a case is answered from; PromptError where the method cannot take it."""
    scan = stacked([saved.image() for saved in ready.images])
    start = None if ready.start is None else np.load(ready.start)
    if job.flat is not None:
        check_flat(scan, job.flat)
    steps = placed(ready.steps, scan)
    chosen.check([step for step in steps if isinstance(step, Prompt)])
    if not steps and not job.refine and (start is not None or not chosen.guesses):
        raise PromptError("It has no prompts, and the method finds nothing without one.")
    return Scene(scan, steps, start, ready.name)


def find(scene: Scene, job: Job, chosen: Method, segmenter: Segmenter) -> Found:
    """Return what a method finds."""
    opening = time.perf_counter()
    workspace = segmenter.open(scene.scan).with_finetuning(job.finetune)
    opened = time.perf_counter()
    if job.refine and not scene.steps:
        assert scene.start is not None
        found = refine_masks(workspace, chosen, scene.start, dict(workspace.labels) or {1: scene.name})
    else:
        found = answer_image(workspace, chosen, scene.scan, scene.steps, scene.start, scene.name)
    return Found(found, opened - opening, time.perf_counter() - opened)


class Writing:
    """The file of a case's masks, checked before it is answered, and written after."""

    def __init__(self, ready: Ready, scan: Image, job: Job) -> None:
        self._ready, self._scan, self._job = ready, scan, job
        self._target = target_of(ready.case, scan, job)
        try:
            self._target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"The folder {self._target.parent} could not be made: {error.strerror}.") from None
        dicom = self._target.name.lower().endswith(".dcm")
        source = io.dicom_source(ready.files[0]) if dicom else None
        self._write = io.mask_writer(self._target, scan, source=source, series=ready.series, anonymous=job.anonymous)

    def outcome(self, found: Found, read_seconds: float) -> Outcome:
        """Write what was found, and return what came of the case."""
        begun = time.perf_counter()
        self._write(found.answered.map, found.answered.labels, found.answered.origins)
        seconds = {
            "read": read_seconds,
            "open": found.open_seconds,
            "answer": found.answer_seconds,
            "write": time.perf_counter() - begun,
        }
        return Outcome(
            self._ready.case,
            "done",
            image=tuple(map(str, self._ready.files)),
            out=str(self._target),
            method=self._job.method,
            seconds={name: round(value, 4) for name, value in seconds.items()},
            shape=self._scan.shape,
            labels=tuple(labels_of(found.answered, self._scan, card(self._job.method, self._job.weights))),
            finetuned=found.answered.finetuned,
            notes=self._scan.notes,
        )


def target_of(case: str, scan: Image, job: Job) -> Path:
    """Return the file of a case's mask."""
    return job.out / f"{case}{job.ending or (PICTURE if scan.flat else VOLUME)}"
