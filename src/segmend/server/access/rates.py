"""How much somebody may ask for at once: requests a second, and live connections. Both are off unless they are set.

Requests are counted as water runs into a bucket: so many a second, and ten seconds' worth at once after a pause. A
message of a live connection that marks something counts as one. People without an account are told apart by nothing,
so they share one bucket. Each server process counts for itself.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from threading import Lock

from segmend.errors import RateError

# Seconds of whose requests may come at once.
BURST_SECONDS = 10.0
# People who are remembered; who was there the longest ago is forgotten first, with a full bucket.
MOST = 10_000
# Seconds after which who has too many connections may try again.
CONNECTION_SECONDS = 30


class Rates:
    """What people have asked for lately.

    >>> rates = Rates(requests_per_second=0.1, connections=1, now=lambda: 0.0)
    >>> rates.check("ada")
    >>> rates.check("ada")
    Traceback (most recent call last):
    segmend.errors.RateError: You may ask 0.1 times a second here; go on in 10 seconds.
    """

    def __init__(
        self, *, requests_per_second: float, connections: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Allow so many; 0: any number."""
        self._rate, self._connections, self._now = requests_per_second, connections, now
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # requests that are left, and when
        self._open: dict[str, int] = {}
        self._lock = Lock()

    def check(self, who: str) -> None:
        """Count a request; RateError where it is one too many."""
        if not self._rate:
            return
        most = max(1.0, self._rate * BURST_SECONDS)
        with self._lock:
            now = self._now()
            left, then = self._left.pop(who, (most, now))
            left = min(most, left + (now - then) * self._rate)
            self._left[who] = (left - 1.0 if left >= 1.0 else left, now)
            if len(self._left) > MOST:
                self._left.popitem(last=False)
        if left < 1.0:
            seconds = ceil((1.0 - left) / self._rate)
            raise RateError(f"You may ask {self._rate:g} times a second here; go on in {seconds} seconds.", seconds)

    def connections(self) -> dict[str, int]:
        """Return how many live connections people have now."""
        with self._lock:
            return dict(self._open)

    @contextmanager
    def connected(self, who: str) -> Iterator[None]:
        """Count a live connection while it is there; RateError where it is one too many."""
        with self._lock:
            there = self._open.get(who, 0)
            if self._connections and there >= self._connections:
                raise RateError(
                    f"You may have {self._connections} cases open at once here; close one of them.", CONNECTION_SECONDS
                )
            self._open[who] = there + 1
        try:
            yield
        finally:
            with self._lock:
                self._open[who] -= 1
                if not self._open[who]:
                    del self._open[who]
