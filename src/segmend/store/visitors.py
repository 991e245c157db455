"""What is kept of viewers of others that use this server as their engine: their leases, and the images they brought.

A lease stands for one viewer that is connected. It says which session its person works in and on which label, so
that a server that is killed between two clicks takes nothing from them: the next click finds the lease in the database.
Only the hash of a lease's token is kept.

Some viewers send all marks of an object with each request. Which of its events were in their last list is kept, so that
one that they list no longer is taken away, also by a server that was started since.

A viewer's images are cases of the project `VIEWERS`. The same image is one case, whoever brings it, and a case that
nobody has worked on for a while is given back by `Visitors.stale` to be deleted.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, func, insert, or_, select, update

from segmend.store import tables
from segmend.store.database import Database
from segmend.store.records import STATUSES

# The project that viewers' images are put in.
VIEWERS = "From viewers"
# A lease's clocks are written when they are off by more than this: a write waits for the disk.
COARSE = timedelta(seconds=20)


@dataclass(frozen=True)
class Lease:
    """One viewer that is connected."""

    token_hash: str
    dialect: str
    user: str
    session: str | None  # None: no image yet, or its case was deleted
    label: int  # of the object that is worked on; 0: there was no image yet
    buffer: str  # the type of the numbers that masks are sent as, such as "uint8"
    seen: datetime  # UTC, when the viewer was last heard of
    used: datetime  # UTC, when its person last did something


class Visitors:
    """The leases and the visitors' cases of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Leases

    def claim(
        self, dialect: str, user: str, *, most: int, idle: timedelta, silent: timedelta, token: str | None = None
    ) -> str | None:
        """Return the token of a new lease, None when there are too many; `token` is for who has one already.

        Leases that were idle too long end here. Those of viewers that have been silent for a while stay as long as
        nobody needs their place.
        """
        now, token, table = datetime.now(UTC), token or secrets.token_hex(16), tables.leases
        with self._database.writing() as connection:
            connection.execute(delete(table).where(table.c.used < now - idle))
            held = connection.scalar(select(func.count()).select_from(table)) or 0
            if held >= most:
                oldest = select(table.c.token_hash).where(table.c.seen < now - silent).order_by(table.c.seen)
                dropped = connection.scalars(oldest.limit(held - most + 1)).all()
                connection.execute(delete(table).where(table.c.token_hash.in_(dropped)))
                if held - len(dropped) >= most:
                    return None
            values = {"token_hash": _hash_of(token), "dialect": dialect, "user": user, "label": 0, "buffer": "uint8"}
            connection.execute(insert(table).values(**values, seen=now, used=now))
        return token

    def lease(self, token: str, *, idle: timedelta) -> Lease | None:
        """Return a lease that has not ended."""
        query = select(tables.leases).where(tables.leases.c.token_hash == _hash_of(token))
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        lease = None if row is None else _lease(row)
        return lease if lease is not None and lease.used >= datetime.now(UTC) - idle else None

    def note(self, lease: Lease, *, used: bool) -> None:
        """Set a lease's clocks: its viewer was heard of, and perhaps its person did something."""
        now = datetime.now(UTC)
        values = {"seen": now} if now - lease.seen > COARSE else {}
        values |= {"used": now} if used and now - lease.used > COARSE else {}
        if values:
            self._update(lease, values)

    def turn_to(self, lease: Lease, *, session: str | None, label: int) -> Lease:
        """Let a lease's person work on another label, perhaps in another session; return the lease as it is then."""
        return self._update(lease, {"session": session, "label": label})

    def send_as(self, lease: Lease, buffer: str) -> Lease:
        """Send masks to a lease's viewer as numbers of another type; return the lease as it is then."""
        return self._update(lease, {"buffer": buffer})

    def release(self, lease: Lease) -> None:
        """End a lease."""
        with self._database.writing() as connection:
            connection.execute(delete(tables.leases).where(tables.leases.c.token_hash == lease.token_hash))

    def _update(self, lease: Lease, values: dict[str, Any]) -> Lease:
        table = tables.leases
        with self._database.writing() as connection:
            connection.execute(update(table).where(table.c.token_hash == lease.token_hash).values(**values))
        return Lease(**{**vars(lease), **values})

    # Lists of marks

    def listed(self, session_id: str, label: int) -> frozenset[int]:
        """Return the positions of the marks of an object that a viewer listed last."""
        table = tables.listed
        query = select(table.c.events).where(table.c.session == session_id, table.c.label == label)
        with self._database.reading() as connection:
            return frozenset(connection.scalar(query) or ())

    def note_listed(self, session_id: str, label: int, events: Collection[int]) -> None:
        """Keep which marks of an object a viewer has listed."""
        table, values = tables.listed, {"events": sorted(events)}
        with self._database.writing() as connection:
            of_object = (table.c.session == session_id, table.c.label == label)
            if connection.execute(update(table).where(*of_object).values(values)).rowcount == 0:
                connection.execute(insert(table).values(session=session_id, label=label, **values))

    # Images

    def case_with(self, digest: str) -> str | None:
        """Return the case of an image that a viewer has brought before."""
        table = tables.visitors
        with self._database.reading() as connection:
            found: str | None = connection.scalar(select(table.c.case).where(table.c.digest == digest).limit(1))
        return found

    def add_image(self, case_id: str, digest: str) -> None:
        """Note of a new case what its image is known by."""
        with self._database.writing() as connection:
            connection.execute(insert(tables.visitors).values(case=case_id, digest=digest))

    def untouched(self, session_id: str) -> str | None:
        """Return the case of a session that may go, because nothing has been done on a visitor's image.

        It has this one session, which has no event and no mask, and no lease.
        """
        sessions = tables.sessions
        with self._database.reading() as connection:
            case_id: str | None = connection.scalar(
                select(sessions.c.case)
                .join(tables.cases, tables.cases.c.id == sessions.c.case)
                .where(sessions.c.id == session_id, tables.cases.c.project == VIEWERS)
            )
            others = select(sessions.c.id).where(sessions.c.case == case_id, sessions.c.id != session_id)
            in_use = [others.limit(1)] + [
                select(table.c.session).where(table.c.session == session_id).limit(1)
                for table in (tables.events, tables.masks, tables.leases)
            ]
            if case_id is None or any(connection.execute(query).first() is not None for query in in_use):
                return None
        return case_id

    def stale(self, older: timedelta) -> list[str]:
        """Return the cases from viewers that nobody has worked on for so long.

        Those with a kept mask stay, and those that somebody called done or rejected.
        """
        before, cases, sessions = datetime.now(UTC) - older, tables.cases, tables.sessions
        used = (
            select(sessions.c.id)
            .outerjoin(tables.events, tables.events.c.session == sessions.c.id)
            .outerjoin(tables.leases, tables.leases.c.session == sessions.c.id)
            .outerjoin(tables.masks, tables.masks.c.session == sessions.c.id)
            .where(
                sessions.c.case == cases.c.id,
                or_(
                    sessions.c.created >= before,
                    tables.events.c.created >= before,
                    tables.leases.c.used >= before,
                    tables.masks.c.id.is_not(None),
                ),
            )
        )
        query = select(cases.c.id).where(
            cases.c.project == VIEWERS,
            cases.c.created < before,
            cases.c.status < STATUSES.index("done"),
            ~used.exists(),
        )
        with self._database.reading() as connection:
            return list(connection.scalars(query))


def _hash_of(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _lease(row: Row[Any]) -> Lease:
    return Lease(**row._mapping)
