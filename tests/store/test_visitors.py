"""Leases of viewers and the images they brought, in every kind of store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import update

from segmend.core.session import PALETTE, Defined, Label
from segmend.store import Store, tables
from segmend.store.visitors import VIEWERS, Lease
from tests.store.conftest import Place
from tests.store.drawn import SHAPE, image

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


def claim(store: Store, *, user: str = "", most: int = 9) -> str | None:
    return store.visitors.claim("test", user, most=most, idle=DAY, silent=MINUTE)


def leased(store: Store, token: str | None) -> Lease:
    assert token is not None
    lease = store.visitors.lease(token, idle=DAY)
    assert lease is not None
    return lease


def turn_back(store: Store, lease: Lease, *, seen: timedelta = timedelta(), used: timedelta = timedelta()) -> None:
    """Let a lease look as if its viewer was heard of, and its person did something, so long ago."""
    table, now = tables.leases, datetime.now(UTC)
    with store._database.writing() as connection:
        values = {"seen": now - seen, "used": now - used}
        connection.execute(update(table).where(table.c.token_hash == lease.token_hash).values(**values))


def visited(store: Store) -> tuple[str, str]:
    """Return a new case of a visitor and a session of it."""
    if VIEWERS not in [project.name for project in store.projects()]:
        store.add_project(VIEWERS)
    case = store.add_case("scan", image(), project=VIEWERS).id
    store.visitors.add_image(case, "abc")
    return case, store.add_session(case).id


def age(store: Store, days: float) -> None:
    """Make everything in a store older."""
    with store._database.writing() as connection:
        for table in (tables.cases, tables.sessions, tables.events):
            for row in connection.execute(table.select()).all():
                key = [column == getattr(row, column.name) for column in table.primary_key]
                connection.execute(update(table).where(*key).values(created=row.created - timedelta(days=days)))


def test_a_lease_is_kept_by_the_store_without_its_token(place: Place) -> None:
    with place.open() as store:
        token = claim(store, user="ada")
        _, session = visited(store)
        store.visitors.turn_to(leased(store, token), session=session, label=3)
        store.visitors.send_as(leased(store, token), "bool")

    with place.open() as store:
        lease = leased(store, token)

    assert (lease.dialect, lease.user, lease.session, lease.label, lease.buffer) == ("test", "ada", session, 3, "bool")
    assert token not in repr(lease)


@pytest.fixture
def store(sqlite_place: Place) -> Store:
    with sqlite_place.open() as opened:
        yield opened


@pytest.mark.parametrize("token", ["", "0" * 32, "\0", "\udcff"])
def test_a_token_that_was_never_given_is_no_lease(store: Store, token: str) -> None:
    claim(store)

    assert store.visitors.lease(token, idle=DAY) is None


def test_a_lease_ends_when_it_is_released_or_idle(store: Store) -> None:
    released, idle = claim(store), claim(store)
    store.visitors.release(leased(store, released))
    turn_back(store, leased(store, idle), used=DAY + MINUTE)

    assert released and store.visitors.lease(released, idle=DAY) is None
    assert idle and store.visitors.lease(idle, idle=DAY) is None
    assert claim(store, most=1) is not None  # its place is free, too


def test_a_viewer_that_is_silent_gives_its_place_only_when_it_is_needed(store: Store) -> None:
    first, second = claim(store, most=2), claim(store, most=2)
    turn_back(store, leased(store, first), seen=2 * MINUTE)

    assert leased(store, first)
    assert claim(store, most=2) is not None
    assert first and store.visitors.lease(first, idle=DAY) is None
    assert leased(store, second)
    assert claim(store, most=2) is None


def test_only_what_a_person_does_keeps_a_lease_from_being_idle(store: Store) -> None:
    token = claim(store)
    turn_back(store, leased(store, token), seen=MINUTE, used=2 * MINUTE)

    store.visitors.note(leased(store, token), used=False)
    heard = leased(store, token)
    store.visitors.note(heard, used=True)

    assert heard.seen - heard.used > MINUTE
    assert datetime.now(UTC) - leased(store, token).used < MINUTE


def test_a_lease_outlives_its_image(store: Store) -> None:
    token = claim(store)
    case, session = visited(store)
    store.visitors.turn_to(leased(store, token), session=session, label=1)

    store.delete_case(case)

    assert leased(store, token).session is None
    assert store.visitors.case_with("abc") is None


def test_an_image_is_found_by_its_digest(store: Store) -> None:
    case, _ = visited(store)

    assert store.visitors.case_with("abc") == case
    assert store.visitors.case_with("abd") is None


def test_an_image_is_untouched_while_nothing_was_done_on_it(store: Store) -> None:
    case, session = visited(store)
    assert store.visitors.untouched(session) == case

    token = claim(store)
    lease = store.visitors.turn_to(leased(store, token), session=session, label=1)
    assert store.visitors.untouched(session) is None
    store.visitors.release(lease)
    store.append(session, 0, Defined(Label(1, "lesion", PALETTE[0])))
    assert store.visitors.untouched(session) is None

    other, second = visited(store)
    store.add_session(other)
    assert store.visitors.untouched(second) is None
    ours = store.add_session(store.add_case("ours", image()).id).id
    assert store.visitors.untouched(ours) is None


def test_images_go_when_nobody_has_worked_on_them_for_a_while(place: Place) -> None:
    with place.open() as store:
        gone, _ = visited(store)
        _, worked = visited(store)
        masked, kept = visited(store)
        held, leasing = visited(store)
        called, _ = visited(store)
        store.set_status(called, "done", "", user="ada")
        ours = store.add_case("ours", image()).id
        store.add_mask(kept, "final", np.zeros(SHAPE, np.uint16))
        store.visitors.turn_to(leased(store, claim(store)), session=leasing, label=1)
        assert store.visitors.stale(timedelta(days=7)) == []

        age(store, 8)
        store.append(worked, 0, Defined(Label(1, "lesion", PALETTE[0])))

        assert store.visitors.stale(timedelta(days=9)) == []
        assert store.visitors.stale(timedelta(days=7)) == [gone]
        assert {masked, held, called, ours} <= set(store.case_ids())
