"""Robots that play the person, one a file: `user(truth, mask)` is a prompt, or None when all is right.

A robot is frozen and holds a seed. What it draws at random follows from that seed and from
the error it is shown, so the same game is played the same way in any process or order.
`kinds` names the prompts it puts down, as `prompts.KINDS` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from segmend.errors import SettingsError
from segmend.users.adjustment import Adjustment
from segmend.users.boxes import BoxFirst
from segmend.users.brush import Brush
from segmend.users.editor import Editor, Edits
from segmend.users.extremes import ExtremePoints
from segmend.users.farthest import FarthestError
from segmend.users.human import Human
from segmend.users.largest import LargestError
from segmend.users.noisy import NoisyHuman
from segmend.users.pair import RandomPair
from segmend.users.play import User
from segmend.users.randomly import RandomError
from segmend.users.region import BoxThenScribbles, RegionClicks
from segmend.users.seeds import GivenSlice, SkeletonErrors
from segmend.users.selection import Selection
from segmend.users.skeleton import SkeletonStroke
from segmend.users.wrongly import WrongEdit

__all__ = [
    "USERS",
    "Adjustment",
    "BoxFirst",
    "BoxThenScribbles",
    "Brush",
    "Editor",
    "Edits",
    "ExtremePoints",
    "FarthestError",
    "GivenSlice",
    "Human",
    "LargestError",
    "NoisyHuman",
    "RandomError",
    "RandomPair",
    "RegionClicks",
    "Robot",
    "Selection",
    "SkeletonErrors",
    "SkeletonStroke",
    "WrongEdit",
    "user",
]


class Robot(User, Protocol):
    """A user that says what kinds of prompts it puts down."""

    @property
    def kinds(self) -> tuple[str, ...]: ...


USERS: Mapping[str, Callable[[int], Robot]] = MappingProxyType(
    {
        "click": LargestError,
        "ritm": FarthestError,
        "random": RandomError,
        "stroke": SkeletonStroke,
        "box": BoxFirst,
        "noisy": NoisyHuman,
        "selection": Selection,
        "brush": Brush,
        "adjustment": Adjustment,
        "editor": Editor,
        "edits": Edits,
        "wrong": WrongEdit,
        "seeds": SkeletonErrors,
        "slice": GivenSlice,
        "pair": RandomPair,
        "extremes": ExtremePoints,
        "scribbles": BoxThenScribbles,
        "regions": RegionClicks,
        "human": Human,
    }
)


def user(name: str, seed: int = 0) -> Robot:
    """Return the robot of that name, or of its plural; SettingsError names the robots there are.

    >>> user("click", seed=3), user("clicks")
    (LargestError(seed=3), LargestError(seed=0))
    """
    made = USERS.get(name) or USERS.get(name.removesuffix("s"))
    if made is None:
        raise SettingsError(f"There is no user {name!r}; there are {', '.join(sorted(USERS))}.")
    return made(seed)
