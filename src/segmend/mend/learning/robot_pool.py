"""Robots that play with a network while it learns, asked in processes of their own.

A robot takes about half a millisecond for a move. Beside a network on a processor that is nothing; a GPU that answers a
hundred games in a few milliseconds would wait for them. What a robot does follows from its seed and the error it is
shown, so where it is asked changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from segmend.users.play import Marks, User

LEAST_MOVES = 8  # fewer are made here: sending them away takes longer


@dataclass(frozen=True, eq=False)
class Question:
    """A robot that is to make its next move."""

    user: User
    truth: NDArray[np.bool_]  # [n n]
    mask: NDArray[np.bool_]  # [n n]


Ask = Callable[[Sequence[Question]], list[Marks | None]]


def ask_here(questions: Sequence[Question]) -> list[Marks | None]:
    """Return every robot's move, asked one after the other."""
    return [one.user(one.truth[None], one.mask[None]) for one in questions]


@contextmanager
def robot_pool(processes: int) -> Iterator[Ask]:
    """Give a way to ask robots in so many processes at once; 0 asks them here.

    >>> with robot_pool(0) as ask:
    ...     ask([])
    []
    """
    if not processes:
        yield ask_here
        return
    # Spawned, not forked: a fork copies the locks that threads of torch and CUDA hold. They start at the first move.
    with ProcessPoolExecutor(processes, get_context("spawn"), _keep_to_one_thread) as pool:

        def ask(questions: Sequence[Question]) -> list[Marks | None]:
            if len(questions) < LEAST_MOVES:
                return ask_here(questions)
            parts = [questions[at::processes] for at in range(processes)]
            made: list[Marks | None] = [None] * len(questions)
            for at, moves in enumerate(pool.map(ask_here, parts)):
                made[at::processes] = moves
            return made

        yield ask


def _keep_to_one_thread() -> None:
    threadpool_limits(1)
