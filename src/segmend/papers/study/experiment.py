"""A paper's experiment: what it measures, what the paper claims, and the paper's own numbers.

An experiment yields `Score`s: one number of one case by one arm. Its claims are sentences that the scores bear out or
do not; `segmend.papers.study.reproduce` runs it, judges the claims and writes the report. Arms that learn train through
`segmend.learning.loop.run` into a folder of their own under `out`, so an experiment that was stopped goes on where it
was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from segmend.errors import SettingsError
from segmend.runtime import cards
from segmend.users.seconds import GIVEN_UP

PERSON = "person"  # in a score's `more`: seconds of person and machine until then, by `segmend.users.seconds`
Log = Callable[[str], None]


@dataclass(frozen=True)
class Score:
    """One case measured under one arm; what is paired is what shares `set`, `case`, `seed` and `at`."""

    arm: str
    set: str
    case: str
    dice: float
    seed: int = 0
    at: int = 0  # interactions, edits or iterations before this number
    seconds: float | None = None  # of the step that led to it
    more: Mapping[str, float] = field(default_factory=dict)  # such as "predicted" or PERSON


@dataclass(frozen=True)
class Pick:
    """Which scores: those of an arm, at a number of interactions (None: the last), in some sets (none: all)."""

    arm: str
    at: int | None = None
    sets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Better:
    """A claim: one arm has a higher Dice than another on the same cases, by `least` or more on average.

    Held means the mean of the pairs' differences is at least `least`, and above 0 where that is 0: arms that are
    equal everywhere bear no claim out. The report gives the mean with its p of a paired t-test, the cases and
    the seeds.
    """

    says: str
    this: Pick
    than: Pick
    least: float = 0.0


@dataclass(frozen=True)
class Close:
    """A claim: two arms differ by at most `within` Dice in the mean."""

    says: str
    this: Pick
    other: Pick
    within: float


@dataclass(frozen=True)
class Less:
    """A claim: a number in `more` is less than `share` times that of another arm on the same cases."""

    says: str
    this: Pick
    than: Pick
    number: str
    share: float = 1.0


@dataclass(frozen=True)
class Sooner:
    """A claim: a person accepts a mask sooner with one arm than with another, on the same cases.

    It is accepted at a Dice of `accepted`, after the seconds that its score has in `more` under `number`: those of
    the person and the machine from the beginning on. One that never gets there counts `given_up` seconds.
    """

    says: str
    this: Pick
    than: Pick
    accepted: float = 0.85
    given_up: float = GIVEN_UP
    number: str = PERSON


@dataclass(frozen=True)
class Tracks:
    """A claim: a number in `more` follows the true Dice, with this correlation or more."""

    says: str
    this: Pick
    number: str = "predicted"
    least: float = 0.5


@dataclass(frozen=True)
class Fast:
    """A claim: the median seconds of an arm's steps are at most `most`, or those in `more` under `number`."""

    says: str
    this: Pick
    most: float
    number: str = ""


Claim = Better | Close | Less | Sooner | Tracks | Fast


@dataclass(frozen=True)
class Plan:
    """How much to spend: `effort` multiplies the training steps; 1 is what the project's own report used.

    `measured` and `done` are how `segmend.papers.study.reproduce` remembers, between runs, which arms are complete; an
    experiment uses them through `once`.
    """

    data: Path
    out: Path
    seeds: tuple[int, ...] = (0, 1, 2)
    effort: float = 1.0
    limit: int | None = None  # cases of each set
    split: str = "val"  # of each set, which is measured on; networks learn from its `train`
    log: Log = print
    measured: Mapping[tuple[str, int], Sequence[Score]] = field(default_factory=dict)  # by arm and seed
    done: Callable[[Sequence[str], int], None] = lambda arms, seed: None  # these arms are complete under this seed

    def once(self, arms: str | Sequence[str], seed: int, measure: Callable[[], Iterable[Score]]) -> Iterator[Score]:
        """Yield the scores of these arms under this seed, which is all that `measure` gives.

        Those that an earlier run measured to the end are given again instead of being measured again.

        >>> plan = Plan(Path("data"), Path("out"), measured={("plain", 0): [Score("plain", "skin", "a", 0.5)]})
        >>> [score.dice for score in plan.once("plain", 0, lambda: [Score("plain", "skin", "a", 0.75)])]
        [0.5]
        >>> [score.dice for score in plan.once("plain", 1, lambda: [Score("plain", "skin", "a", 0.75, seed=1)])]
        [0.75]
        """
        wanted = (arms,) if isinstance(arms, str) else tuple(arms)
        if all((arm, seed) in self.measured for arm in wanted):
            for arm in wanted:
                yield from self.measured[arm, seed]
            return
        yield from measure()
        self.done(wanted, seed)


@dataclass(frozen=True)
class Picture:
    """An example for the report: an image with masks drawn by name, as a PNG's bytes."""

    title: str
    png: bytes


@dataclass(frozen=True)
class Experiment:
    """A paper's experiment.

    `theirs` is the paper's own table, rows of plain values with the arm in the column "arm"; `notes` says
    what was decided where the text was silent, and what the data at hand is in place of the paper's.
    """

    paper: str  # its short name
    title: str
    sets: tuple[str, ...]  # the names of the data sets it can use; it runs on those that are there
    run: Callable[[Plan], Iterator[Score]]
    claims: tuple[Claim, ...]
    theirs: Sequence[Mapping[str, Any]]
    notes: str
    pictures: Callable[[Plan], Sequence[Picture]] | None = None


def names() -> tuple[str, ...]:
    """Return the papers that can be reproduced."""
    return tuple(sorted(cards.papers()))


def experiment(paper: str) -> Experiment:
    """Return a paper's experiment; SettingsError names the papers there are."""
    if paper not in names():
        raise SettingsError(f"There is no paper {paper!r}; there are {', '.join(names())}.")
    return cast(Experiment, import_module(cards.papers()[paper].module).EXPERIMENT)
