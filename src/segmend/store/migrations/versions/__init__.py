"""The changes of the tables, oldest first by their `down_revision`."""
