"""`segmend restore`: what a backup holds, back into a store."""

from __future__ import annotations

from pathlib import Path

import click

from segmend.cli.copying import copying
from segmend.cli.place import open_store, place_options
from segmend.cli.words import as_json


@click.command()
@click.argument("backup", type=click.Path(exists=True, file_okay=False, path_type=Path))
@place_options
@as_json
def restore(backup: Path, data: Path, database: str | None, blobs: str | None, as_json: bool) -> None:
    """Put what `segmend backup` copied to the folder BACKUP into an empty folder, database or bucket.

    So a store can also move, as from a folder to PostgreSQL and S3.

    \b
    Example:
      segmend restore /mnt/backup/segmend --folder ~/.segmend
    """
    from segmend.store.backup import restore as copy

    with open_store(data, database, blobs) as store:
        copying("Restoring", lambda progress: copy(backup, store, progress), as_json=as_json)
