"""A site's accepted cases improve mend's weights, and replace them only when a robot finds the new ones better.

A round goes like this:

1. Every case is put, by a hash of its image, among those to learn from or those to check on. It stays there
   whatever other cases come, so nothing is ever checked on what it, or weights before it, learned from.
2. Mend's networks learn on from the weights in use, at a low rate, from the site's cases, from drawn scenes and, where
   they are at hand, from the data sets that were learned from before.
3. A robot plays the cases to check on, and drawn scenes that were never learned from, with both weights (`trial`).
4. If the rule says so, the new weights are installed as a new version (`versions`); a report is written anyway.

What a round has come to lies in OUT/rounds/ID; ID follows from the weights in use, the cases and the settings, so a
round that was killed goes on and one that has ended is not done again. This is not `segmend.solvers.finetune`, which
fine-tunes the last layers to one image while a person works on it, and forgets it with the image.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from segmend import __version__
from segmend.continual.trial import Rule, Trials, drawn_scenes, trial
from segmend.core.atomic import write_bytes
from segmend.core.image import Image, LabelMap
from segmend.datasets.case import Case, Example
from segmend.datasets.folder import look, sets
from segmend.errors import FileError, ModelError, SegmendError, SettingsError
from segmend.learning.progress import Progress
from segmend.learning.subjects import Subject
from segmend.mend import method as mend
from segmend.methods import check_weights
from segmend.report import improvement
from segmend.runtime import versions
from segmend.runtime.engine import weights_file

METHOD = mend.METHOD.id
KINDS = {2: "pictures", 3: "volumes"}  # the kind of image by the dimensions of its networks
CHECK_SHARE = 1 / 3  # the share of cases that are held out to check on
MIN_LEARNED = 3  # cases to learn from that a kind of image needs
MIN_CHECKED = 3  # held-out cases that a kind of image needs
# The settings of mend's recipe for a round, by dimensions: a low learning rate and few steps.
DEFAULTS: Mapping[int, Mapping[str, Any]] = {
    2: {"steps": 300, "rate": 2e-4, "batch": 16, "synthetic": 0.4, "regions": 0.05, "pasted": 0.05},
    3: {"steps": 300, "rate": 1.5e-4, "batch": 4, "synthetic": 0.4, "regions": 0.05, "pasted": 0.05},
}
LOOP = {"every": 50, "exam": 8}  # settings of the training loop: checkpoints are more frequent than in a long run
# Settings that follow from the cases and the weights, so that nobody may choose them.
FIXED = ("dimensions", "start", "sets", "widths", "light", "patience", "task", "labels", "names", "absent")
WEIGHT_FILES = tuple(f"mend{d}d*.{suffix}" for d in KINDS for suffix in ("onnx", "npz", "json"))
REPORT, STEPS = "report.json", "steps.json"
LEARN, CHECK = "learn", "check"
REPLAY_CHECKED = 12  # held-out cases of earlier data sets

Log = Callable[[str], None]


@dataclass(frozen=True)
class SurveyedCase:
    """An accepted case, hashes of its image and labels, and whether it is learned from or checked on."""

    case: Case
    title: str
    image_hash: str
    labels_hash: str
    dimensions: int  # of the networks that answer it
    part: str  # LEARN or CHECK

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {"id": self.case.name, "name": self.title, "image": self.image_hash, "labels": self.labels_hash,
                "kind": KINDS[self.dimensions], "part": self.part}  # fmt: skip


@dataclass(frozen=True)
class Survey:
    """The cases that can be used, and why others cannot."""

    seen: tuple[SurveyedCase, ...]
    left_out: Mapping[str, str]

    def of(self, dimensions: int, part: str) -> list[SurveyedCase]:
        return [one for one in self.seen if (one.dimensions, one.part) == (dimensions, part)]


@dataclass(frozen=True)
class Outcome:
    """What came of a round."""

    installed: bool
    said: str  # the decision, as a sentence for the user
    report: Mapping[str, Any]  # what report.json holds
    folder: Path  # of the report
    again: bool = False  # True where an earlier run had decided it


def improve(
    cases: Sequence[Case],
    out: Path,
    *,
    weights: Path | None = None,
    replay: Path | None = None,
    minutes: float | None = None,
    options: Mapping[str, Any] | None = None,
    rule: Rule | None = None,
    log: Log = print,
    progress: Progress | None = None,
) -> Outcome:
    """Learn from a site's cases and install the new weights in `out` if they are better than those in use.

    `out` keeps its versions. An empty one begins with those in `weights` or, without, in the package. `replay`
    holds data sets that were learned from before, so that they are not forgotten. `options` are settings of mend's
    recipe and of the training loop; with `minutes` the number of steps follows from this machine's speed.
    """
    if minutes is not None and not 0 < minutes < math.inf:
        raise SettingsError(f"Adapting needs a time above 0 minutes; got {minutes:g}.")
    old, rule = weights_in_use(out, weights), rule or Rule()
    space = mend.space(old) is not None
    found = survey(cases, space=space)
    for name, reason in found.left_out.items():
        log(f"{name} is left out: {reason}")
    chosen = [d for d in KINDS if _is_enough(found, d) and (old / f"mend{d}d_reader.onnx").is_file()]
    if not chosen:
        raise SettingsError(_too_few(found, old))
    for kind in (KINDS[d] for d in KINDS if d not in chosen and (found.of(d, LEARN) or found.of(d, CHECK))):
        log(f"The {kind} are left out, for they are too few or the weights have no network for them.")
    plans = {d: Plan.of(old, d, options or {}) for d in chosen}
    known = survey([] if replay is None else replay_cases(replay, len(found.seen)), space=space)
    asked = _request_hash([*found.seen, *known.seen], plans, minutes, rule)
    folder = out / "rounds" / (_earlier_round(out, asked) or _hash_of({"asked": asked, "weights": _hashes(old)}))
    if (report := _read(folder / REPORT)) is not None:
        return _conclude(out, folder, report, again=True)
    _begin(out, old)
    before = versions.read(out)
    assert before is not None
    parts = {}
    for dimensions, plan in plans.items():
        begun = versions.version(out, before.current)
        plan = replace(plan, settings=replace(plan.settings, start=str(begun.resolve())))
        share = None if minutes is None else minutes / len(plans)
        job = _Job(dimensions, plan, begun, folder, share, log, progress)
        parts[KINDS[dimensions]] = job.run(found, known, rule)
    report = {
        "segmend": __version__,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "asked": asked,
        "over": before.current,
        "version": max(before.replaced) + 1 if any(part["better"] for part in parts.values()) else None,
        "rule": asdict(rule),
        "parts": parts,
        "cases": [one.to_json() for one in found.seen],
        "left_out": dict(found.left_out),
    }
    return _conclude(out, folder, json.loads(json.dumps(report)))


# Which weights.


def weights_in_use(out: Path, weights: Path | None) -> Path:
    """Return the folder of the weights to improve: those of `out` or, where it has none, those it is to begin with."""
    ledger = versions.read(out)
    if ledger is None and not _files(out):
        if weights is not None:
            check_weights(METHOD, weights)
        begun = weights_file("") if weights is None else versions.in_use(weights)
        if not any(begun.glob("mend?d_reader.onnx")):
            raise ModelError(
                f"The weights to begin with need mend2d_reader.onnx or mend3d_reader.onnx; {begun} has neither. "
                f"Make them with: segmend train mend --data DIR --out DIR"
            )
        return begun
    check_weights(METHOD, out)
    first = out if ledger is None else versions.version(out, min(ledger.replaced))
    if weights is not None and _hashes(versions.in_use(weights)) not in (_hashes(first), _hashes(versions.in_use(out))):
        raise SettingsError(
            f"The folder {out} has weights of its own, which are the ones to improve; leave out {weights} or choose "
            f"another folder to write to."
        )
    return versions.in_use(out)


def _files(folder: Path) -> list[Path]:
    return sorted(path for pattern in WEIGHT_FILES for path in folder.glob(pattern))


def _hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in _files(folder)}


def _begin(out: Path, old: Path) -> None:
    """Make the folder keep versions, the first of them the weights to begin with."""
    if versions.read(out) is None:
        versions.begin(out, _files(old), {"method": METHOD, "version": 0, "segmend": __version__})


# Which cases.


def survey(cases: Sequence[Case], *, space: bool) -> Survey:
    """Look at every case once; `space` says whether there are networks for volumes."""
    seen: list[SurveyedCase] = []
    left_out: dict[str, str] = {}
    for case in cases:
        title = case.title
        try:
            example = case.read()
        except SegmendError as error:
            left_out[title] = str(error)
            continue
        if next(example.objects(), None) is None:
            left_out[title] = "It holds no object that is large enough to measure."
            continue
        image_hash, labels_hash = image_hash_of(example.first), _labels_hash_of(example.labels)
        dimensions = 3 if space and not example.first.flat and mend.solid(example.first) else 2
        part = case.part if isinstance(case, AssignedCase) else part_of(image_hash)
        seen.append(SurveyedCase(case, title, image_hash, labels_hash, dimensions, part))
    return Survey(tuple(seen), left_out)


def part_of(image_hash: str) -> str:
    """Return whether an image is learned from or checked on, whatever other images there are.

    >>> [part_of(f"{number:x}" * 16) for number in (0, 4, 6, 15)]
    ['check', 'check', 'learn', 'learn']
    """
    return CHECK if int(image_hash[:16], 16) / 2**64 < CHECK_SHARE else LEARN


def image_hash_of(image: Image) -> str:
    """Return a hash of an image's shape and voxels, which a file of another name or format does not change."""
    found = hashlib.sha256(repr(image.voxels.shape).encode())
    for channel in image.voxels:
        for plane in channel:  # a volume may lie on the disk
            found.update(np.ascontiguousarray(plane, np.float32).tobytes())
    return found.hexdigest()[:32]


