"""Let cases be read by several people, blind to each other; comments on cases; and how much is in doubt of a case."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

NAME, CASE = sa.String(300), sa.String(32)
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("cases", sa.Column("doubt", sa.Float, nullable=False, server_default="-1"))
    op.create_index("ix_cases_doubt", "cases", ["doubt", "id"])
    op.create_table(
        "reads",
        sa.Column("case", CASE, sa.ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("wanted", sa.Integer, nullable=False),
        sa.Column("blind", sa.Boolean, nullable=False),
        sa.Column("state", sa.Integer, nullable=False, index=True),
        sa.Column("session", CASE, sa.ForeignKey("sessions.id", ondelete="SET NULL")),
        sa.Column("decided_by", NAME, nullable=False, server_default=""),
        sa.Column("decided", MOMENT),
        sa.Column("agreement", sa.Text),
    )
    op.create_table(
        "readings",
        sa.Column("case", CASE, sa.ForeignKey("reads.case", ondelete="CASCADE"), primary_key=True),
        sa.Column("reader", NAME, primary_key=True),
        sa.Column("session", CASE, sa.ForeignKey("sessions.id", ondelete="SET NULL"), unique=True),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("assigned", MOMENT, nullable=False),
        sa.Column("finished", MOMENT),
        sa.Column("interactions", sa.Integer, nullable=False, server_default="0"),
        sa.Column("seconds", sa.Float, nullable=False, server_default="0"),
        sa.Index("ix_readings_reader", "reader", "state"),
    )
    op.create_table(
        "comments",
        sa.Column("id", CASE, primary_key=True),
        sa.Column("case", CASE, sa.ForeignKey("cases.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("user", NAME, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("place", sa.Text),
    )


def downgrade() -> None:
    for name in ("comments", "readings", "reads"):
        op.drop_table(name)
    op.drop_index("ix_cases_doubt", "cases")
    op.drop_column("cases", "doubt")
