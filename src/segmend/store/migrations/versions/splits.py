"""Add the split of every case: whether it is one to train on, to validate or to test, as its data set said."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("cases", sa.Column("split", sa.String(300), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("cases", "split")
