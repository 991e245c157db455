"""The tables of the store as SQLAlchemy sees them: new databases get these, and the migrations change older ones.

A position in the log is a primary key, so two servers cannot both take it. Deleting a case
takes its sessions, events, answers and masks with it. `leftovers` names blobs that no row
speaks for: those being written and those being deleted. `blobs` holds the size and the CRC-32 of
every blob; `crc32` of a row is that of what it says (`segmend.store.checksums`), NULL in rows that
an older Segmend wrote. `leases` are the viewers of others that are connected, `visitors` the cases whose images they
brought, and `listed` the marks that a viewer's list had last (`segmend.store.visitors`). `originals` says which series
the DICOM files of a case are (`segmend.store.originals`).

`cases` holds what the worklist sorts, filters and searches by, so that 50,000 cases are answered by their indexes:
`folded` is the name in letters of one case; `status` is a place in
`records.STATUSES`; `interactions` and `seconds` are counted from the events as they come (`worklist.GAP_SECONDS`).
`searched` holds all that is searched, in letters of one case: a table of its own, because every search reads all of it.
`series` are images that are shown beside a case's own, each on a grid of its own.
A case that is a `slide` has the slide's file among its blobs, and a picture of all of it as its image; `fields` says of
which region and level of the slide a session is, which then is none of that picture.

`reads` are cases that are to be read by one or several people, and `readings` their parts in it: what they do is
counted there and not in `cases` until the read is decided, so that a blind reader learns nothing from the list.
`audit` says who did what (`segmend.store.audit`).
`labels` holds what the labels of a session were last called. An undone definition stays there until the next one:
it is for finding cases, what labels there are the events say.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    false,
)

NAME_LENGTH = 300  # more than any file's name
DEFAULT_PROJECT = "default"  # which cases belong to when none is named


def to_text(value: Any) -> str:
    """Return plain JSON values as they are stored."""
    return json.dumps(value, separators=(",", ":"))


class Json(TypeDecorator[Any]):
    """Plain JSON values as ASCII text: the same bytes in every database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        return to_text(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)  # of a row that another one has not beside it


