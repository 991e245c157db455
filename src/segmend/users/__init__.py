"""Robots that play the person, one a file: `user(truth, mask)` is a prompt, or None when all is right.

A robot is frozen and holds a seed. What it draws at random follows from that seed and from
the mistake it is shown, so the same game is played the same way in any process or order.
`kinds` names the prompts it puts down, as `prompts.KINDS` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from segmend.errors import SettingsError
from segmend.play import User
from segmend.users.boxes import BoxFirst
from segmend.users.farthest import FarthestError
from segmend.users.largest import LargestError
from segmend.users.noisy import NoisyHuman
from segmend.users.randomly import RandomError
from segmend.users.skeleton import SkeletonStroke

__all__ = [
    "USERS",
    "BoxFirst",
    "FarthestError",
    "LargestError",
    "NoisyHuman",
    "RandomError",
    "Robot",
    "SkeletonStroke",
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
    }
)


def user(name: str, seed: int = 0) -> Robot:
    """Return the robot of that name; SettingsError names the robots there are.

    >>> user("click", seed=3)
    LargestError(seed=3)
    """
    if name not in USERS:
        raise SettingsError(f"There is no user {name!r}; there are {', '.join(sorted(USERS))}.")
    return USERS[name](seed)
