"""Which series the DICOM files of cases are: found out once from the files, and then kept to be searched.

A row says nothing that the files do not say, so it may be made anew at any time.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import astuple, dataclass
from typing import Any

from sqlalchemy import func, insert, select

from segmend.io.originals import DicomJson, Instance, Original
from segmend.store import tables
from segmend.store.database import Database


@dataclass(frozen=True, eq=False)
class Known:
    """A case and the series that its files are."""

    case: str
    study: str
    series: str
    about: DicomJson
    count: int  # of its files


class Originals:
    """The series of the cases of one store, oldest case first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def unknown(self) -> list[str]:
        """Return the cases whose files nobody has looked into yet, newest first."""
        cases, table = tables.cases.c, tables.originals
        known = select(table.c.case).where(table.c.case == cases.id)
        query = select(cases.id).where(cases.source, ~known.exists()).order_by(cases.created.desc(), cases.id)
        with self._database.reading() as connection:
            return list(connection.scalars(query))

    def keep(self, case_id: str, original: Original | None) -> None:
        """Keep what a case's files are; None: nobody can tell."""
        found = original or Original("", "", {}, ())
        instances = [list(astuple(one)) for one in found.instances]
        values: dict[str, Any] = {"case": case_id, "study": found.study, "series": found.series}
        values |= {"about": found.about, "count": len(instances), "instances": instances}
        cases = tables.cases.c
        with self._database.writing() as connection:
            there = connection.scalar(select(func.count()).where(cases.id == case_id))
            table = tables.originals
            known = connection.scalar(select(func.count()).where(table.c.case == case_id))
            if there and not known:
                connection.execute(insert(table).values(**values))

    def known(self, study: str = "", series: str = "") -> list[Known]:
        """Return the series of all cases, or those of one study or with one number."""
        table, cases = tables.originals, tables.cases
        columns = (table.c.case, table.c.study, table.c.series, table.c.about, table.c.count)
        query = select(*columns).join(cases, cases.c.id == table.c.case).where(table.c.study != "")
        for column, wanted in ((table.c.study, study), (table.c.series, series)):
            query = query.where(column == wanted) if wanted else query
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(cases.c.created, cases.c.id)).all()
        return [Known(*row) for row in rows]

    def instances(self, case_id: str) -> tuple[Instance, ...]:
        """Return the files of a case's series."""
        table = tables.originals.c
        with self._database.reading() as connection:
            found = connection.scalar(select(table.instances).where(table.case == case_id))
        return tuple(Instance(*values) for values in found or ())

    def marked_sessions(self, case_ids: Collection[str]) -> dict[str, list[str]]:
        """Return the sessions, oldest first, in which something was answered, by their cases."""
        sessions, answers = tables.sessions.c, tables.answers.c
        answered = select(answers.session).where(answers.session == sessions.id)
        query = select(sessions.case, sessions.id).where(sessions.case.in_(case_ids), answered.exists())
        found: dict[str, list[str]] = {}
        with self._database.reading() as connection:
            for case, session in connection.execute(query.order_by(sessions.created, sessions.id)):
                found.setdefault(case, []).append(session)
        return found
