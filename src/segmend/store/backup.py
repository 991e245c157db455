"""Copies a store as it is at one moment, also while servers work in it: `backup` into a folder, `restore` out of it.

A backup is a data folder like any other, a SQLite database beside its blobs, whatever the store it was made of: it can
be verified and opened, and a store can move from a laptop to PostgreSQL and S3 by it. The rows are those of one
transaction. Blobs never change under their keys, so those that the copy has already are not copied again; all others
are checked on their way. Blobs go first and the rows that speak for them last, in one transaction: what is interrupted
leaves the copy as it was. Viewers that are connected, and what is being written or deleted, are not copied.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, MetaData, Row, Table, Text, delete, func, insert, select

from segmend.core.atomic import write_bytes
from segmend.errors import SettingsError, StoreError
from segmend.store import tables
from segmend.store.audit import rows_to_copy
from segmend.store.blobs import Blobs
from segmend.store.checksums import PIECE, Checksum, Summed
from segmend.store.store import Store

# What says in a folder that it is a backup, and of when.
MARK = "backup.json"
# Tables that are of a running server, not of what it keeps.
NOT_COPIED = ("leases", "leftovers")
# The table that is only added to, in a copy, too.
ADDED_TO = "audit"
# Rows that are sent to a database at once, and bytes of answers after which they are sent earlier.
ROWS, BYTES = 500, 16 << 20

Progress = Callable[[int, int], None]
Held = dict[str, Any]


@dataclass(frozen=True)
class Copied:
    """What a copy holds, and what could not be copied."""

    cases: int
    sessions: int
    events: int
    masks: int
    blobs: int
    new_blobs: int  # that the copy did not have already
    new_bytes: int
    damage: tuple[str, ...]  # a sentence for each blob that is damaged or missing in the store


def backup(source: Store, folder: Path, progress: Progress = lambda done, of: None) -> Copied:
    """Make or renew the backup of a store in a folder.

    SettingsError when the folder holds something else, the backup of another store, or one in which somebody has
    worked since it was made; and when it would make an empty one of one that holds cases.
    """
    folder = folder.absolute()
    _check_renewable(folder)
    origin = [source.database.name, source.blobs.name]
    with Store.local(folder) as target:
        before = _check_own(folder, target, origin)
        if target.case_ids() and not source.case_ids():
            raise SettingsError(f"There is nothing in {source.database.name}, but there are cases in its backup.")
        # Both states are named while the rows are replaced: a kill leaves one of them.
        copied = copy_store(source, target, progress, lambda held: _write_mark(folder, origin, [*before, held]))
        with target.database.reading() as connection:
            _write_mark(folder, origin, [_holds(connection)])
    return copied


def restore(folder: Path, target: Store, progress: Progress = lambda done, of: None) -> Copied:
    """Put a backup into a store that holds no cases and no users.

    SettingsError when the folder is no backup, or the store holds something.
    """
    folder = folder.absolute()
    if not (folder / MARK).is_file():
        raise SettingsError(f"{folder} is no backup: `segmend backup` makes one, with a file {MARK} in it.")
    if target.case_ids() or target.accounts.everybody():
        raise SettingsError("A backup is restored into an empty store, and this one holds cases or users.")
    with Store.local(folder) as source:
        return copy_store(source, target, progress)


def copy_store(
    source: Store, target: Store, progress: Progress, before_commit: Callable[[Held], None] = lambda held: None
) -> Copied:
    """Make one store what another is at this moment; all that the target held and the source does not is deleted.

    `before_commit` is told what the target is about to hold.
    """
    with source.database.snapshot() as origin, target.database.writing() as copy:
        wanted = _wanted(origin, source)
        have = _checksums(copy)
        stale = set(target.blobs.keys("cases")) - set(wanted)
        gone: set[str] = set()  # deleted while this goes on
        damage: list[str] = []
        new: dict[str, Checksum] = {}
        for number, (key, checksum) in enumerate(wanted.items()):
            progress(number, len(wanted))
            if checksum is not None and have.get(key) == checksum and target.blobs.size(key) == checksum.size:
                continue
            try:
                new[key] = _copy_blob(source.blobs, target.blobs, key, checksum)
            except StoreError as error:
                if _may_be_missing(source, key, checksum):
                    gone.add(key)
                else:
                    damage.append(str(error))
        progress(len(wanted), len(wanted))
        _copy_rows(origin, copy, gone, {key: new[key] for key in new if wanted[key] is None})
        held = _holds(copy)
        before_commit(held)
    for key in stale | gone:
        with suppress(StoreError):
            target.blobs.remove(key)
    return Copied(
        held["cases"], held["sessions"], held["events"], held["masks"],
        len(wanted) - len(gone) - len(damage), len(new), sum(one.size for one in new.values()), tuple(damage),
    )  # fmt: skip


# Blobs


def _wanted(origin: Connection, source: Store) -> dict[str, Checksum | None]:
    """Return the keys of all blobs, with their checksums where they have one."""
    known: dict[str, Checksum | None] = dict(_checksums(origin))
    old: dict[str, Checksum | None] = {}
    for case in origin.scalars(select(tables.cases.c.id).order_by(tables.cases.c.id)).all():
        if f"cases/{case}/image.npy" not in known:  # an older Segmend's, which wrote no checksums
            old |= dict.fromkeys([f"cases/{case}/image.npy", *source.blobs.keys(f"cases/{case}")])
    return {**old, **known}


def _checksums(connection: Connection) -> dict[str, Checksum]:
    columns = tables.blobs.c
    rows = connection.execute(select(columns.key, columns.size, columns.crc32).order_by(columns.key))
    return {key: Checksum(size, crc) for key, size, crc in rows}


def _copy_blob(source: Blobs, target: Blobs, key: str, wanted: Checksum | None) -> Checksum:
    with source.reader(key) as origin, target.writer(key) as file:
        summed = Summed(file)
        while piece := origin.read(PIECE):
            summed.write(piece)
        if wanted is not None and summed.checksum != wanted:  # so that nothing appears under this key
            raise StoreError(f"The blob {key} is damaged: it has {summed.checksum}, not {wanted}.")
    return summed.checksum


def _may_be_missing(source: Store, key: str, wanted: Checksum | None) -> bool:
    """Tell whether a blob was deleted while the store was copied, or can be made again."""
    if key.endswith("/thumbnail.png") or key.split("/")[1] not in source.case_ids():
        return True
    return wanted is not None and source.checksum(key) is None


# Rows


def _as_stored() -> list[Table]:
    """Return the tables with the texts of their JSON values as they lie there, each behind those that it refers to."""
    plain = MetaData()
    return [
        Table(
            table.name,
            plain,
            *(Column(one.name, Text() if isinstance(one.type, tables.Json) else one.type) for one in table.columns),
        )
        for table in tables.metadata.sorted_tables
        if table.name not in NOT_COPIED
    ]


def _copy_rows(origin: Connection, copy: Connection, gone: set[str], summed: dict[str, Checksum]) -> None:
    """Replace all rows of the copy; `gone` blobs, their cases and their masks are left out."""
    cases = {key.split("/")[1] for key in gone if key.endswith("/image.npy")}
    masks = {Path(key).name.partition(".")[0] for key in gone if "/masks/" in key}
    series = {Path(key).stem for key in gone if "/series/" in key}
    sessions: set[str] = set()
    for table in reversed(tables.metadata.sorted_tables):
        if table.name != ADDED_TO:
            copy.execute(delete(table))
    for entries in rows_to_copy(origin, copy):
        copy.execute(insert(tables.audit), entries)
    for table in _as_stored():
        if table.name == ADDED_TO:
            continue
        for rows in _batches(origin, table):
            kept = [row for row in rows if row.get("case") not in cases and row.get("session") not in sessions]
            if table.name == "cases":
                kept = [row for row in kept if row["id"] not in cases]
            elif table.name == "masks":
                kept = [row for row in kept if row["id"] not in masks]
            elif table.name == "series":
                kept = [row for row in kept if row["id"] not in series]
            elif table.name == "blobs":
                kept = [row for row in kept if row["key"] not in gone]
            elif table.name == "sessions":
                sessions |= {row["id"] for row in rows if row["case"] in cases}
            if kept:
                copy.execute(insert(table), kept)
    added = [
        {"key": key, "case": key.split("/")[1], "size": one.size, "crc32": one.crc32} for key, one in summed.items()
    ]
    if added:
        copy.execute(insert(tables.blobs), added)


def _batches(origin: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    size = 0
    for row in origin.execute(select(table).execution_options(yield_per=ROWS)):
        batch.append(dict(row._mapping))
        size += _size(row)
        if len(batch) >= ROWS or size >= BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _size(row: Row[Any]) -> int:
    return sum(len(value) for value in row if isinstance(value, bytes | memoryview))


# The folder


def _check_renewable(folder: Path) -> None:
    """Refuse a folder in which something other than a backup lies."""
    try:
        if (folder / MARK).is_file() or not folder.exists() or not any(folder.iterdir()):
            return
        unfinished = {path.name.partition("-")[0] for path in folder.iterdir()} <= {"segmend.db", "blobs"}
    except OSError as error:
        raise SettingsError(f"The folder {folder} cannot be looked into: {error.strerror}.") from None
    if unfinished:
        with Store.local(folder) as begun:
            if not begun.case_ids() and not begun.accounts.everybody():  # a first backup that was interrupted
                return
    raise SettingsError(f"{folder} holds something other than a backup; name a new folder, or that of a backup.")


def _write_mark(folder: Path, origin: list[str], held: list[Held]) -> None:
    mark = {"of": origin, "made": datetime.now(UTC).isoformat(), "by": version("segmend"), "holds": held}
    write_bytes(folder / MARK, json.dumps(mark, indent=2).encode() + b"\n")


def _check_own(folder: Path, target: Store, origin: list[str]) -> list[Held]:
    """Return what a backup holds; refuse another store's, and one in which somebody has worked, which would be lost."""
    try:
        mark = json.loads((folder / MARK).read_text("utf-8"))
        of, made = mark["of"], mark["holds"]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, LookupError, TypeError):
        raise SettingsError(f"The file {folder / MARK} cannot be read; make the backup in a new folder.") from None
    if of != origin:
        raise SettingsError(f"{folder} is the backup of {' and '.join(of)}, not of this store; name a new folder.")
    with target.database.reading() as connection:
        now = _holds(connection)
    if now not in made:
        raise SettingsError(
            f"Somebody has worked in the backup at {folder} since it was made, which a new backup there would undo; "
            "name a new folder."
        )
    return [now]


def _holds(connection: Connection) -> Held:
    """Return how many rows there are of each kind that people make, and when a case was last changed."""
    names = ("projects", "cases", "sessions", "events", "masks", "users")
    counts = {name: connection.scalar(select(func.count()).select_from(tables.metadata.tables[name])) for name in names}
    last = connection.scalar(select(func.max(tables.cases.c.changed)))
    return {**counts, "changed": None if last is None else last.isoformat()}
