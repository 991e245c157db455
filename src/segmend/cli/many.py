"""`segmend segment` of many images: each answered and written in its turn, and a table of what came."""

from __future__ import annotations

import glob
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import click

from segmend import io
from segmend.batch.answering import size_text
from segmend.batch.cases import BatchCase, Search, find_cases, with_prompts, with_start
from segmend.batch.job import Job, Outcome
from segmend.batch.run import check_images_stay, existing_mask, outcomes, reading_apart
from segmend.batch.spread import spread_outcomes
from segmend.batch.table import Results
from segmend.cli.words import Marks, cluster_option
from segmend.core.prompts import Prompt
from segmend.core.segmenter import Method
from segmend.datasets.folder import NAMES
from segmend.errors import ConflictError, FileError, PromptError, SettingsError
from segmend.io.apart import READ_SECONDS, Apart
from segmend.io.prompts import Unplaced
from segmend.methods import card, check_runs_on, check_weights
from segmend.runtime.cluster import Cluster
from segmend.runtime.engine import Device

# Endings of inputs that name others.
LISTS = (".csv", ".txt")
# Exit code when cases failed and the others are done.
SOME_FAILED = 1


def many_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that many images have."""
    options = (
        click.option(
            "--layout", type=click.Choice(NAMES),
            help="Many: how a folder is laid out; without it, it is found out by looking.",
        ),
        click.option(
            "--channels", metavar="_A,_B",
            help="Many: endings of the files that are channels of one case; _0000, _0001 ... are known.",
        ),
        click.option(
            "--format", "ending", metavar="SUFFIX",
            help="Many: what the masks end in; else .png for pictures, .nii.gz for volumes.",
        ),
        click.option("--refine", is_flag=True, help="Many: make the masks of --start better, without prompts."),
        click.option(
            "--workers", type=click.IntRange(1, 256), default=1, show_default=True,
            help="Many: processes that answer, each on its share of the processor.",
        ),
        cluster_option("Many: "),
        click.option("--skip-existing", is_flag=True, help="Many: leave masks that are there as they are, and go on."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True)
class Many:
    """What is said of many images beside what is said of one."""

    layout: str | None = None
    channels: str | None = None
    ending: str | None = None
    refine: bool = False
    workers: int = 1
    skip_existing: bool = False
    cluster: str | None = None

    def meant(self, inputs: Sequence[str], out: str) -> bool:
        """Tell whether masks go to a folder; SettingsError where a file is named and that cannot be.

        >>> Many().meant(["a.png"], "mask.png"), Many().meant(["a.png", "b.png"], "masks")
        (False, True)
        """
        if out.endswith(("/", "\\")) or Path(out).is_dir() or not Path(out).suffix:
            return True
        several = len(inputs) > 1 or any(
            text.lower().endswith(LISTS) or (glob.has_magic(text) and not Path(text).exists()) for text in inputs
        )
        if several or self != Many():
            raise SettingsError(f"Masks of many images need a folder, such as -o masks/; got {out}.")
        return False

    @property
    def suffix(self) -> str:
        """The ending of masks, one that can be written; "" where nothing is said."""
        return "" if self.ending is None else io.suffix_of(Path(f"mask.{self.ending.lstrip('.')}"), [*io.MASK_FORMATS])


def segment_many(
    inputs: Sequence[str], given: Many, job: Job, marks: Marks, start: str | None, *, force: bool, as_json: bool
) -> None:
    """Answer all cases that the inputs mean, and end with 1 where one failed."""
    job = replace(job, ending=given.suffix, refine=given.refine, flat=marks.flat_text)
    shared = replace(marks, file=None).steps()
    chosen = card(job.method, job.weights)
    _check(job, chosen, given, force=force)
    chosen.check([step for step in shared if isinstance(step, Prompt)])
    _make_folder(job.out)
    with _ended_as_by_hand(), reading_apart(job.out, READ_SECONDS) as apart:
        channels = tuple(part for part in (given.channels or "").split(",") if part)
        cases = find_cases(inputs, Search(apart, given.layout, channels, without=job.out))
        if marks.file is not None:
            cases = with_prompts(cases, Path(marks.file))
        if start is not None:
            cases = with_start(cases, Path(start))
        _check_begun(cases, chosen, job, prompted=bool(shared))
        check_images_stay(cases, job)
        there = {case.name: path for case in cases if (path := existing_mask(case.name, job)) is not None}
        if there and not (force or given.skip_existing):
            raise ConflictError(
                f"The file {next(iter(there.values()))} is there already; go on without it by --skip-existing, or "
                "write over it with --force."
            )
        todo = cases if force else [case for case in cases if case.name not in there]
        skipped = [] if force else [Outcome(name, "skipped", out=str(path)) for name, path in there.items()]
        results, found = Results(job.out), Counter[str]()
        known = results.known()
        for outcome in skipped:
            if known.get(outcome.case, {}).get("status") not in ("done", "skipped"):
                results.add(outcome)
        failed: list[Outcome] = []
        try:
            for outcome in chain(skipped, _outcomes(todo, job, apart, shared, given)):
                found[outcome.status] += 1
                failed += [outcome] if outcome.status == "failed" else []
                _say(outcome, as_json=as_json)
        finally:
            table = results.write_table()
    _say_all(cases, found, failed, table, as_json=as_json)
    if failed:
        click.get_current_context().exit(SOME_FAILED)


@contextmanager
def _ended_as_by_hand() -> Iterator[None]:
    """Have what a cluster or a service ends a command with (SIGTERM) leave as little behind as Ctrl+C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    own = os.getpid()

    def end(number: int, _: object) -> None:
        if os.getpid() != own:  # a copy that reads a file, which has nothing to put in order
            os._exit(128 + number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _outcomes(
    cases: Sequence[BatchCase], job: Job, apart: Apart, shared: Sequence[Unplaced], given: Many
) -> Iterator[Outcome]:
    """Yield what comes of each case: answered by processes here, or by a cluster."""
    if given.cluster is None:
        return outcomes(cases, job, apart, shared=shared, workers=given.workers)
    return spread_outcomes(cases, job, apart, Cluster(given.cluster, given.workers), shared=shared)


def _check(job: Job, chosen: Method, given: Many, *, force: bool) -> None:
    """Refuse what no case could be answered with."""
    check_runs_on(job.method, Device(job.device, job.precision))
    if job.weights is not None:
        check_weights(job.method, job.weights)
    if given.refine and not chosen.refines:
        raise SettingsError(
            f"{chosen.title} makes no mask better without a prompt, so --refine needs another --method, such as "
            "graphcut; got " + job.method + "."
        )
    if given.skip_existing and force:
        raise SettingsError("Masks that are there stay (--skip-existing) or are written over (--force); got both.")


def _check_begun(cases: Sequence[BatchCase], chosen: Method, job: Job, *, prompted: bool) -> None:
    """Refuse cases of which none says where its object is, to a method that needs it."""
    if job.refine and all(case.start is None for case in cases):
        raise SettingsError("--refine needs masks to make better: --start with a folder of them, named as the images.")
    started = any(case.start is not None for case in cases)
    if prompted or job.refine or (chosen.guesses and not started) or any(case.prompts for case in cases):
        return
    raise PromptError(
        "A segmentation needs at least one prompt, or weights of a task that finds its objects by itself: --prompts "
        "with a folder or a table, or --weights; got none."
    )


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"The folder {out} for masks could not be made: {error.strerror}.") from None


