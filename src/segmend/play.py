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

from segmend.image import MaskArray
from segmend.prompts import Prompt
from segmend.segmenter import Workspace, answer


class User(Protocol):
    """A robot that plays the person; None when it finds nothing left to correct."""

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Prompt | None: ...


@runtime_checkable
class Opener(User, Protocol):
    """A robot whose first prompt follows another rule than the rest, such as a box."""

    def opening(self, truth: MaskArray, mask: MaskArray) -> Prompt | None: ...


@dataclass(frozen=True, eq=False)
class Turn:
    """What the robot has said, and the mask it was looking at."""

    prompts: tuple[Prompt, ...]  # oldest first, the newest last
    mask: MaskArray  # [z y x]


def play(
    user: User, truth: MaskArray, *, interactions: int, start: MaskArray | None = None
) -> Generator[Turn, MaskArray, None]:
    """Yield one turn an interaction and take the mask that answers it.

    >>> from segmend.prompts import Click
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
        prompt = (user if prompts else opening)(truth, mask)
        if prompt is None:
            return
        prompts = (*prompts, prompt)
        mask = yield Turn(prompts, mask)


@dataclass(frozen=True, eq=False)
class Round:
    """One interaction as it went: the prompt, the mask after it, and how long it took."""

    prompt: Prompt
    mask: MaskArray
    seconds: float
    quality: float | None


def rounds(user: User, workspace: Workspace, truth: MaskArray, *, interactions: int) -> Iterator[Round]:
    """Play one object with a workspace; ends early when the robot is content."""
    game = play(user, truth, interactions=interactions)
    turn = next(game, None)
    while turn is not None:
        begun = time.perf_counter()
        prediction = answer(workspace, turn.prompts, turn.mask)
        mask = prediction.over(turn.mask)
        yield Round(turn.prompts[-1], mask, time.perf_counter() - begun, prediction.quality)
        try:
            turn = game.send(mask)
        except StopIteration:
            return
