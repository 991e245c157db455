"""What mend is to reach, measured and beside its goals: python bench/figures.py --data DATA [--weights DIR] [--out DIR]

On the val split of every set in a folder: a robot clicks on each object ten times, or draws a box; where people's
scribbles are there, one round of them; clicks where the method is uncertain, where its mistake is largest, and anywhere
in the mistake; clicks on masks from elsewhere, wrong ones and good ones; and one click on wrong masks of volumes,
beside the classical methods. Sets are seen (the weights learned from their train split) or unseen, and every set counts
once. With --out each set's games are kept in a file as they end, and a run that is started again with the same
questions and weights plays only what is missing.

--method measures another method in the same way; what it cannot do is left out, and said.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmend import methods
from segmend.core.atomic import write_bytes
from segmend.core.image import MaskArray
from segmend.core.masks import dice
from segmend.core.prompts import Mask, Prompt
from segmend.core.segmenter import Workspace
from segmend.datasets.folder import DataSet, sets
from segmend.errors import SegmendError, UserError
from segmend.evaluation.compare import report_from
from segmend.evaluation.evaluate import Curve, Report, agreement_of, evaluate
from segmend.evaluation.metrics import share_lowered
from segmend.evaluation.one_click import BEST, RANDOM, UNCERTAINTY, by_method, by_place, perturb_to_dice
from segmend.users import LargestError
from segmend.users.play import rounds

SHIPPED = ("fetal_head_us_hc18", "hippocampus_mr", "nuclei_dsb2018", "sarcoma_ct")  # weights/mend.md
CLICKS, BOX, HUMAN, PLACES, STARTS, MOVES = PARTS = ("clicks", "box", "human", "places", "starts", "moves")
TURNS = (1, 3, 5, 10)
DICE = {  # after 1, 3, 5 and 10 clicks, and from a box alone
    ("2D", "seen"): ((0.87, 0.93, 0.95, 0.965), 0.92),
    ("2D", "unseen"): ((0.75, 0.87, 0.91, 0.94), 0.86),
    ("3D", "seen"): ((0.80, 0.88, 0.91, 0.93), 0.85),
    ("3D", "unseen"): ((0.65, 0.80, 0.85, 0.89), 0.75),
}
STARTED = (0.7, 0.9)  # Dice of the masks from elsewhere ...
STARTED_CLICKS = 5  # ... and clicks on each
LOWERED, QUALITY_ERROR, QUALITY_R = 0.05, 0.06, 0.8
ANSWER_MS, OPEN_MS = {"2D": 25, "3D": 250}, {"2D": 200, "3D": 1500}

Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What was asked on the command line."""

    data: Path
    method: str
    weights: Path | None
    split: str
    limit: int | None
    objects: int | None
    seed: int
    only: tuple[str, ...]  # sets; none for all
    seen: tuple[str, ...]
    parts: tuple[str, ...]
    against: tuple[str, ...]
    out: Path | None

    @cached_property
    def mark(self) -> str:
        """Return a mark of the method's weights, empty for one that has none."""
        folder = self.weights or Path(str(files("segmend") / "weights"))
        named = self.method.removesuffix("2d")
        found = sorted(path for path in folder.glob(f"{named}*") if path.suffix in (".onnx", ".npz"))
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in found))
        return digest.hexdigest()[:12] if found else ""

    def kept(self, part: str, name: str, method: str, play: Callable[[], Any]) -> Any:
        """Return what was played of a set, from an earlier run where that asked the same."""
        asked = {"split": self.split, "limit": self.limit, "objects": self.objects, "seed": self.seed}
        asked |= {"weights": self.mark if method == self.method else ""}
        path = self.out / f"{part}-{method}-{name}.json" if self.out else None
        if path is not None and path.is_file():
            values = json.loads(path.read_text())
            if values["asked"] == asked:
                return values["played"]
        begun = time.perf_counter()
        played = play()
        print(f"   {part}: {method} on {name}, {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, (json.dumps({"asked": asked, "played": played}) + "\n").encode())
        return played


@dataclass(frozen=True)
class Set:
    """One data set and what was played of it."""

    name: str
    dimensions: str  # "2D" or "3D"
    kind: str  # "seen" or "unseen"
    clicks: Report | None
    box: Report | None
    human: Report | None
    places: list[Row]
    starts: list[Row]
    moves: dict[str, list[Row]]  # by method

    def dice(self, turn: int) -> float | None:
        return mean(curve.dice[turn - 1] for curve in curves(self.clicks))

    @property
    def boxed(self) -> float | None:
        return mean(curve.dice[0] for curve in curves(self.box))


def curves(report: Report | None) -> tuple[Curve, ...]:
    return report.curves if report else ()


def mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


# Playing.


def measured(plan: Plan, one: DataSet) -> Set | None:
    """Play all parts on one set; None where the method cannot open it."""
    example = next(iter(one.cases)).read()
    flat = example.image.flat
    card = methods.card(plan.method)
    if (2 if flat else 3) not in card.dimensions:
        return None

    def reported(part: str, user: str, interactions: int) -> Report | None:
        if part not in plan.parts:
            return None
        values = plan.kept(part, one.name, plan.method, lambda: asdict(played(plan, one.name, user, interactions)))
        report = report_from(values)
        for problem in report.problems:
            print(f"   {problem.set}/{problem.case} was left out: {problem.reason}", file=sys.stderr)
        return report

    masked = STARTS in plan.parts and {"mask", "click"} <= set(card.prompts)
    scribbled = one.cases[0].scribbles(example.image) is not None and "stroke" in card.prompts
    moving = [] if flat or MOVES not in plan.parts else dict.fromkeys((plan.method, *plan.against))
    return Set(
        one.name,
        "2D" if flat else "3D",
        "seen" if one.name in plan.seen else "unseen",
        reported(CLICKS, "click", TURNS[-1]) if "click" in card.prompts else None,
        reported(BOX, "box", 1) if "box" in card.prompts else None,
        reported(HUMAN, "human", 1) if scribbled else None,
        plan.kept(PLACES, one.name, plan.method, lambda: places(plan, one)) if PLACES in plan.parts else [],
        plan.kept(STARTS, one.name, plan.method, lambda: starts(plan, one)) if masked else [],
        {m: plan.kept(MOVES, one.name, m, lambda m=m: moves(plan, one, m)) for m in moving},  # type: ignore[misc]
    )


def played(plan: Plan, name: str, user: str, interactions: int) -> Report:
    return evaluate(
        plan.data, plan.method, user,
        interactions=interactions, split=plan.split, limit=plan.limit, objects=plan.objects, seed=plan.seed,
        names=(name,), weights=plan.weights,
    )  # fmt: skip


def places(plan: Plan, one: DataSet) -> list[Row]:
    """Return what clicks at several places bring, on the objects of a set."""
    rows = []
    for row, workspace, truth, spacing in asked(plan, one, plan.method):
        rows += [row | asdict(gain) for gain in by_place(workspace, truth, spacing, seed=plan.seed)]
    return rows


def starts(plan: Plan, one: DataSet) -> list[Row]:
    """Return the Dice of masks from elsewhere and after each of some clicks on them, on the objects of a set."""
    rows = []
    for row, workspace, truth, spacing in asked(plan, one, plan.method):
        for wanted in STARTED:
            user = MaskFirst(perturb_to_dice(truth, spacing, plan.seed, wanted=wanted), LargestError(plan.seed))
            game = rounds(user, workspace, truth, interactions=1 + STARTED_CLICKS)
            rows.append(row | {"wanted": wanted, "dice": [dice(truth, turn.mask) for turn in game]})
    return rows


@dataclass(frozen=True, eq=False)
class MaskFirst:
    """Begins with a mask from elsewhere, which a robot then corrects."""

    mask: MaskArray
    robot: LargestError

    def opening(self, truth: MaskArray, mask: MaskArray) -> Prompt | None:
        return Mask(self.mask)

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Prompt | None:
        return self.robot(truth, mask)


def moves(plan: Plan, one: DataSet, method: str) -> list[Row]:
    """Return what one click does to a wrong mask, on the objects of a set."""
    rows = []
    for row, workspace, truth, spacing in asked(plan, one, method):
        wrong = perturb_to_dice(truth, spacing, plan.seed)
        gain = by_method(methods.card(method), workspace, truth, wrong, seed=plan.seed)
        rows += [] if gain is None else [row | asdict(gain)]
    return rows


def asked(plan: Plan, one: DataSet, method: str) -> Iterator[tuple[Row, Workspace, MaskArray, NDArray[np.float64]]]:
    """Yield each object of a set with its row's beginning, its case opened by a method, and the voxels' size."""
    for case in one.cases:
        example = case.read()
        workspace = opened(plan, method, example)
        for value, truth in example.objects(plan.objects):
            yield {"case": case.name, "object": value}, workspace, truth, example.image.spacing


def opened(plan: Plan, method: str, example: Any) -> Workspace:
    weights = plan.weights if method == plan.method else None
    segmenter = methods.load(method, weights, warm=[2 if example.image.flat else 3])
    try:
        return segmenter.open(example.image)
    except UserError:
        return segmenter.open(example.first)


# Printing.


def number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}".replace("0.", ".", 1 if abs(value) < 1 else 0)


