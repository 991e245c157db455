"""How many bytes a person and a project may keep: asked before a case or a series is written.

A person's are the blobs of the cases that they added, as the audit says, and that are still there. What is set for a
person or a project holds at every server and command; others may keep what the server says for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Select, func, select

from segmend.errors import QuotaError, SettingsError
from segmend.store import tables
from segmend.store.audit import LOCAL
from segmend.store.database import Database

# The most that may be set: what a browser's numbers hold exactly.
MOST_BYTES = 1 << 53


@dataclass(frozen=True)
class Quota:
    """Bytes that those may keep for whom nothing else is set; 0: as many as there is room for."""

    person: int = 0
    project: int = 0

    def check(self, database: Database, user: str, project: str, coming: int) -> None:
        """Raise QuotaError where what comes would be more than somebody, or a project, may keep."""
        users, projects = tables.users.c, tables.projects.c
        most = _set_for(database, select(users.max_bytes).where(users.name == user), self.person)
        if most and (kept := bytes_of_person(database, user)) + coming > most:
            name = user or "Who has no account"
            raise QuotaError(f"{name} may keep {_said(most)} here and keeps {_said(kept)}; delete a case first.")
        most = _set_for(database, select(projects.max_bytes).where(projects.name == project), self.project)
        if most and (kept := bytes_of_project(database, project)) + coming > most:
            name = f"The project {project!r}"
            raise QuotaError(f"{name} may keep {_said(most)} and keeps {_said(kept)}; delete a case first.")


def check_limit(max_bytes: int | None) -> None:
    """Raise SettingsError for what is no number of bytes that somebody may keep."""
    if max_bytes is not None and not 0 <= max_bytes <= MOST_BYTES:
        raise SettingsError(f"What may be kept is 0 (any number) to {MOST_BYTES} bytes; got {max_bytes}.")


def bytes_of_person(database: Database, user: str) -> int:
    """Return how many bytes the cases have that somebody added."""
    audit = tables.audit.c
    added = select(audit.case).where(audit.person == (user or LOCAL), audit.action == "added", audit.session == "")
    return _sum(database, tables.blobs.c.case.in_(added))


def bytes_of_project(database: Database, project: str) -> int:
    """Return how many bytes the cases of a project have."""
    return _sum(database, tables.blobs.c.case.in_(select(tables.cases.c.id).where(tables.cases.c.project == project)))


def kept_by_person(database: Database) -> dict[str, int]:
    """Return the same of everybody, by the name in the audit, where it is any."""
    audit, blobs = tables.audit.c, tables.blobs.c
    added = select(audit.person, audit.case).where(audit.action == "added", audit.session == "").distinct().subquery()
    query = select(added.c.person, func.sum(blobs.size)).join_from(added, tables.blobs, blobs.case == added.c.case)
    return _sums(database, query.group_by(added.c.person))


def kept_by_project(database: Database) -> dict[str, int]:
    """Return the same of all projects, where it is any."""
    cases, blobs = tables.cases.c, tables.blobs.c
    query = select(cases.project, func.sum(blobs.size)).join_from(tables.blobs, tables.cases, blobs.case == cases.id)
    return _sums(database, query.group_by(cases.project))


def kept_by_case(database: Database, cases: Sequence[str]) -> dict[str, int]:
    """Return the same of some cases."""
    blobs = tables.blobs.c
    return _sums(database, select(blobs.case, func.sum(blobs.size)).where(blobs.case.in_(cases)).group_by(blobs.case))


def size_of(place: str | Path | None) -> int:
    """Return the bytes of a file or of all files in a folder; 0 without one."""
    if place is None or not (path := Path(place)).exists():
        return 0
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def _set_for(database: Database, query: Select[Any], otherwise: int) -> int:
    """Return what is set for somebody or a project, or what holds otherwise."""
    with database.reading() as connection:
        found: int | None = connection.scalar(query)
    return otherwise if found is None else found


def _sum(database: Database, condition: object) -> int:
    with database.reading() as connection:
        return int(connection.scalar(select(func.sum(tables.blobs.c.size)).where(condition)) or 0)  # type: ignore[arg-type]


def _sums(database: Database, query: Select[Any]) -> dict[str, int]:
    with database.reading() as connection:
        return {name: int(size) for name, size in connection.execute(query)}


def _said(size: int) -> str:
    """Return bytes for people.

    >>> _said(999), _said(2_500_000), _said(10_000_000_000)
    ('999 bytes', '2.5 MB', '10.0 GB')
    """
    if size < 1_000_000:
        return f"{size} bytes"
    return f"{size / 1e6:.1f} MB" if size < 1_000_000_000 else f"{size / 1e9:.1f} GB"
