"""The games that the networks for slabs learn from: robots that put down marks as people do.

A game has a blank turn first where a mask is carried over from the plane beside it: no mark lies in this plane yet. The
other turns are a robot's, and the last may ask once more without any new mark.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmend.core.image import Box, MaskArray, Real, bounds
from segmend.core.prompts import Click, Prompt
from segmend.mend.learning.games import MixedRobots, OpenThen
from segmend.mend.learning.robot_pool import Ask, Question, ask_here
from segmend.users import ExtremePoints, LargestError, NoisyHuman, RandomError, SkeletonStroke
from segmend.users.error_region import error_region
from segmend.users.play import Marks, User, as_prompts

# Of a person's boxes: the most that a side lies inside or outside the object, in the object's length along that axis.
TIGHT, LOOSE = 0.1, 0.5
# The share of corrections that are wrong: marked inside where the object is not, or the other way round.
WRONG_SHARE = 0.02
BORDER_SHARE = 0.5  # of the depth of an object, within which a cell is near its border

Flat = NDArray[np.bool_]  # [n n]


@dataclass(frozen=True, eq=False)
class SlabGame:
    """One game to play in the middle plane of a slab."""

    image: Real  # [6 n n]
    truth: Flat
    valid: Flat  # the cells that lie on the image
    start: Flat | None  # another's mask to begin with
    user: User
    interactions: int
    blank: bool  # the first turn has no mark: the neighbour's mask, or the first one, says what is meant
    again: bool  # ask once more with the last answer and no new mark
    context: Real | None = None  # [3 n n] marks of other planes and a neighbour's mask (`sampling.slab`)
    group: str = ""  # the data set; empty for what is drawn
    value: int = 0  # of the label


@dataclass(frozen=True, eq=False)
class SlabTurn:
    """What is known at one turn."""

    prompts: tuple[Prompt, ...]
    newest: int  # how many of them are new
    mask: Flat
    own: bool  # the mask is the network's


Talk = Generator[SlabTurn | Question, Any, None]


def turns_of(game: SlabGame) -> Talk:
    """Yield the turns of a game; the mask that answers each is sent back. So is a robot's move, before each of them.

    >>> truth = np.zeros((8, 8), bool); truth[2:6, 2:6] = True
    >>> game = SlabGame(np.zeros((6, 8, 8)), truth, truth, None, LargestError(), 2, blank=False, again=True)
    >>> talk = turns_of(game)
    >>> talk.send(ask_here([next(talk)])[0]).own, talk.send(~truth).user
    (False, LargestError(seed=0))
    """
    mask, own = np.zeros_like(game.truth) if game.start is None else game.start, False
    prompts: tuple[Prompt, ...] = ()
    if game.blank:
        mask, own = (yield SlabTurn((), 0, mask, own)), True
    for _ in range(game.interactions):
        opening = getattr(game.user, "opening", game.user) if not prompts and not game.blank else game.user
        new = yield Question(opening, game.truth, mask)
        if new is None:
            break
        marks = as_prompts(new)
        prompts = (*prompts, *marks)
        mask, own = (yield SlabTurn(prompts, len(marks), mask, own)), True
    if game.again and own:
        yield SlabTurn(prompts, 0, mask, own)


Answer = Callable[[Sequence[int], Sequence[SlabTurn]], Sequence[Flat]]  # which games, their turns -> masks


def play_slabs(games: Sequence[SlabGame], answer: Answer, ask: Ask = ask_here) -> list[list[SlabTurn]]:
    """Play all games side by side and return every turn of each; the last ones are not answered."""
    talks = [turns_of(game) for game in games]
    turns: list[list[SlabTurn]] = [[] for _ in games]
    said = {i: next(talk, None) for i, talk in enumerate(talks)}
    while said:
        said |= _moves({i: one for i, one in said.items() if isinstance(one, Question)}, talks, ask)
        going = []
        for i, turn in said.items():
            if isinstance(turn, SlabTurn):
                turns[i].append(turn)
                if len(turns[i]) < games[i].blank + games[i].interactions + games[i].again:
                    going.append(i)
        masks = answer(going, [turns[i][-1] for i in going]) if going else []
        said = {i: _said(talks[i], mask) for i, mask in zip(going, masks, strict=True)}
    return turns


def _moves(questions: dict[int, Question], talks: Sequence[Talk], ask: Ask) -> dict[int, SlabTurn | Question | None]:
    """Return what each game says after its robot's move."""
    return {i: _said(talks[i], marks) for i, marks in zip(questions, ask(list(questions.values())), strict=True)}


