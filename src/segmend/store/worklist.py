"""The worklist: cases filtered, sorted and searched in SQL, a page at a time; and the work that is counted.

Work is counted as events come in. Between two events of a session that lie at most `GAP_SECONDS` apart somebody
worked; a longer gap is a pause and counts as nothing. A case is begun by its first mark, and a case that was done or
rejected is begun again by the next one: what was accepted is never changed unsaid. What the readers of a case do, blind
to each other, is counted in their readings until the case is decided (`segmend.store.readings`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal, get_args

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Select,
    Text,
    and_,
    case,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    type_coerce,
    update,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from segmend.core.session import Arranging, Defined, Event, event_from_json
from segmend.errors import SettingsError
from segmend.store import tables
from segmend.store.database import UNREADABLE
from segmend.store.readings import ReadFilter, for_others, note_work, undecided_sessions, wanted_by
from segmend.store.records import STATUSES, Choices, Status
from segmend.store.visitors import VIEWERS

# Seconds between two events of a session above which nobody was at work: a telephone call is no annotation.
GAP_SECONDS = 60.0
# Cases that a search or a label finds at most to be asked for by their ids, and to be looked up one by one; where it
# finds more the list is walked.
FEW, SOME = 2000, 10_000
# Cases of one page.
MAX_PAGE = 500
# Characters of a comment.
MAX_COMMENT = 1000
# Names of labels to choose from: more than that nobody reads.
MAX_LABELS = 200

UNTOUCHED, BEGUN, DONE, REJECTED, ACCEPTED = range(len(STATUSES))
CASES = tables.cases.c

SortKey = Literal["name", "added", "status", "changed", "patient", "study", "doubt"]
SORT_KEYS: tuple[SortKey, ...] = get_args(SortKey)
# A case's id as SQLite cannot look it up: a list is walked in its order and each case looked for among those that fit,
# not sorted anew. Of 50,000 cases that all fit 30 ms instead of 220 (`bench/worklist.py`).
WALKED = CASES.id.concat("")
DateKey = Literal["added", "changed", "study"]
# By what each order sorts; the id at the end makes it the same order every time.
SORTED: Mapping[SortKey, tuple[Column[Any], ...]] = {
    "name": (CASES.folded, CASES.id),
    "added": (CASES.created, CASES.id),
    "status": (CASES.status, CASES.created, CASES.id),
    "changed": (CASES.changed, CASES.id),
    "patient": (CASES.patient, CASES.folded, CASES.id),
    "study": (CASES.study_date, CASES.folded, CASES.id),
    "doubt": (CASES.doubt, CASES.id),
}


@dataclass(frozen=True)
class CaseFilter:
    """Which cases a list shows; what is empty leaves nothing out but what viewers brought, a project of its own."""

    text: str = ""  # words that must all be in the name, the patient, the description or the comment
    statuses: tuple[Status, ...] = ()
    project: str | None = None
    modality: str | None = None
    label: str | None = None  # what a label of the case is called
    date_of: DateKey = "added"
    since: date | None = None
    until: date | None = None  # that day included
    projects: tuple[str, ...] | None = None  # that may be seen; None: all
    reading: ReadFilter | None = None  # by how far those are that are read by several people
    reader: str = ""  # who asks: what others alone are to read is not to be worked on, and left out where that is asked

    @property
    def without_viewers(self) -> bool:
        """Whether what viewers brought is left out, which would flood the list."""
        return self.project is None

    @property
    def columns(self) -> list[ColumnElement[bool]]:
        """The conditions on what a case says of itself, but those on its status and that viewers did not bring it."""
        wanted = ((CASES.project, self.project), (CASES.modality, self.modality))
        own: list[ColumnElement[bool]] = [] if self.projects is None else [CASES.project.in_(self.projects)]
        to_do = bool(self.statuses) and not {*self.statuses} & {"done", "rejected", "accepted"}
        own += [~for_others(self.reader)] if self.reader and to_do and self.reading is None else []
        return [*own, *(column == value for column, value in wanted if value is not None), *self._dates]

    @property
    def elsewhere(self) -> list[Select[tuple[str]]]:
        """The conditions on other tables, each as the ids of the cases that fit."""
        found: list[Select[tuple[str]]] = []
        if words := self.text.casefold().split():
            table = tables.searched.c
            found.append(select(table.case).where(*(_Contains(table.words, word) for word in words)))
        if self.label is not None:
            labels, sessions = tables.labels, tables.sessions
            joined = select(sessions.c.case).join_from(labels, sessions, labels.c.session == sessions.c.id)
            found.append(joined.where(labels.c.name == self.label, sessions.c.id.not_in(undecided_sessions())))
        if self.reading is not None:
            found.append(wanted_by(self.reading, self.reader))
        return found

    @property
    def _dates(self) -> list[ColumnElement[bool]]:
        if self.date_of == "study":
            studied = [CASES.study_date != ""] if self.since or self.until else []
            studied += [CASES.study_date >= self.since.isoformat()] if self.since else []
            return studied + ([CASES.study_date <= self.until.isoformat()] if self.until else [])
        column = CASES.created if self.date_of == "added" else CASES.changed
        found = [column >= _midnight(self.since)] if self.since else []
        return found + ([column < _midnight(self.until + timedelta(days=1))] if self.until else [])


class _Contains(FunctionElement[bool]):
    """True where a text holds another one, whose letters mean themselves: LIKE takes three times as long in SQLite."""

    type = Boolean()
    inherit_cache = True


@compiles(_Contains, "sqlite")
def _instr(element: _Contains, compiler: SQLCompiler, **options: Any) -> str:
    return f"instr({compiler.process(element.clauses, **options)}) > 0"


@compiles(_Contains, "postgresql")
def _strpos(element: _Contains, compiler: SQLCompiler, **options: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **options)}) > 0"


EVERYTHING = CaseFilter()


class Found:
    """Which cases a filter finds, in a transaction: few by their ids, many by walking the list."""

    def __init__(self, connection: Connection, wanted: CaseFilter) -> None:
        self._wanted = wanted
        self._elsewhere = []
        for query in wanted.elsewhere:
            few = connection.scalars(query.limit(FEW + 1)).all()
            if len(few) <= FEW:
                self._elsewhere.append(CASES.id.in_(few))
                continue
            some = select(func.count()).select_from(query.limit(SOME + 1).subquery())
            ids = CASES.id if connection.execute(some).scalar_one() <= SOME else WALKED
            self._elsewhere.append(ids.in_(query))

    @property
    def of_any_status(self) -> list[ColumnElement[bool]]:
        ours = [CASES.project != VIEWERS] if self._wanted.without_viewers else []
        return [*self._elsewhere, *ours, *self._wanted.columns]

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        columns = self._wanted.columns
        if self._wanted.statuses:
            columns.append(CASES.status.in_([STATUSES.index(one) for one in self._wanted.statuses]))
        fitting = [WALKED.in_(select(CASES.id).where(*columns).correlate(None))] if columns else []
        if self._wanted.without_viewers:  # of 100,000 the few that are left out are collected, not all that are shown
            theirs = select(CASES.id).where(CASES.project == VIEWERS).correlate(None)
            fitting.append(WALKED.not_in(theirs))
        return [*self._elsewhere, *fitting]


@dataclass(frozen=True)
class CaseOrder:
    """How a list is sorted."""

    by: SortKey = "added"
    descending: bool = False

    @property
    def keys(self) -> tuple[Column[Any], ...]:
        return SORTED[self.by]

    @property
    def clauses(self) -> list[ColumnElement[Any]]:
        return [key.desc() if self.descending else key.asc() for key in self.keys]

    def behind(self, values: Sequence[Any], *, back: bool = False) -> ColumnElement[bool]:
        """Return the condition that a case comes behind one with these values; with `back` before it."""
        here = tuple_(*self.keys)
        there = tuple_(*(literal(value, key.type) for key, value in zip(self.keys, values, strict=True)))
        return here < there if self.descending != back else here > there

    def turned(self) -> CaseOrder:
        return CaseOrder(self.by, not self.descending)


OLDEST_FIRST = CaseOrder()


def count(connection: Connection, found: Found) -> dict[Status, int]:
    """Return how many cases of each status a list has, whichever statuses it shows."""
    query = select(CASES.status, func.count()).where(*found.of_any_status).group_by(CASES.status)
    numbers = {STATUSES[status]: number for status, number in connection.execute(query)}
    return {status: numbers.get(status, 0) for status in STATUSES}


def ids_of_page(connection: Connection, found: Found, order: CaseOrder, offset: int, limit: int) -> list[str]:
    """Return the ids of some cases of a list; they alone are walked through, the indexes hold them."""
    query = select(CASES.id).where(*found.conditions).order_by(*order.clauses)
    return list(connection.scalars(query.offset(offset).limit(limit)))


def values_of(connection: Connection, case_id: str, order: CaseOrder) -> tuple[Any, ...] | None:
    """Return what a case is sorted by; None where there is no such case."""
    row = connection.execute(select(*order.keys).where(CASES.id == case_id)).one_or_none()
    return None if row is None else tuple(row)


def place_of(connection: Connection, case_id: str, found: Found, order: CaseOrder) -> int | None:
    """Return a case's place in a list, None where the list does not show it."""
    values = values_of(connection, case_id, order)
    if values is None or connection.scalar(select(CASES.id).where(CASES.id == case_id, *found.conditions)) is None:
        return None
    before = order.behind(values, back=True)
    query = select(func.count()).select_from(tables.cases).where(*found.conditions, before)
    return int(connection.execute(query).scalar_one())


