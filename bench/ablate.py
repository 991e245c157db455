"""Does every rule of mend's inference pay: python bench/ablate.py --data DATA [--dimensions 2] [--out DIR]

Each rule is switched off alone. The same robots play the same objects with it and without it: clicks at the centre of
the largest mistake, a person's clicks that begin anywhere in the object, a box and then clicks, and a wrong mask from
elsewhere and then clicks. A game's score is the mean Dice of its answers, an object's that of its games. Prints for
each rule the mean difference (with the rule less without it; every set counts once), its 95 % interval over objects
(bootstrap), the share of objects that it moves, and what it costs in ms an answer. A rule pays where the interval lies
above 0.

Sets are those that DATA has a split of; kinds that the weights never saw are the fair ones (--sets). With --out games
are kept as they end, and a run that is started again with the same weights plays only what is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from figures import MaskFirst

from segmend import methods
from segmend.core.image import MaskArray
from segmend.core.masks import dice
from segmend.core.segmenter import Segmenter, Workspace
from segmend.datasets.folder import DataSet, sets
from segmend.errors import UserError
from segmend.evaluation.calibrate import FirstAnywhere
from segmend.evaluation.one_click import perturb_to_dice
from segmend.mend.method import Mend, MendWorkspace
from segmend.runtime.calibrations import digest_of
from segmend.users import BoxFirst, LargestError
from segmend.users.play import User, rounds

WRONG = 0.8  # Dice of the masks from elsewhere
RESAMPLES = 4000
CLICKS, PERSON, BOX, MASK = ALL = ("clicks", "person", "box", "mask")
NOT_PERSON = (CLICKS, BOX, MASK)
TURNS = {CLICKS: 5, PERSON: 5, BOX: 3, MASK: 4}  # of a game; a mask from elsewhere is the first of its own


@dataclass(frozen=True)
class Rule:
    """A rule of the inference, and what switches it off."""

    says: str
    options: Mapping[str, Any] = field(default_factory=dict)  # of PlaneOptions or VolumeOptions
    names: Mapping[str, Any] = field(default_factory=dict)  # "module.name" in segmend.mend, and what it becomes
    games: tuple[str, ...] = ALL  # in which it can change anything


def never(*_: Any, **__: Any) -> bool:
    return False


def alike(masks: Sequence[Any]) -> list[float]:
    return [0.0] * len(masks)


def unboxed(_: Any, prompts: Sequence[Any], __: MaskArray) -> Sequence[Any]:
    return prompts


def wholly(_: Any, answer: Any, before: Any, *__: Any) -> Any:
    return np.ones_like(before)


EVERY = 10**6
RULES: dict[int, dict[str, Rule]] = {
    2: {
        "windows": Rule("marks alone are answered through six windows", {"first": (0,)}, games=(CLICKS, PERSON)),
        "six": Rule("... rather than through three", {"first": (0, 2, 4)}, games=(CLICKS, PERSON)),
        "agreement": Rule(
            "a window's answer counts more where the next one agrees",
            names={"plane.agreements": alike},
            games=(CLICKS, PERSON),
        ),
        "cut-off": Rule(
            "an answer that is cut off by its window counts less",
            names={"plane.CUT_OFF_LOSS": 0.0},
            games=(CLICKS, PERSON),
        ),
        "widening": Rule(
            "an answer that reaches its window's edge is asked for from wider",
            names={"plane.WIDENINGS": 0},
            games=(CLICKS, PERSON, BOX),
        ),
        "again": Rule("asked again with the answer as the mask so far", {"again": 0}, games=NOT_PERSON),
        "near": Rule("a mark on a large object is looked at from near", {"near": False}, games=(CLICKS, MASK)),
        "boundary": Rule("the boundary moves to where intensities have one", {"boundary_cut": False}, games=NOT_PERSON),
        "fine-tuning": Rule(
            "last layers learn from marks that are not obeyed", {"finetune": "off"}, games=(CLICKS, MASK)
        ),
        "span": Rule("the answer to a box is raised until it spans it", {"span": False}, games=(BOX,)),
        "hold": Rule("a change has to reach the newest mark", {"hold": False}, games=(CLICKS, PERSON)),
        "later": Rule(
            "from the third mark on, large changes are taken near it alone", {"later": EVERY}, games=(CLICKS, PERSON)
        ),
        "details": Rule(
            "details of a mask from elsewhere are kept", names={"plane_refine.COARSE_CELL": np.inf}, games=(MASK,)
        ),
        "large": Rule(
            "of a mask from elsewhere, less is a large change",
            names={"plane_refine.LARGE_OF_OTHERS": 0.3},
            games=(MASK,),
        ),
        "trust": Rule(
            "a far better answer replaces a mask from elsewhere",
            names={"plane_refine.trusts_network_over_mask": never},
            games=(MASK,),
        ),
        "lines": Rule("marks on thin lines are answered along them", {"lines": False}, games=(CLICKS,)),
    },
    3: {
        "planes' box": Rule(
            "the planes through the first mark say how large the object is",
            names={"volume.VolumeWorkspace._with_object_box": unboxed},
            games=(CLICKS, PERSON),
        ),
        "across": Rule("planes through a click say what is wrong there", {"across": False}),
        "together": Rule("up to the third mark the volume's own answer counts, too", {"together": 0}),
        "near boundary": Rule(
            "beside the planes' answer, the volume's is taken near the boundary alone",
            names={"volume.boundary_share": wholly},
        ),
        "correction": Rule(
            "of a correction, what lies far from its mistake fades", names={"volume.correction_share": lambda *a: 1.0}
        ),
        "leaks": Rule("of an answer that leaks, the part near the boundary is taken", names={"volume.leaks": never}),
        "obey": Rule("marks that are not obeyed are cut round", {"obey": False}),
        "dot": Rule("a change of a mask from elsewhere stays near its mark", {"dot": 0.0}, games=(MASK,)),
        "boundary": Rule("the boundary moves to where intensities have one", {"boundary_cut": False}, games=NOT_PERSON),
        "fine-tuning": Rule(
            "last layers learn from marks that are not obeyed", {"finetune": "off"}, games=(CLICKS, MASK)
        ),
        "further": Rule("an answer that reaches its frame's side is asked for from wider", {"further": 0}),
        "cut-off": Rule("an answer that is cut off by its frame counts less", names={"volume_first.CUT_OFF_LOSS": 0.0}),
        "missed": Rule("an answer beside its marks counts less", names={"volume_first.MISSED_MARK_LOSS": 0.0}),
        "hidden": Rule("a mask of its own making is not shown to the networks", {"shown": True}),
    },
}


@contextmanager
def off(rule: Rule) -> Iterator[None]:
    """Replace the rule's names while it is off."""
    before = []
    for name, value in rule.names.items():
        module, *path = name.split(".")
        place: Any = import_module(f"segmend.mend.{module}")
        for step in path[:-1]:
            place = getattr(place, step)
        before.append((place, path[-1], getattr(place, path[-1])))  # AttributeError: the rule has gone, or another name
        setattr(place, path[-1], value)
    try:
        yield
    finally:
        for place, name, value in before:
            setattr(place, name, value)


