"""Add slides, and the fields of view in which they are marked."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("cases", sa.Column("slide", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "fields",
        sa.Column("session", sa.String(32), sa.ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("low", sa.Text, nullable=False),
        sa.Column("high", sa.Text, nullable=False),
        sa.Column("begun", sa.Integer, nullable=False),
        sa.Column("crc32", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("fields")
    op.drop_column("cases", "slide")
