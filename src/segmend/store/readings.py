"""Cases that are read by several people: who is to read what, how far they are, and what was decided.

A *read* is a case that one or several people are to mark, each in a session of their own, blind to each other where
that is wanted. It is `open` while they work, `finished` when all of them are, and `decided` when a reviewer, whose
session of their own may be a third mask, has accepted or rejected the case. What blind readers do is counted
in their *readings* alone until then, and not in the case, whose row everybody may look at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, insert, select, update

from segmend.errors import ConflictError, NotFoundError, SettingsError
from segmend.store import tables
from segmend.store.audit import Action, Deed, note
from segmend.store.database import Database
from segmend.store.records import READ_STATES, READING_STATES, Read, Reading, readable

READS, READINGS, CASES = tables.reads, tables.readings, tables.cases
OPEN, FINISHED, DECIDED = range(len(READ_STATES))
ASSIGNED, BEGUN, DONE = range(len(READING_STATES))
# Readers of one case, and ids that are looked up one by one: of more all reads are fetched.
MOST_READERS, FEW = 8, 500

How = Literal["all", "turns", "pull"]
# How cases are given out: each to all of the readers, each to the next ones in turn, or to who asks for the next case.
HOWS: tuple[How, ...] = get_args(How)
# What somebody looks for: what they have to read, what a pool has for them, what is to be decided, and what was.
ReadFilter = Literal["mine", "open", "finished", "decided"]


class Readings:
    """The reads of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def plan(
        self, cases: Sequence[str], readers: Sequence[str], *, each: int, how: How, blind: bool = True, by: str = ""
    ) -> dict[str, tuple[str, ...]]:
        """Give cases to readers and return who reads which; ConflictError where a case is given to somebody already.

        `each` is how many read a case: with "all" the readers themselves, with "turns" so many of them in turn, with
        "pull" whoever asks.
        """
        names = list(dict.fromkeys(readers))
        each = len(names) if how == "all" else each
        if not 1 <= each <= MOST_READERS:
            raise SettingsError(f"A case is read by 1 to {MOST_READERS} people; got {each}.")
        if how == "turns" and len(names) < each:
            raise SettingsError(f"{each} readers of a case in turn need as many people; got {len(names)}.")
        if not all(name and readable(name) and len(name) <= tables.NAME_LENGTH for name in names):
            raise SettingsError("A reader needs a name.")
        now, given = datetime.now(UTC), {}
        with self._database.writing() as connection:
            there = connection.scalars(select(READS.c.case).where(READS.c.case.in_(cases))).all()
            if there:
                raise ConflictError(f"{len(there)} of these cases have readers already; take those away first.")
            for number, case in enumerate(dict.fromkeys(cases)):
                chosen = () if how == "pull" else tuple(names[(number * each + i) % len(names)] for i in range(each))
                connection.execute(insert(READS).values(case=case, wanted=each, blind=blind and each > 1, state=OPEN))
                for reader in chosen:
                    _add(connection, case, reader, now)
                given[case] = chosen
            projects = _projects(connection, given)
            deeds = (Deed(by, "assigned", projects[case], case, detail={"to": list(to)}) for case, to in given.items())
            note(connection, *deeds)
        return given

    def pull(self, reader: str, project: str, *, unseen: bool = False) -> str | None:
        """Return the next case of a project for somebody to read, theirs from then on; None where none is left.

        What they have begun or were given comes before what anybody may take. With `unseen` they take no case that
        another reader has begun, for they may have looked at that.
        """
        own = select(READINGS.c.case).join_from(READINGS, CASES, READINGS.c.case == CASES.c.id)
        own = own.where(READINGS.c.reader == reader, READINGS.c.state < DONE, CASES.c.project == project)
        taken = select(func.count()).where(READINGS.c.case == READS.c.case).scalar_subquery()
        mine = select(READINGS.c.case).where(READINGS.c.reader == reader)
        free = select(READS.c.case).join_from(READS, CASES, READS.c.case == CASES.c.id)
        free = free.where(READS.c.state == OPEN, taken < READS.c.wanted, READS.c.case.not_in(mine))
        free = free.where(CASES.c.project == project).order_by(taken.desc(), CASES.c.created, CASES.c.id)
        if unseen:
            begun = select(READINGS.c.case).where(READINGS.c.session.is_not(None))
            free = free.where(READS.c.case.not_in(begun))
        with self._database.writing() as connection:
            found: str | None = connection.scalar(own.order_by(READINGS.c.state.desc(), READINGS.c.assigned).limit(1))
            if found is None:
                found = connection.scalar(free.limit(1))
                if found is not None:
                    _add(connection, found, reader, datetime.now(UTC))
                    note(connection, Deed(reader, "assigned", project, found, detail={"to": [reader]}))
        return found

    def of_case(self, case: str) -> Read | None:
        """Return the read of a case; None where it has none."""
        return self.of_cases([case]).get(case)

    def of_cases(self, cases: Sequence[str]) -> dict[str, Read]:
        """Return the reads of those of some cases that have one."""
        few = len(cases) <= FEW
        with self._database.reading() as connection:
            query, parts = select(READS), select(READINGS).order_by(READINGS.c.assigned, READINGS.c.reader)
            if few:
                query, parts = query.where(READS.c.case.in_(cases)), parts.where(READINGS.c.case.in_(cases))
            rows = connection.execute(query).all()
            readings: dict[str, list[Reading]] = {}
            for row in connection.execute(parts) if rows else ():
                readings.setdefault(row.case, []).append(_reading(row))
        found = {row.case: _read(row, tuple(readings.get(row.case, ()))) for row in rows}
        return found if few else {case: found[case] for case in cases if case in found}

    def reads_blind(self, reader: str) -> bool:
        """Tell whether somebody reads any case blind that is not decided."""
        query = select(READINGS.c.case).join_from(READINGS, READS, READINGS.c.case == READS.c.case)
        query = query.where(READINGS.c.reader == reader, READS.c.blind, READS.c.state != DECIDED)
        with self._database.reading() as connection:
            return connection.scalar(query.limit(1)) is not None

    def session_of(self, case: str, reader: str, session: str) -> str:
        """Note the session in which somebody reads a case; return the one they have already where they have."""
        with self._database.writing() as connection:
            row = _row(connection, case, reader)
            if row.session is not None:
                return str(row.session)
            connection.execute(update(READINGS).where(*_here(case, reader)).values(session=session))
        return session

    def finish(self, case: str, reader: str, *, finished: bool = True) -> Read:
        """Say that somebody has finished a reading, or goes on with it; with the last one the read is finished."""
        with self._database.writing() as connection:
            row = _row(connection, case, reader)
            state = connection.scalar(select(READS.c.state).where(READS.c.case == case))
            if state == DECIDED:
                raise ConflictError("This case was decided already.")
            if finished and row.session is None:
                raise ConflictError("Nothing was marked in this reading yet.")
            begun = BEGUN if row.interactions else ASSIGNED
            values = {"state": DONE, "finished": datetime.now(UTC)} if finished else {"state": begun, "finished": None}
            connection.execute(update(READINGS).where(*_here(case, reader)).values(values))
            wanted = connection.scalar(select(READS.c.wanted).where(READS.c.case == case))
            done = select(func.count()).where(READINGS.c.case == case, READINGS.c.state == DONE)
            state = FINISHED if connection.scalar(done) == wanted else OPEN
            connection.execute(update(READS).where(READS.c.case == case).values(state=state, agreement=None))
            project = _projects(connection, [case])[case]
            deed: Action = "done" if finished else "reopened"
            note(connection, Deed(reader, deed, project, case, row.session or "", {"what": "reading"}))
        found = self.of_case(case)
        assert found is not None
        return found

    def release(self, case: str, reader: str, *, by: str = "") -> None:
        """Take a case from a reader who has not begun it; the last one's case is given to nobody any longer."""
        with self._database.writing() as connection:
            if _row(connection, case, reader).session is not None:
                raise ConflictError(f"{reader} has begun this case; what was marked stays.")
            connection.execute(delete(READINGS).where(*_here(case, reader)))
            left = connection.scalar(select(func.count()).where(READINGS.c.case == case))
            if not left:
                connection.execute(delete(READS).where(READS.c.case == case))
            else:
                connection.execute(update(READS).where(READS.c.case == case).values(wanted=left))
            project = _projects(connection, [case])[case]
            note(connection, Deed(by, "assigned", project, case, detail={"taken from": [reader]}))

    def decide_in(self, case: str, session: str) -> None:
        """Note the session that is to decide a finished read."""
        with self._database.writing() as connection:
            table = update(READS).where(READS.c.case == case, READS.c.state == FINISHED)
            if not connection.execute(table.values(session=session)).rowcount:
                raise ConflictError("Not all readers have finished this case.")

    def decide(self, case: str, by: str) -> None:
        """Note that a read was decided; what its readers did is counted in the case from then on."""
        sums = select(func.sum(READINGS.c.interactions), func.sum(READINGS.c.seconds)).where(READINGS.c.case == case)
        with self._database.writing() as connection:
            table = update(READS).where(READS.c.case == case, READS.c.state == FINISHED)
            now = datetime.now(UTC)
            if not connection.execute(table.values(state=DECIDED, decided_by=by, decided=now)).rowcount:
                raise ConflictError("Not all readers have finished this case.")
            if not connection.scalar(select(READS.c.blind).where(READS.c.case == case)):
                return  # it was counted as it came
            marks, seconds = connection.execute(sums).one()
            values = {"interactions": CASES.c.interactions + marks, "seconds": CASES.c.seconds + seconds}
            connection.execute(update(CASES).where(CASES.c.id == case).values(values))

    def keep_agreement(self, case: str, agreement: Any) -> None:
        """Keep how far the readers of a finished case agree."""
        with self._database.writing() as connection:
            connection.execute(update(READS).where(READS.c.case == case).values(agreement=agreement))

    def finished(self, project: str) -> list[Read]:
        """Return the reads of a project that are finished or decided, in the order of their cases."""
        query = select(READS.c.case).join_from(READS, CASES, READS.c.case == CASES.c.id)
        query = query.where(CASES.c.project == project, READS.c.state >= FINISHED)
        with self._database.reading() as connection:
            cases = connection.scalars(query.order_by(CASES.c.created, CASES.c.id)).all()
        found = self.of_cases(cases)
        return [found[case] for case in cases if case in found]


