"""Old weights against new ones: a robot plays the same cases with both, and a rule says which are to be used.

Both play a case's objects with clicks at the centre of the largest error and, anew, with a box; what counts is
the Dice after 1, 3 and 5 clicks and after the box, a mean over the objects of a case, so that every case counts
once. The same is played on drawn scenes, to see what was forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from segmend.core.image import Image
from segmend.core.segmenter import Segmenter
from segmend.datasets.case import Case, Example
from segmend.evaluation.evaluate import Job, Problem, play_case
from segmend.evaluation.significance import CONFIDENCE, Difference, difference
from segmend.learning.drawn.solids import volume
from segmend.learning.drawn.synthetic import scene
from segmend.users import BoxFirst, LargestError

CLICKS = (1, 3, 5)  # the numbers of clicks after which the Dice counts
MOMENTS = ("1 click", "3 clicks", "5 clicks", "a box")  # the prompts after which the Dice counts, by name
MOST_OBJECTS = 8  # objects of a case that are played
SCENES = {2: 72, 3: 24}  # how many scenes are drawn, by dimensions; with fewer a handful decides
SCENE_SIDE = {2: 160, 3: 48}  # the side of a drawn scene, in pixels or voxels

Scores = dict[str, float]  # Dice by moment
Tell = Callable[[str], None]


@dataclass(frozen=True)
class PairedScores:
    """The scores of one case with the old and the new weights."""

    case: str
    old: Scores
    new: Scores

    @property
    def gain(self) -> float:
        """How much higher the new weights' mean over the moments is."""
        return float(np.mean(list(self.new.values())) - np.mean(list(self.old.values())))


@dataclass(frozen=True)
class Moment:
    """All cases at one moment of the game."""

    name: str
    old: float  # mean Dice
    new: float
    versus: Difference  # new minus old, paired by case
    better: int  # cases
    worse: int

    @property
    def harmed(self) -> bool:
        """True where the new weights are worse by more than chance."""
        return self.versus.mean < 0 and self.versus.p is not None and self.versus.p < 1 - CONFIDENCE