def neighbour(
    connection: Connection, values: Sequence[Any], found: Found, order: CaseOrder, *, back: bool
) -> str | None:
    """Return the id of the case behind the place that these values have in a list, or before it."""
    there = order.turned() if back else order
    query = select(CASES.id).where(*found.conditions, order.behind(values, back=back))
    return connection.scalar(query.order_by(*there.clauses).limit(1))


def choices(connection: Connection, visible: Sequence[str] | None = None) -> Choices:
    """Return what there is to filter by, in these projects or in all."""
    labels, sessions = tables.labels.c, tables.sessions.c
    used = select(labels.name).where(labels.session.not_in(undecided_sessions()))
    used = used.group_by(labels.name).order_by(func.count().desc(), labels.name).limit(MAX_LABELS)
    modalities = select(CASES.modality).where(CASES.modality != "").distinct().order_by(CASES.modality)
    projects = select(tables.projects.c.name).order_by(tables.projects.c.name)
    if visible is not None:
        joined = tables.labels.join(tables.sessions, labels.session == sessions.id)
        used = used.select_from(joined.join(tables.cases, sessions.case == CASES.id)).where(CASES.project.in_(visible))
        modalities = modalities.where(CASES.project.in_(visible))
        projects = projects.where(tables.projects.c.name.in_(visible))
    return Choices(*(tuple(connection.scalars(query)) for query in (projects, modalities, used)))


