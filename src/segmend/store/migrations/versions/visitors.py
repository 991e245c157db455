"""Add what viewers of others need: the leases of those that are connected, and which images came from them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

NAME = sa.String(300)
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "visitors",
        sa.Column("case", sa.String(32), sa.ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, index=True),
    )
    op.create_table(
        "leases",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column("dialect", sa.String(40), nullable=False),
        sa.Column("user", NAME, nullable=False),
        sa.Column("session", sa.String(32), sa.ForeignKey("sessions.id", ondelete="SET NULL"), index=True),
        sa.Column("label", sa.Integer, nullable=False),
        sa.Column("buffer", sa.String(20), nullable=False),
        sa.Column("seen", MOMENT, nullable=False),
        sa.Column("used", MOMENT, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("leases")
    op.drop_table("visitors")
