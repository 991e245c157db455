"""Add to every project the method that makes the first masks of its cases, and the Dice that was measured for it."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("projects", sa.Column("first_method", sa.String(300)))
    op.add_column("projects", sa.Column("first_dice", sa.Float))


def downgrade() -> None:
    op.drop_column("projects", "first_dice")
    op.drop_column("projects", "first_method")
