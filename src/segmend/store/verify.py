"""Looks at every blob, row and log that a store holds, and says what is damaged, missing, miscounted or nobody's.

Safe while servers work in the store: what comes or goes meanwhile is never taken for damage.
`segmend.store.mending` mends what is found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from segmend.core.session import Canvas
from segmend.errors import NotFoundError, StoreError
from segmend.store.checksums import Checksum
from segmend.store.store import Store

# What may be done about a finding: nothing but a copy of the whole database; a copy of one blob, or remaking it from
# what else is kept; answers worked out anew; indexes built anew; counting anew; and deleting what is nobody's.
Cure = Literal["", "blob", "answers", "indexes", "counts", "thumbnail", "parts", "unreferenced"]
# How SQLite says that an index is damaged, and no row.
OF_INDEXES = ("missing from index", "wrong # of entries in index", "non-unique entry in index")


@dataclass(frozen=True)
class Finding:
    """What was found at one blob, case, session or mask; `damage` is the sentence that says what is wrong."""

    what: str  # blob, case, session, database, counts, thumbnail, parts, unreferenced or leftover
    name: str  # a blob's key, or an id
    size: int = 0  # bytes of a blob
    damage: str | None = None
    checked: bool = True  # False for a blob that an older Segmend wrote without a checksum
    cure: Cure = ""


def verify(store: Store, *, add_checksums: bool = False) -> Iterator[Finding]:
    """Yield a finding for everything that a store holds.

    `add_checksums` keeps one of each blob that an older Segmend wrote without, so that damage from now on is noticed.
    """
    yield from _database(store)
    for path in store.parts():
        yield Finding("parts", str(path), path.stat().st_size if path.exists() else 0, cure="parts")
    for name in store.abandoned():
        yield Finding("parts", name, cure="parts")
    known = store.case_ids()
    for case_id in known:
        yield from _case(store, case_id, add_checksums)
    owners = set(store.blob_owners())  # before the cases, one of which may have come meanwhile
    for owner in sorted(owners - set(store.case_ids())):
        if store.unreferenced(store.blobs.keys(f"cases/{owner}")):
            yield Finding("leftover", f"cases/{owner}", checked=False, cure="unreferenced")


def _database(store: Store) -> Iterator[Finding]:
    try:
        found = store.database_damage()
    except StoreError as error:
        yield Finding("database", "", damage=str(error))
        return
    indexes = bool(found) and all(any(words in line for words in OF_INDEXES) for line in found)
    yield Finding("database", "", damage="; ".join(found) or None, cure="indexes" if indexes else "")


def _case(store: Store, case_id: str, add_checksums: bool) -> Iterator[Finding]:
    try:
        store.case(case_id)
        sessions = [record.id for record in store.all_sessions(case_id)]
    except StoreError as error:
        yield Finding("case", case_id, damage=str(error))
        return
    except NotFoundError:  # deleted while we look
        return
    yield Finding("case", case_id)
    keys = store.blobs.keys(f"cases/{case_id}")
    blobs = store.blobs_of(case_id)
    nobodys = set(store.unreferenced(keys))
    for key, wanted in sorted(blobs.items()):
        if key in nobodys:
            yield Finding("unreferenced", key, store.blobs.size(key) or 0, checked=False, cure="unreferenced")
        else:
            yield from _blob(store, case_id, key, wanted, add_checksums)
    if store.thumbnail_checksum(case_id) is None:
        yield Finding("thumbnail", case_id, cure="thumbnail")
    found = [finding for session in sessions for finding in _session(store, session)]
    yield from found
    if not any(finding.damage for finding in found):
        yield from _counts(store, case_id)


def _blob(store: Store, case_id: str, key: str, wanted: Checksum | None, add_checksums: bool) -> Iterator[Finding]:
    thumbnail = key.endswith("/thumbnail.png")
    try:
        found = store.blob_checksum(key)
    except StoreError as error:
        if key in store.blobs_of(case_id):  # not deleted while we looked
            yield Finding("blob", key, damage=str(error), cure="thumbnail" if thumbnail else "blob")
        return
    if wanted is not None and found != wanted:
        damage = f"The blob {key} is damaged: it has {found}, not {wanted}."
        yield Finding("blob", key, found.size, damage, cure="thumbnail" if thumbnail else "blob")
        return
    if wanted is None and add_checksums:
        store.add_checksum(case_id, key, found)
    yield Finding("blob", key, found.size, checked=wanted is not None)


def _session(store: Store, session_id: str) -> Iterator[Finding]:
    try:
        loaded = store.load_session(session_id)
        if not loaded.damaged:
            Canvas(loaded.session.shape).follow(loaded.session)
    except StoreError as error:
        yield Finding("session", session_id, damage=str(error))
        return
    except NotFoundError:  # deleted while we look
        return
    if not loaded.damaged:
        yield Finding("session", session_id)
        return
    places = ", ".join(map(str, sorted(loaded.damaged)))
    damage = (
        f"In session {session_id} the answers to these events are damaged: {places}; the annotator works them out "
        "again when it opens the session."
    )
    yield Finding("session", session_id, damage=damage, cure="answers")


def _counts(store: Store, case_id: str) -> Iterator[Finding]:
    both = store.counts(case_id)
    if both is None or both[0].same(both[1]):
        return
    kept, anew = both
    if (kept.marks, round(kept.seconds)) != (anew.marks, round(anew.seconds)):
        told = f"{anew.marks} in {anew.seconds:.0f} s"
        of = f"{kept.marks} marks in {kept.seconds:.0f} s are counted, and its events tell {told}"
    else:
        of = "what it is found by in the worklist is not what it says of itself"
    yield Finding("counts", case_id, damage=f"Of the case {case_id}, {of}.", cure="counts")