def table(found: Sequence[Set]) -> None:
    """Print a row for each set."""
    print(f"\n{'set':<22}{'':>3}{'kind':>8}{'objects':>8}", *(f"{f'@{turn}':>6}" for turn in TURNS), f"{'box':>6}",
          f"{'lower':>6} {'worse':>6} {'ms':>6} {'95 %':>6} {'open':>6} {'error':>6} {'r':>6}")  # fmt: skip
    for one in found:
        mine = curves(one.clicks)
        ms = [1000 * second for curve in mine for second in curve.seconds]
        open_ms = [1000 * case.seconds_to_open for case in one.clicks.cases] if one.clicks else []
        known = agreement_of(mine)
        print(
            f"{one.name:<22}{one.dimensions:>3}{one.kind:>8}{len(mine):>8}",
            *(f"{number(one.dice(turn)):>6}" for turn in TURNS),
            f"{number(one.boxed):>6}",
            f"{number(share(mine)):>6}",
            f"{sum(curve.dice[-1] < curve.dice[0] for curve in mine):>6}",
            *(f"{number(float(np.percentile(ms, q)) if ms else None, 0):>6}" for q in (50, 95)),
            f"{number(float(np.median(open_ms)) if open_ms else None, 0):>6}",
            f"{number(known.error if known else None):>6}",
            f"{number(known.r if known else None):>6}",
        )


