"""How far a run is, for the person who waits: a bar on a terminal, now and then a line in a log."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TextIO

Log = Callable[[str], None]
LOG_STEPS = 50  # training steps between two lines of a log
REDRAW_SECONDS = 0.2
BAR_LETTERS = 28  # the width of the progress bar


@dataclass(frozen=True)
class Reached:
    """Where a run is; `fresh` steps took `seconds`, the steps before it was resumed do not count.

    >>> str(Reached(done=50, steps=200, loss=0.25, fresh=50, seconds=10.0, batch=8, waited=1.0))
    'step 50/200  loss 0.2500  10 s, about 30 s left  40 samples/s, 10 % waiting for them'
    """

    done: int
    steps: int
    loss: float
    fresh: int
    seconds: float
    batch: int  # samples of a step
    waited: float  # seconds in which no sample was ready

    @property
    def left(self) -> float:
        """The seconds that are left at the pace so far."""
        return self.seconds / max(self.fresh, 1) * (self.steps - self.done)

    def __str__(self) -> str:
        gone, left = spoken(self.seconds), spoken(self.left)
        pace = self.fresh * self.batch / max(self.seconds, 1e-9)
        waiting = f"{self.waited / max(self.seconds, 1e-9):.0%}".replace("%", " %")
        return (
            f"step {self.done}/{self.steps}  loss {self.loss:.4f}  {gone}, about {left} left  "
            f"{pace:.{0 if pace >= 10 else 1}f} samples/s, {waiting} waiting for them"
        )


def spoken(seconds: float) -> str:
    """Return a time as people say it.

    >>> spoken(7.6), spoken(90), spoken(7000), spoken(200_000)
    ('8 s', '90 s', '117 min', '56 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


class Progress(Protocol):
    """What the loop tells: every step, and what else there is to say."""

    def step(self, reached: Reached) -> None:
        """Take notice of a step."""

    def say(self, line: str) -> None:
        """Show a line."""


@dataclass(frozen=True)
class Lines:
    """Plain lines, for a log: one in fifty steps, and the last."""

    log: Log

    def step(self, reached: Reached) -> None:
        if reached.done % LOG_STEPS == 0 or reached.done == reached.steps:
            self.log(str(reached))

    def say(self, line: str) -> None:
        self.log(line)


@dataclass
class Bar:
    """One line of a terminal that is drawn again and again; other lines appear above it."""

    stream: TextIO
    _drawn: float = field(default=float("-inf"), init=False)
    _length: int = field(default=0, init=False)

    def step(self, reached: Reached) -> None:
        now = time.monotonic()
        if now - self._drawn < REDRAW_SECONDS and reached.done != reached.steps:
            return
        self._drawn = now
        full = BAR_LETTERS * reached.done // max(reached.steps, 1)
        line = f"[{'#' * full}{'-' * (BAR_LETTERS - full)}] {reached}"
        self._put("\r" + line.ljust(self._length))
        self._length = len(line)
        if reached.done == reached.steps:
            self._put("\n")
            self._length = 0

    def say(self, line: str) -> None:
        self._put(("\r" + line.ljust(self._length) if self._length else line) + "\n")
        self._length = 0

    def _put(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()


class Silence:
    """Nothing: what a process that does not lead says."""

    def step(self, reached: Reached) -> None:
        """Say nothing."""

    def say(self, line: str) -> None:
        """Say nothing."""