def note_work(connection: Connection, session: str, *, marks: int, seconds: float) -> bool:
    """Count what was done in a session of a reader; True where it is not to be counted in the case, too."""
    blind = select(READS.c.blind).join_from(READINGS, READS, READINGS.c.case == READS.c.case)
    found = connection.scalar(blind.where(READINGS.c.session == session, READS.c.state != DECIDED))
    if found is None:
        return False
    table = update(READINGS).where(READINGS.c.session == session)
    values: dict[str, Any] = {"interactions": READINGS.c.interactions + marks, "seconds": READINGS.c.seconds + seconds}
    if marks:
        values["state"] = BEGUN
    connection.execute(table.values(values))
    return bool(found)


def undecided_sessions() -> Select[tuple[str]]:
    """Return the sessions of blind readers, of which nobody is to learn from lists."""
    query = select(READINGS.c.session).join_from(READINGS, READS, READINGS.c.case == READS.c.case)
    return query.where(READS.c.blind, READS.c.state != DECIDED, READINGS.c.session.is_not(None))


def wanted_by(wanted: ReadFilter, reader: str) -> Select[tuple[str]]:
    """Return the cases that somebody looks for."""
    if wanted == "mine":
        return select(READINGS.c.case).where(READINGS.c.reader == reader, READINGS.c.state < DONE)
    return select(READS.c.case).where(READS.c.state == READ_STATES.index(wanted))


