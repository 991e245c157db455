"""Play every object of data sets with a robot and a method, and report how good the masks became.

Each object starts from an empty mask and gets up to `interactions` prompts through `play.rounds`, the
loop that everybody uses. When the robot is content early, its last mask stands for the interactions
that were left. A method that reads the image's channels gets all images of a case as channels; one
that refuses to open them so gets the first image alone.

What is reported, a set at a time:

    dice, nsd                the mean over objects after 1, 3, 5, 10 ... interactions; NSD at 2 mm,
                             which is 2 pixels in a picture without a physical size
    noc, failures            interactions to a Dice of 0.85, a failure counted as the limit; failures
    seconds_per_interaction  the method's answers only, without the robot, opening or measuring
    seconds_to_open          until a case could be prompted, the mean over cases
    lowered                  the share of interactions after the first that lowered Dice by more than .01
    worse_at_last            objects whose last Dice is lower than their first
    quality_error, quality_r how far the Dice that the method expects lies from the true one, and how they go
                             together, over all answers that tell; nothing where none does
    peak_mb                  the largest memory of a process that played, libraries included

and their mean over the sets, each set counting once (cases, objects, failures and worse_at_last are
sums, peak_mb the largest). A case that cannot be played is named under `problems` with the reason; nothing of it
counts, and the others go on.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from segmend import methods
from segmend.core.image import MaskArray
from segmend.core.masks import dice
from segmend.core.segmenter import Segmenter, Workspace
from segmend.datasets.case import LEAST_PIXELS, LEAST_VOXELS
from segmend.datasets.folder import Case, Example, sets
from segmend.errors import SegmendError, SettingsError, UserError
from segmend.evaluation.metrics import (
    TOLERANCE_MM,
    QualityAgreement,
    auc,
    effort,
    pad_to,
    quality_agreement,
    share_lowered,
)
from segmend.evaluation.surface_distance import surfaces
from segmend.runtime.cluster import Cluster, LostError
from segmend.runtime.engine import Device
from segmend.users import user as robot
from segmend.users.human import ScribblePlayer
from segmend.users.play import User, rounds

MILESTONES = (1, 3, 5, 10, 20)
TARGETS = (0.85,)  # Dice values whose number of clicks (NoC) is reported

Merge = tuple[int, ...]  # labels that are one object together; none for all of them
Progress = Callable[[int, int, str], None]  # cases done, cases in all, the name of the last one


@dataclass(frozen=True)
class Curve:
    """One object's game; one value for every interaction, played or padded."""

    set: str
    case: str
    object: int  # its label value
    voxels: int
    played: int  # interactions before the robot was content
    dice: tuple[float, ...]
    nsd: tuple[float, ...]
    seconds: tuple[float, ...]  # of the interactions played
    hd95_mm: float  # of the last mask
    assd_mm: float
    quality: tuple[float | None, ...] = ()  # the Dice that the method expected after the interactions played

    @property
    def dice_auc(self) -> float | None:
        """The challenge's area under the last five values; None when there are fewer."""
        return auc(self.dice) if len(self.dice) >= 5 else None

    @property
    def nsd_auc(self) -> float | None:
        return auc(self.nsd) if len(self.nsd) >= 5 else None


@dataclass(frozen=True)
class Problem:
    """A case that could not be played, and why."""

    set: str
    case: str
    reason: str


@dataclass(frozen=True)
class CaseResult:
    """All games of one case."""

    set: str
    case: str
    curves: tuple[Curve, ...]
    seconds_to_open: float
    peak_mb: float | None  # None where the system does not tell


