"""A database as an older version left it."""

from __future__ import annotations

from sqlalchemy import Connection, text

from segmend.store import tables

# What the worklist added to the table of cases.
ADDED = (
    "folded", "patient", "study_date", "description", "status", "comment", "status_by", "status_at", "changed",
    "interactions", "seconds",
)  # fmt: skip


def drop_listed(connection: Connection) -> None:
    """Take away what migration 0019 added."""
    tables.listed.drop(connection)


def drop_limits(connection: Connection) -> None:
    """Take away what migration 0018 added, and what came after it."""
    drop_listed(connection)
    for table, name in (("users", "max_bytes"), ("projects", "anonymise"), ("projects", "max_bytes")):
        connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {name}"))


def drop_subjects(connection: Connection) -> None:
    """Take away what migration 0017 added, and what came after it."""
    drop_limits(connection)
    connection.execute(text("DROP INDEX ix_users_subject"))
    connection.execute(text("ALTER TABLE users DROP COLUMN subject"))


def drop_first_masks(connection: Connection) -> None:
    """Take away what migration 0016 added, and what came after it."""
    drop_subjects(connection)
    for name in ("first_method", "first_dice"):
        connection.execute(text(f"ALTER TABLE projects DROP COLUMN {name}"))


def drop_retention(connection: Connection) -> None:
    """Take away what migration 0015 added, and what came after it."""
    drop_first_masks(connection)
    connection.execute(text("ALTER TABLE projects DROP COLUMN retention_days"))


def drop_audit(connection: Connection) -> None:
    """Take away what migration 0014 added, and what came after it."""
    drop_retention(connection)
    connection.execute(text("DROP TABLE audit"))


def drop_slides(connection: Connection) -> None:
    """Take away what migration 0013 added, and what came after it."""
    drop_audit(connection)
    connection.execute(text("DROP TABLE fields"))
    connection.execute(text("ALTER TABLE cases DROP COLUMN slide"))


def drop_roles(connection: Connection) -> None:
    """Take away what migration 0010 added, and what came after it."""
    drop_slides(connection)
    connection.execute(text("DROP INDEX ix_cases_doubt"))
    connection.execute(text("ALTER TABLE cases DROP COLUMN doubt"))
    for name in ("comments", "readings", "reads", "invitations", "members"):
        connection.execute(text(f"DROP TABLE {name}"))
    connection.execute(text("ALTER TABLE users DROP COLUMN role"))


def drop_series(connection: Connection) -> None:
    """Take away what migration 0007 added, and what came after it."""
    drop_roles(connection)
    for name in ("series", "originals"):
        connection.execute(text(f"DROP TABLE {name}"))
    connection.execute(text("ALTER TABLE cases DROP COLUMN split"))
    connection.execute(text("ALTER TABLE cases DROP COLUMN frame"))
    connection.execute(text("ALTER TABLE projects DROP COLUMN template"))


def drop_worklist(connection: Connection) -> None:
    """Take away what migration 0004 added, and what came after it."""
    drop_series(connection)
    for index in tables.cases.indexes:
        if index.name not in ("ix_cases_project", "ix_cases_doubt"):
            connection.execute(text(f"DROP INDEX {index.name}"))
    for name in ("searched", "labels", "leases", "visitors"):
        connection.execute(text(f"DROP TABLE {name}"))
    for name in ADDED:
        connection.execute(text(f"ALTER TABLE cases DROP COLUMN {name}"))
    for name in ("password_hash", "disabled"):
        connection.execute(text(f"ALTER TABLE users DROP COLUMN {name}"))
