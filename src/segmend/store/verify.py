"""Looks at everything a store holds, and says what is damaged or missing: every blob, every row, every log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from segmend.core.session import Canvas
from segmend.errors import NotFoundError, StoreError
from segmend.store.checksums import Checksum
from segmend.store.store import Store


@dataclass(frozen=True)
class Finding:
    """What was found at one blob, case, session or mask; `damage` is the sentence that says what is wrong."""

    what: str  # blob, case, session, database or leftover
    name: str  # a blob's key, or an id
    size: int = 0  # bytes of a blob
    damage: str | None = None
    checked: bool = True  # False for a blob that an older Segmend wrote without a checksum


def verify(store: Store, *, add_checksums: bool = False) -> Iterator[Finding]:
    """Yield a finding for everything that a store holds.

    `add_checksums` keeps one of each blob that an older Segmend wrote without, so that damage from now on is noticed.
    """
    yield from _database(store)
    known = store.case_ids()
    for case_id in known:
        yield from _case(store, case_id, add_checksums)
    for owner in sorted(set(store.blob_owners()) - set(known)):
        yield Finding("leftover", f"cases/{owner}", checked=False)


def _database(store: Store) -> Iterator[Finding]:
    try:
        damage = "; ".join(store.database_damage()) or None
    except StoreError as error:
        damage = str(error)
    yield Finding("database", "", damage=damage)


def _case(store: Store, case_id: str, add_checksums: bool) -> Iterator[Finding]:
    try:
        store.case(case_id)
        sessions = [record.id for record in store.sessions(case_id)]
    except StoreError as error:
        yield Finding("case", case_id, damage=str(error))
        return
    except NotFoundError:  # deleted while we look
        return
    yield Finding("case", case_id)
    for key, wanted in sorted(store.blobs_of(case_id).items()):
        yield _blob(store, case_id, key, wanted, add_checksums)
    for session in sessions:
        yield _session(store, session)


def _blob(store: Store, case_id: str, key: str, wanted: Checksum | None, add_checksums: bool) -> Finding:
    try:
        found = store.blob_checksum(key)
    except StoreError as error:
        return Finding("blob", key, damage=str(error))
    if wanted is not None and found != wanted:
        return Finding("blob", key, found.size, f"The blob {key} is damaged: it has {found}, not {wanted}.")
    if wanted is None and add_checksums:
        store.add_checksum(case_id, key, found)
    return Finding("blob", key, found.size, checked=wanted is not None)


def _session(store: Store, session_id: str) -> Finding:
    try:
        loaded = store.load_session(session_id)
        if not loaded.damaged:
            Canvas(loaded.session.shape).follow(loaded.session)
    except StoreError as error:
        return Finding("session", session_id, damage=str(error))
    if loaded.damaged:
        places = ", ".join(map(str, sorted(loaded.damaged)))
        damage = (
            f"In session {session_id} the answers to these events are damaged: {places}; the annotator works them out "
            "again when it opens the session."
        )
        return Finding("session", session_id, damage=damage)
    return Finding("session", session_id)
