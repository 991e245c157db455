"""Give people roles: one in all projects, others in single ones; and invitations with which they choose a password.

Who was a user before could do everything, and still can.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

NAME = sa.String(300)


def upgrade() -> None:
    op.add_column("users", sa.Column("role", sa.String(20)))
    op.execute("UPDATE users SET role = 'admin'")
    op.create_table(
        "members",
        sa.Column("project", NAME, sa.ForeignKey("projects.name", ondelete="CASCADE"), primary_key=True),
        sa.Column("user", NAME, sa.ForeignKey("users.name", ondelete="CASCADE"), primary_key=True, index=True),
        sa.Column("role", sa.String(20), nullable=False),
    )
    op.create_table(
        "invitations",
        sa.Column("user", NAME, sa.ForeignKey("users.name", ondelete="CASCADE"), primary_key=True),
        sa.Column("code_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("invitations")
    op.drop_table("members")
    with op.batch_alter_table("users") as table:
        table.drop_column("role")
