"""Whether a paper's claims hold for the scores at hand.

A claim is *held* when the number it speaks of lies beyond its bar by more than chance, *not held* when it lies on the
other side by more than chance, and *open* within it. Chance is a two-sided test at .05 over cases, their seeds
averaged, with Holm's correction over all claims of the paper (`beyond_chance`). `judge` looks at one claim alone, at
the side of the bar; the confidence interval and the p value of a paired t-test over pairs (scores of the same set, case
and seed) are given with it. A median of seconds is held against its bar by the sign test.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from string import ascii_letters, digits
from typing import Any

import numpy as np

from segmend.evaluation import significance
from segmend.evaluation.significance import Difference
from segmend.papers.study.experiment import Better, Claim, Close, Fast, Less, Pick, Score, Sooner, Tracks

PLAIN = f"{ascii_letters}{digits} _"  # an arm of other letters is put in quotes
HELD, OPEN, NOT_HELD, NOT_TESTED = "held", "open", "not held", "could not be tested"

# The remark on a verdict whose difference has a p value of 0.05 or more.
NOT_SIGNIFICANT = "The difference is not significant."
Cases = dict[tuple[str, str, int], Score]  # by set, case and seed


@dataclass(frozen=True)
class Verdict:
    """What became of a claim; `value` is what is held against `bar`, in units of `measure`."""

    claim: str
    rule: str  # the claim as it was tested
    outcome: str  # HELD, NOT_HELD or NOT_TESTED
    remark: str = ""  # why it could not be tested, or what should be known
    measure: str = "Dice"
    bar: float | None = None
    value: float | None = None
    low: float | None = None  # 95 % confidence
    high: float | None = None
    p: float | None = None
    p_of_cases: float | None = None  # seeds averaged
    p_of_bar: float | None = None  # of lying on this side of the bar by chance, over cases
    p_holm: float | None = None  # the same, corrected for the number of the paper's claims
    pairs: int = 0
    cases: int = 0
    seeds: int = 0
    by_set: Mapping[str, float] = field(default_factory=dict)


def pick_scores(scores: Iterable[Score], pick: Pick) -> Cases | str:
    """Return one score a case and seed, or why there is none.

    At a number of interactions stands the last score up to it: a game that ended early keeps its mask. No
    number is the last of each case.

    >>> scores = [Score("a", "skin", "x", 0.5, at=1), Score("a", "skin", "x", 0.75, at=2)]
    >>> [score.dice for score in pick_scores(scores, Pick("a", at=1)).values()]
    [0.5]
    >>> pick_scores(scores, Pick("a", at=3))
    "'a' was not measured at 3"
    """
    mine = [s for s in scores if s.arm == pick.arm]
    if not mine:
        return f"{pick.arm!r} was not measured"
    mine = [s for s in mine if not pick.sets or s.set in pick.sets]
    if not mine:
        return f"{pick.arm!r} was not measured on {' or '.join(pick.sets)}"
    if pick.at is not None and not any(s.at == pick.at for s in mine):
        return f"{pick.arm!r} was not measured at {pick.at}"
    found: Cases = {}
    for score in sorted(mine, key=lambda s: s.at):
        if pick.at is None or score.at <= pick.at:
            found[score.set, score.case, score.seed] = score
    return found


def judge(claim: Claim, scores: Sequence[Score]) -> Verdict:
    """Return what the scores say to a claim."""
    match claim:
        case Better(says, this, than, least):
            apart, sets = difference(this, than)
            rule = f"{apart} {'≥' if least else '>'} {least:g}{sets}"
            beaten = (lambda mean: mean >= least) if least else (lambda mean: mean > 0)
            return _of_pairs(says, rule, this, than, scores, bar=least, held=beaten, chance=_p_beyond)
        case Close(says, this, other, within):
            apart, sets = difference(this, other)
            rule = f"|{apart}| ≤ {within:g}{sets}"
            inside = lambda mean: abs(mean) <= within  # noqa: E731 (a bar, as above)
            return _of_pairs(says, rule, this, other, scores, bar=within, held=inside, chance=_p_within)
        case Less(says, this, than, number, share):
            times = "" if share == 1 else f"{share:g} times "
            rule = f"{number}: {times}{named(than)} − {named(this)} > 0"
            these, those = pick_numbers(scores, this, number), pick_numbers(scores, than, number)
            if isinstance(those, dict):
                those = {key: replace(score, dice=share * score.more[number]) for key, score in those.items()}
            if isinstance(these, dict):
                these = {key: replace(score, dice=score.more[number]) for key, score in these.items()}
            return _of_cases(says, rule, those, these, bar=0.0, held=_above_zero, chance=_p_beyond, measure=number)
        case Sooner(says, this, than, accepted, given_up, number):
            rule = f"seconds to a Dice of {accepted:g}: {named(than)} − {named(this)} > 0"
            slow, quick = (_seconds_until(scores, pick, number, accepted, given_up) for pick in (than, this))
            return _of_cases(says, rule, slow, quick, bar=0.0, held=_above_zero, chance=_p_beyond, measure="s saved")
        case Tracks(says, this, number, least):
            return _judge_tracking(says, this, number, least, scores)
        case Fast(says, this, most, number):
            return _judge_speed(says, this, most, number, scores)


def judge_all(claims: Sequence[Claim], scores: Sequence[Score]) -> tuple[Verdict, ...]:
    """Return what the scores say to all claims of a paper, beyond chance."""
    return beyond_chance([judge(claim, scores) for claim in claims])


def beyond_chance(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Return verdicts with p values corrected for their number; those within chance are open."""
    corrected = iter(significance.holm([v.p_of_bar for v in verdicts if v.p_of_bar is not None]))
    found = []
    for verdict in verdicts:
        if verdict.p_of_bar is None:
            found.append(verdict)
            continue
        p = next(corrected)
        outcome = verdict.outcome if p < 1 - significance.CONFIDENCE else OPEN
        found.append(replace(verdict, outcome=outcome, p_holm=p))
    return tuple(found)


