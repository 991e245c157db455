"""The games mend learns from: a robot corrects the network's own answers, in the plane and in space."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np

from segmend.core.image import Box, MaskArray, Real, bounds
from segmend.sampling.channels import Guess, widen
from segmend.users import BoxFirst, ExtremePoints, LargestError, NoisyHuman, RandomError, SkeletonStroke
from segmend.users.boxes import box_around
from segmend.users.error_region import error_region
from segmend.users.play import Marks, Turn, User, play


@dataclass(frozen=True, eq=False)
class Game:
    """One game to play: the image, the ground truth, the mask it starts from and the robot."""

    image: Real  # [c y x] or [c z y x]
    truth: MaskArray  # [z y x]; a plane is one slice
    start: MaskArray
    user: User
    interactions: int  # 0: improve the starting mask without a prompt
    again: bool  # ask once more with the last answer and no new prompt
    forgetful: bool = False  # learn from the prompts alone, without the masks so far
    guess: Guess | None = None  # a rough bounding box, which is given with the first marks


@dataclass(frozen=True)
class OpenThen:
    """Begin as one robot does, go on as another; a game that starts from a mask needs no first prompt."""

    first: User
    then: User

    def opening(self, truth: MaskArray, mask: MaskArray) -> Marks | None:
        """Return the first prompt of a game."""
        if mask.any():
            return self.then(truth, mask)
        return getattr(self.first, "opening", self.first)(truth, mask)

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Marks | None:
        return self.then(truth, mask)


@dataclass(frozen=True)
class MixedRobots:
    """Another robot every time, as people change tools; the seed and the error decide which."""

    robots: tuple[User, ...]
    seed: int

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Marks | None:
        found = error_region(truth, mask)
        if found is None:
            return None
        return self.robots[int(found.generator(self.seed).integers(len(self.robots)))](truth, mask)


@dataclass(frozen=True)
class PlaneBox:
    """A box round the object in the one plane, along any axis, where it is widest."""

    seed: int
    margin: float = 0.12

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Box | None:
        found = error_region(truth, mask)
        if found is None or not truth.any():
            return None
        generator = found.generator(self.seed)
        axis = int(generator.integers(3))
        areas = truth.sum(axis=tuple(a for a in range(3) if a != axis))
        at = int(np.argmax(areas))
        plane = np.zeros_like(truth)
        where = tuple(slice(at, at + 1) if a == axis else slice(None) for a in range(3))
        plane[where] = truth[where]
        box = box_around(plane, self.margin, generator)
        low, high = list(box.low), list(box.high)
        low[axis], high[axis] = at, at + 1
        return Box.of(low, high)


def correcting_robot(rng: np.random.Generator) -> User:
    """Return a robot that corrects masks: mostly at the centre of the largest error, sometimes a careless one."""
    seed = int(rng.integers(2**31))
    robots: tuple[User, ...] = (LargestError(seed), RandomError(seed), SkeletonStroke(seed), NoisyHuman(seed))
    kind = rng.choice(5, p=[0.45, 0.18, 0.12, 0.15, 0.1])
    return robots[kind] if kind < 4 else MixedRobots(robots, seed)


def opening_robot(rng: np.random.Generator, then: User, *, space: bool) -> User:
    """Return a robot that begins with a box, in space perhaps of one plane, or with extreme points."""
    seed, kind = int(rng.integers(2**31)), rng.random()
    if kind < 0.2:
        return OpenThen(ExtremePoints(seed, slack=1), then)
    if space and kind < 0.45:
        return OpenThen(PlaneBox(seed), then)
    return BoxFirst(seed, margin=0.12, then=then)


def new_game(rng: np.random.Generator, image: Real, truth: MaskArray, start: MaskArray | None) -> Game:
    """Return a game: from a mask where there is one, else from a click, a stroke, a box or extreme points."""
    user = correcting_robot(rng)
    again = bool(rng.random() < 0.25)
    if start is not None:
        few = int(rng.choice([0, 1, 2, 3], p=[0.3, 0.35, 0.2, 0.15]))
        return Game(image, truth, start, user, few, again)
    if rng.random() < 0.36:
        user = opening_robot(rng, user, space=len(truth) > 1)
    some = int(rng.choice([1, 2, 3, 5], p=[0.3, 0.25, 0.25, 0.2]))
    return Game(image, truth, np.zeros_like(truth), user, some, again)


def rough_box(rng: np.random.Generator, truth: MaskArray) -> Guess | None:
    """Return a rough bounding box, as three planes give it: about right, now and then far too small or too large."""
    box = bounds(truth)
    if box is None:
        return None
    sides = np.asarray(box.shape)
    spread = 0.12 if rng.random() < 0.65 else 0.35
    below, above = np.clip(rng.normal(0.0, spread, (2, 3)), -0.6, 1.0) * sides
    low = np.rint(np.clip(np.asarray(box.low) - below, 0, truth.shape)).astype(int)
    high = np.rint(np.clip(np.asarray(box.high) + above, 0, truth.shape)).astype(int)
    if (high <= low).any():
        return None
    return Guess.of(low, high)


def with_guess(sample: Game, turn: Turn) -> Turn:
    """Return a turn with the game's rough bounding box, widened to hold the positive marks."""
    if sample.guess is None or not turn.prompts:
        return turn
    return Turn((*turn.prompts, widen(sample.guess, turn.prompts)), turn.mask)


def without_mask(turn: Turn) -> Turn:
    """Return a turn without its mask, which a network otherwise learns to copy without regard to the click."""
    return Turn(turn.prompts, np.zeros_like(turn.mask)) if turn.prompts else turn


Answer = Callable[[Sequence[int], Sequence[Turn]], Sequence[MaskArray]]  # which games, their turns -> masks


def play_games(samples: Sequence[Game], answer: Answer) -> list[list[Turn]]:
    """Play all games side by side and return every turn of each; the last ones are not answered.

    `answer` takes the numbers of some games and a turn of each, and returns their masks.
    """
    talks = [play(s.user, s.truth, interactions=s.interactions, start=s.start) for s in samples]
    turns = [[next(talk, None) or Turn((), s.start)] for talk, s in zip(talks, samples, strict=True)]
    going = [i for i, s in enumerate(samples) if s.interactions > 1 or s.again]
    while going:
        still = []
        for i, mask in zip(going, answer(going, [turns[i][-1] for i in going]), strict=True):
            more = _next_turn(talks[i], mask) if len(turns[i]) < samples[i].interactions else None
            if more is not None:
                turns[i].append(more)
                if len(turns[i]) < samples[i].interactions or samples[i].again:
                    still.append(i)
            elif samples[i].again:
                turns[i].append(Turn(turns[i][-1].prompts, mask))
        going = still
    return turns


def _next_turn(talk: Generator[Turn, MaskArray, None], mask: MaskArray) -> Turn | None:
    """Return the robot's next turn, None when it is content."""
    try:
        return talk.send(mask)
    except StopIteration:
        return None
