"""Run by Alembic: apply the changes on the connection that `database.migrate` hands over."""

from alembic import context

from segmend.store.tables import metadata


def apply() -> None:
    """Apply the changes in the transaction that is already open; all of them or none."""
    context.configure(
        connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True
    )
    context.run_migrations()


if hasattr(context, "config"):  # not when a test collector imports this file
    apply()
