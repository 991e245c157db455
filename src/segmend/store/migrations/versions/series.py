"""Add series that are shown beside a case's image, frames of reference, and the labels that a project begins with.

Old cases do not know their frame of reference, and old projects begin with no labels.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

NAME = sa.String(300)
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("projects", sa.Column("template", sa.Text, nullable=False, server_default="[]"))
    op.add_column("cases", sa.Column("frame", NAME, nullable=False, server_default=""))
    op.create_table(
        "series",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("case", sa.String(32), sa.ForeignKey("cases.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("name", NAME, nullable=False),
        sa.Column("shape", sa.Text, nullable=False),
        sa.Column("affine", sa.Text, nullable=False),
        sa.Column("modality", NAME, nullable=False),
        sa.Column("notes", sa.Text, nullable=False),
        sa.Column("lowest", sa.Float, nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("crc32", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("series")
    op.drop_column("cases", "frame")
    op.drop_column("projects", "template")