def _labels_hash_of(labels: LabelMap) -> str:
    return hashlib.sha256(np.ascontiguousarray(labels, np.uint16).tobytes()).hexdigest()[:32]


@dataclass(frozen=True)
class AssignedCase(Case):
    """A case whose data set says in its split.json whether to learn from it or to check on it."""

    whole: Case
    part: str

    @property
    def instances(self) -> bool:
        return self.whole.instances

    def read(self) -> Example:
        return self.whole.read()


def cases_in(data: Path) -> list[Case]:
    """Return the cases of a data set or a folder of them.

    Where a split.json lies beside them, those of `train` are learned from, those of `val` checked on, others left
    alone; elsewhere every case is taken, and a hash of its image says what for.
    """
    every = sets(data, "all")
    inside = {} if look(data) is not None else {f.resolve().name: f for f in data.iterdir() if f.is_dir()}
    found: list[Case] = []
    for one in every:
        folder = inside.get(one.name, data)
        known = look(folder)
        if known is None or not (folder / "split.json").is_file():
            found += one.cases
            continue
        for split, part in (("train", LEARN), ("val", CHECK)):
            found += [AssignedCase(case.folder, case.name, case, part) for case in known.cases(split)]
    return found


def replay_cases(data: Path, most: int) -> list[Case]:
    """Return some cases of data sets that were learned from before, as many of each set.

    Of `train` come `most` in all, or one of each set, to learn from again; of `val` some to check on.
    """
    found: list[Case] = []
    for split, part, count in (("train", LEARN, most), ("val", CHECK, REPLAY_CHECKED)):
        every = sets(data, split)
        each = max(1, count // len(every))
        found += [AssignedCase(case.folder, case.name, case, part) for one in every for case in one.cases[:each]]
    return found


def _is_enough(found: Survey, dimensions: int) -> bool:
    return len(found.of(dimensions, LEARN)) >= MIN_LEARNED and len(found.of(dimensions, CHECK)) >= MIN_CHECKED


def _too_few(found: Survey, old: Path) -> str:
    needed = f"{MIN_LEARNED} accepted cases to learn from and {MIN_CHECKED} to check on, pictures or volumes"
    counts = [
        f"{len(found.of(d, LEARN))} and {len(found.of(d, CHECK))} {kind}"
        + ("" if (old / f"mend{d}d_reader.onnx").is_file() else ", for which these weights have no network")
        for d, kind in KINDS.items()
        if found.of(d, LEARN) or found.of(d, CHECK)
    ]
    return f"Adapting needs {needed}, which 12 cases of a kind mostly give; there are {'; '.join(counts) or 'none'}."


# What is done with one kind of networks.


@dataclass(frozen=True)
class _Job:
    """The networks of one kind: what they begin with, how they learn on, and where their round lies."""

    dimensions: int
    plan: Plan
    old: Path
    folder: Path
    minutes: float | None
    log: Log
    progress: Progress | None

    def run(self, found: Survey, known: Survey, rule: Rule) -> dict[str, Any]:
        """Learn, compare with the old weights and decide; return this kind's part of the report."""
        kind, (learned, checked) = KINDS[self.dimensions], (found.of(self.dimensions, part) for part in (LEARN, CHECK))
        self.log(f"{kind}: {len(learned)} cases to learn from, {len(checked)} to check on")
        earlier = known.of(self.dimensions, LEARN)[: len(learned)]
        subjects = _subjects(learned, "accepted") + _subjects(earlier, "before")
        plan = _with_steps(self.plan, subjects, self.minutes, self.folder / f"{self.dimensions}-{STEPS}")
        learn(plan, subjects, self.folder / kind, log=self.log, progress=self.progress)
        trials = check(
            self.old, self.folder / kind, self.dimensions, checked, known.of(self.dimensions, CHECK), log=self.log
        )
        why = rule.against(trials)
        settings = asdict(plan.settings) | {"start": ""}
        return {"better": not why, "because": list(why), "settings": settings, **trials.to_json()}


# How it learns.


@dataclass(frozen=True)
class Plan:
    """The settings of the recipe for one kind of networks, and of the loop."""

    settings: Any  # segmend.mend.learning.settings.Settings
    loop: Mapping[str, Any]

    @classmethod
    def of(cls, old: Path, dimensions: int, options: Mapping[str, Any]) -> Plan:
        """Return the default settings with some changed; SettingsError for one that is not to be chosen."""
        train, recipe = _training()
        if (old / f"mend{dimensions}d_namer.onnx").is_file():
            raise SettingsError(
                f"The weights in {old} are of a task, whose own first masks adapting would spoil; train the task on "
                f"these cases with: segmend train mend --task --data DIR --set start={old}"
            )
        if wrong := sorted(set(options) & set(FIXED)):
            raise SettingsError(f"The setting {wrong[0]} follows from the cases and weights; it cannot be chosen here.")
        loop = {**LOOP, **{name: value for name, value in options.items() if name in train.LOOP}}
        own = {**DEFAULTS[dimensions], **{name: value for name, value in options.items() if name not in train.LOOP}}
        widths = {part: _widths(old / f"mend{dimensions}d_{part}.onnx") for part in ("reader", "refiner")}
        shape = {"dimensions": dimensions, "widths": widths["reader"], "light": widths["refiner"]}
        return cls(train.settings_from(recipe, {**own, **shape}), loop)


def _training() -> tuple[Any, Any]:
    try:
        from segmend.learning import loop
        from segmend.mend.learning import recipe
    except ModuleNotFoundError as missing:
        raise SettingsError(f"Adapting needs {missing.name}; install it with: pip install 'segmend[train]'.") from None
    return loop, recipe


def _widths(path: Path) -> tuple[int, ...]:
    """Return the widths of a network's levels, as its file tells them."""
    import onnx

    try:
        model = onnx.load(str(path))
        about = {entry.key: entry.value for entry in model.metadata_props}
        return tuple(int(width) for width in json.loads(about["settings"])["widths"])
    except Exception as error:  # onnx raises what its parser does
        reason = type(error).__name__
        raise ModelError(f"The weights {path.name} do not say how wide their network is ({reason}).") from None


def learn(
    plan: Plan, subjects: Sequence[Any], folder: Path, *, log: Log = print, progress: Progress | None = None
) -> None:
    """Learn on from the plan's start and write the new weights; a run that was killed goes on."""
    train, recipe = _training()
    train.run(recipe, subjects, subjects, plan.settings, folder, log=log, progress=progress, **plan.loop)


def _subjects(learned: Sequence[SurveyedCase], group: str) -> list[Any]:
    found = []
    for one in learned:
        example = one.case.read()
        image = example.image if one.dimensions == 3 else example.first
        found.append(Subject(image, example.labels, one.case.instances, group, one.title))
    return found


def _with_steps(plan: Plan, subjects: Sequence[Any], minutes: float | None, path: Path) -> Plan:
    """Return the plan with as many steps as fit into the minutes; the number is kept for a run that goes on."""
    if minutes is None:
        return plan
    kept = _read(path)
    steps = kept["steps"] if kept else max(1, int(60 * minutes / _seconds_a_step(plan, subjects)))
    _write(path, {"steps": steps})
    return replace(plan, settings=replace(plan.settings, steps=steps))


def _seconds_a_step(plan: Plan, subjects: Sequence[Any], count: int = 3) -> float:
    """Return how long a step takes here, by the clock, the first one left aside."""
    _, recipe = _training()
    network, sampler = recipe.build(plan.settings), recipe.Sampler(subjects, plan.settings)
    times = []
    for step in range(count + 1):
        begun = time.perf_counter()
        first = step * plan.settings.batch
        recipe.loss(network, [sampler[first + i] for i in range(plan.settings.batch)], step).backward()
        times.append(time.perf_counter() - begun)
    return float(np.mean(times[1:]))


# Whether it is better.


def check(
    old: Path,
    new: Path,
    dimensions: int,
    cases: Sequence[SurveyedCase],
    earlier: Sequence[SurveyedCase] = (),
    *,
    log: Log = print,
) -> Trials:
    """Let a robot play the cases, drawn scenes and cases of earlier data sets with the weights of both folders."""
    both = mend.load(old), mend.load(new)
    log("A robot plays the cases to check on with the old and the new weights:")
    site = trial([one.case for one in cases], *both, tell=log)
    log("and others, to see what was forgotten ...")
    before = trial([one.case for one in earlier], *both) if earlier else None
    return Trials(site, trial(drawn_scenes(dimensions), *both), before)


# What is done about it.


def _request_hash(seen: Sequence[SurveyedCase], plans: Mapping[int, Plan], minutes: float | None, rule: Rule) -> str:
    """Return a name for what a round is to do, apart from the weights that it begins with."""
    return _hash_of(
        {
            "cases": sorted((one.image_hash, one.labels_hash, one.part) for one in seen),
            "settings": {d: asdict(plan.settings) for d, plan in plans.items()},
            "minutes": minutes,
            "rule": asdict(rule),
        }
    )


def _hash_of(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def _earlier_round(out: Path, asked: str) -> str | None:
    """Return the round that made the weights in use, if it was asked the same; to do it again would gain nothing."""
    about = _read(versions.in_use(out) / "run.json") or {}
    return str(about["round"]) if about.get("asked") == asked and "round" in about else None


def _conclude(out: Path, folder: Path, report: Mapping[str, Any], *, again: bool = False) -> Outcome:
    """Keep the report, install what it found better if that is not done, and tidy up."""
    if not again:
        _write(folder / REPORT, report)
        improvement.write(report, folder)
    number, ledger = report["version"], versions.read(out)
    if number is not None and ledger is not None and number not in ledger.replaced:
        better = [KINDS[d] for d in KINDS if report["parts"].get(KINDS[d], {}).get("better")]
        files = {path.name: path for path in _files(versions.version(out, report["over"]))}
        files |= {path.name: path for kind in better for path in _files(folder / kind)}
        about = {"method": METHOD, "version": number, "over": report["over"], "round": folder.name,
                 "asked": report["asked"], "segmend": report["segmend"]}  # fmt: skip
        ledger = versions.install(out, list(files.values()), about, over=report["over"])
    installed = ledger is not None and ledger.current == number
    if ledger is not None:
        _delete_leftovers(folder)
    return Outcome(installed, improvement.sentence(report, installed=installed, out=out), report, folder, again)


def _delete_leftovers(folder: Path) -> None:
    """Delete what a round needs no more once it is decided: its checkpoints and weights, tens of megabytes each."""
    for kind in KINDS.values():
        for path in [*_files(folder / kind), folder / kind / "checkpoint.pt"]:
            path.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        values = None
    if not isinstance(values, dict):
        raise FileError(f"The file {path} is damaged; move it away to do its round again.")
    return values


def _write(path: Path, values: Mapping[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"The folder {path.parent} could not be made: {error.strerror}.") from None
    write_bytes(path, (json.dumps(values, indent=1) + "\n").encode())
