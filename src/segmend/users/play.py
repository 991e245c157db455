"""The loop in which a User and a Segmenter meet: evaluation, training and demos all run it.

`play` is a conversation: it yields what the robot has put down so far, and whoever drives
it sends back the new mask. One driver asks a workspace (`rounds`); training drives many
conversations at once and answers all of them with one pass of the network.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from segmend.core.image import MaskArray
from segmend.core.prompts import Prompt
from segmend.core.segmenter import Prediction, Workspace, answer

Marks = Prompt | tuple[Prompt, ...]  # what is put down in one interaction


class User(Protocol):
    """A robot that plays the person; None when it finds nothing left to correct.

    One interaction is a prompt, or several that are put down together, such as a pair of clicks.
    """

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Marks | None: ...


@runtime_checkable
class Opener(User, Protocol):
    """A robot whose first prompt follows another rule than the rest, such as a box."""

    def opening(self, truth: MaskArray, mask: MaskArray) -> Marks | None: ...


@dataclass(frozen=True, eq=False)
class Turn:
    """What the robot has said, and the mask it was looking at."""

    prompts: tuple[Prompt, ...]  # oldest first, the newest last
    mask: MaskArray  # [z y x]


def play(
    user: User, truth: MaskArray, *, interactions: int, start: MaskArray | None = None
) -> Generator[Turn, MaskArray, None]:
    """Yield one turn an interaction and take the mask that answers it.

    >>> from segmend.core.prompts import Click
    >>> truth = np.ones((1, 2, 2), bool)
    >>> def pointer(truth, mask): return None if (truth == mask).all() else Click((0, 0, 0))
    >>> game = play(pointer, truth, interactions=5)
    >>> next(game).prompts
    (Click(index=(0, 0, 0), positive=True),)
    >>> game.send(truth)
    Traceback (most recent call last):
    ...
    StopIteration
    """
    mask = np.zeros(truth.shape, bool) if start is None else start
    prompts: tuple[Prompt, ...] = ()
    opening = user.opening if isinstance(user, Opener) else user
    for _ in range(interactions):
        new = (user if prompts else opening)(truth, mask)
        if new is None:
            return
        prompts = (*prompts, *as_prompts(new))
        mask = yield Turn(prompts, mask)


def as_prompts(marks: Marks) -> tuple[Prompt, ...]:
    """Return the prompts of one interaction.

    >>> from segmend.core.prompts import Adjust
    >>> as_prompts(Adjust(0.5))
    (Adjust(k=0.5, of='mask'),)
    """
    return marks if isinstance(marks, tuple) else (marks,)


@dataclass(frozen=True, eq=False)
class Round:
    """One interaction as it went: its prompts, the mask after them, and how long it took."""

    prompts: tuple[Prompt, ...]
    mask: MaskArray
    seconds: float
    prediction: Prediction

    @property
    def quality(self) -> float | None:
        return self.prediction.quality


def rounds(user: User, workspace: Workspace, truth: MaskArray, *, interactions: int) -> Iterator[Round]:
    """Play one object with a workspace; ends early when the robot is content."""
    game = play(user, truth, interactions=interactions)
    turn = next(game, None)
    before = 0
    while turn is not None:
        begun = time.perf_counter()
        prediction = answer(workspace, turn.prompts, turn.mask, new=len(turn.prompts) - before)
        mask = prediction.over(turn.mask)
        yield Round(turn.prompts[before:], mask, time.perf_counter() - begun, prediction)
        before = len(turn.prompts)
        try:
            turn = game.send(mask)
        except StopIteration:
            return
