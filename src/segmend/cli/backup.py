"""`segmend backup`: everything that is kept, once more."""

from __future__ import annotations

from pathlib import Path

import click

from segmend.cli.copying import copying
from segmend.cli.place import open_store, place_options
from segmend.cli.words import as_json


@click.command()
@click.argument("backup", type=click.Path(file_okay=False, path_type=Path))
@place_options
@as_json
def backup(backup: Path, data: Path, database: str | None, blobs: str | None, as_json: bool) -> None:
    """Copy everything that is kept to the folder BACKUP, also while people work.

    Where BACKUP is one already, it is renewed: only new voxels are copied, and what was deleted here is deleted there.
    `segmend check --folder BACKUP` checks it, `segmend restore BACKUP` brings it back.

    \b
    Example, every night:
      segmend backup /mnt/backup/segmend
    """
    from segmend.store.backup import backup as copy

    with open_store(data, database, blobs) as store:
        copying("Backing up", lambda progress: copy(store, backup, progress), as_json=as_json)
