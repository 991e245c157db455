"""Where the last answer is doubtful: its doubt, kept while it is the last, and the places found in it so far.

Places are looked for by `segmend.core.uncertainty.most_doubtful_of`, one after the other, when somebody asks for them;
a client asks by rank, so people who watch the same session each go through them at their own pace. Doubt is kept as
what travels, a byte a voxel, and is gone with the answer: it is in no store.

A desk fills it, under its own lock, before anybody else sees it; from then on only the places grow, and the lock here
is held while they are looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Box, Index, Real
from segmend.core.prompts import Prompt
from segmend.core.uncertainty import most_doubtful_of
from segmend.server.wire import Levels, levels, pack_doubt

MOST = 100  # places of an answer: nobody looks at more


class Doubted:
    """How much the answer to one event doubts its mask, and where most.

    >>> doubted = Doubted(3, 1)
    >>> doubt = np.zeros((1, 9, 40), np.float32); doubt[0, 2:7, 5:10] = 1
    >>> doubted.take(Box((3, 10, 0), (4, 19, 40)), doubt)
    >>> doubted.place(0, np.ones(3))
    (3, 14, 7)
    """

    def __init__(self, position: int, label: int, prompts: Sequence[Prompt] = ()) -> None:
        self.position = position
        self.label = label
        self.told = False  # True once a part has said what it doubts
        self._prompts = tuple(prompts)
        self._parts: list[tuple[Box, Levels | None]] = []
        self._places: list[Index] = []
        self._all = False  # there are no more places
        self._lock = Lock()

    @property
    def size_bytes(self) -> int:
        return sum(doubt.nbytes for _, doubt in self._parts if doubt is not None)

    def take(self, box: Box, doubt: Real | None) -> None:
        """Add one part of the answer."""
        self._parts.append((box, None if doubt is None else levels(doubt)))
        self.told = self.told or doubt is not None

    def frames(self, first: int = 0) -> Iterator[bytes]:
        """Yield the frames that tell the doubt of all parts, or of those from one on."""
        for box, doubt in self._parts[first:]:
            if doubt is not None:
                yield pack_doubt(self.position, box, doubt)

    def place(self, rank: int, spacing_mm: NDArray[np.float64]) -> Index | None:
        """Return the most doubtful place but `rank`; None where there are no more."""
        with self._lock:
            wanted = min(rank + 1, MOST) if self.told else 0
            if len(self._places) < wanted and not self._all:
                self._look(wanted, spacing_mm)
            return self._places[rank] if rank < len(self._places) else None

    def _look(self, count: int, spacing_mm: NDArray[np.float64]) -> None:
        parts = [(box, _fractions(doubt, box)) for box, doubt in self._parts]
        while len(self._places) < count:
            place = most_doubtful_of(parts, spacing_mm, self._prompts, looked_at=self._places)
            if place is None:
                self._all = True
                return
            self._places.append(place)


def _fractions(doubt: Levels | None, box: Box) -> Real:
    """Return doubt as 0 to 1; a part that says nothing doubts nothing."""
    if doubt is None:
        return np.broadcast_to(np.float32(0), box.shape)
    return np.divide(doubt, 255, dtype=np.float32)
