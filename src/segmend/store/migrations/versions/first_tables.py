"""Make the first tables, and the project that cases belong to when none is named."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

MOMENT = sa.DateTime(timezone=True)
NAME = sa.String(300)
ID = sa.String(32)


def upgrade() -> None:
    projects = op.create_table(
        "projects",
        sa.Column("name", NAME, primary_key=True),
        sa.Column("created", MOMENT, nullable=False),
    )
    op.bulk_insert(projects, [{"name": "default", "created": datetime.now(UTC)}])
    op.create_table(
        "cases",
        sa.Column("id", ID, primary_key=True),
        sa.Column("name", NAME, nullable=False),
        sa.Column("project", NAME, sa.ForeignKey("projects.name"), nullable=False, index=True),
        sa.Column("shape", sa.Text, nullable=False),
        sa.Column("channels", sa.Integer, nullable=False),
        sa.Column("affine", sa.Text, nullable=False),
        sa.Column("modality", NAME, nullable=False),
        sa.Column("notes", sa.Text, nullable=False),
        sa.Column("source", sa.Boolean, nullable=False),
        sa.Column("created", MOMENT, nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("id", ID, primary_key=True),
        sa.Column("case", ID, sa.ForeignKey("cases.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("user", NAME, nullable=False),
        sa.Column("created", MOMENT, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("session", ID, sa.ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("json", sa.Text, nullable=False),
        sa.Column("user", NAME, nullable=False),
        sa.Column("created", MOMENT, nullable=False),
    )
    op.create_table(
        "answers",
        sa.Column("session", ID, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("low", sa.Text, nullable=False),
        sa.Column("high", sa.Text, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["session", "position"], ["events.session", "events.position"], ondelete="CASCADE"),
    )
    op.create_table(
        "masks",
        sa.Column("id", ID, primary_key=True),
        sa.Column("session", ID, sa.ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("name", NAME, nullable=False),
        sa.Column("created", MOMENT, nullable=False),
    )
    op.create_table(
        "users",
        sa.Column("name", NAME, primary_key=True),
        sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("created", MOMENT, nullable=False),
    )
    op.create_table(
        "leftovers",
        sa.Column("blob", NAME, primary_key=True),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("created", MOMENT, nullable=False),
    )


def downgrade() -> None:
    for table in ("leftovers", "users", "masks", "answers", "events", "sessions", "cases", "projects"):
        op.drop_table(table)