def _said(talk: Talk, reply: Any) -> SlabTurn | Question | None:
    try:
        return talk.send(reply)
    except StopIteration:
        return None


@dataclass(frozen=True)
class LooseBox:
    """A box as a person draws it: each side up to LOOSE of the object's length outside it, or TIGHT inside."""

    seed: int

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Box | None:
        found, box = error_region(truth, mask), bounds(truth)
        if found is None or box is None:
            return None
        generator = found.generator(self.seed)
        lengths = np.asarray(box.shape) * (0, 1, 1)
        below, above = generator.uniform(-TIGHT, generator.uniform(0, LOOSE), (2, 3)) * lengths
        low, high = np.rint(np.asarray(box.low) - below).astype(int), np.rint(np.asarray(box.high) + above).astype(int)
        high = np.maximum(high, low + 1)
        return Box.of(low, high).clipped(truth.shape)


@dataclass(frozen=True)
class BorderClick:
    """A first click inside the object, near its border."""

    seed: int

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Click | None:
        found = error_region(truth, mask)
        if found is None or not truth.any():
            return None
        depth = _depth(truth[0])
        near = np.argwhere(truth[0] & (depth <= max(1.5, BORDER_SHARE * float(depth.max()))))
        y, x = near[found.generator(self.seed).integers(len(near))].tolist()
        return Click((0, y, x))


def _depth(inside: Flat) -> NDArray[np.float64]:
    return np.asarray(ndimage.distance_transform_edt(inside), np.float64)


@dataclass(frozen=True)
class SeveralMarks:
    """Two or three clicks at once: anywhere in the error."""

    seed: int
    count: int

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Marks | None:
        clicks = [RandomError(self.seed + i)(truth, mask) for i in range(self.count)]
        found = tuple(dict.fromkeys(click for click in clicks if click is not None))
        return found or None


@dataclass(frozen=True)
class NowAndThenWrong:
    """Another robot whose clicks are now and then of the wrong sign, as a slip of the hand."""

    robot: User
    seed: int
    share: float = WRONG_SHARE

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Marks | None:
        marks = self.robot(truth, mask)
        found = error_region(truth, mask)
        if isinstance(marks, Click) and found is not None and found.generator(self.seed + 1).random() < self.share:
            return Click(marks.index, not marks.positive)
        return marks


def correcting_user(rng: np.random.Generator) -> User:
    """Return a robot that corrects masks as people do: at the centre of the error, near it, anywhere, by strokes."""
    seed = int(rng.integers(2**30))
    robots: tuple[User, ...] = (
        LargestError(seed),
        RandomError(seed),
        NoisyHuman(seed, wrong=0.0),
        SkeletonStroke(seed),
        SeveralMarks(seed, int(rng.integers(2, 4))),
    )
    kind = int(rng.choice(6, p=[0.3, 0.2, 0.15, 0.12, 0.08, 0.15]))
    return NowAndThenWrong(robots[kind] if kind < 5 else MixedRobots(robots[:4], seed), seed)


def opening_user(rng: np.random.Generator, then: User) -> User:
    """Return a robot that begins as people do: a click anywhere in the object, a loose box, a stroke, a few marks."""
    seed = int(rng.integers(2**30))
    firsts: tuple[User, ...] = (
        RandomError(seed),
        LargestError(seed),
        NoisyHuman(seed, edge=0.0, wrong=0.0),
        BorderClick(seed),
        LooseBox(seed),
        SkeletonStroke(seed),
        ExtremePoints(seed, slack=1),
        SeveralMarks(seed, int(rng.integers(2, 4))),
    )
    kind = int(rng.choice(len(firsts), p=[0.27, 0.16, 0.1, 0.08, 0.22, 0.08, 0.03, 0.06]))
    return OpenThen(firsts[kind], then)
