"""Where the last answer is uncertain: its uncertainty, kept while it is the last, and the places found in it so far.

Places are looked for by `segmend.core.uncertainty.most_uncertain_of`, one after the other, when somebody asks for them;
a client asks by rank, so people who watch the same session each go through them at their own pace. Uncertainty is kept
as what travels, a byte a voxel, and is gone with the answer: it is in no store.

An open session fills it, under its own lock, before anybody else sees it; from then on only the places grow, and the
lock here is held while they are looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Box, Index, Real
from segmend.core.prompts import Prompt
from segmend.core.uncertainty import most_uncertain_of
from segmend.server.sessions.wire import Levels, pack_uncertainty, to_levels

# Uncertain places that are looked for in one answer.
MAX_PLACES = 100


class UncertaintyMap:
    """How uncertain the answer to one event is of its mask, and where most.

    >>> uncertain = UncertaintyMap(3, 1)
    >>> uncertainty = np.zeros((1, 9, 40), np.float32); uncertainty[0, 2:7, 5:10] = 1
    >>> uncertain.take(Box((3, 10, 0), (4, 19, 40)), uncertainty)
    >>> uncertain.place(0, np.ones(3))
    (3, 14, 7)
    """

    def __init__(self, position: int, label: int, prompts: Sequence[Prompt] = ()) -> None:
        self.position = position
        self.label = label
        self.known = False  # True once a part has said where it is uncertain
        self._prompts = tuple(prompts)
        self._parts: list[tuple[Box, Levels | None]] = []
        self._places: list[Index] = []
        self._all = False  # there are no more places
        self._lock = Lock()

    @property
    def size_bytes(self) -> int:
        return sum(uncertainty.nbytes for _, uncertainty in self._parts if uncertainty is not None)

    @property
    def levels(self) -> tuple[tuple[Box, Levels], ...]:
        """The parts that say where they are uncertain."""
        return tuple((box, uncertainty) for box, uncertainty in self._parts if uncertainty is not None)

    def take(self, box: Box, uncertainty: Real | None) -> None:
        """Add one part of the answer."""
        self._parts.append((box, None if uncertainty is None else to_levels(uncertainty)))
        self.known = self.known or uncertainty is not None

    def frames(self, first: int = 0) -> Iterator[bytes]:
        """Yield the frames that tell the uncertainty of all parts, or of those from one on."""
        for box, uncertainty in self._parts[first:]:
            if uncertainty is not None:
                yield pack_uncertainty(self.position, box, uncertainty)

    def place(self, rank: int, spacing_mm: NDArray[np.float64]) -> Index | None:
        """Return the most uncertain place but `rank`; None where there are no more."""
        with self._lock:
            wanted = min(rank + 1, MAX_PLACES) if self.known else 0
            if len(self._places) < wanted and not self._all:
                self._look(wanted, spacing_mm)
            return self._places[rank] if rank < len(self._places) else None

    def _look(self, count: int, spacing_mm: NDArray[np.float64]) -> None:
        parts = [(box, _fractions(uncertainty, box)) for box, uncertainty in self._parts]
        while len(self._places) < count:
            place = most_uncertain_of(parts, spacing_mm, self._prompts, looked_at=self._places)
            if place is None:
                self._all = True
                return
            self._places.append(place)


def _fractions(uncertainty: Levels | None, box: Box) -> Real:
    """Return uncertainty as 0 to 1; a part that says nothing is uncertain nowhere."""
    if uncertainty is None:
        return np.broadcast_to(np.float32(0), box.shape)
    return np.divide(uncertainty, 255, dtype=np.float32)
