"""One budget of memory for everything that is kept because it may be wanted again: features, images, workspaces.

Whatever is kept here can be made anew. When all of it together is more than the budget, what was used least lately
goes first, whoever kept it. What cannot go, such as the maps of sessions that people look at, is counted too, so that
the rest makes room for it. Freed memory is given back to the system where the C library can.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock
from typing import Any

# Bytes of all that is kept, unless somebody says otherwise: a server of 50 sessions at pictures then needs 800 MB.
DEFAULT_BYTES = 256 << 20
# How often freed memory is given back at most: looking for it takes 4 ms.
GIVE_BACK_SECONDS = 5.0
# glibc's number of the setting, from malloc.h.
M_ARENA_MAX = -8
# Freed bytes from which giving them back is worth it.
WORTH_BYTES = 16 << 20


@dataclass(frozen=True, eq=False)
class Entry:
    """Something that is kept."""

    value: Any
    size: int
    droppable: bool
    on_drop: Callable[[], None] | None = None


class Memory:
    """What is kept within a budget; safe in any number of threads.

    >>> memory = Memory(100)
    >>> memory.put("features", 1, "a", 60); memory.put("features", 2, "b", 60)
    >>> memory.get("features", 1), memory.get("features", 2), memory.size_bytes
    (None, 'b', 60)
    """

    def __init__(self, limit_bytes: int = DEFAULT_BYTES) -> None:
        self._limit = limit_bytes
        self._kept: OrderedDict[tuple[Hashable, Hashable], Entry] = OrderedDict()  # the one used last is last
        self._size = 0
        self._freed = 0  # bytes since memory was given back last
        self._given_back = 0.0  # when that was
        self._gone: deque[Hashable] = deque()  # owners that are no more; a collector may say so at any moment
        self._lock = RLock()

    @property
    def limit_bytes(self) -> int:
        return self._limit

    @limit_bytes.setter
    def limit_bytes(self, limit: int) -> None:
        with self._lock:
            self._limit = limit
            self._shrink()

    @property
    def size_bytes(self) -> int:
        """What is kept now, all together."""
        with self._lock:
            self._bury()
            return self._size

    def size_of(self, owner: Hashable) -> int:
        """Return the bytes that one owner keeps."""
        with self._lock:
            return sum(entry.size for (whose, _), entry in self._kept.items() if whose == owner)

    def sizes_of(self, owner: Hashable) -> dict[Any, int]:
        """Return the bytes of each thing that one owner keeps, by its key."""
        with self._lock:
            return {key: entry.size for (whose, key), entry in self._kept.items() if whose == owner}

    def size_at(self, owner: Hashable, key: Hashable) -> int:
        """Return the bytes of what is kept under a key; 0 when it is not there."""
        with self._lock:
            entry = self._kept.get((owner, key))
            return 0 if entry is None else entry.size

    def has(self, owner: Hashable, key: Hashable) -> bool:
        """Tell whether something is kept under a key, without its being used."""
        with self._lock:
            return (owner, key) in self._kept

    def weigh(self, owner: Hashable, key: Hashable, size: int) -> bool:
        """Note that what is kept under a key has this size now, and is the one used last; False when it is not there.

        >>> memory = Memory(100)
        >>> memory.put("process", 1, None, 20), memory.weigh("process", 1, 70), memory.size_bytes
        (None, True, 70)
        """
        with self._lock:
            entry = self._kept.get((owner, key))
            if entry is None:
                return False
            self._kept[owner, key] = replace(entry, size=size)
            self._kept.move_to_end((owner, key))
            self._size += size - entry.size
            self._freed += max(0, entry.size - size)
            self._shrink()
            return True

    def count_of(self, owner: Hashable) -> int:
        """Return how many things one owner keeps."""
        with self._lock:
            return sum(whose == owner for whose, _ in self._kept)

    def get(self, owner: Hashable, key: Hashable) -> Any:
        """Return what is kept under a key, which is now the one used last; None when it is not there."""
        with self._lock:
            entry = self._kept.get((owner, key))
            if entry is None:
                return None
            self._kept.move_to_end((owner, key))
            return entry.value

    def put(
        self,
        owner: Hashable,
        key: Hashable,
        value: Any,
        size: int,
        *,
        droppable: bool = True,
        on_drop: Callable[[], None] | None = None,
    ) -> None:
        """Keep something, in place of what was there under its key; others go where there is no room for all.

        What more than a reference has to be given up for it to go, `on_drop` gives up; it may use no memory kept here.
        """
        with self._lock:
            self._bury()
            self._pop((owner, key))
            self._kept[owner, key] = Entry(value, size, droppable, on_drop)
            self._size += size
            self._shrink()
        self.give_back(least_bytes=WORTH_BYTES)

    def demote(self, owner: Hashable, keys: Iterable[Hashable]) -> None:
        """Let what is kept under these keys go before all else, unless somebody asks for it again."""
        with self._lock:
            for key in keys:
                if (owner, key) in self._kept:
                    self._kept.move_to_end((owner, key), last=False)

    def forget(self, owner: Hashable) -> None:
        """Keep nothing of an owner any longer."""
        self.forget_where(owner, lambda _: True)

    def forget_where(self, owner: Hashable, wanted: Callable[[Any], bool]) -> None:
        """Keep no longer what an owner has under some of its keys."""
        with self._lock:
            for place in [p for p in self._kept if p[0] == owner and wanted(p[1])]:
                self._pop(place)

    def forget_later(self, owner: Hashable) -> None:
        """Keep nothing of an owner any longer; safe in a finalizer, which may run at any moment."""
        self._gone.append(owner)

    def keep_newest(self, owner: Hashable, count: int) -> None:
        """Keep no more than so many things of an owner."""
        with self._lock:
            own = [place for place in self._kept if place[0] == owner]
            for place in own[: max(0, len(own) - count)]:
                self._pop(place)

    def give_back(self, *, least_bytes: int = 1) -> None:
        """Give freed memory back to the system, if so much was freed, and it was not done a moment ago."""
        with self._lock:
            now = time.monotonic()
            if self._freed < least_bytes or now - self._given_back < GIVE_BACK_SECONDS:
                return
            self._freed, self._given_back = 0, now
        trim()

    def _shrink(self) -> None:
        if self._size <= self._limit or not self._kept:
            return
        newest = next(reversed(self._kept))  # it is being used
        for place, entry in list(self._kept.items()):
            if self._size <= self._limit:
                return
            if entry.droppable and place != newest:
                self._pop(place)

    def _bury(self) -> None:
        while self._gone:
            self.forget(self._gone.popleft())

    def _pop(self, place: tuple[Hashable, Hashable]) -> None:
        entry = self._kept.pop(place, None)
        if entry is not None:
            self._size -= entry.size
            self._freed += entry.size
            if entry.on_drop is not None:
                entry.on_drop()


def trim() -> None:
    """Give freed memory back to the system; nothing happens where the C library cannot."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # musl has no such function
            ctypes.CDLL(None).malloc_trim(0)


def limit_arenas(count: int = 2) -> None:
    """Let the C library keep memory apart for so many threads at most: each such part keeps what it once needed."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # musl has no such function
            ctypes.CDLL(None).mallopt(M_ARENA_MAX, count)


def resident_bytes() -> int | None:
    """Return how much memory this process holds, without what it only maps from files; None where nobody tells."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    return sum(int(sizes[name][0]) << 10 for name in ("RssAnon", "RssShmem") if name in sizes)


# What this process keeps.
MEMORY = Memory()