def with_options(workspace: Workspace, rule: Rule) -> Workspace:
    """Change the options of a workspace that nobody else has."""
    if rule.options:
        assert isinstance(workspace, MendWorkspace)
        place: Any = workspace.in_space or workspace.planes
        place.options = replace(place.options, **rule.options)
    return workspace


def opened(segmenter: Segmenter, example: Any) -> Workspace:
    try:
        return segmenter.open(example.image)
    except UserError:
        return segmenter.open(example.first)


# Playing.


def robot(game: str, truth: MaskArray, spacing: Any, seed: int) -> User:
    if game == MASK:
        return MaskFirst(perturb_to_dice(truth, spacing, seed, wanted=WRONG), LargestError(seed))
    return {CLICKS: LargestError, PERSON: FirstAnywhere, BOX: BoxFirst}[game](seed)


def played(workspace: Workspace, truth: MaskArray, user: User, turns: int) -> tuple[float, float]:
    """Return the mean Dice of a game's answers, and the ms of each; one that ended early keeps its last answer."""
    begun = time.process_time()
    found = [float(dice(truth, turn.mask)) for turn in rounds(user, workspace, truth, interactions=turns)]
    spent = 1000 * (time.process_time() - begun) / max(len(found), 1)
    return float(np.mean(found + found[-1:] * (turns - len(found)))) if found else 0.0, spent


Row = dict[str, Any]


@dataclass
class Kept:
    """Games that were played, in a file if there is one."""

    path: Path | None
    rows: dict[tuple[Any, ...], Row] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is not None and self.path.is_file():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                self.rows[key(row)] = row

    def add(self, row: Row) -> None:
        self.rows[key(row)] = row
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("weights", "rule", "game", "set", "case", "object"))


