"""Hold the Dice that a method expects of its masks to the true one, and say what it is worth.

Robots that click as people do, draw strokes or begin with a box play objects whose truth is known, a robot an object.
What the method expected and what was true makes a calibration (`core.calibration`): the mean true Dice by what was
expected and by the marks given, each set counting once, and between what eight of ten true ones lay. Intervals come
from sets that were left out, one at a time, for a person's images are of no set: and so do the figures that say how
good all of it is. Sets should be of kinds that the weights never saw.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from segmend import methods
from segmend.core.atomic import write_bytes
from segmend.core.calibration import Calibration, Intervals, Knots, asked_with, mean_dice
from segmend.core.image import MaskArray
from segmend.core.masks import dice
from segmend.core.prompts import Prompt
from segmend.core.segmenter import Method, Segmenter, Workspace
from segmend.datasets.folder import Case, sets
from segmend.errors import SettingsError, UserError
from segmend.evaluation.metrics import quality_agreement
from segmend.runtime.calibrations import digest_of
from segmend.users import BoxFirst, LargestError, NoisyHuman, RandomError, SkeletonStroke
from segmend.users.play import Marks, User, rounds

TURNS = {2: 8, 3: 6}  # of a game, by dimensions
LEAST_SETS = 4  # of which each is left out once
BINS = 8  # of answers, by what was expected; each is one knot
LEAST_ANSWERS = 40  # after marks of one number and kind, that have a curve of their own
COVERED = 0.8  # the share of true values that an interval is to hold, on sets that were left out
TAILS = (0.1, 0.08, 0.06, 0.04, 0.02)  # what may lie above it, and as much below; the first that holds them is taken

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FirstAnywhere:
    """Clicks anywhere in the object first, then as `NoisyHuman` does."""

    seed: int = 0

    def opening(self, truth: MaskArray, mask: MaskArray) -> Prompt | None:
        return RandomError(self.seed)(truth, mask)

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Marks | None:
        return NoisyHuman(self.seed)(truth, mask)


# Each object is played by one of them, with the kinds of prompts that the method has to take.
PLAYERS: tuple[tuple[Callable[[int], User], tuple[str, ...]], ...] = (
    (LargestError, ("click",)),
    (LargestError, ("click",)),
    (NoisyHuman, ("click",)),
    (FirstAnywhere, ("click",)),
    (BoxFirst, ("box", "click")),
    (SkeletonStroke, ("stroke",)),
)


@dataclass(frozen=True)
class Answered:
    """One answer: the marks it was given, the Dice that the method expected, and the true one."""

    set: str
    case: str
    object: int
    dimensions: int
    marks: str  # as `core.calibration.asked_with` names them
    expected: float
    dice: float


@dataclass(frozen=True)
class Judgement:
    """How good a calibration is, on sets that it was not made of; each set counts once."""

    sets: int
    answers: int
    error: float  # mean distance of the expected Dice from the true one
    r: float
    bias: float
    covered: float  # share of true ones in their intervals: .8 is wanted
    width: float  # of the intervals


# Playing.


def answered(
    data: Path,
    method: str,
    *,
    weights: Path | None = None,
    split: str = "train",
    names: Sequence[str] = (),
    limit: int | None = None,
    objects: int | None = None,
    known: Iterable[Answered] = (),
    tell: Callable[[str], None] = lambda line: None,
) -> Iterator[Answered]:
    """Play the objects of these sets, all of them without names, and yield every answer whose Dice was expected.

    Objects with answers that are known already are not played again.
    """
    card = methods.card(method, weights)
    segmenter = methods.load(method, weights)
    done = {(one.set, one.case, one.object) for one in known}
    for found in sets(data, split, limit=limit):
        if names and found.name not in names:
            continue
        tell(found.name)
        for case in found.cases:
            yield from _of_case(segmenter, card, found.name, case, objects, done)


def _of_case(
    segmenter: Segmenter, card: Method, name: str, case: Case, objects: int | None, done: set[tuple[str, str, int]]
) -> Iterator[Answered]:
    example = case.read()
    dimensions = 2 if example.image.flat else 3
    if dimensions not in card.dimensions:
        return
    workspace: Workspace | None = None
    for value, truth in example.objects(objects):
        if (name, case.name, value) in done:
            continue
        if workspace is None:
            try:
                workspace = segmenter.open(example.image)
            except UserError:
                workspace = segmenter.open(example.first)
            workspace.calibration = None  # what is asked for is what the method says itself
        seed = zlib.crc32(f"{name}/{case.name}/{value}".encode())
        prompts: tuple[Prompt, ...] = ()
        for turn in rounds(_player(card, seed), workspace, truth, interactions=TURNS[dimensions]):
            prompts = (*prompts, *turn.prompts)
            if turn.quality is not None:
                true = float(dice(truth, turn.mask))
                yield Answered(name, case.name, value, dimensions, asked_with(prompts), float(turn.quality), true)


def _player(card: Method, seed: int) -> User:
    chosen = [make for make, kinds in PLAYERS if set(kinds) <= set(card.prompts)]
    if not chosen:
        raise SettingsError(f"{card.title} takes neither clicks nor strokes, so no robot here can ask it.")
    return chosen[int(np.random.default_rng(seed).integers(len(chosen)))](seed)


# Fitting.


def fitted(answers: Sequence[Answered]) -> Calibration:
    """Return the calibration of answers in 2 or in 3 dimensions; SettingsError where they are of too few sets."""
    names = sorted({one.set for one in answers})
    if len(names) < LEAST_SETS:
        raise SettingsError(
            f"A calibration needs answers of {LEAST_SETS} sets or more, to leave each of them out once; "
            f"there are {len(names)}."
        )
    return _fitted(answers)


def _fitted(answers: Sequence[Answered]) -> Calibration:
    names = sorted({one.set for one in answers})
    left_out = []
    for name in names:
        knots = _knots_of([one for one in answers if one.set != name])
        left_out += [(one, mean_dice(knots, one.marks, one.expected)) for one in answers if one.set == name]
    return Calibration(_knots_of(answers), _intervals_of(left_out, _tail_of(left_out)))


def judged(answers: Sequence[Answered]) -> Judgement:
    """Return how good calibrations are on sets that they were not made of, leaving out each set once."""
    names = sorted({one.set for one in answers})
    pairs = [(_fitted([a for a in answers if a.set != name]), [a for a in answers if a.set == name]) for name in names]
    return _judgement(pairs)


def judged_on(calibration: Calibration, answers: Sequence[Answered]) -> Judgement:
    """Return how good a calibration is on answers of other sets."""
    return _judgement([(calibration, [a for a in answers if a.set == name]) for name in {a.set for a in answers}])


def _judgement(pairs: Sequence[tuple[Calibration, Sequence[Answered]]]) -> Judgement:
    every, rows = [], []
    for calibration, answers in pairs:
        mine = np.array([mean_dice(calibration.knots, one.marks, one.expected) for one in answers])
        true = np.array([one.dice for one in answers])
        at, low, high = np.array(calibration.intervals).T
        lows, highs = np.interp(mine, at, low), np.interp(mine, at, high)
        every += list(zip(mine.tolist(), true.tolist(), strict=True))
        inside = (true >= lows) & (true <= highs)
        rows.append([np.abs(mine - true).mean(), (mine - true).mean(), inside.mean(), (highs - lows).mean()])
    error, bias, covered, width = np.mean(rows, axis=0).tolist()
    agreement = quality_agreement(*zip(*every, strict=True))
    r = 0.0 if agreement is None or agreement.r is None else agreement.r
    return Judgement(len(pairs), len(every), error, r, bias, covered, width)


def _knots_of(answers: Sequence[Answered]) -> dict[str, Knots]:
    """Return the mean true Dice by what was expected, after marks of each number and kind, and after any."""
    found = {"any": _curve(answers)}
    for marks in sorted({one.marks for one in answers}):
        some = [one for one in answers if one.marks == marks]
        if len(some) >= LEAST_ANSWERS and len({one.set for one in some}) >= LEAST_SETS - 1:
            found[marks] = _curve(some)
    return found


def _curve(answers: Sequence[Answered]) -> Knots:
    expected, true = (np.array([getattr(one, name) for one in answers]) for name in ("expected", "dice"))
    weights = _weights(answers)
    bins = _bins(expected, weights)
    at = [np.average(expected[one], weights=weights[one]) for one in bins]
    means = [np.average(true[one], weights=weights[one]) for one in bins]
    rising = isotonic_regression(means, weights=[weights[one].sum() for one in bins]).x
    return tuple((round(float(x), 4), round(float(y), 4)) for x, y in zip(at, rising, strict=True))


def _tail_of(left_out: Sequence[tuple[Answered, float]]) -> float:
    """Return how much may lie above an interval: sets differ, so that one of some sets holds too little of another."""
    names = {one.set for one, _ in left_out}
    for tail in TAILS:
        covered = []
        for name in names:
            at, low, high = np.array(_intervals_of([pair for pair in left_out if pair[0].set != name], tail)).T
            mine, true = np.array([(value, one.dice) for one, value in left_out if one.set == name]).T
            covered.append(((true >= np.interp(mine, at, low)) & (true <= np.interp(mine, at, high))).mean())
        if np.mean(covered) >= COVERED:
            return tail
    return TAILS[-1]


def _intervals_of(left_out: Sequence[tuple[Answered, float]], tail: float) -> Intervals:
    mine, true = (np.array(values) for values in zip(*((value, one.dice) for one, value in left_out), strict=True))
    weights = _weights([one for one, _ in left_out])
    bins = _bins(mine, weights)
    at = [np.average(mine[one], weights=weights[one]) for one in bins]
    ends = [
        isotonic_regression([_quantile(true[one], weights[one], share) for one in bins]).x for share in (tail, 1 - tail)
    ]
    low, high = ends
    return tuple(tuple(round(float(value), 4) for value in one) for one in zip(at, low, high, strict=True))  # type: ignore[misc]


def _weights(answers: Sequence[Answered]) -> Array:
    """Return a weight for each answer, so that every set counts once."""
    names, at, counts = np.unique([one.set for one in answers], return_inverse=True, return_counts=True)
    return np.asarray(1 / (len(names) * counts[at]))


def _bins(values: Array, weights: Array) -> list[NDArray[np.intp]]:
    """Return the places of the values in bins of about the same weight, the least first."""
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weights[order]) / weights.sum()
    parts = np.minimum((share * BINS - 1e-9).astype(int), BINS - 1)
    return [order[parts == part] for part in range(BINS) if (parts == part).any()]


def _quantile(values: Array, weights: Array, share: float) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(int(np.searchsorted(reached, share)), len(values) - 1)])


# Files.


def read_answers(path: Path) -> list[Answered]:
    """Return the answers of a file, one a line; none where there is no file."""
    if not path.is_file():
        return []
    return [Answered(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def line_of(one: Answered) -> str:
    """Return the line of an answer in such a file."""
    return json.dumps(asdict(one)) + "\n"


def write(path: Path, method: str, weights: Path | None, found: Mapping[int, Sequence[Answered]]) -> dict[str, Any]:
    """Write the calibrations of a method's answers, by dimensions, beside how good they are; return what is written."""
    dimensions = {}
    for number, answers in sorted(found.items()):
        names = sorted({one.set for one in answers})
        dimensions[str(number)] = {
            "weights": digest_of(method, number, weights),
            **fitted(answers).values(),
            "sets": names,
            "left_out": {name: round(value, 4) for name, value in asdict(judged(answers)).items()},
        }
    values = {"method": method, "dimensions": dimensions}
    write_bytes(path, (json.dumps(values, indent=1) + "\n").encode())
    return values