def for_others(reader: str) -> ColumnElement[bool]:
    """Return the condition that a case is being read, and that this person has nothing to do in it."""
    own = select(READINGS.c.case).where(READINGS.c.reader == reader, READINGS.c.state < DONE)
    given = select(READS.c.case).where(READS.c.state != DECIDED, READS.c.case.not_in(own))
    return CASES.c.id.in_(given)


def _projects(connection: Connection, cases: Iterable[str]) -> dict[str, str]:
    """Return the projects of some cases."""
    wanted = list(cases)
    found: dict[str, str] = {}
    for first in range(0, len(wanted), FEW):
        query = select(CASES.c.id, CASES.c.project).where(CASES.c.id.in_(wanted[first : first + FEW]))
        found |= {row.id: row.project for row in connection.execute(query)}
    return found


def _add(connection: Connection, case: str, reader: str, at: datetime) -> None:
    connection.execute(insert(READINGS).values(case=case, reader=reader, state=ASSIGNED, assigned=at))


def _here(case: str, reader: str) -> Sequence[ColumnElement[bool]]:
    return READINGS.c.case == case, READINGS.c.reader == reader


def _row(connection: Connection, case: str, reader: str) -> Row[Any]:
    row = connection.execute(select(READINGS).where(*_here(case, reader))).first()
    if row is None:
        raise NotFoundError(f"{reader} is no reader of this case.")
    return row


def _read(row: Row[Any], readings: tuple[Reading, ...]) -> Read:
    return Read(**{**row._asdict(), "state": READ_STATES[row.state], "readings": readings})


def _reading(row: Row[Any]) -> Reading:
    values = {name: value for name, value in row._mapping.items() if name != "case"}
    return Reading(**{**values, "state": READING_STATES[row.state]})
