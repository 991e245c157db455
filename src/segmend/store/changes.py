"""Word that the database was changed: by other servers and commands, perhaps by this one, too.

Who writes to PostgreSQL notifies everybody in the same transaction (`announce`). SQLite has a number that every
change raises; to look at it costs microseconds, so it is asked five times a second.
"""

from __future__ import annotations

import select
from threading import Event
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, text

# What PostgreSQL's notifications are called.
CHANNEL = "segmend"
# Seconds between two looks at SQLite's number.
POLL_SECONDS = 0.2
# Seconds after which a wait ends without a change.
WAIT_SECONDS = 1.0
# Seconds after which a quiet connection to PostgreSQL is tried, and something may have changed all the same.
QUIET_SECONDS = 10.0


class Changes(Protocol):
    """A watch over one database, for one thread."""

    def wait(self, over: Event) -> bool:
        """Return True when something may have changed; False after a second without a change, or when it is over."""
        ...

    def close(self) -> None: ...


def announce(connection: Connection, sender: str) -> None:
    """Tell all who watch a PostgreSQL database that this transaction, once it is committed, changed it."""
    connection.execute(text("SELECT pg_notify(:channel, :sender)"), {"channel": CHANNEL, "sender": sender})


class SqliteChanges:
    """Watches a SQLite file, on a connection of its own: the number tells what all others changed."""

    def __init__(self, engine: Engine) -> None:
        self._connection = engine.raw_connection()
        self._number = self._ask()

    def wait(self, over: Event) -> bool:
        for _ in range(round(WAIT_SECONDS / POLL_SECONDS)):
            if over.wait(POLL_SECONDS):
                return False
            number = self._ask()
            if number != self._number:
                self._number = number
                return True
        return False

    def close(self) -> None:
        self._connection.close()

    def _ask(self) -> int:
        cursor = self._connection.cursor()
        try:
            cursor.execute("PRAGMA data_version")
            return int(cursor.fetchone()[0])  # type: ignore[index]
        finally:
            cursor.close()


class PostgresChanges:
    """Listens to the notifications of all senders but one; a connection that breaks is made anew."""

    def __init__(self, engine: Engine, sender: str) -> None:
        self._engine = engine
        self._sender = sender
        self._connection: Any = None
        self._quiet = 0.0

    def wait(self, over: Event) -> bool:
        try:
            if self._connection is None:
                self._connect()
                return True  # what happened before is not told
            quiet = 0.0 if self._is_readable() else self._quiet + WAIT_SECONDS
            if 0.0 < quiet < QUIET_SECONDS:
                self._quiet = quiet
                return False
            self._quiet = 0.0
            self._say("SELECT 1")  # what has arrived is read with the reply
            if quiet:
                return True  # some pools in front of PostgreSQL swallow notifications
            told = self._connection.driver_connection.notifications
            senders = {told.popleft()[2] for _ in range(len(told))}
            return bool(senders - {self._sender})
        except Exception:  # the driver has many ways to say that the connection is gone
            self.close()
            over.wait(WAIT_SECONDS)
            return False

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.invalidate()
            except Exception:  # it is gone already
                return

    def _connect(self) -> None:
        self._connection = self._engine.raw_connection()
        self._connection.rollback()  # the pool tried it in a transaction, and would be listening at its end alone
        self._connection.driver_connection.autocommit = True
        self._say(f"LISTEN {CHANNEL}")

    def _say(self, sentence: str) -> None:
        cursor = self._connection.cursor()
        cursor.execute(sentence)
        cursor.close()

    def _is_readable(self) -> bool:
        readable, _, _ = select.select([self._connection.driver_connection._usock], [], [], WAIT_SECONDS)
        return bool(readable)