# What is kept about the work


def words_of(*texts: str) -> str:
    """Return texts as they are searched.

    >>> words_of("Knie LINKS", "", "DOE, JANE")
    'knie links\\ndoe, jane'
    """
    return "\n".join(text.casefold() for text in texts if text)


def note_event(
    connection: Connection,
    case_id: str,
    session_id: str,
    event: Event,
    *,
    user: str,
    at: datetime,
    last: datetime | None,
) -> None:
    """Count an event that is being stored, the last one of its session before it having come at `last`."""
    gap = 0.0 if last is None else (at - last).total_seconds()
    worked = gap if 0 < gap <= GAP_SECONDS else 0.0
    counted: dict[str, Any] = {"changed": at, "seconds": CASES.seconds + worked}
    marked = not isinstance(event, Arranging)
    if isinstance(event, Defined):
        _note_label(connection, session_id, event)
    if note_work(connection, session_id, marks=int(marked), seconds=worked):
        return
    if marked:
        counted["interactions"] = CASES.interactions + 1
        begun = {"status": BEGUN, "status_by": user, "status_at": at}
        connection.execute(update(tables.cases).where(CASES.id == case_id, CASES.status != BEGUN).values(begun))
    connection.execute(update(tables.cases).where(CASES.id == case_id).values(counted))


def _note_label(connection: Connection, session_id: str, event: Defined) -> None:
    table, value = tables.labels, event.label.value
    name = event.label.name[: tables.NAME_LENGTH]
    connection.execute(delete(table).where(table.c.session == session_id, table.c.value == value))
    connection.execute(insert(table).values(session=session_id, value=value, name=name))


def set_status(
    connection: Connection, case_id: str, status: Status | Literal["open"], comment: str, *, user: str, at: datetime
) -> None:
    """Set a case's status and comment; "open" is begun where the case has marks, otherwise untouched."""
    if status != "open" and status not in ("done", "rejected", "accepted"):
        raise SettingsError(f"A case's status is set to done, rejected, accepted or open; got {status!r}.")
    row = connection.execute(select(CASES.name, CASES.patient, CASES.description).where(CASES.id == case_id)).one()
    opened = case((CASES.interactions > 0, BEGUN), else_=UNTOUCHED)
    values = {
        "status": opened if status == "open" else STATUSES.index(status),
        "comment": comment,
        "status_by": user,
        "status_at": at,
        "changed": at,
    }
    connection.execute(update(tables.cases).where(CASES.id == case_id).values(values))
    keep_words(connection, case_id, *row, comment)


def note_doubt(connection: Connection, session_id: str, quality: float) -> None:
    """Keep how much is in doubt of a case after an answer whose expected Dice is told; of readings nothing is."""
    case_of = select(tables.sessions.c.case).where(tables.sessions.c.id == session_id).scalar_subquery()
    here = (CASES.id == case_of) & literal(session_id).not_in(undecided_sessions())
    connection.execute(update(tables.cases).where(here).values(doubt=1.0 - min(1.0, max(0.0, quality))))


