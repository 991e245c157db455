"""Add how much single people and projects may keep, and how a project's cases are anonymised."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.add_column("projects", sa.Column("max_bytes", sa.BigInteger))
    op.add_column("projects", sa.Column("anonymise", sa.String(20)))
    op.add_column("users", sa.Column("max_bytes", sa.BigInteger))


def downgrade() -> None:
    op.drop_column("users", "max_bytes")
    op.drop_column("projects", "anonymise")
    op.drop_column("projects", "max_bytes")
