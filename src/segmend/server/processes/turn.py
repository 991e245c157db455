"""A lock that those who wait get in the order in which they came: one that comes again and again overtakes nobody."""

from __future__ import annotations

from collections import deque
from threading import Condition


class Turn:
    """Held by one at a time.

    >>> turn = Turn()
    >>> first = turn.ask()
    >>> second = turn.ask()
    >>> turn.comes(first, 1), turn.comes(second, 0), turn.free()
    (True, False, False)
    >>> turn.release(), turn.comes(second, 1)
    (None, True)
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._asked: deque[object] = deque()  # tickets; the first one has the turn

    def ask(self) -> object:
        """Return a ticket, behind all others."""
        ticket = object()
        with self._changed:
            self._asked.append(ticket)
        return ticket

    def comes(self, ticket: object, seconds: float) -> bool:
        """Wait until it is this ticket's turn, for so long; True when it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._asked[0] is ticket, seconds)

    def withdraw(self, ticket: object) -> None:
        """Wait no longer."""
        with self._changed:
            self._asked.remove(ticket)
            self._changed.notify_all()

    def take(self) -> bool:
        """Take the turn if nobody has it or waits for it; True when it was taken."""
        with self._changed:
            if self._asked:
                return False
            self._asked.append(object())
            return True

    def release(self) -> None:
        """Let the next one have it."""
        with self._changed:
            self._asked.popleft()
            self._changed.notify_all()

    def free(self) -> bool:
        """Tell whether nobody has it or waits for it."""
        with self._changed:
            return not self._asked
