"""A process that answers: it loads the method once, and takes one case after the other from a pipe.

It says {"ready": seconds} when it has the method, or the refusal as an error. Then each `Ready` that it gets is
answered with an `Outcome`, until the pipe is closed. A mask is written beside its place and renamed, so whatever ends
this process, no half mask is left; what came of the case is kept at once, so whatever ends the other one, it is known.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from segmend import io
from segmend.batch.answering import answer_image, labels_of, refine_masks
from segmend.batch.job import Job, Outcome, Ready
from segmend.batch.table import Results
from segmend.core.image import Image
from segmend.core.prompts import Prompt
from segmend.core.segmenter import Method, Segmenter
from segmend.datasets.case import stacked
from segmend.errors import PromptError, SegmendError
from segmend.io.prompts import check_flat, placed
from segmend.methods import card, load

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
            segmenter = load(job.method, job.weights, device=job.device, precision=job.precision, dimensions=())
        except SegmendError as error:
            pipe.send(error)
            return
        pipe.send({"ready": time.perf_counter() - begun})
        results = Results(job.out)
        while (ready := _next(pipe)) is not None:
            outcome = outcome_of(ready, job, chosen, segmenter)
            results.add(outcome)
            with suppress(OSError):  # nobody is left to be told, but the mask is written
                pipe.send(outcome)


def _next(pipe: Connection) -> Ready | None:
    try:
        ready: Ready = pipe.recv()
    except (EOFError, OSError):
        return None
    return ready


def outcome_of(ready: Ready, job: Job, chosen: Method, segmenter: Segmenter) -> Outcome:
    """Return what comes of a case; whatever goes wrong is said in it."""
    files = tuple(map(str, ready.files))
    try:
        return _answer(ready, job, chosen, segmenter)
    except SegmendError as error:
        return Outcome(ready.case, "failed", files, method=job.method, error=" ".join(str(error).split()))
    except MemoryError:
        return Outcome(ready.case, "failed", files, method=job.method, error="It needs more memory than there is.")
    except Exception as error:  # a bug, which one case of a thousand may show
        traceback.print_exc()
        words = " ".join(f"{type(error).__name__}: {error}".split())
        return Outcome(ready.case, "failed", files, method=job.method, error=f"Segmend itself went wrong: {words}.")


def _answer(ready: Ready, job: Job, chosen: Method, segmenter: Segmenter) -> Outcome:
    begun = time.perf_counter()
    scan = stacked([saved.image() for saved in ready.images])
    start = None if ready.start is None else np.load(ready.start)
    if job.flat is not None:
        check_flat(scan, job.flat)
    steps = placed(ready.steps, scan)
    chosen.check([step for step in steps if isinstance(step, Prompt)])
    if not steps and not job.refine and (start is not None or not chosen.guesses):
        raise PromptError("It has no prompts, and the method finds nothing without one.")
    target = target_of(ready.case, scan, job)
    target.parent.mkdir(parents=True, exist_ok=True)
    dicom = target.name.lower().endswith(".dcm")
    source = io.dicom_source(ready.files[0]) if dicom else None
    write = io.mask_writer(target, scan, source=source, series=ready.series, anonymous=job.anonymous)
    opening = time.perf_counter()
    workspace = segmenter.open(scan).with_finetuning(job.finetune)
    opened = time.perf_counter()
    if job.refine and not steps:
        assert start is not None
        found = refine_masks(workspace, start, dict(workspace.labels) or {1: ready.name})
    else:
        found = answer_image(workspace, chosen, scan, steps, start, ready.name)
    answered = time.perf_counter()
    write(found.map, found.labels)
    seconds = {
        "read": ready.seconds + opening - begun,
        "open": opened - opening,
        "answer": answered - opened,
        "write": time.perf_counter() - answered,
    }
    return Outcome(
        ready.case,
        "done",
        image=tuple(map(str, ready.files)),
        out=str(target),
        method=job.method,
        seconds={name: round(value, 4) for name, value in seconds.items()},
        shape=scan.shape,
        labels=tuple(labels_of(found, scan)),
        finetuned=found.finetuned,
        notes=scan.notes,
    )


def target_of(case: str, scan: Image, job: Job) -> Path:
    """Return the file of a case's mask."""
    return job.out / f"{case}{job.ending or (PICTURE if scan.flat else VOLUME)}"
