"""Run a paper's experiment, keep every score as it comes, and judge the paper's claims by them.

The folder of a run:

    scores.csv       every score, a line each, on disk before the next one is asked for; a line that a
                     killed run left half written is dropped
    run.json         what the run was made with, which arms are complete under which seeds, and for which
                     seeds the whole experiment is
    ARM-SEED/ ...    whatever the experiment itself keeps there, such as trained weights

On a cluster each seed is run by one process as a whole, into the same folder, which all machines share; its scores are
kept here when it is done, and a seed whose process dies goes on in another one, where its training was.

A run that was stopped goes on: its scores are there, arms that were complete are not measured again, and training
resumes by itself. A run made with another effort, another limit or other data wants another folder.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from segmend.core.atomic import write_bytes
from segmend.errors import DiskFullError, FileError, SettingsError, StoreError
from segmend.papers.study.claims import Verdict, judge_all
from segmend.papers.study.experiment import Experiment, Pick, Plan, Score
from segmend.papers.study.official import SOURCES, found_sets, linked
from segmend.runtime.cluster import Cluster, LostError

COLUMNS = ("arm", "set", "case", "seed", "at", "dice", "seconds", "more", "spent")
Key = tuple[str, str, str, int, int]  # arm, set, case, seed, at


@dataclass(frozen=True)
class Reproduction:
    """An experiment as it went."""

    experiment: Experiment
    plan: Plan
    scores: tuple[Score, ...]
    verdicts: tuple[Verdict, ...]
    used: tuple[str, ...]  # data sets
    missing: tuple[str, ...]
    seconds: float  # of all runs into this folder, at least
    fresh: bool = True  # something was measured, rather than all of it by an earlier run

    def summary(self) -> dict[str, Any]:
        """Return what `segmend reproduce --json` prints, as plain JSON values."""
        return {
            "paper": self.experiment.paper,
            "seeds": list(self.plan.seeds),
            "effort": self.plan.effort,
            "limit": self.plan.limit,
            "sets": list(self.used),
            "missing": list(self.missing),
            "scores": len(self.scores),
            "seconds": round(self.seconds, 1),
            "claims": [asdict(verdict) for verdict in self.verdicts],
        }


def reproduce(experiment: Experiment, plan: Plan, cluster: Cluster | None = None) -> Reproduction:
    """Run what is not measured yet, here or on a cluster, and judge the claims by all scores of the folder."""
    _check(plan)
    there = found_sets(plan.data, experiment.sets)
    used, missing = tuple(there), tuple(name for name in experiment.sets if name not in there)
    if not used:
        wanted = " or ".join(experiment.sets)
        raise SettingsError(f"The experiment of {experiment.paper} needs {wanted}; {plan.data} has none of them.")
    for name in missing:
        plan.log(f"{name} is not in {plan.data}; the experiment goes without it. {_lacking(experiment, name)}")
    made_with = {"paper": experiment.paper, "effort": plan.effort, "limit": plan.limit, "sets": list(used)}
    made_with |= {} if plan.split == "val" else {"split": plan.split}
    book = Book(plan.out, made_with)
    plan = replace(plan, data=linked(plan.data, there, plan.out))
    fresh = not set(plan.seeds) <= book.complete
    if fresh:
        known = replace(plan, measured=book.measured(), done=book.finish)
        yielded = set()
        found = experiment.run(known) if cluster is None else _by_seeds(experiment, known, cluster)
        for score in found:
            yielded.add(book.add(score))
        book.conclude(plan.seeds, yielded)
    scores = book.scores
    verdicts = judge_all(experiment.claims, scores)
    return Reproduction(experiment, plan, scores, verdicts, used, missing, book.seconds, fresh)


@dataclass(frozen=True)
class _Done:
    """What a process made of one seed."""

    scores: tuple[Score, ...]
    finished: tuple[tuple[str, ...], ...]  # arms that were measured to their end
    said: tuple[str, ...]


def _by_seeds(experiment: Experiment, plan: Plan, cluster: Cluster) -> Iterator[Score]:
    """Yield the scores of all seeds as they are done; SettingsError at the end where a seed could not be done."""
    own = replace(plan, data=plan.data.resolve(), out=plan.out.resolve(), log=print, done=_nobody)
    items = [replace(own, seeds=(seed,)) for seed in plan.seeds]
    lost: list[str] = []
    for item, done in cluster.spread(items, _nothing, partial(_run_seed, experiment.run)):
        (seed,) = item.seeds
        if isinstance(done, LostError):
            lost.append(f"Seed {seed} was given up, for {done}.")
            continue
        for line in done.said:
            plan.log(line)
        yield from done.scores
        for arms in done.finished:
            plan.done(arms, seed)
    if lost:
        raise SettingsError(f"{' '.join(lost)} What the other seeds gave is kept; start again to go on.")


def _run_seed(run: Callable[[Plan], Iterator[Score]], _: None, plan: Plan) -> _Done:
    """Return what an experiment gives under one seed, in a process of a cluster."""
    said: list[str] = []
    finished: list[tuple[str, ...]] = []
    own = replace(plan, log=said.append, done=lambda arms, seed: finished.append(tuple(arms)))
    return _Done(tuple(run(own)), tuple(finished), tuple(said))


def _nothing() -> None:
    """Make nothing ready."""


def _nobody(arms: Sequence[str], seed: int) -> None:
    """Remember nothing."""


def _check(plan: Plan) -> None:
    if not plan.seeds or min(plan.seeds) < 0 or len(set(plan.seeds)) != len(plan.seeds):
        raise SettingsError(f"A reproduction needs one seed or more, each 0 or above and once; got {list(plan.seeds)}.")
    if not (math.isfinite(plan.effort) and plan.effort > 0):
        raise SettingsError(f"An effort needs to be above 0; got {plan.effort:g}.")
    if plan.limit is not None and plan.limit < 1:
        raise SettingsError(f"A limit needs to be 1 case or more; got {plan.limit}.")


def _lacking(experiment: Experiment, name: str) -> str:
    """Return what a set that is not there would add."""
    picks = [(claim, [pick for pick in vars(claim).values() if isinstance(pick, Pick)]) for claim in experiment.claims]
    named = sum(any(name in pick.sets for pick in some) for _, some in picks)
    general = sum(any(not pick.sets for pick in some) for _, some in picks)
    source = f"It is had as {SOURCES[name]} and" if name in SOURCES else "It"
    return f"{source} would add cases to {general} of the {len(picks)} claims and is named by {named}."


class Book:
    """The scores of a folder, in memory and on disk; the same measurement again replaces the earlier one."""

    def __init__(self, folder: Path, made_with: Mapping[str, Any]) -> None:
        self._path, self._about = folder / "scores.csv", folder / "run.json"
        self._made_with = dict(made_with)
        self._scores: dict[Key, Score] = {}
        self._finished: set[tuple[str, int]] = set()
        self.complete: set[int] = set()  # the seeds for which the whole experiment was run
        self._before, self._begun = 0.0, time.monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"The folder {folder} could not be made: {error.strerror}.") from None
        self._read_about()
        self._read_scores()

    @property
    def scores(self) -> tuple[Score, ...]:
        return tuple(self._scores.values())

    @property
    def seconds(self) -> float:
        return self._before + time.monotonic() - self._begun

    def measured(self) -> dict[tuple[str, int], tuple[Score, ...]]:
        """Return the scores of complete arms, by arm and seed."""
        return {
            (arm, seed): tuple(s for s in self.scores if (s.arm, s.seed) == (arm, seed))
            for arm, seed in sorted(self._finished)
        }

    def add(self, score: Score) -> Key:
        """Keep a score; it is on disk when this returns."""
        key = (score.arm, score.set, score.case, score.seed, score.at)
        if self._scores.get(key) != score:
            line = io.StringIO()
            csv.writer(line, lineterminator="\n").writerow(_row(score, self.seconds))
            try:
                with self._path.open("a", encoding="utf-8", newline="") as file:
                    file.write(line.getvalue())
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                kind = DiskFullError if error.errno == errno.ENOSPC else StoreError
                raise kind(f"A score could not be kept: {error.strerror}; start again to go on.") from None
        self._scores.pop(key, None)  # the order is that of the newest run
        self._scores[key] = score
        return key

    def finish(self, arms: Sequence[str], seed: int) -> None:
        """Remember that these arms were measured to their end under this seed."""
        self._finished |= {(arm, seed) for arm in arms}
        self._write_about()

    def conclude(self, seeds: Sequence[int], yielded: set[Key]) -> None:
        """Remember that the experiment ended by itself, and forget what an older one gave under these seeds."""
        self._scores = {k: s for k, s in self._scores.items() if k in yielded or s.seed not in seeds}
        self._write_scores()
        self.complete |= set(seeds)
        self._before, self._begun = self.seconds, time.monotonic()
        self._write_about()

    def _read_about(self) -> None:
        if not self._about.exists():
            self._write_about()
            return
        try:
            record = json.loads(self._about.read_text(encoding="utf-8"))
            made_with = record["made_with"]
            self._finished = {(str(arm), int(seed)) for arm, seed in record["finished"]}
            self.complete = {int(seed) for seed in record["complete"]}
            self._before = float(record["seconds"])
        except (OSError, ValueError, TypeError, KeyError):
            raise FileError(f"{self._about} could not be read; move it away, or write to another folder.") from None
        for name, value in {"split": None, **self._made_with}.items():
            if made_with.get(name) != value:
                raise SettingsError(
                    f"{self._about.parent} holds a run with another {name.removesuffix('s')} "
                    f"({_said(made_with.get(name))}, now {_said(value)}); write to another folder."
                )

    def _write_about(self) -> None:
        record = {
            "made_with": self._made_with,
            "finished": [list(pair) for pair in sorted(self._finished)],
            "complete": sorted(self.complete),
            "seconds": round(self.seconds, 1),
        }
        write_bytes(self._about, (json.dumps(record, indent=1) + "\n").encode())

    def _read_scores(self) -> None:
        """Read the scores; a last line without an end is one that a killed run was writing."""
        if not self._path.exists():
            self._write_scores()
            return
        text = self._path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        try:
            lines = list(csv.DictReader(io.StringIO(whole)))
            for line in lines:
                score = _score(line)
                self._scores[score.arm, score.set, score.case, score.seed, score.at] = score
                self._before = max(self._before, float(line["spent"]))
        except (KeyError, TypeError, ValueError):
            raise FileError(f"{self._path} is damaged; move it away, or write to another folder.") from None
        if whole != text:
            write_bytes(self._path, whole.encode())

    def _write_scores(self) -> None:
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(_row(score, self.seconds) for score in self.scores)
        write_bytes(self._path, text.getvalue().encode())


def _said(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _row(score: Score, spent: float) -> list[Any]:
    seconds = "" if score.seconds is None else repr(float(score.seconds))
    more = json.dumps({name: float(value) for name, value in score.more.items()}) if score.more else ""
    return [
        *(score.arm, score.set, score.case, int(score.seed), int(score.at), repr(float(score.dice))),
        *(seconds, more, f"{spent:.1f}"),
    ]


def _score(line: Mapping[str, str]) -> Score:
    return Score(
        line["arm"],
        line["set"],
        line["case"],
        float(line["dice"]),
        int(line["seed"]),
        int(line["at"]),
        float(line["seconds"]) if line["seconds"] else None,
        json.loads(line["more"]) if line["more"] else {},
    )
