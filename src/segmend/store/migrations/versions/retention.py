"""Add to projects how long their cases are kept."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("projects", sa.Column("retention_days", sa.Integer))


def downgrade() -> None:
    op.drop_column("projects", "retention_days")
