"""Let users have a password, with or without a token, and be disabled."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    with op.batch_alter_table("users") as table:
        table.alter_column("token_hash", existing_type=sa.String(64), nullable=True)
        table.add_column(sa.Column("password_hash", sa.Text))
        table.add_column(sa.Column("disabled", sa.Boolean, nullable=False, server_default=sa.false()))


def downgrade() -> None:
    with op.batch_alter_table("users") as table:
        table.drop_column("disabled")
        table.drop_column("password_hash")
        table.alter_column("token_hash", existing_type=sa.String(64), nullable=False)
