"""Which cores of the processor this process may use, and its share of them where several work on one machine."""

from __future__ import annotations

import os
import socket
import sys
from itertools import islice

from threadpoolctl import threadpool_limits

# Each is held by a name that no two processes of a machine have at once, until the process that has it ends.
_claims: list[socket.socket] = []


def usable_cores() -> tuple[int, ...]:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def claim_cores(count: int) -> None:
    """Keep this process, and what it starts from now on, to so many cores that no other process claimed.

    Of those that are left it takes what there are; where none is, it shares them all, with no more threads than cores
    were asked for. Only Linux keeps a process to cores.
    """
    if sys.platform == "linux":
        free = tuple(islice(filter(_claimed, usable_cores()), count))
        os.sched_setaffinity(0, free or usable_cores())  # which the engines take for all that there are
    threadpool_limits(count)


def _claimed(core: int) -> bool:
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0segmend-core-{core}")
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True
