"""Who did what, and when: entries that are only ever added, each with a hash over itself and the one before it.

What changes something is noted in the transaction that changes it, so neither is there without the other, also when
the process is killed. What is only looked at is noted before it is shown. Entries name cases and sessions by their ids,
never a patient, so they stay when a case is deleted. The database itself refuses to change or delete them
(`tables.GUARDS`). Who may write to its files can do so all the same, but not unseen: `verify` finds the entry at which
the chain of hashes breaks, and a head that was written down elsewhere tells whether the chain was made anew.

On PostgreSQL, `note` takes a lock that others wait for until the transaction ends: call it last.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, Connection, Row, Text, insert, select, text, type_coerce

from segmend.errors import ReadOnlyError, SettingsError
from segmend.store import tables
from segmend.store.database import Database
from segmend.store.records import readable

AUDIT = tables.audit
Action = Literal[
    "added", "opened", "marked", "kept", "exported", "downloaded", "sent", "deleted", "forgotten",
    "done", "rejected", "accepted", "reopened", "assigned", "commented",
    "role", "account", "settings", "login", "login failed", "logout", "refused",
]  # fmt: skip
ACTIONS: tuple[Action, ...] = get_args(Action)
# Whose name stands for everybody who uses Segmend without an account: on this machine, or by the server's own token.
LOCAL = "local"
# Whose name stands for what the server does by itself, such as deleting what is too old.
SERVER = "server"
# Whose name stands for who tried to log in and is nobody's account.
UNKNOWN = "unknown"
# How the number and the hash of an entry are written down.
HEAD = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")
# The hash before the first entry's.
BEGINNING = "0" * 64
# Key of the lock under which servers that share a PostgreSQL number their entries.
CHAIN_LOCK = 7346364
# Entries that are read at once.
ROWS = 2000


@dataclass(frozen=True)
class Entry:
    """One thing that somebody did."""

    number: int  # from 1, without a gap
    at: datetime  # UTC
    person: str
    action: Action
    project: str  # empty: of none
    case: str
    session: str
    detail: dict[str, Any]  # plain JSON values
    hash: str  # SHA-256 of the hash before it and of all above


@dataclass(frozen=True)
class Deed:
    """What is to be noted of somebody."""

    person: str  # empty: without an account
    action: Action
    project: str = ""
    case: str = ""
    session: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AuditFilter:
    """Which entries are looked for; what is None does not matter."""

    person: str | None = None
    action: Action | None = None
    project: str | None = None
    case: str | None = None
    since: datetime | None = None  # included
    until: datetime | None = None  # not included
    cases: Sequence[str] | None = None  # one of these, such as those of a patient

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        """Return what the database is asked for; SettingsError for what no database takes."""
        said = {"person": self.person, "action": self.action, "project": self.project, "case": self.case}
        for value in said.values():
            if value is not None and not readable(value):
                raise SettingsError(f"A search needs readable characters; got {value[:40]!r}.")
        found = [AUDIT.c[name] == value for name, value in said.items() if value is not None]
        found += [] if self.cases is None else [AUDIT.c.case.in_(self.cases)]
        found += [] if self.since is None else [AUDIT.c.at >= _utc(self.since)]
        return found + ([] if self.until is None else [AUDIT.c.at < _utc(self.until)])


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise SettingsError(f"A search needs a time of this era; got {moment.isoformat()}.") from None


ALL = AuditFilter()


@dataclass(frozen=True)
class Verified:
    """What the chain of hashes says."""

    entries: int
    head: str  # hash of the last one that is sound
    damage: tuple[str, ...]  # a sentence for the place where the chain breaks, and for a head that is not in it


def head_of(text: str) -> tuple[int, str]:
    """Return the number and the hash of an entry as `verify` tells them."""
    found = HEAD.fullmatch(text.strip())
    if found is None:
        raise SettingsError(f"A head is written NUMBER:HASH, as it was told before; got {text[:40]!r}.")
    return int(found[1]), found[2]


class Audit:
    """The entries of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, *deeds: Deed) -> None:
        """Note what somebody did that changes nothing else; it is durable when this returns."""
        with self._database.writing() as connection:
            note(connection, *deeds)

    def add_where_possible(self, *deeds: Deed) -> ReadOnlyError | None:
        """Note what somebody looks at; return the refusal of a store that can only be read."""
        if self._database.read_only is not None:
            return ReadOnlyError(str(self._database.read_only))
        self.add(*deeds)
        return None

    def entries(self, wanted: AuditFilter = ALL, *, after: int = 0, limit: int | None = None) -> Iterator[Entry]:
        """Give the entries that a filter finds, oldest first, from behind the number `after`."""
        left = limit
        while left is None or left > 0:
            size = ROWS if left is None else min(ROWS, left)
            query = select(AUDIT).where(AUDIT.c.number > after, *wanted.conditions).order_by(AUDIT.c.number)
            with self._database.reading() as connection:
                found = [_entry(row) for row in connection.execute(query.limit(size))]
            yield from found
            if len(found) < size:
                return
            after, left = found[-1].number, None if left is None else left - size

    def newest(self, wanted: AuditFilter = ALL, *, before: int | None = None, limit: int) -> list[Entry]:
        """Return the last entries that a filter finds, newest first, from before the number `before`."""
        conditions = wanted.conditions + ([] if before is None else [AUDIT.c.number < before])
        query = select(AUDIT).where(*conditions).order_by(AUDIT.c.number.desc()).limit(limit)
        with self._database.reading() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def head(self) -> tuple[int, str]:
        """Return the number and the hash of the last entry."""
        with self._database.reading() as connection:
            return _head(connection)

    def verify(
        self, expected: tuple[int, str] | None = None, progress: Callable[[int], None] = lambda n: None
    ) -> Verified:
        """Say where the chain of hashes breaks, if anywhere, and whether an entry is still the expected one."""
        number, before = 0, BEGINNING
        damage: list[str] = []
        met = None
        columns = [type_coerce(AUDIT.c.detail, Text).label("detail") if c.name == "detail" else c for c in AUDIT.c]
        while not damage:
            query = select(*columns).where(AUDIT.c.number > number).order_by(AUDIT.c.number).limit(ROWS)
            with self._database.reading() as connection:
                rows = connection.execute(query).all()
            for row in rows:
                if row.number != number + 1:
                    damage.append(f"Behind entry {number} of the audit {row.number - number - 1} are missing.")
                    break
                if row.hash != _hash(before, row._asdict()):
                    damage.append(f"Entry {row.number} of the audit is not what was written, or what comes before it.")
                    break
                number, before = row.number, row.hash
                met = row.hash if expected is not None and row.number == expected[0] else met
            progress(number)
            if len(rows) < ROWS:
                break
        if expected is not None and not damage and met != expected[1]:
            what = "is not there any more" if met is None else "has another hash"
            damage.append(f"Entry {expected[0]} of the audit {what}: entries were taken away, or the chain made anew.")
        return Verified(number, before, tuple(damage))


