"""Alembic's folder: how the tables came to be, one change a file in `versions/`."""
