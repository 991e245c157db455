"""`segmend audit`: who did what, and when."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from segmend.cli.place import open_store, place_options
from segmend.cli.words import as_json as as_json_option
from segmend.cli.words import say
from segmend.errors import SettingsError, StoreError
from segmend.store.audit import ACTIONS, COLUMNS, AuditFilter, Entry, Verified, entry_row, entry_to_json, head_of
from segmend.store.forgetting import cases_of


@click.command()
@click.option("--person", help="What this person did; `local` is whoever needs no account.")
@click.option("--action", type=click.Choice(ACTIONS), help="Only these entries.")
@click.option("--project", help="Only of this project.")
@click.option("--case", help="Only of the case with this id.")
@click.option("--patient", help="Only of the cases that are there of this patient: a name, an id or a pseudonym.")
@click.option("--since", metavar="TIME", help="From this day or moment on: 2026-11-30, or 2026-11-30T14:00.")
@click.option("--until", metavar="TIME", help="Before this day or moment.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the last ones of what is found.")
@click.option("--csv", "as_csv", is_flag=True, help="Write a table with commas.")
@click.option("--verify", is_flag=True, help="Check that no entry was changed or taken away.")
@click.option("--head", metavar="NUMBER:HASH", help="With --verify: an entry that --verify has told before.")
@place_options
@as_json_option
def audit(
    person: str | None,
    action: str | None,
    project: str | None,
    case: str | None,
    patient: str | None,
    since: str | None,
    until: str | None,
    limit: int | None,
    as_csv: bool,
    verify: bool,
    head: str | None,
    data: Path,
    database: str | None,
    blobs: str | None,
    as_json: bool,
) -> None:
    """Tell who opened, marked, exported, deleted or accepted what, who logged in, and when; oldest first.

    With --json an object a line. --verify says the number and hash of the last entry: keep them elsewhere, and name
    them with --head the next time, so that nobody who can write to the database makes the whole audit anew unseen.

    \b
    Examples:
      segmend audit --person ada --since 2026-11-01
      segmend audit --csv > audit.csv
      segmend audit --verify
    """
    wanted = AuditFilter(person, action, project, case, _moment(since), _moment(until))  # type: ignore[arg-type]
    expected = None if head is None else head_of(head)
    if head is not None and not verify:
        raise SettingsError("--head is for --verify.")
    with open_store(data, database, blobs) as store:
        if patient is not None:
            wanted = replace(wanted, cases=[one.id for one in cases_of(store, patient)])
        if verify:
            _tell(store.audit.verify(expected), as_json=as_json)
            return
        if limit is None:
            _write(store.audit.entries(wanted), as_csv=as_csv, as_json=as_json)
        else:
            _write(reversed(store.audit.newest(wanted, limit=limit)), as_csv=as_csv, as_json=as_json)


def _write(entries: Iterator[Entry], *, as_csv: bool, as_json: bool) -> None:
    if as_csv:
        table = csv.writer(sys.stdout, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(map(entry_row, entries))
        return
    for entry in entries:
        click.echo(json.dumps(entry_to_json(entry)) if as_json else line_of(entry))


def line_of(entry: Entry) -> str:
    """Return an entry for people.

    >>> line_of(Entry(3, datetime(2026, 11, 30, 14, 5, tzinfo=UTC), "ada", "role", "lungs", "", "", {"of": "eve"}, ""))
    '3  2026-11-30 14:05:00  ada  role  project lungs  of: eve'
    """
    places = (("project", entry.project), ("case", entry.case), ("session", entry.session))
    said = [f"{name} {value}" for name, value in places if value]
    said += [f"{name}: {_plain(value)}" for name, value in entry.detail.items()]
    return "  ".join([str(entry.number), f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.person, entry.action, *said])


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _tell(found: Verified, *, as_json: bool) -> None:
    values = {"entries": found.entries, "head": f"{found.entries}:{found.head}", "damage": list(found.damage)}
    sound = f"{found.entries} entries; the last one is {found.entries}:{found.head}"
    say(values, [sound, *(found.damage or ["Nothing was changed or taken away."])], as_json=as_json)
    if found.damage:
        raise StoreError("The audit is not what was written; see above.")


def _moment(text: str | None) -> datetime | None:
    """Return a moment that a person wrote, of UTC where they name no other zone."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"A time is written 2026-11-30 or 2026-11-30T14:00; got {text[:40]!r}.") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