def note(connection: Connection, *deeds: Deed) -> None:
    """Add entries in a transaction, as its last step."""
    if not deeds:
        return
    if connection.dialect.name != "sqlite":  # which has one writer at a time
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": CHAIN_LOCK})
    number, before = _head(connection)
    rows = []
    for deed in deeds:
        number += 1
        values: dict[str, Any] = {
            "number": number,
            "at": datetime.now(UTC),
            "person": deed.person or LOCAL,
            "action": deed.action,
            "project": deed.project,
            "case": deed.case,
            "session": deed.session,
            "detail": deed.detail,
        }
        before = _hash(before, {**values, "detail": tables.to_text(deed.detail)})
        rows.append({**values, "hash": before})
    connection.execute(insert(AUDIT), rows)


def rows_to_copy(origin: Connection, copy: Connection) -> Iterator[Sequence[dict[str, Any]]]:
    """Give the entries that a copy lacks; SettingsError where it has entries of its own."""
    number, before = _head(copy)
    if number:
        there = origin.scalar(select(AUDIT.c.hash).where(AUDIT.c.number == number))
        if there != before:
            raise SettingsError("The copy has an audit of its own, which stays as it is; name a new place.")
    while True:
        query = select(AUDIT).where(AUDIT.c.number > number).order_by(AUDIT.c.number).limit(ROWS)
        rows = [row._asdict() for row in origin.execute(query)]
        if not rows:
            return
        yield rows
        number = rows[-1]["number"]


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """Return an entry as plain JSON values."""
    return {**entry.__dict__, "at": entry.at.isoformat(timespec="microseconds")}


# The columns of a table of entries.
COLUMNS = ("number", "at", "person", "action", "project", "case", "session", "detail", "hash")


def entry_row(entry: Entry) -> list[str]:
    """Return an entry as a line of a table; a spreadsheet that would take a name for a formula is kept from it."""
    values = {**entry_to_json(entry), "detail": tables.to_text(entry.detail)}
    texts = [str(values[name]) for name in COLUMNS]
    return [f"'{one}" if one[:1] in ("=", "+", "-", "@") else one for one in texts]


def deeds_of(person: str, action: Action, cases: Iterable[tuple[str, str]], **detail: Any) -> list[Deed]:
    """Return the same deed on several cases, each given with its project."""
    return [Deed(person, action, project, case, detail=detail) for case, project in cases]


def _head(connection: Connection) -> tuple[int, str]:
    row = connection.execute(select(AUDIT.c.number, AUDIT.c.hash).order_by(AUDIT.c.number.desc()).limit(1)).first()
    return (0, BEGINNING) if row is None else (row.number, row.hash)


def _hash(before: str, values: dict[str, Any]) -> str:
    """Return the hash of an entry whose detail is given as it is stored."""
    at: datetime = values["at"]
    written = [values["number"], at.isoformat(timespec="microseconds")]
    written += [values[name] for name in ("person", "action", "project", "case", "session", "detail")]
    return hashlib.sha256((before + tables.to_text(written)).encode()).hexdigest()


def _entry(row: Row[Any]) -> Entry:
    return Entry(**row._asdict())