def share(mine: Sequence[Curve]) -> float | None:
    return share_lowered([curve.dice[: curve.played] for curve in mine])


def goal(says: str, reached: str, wanted: str, held: bool | None) -> None:
    verdict = "not measured" if held is None else "reached" if held else "NOT reached"
    print(f"{says:<58}{reached:>26}   goal {wanted:<28}{verdict}")


def line(values: Sequence[float | None]) -> str:
    return "/".join(number(value) for value in values)


def at_least(values: Sequence[float | None], wanted: Sequence[float]) -> bool | None:
    """Tell whether all values are reached, each as it is printed; None where one is not known."""
    known = [(round(v, 3), w) for v, w in zip(values, wanted, strict=True) if v is not None]
    return all(v >= w for v, w in known) if len(known) == len(values) else None


def goals(plan: Plan, found: Sequence[Set]) -> None:
    """Print every goal with what was reached."""
    print()
    for (dimensions, kind), (clicks, box) in DICE.items():
        mine = [one for one in found if (one.dimensions, one.kind) == (dimensions, kind)]
        after = [mean(one.dice(turn) for one in mine) for turn in TURNS]
        boxed = mean(one.boxed for one in mine)
        says = f"{dimensions}, {kind} ({len(mine)} sets)"
        goal(f"{says}: Dice after {line_of(TURNS)} clicks", line(after), line(clicks), at_least(after, clicks))
        goal(f"{says}: Dice from a box alone", number(boxed), number(box), at_least([boxed], [box]))
    harm(found)
    quality(found)
    times(found)
    scribbles(found)
    clicks_by_place(found)
    clicks_on_masks(found)
    clicks_by_method(plan, found)


def line_of(values: Sequence[int]) -> str:
    return "/".join(map(str, values))


