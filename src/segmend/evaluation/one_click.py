"""What one more mark brings: Dice before and after, from the same mask by several methods or at several places.

`by_place` compares places: where the method is most uncertain (`segmend.core.uncertainty`), where the mistake is
largest (the robot's best click) and anywhere in the mistake; each is labelled by the truth. `by_method` compares
methods: all get the same wrong mask (`perturb_to_dice`) and the same click.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmend.core.image import MaskArray, bounds
from segmend.core.masks import dice
from segmend.core.prompts import Click, Mask, Prompt
from segmend.core.segmenter import Method, Workspace, answer
from segmend.core.uncertainty import most_uncertain
from segmend.users import LargestError, RandomError
from segmend.users.play import User, rounds

UNCERTAINTY, BEST, RANDOM = "uncertainty", "best", "random"
START_DICE = 0.7  # the Dice of the wrong masks that methods start from


@dataclass(frozen=True)
class Gain:
    """One mark: who put it where or answered it, and what it changed."""

    arm: str
    before: float  # Dice
    after: float
    seconds: float
    at: int = 0  # interactions before it

    @property
    def gain(self) -> float:
        return self.after - self.before


def by_place(
    workspace: Workspace,
    truth: MaskArray,
    spacing_mm: NDArray[np.float64],
    *,
    user: User | None = None,
    interactions: int = 3,
    seed: int = 0,
) -> Iterator[Gain]:
    """Yield what a click at each place brings, after each interaction of a game, until a mask is right.

    Nothing is yielded of a mask whose method does not tell its uncertainty; where it is sure, its uncertainty brings
    nothing.
    """
    prompts: tuple[Prompt, ...] = ()
    player = user or LargestError(seed)
    for at, turn in enumerate(rounds(player, workspace, truth, interactions=interactions), start=1):
        prompts = (*prompts, *turn.prompts)
        best, random = (robot(truth, turn.mask) for robot in (LargestError(seed), RandomError(seed)))
        if best is None or random is None or turn.prediction.uncertainty is None:
            continue
        before = dice(truth, turn.mask)
        place = most_uncertain(turn.prediction, spacing_mm, prompts)
        if place is None:
            yield Gain(UNCERTAINTY, before, before, 0.0, at)
        uncertain_place = [] if place is None else [(UNCERTAINTY, Click(place, bool(truth[place])))]
        for arm, click in [*uncertain_place, (BEST, best), (RANDOM, random)]:
            yield _answer_click(arm, workspace, (*prompts, click), truth, turn.mask, at)


def by_method(card: Method, workspace: Workspace, truth: MaskArray, mask: MaskArray, *, seed: int = 0) -> Gain | None:
    """Return what the robot's click brings to a wrong mask; None where the mask is right.

    A method that takes masks is given this one as the first prompt.
    """
    click = LargestError(seed)(truth, mask)
    if click is None:
        return None
    given: list[Prompt] = [Mask(mask)] if "mask" in card.prompts else []
    return _answer_click(card.id, workspace, [*given, click], truth, mask, 0)


def _answer_click(
    arm: str, workspace: Workspace, prompts: Sequence[Prompt], truth: MaskArray, mask: MaskArray, at: int
) -> Gain:
    begun = time.perf_counter()
    after = answer(workspace, prompts, mask).over(mask)
    taken = time.perf_counter() - begun
    return Gain(arm, dice(truth, mask), dice(truth, after), taken, at)


def perturb_to_dice(
    truth: MaskArray, spacing_mm: NDArray[np.float64], seed: int, *, wanted: float = START_DICE
) -> MaskArray:
    """Return a truth whose boundary is pushed in here and out there, so far that its Dice is about what is wanted.

    The push is smooth noise as wide as the object is thick, in mm; how strong it is is found by halving. What is drawn
    at random follows from the seed and the truth's shape alone.

    >>> truth = np.zeros((12, 20, 24), bool); truth[3:9, 4:16, 5:19] = True
    >>> round(dice(truth, perturb_to_dice(truth, np.array([2.0, 1.0, 1.0]), seed=0)), 1)
    0.7
    """
    found = bounds(truth)
    assert found is not None
    flat = truth.shape[0] == 1
    thick_mm = float(_depth_mm(truth[found.grown(1).clipped(truth.shape).slices], spacing_mm).max())
    room = np.ceil(2 * thick_mm / spacing_mm).astype(np.intp)
    z, y, x = room.tolist()
    box = found.grown((0 if flat else z, y, x)).clipped(truth.shape)
    inside = truth[box.slices]
    away_mm = _depth_mm(inside, spacing_mm) - _depth_mm(~inside, spacing_mm)
    noise = np.random.default_rng((seed, *box.shape)).normal(size=box.shape)
    wide = thick_mm / spacing_mm
    smooth = ndimage.gaussian_filter(noise, np.where([flat, False, False], 0, wide), mode="reflect")
    push = smooth / max(float(smooth.std()), 1e-9) * thick_mm
    low, high = 0.0, 4.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if dice(inside, away_mm + middle * push > 0) > wanted else (low, middle)
    mask = np.zeros_like(truth)
    mask[box.slices] = away_mm + high * push > 0
    return mask


def _depth_mm(mask: MaskArray, spacing_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how deep inside a mask each voxel lies, in mm; what lies beyond the array is like its side."""
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=spacing_mm), np.float64)