def chosen_objects(one: DataSet, count: int, dimensions: int) -> Iterator[tuple[str, Any, int, MaskArray]]:
    """Yield up to so many objects of a set, as many of each of its cases, in an order that is the same every time."""
    cases = list(one.cases)
    order = np.random.default_rng(zlib.crc32(one.name.encode())).permutation(len(cases))
    each = -(-count // len(cases))
    left = count
    for at in order:
        if left == 0:
            return
        example = cases[at].read()
        if (2 if example.image.flat else 3) != dimensions:
            return
        for value, truth in example.objects(min(each, left)):
            left -= 1
            yield cases[at].name, example, value, truth


def play_all(plan: argparse.Namespace, kept: Kept, rules: Mapping[str, Rule]) -> None:
    """Play every game that is missing, object by object, so that a run that ends early has compared what it played."""
    segmenter = methods.load("mend", plan.weights, warm=[plan.dimensions])
    assert isinstance(segmenter, Mend)
    weights = digest_of("mend", plan.dimensions, plan.weights)
    for one in sets(plan.data, plan.split):
        if plan.sets and one.name not in plan.sets:
            continue
        begun = time.perf_counter()
        for case, example, value, truth in chosen_objects(one, plan.objects, plan.dimensions):
            seed = zlib.crc32(f"{one.name}/{case}/{value}".encode())
            shared = opened(segmenter, example)  # what the networks read of the image is kept as long as this is
            for name, rule in {"": Rule("all rules"), **rules}.items():
                for game in rule.games:
                    row = {
                        "weights": weights,
                        "rule": name,
                        "game": game,
                        "set": one.name,
                        "case": case,
                        "object": value,
                    }
                    if key(row) in kept.rows:
                        continue
                    with off(rule):
                        workspace = with_options(opened(segmenter, example), rule)
                        score, ms = played(
                            workspace, truth, robot(game, truth, example.image.spacing, seed), TURNS[game]
                        )
                    kept.add(row | {"dice": score, "ms": ms})
            del shared
        print(f"   {one.name}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)


# Comparing.


@dataclass(frozen=True)
class Verdict:
    """What a rule brings: with it less without it."""

    objects: int
    sets: int
    gain: float
    low: float
    high: float
    moved: float  # the share of objects whose score changes by more than .001
    ms: float  # what it costs an answer

    @property
    def word(self) -> str:
        return "pays" if self.low > 0 else "harms" if self.high < 0 else "open"


def verdict(rows: Sequence[Row], name: str, rule: Rule) -> Verdict | None:
    """Compare a rule's games with those of all rules, object by object; None where none was played."""
    games: dict[tuple[str, str, int], dict[tuple[str, str], Row]] = defaultdict(dict)
    for row in rows:
        if row["rule"] in ("", name) and row["game"] in rule.games:
            games[row["set"], row["case"], row["object"]][row["rule"], row["game"]] = row
    by_set: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for (group, _, _), found in games.items():
        pairs = [(found["", g], found[name, g]) for g in rule.games if ("", g) in found and (name, g) in found]
        if pairs:
            gains, costs = ([a[what] - b[what] for a, b in pairs] for what in ("dice", "ms"))
            by_set[group].append((float(np.mean(gains)), float(np.mean(costs))))
    if not by_set:
        return None
    random = np.random.default_rng(0)
    arrays = [np.array(values) for values in by_set.values()]
    means = np.mean(
        [one[random.integers(len(one), size=(RESAMPLES, len(one))), 0].mean(axis=1) for one in arrays], axis=0
    )
    each = np.concatenate(arrays)
    gain, ms = (float(np.mean([one[:, at].mean() for one in arrays])) for at in (0, 1))
    low, high = np.percentile(means, (2.5, 97.5))
    return Verdict(len(each), len(arrays), gain, float(low), float(high), float((abs(each[:, 0]) > 0.001).mean()), ms)


def show(rows: Sequence[Row], rules: Mapping[str, Rule]) -> None:
    print(f"{'rule':<14} {'gain in Dice':>13} {'95 % interval':>18} {'moved':>6} {'ms':>6} {'objects':>8}  {'':6} says")
    for name, rule in rules.items():
        found = verdict(rows, name, rule)
        if found is not None:
            print(f"{name:<14} {found.gain:>+13.4f} {f'{found.low:+.4f} .. {found.high:+.4f}':>18} {found.moved:>6.0%} "
                  f"{found.ms:>+6.0f} {found.objects:>8}  {found.word:<6} {rule.says}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of data sets")
    parser.add_argument("--dimensions", type=int, choices=(2, 3), default=2)
    parser.add_argument("--weights", type=Path, help="a folder that `segmend train` made; the package's without it")
    parser.add_argument("--split", default="train", choices=("train", "val"))
    parser.add_argument("--sets", nargs="+", default=[], help="the names of the sets; all of them without it")
    parser.add_argument("--rules", nargs="+", default=[], help="the rules to switch off; all of them without it")
    parser.add_argument("--objects", type=int, default=18, help="of each set, at most")
    parser.add_argument("--out", type=Path, help="a folder where games are kept")
    plan = parser.parse_args()
    if plan.data is None:
        print("skipped: it needs --data, images with the truth")
        return
    known = RULES[plan.dimensions]
    if unknown := set(plan.rules) - known.keys():
        parser.error(f"There is no rule {min(unknown)!r}; there are {', '.join(known)}.")
    rules = {name: rule for name, rule in known.items() if not plan.rules or name in plan.rules}
    kept = Kept(plan.out / f"ablate{plan.dimensions}d.jsonl" if plan.out else None)
    play_all(plan, kept, rules)
    weights = digest_of("mend", plan.dimensions, plan.weights)
    show([row for row in kept.rows.values() if row["weights"] == weights], rules)


if __name__ == "__main__":
    main()