def named(pick: Pick) -> str:
    """Return a pick in words.

    >>> named(Pick("iunet", at=5, sets=("spleen",)))
    'iunet at 5 on spleen'
    >>> named(Pick("G, edited"))
    '“G, edited”'
    """
    arm = pick.arm if set(pick.arm) <= set(PLAIN) else f"“{pick.arm}”"
    at = "" if pick.at is None else f" at {pick.at}"
    return f"{arm}{at}" + (f" on {', '.join(pick.sets)}" if pick.sets else "")


def measured(value: float, measure: str) -> str:
    """Return a number as a table shows it, in what a verdict's `measure` says.

    >>> measured(-0.0314, "Dice"), measured(0.154, "s"), measured(12.34, "s saved"), measured(0.7, "r")
    ('−0.031', '0.154 s', '+12.3 s', 'r 0.70')
    """
    match measure:
        case "Dice":
            text = f"{value:+.3f}"
        case "s":
            text = f"{value:.3g} s"
        case "s saved":
            text = f"{value:+.1f} s"
        case "r":
            text = f"r {value:.2f}"
        case _:
            text = f"{measure} {value:+.3f}"
    return text.replace("-", "−")


def interval(verdict: Verdict) -> str:
    """Return the 95 % interval of a verdict in words, a dash where there is none."""
    if verdict.low is None or verdict.high is None:
        return "–"
    ends = (measured(end, verdict.measure).removeprefix(f"{verdict.measure} ") for end in (verdict.low, verdict.high))
    return " to ".join(ends)


def difference(this: Pick, other: Pick) -> tuple[str, str]:
    """Return the difference of two picks in words, and the sets of both, which are not named twice.

    >>> difference(Pick("a", at=1, sets=("skin", "head")), Pick("b", sets=("skin", "head")))
    ('a at 1 − b', ' on skin, head')
    >>> difference(Pick("a", sets=("skin",)), Pick("b", sets=("head",)))
    ('a on skin − b on head', '')
    """
    if this.sets != other.sets:
        return f"{named(this)} − {named(other)}", ""
    sets = f" on {', '.join(this.sets)}" if this.sets else ""
    return f"{named(replace(this, sets=()))} − {named(replace(other, sets=()))}", sets