def keep_words(connection: Connection, case_id: str, *texts: str) -> None:
    """Keep what a case is found by."""
    connection.execute(delete(tables.searched).where(tables.searched.c.case == case_id))
    connection.execute(insert(tables.searched).values(case=case_id, words=words_of(*texts)))


def same_names(connection: Connection, project: str, name: str) -> set[str]:
    """Return the names of a project's cases that are this one, or this one with a number behind it."""
    folded = name.casefold()[: tables.NAME_LENGTH]
    alike = or_(CASES.folded == folded, CASES.folded.startswith(f"{folded} (", autoescape=True))
    return set(connection.scalars(select(CASES.name).where(and_(CASES.project == project, alike))))


# The same, counted anew


@dataclass(frozen=True)
class Counts:
    """What is kept of a case's work and follows from its events, and what it is found by."""

    marks: int
    seconds: float
    folded: str
    words: str
    labels: frozenset[tuple[str, int, str]]  # session, value and name of each label

    def same(self, other: Counts) -> bool:
        """Tell whether two say the same, but for how sums of seconds are rounded."""
        close = abs(self.seconds - other.seconds) < 0.5
        return close and replace(self, seconds=0.0) == replace(other, seconds=0.0)


def counts(connection: Connection, case_id: str) -> Counts:
    """Return what is kept of a case's work."""
    row = connection.execute(select(CASES.interactions, CASES.seconds, CASES.folded).where(CASES.id == case_id)).one()
    words = connection.scalar(select(tables.searched.c.words).where(tables.searched.c.case == case_id))
    joined = select(tables.labels).join_from(tables.labels, tables.sessions)
    labels = connection.execute(joined.where(tables.sessions.c.case == case_id))
    return Counts(*row, words or "", frozenset((one.session, one.value, one.name) for one in labels))


def counted_anew(connection: Connection, case_id: str) -> Counts | None:
    """Return what a case's events tell of its work; None while it is read blind, or where an event cannot be read."""
    sessions, events, fields = tables.sessions.c, tables.events.c, tables.fields.c
    case = connection.execute(
        select(CASES.name, CASES.patient, CASES.description, CASES.comment).where(CASES.id == case_id)
    ).one_or_none()
    blind = select(sessions.id).where(sessions.case == case_id, sessions.id.in_(undecided_sessions()))
    if case is None or connection.scalar(blind.limit(1)) is not None:
        return None
    begun = dict(
        connection.execute(
            select(fields.session, fields.begun)
            .join_from(tables.fields, tables.sessions)
            .where(sessions.case == case_id)
        ).all()
    )
    query = select(events.session, events.position, events.created, type_coerce(events.json, Text).label("json"))
    query = query.join_from(tables.events, tables.sessions).where(sessions.case == case_id)
    marks, seconds, labels = 0, 0.0, {}
    last: dict[str, datetime] = {}
    for row in connection.execute(query.order_by(events.session, events.position)):
        try:
            event = event_from_json(json.loads(row.json))
        except UNREADABLE:
            return None
        if isinstance(event, Defined):
            labels[row.session, event.label.value] = event.label.name[: tables.NAME_LENGTH]
        if row.position >= begun.get(row.session, 0):  # what a field of view begins with nobody marked
            gap = (row.created - last[row.session]).total_seconds() if row.session in last else 0.0
            seconds += gap if 0 < gap <= GAP_SECONDS else 0.0
            marks += not isinstance(event, Arranging)
        last[row.session] = row.created
    words = words_of(*case)
    folded = case.name.casefold()[: tables.NAME_LENGTH]
    return Counts(marks, seconds, folded, words, frozenset((*key, name) for key, name in labels.items()))


def keep_counts(connection: Connection, case_id: str, counted: Counts) -> None:
    """Keep what was counted of a case's work."""
    values = {"interactions": counted.marks, "seconds": counted.seconds, "folded": counted.folded}
    connection.execute(update(tables.cases).where(CASES.id == case_id).values(values))
    connection.execute(delete(tables.searched).where(tables.searched.c.case == case_id))
    connection.execute(insert(tables.searched).values(case=case_id, words=counted.words))
    own = select(tables.sessions.c.id).where(tables.sessions.c.case == case_id)
    connection.execute(delete(tables.labels).where(tables.labels.c.session.in_(own)))
    rows = [{"session": session, "value": value, "name": name} for session, value, name in sorted(counted.labels)]
    if rows:
        connection.execute(insert(tables.labels), rows)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
