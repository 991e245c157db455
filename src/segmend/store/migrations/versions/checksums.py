"""Add checksums: of every blob in a table of their own, of cases, events and answers in their rows."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

CHECKED = ("cases", "events", "answers")


def upgrade() -> None:
    op.create_table(
        "blobs",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("case", sa.String(32), sa.ForeignKey("cases.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("crc32", sa.BigInteger, nullable=False),
    )
    for table in CHECKED:
        op.add_column(table, sa.Column("crc32", sa.BigInteger))


def downgrade() -> None:
    for table in CHECKED:
        op.drop_column(table, "crc32")
    op.drop_table("blobs")
