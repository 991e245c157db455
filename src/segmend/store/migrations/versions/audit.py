"""Add the audit: who did what and when, which the database itself refuses to change or delete."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

NAME, ID = sa.String(300), sa.String(32)
SQLITE = tuple(
    f"CREATE TRIGGER audit_no_{verb} BEFORE {verb.upper()} ON audit "
    "BEGIN SELECT RAISE(ABORT, 'the audit is only ever added to'); END"
    for verb in ("update", "delete")
)
POSTGRES = (
    """CREATE OR REPLACE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the audit is only ever added to'; END $$""",
    """CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_stays()""",
)


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, index=True),
        sa.Column("person", NAME, nullable=False, index=True),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("project", NAME, nullable=False),
        sa.Column("case", ID, nullable=False, index=True),
        sa.Column("session", ID, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    connection = op.get_bind()
    for sentence in SQLITE if connection.dialect.name == "sqlite" else POSTGRES:
        connection.exec_driver_sql(sentence)


def downgrade() -> None:
    op.drop_table("audit")