@dataclass(frozen=True)
class Trial:
    """The cases that both could play, and those that one could not."""

    pairs: tuple[PairedScores, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def gain(self) -> float:
        """The mean over cases and moments, new minus old; 0 where nothing was played."""
        return float(np.mean([pair.gain for pair in self.pairs])) if self.pairs else 0.0

    @property
    def better(self) -> int:
        return sum(pair.gain > 0 for pair in self.pairs)

    @property
    def worse(self) -> int:
        return sum(pair.gain < 0 for pair in self.pairs)

    @property
    def forgot(self) -> bool:
        """True where it is worse in as many cases as better, or by more than chance: not in a few alone."""
        versus = difference([pair.gain for pair in self.pairs], [0.0] * len(self.pairs))
        return self.worse >= self.better or (self.gain < 0 and versus.p is not None and versus.p < 1 - CONFIDENCE)

    @property
    def moments(self) -> tuple[Moment, ...]:
        return tuple(_score_at(name, self.pairs) for name in MOMENTS) if self.pairs else ()


def _score_at(name: str, pairs: Sequence[PairedScores]) -> Moment:
    old, new = [pair.old[name] for pair in pairs], [pair.new[name] for pair in pairs]
    better, worse = (sum(map(so, new, old)) for so in (float.__gt__, float.__lt__))
    return Moment(name, float(np.mean(old)), float(np.mean(new)), difference(new, old), better, worse)


@dataclass(frozen=True)
class Trials:
    """What was played: the site's cases, drawn scenes and, where they are at hand, what was learned from before."""

    site: Trial
    drawn: Trial
    before: Trial | None = None

    def to_json(self) -> dict[str, Any]:
        """Return them as plain JSON values."""
        return {name: to_json(one) for name, one in vars(self).items() if one is not None}


@dataclass(frozen=True)
class Rule:
    """When new weights replace the old ones.

    On the site's cases the mean over cases and moments must rise by `gain` at least, more cases must become better
    than worse, and no moment may be worse by more than chance (p < .05). On drawn scenes, and on cases of what was
    learned before, the mean may fall by `lost` at most; by more only where a few of them alone are the reason.
    """

    gain: float = 0.005
    lost: float = 0.02
    least: int = 3  # cases that both must be able to play

    def against(self, trials: Trials) -> tuple[str, ...]:
        """Return what speaks against the new weights, a sentence each; nothing means that they are better."""
        site = trials.site
        if len(site.pairs) < self.least:
            why = "".join(f" {problem.case}: {' '.join(problem.reason.split())}" for problem in site.problems[:1])
            return (f"Only {len(site.pairs)} cases could be played, {self.least} are needed.{why}",)
        found = []
        if site.gain < self.gain:
            found.append(f"The mean Dice changed by {site.gain:+.4f}; it needs to rise by {self.gain:g} or more.")
        if site.better <= site.worse:
            found.append(f"{site.better} cases became better and {site.worse} worse; more need to become better.")
        found += [
            f"After {moment.name} the Dice is worse by more than chance ({moment.versus.mean:+.4f}, "
            f"95 % {moment.versus.low:+.4f} to {moment.versus.high:+.4f})."
            for moment in site.moments
            if moment.harmed
        ]
        for what, one in (("drawn scenes", trials.drawn), ("what was learned before", trials.before)):
            if one is not None and one.gain < -self.lost and one.forgot:
                lost = f"the mean Dice fell by {-one.gain:.4f}; at most {self.lost:g} may be forgotten"
                found.append(f"On {what} {lost}.")
        return tuple(found)


def trial(cases: Iterable[Case], old: Segmenter, new: Segmenter, *, tell: Tell = lambda line: None) -> Trial:
    """Let a robot play every case with both weights."""
    pairs, problems = [], []
    for case in cases:
        found = [mean_dice(case, segmenter) for segmenter in (old, new)]
        failed = next((one for one in found if isinstance(one, Problem)), None)
        if failed is not None:
            problems.append(failed)
            tell(f"  {case.title} could not be played: {' '.join(failed.reason.split())}")
            continue
        pair = PairedScores(case.name, *found)  # type: ignore[arg-type]
        pairs.append(pair)
        tell(f"  {case.title}: {pair.gain:+.3f}")
    return Trial(tuple(pairs), tuple(problems))


def mean_dice(case: Case, segmenter: Segmenter) -> Scores | Problem:
    """Return the mean Dice over a case's objects after some clicks and, in another game, after a box."""
    job = Job("", case, lambda warm: segmenter, LargestError(), max(CLICKS), MOST_OBJECTS)
    clicks, box = play_case(job), play_case(replace(job, user=BoxFirst(), interactions=1))
    for result in (clicks, box):
        if isinstance(result, Problem):
            return result
        if not result.curves:
            return Problem("", case.name, "no object is large enough to measure")
    assert not isinstance(clicks, Problem) and not isinstance(box, Problem)
    values = [np.mean([curve.dice[count - 1] for curve in clicks.curves]) for count in CLICKS]
    values.append(np.mean([curve.dice[0] for curve in box.curves]))
    return {name: float(value) for name, value in zip(MOMENTS, values, strict=True)}


@dataclass(frozen=True)
class DrawnCase(Case):
    """A drawn scene; its number decides what is drawn."""

    dimensions: int
    number: int

    def read(self) -> Example:
        rng, side = np.random.default_rng((2, 7, 1, self.number)), SCENE_SIDE[self.dimensions]
        if self.dimensions == 3:
            intensities, truth = volume(rng, side)
            image, labels = Image(intensities[None]), truth
        else:
            picture, flat = scene(rng, side)
            image, labels = Image(picture[:, None] if self.number % 2 else picture[:1, None]), flat[None]
        return Example(image, image, labels.astype(np.uint16))


def drawn_scenes(dimensions: int) -> tuple[DrawnCase, ...]:
    """Return the scenes on which weights must not become worse, always the same ones.

    >>> len(drawn_scenes(3)), drawn_scenes(2)[0].read().image.shape
    (24, (1, 160, 160))
    """
    return tuple(DrawnCase(Path(), f"scene {n}", dimensions, n) for n in range(SCENES[dimensions]))


def to_json(found: Trial) -> dict[str, Any]:
    """Return a trial as plain JSON values."""
    return {
        "gain": found.gain,
        "better": found.better,
        "worse": found.worse,
        "moments": {
            m.name: {
                "old": m.old,
                "new": m.new,
                "difference": m.versus.mean,
                "low": m.versus.low,
                "high": m.versus.high,
                "p": m.versus.p,
                "better": m.better,
                "worse": m.worse,
            }
            for m in found.moments
        },
        "cases": [{"case": pair.case, "old": pair.old, "new": pair.new, "gain": pair.gain} for pair in found.pairs],
        "problems": [{"case": problem.case, "reason": problem.reason} for problem in found.problems],
    }
