"""`segmend pseudonyms`: whose pseudonyms they are."""

from __future__ import annotations

from pathlib import Path

import click

from segmend.cli.anonymising import pseudonyms_at, pseudonyms_option
from segmend.cli.place import open_store, place_options
from segmend.cli.words import as_json, say
from segmend.store.audit import Deed


@click.command()
@click.argument("text", default="")
@pseudonyms_option
@place_options
@as_json
def pseudonyms(
    text: str, pseudonyms: str | None, data: Path, database: str | None, blobs: str | None, as_json: bool
) -> None:
    """Tell whose pseudonyms they are: all, or that of TEXT, which is a pseudonym, a patient's id or a name.

    The audit says that somebody asked.

    \b
    Example:
      segmend pseudonyms P-7K2MX94Q8WTA
    """
    with open_store(data, database, blobs) as store:
        store.audit.add(Deed("", "opened", detail={"what": "pseudonyms"}))
    kept = pseudonyms_at(pseudonyms, data)
    found = kept.find(text.strip())
    kept.close()
    rows = [{**one.__dict__, "created": one.created.isoformat(timespec="seconds")} for one in found]
    lines = [f"{one.pseudonym}  {one.patient}  {one.name}" for one in found]
    say({"pseudonyms": rows}, lines or ["There is no such pseudonym."], as_json=as_json)
