"""Patients whose cases are deleted for good, with a proof of what there was, and cases that are older than they may be.

What goes: a case's row with all that hangs on it, its blobs, and in SQLite the bytes that deleted rows leave in the
file. What stays is an entry of the audit (`forgotten`) with counts and a SHA-256 over all that there was, and who holds
the proof that `forget` returns can show that it is of the same things. Backups are somebody else's: forget there, too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select

from segmend.errors import NotFoundError, SettingsError, StoreError
from segmend.store import tables
from segmend.store.checksums import PIECE
from segmend.store.pseudonyms import Pseudonym, Pseudonyms
from segmend.store.records import CaseRecord, readable
from segmend.store.store import Store

# A patient as cases are listed by: the name, and the id in brackets.
PATIENT = re.compile(r"(?P<name>.*?) ?\((?P<id>.*)\)")


@dataclass(frozen=True)
class Forgotten:
    """What there was of a case."""

    case: str
    project: str
    sessions: int
    events: int
    masks: int
    bytes: int  # of blobs
    blobs: dict[str, str]  # SHA-256 by key
    sha256: str  # of all of them and of the events
    entry: int  # the number of the audit's entry


def is_of(patient: str, text: str) -> bool:
    """Tell whether a text names the patient of a case: by all that is listed, by the name or by the id.

    >>> is_of("Doe^Jane (4711)", "4711"), is_of("Doe^Jane (4711)", "doe^jane"), is_of("Doe^Jane (4711)", "Jane")
    (True, True, False)
    """
    found = PATIENT.fullmatch(patient)
    names = [patient] if found is None else [patient, found["name"], found["id"]]
    return bool(text.strip()) and text.strip().casefold() in {name.casefold() for name in names if name}


def cases_of(store: Store, *texts: str) -> list[CaseRecord]:
    """Return the cases of a patient, oldest first."""
    for text in texts:
        if not readable(text):
            raise SettingsError(f"A patient needs a readable name or id; got {text[:40]!r}.")
    table = tables.cases
    with store.database.reading() as connection:
        listed = connection.scalars(select(table.c.patient).distinct()).all()
        meant = [patient for patient in listed if any(is_of(patient, text) for text in texts)]
        query = select(table.c.id).where(table.c.patient.in_(meant)).order_by(table.c.created, table.c.id)
        found = connection.scalars(query).all() if meant else []
    return _cases(store, found)


def of_patient(store: Store, names: Pseudonyms, text: str) -> tuple[list[CaseRecord], list[Pseudonym]]:
    """Return the cases of a patient, oldest first, also of one whose pseudonym this is or who is behind one."""
    kept = names.find(text.strip()) if text.strip() else []
    return cases_of(store, text, *(one.pseudonym for one in kept)), kept


def patients_among(cases: Sequence[CaseRecord]) -> list[str]:
    """Return whose cases they are, each patient once."""
    return sorted({case.patient.casefold(): case.patient for case in cases}.values())


def expired(store: Store, now: datetime | None = None) -> list[CaseRecord]:
    """Return the cases that nobody has changed for longer than their projects keep them, oldest first."""
    found: list[str] = []
    limited = [(one.name, one.retention_days) for one in store.projects() if one.retention_days is not None]
    with store.database.reading() as connection:
        for project, days in limited:
            found += connection.scalars(select(tables.cases.c.id).where(_old(project, days, now)))
    return sorted(_cases(store, found), key=lambda case: (case.created, case.id))


def count_expired(store: Store, project: str, days: int | None, now: datetime | None = None) -> int:
    """Return how many cases of a project nobody has changed for so many days; None: 0."""
    if days is None:
        return 0
    with store.database.reading() as connection:
        return connection.scalar(select(func.count()).where(_old(project, days, now))) or 0


def _cases(store: Store, ids: Iterable[str]) -> list[CaseRecord]:
    found = []
    for one in ids:
        with suppress(NotFoundError):  # another was faster
            found.append(store.case(one))
    return found


def _old(project: str, days: int, now: datetime | None) -> ColumnElement[bool]:
    cases, before = tables.cases.c, (now or datetime.now(UTC)) - timedelta(days=days)
    return (cases.project == project) & (func.coalesce(cases.changed, cases.created) < before)


def forget(store: Store, case: CaseRecord) -> Forgotten:
    """Delete a case for good and return the proof; StoreError where something of it is still there."""
    blobs, size = _blobs(store, case.id)
    counts, events = _rows(store, case.id)
    lines = [*(f"{key} {digest}" for key, digest in sorted(blobs.items())), f"events {events}"]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    detail = {**counts, "blobs": len(blobs), "bytes": size, "sha256": digest}
    entry = store.delete_case_for_good(case.id, detail)
    left = list(store.blobs.keys(f"cases/{case.id}"))
    if left:
        raise StoreError(f"{len(left)} files of the case {case.id} could not be deleted; they go at the next start.")
    return Forgotten(case.id, case.project, **counts, bytes=size, blobs=blobs, sha256=digest, entry=entry)


def forget_expired(store: Store, told: Callable[[str], None] = lambda case: None) -> list[Forgotten]:
    """Forget the cases that are older than they may be."""
    found = []
    for case in expired(store):
        with suppress(NotFoundError):  # another server was faster
            found.append(forget(store, case))
            told(case.id)
    return found


def _blobs(store: Store, case: str) -> tuple[dict[str, str], int]:
    found, size = {}, 0
    for key in store.blobs.keys(f"cases/{case}"):
        digest = hashlib.sha256()
        with store.blobs.reader(key) as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                size += len(piece)
        found[key] = digest.hexdigest()
    return found, size


def _rows(store: Store, case: str) -> tuple[dict[str, Any], str]:
    """Return how many rows hang on a case, and a SHA-256 of its events."""
    sessions, events, masks = tables.sessions, tables.events, tables.masks
    own = select(sessions.c.id).where(sessions.c.case == case)
    digest = hashlib.sha256()
    number = 0
    with store.database.reading() as connection:
        query = select(events.c.session, events.c.position, events.c.json, events.c.user).where(
            events.c.session.in_(own)
        )
        for row in connection.execute(query.order_by(events.c.session, events.c.position)):
            digest.update(f"{row.session} {row.position} {row.user} {tables.to_text(row.json)}\n".encode())
            number += 1
        count = connection.scalar(select(func.count()).select_from(own.subquery())) or 0
        kept = connection.scalar(select(func.count()).where(masks.c.session.in_(own))) or 0
    return {"sessions": count, "events": number, "masks": kept}, digest.hexdigest()
