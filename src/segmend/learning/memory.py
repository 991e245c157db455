"""What a training step frees, the next one needs again."""

from __future__ import annotations

import ctypes
import sys

MOST_MAPPED, TRIM_FROM, AHEAD = -4, -1, -2  # the names of glibc's settings in mallopt(3)


def keep_freed() -> None:
    """Let the process keep the memory that it frees.

    Otherwise the allocator of Linux gives every large tensor back at once, and the next step waits for its pages to be
    found and cleared again: a third of the time of a step in space. Other systems are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return
    allow = getattr(ctypes.CDLL(None), "mallopt", None)  # not in musl
    if allow is not None:
        allow(MOST_MAPPED, 0)
        allow(TRIM_FROM, 2**31 - 1)
        allow(AHEAD, 2**26)