def _of_pairs(
    says: str,
    rule: str,
    this: Pick,
    other: Pick,
    scores: Sequence[Score],
    *,
    bar: float,
    held: Callable[[float], bool],
    chance: Callable[[Sequence[float], float], float],
) -> Verdict:
    these, those = pick_scores(scores, this), pick_scores(scores, other)
    return _of_cases(says, rule, these, those, bar=bar, held=held, chance=chance)


def _above_zero(mean: float) -> bool:
    return mean > 0


def _seconds_until(scores: Sequence[Score], pick: Pick, number: str, accepted: float, given_up: float) -> Cases | str:
    """Return, in place of the Dice, the seconds after which each case had so high a one, or those of giving it up."""
    last = pick_numbers(scores, pick, number)
    if isinstance(last, str):
        return last
    found: Cases = {}
    for score in sorted((s for s in scores if s.arm == pick.arm and number in s.more), key=lambda s: s.at):
        key = score.set, score.case, score.seed
        if key in last and key not in found and score.dice >= accepted and score.at <= last[key].at:
            found[key] = replace(score, dice=min(score.more[number], given_up))
    return {key: found.get(key, replace(score, dice=given_up)) for key, score in last.items()}


def _of_cases(
    says: str,
    rule: str,
    these: Cases | str,
    those: Cases | str,
    *,
    bar: float,
    held: Callable[[float], bool],
    chance: Callable[[Sequence[float], float], float],
    measure: str = "Dice",
) -> Verdict:
    if isinstance(these, str) or isinstance(those, str):
        why = these if isinstance(these, str) else str(those)
        return Verdict(says, rule, NOT_TESTED, f"{why}.", measure=measure, bar=bar)
    shared = [key for key in these if key in those]
    finite = [key for key in shared if math.isfinite(these[key].dice) and math.isfinite(those[key].dice)]
    if not finite:
        why = "The two were not measured on the same case under one seed."
        return Verdict(says, rule, NOT_TESTED, why, measure=measure, bar=bar)
    apart = {key: these[key].dice - those[key].dice for key in finite}
    found = _difference(list(apart.values()))
    cases = [float(np.mean(values)) for values in _group(apart, lambda key: key[:2]).values()]
    left = len(shared) - len(finite)
    remarks = [f"{left} pairs without a number were left out."] if left else []
    outcome = HELD if held(found.mean) else NOT_HELD
    if found.p is not None and found.p >= 1 - significance.CONFIDENCE:
        remarks.append(NOT_SIGNIFICANT)
    elif not any(apart.values()):
        remarks.append("The two are equal everywhere.")
    return Verdict(
        says,
        rule,
        outcome,
        " ".join(remarks),
        measure=measure,
        bar=bar,
        value=found.mean,
        low=found.low,
        high=found.high,
        p=found.p,
        p_of_cases=_difference(cases).p,
        p_of_bar=chance(cases, bar),
        pairs=found.pairs,
        cases=len(cases),
        seeds=len({key[2] for key in finite}),
        by_set={name: float(np.mean(values)) for name, values in _group(apart, lambda key: key[0]).items()},
    )


def _p_beyond(cases: Sequence[float], bar: float) -> float:
    """Return the two-sided p of differences whose mean were the bar; 1 where one case or no spread tells nothing."""
    found = significance.difference(cases, [bar] * len(cases))
    if found.p is not None:
        return found.p
    return 0.0 if found.pairs > 1 and abs(found.mean) > significance.NEGLIGIBLE else 1.0


def _p_within(cases: Sequence[float], within: float) -> float:
    """Return the p of two one-sided tests that the mean lies within, or beyond where it is measured beyond.

    >>> round(_p_within([0.01, 0.0, -0.01, 0.005], 0.05), 3), _p_within([0.2, 0.21, 0.2], 0.05) < 0.05
    (0.001, True)
    """
    mean = float(np.mean(cases))
    if abs(mean) <= within:
        return max(_p_beyond(cases, within), _p_beyond(cases, -within)) / 2
    return _p_beyond(cases, math.copysign(within, mean))