def harm(found: Sequence[Set]) -> None:
    shares = [share(curves(one.clicks)) for one in found]
    every = [curve for one in found for curve in curves(one.clicks)]
    pooled, over = share(every), mean(shares)
    goal("Interactions that lowered Dice by over .01, mean over sets",
         f"{number(over)} (of all {number(pooled)})", f"below {number(LOWERED, 2)}",
         None if over is None else over < LOWERED)  # fmt: skip
    drops = sorted((curve.dice[0] - curve.dice[-1], f"{curve.set}/{curve.case} {curve.object}") for curve in every)
    worse = [(drop, name) for drop, name in drops if drop > 0]
    goal("Objects worse after 10 than after 1", f"{len(worse)} of {len(every)}", "0", not worse if every else None)
    for drop, name in worse[::-1][:8]:
        print(f"      {name}: worse by {number(drop)}")


def quality(found: Sequence[Set]) -> None:
    for says, kinds in (("unseen", ["unseen"]), ("all", ["seen", "unseen"])):
        mine = [one for one in found if one.kind in kinds]
        pooled = agreement_of([curve for one in mine for curve in curves(one.clicks)])
        each = [agreement_of(curves(one.clicks)) for one in mine]
        error = mean(one.error for one in each if one)
        r = mean(one.r for one in each if one)
        told = f"Quality on {says} sets ({pooled.answers if pooled else 0} answers)"
        goal(f"{told}: mean error", f"{number(pooled.error if pooled else None)} (over sets {number(error)})",
             f"below {number(QUALITY_ERROR, 2)}", None if pooled is None else pooled.error < QUALITY_ERROR)  # fmt: skip
        goal(f"{told}: Pearson r", f"{number(pooled.r if pooled else None)} (within sets {number(r)})",
             f"above {number(QUALITY_R, 1)}",
             None if pooled is None or pooled.r is None else pooled.r > QUALITY_R)  # fmt: skip


def times(found: Sequence[Set]) -> None:
    for dimensions in ("2D", "3D"):
        mine = [one for one in found if one.dimensions == dimensions]
        ms = [1000 * second for one in mine for curve in curves(one.clicks) for second in curve.seconds]
        opening = [1000 * case.seconds_to_open for one in mine if one.clicks for case in one.clicks.cases]
        for says, values, wanted in (("an interaction", ms, ANSWER_MS), ("opening", opening, OPEN_MS)):
            median, most = (float(np.percentile(values, q)) if values else None for q in (50, 95))
            goal(f"{dimensions}: median time of {says} (95th percentile), ms",
                 f"{number(median, 0)} ({number(most, 0)})", f"below {wanted[dimensions]}",
                 None if median is None else median < wanted[dimensions])  # fmt: skip


def scribbles(found: Sequence[Set]) -> None:
    for one in found:
        if one.human is not None:
            drawn = mean(curve.dice[0] for curve in curves(one.human))
            three = one.dice(3)
            goal(f"{one.name}: one round of people's scribbles", number(drawn), f"{number(three)} (three clicks)",
                 None if drawn is None or three is None else drawn >= three)  # fmt: skip


def clicks_by_place(found: Sequence[Set]) -> None:
    for dimensions in ("2D", "3D"):
        gains: dict[str, list[float | None]] = {arm: [] for arm in (UNCERTAINTY, BEST, RANDOM)}
        for one in found:
            if one.dimensions == dimensions and one.places:
                for arm, values in gains.items():
                    values.append(mean(row["after"] - row["before"] for row in one.places if row["arm"] == arm))
        uncertainty, best, random = (mean(values) for values in gains.values())
        goal(f"{dimensions}: Dice gained by a click where it is most uncertain",
             f"{number(uncertainty)} (best {number(best)})", f"above {number(random)} (random wrong)",
             None if uncertainty is None or random is None else uncertainty > random)  # fmt: skip
        for one in found:
            if one.dimensions == dimensions and one.places:
                each = (mean(r["after"] - r["before"] for r in one.places if r["arm"] == arm) for arm in gains)
                print(
                    f"      {one.name}: uncertainty {{}}, best {{}}, random {{}}".format(
                        *(number(gain) for gain in each)
                    )
                )


