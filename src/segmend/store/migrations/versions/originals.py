"""Add which series the DICOM files of a case are; of older cases a server finds that out when it is asked for them."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "originals",
        sa.Column("case", sa.String(32), sa.ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("study", sa.String(64), nullable=False, index=True),
        sa.Column("series", sa.String(64), nullable=False, index=True),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("instances", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("originals")