@dataclass(frozen=True)
class Report:
    """Everything that was played; `summary` is what `segmend evaluate --json` prints."""

    method: str
    user: str
    interactions: int
    cases: tuple[CaseResult, ...]
    problems: tuple[Problem, ...] = ()
    split: str = ""
    seed: int = 0
    targets: tuple[float, ...] = field(default=TARGETS)

    @property
    def curves(self) -> tuple[Curve, ...]:
        return tuple(curve for case in self.cases for curve in case.curves)

    @property
    def milestones(self) -> tuple[int, ...]:
        return tuple(sorted({m for m in MILESTONES if m <= self.interactions} | {self.interactions}))

    @property
    def sets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([case.set for case in self.cases] + [problem.set for problem in self.problems]))

    def summary(self) -> dict[str, Any]:
        """Return the report as plain JSON values; `problems` is there only when there are any."""
        found = {name: self._of([case for case in self.cases if case.set == name]) for name in self.sets}
        values: dict[str, Any] = {"method": self.method, "user": self.user, "sets": found}
        values["mean"] = _overall(list(found.values()))
        if self.problems:
            values["problems"] = [{"set": p.set, "case": p.case, "reason": p.reason} for p in self.problems]
        return values

    def _of(self, cases: list[CaseResult]) -> dict[str, Any]:
        curves = [curve for case in cases for curve in case.curves]
        seconds = [second for curve in curves for second in curve.seconds]
        efforts = {
            str(target): effort([c.dice for c in curves], target, limit=self.interactions) if curves else None
            for target in self.targets
        }
        return {
            "cases": len(cases),
            "objects": len(curves),
            "dice": {str(m): _mean(curve.dice[m - 1] for curve in curves) for m in self.milestones},
            "nsd": {str(m): _mean(curve.nsd[m - 1] for curve in curves) for m in self.milestones},
            "noc": {target: round(e.noc, 5) if e else None for target, e in efforts.items()},
            "failures": {target: e.failures if e else 0 for target, e in efforts.items()},
            "seconds_per_interaction": _mean(seconds),
            "seconds_to_open": _mean(case.seconds_to_open for case in cases),
            **harm_and_quality(curves),
            "peak_mb": max((case.peak_mb for case in cases if case.peak_mb is not None), default=None),
        }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _rounded(float(np.mean(known))) if known else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def harm_and_quality(curves: Sequence[Curve]) -> dict[str, Any]:
    """Return what interactions spoiled and how well the method knew its own Dice, as the summary tells it."""
    known = agreement_of(curves)
    return {
        "lowered": _rounded(share_lowered([curve.dice[: curve.played] for curve in curves])),
        "worse_at_last": sum(curve.dice[-1] < curve.dice[0] for curve in curves),
        "quality_error": _rounded(known.error if known else None),
        "quality_r": _rounded(known.r if known else None),
    }


def agreement_of(curves: Iterable[Curve]) -> QualityAgreement | None:
    """Return how far the Dice that was expected lies from the true one, over all answers that tell what they expect."""
    pairs = [pair for curve in curves for pair in zip(curve.quality, curve.dice, strict=False) if pair[0] is not None]
    return quality_agreement([float(expected or 0) for expected, _ in pairs], [true for _, true in pairs])


