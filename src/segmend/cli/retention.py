"""`segmend retention`: how long cases are kept."""

from __future__ import annotations

from pathlib import Path

import click

from segmend.cli.place import open_store, place_options
from segmend.cli.words import as_json, say
from segmend.errors import SettingsError


@click.command()
@click.argument("project", default="")
@click.argument("days", default="")
@place_options
@as_json
def retention(project: str, days: str, data: Path, database: str | None, blobs: str | None, as_json: bool) -> None:
    """Have cases of PROJECT deleted for good when nobody has changed them for DAYS days; none: they are kept.

    Servers look for such cases every hour, `segmend forget --expired` does at once. Without DAYS say how it is.

    \b
    Example:
      segmend retention lungs 365
      segmend retention lungs none
    """
    if days and days != "none" and not days.isdecimal():
        raise SettingsError(f"Cases are kept for a number of days, or none; got {days[:40]!r}.")
    with open_store(data, database, blobs) as store:
        if days:
            store.set_retention(project, None if days == "none" else int(days))
        found = [store.project(project)] if project else store.projects()
    lines = [
        f"{one.name}  {'kept' if one.retention_days is None else f'{one.retention_days} days after the last change'}"
        for one in found
    ]
    say([{"project": one.name, "days": one.retention_days} for one in found], lines, as_json=as_json)
