"""Tokens are looked at ever more slowly for a peer that named wrong ones.

The wait comes before a token is looked at, whether it is right or wrong: a peer that hangs up early
learns nothing. A peer's tokens are looked at one after the other, and it waits alone; cookies of a
login, which nobody can guess, are not slowed. Used by the event loop alone, so there is no lock.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

# Wrong tokens that cost a peer nothing: somebody mistypes, or an old bookmark is opened.
FREE = 5
# Seconds after the first wrong token that costs something; they double with each further one, up to the most.
FIRST_SECONDS, MOST_SECONDS = 0.25, 4.0
# Seconds that a token may wait for its turn; a peer that sends more of them is refused at once.
PATIENCE_SECONDS = 10.0
# Seconds without a wrong token after which a peer's are forgotten.
FORGIVEN_SECONDS = 900.0
# Peers that are remembered; the one that was seen the longest ago is forgotten first.
MAX_PEERS = 4096


@dataclass
class Peer:
    """What is remembered of one peer."""

    wrong: int = 0
    seen: float = 0.0
    turn: float = 0.0  # when its next token may be looked at


class Guesses:
    """The peers that named wrong tokens lately.

    >>> guesses = Guesses(now=lambda: 0.0)
    >>> for _ in range(FREE + 2):
    ...     guesses.add("192.0.2.7")
    >>> guesses.wait("192.0.2.7"), guesses.wait("192.0.2.7"), guesses.wait("192.0.2.8")
    (0.5, 1.0, 0.0)
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._peers: OrderedDict[str, Peer] = OrderedDict()

    def __bool__(self) -> bool:
        """True when any peer is remembered."""
        return bool(self._peers)

    def add(self, name: str) -> None:
        """Note that a peer named a wrong token."""
        peer = self._peers.setdefault(name, Peer())
        peer.wrong += 1
        peer.seen = self._now()
        self._peers.move_to_end(name)
        if len(self._peers) > MAX_PEERS:
            self._peers.popitem(last=False)

    def forgive(self, name: str) -> None:
        """Forget a peer, which named the right token."""
        self._peers.pop(name, None)

    def wait(self, name: str, *, free: int = FREE) -> float | None:
        """Return the seconds until a peer's next token may be looked at; None when too many wait already."""
        peer, now = self._peers.get(name), self._now()
        if peer is None:
            return 0.0
        if now - peer.seen > FORGIVEN_SECONDS:
            self.forgive(name)
            return 0.0
        if peer.wrong <= free:
            return 0.0
        pause = min(MOST_SECONDS, FIRST_SECONDS * 2.0 ** min(peer.wrong - free - 1, 16))
        turn = max(now, peer.turn) + pause
        if turn - now > PATIENCE_SECONDS:
            return None
        peer.turn = turn
        return turn - now