def _overall(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean over sets; counts are sums and peak_mb is the largest."""
    if not found:
        return {}

    def over(key: str) -> dict[str, float | None]:
        return {inner: _mean(one[key][inner] for one in found) for inner in found[0][key]}

    return {
        "cases": sum(one["cases"] for one in found),
        "objects": sum(one["objects"] for one in found),
        "dice": over("dice"),
        "nsd": over("nsd"),
        "noc": over("noc"),
        "failures": {target: sum(one["failures"][target] for one in found) for target in found[0]["failures"]},
        **{key: _mean(one[key] for one in found) for key in ("seconds_per_interaction", "seconds_to_open", "lowered")},
        "worse_at_last": sum(one["worse_at_last"] for one in found),
        **{key: _mean(one[key] for one in found) for key in ("quality_error", "quality_r")},
        "peak_mb": max((one["peak_mb"] for one in found if one["peak_mb"] is not None), default=None),
    }


def evaluate(
    data: Path,
    method: str,
    user: str,
    *,
    interactions: int = 10,
    split: str = "val",
    workers: int = 1,
    limit: int | None = None,
    objects: int | None = None,
    seed: int = 0,
    names: Sequence[str] = (),
    weights: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    merge: Sequence[Merge] = (),
    progress: Progress | None = None,
    cluster: str | None = None,
) -> Report:
    """Return how a method fares with a robot on the data sets in a folder.

    `limit` is the most cases of each set, `objects` the most objects of a case, `workers` the number of processes; one
    plays here. `names` are the sets to play, none for all; `weights` is a folder that `segmend train` made, in place
    of those in the package; `device` and `precision` are those of `methods.load`. With `merge` the objects are these
    labels together, such as (1, 2, 4) for a whole tumour and (1, 4) for its core; an empty one is all labels.
    Where a `cluster` is named (`runtime.cluster`) the workers are its processes, which find the data at the same place.
    """
    if interactions < 1:
        raise SettingsError(f"An evaluation needs 1 interaction or more; got {interactions}.")
    if objects is not None and objects < 1:
        raise SettingsError(f"An evaluation needs 1 object of a case or more; got {objects}.")
    if workers < 1:
        raise SettingsError(f"An evaluation needs 1 worker or more; got {workers}.")
    player = robot(user, seed)
    card = methods.card(method)
    if not set(player.kinds) <= set(card.prompts):
        raise SettingsError(
            f"The user {user!r} puts down {' and '.join(player.kinds)}; {method!r} takes {', '.join(card.prompts)}."
        )
    if weights is not None:
        methods.check_weights(method, weights)
    methods.check_runs_on(method, Device(device, precision))
    load = partial(methods.load, method, weights, device=device, precision=precision)
    found = {one.name: one for one in sets(Path(data), split, limit=limit)}
    if wrong := [name for name in names if name not in found]:
        raise SettingsError(f"There is no set {wrong[0]!r} with a split {split!r}; there are {', '.join(found)}.")
    jobs = [
        Job(name, case, load, player, interactions, objects, tuple(merge))
        for name in (names or found)
        for case in found[name].cases
    ]
    results = list(run(jobs, workers=workers, progress=progress, cluster=cluster))
    return Report(
        method,
        user,
        interactions,
        tuple(r for r in results if isinstance(r, CaseResult)),
        tuple(r for r in results if isinstance(r, Problem)),
        split,
        seed,
    )


@dataclass(frozen=True)
class Job:
    """One case to play; it can be sent to another process."""

    set: str
    case: Case
    load: Callable[..., Segmenter]  # with `warm` as `methods.load` has it
    user: User
    interactions: int
    objects: int | None = None  # of the case, at most
    merge: tuple[Merge, ...] = ()


def objects_of(example: Example, merge: Sequence[Merge], most: int | None = None) -> Iterator[tuple[int, MaskArray]]:
    """Yield the objects of a case with a number each: each label, or those labels that are merged, by their smallest.

    >>> from segmend.core.image import Image
    >>> image = Image(np.zeros((1, 1, 8, 9)))
    >>> labels = np.zeros((1, 8, 9), np.uint16); labels[0, :4], labels[0, 4:, :5] = 2, 4
    >>> [(v, int(m.sum())) for v, m in objects_of(Example(image, image, labels), [(), (4,)])]
    [(1, 56), (4, 20)]
    """
    if not merge:
        yield from example.objects(most)
        return
    least = LEAST_PIXELS if example.image.flat else LEAST_VOXELS
    for values in merge[:most]:
        truth = np.isin(example.labels, values) if values else np.asarray(example.labels > 0)
        if np.count_nonzero(truth) >= least:
            yield min(values, default=1), truth


def run(
    jobs: list[Job], *, workers: int = 1, progress: Progress | None = None, cluster: str | None = None
) -> Iterator[CaseResult | Problem]:
    """Yield the result of every job, in the order of the jobs."""
    tell = progress or (lambda done, total, name: None)
    if workers == 1 and cluster is None:
        for done, job in enumerate(jobs, start=1):
            result = play_case(job)
            tell(done, len(jobs), f"{job.set}/{job.case.name}")
            yield result
        return
    results: dict[int, CaseResult | Problem] = {}

    def keep(number: int, result: CaseResult | Problem) -> None:
        results[number] = result
        tell(len(results), len(jobs), f"{jobs[number].set}/{jobs[number].case.name}")

    if cluster is not None:
        for (number, job), found in Cluster(cluster, workers).spread(enumerate(jobs), _nothing, _play_one):
            keep(number, _problem(job, str(found)) if isinstance(found, LostError) else found)
        yield from (results[number] for number in range(len(jobs)))
        return
    # When a worker dies (killed for memory, a crash in a library) its whole pool is lost with it. What
    # was not finished is then played one case a process, so that only the culprit fails.
    for number, result in _pooled(jobs, range(len(jobs)), workers):
        keep(number, result)
    for left in [number for number in range(len(jobs)) if number not in results]:
        alone = dict(_pooled(jobs, [left], 1))
        keep(left, alone.get(left) or _problem(jobs[left], "its process died; it may have run out of memory"))
    yield from (results[number] for number in range(len(jobs)))


def _pooled(jobs: list[Job], numbers: Iterable[int], workers: int) -> Iterator[tuple[int, CaseResult | Problem]]:
    """Yield results as they come; stops early when a worker dies."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting: Mapping[Future[CaseResult | Problem], int] = {pool.submit(play_case, jobs[n]): n for n in numbers}
        for future in as_completed(waiting):
            try:
                yield waiting[future], future.result()
            except BrokenProcessPool:
                continue


def _nothing() -> None:
    """Make nothing ready: a process keeps the method that its first case loads."""


def _play_one(_: None, numbered: tuple[int, Job]) -> CaseResult | Problem:
    return play_case(numbered[1])


def play_case(job: Job) -> CaseResult | Problem:
    """Play all objects of one case; whatever goes wrong in it becomes a Problem."""
    try:
        _forget_peak()
        example = job.case.read()
        segmenter = job.load(warm=[2 if example.image.flat else 3])
        begun = time.perf_counter()
        workspace = _open(segmenter, example)
        opened = time.perf_counter() - begun
        player = _player(job, example)
        curves = tuple(
            _curve(job, player(value), value, truth, workspace, example)
            for value, truth in objects_of(example, job.merge, job.objects)
        )
        return CaseResult(job.set, job.case.name, curves, opened, peak_mb())
    except SegmendError as error:
        return _problem(job, str(error))
    except Exception as error:  # a method's own bug must not cost the other cases
        return _problem(job, f"{type(error).__name__}: {error}")


def _problem(job: Job, reason: str) -> Problem:
    return Problem(job.set, job.case.name, reason)


def _open(segmenter: Segmenter, example: Example) -> Workspace:
    """Open all images of a case as channels or, where the method refuses, the first one."""
    if example.image is example.first:
        return segmenter.open(example.image)
    try:
        return segmenter.open(example.image)
    except UserError:
        return segmenter.open(example.first)


def _player(job: Job, example: Example) -> Callable[[int], User]:
    """Return the robot for each label value; one that plays what a person did gets the case's scribbles."""
    user = job.user
    if not isinstance(user, ScribblePlayer):
        return lambda value: user
    scribbles = job.case.scribbles(example.image)
    return lambda value: user.of(scribbles, value)


def _curve(job: Job, user: User, value: int, truth: MaskArray, workspace: Workspace, example: Example) -> Curve:
    spacing = example.image.spacing
    overlaps, shares, seconds, expected = [], [], [], []
    mask = np.zeros_like(truth)
    apart = surfaces(truth, mask, spacing)
    for turn in rounds(user, workspace, truth, interactions=job.interactions):
        mask = turn.mask
        apart = surfaces(truth, mask, spacing)
        overlaps.append(dice(truth, mask))
        shares.append(apart.nsd(TOLERANCE_MM))
        seconds.append(turn.seconds)
        expected.append(turn.quality)
    return Curve(
        job.set,
        job.case.name,
        value,
        int(np.count_nonzero(truth)),
        len(seconds),
        tuple(pad_to(overlaps or [dice(truth, mask)], job.interactions)),  # of the empty one where nothing was put down
        tuple(pad_to(shares or [apart.nsd(TOLERANCE_MM)], job.interactions)),
        tuple(seconds),
        apart.hausdorff(95),
        apart.assd(),
        tuple(expected),
    )


def _forget_peak() -> None:
    """Let Linux count this process's largest memory anew; elsewhere it stays that of its whole life."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_mb() -> float | None:
    """Return the largest memory of this process in MB (10^6 bytes), None where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return _lifetime_peak_mb()
    peak = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")), None)
    return _lifetime_peak_mb() if peak is None else round(int(peak) * 1024 / 1e6, 1)


def _lifetime_peak_mb() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