def _say(outcome: Outcome, *, as_json: bool) -> None:
    """Print a line on a case."""
    if as_json:
        click.echo(json.dumps(outcome.to_json()))
    elif outcome.status == "done":
        for note in outcome.notes:
            click.echo(f"{outcome.case}: {note}")
        seconds = sum((outcome.seconds or {}).get(part, 0) for part in ("open", "answer"))
        taught = ", fine-tuned to this image" if outcome.finetuned else ""
        click.echo(f"{outcome.out}: {'; '.join(map(_told, outcome.labels))}{taught}, in {seconds:.2f} s.")
    elif outcome.status == "failed":
        click.echo(f"{outcome.case}: {outcome.error}", err=True)


def _told(label: Any) -> str:
    quality = "" if label["quality"] is None else f", expected Dice {label['quality']:.2f}"
    return f"{label['name']}: {size_text(label['voxels'], label)}{quality}"


def _say_all(
    cases: Sequence[BatchCase], found: Counter[str], failed: Sequence[Outcome], table: Path, *, as_json: bool
) -> None:
    """Print what came of all cases, those that failed by name."""
    if as_json:
        counts = {status: found[status] for status in ("done", "skipped", "failed")}
        click.echo(json.dumps({"cases": len(cases), **counts, "table": str(table)}))
    else:
        already = f", {found['skipped']} were there already" if found["skipped"] else ""
        masks = f"{found['done']} mask{'' if found['done'] == 1 else 's'} written{already}"
        click.echo(f"{masks}; {table} has a row for each label.")
    if failed:
        click.echo(f"{len(failed)} of {len(cases)} cases failed:", err=True)
        for outcome in failed:
            click.echo(f"  {outcome.case}: {outcome.error}", err=True)
