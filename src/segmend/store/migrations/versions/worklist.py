"""Add the worklist: status, comment, patient, study and counted work of every case, and what labels are called.

Old cases have no patient and no study. Their status, their interactions and their seconds follow from their events.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

NAME = sa.String(300)
MOMENT = sa.DateTime(timezone=True)


def columns() -> list[sa.Column[Any]]:
    """Return the new columns of a case, to be added once."""
    return [
        sa.Column("folded", NAME, nullable=False, server_default=""),
        sa.Column("patient", NAME, nullable=False, server_default=""),
        sa.Column("study_date", sa.String(10), nullable=False, server_default=""),
        sa.Column("description", NAME, nullable=False, server_default=""),
        sa.Column("status", sa.Integer, nullable=False, server_default="0"),
        sa.Column("comment", sa.Text, nullable=False, server_default=""),
        sa.Column("status_by", NAME, nullable=False, server_default=""),
        sa.Column("status_at", MOMENT),
        sa.Column("changed", MOMENT),
        sa.Column("interactions", sa.Integer, nullable=False, server_default="0"),
        sa.Column("seconds", sa.Float, nullable=False, server_default="0"),
    ]


INDEXES = {
    "ix_cases_folded": ["folded", "id"],
    "ix_cases_created": ["created", "id"],
    "ix_cases_changed": ["changed", "id"],
    "ix_cases_patient": ["patient", "folded", "id"],
    "ix_cases_study_date": ["study_date", "folded", "id"],
    "ix_cases_status": ["status", "created", "id"],
    "ix_cases_project_status": ["project", "status", "id"],
    "ix_cases_modality_status": ["modality", "status", "id"],
}
# As they are in `segmend.store.worklist` when this is written; they may change there, what was counted stays.
GAP_SECONDS, BEGUN = 60.0, 1

SESSIONS = sa.table("sessions", sa.column("id"), sa.column("case"))
EVENTS = sa.table(
    "events", *(sa.column(n) for n in ("session", "position", "json", "user")), sa.column("created", MOMENT)
)


def upgrade() -> None:
    for column in columns():
        op.add_column("cases", column)
    labels = op.create_table(
        "labels",
        sa.Column("session", sa.String(32), sa.ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("value", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", NAME, nullable=False, index=True),
    )
    searched = op.create_table(
        "searched",
        sa.Column("case", sa.String(32), sa.ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("words", sa.Text, nullable=False),
    )
    connection = op.get_bind()
    _fill_cases(connection, searched)
    _fill_labels(connection, labels)
    for name, keys in INDEXES.items():
        op.create_index(name, "cases", keys)


def _fill_cases(connection: sa.Connection, searched: sa.Table) -> None:
    known: tuple[sa.ColumnClause[Any], ...] = (sa.column("id"), sa.column("name"), sa.column("created", MOMENT))
    table = sa.table("cases", *known, *(sa.column(column.name, column.type) for column in columns()))
    rows: dict[str, dict[str, Any]] = {
        row.id: {
            "key": row.id,
            "folded": row.name.casefold()[:300],
            "changed": row.created,
            "status": 0,
            "status_by": "",
            "status_at": None,
            "interactions": 0,
            "seconds": 0.0,
        }
        for row in connection.execute(sa.select(table.c.id, table.c.name, table.c.created))
    }
    if not rows:
        return
    connection.execute(searched.insert(), [{"case": key, "words": case["folded"]} for key, case in rows.items()])
    last: tuple[str, datetime | None] = ("", None)
    for event in _events(connection):
        case = rows[event.case]
        gap = (event.created - last[1]).total_seconds() if last[0] == event.session and last[1] else 0.0
        last = (event.session, event.created)
        case["seconds"] += gap if 0 < gap <= GAP_SECONDS else 0.0
        case["changed"] = max(case["changed"], event.created)
        if event.kind.startswith('{"event":"defined"'):
            continue
        case["interactions"] += 1
        if case["status"] != BEGUN:
            case.update(status=BEGUN, status_by=event.user, status_at=event.created)
    names = [name for name in next(iter(rows.values())) if name != "key"]
    changed = sa.update(table).where(table.c.id == sa.bindparam("key"))
    connection.execute(changed.values({name: sa.bindparam(name) for name in names}), [*rows.values()])


def _events(connection: sa.Connection) -> Iterator[Any]:
    """Yield all events session by session, of each the beginning of its text alone: masks are long."""
    kind = sa.func.substr(EVENTS.c.json, 1, 20).label("kind")
    query = sa.select(EVENTS.c.session, SESSIONS.c.case, kind, EVENTS.c.user, EVENTS.c.created)
    joined = query.join_from(EVENTS, SESSIONS, EVENTS.c.session == SESSIONS.c.id)
    yield from connection.execute(joined.order_by(EVENTS.c.session, EVENTS.c.position))


def _fill_labels(connection: sa.Connection, labels: sa.Table) -> None:
    query = sa.select(EVENTS.c.session, EVENTS.c.json).where(EVENTS.c.json.like('{"event":"defined"%'))
    names: dict[tuple[str, int], str] = {}
    for row in connection.execute(query.order_by(EVENTS.c.session, EVENTS.c.position)):
        try:
            label = json.loads(row.json)["label"]
            names[row.session, int(label["value"])] = str(label["name"])[:300]
        except (ValueError, TypeError, LookupError):  # damaged: `segmend check` says so
            continue
    if names:
        rows = [{"session": session, "value": value, "name": name} for (session, value), name in names.items()]
        connection.execute(labels.insert(), rows)


def downgrade() -> None:
    for name in INDEXES:
        op.drop_index(name, "cases")
    op.drop_table("searched")
    op.drop_table("labels")
    for column in columns():
        op.drop_column("cases", column.name)
