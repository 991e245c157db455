"""Play the same objects through every method that can, with the same robot or each with its own, and compare them.

Each method plays in a process of its own, so its memory and its time are its own. A method takes part in the sets
that it can open, pictures or volumes, when it can take every prompt that the robot puts down; one that cannot is
named with the reason. With a folder to write to, each method's games are kept in `methods/METHOD.json` as it ends,
and a comparison that is started again with the same settings plays only what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from segmend import methods
from segmend.core.atomic import write_bytes
from segmend.core.segmenter import Method
from segmend.datasets.folder import DataSet, sets
from segmend.errors import FileError, SegmendError, SettingsError
from segmend.evaluation.evaluate import CaseResult, Curve, Problem, Report, evaluate
from segmend.evaluation.significance import Difference, difference
from segmend.runtime.cluster import Cluster, LostError
from segmend.users import user as robot

ALL, SYSTEMS = "all", "systems"  # all methods, and all with their variants
OWN = "own"  # each method with the robot that its card names
PICTURES, VOLUMES = "pictures", "volumes"
KINDS = {PICTURES: 2, VOLUMES: 3}  # the dimensions of each, as cards name them

Log = Callable[[str], None]


@dataclass(frozen=True)
class Standing:
    """How a method did on the sets of one kind, beside the best of them."""

    method: str
    report: Report  # of these sets alone
    values: Mapping[str, Any]  # its summary's mean over sets
    versus: Difference | None  # its last Dice minus the best method's, object by object; None for the best itself


@dataclass(frozen=True)
class Comparison:
    """All reports, which sets hold pictures and which volumes, and who could not take part."""

    user: str
    interactions: int
    split: str
    limit: int | None
    seed: int
    kinds: Mapping[str, str]  # by set
    reports: Mapping[str, Report]  # by method
    absent: Mapping[str, str]  # by method, why
    unreadable: tuple[str, ...] = ()  # sets without a case that can be read

    def standings(self, kind: str) -> tuple[Standing, ...]:
        """Return who played pictures, or volumes, best first.

        The best is the one with the highest Dice after the last interaction among those that played the most
        objects; the others are measured against it on the objects that both played.
        """
        mine = [name for name, of in self.kinds.items() if of == kind]
        parts = {method: only(report, mine) for method, report in self.reports.items()}
        played = {method: part for method, part in parts.items() if part.curves}
        if not played:
            return ()
        values = {method: part.summary()["mean"] for method, part in played.items()}
        last = {method: values[method]["dice"][str(self.interactions)] for method in played}
        most = max(len(part.curves) for part in played.values())
        best = max((m for m in played if len(played[m].curves) == most), key=lambda m: last[m])
        order = sorted(played, key=lambda m: (m != best, -last[m], m))
        return tuple(
            Standing(m, played[m], values[m], None if m == best else against(played[m], played[best])) for m in order
        )

    def summary(self) -> dict[str, Any]:
        """Return what `segmend compare --json` prints, as plain JSON values."""
        ranks = {kind: {one.method: _to_json(one) for one in self.standings(kind)} for kind in KINDS}
        return {
            "user": self.user,
            "interactions": self.interactions,
            "split": self.split,
            "limit": self.limit,
            "sets": dict(self.kinds),
            **ranks,
            "absent": dict(self.absent),
            "problems": [{"method": m, **asdict(p)} for m, report in self.reports.items() for p in report.problems],
        }


def _to_json(one: Standing) -> dict[str, Any]:
    return {**one.values, "versus_best": asdict(one.versus) if one.versus else None}


def only(report: Report, names: Sequence[str]) -> Report:
    """Return the part of a report that is about these sets."""
    cases = tuple(case for case in report.cases if case.set in names)
    return replace(report, cases=cases, problems=tuple(p for p in report.problems if p.set in names))


def against(this: Report, best: Report) -> Difference | None:
    """Return how much higher the last Dice of one method is than another's, on the objects that both played."""
    these, those = _last(this), _last(best)
    shared = [key for key in these if key in those]
    return difference([these[k] for k in shared], [those[k] for k in shared]) if shared else None


def _last(report: Report) -> dict[tuple[str, str, int], float]:
    return {(curve.set, curve.case, curve.object): curve.dice[-1] for curve in report.curves}


def compare(
    data: Path,
    chosen: Sequence[str] = (ALL,),
    user: str = "click",
    *,
    interactions: int = 5,
    split: str = "val",
    limit: int | None = None,
    workers: int = 1,
    seed: int = 0,
    out: Path | None = None,
    log: Log = lambda line: None,
    cluster: str | None = None,
) -> Comparison:
    """Return how the chosen methods fare with one robot; `workers` of them play side by side.

    Only one at a time (the default) has the machine to itself, as times need. Where a `cluster` is named each plays in
    one of its processes, which find the data at the same place.
    """
    play_apart = (
        _play_in_process if cluster is None else partial(_play_in_cluster, Cluster(cluster, beside=workers - 1))
    )
    if interactions < 1 or workers < 1:
        raise SettingsError(f"A comparison needs 1 interaction and 1 worker or more; got {interactions} and {workers}.")
    cards = _chosen(chosen)
    robots = {card.id: card.robot if user == OWN else user for card in cards}
    wanted = {name: robot(name, seed).kinds for name in {*robots.values(), *(() if user == OWN else (user,))}}
    found = sets(Path(data), split, limit=limit)
    read = {one.name: _kind(one) for one in found}
    kinds = {name: kind for name, kind in read.items() if kind}
    refused = {card.id: _reason_absent(card, wanted[robots[card.id]], kinds) for card in cards}
    absent = {method: why for method, why in refused.items() if why}
    asked = {
        card.id: MethodRun(
            Path(data),
            card.id,
            robots[card.id],
            interactions,
            split,
            limit,
            seed,
            {one.name: [case.name for case in one.cases] for one in found if _takes(card, kinds.get(one.name))},
        )
        for card in cards
        if card.id not in absent
    }
    reports: dict[str, Report] = {}
    with ThreadPoolExecutor(workers) as pool:
        for method, answer in zip(
            asked, pool.map(lambda q: _run_method(q, out, log, play_apart), asked.values()), strict=True
        ):
            if isinstance(answer, Report):
                reports[method] = answer
            else:
                absent[method] = answer
    unreadable = tuple(name for name, kind in read.items() if kind is None)
    return Comparison(user, interactions, split, limit, seed, kinds, reports, absent, unreadable)