def _difference(apart: Sequence[float]) -> Difference:
    return significance.difference(apart, [0.0] * len(apart))


def _group(values: Mapping[Any, float], by: Any) -> dict[Any, list[float]]:
    groups: dict[Any, list[float]] = {}
    for key, value in values.items():
        groups.setdefault(by(key), []).append(value)
    return groups


def pick_numbers(scores: Iterable[Score], this: Pick, number: str) -> Cases | str:
    """Return the picked scores that carry a number beside the Dice, or why there is none."""
    found = pick_scores(scores, this)
    if isinstance(found, str):
        return found
    carrying = {k: s for k, s in found.items() if math.isfinite(s.more.get(number, math.nan) + s.dice)}
    return carrying or f"{named(this)} gave no {number!r}"


def _judge_tracking(says: str, this: Pick, number: str, least: float, scores: Sequence[Score]) -> Verdict:
    rule = f"correlation of {number} with Dice, {named(this)} ≥ {least:g}"
    found = pick_numbers(scores, this, number)
    if isinstance(found, str):
        return Verdict(says, rule, NOT_TESTED, f"{found}.", measure="r", bar=least)
    numbers, dices = [s.more[number] for s in found.values()], [s.dice for s in found.values()]
    together = significance.correlation(numbers, dices)
    counted = Verdict(
        says,
        rule,
        NOT_TESTED,
        measure="r",
        bar=least,
        pairs=len(found),
        cases=len({key[:2] for key in found}),
        seeds=len({key[2] for key in found}),
    )
    if together is None:
        why = f"A correlation needs three scores or more that differ; got {len(found)}."
        return replace(counted, remark=why)
    by_set: dict[str, float] = {}
    for name in dict.fromkeys(key[0] for key in found):
        of_set = [score for key, score in found.items() if key[0] == name]
        alone = significance.correlation([s.more[number] for s in of_set], [s.dice for s in of_set])
        by_set |= {name: alone.r} if alone else {}
    return replace(
        counted,
        outcome=HELD if together.r >= least else NOT_HELD,
        remark=f"The mean absolute error is {together.error:.3f}.",
        value=together.r,
        low=together.low,
        high=together.high,
        p=together.p,
        p_of_bar=significance.p_of_correlation(together.r, least, counted.cases),
        by_set=by_set,
    )


def _judge_speed(says: str, this: Pick, most: float, number: str, scores: Sequence[Score]) -> Verdict:
    """Judge all timed steps of an arm or, at a number, those that led to it; of a number in `more` each case's last."""
    rule = f"median seconds{' of a ' + number if number else ''}, {named(this)} ≤ {most:g}"
    found = pick_numbers(scores, this, number) if number else pick_scores(scores, this)
    if isinstance(found, str):
        return Verdict(says, rule, NOT_TESTED, f"{found}.", measure="s", bar=most)
    mine = [s for s in scores if s.arm == this.arm and (not this.sets or s.set in this.sets)]
    if number:
        mine = [replace(score, seconds=score.more[number]) for score in found.values()]
    steps = [s for s in mine if s.seconds is not None and (number or this.at in (None, s.at))]
    if not steps:
        return Verdict(says, rule, NOT_TESTED, f"{named(this)} was not timed.", measure="s", bar=most)
    seconds = [s.seconds for s in steps if s.seconds is not None]
    median = float(np.median(seconds))
    by_case = _group({(s.set, s.case, s.seed, s.at): s.seconds or 0.0 for s in steps}, lambda key: key[:2])
    return Verdict(
        says,
        rule,
        HELD if median <= most else NOT_HELD,
        f"The slowest of {len(seconds)} steps took {max(seconds):.3g} s.",
        measure="s",
        bar=most,
        value=median,
        p_of_bar=significance.p_of_median([float(np.median(values)) for values in by_case.values()], most),
        pairs=len(seconds),
        cases=len({(s.set, s.case) for s in steps}),
        seeds=len({s.seed for s in steps}),
    )