def clicks_on_masks(found: Sequence[Set]) -> None:
    for dimensions in ("2D", "3D"):
        mine = [one.starts for one in found if one.dimensions == dimensions and one.starts]
        for wanted in STARTED:
            each = [[row["dice"] for row in rows if row["wanted"] == wanted] for rows in mine]
            padded = [[some + some[-1:] * (STARTED_CLICKS + 1 - len(some)) for some in games] for games in each]
            after = [mean(float(np.mean(games, axis=0)[at]) for games in padded) for at in (0, 1, 3, STARTED_CLICKS)]
            first, *_, last = after
            hurt = mean(share_lowered(games) for games in each)
            known = first is not None and last is not None and hurt is not None
            goal(f"{dimensions}: a mask of {number(wanted, 1)} from elsewhere, after 1/3/5 clicks",
                 f"{line(after)}, lowered {number(hurt)}", f"not lower, below {number(LOWERED, 2)}",
                 last >= first and hurt < LOWERED if known else None)  # type: ignore[operator]  # fmt: skip


def clicks_by_method(plan: Plan, found: Sequence[Set]) -> None:
    for one in found:
        gained = {m: mean(row["after"] - row["before"] for row in rows) for m, rows in one.moves.items()}
        if plan.method not in gained:
            continue
        mine = gained.pop(plan.method)
        others = {m: gain for m, gain in gained.items() if gain is not None}
        best = max(others, key=lambda m: others[m], default=None)
        goal(f"{one.name}: Dice gained by one click on a wrong mask", number(mine),
             f"above {number(others[best])} ({best})" if best else "-",
             None if mine is None or best is None else mine > others[best])  # fmt: skip
        print("      " + ", ".join(f"{m} {number(gain)}" for m, gain in sorted(others.items(), key=lambda i: -i[1])))


# The command.


def told() -> Plan:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of data sets")
    parser.add_argument("--method", default="mend")
    parser.add_argument("--weights", type=Path, help="a folder that `segmend train` made; the package's without it")
    parser.add_argument("--split", default="val")
    parser.add_argument("--limit", type=int, default=4, help="cases of each set")
    parser.add_argument("--objects", type=int, default=8, help="of each case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sets", type=names, default=(), help="a,b: only these")
    parser.add_argument("--seen", type=names, help="a,b: what the weights learned from; else as their run.json says")
    parser.add_argument("--parts", type=names, default=PARTS, help=f"some of {','.join(PARTS)}")
    parser.add_argument("--against", type=names, help="a,b: methods beside it in volumes; else all classical ones")
    parser.add_argument("--out", type=Path, help="a folder that keeps each set's games")
    chosen = parser.parse_args()
    if chosen.data is None:
        print("skipped: it needs --data, images with their truth")
        sys.exit(0)
    if wrong := set(chosen.parts) - set(PARTS):
        parser.error(f"there is no part {min(wrong)!r}; there are {', '.join(PARTS)}")
    seen = chosen.seen if chosen.seen is not None else learned_from(chosen.weights)
    against = chosen.against if chosen.against is not None else classical()
    return Plan(
        chosen.data, chosen.method, chosen.weights, chosen.split, chosen.limit, chosen.objects, chosen.seed,
        chosen.sets, seen, chosen.parts, tuple(m for m in against if m != chosen.method), chosen.out,
    )  # fmt: skip


def names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def learned_from(weights: Path | None) -> tuple[str, ...]:
    """Return the sets that a folder's weights learned from, as its run.json says; else those of the shipped ones."""
    about = weights / "run.json" if weights else None
    if about is None or not about.is_file():
        return SHIPPED
    return tuple(json.loads(about.read_text())["cases"]["train"])


def classical() -> tuple[str, ...]:
    """Return the methods for volumes that learn nothing and take clicks."""
    cards = [card for card in methods.cards() if card.weights == "none needed" and 3 in card.dimensions]
    return tuple(card.id for card in cards if "click" in card.prompts)


def main() -> None:
    plan = told()
    begun = time.perf_counter()
    found = []
    for one in sets(plan.data, plan.split, limit=plan.limit):
        if plan.only and one.name not in plan.only:
            continue
        try:
            part = measured(plan, one)
        except SegmendError as error:
            print(f"   {one.name} was left out: {error}", file=sys.stderr)
            continue
        if part is not None:
            found.append(part)
    where = f"weights {plan.mark}" if plan.mark else "nothing learned"
    most = f"{plan.limit} cases of each set, {plan.objects} objects of a case at most"
    print(f"{plan.method} ({where}), {plan.split} splits: {most}")
    table(found)
    goals(plan, found)
    print(f"\n{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