def _chosen(names: Sequence[str]) -> tuple[Method, ...]:
    if SYSTEMS in names:
        found = methods.cards()
        return tuple(one for card in found for one in (card, *(card.of_variant(name) for name, _ in card.variants)))
    return methods.cards() if ALL in names else tuple(methods.card(name) for name in dict.fromkeys(names))


def _kind(one: DataSet) -> str | None:
    """Return what a set holds, by its first case that can be read."""
    for case in one.cases:
        try:
            return PICTURES if case.read().image.flat else VOLUMES
        except SegmendError:
            continue
    return None


def _takes(card: Method, kind: str | None) -> bool:
    return kind is not None and KINDS[kind] in card.dimensions


def _reason_absent(card: Method, wanted: Sequence[str], kinds: Mapping[str, str]) -> str:
    """Return why a method cannot take part, as far as its card says; nothing when it can."""
    if lacking := [kind for kind in wanted if kind not in card.prompts]:
        return f"It takes {', '.join(card.prompts)}; the robot puts down {' and '.join(lacking)}."
    if not any(_takes(card, kind) for kind in kinds.values()):
        there = " and ".join(sorted(set(kinds.values()))) or "nothing that can be read"
        return f"It takes {' and '.join(f'{n}D' for n in card.dimensions)} images; the data hold {there}."
    return ""


@dataclass(frozen=True)
class MethodRun:
    """What one method is to play; it can be sent to another process."""

    data: Path
    method: str
    user: str
    interactions: int
    split: str
    limit: int | None
    seed: int
    cases: Mapping[str, Sequence[str]]  # of each set

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values, without the place of the data."""
        return {name: value for name, value in asdict(self).items() if name != "data"}


def _run_method(
    run: MethodRun, out: Path | None, log: Log, play_apart: Callable[[MethodRun], Report | str]
) -> Report | str:
    """Return a method's games, from an earlier comparison where that asked the same, or why there are none."""
    path = out / "methods" / f"{run.method}.json" if out else None
    if path and (kept := _load_saved(path, run)):
        log(f"{run.method}: kept from an earlier run")
        return kept
    log(f"{run.method} plays ...")
    answer = play_apart(run)
    if isinstance(answer, str):
        log(f"{run.method} does not take part: {answer}")
        return answer
    if not answer.curves:
        reason = answer.problems[0].reason if answer.problems else "no case holds an object that is large enough"
        return f"It could play no case: {reason.removesuffix('.')}."
    if path:
        _save(path, run, answer)
    last = answer.summary()["mean"]["dice"][str(run.interactions)]
    log(f"{run.method}: Dice {last:.3f} over {len(answer.curves)} objects")
    return answer


def _play_in_process(run: MethodRun) -> Report | str:
    """Play in a process that nothing else ran in."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(play, run).result()
        except BrokenProcessPool:
            return "Its process died; it may have run out of memory."


def _play_in_cluster(cluster: Cluster, run: MethodRun) -> Report | str:
    """Play in a process of a cluster that nothing else ran in."""
    ((_, answer),) = cluster.spread([run], _nothing, _play)
    return f"It could play no case: {answer}." if isinstance(answer, LostError) else answer


def _nothing() -> None:
    """Make nothing ready: what is played is loaded then."""


def _play(_: None, run: MethodRun) -> Report | str:
    return play(run)


def play(run: MethodRun) -> Report | str:
    """Return a method's games, or why it cannot be loaded."""
    try:
        methods.load(run.method)
    except SegmendError as error:
        return str(error)
    except Exception as error:  # a method's own bug must not cost the others
        return f"{type(error).__name__}: {error}"
    return evaluate(
        run.data,
        run.method,
        run.user,
        interactions=run.interactions,
        split=run.split,
        limit=run.limit,
        seed=run.seed,
        names=tuple(run.cases),
    )


def _save(path: Path, run: MethodRun, report: Report) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"The folder {path.parent} could not be made: {error.strerror}.") from None
    write_bytes(path, (json.dumps({"asked": run.to_json(), "report": asdict(report)}) + "\n").encode())


def _load_saved(path: Path, run: MethodRun) -> Report | None:
    """Return the kept report, None when there is none that is of this very run."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["asked"] != json.loads(json.dumps(run.to_json())):
            return None
        return report_from(values["report"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # it is played again


def report_from(values: Mapping[str, Any]) -> Report:
    """Return a report from its JSON values, as `dataclasses.asdict` gives them."""
    cases = tuple(CaseResult(**{**case, "curves": tuple(map(_curve, case["curves"]))}) for case in values["cases"])
    problems = tuple(Problem(**problem) for problem in values["problems"])
    return Report(**{**values, "cases": cases, "problems": problems, "targets": tuple(values["targets"])})


def _curve(values: Mapping[str, Any]) -> Curve:
    return Curve(**{**values, **{name: tuple(values[name]) for name in ("dice", "nsd", "seconds", "quality")}})