class Moment(TypeDecorator[datetime]):
    """A time in UTC, with or without a database that knows time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


metadata = MetaData()

projects = Table(
    "projects",
    metadata,
    Column("name", String(NAME_LENGTH), primary_key=True),
    Column("created", Moment, nullable=False),
    Column("template", Json, nullable=False, server_default="[]"),  # labels that new sessions begin with
    Column("retention_days", Integer),  # NULL: cases are kept
    Column("first_method", String(NAME_LENGTH)),  # makes the first masks of its cases; NULL: nobody does
    Column("first_dice", Float),  # that was measured for it
    Column("max_bytes", BigInteger),  # that it may keep; 0: any number; NULL: as all projects
    Column("anonymise", String(20)),  # the profile by which what comes is anonymised; NULL: as the server was started
)

cases = Table(
    "cases",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(NAME_LENGTH), nullable=False),
    Column("project", ForeignKey("projects.name"), nullable=False, index=True),
    Column("shape", Json, nullable=False),
    Column("channels", Integer, nullable=False),
    Column("affine", Json, nullable=False),
    Column("modality", String(NAME_LENGTH), nullable=False),
    Column("notes", Json, nullable=False),
    Column("source", Boolean, nullable=False),
    Column("created", Moment, nullable=False),
    Column("crc32", BigInteger),
    Column("folded", String(NAME_LENGTH), nullable=False, server_default=""),
    Column("patient", String(NAME_LENGTH), nullable=False, server_default=""),
    Column("study_date", String(10), nullable=False, server_default=""),  # YYYY-MM-DD; empty: unknown
    Column("description", String(NAME_LENGTH), nullable=False, server_default=""),
    Column("status", Integer, nullable=False, server_default="0"),
    Column("comment", Text, nullable=False, server_default=""),
    Column("status_by", String(NAME_LENGTH), nullable=False, server_default=""),
    Column("status_at", Moment),
    Column("changed", Moment),  # by an event, a status or a comment; NULL in no row that this version wrote
    Column("interactions", Integer, nullable=False, server_default="0"),
    Column("seconds", Float, nullable=False, server_default="0"),
    Column("frame", String(NAME_LENGTH), nullable=False, server_default=""),  # DICOM's frame of reference
    Column("split", String(NAME_LENGTH), nullable=False, server_default=""),
    Column("doubt", Float, nullable=False, server_default="-1"),  # 1 - the Dice that the last answer expected; -1: none
    Column("slide", Boolean, nullable=False, server_default=false()),
    Index("ix_cases_folded", "folded", "id"),
    Index("ix_cases_created", "created", "id"),
    Index("ix_cases_changed", "changed", "id"),
    Index("ix_cases_doubt", "doubt", "id"),
    Index("ix_cases_patient", "patient", "folded", "id"),
    Index("ix_cases_study_date", "study_date", "folded", "id"),
    Index("ix_cases_status", "status", "created", "id"),
    Index("ix_cases_project_status", "project", "status", "id"),
    Index("ix_cases_modality_status", "modality", "status", "id"),
)

series = Table(
    "series",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("case", ForeignKey("cases.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", String(NAME_LENGTH), nullable=False),
    Column("shape", Json, nullable=False),
    Column("affine", Json, nullable=False),
    Column("modality", String(NAME_LENGTH), nullable=False),
    Column("notes", Json, nullable=False),
    Column("lowest", Float, nullable=False),  # of its values
    Column("created", Moment, nullable=False),
    Column("crc32", BigInteger, nullable=False),
)

searched = Table(
    "searched",
    metadata,
    Column("case", ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
    Column("words", Text, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("case", ForeignKey("cases.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("user", String(NAME_LENGTH), nullable=False),
    Column("created", Moment, nullable=False),
)

fields = Table(
    "fields",
    metadata,
    Column("session", ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("level", Integer, nullable=False),
    Column("low", Json, nullable=False),  # (y, x) in pixels of the level
    Column("high", Json, nullable=False),
    Column("begun", Integer, nullable=False),  # events that it began with: labels, and the mask that was there
    Column("crc32", BigInteger, nullable=False),
)

labels = Table(
    "labels",
    metadata,
    Column("session", ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("value", Integer, primary_key=True, autoincrement=False),
    Column("name", String(NAME_LENGTH), nullable=False, index=True),
)

events = Table(
    "events",
    metadata,
    Column("session", ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("json", Json, nullable=False),
    Column("user", String(NAME_LENGTH), nullable=False),
    Column("created", Moment, nullable=False),
    Column("crc32", BigInteger),
)

answers = Table(
    "answers",
    metadata,
    Column("session", String(32), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("low", Json, nullable=False),
    Column("high", Json, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("crc32", BigInteger),
    ForeignKeyConstraint(["session", "position"], ["events.session", "events.position"], ondelete="CASCADE"),
)

masks = Table(
    "masks",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("session", ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", String(NAME_LENGTH), nullable=False),
    Column("created", Moment, nullable=False),
)

blobs = Table(
    "blobs",
    metadata,
    Column("key", Text, primary_key=True),
    Column("case", ForeignKey("cases.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),  # bytes
    Column("crc32", BigInteger, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("name", String(NAME_LENGTH), primary_key=True),
    Column("token_hash", String(64), unique=True),  # NULL: none
    Column("created", Moment, nullable=False),
    Column("password_hash", Text),  # argon2id; NULL: none
    Column("disabled", Boolean, nullable=False, server_default=false()),
    Column("role", String(20)),  # in all projects; NULL: none but what `members` says
    Column("subject", String(600)),  # issuer and subject of OpenID Connect; NULL: none
    Column("max_bytes", BigInteger),  # that they may keep; 0: any number; NULL: as everybody
    Index("ix_users_subject", "subject", unique=True),
)

reads = Table(
    "reads",
    metadata,
    Column("case", ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
    Column("wanted", Integer, nullable=False),  # readers
    Column("blind", Boolean, nullable=False),
    Column("state", Integer, nullable=False, index=True),
    Column("session", ForeignKey("sessions.id", ondelete="SET NULL")),  # that decides
    Column("decided_by", String(NAME_LENGTH), nullable=False, server_default=""),
    Column("decided", Moment),
    Column("agreement", Json),
)

readings = Table(
    "readings",
    metadata,
    Column("case", ForeignKey("reads.case", ondelete="CASCADE"), primary_key=True),
    Column("reader", String(NAME_LENGTH), primary_key=True),
    Column("session", ForeignKey("sessions.id", ondelete="SET NULL"), unique=True),
    Column("state", Integer, nullable=False),
    Column("assigned", Moment, nullable=False),
    Column("finished", Moment),
    Column("interactions", Integer, nullable=False, server_default="0"),
    Column("seconds", Float, nullable=False, server_default="0"),
    Index("ix_readings_reader", "reader", "state"),
)

comments = Table(
    "comments",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("case", ForeignKey("cases.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("user", String(NAME_LENGTH), nullable=False),
    Column("at", Moment, nullable=False),
    Column("text", Text, nullable=False),
    Column("place", Json),  # voxel (z, y, x); NULL: the whole case
)

members = Table(
    "members",
    metadata,
    Column("project", ForeignKey("projects.name", ondelete="CASCADE"), primary_key=True),
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), primary_key=True, index=True),
    Column("role", String(20), nullable=False),
)

invitations = Table(
    "invitations",
    metadata,
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), primary_key=True),
    Column("code_hash", String(64), nullable=False, unique=True),
    Column("expires", Moment, nullable=False),
)

visitors = Table(
    "visitors",
    metadata,
    Column("case", ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
    Column("digest", String(64), nullable=False, index=True),  # of its voxels and spacing
)

originals = Table(
    "originals",
    metadata,
    Column("case", ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
    Column("study", String(64), nullable=False, index=True),  # empty: nobody can tell which series it is
    Column("series", String(64), nullable=False, index=True),
    Column("about", Json, nullable=False),
    Column("count", Integer, nullable=False),  # of the files
    Column("instances", Json, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("dialect", String(40), nullable=False),
    Column("user", String(NAME_LENGTH), nullable=False),
    Column("session", ForeignKey("sessions.id", ondelete="SET NULL"), index=True),  # NULL: no image yet, or deleted
    Column("label", Integer, nullable=False),
    Column("buffer", String(20), nullable=False),  # the type of the numbers that masks are sent as
    Column("seen", Moment, nullable=False),  # when the viewer was last heard of
    Column("used", Moment, nullable=False),  # when its person last did something
)

listed = Table(
    "listed",
    metadata,
    Column("session", ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("label", Integer, primary_key=True, autoincrement=False),
    Column("events", Json, nullable=False),  # the positions of the marks that a viewer listed last
)

audit = Table(
    "audit",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False, index=True),
    Column("person", String(NAME_LENGTH), nullable=False, index=True),
    Column("action", String(20), nullable=False),
    Column("project", String(NAME_LENGTH), nullable=False),
    Column("case", String(32), nullable=False, index=True),  # no foreign key: entries outlive what they are about
    Column("session", String(32), nullable=False),
    Column("detail", Json, nullable=False),
    Column("hash", String(64), nullable=False),
)
# What has the databases themselves refuse to change or delete entries of the audit.
GUARDS = {
    "sqlite": tuple(
        f"CREATE TRIGGER audit_no_{verb} BEFORE {verb.upper()} ON audit "
        "BEGIN SELECT RAISE(ABORT, 'the audit is only ever added to'); END"
        for verb in ("update", "delete")
    ),
    "postgresql": (
        """CREATE OR REPLACE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the audit is only ever added to'; END $$""",
        """CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
        FOR EACH STATEMENT EXECUTE FUNCTION audit_stays()""",
    ),
}

leftovers = Table(
    "leftovers",
    metadata,
    Column("blob", String(NAME_LENGTH), primary_key=True),
    Column("state", String(20), nullable=False),  # writing or deleting
    Column("created", Moment, nullable=False),
)
