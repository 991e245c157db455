"""Word of what others change: in SQLite by its number, in PostgreSQL by notifications."""

from __future__ import annotations

import threading
import time

import pytest

from segmend.store import Store
from segmend.store.changes import WAIT_SECONDS, Changes
from tests.store.conftest import Place
from tests.store.drawn import CLICK, LESION, image, patch


@pytest.fixture(params=["sqlite_place", "postgres_place"])
def shared(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found


def settle(changes: Changes) -> None:
    """Hear what happened so far."""
    while changes.wait(threading.Event()):
        pass


def test_what_another_server_changes_is_told_and_silence_is_silence(shared: Place) -> None:
    with shared.open() as here, shared.open() as there:
        case = here.add_case("head", image()).id
        changes, over = here.changes(), threading.Event()
        settle(changes)
        session = there.add_session(case).id
        assert changes.wait(over)
        for act in (
            lambda: there.append(session, 0, LESION),
            lambda: there.append(session, 1, CLICK),
            lambda: there.answer(session, 1, patch(1)),
            lambda: there.delete_case(case),
        ):
            act()
            begun = time.monotonic()
            assert changes.wait(over)
            assert time.monotonic() - begun < WAIT_SECONDS
        settle(changes)
        there.cases()  # to read is no change
        assert not changes.wait(over)
        changes.close()


def test_a_wait_ends_when_it_is_over(shared: Place) -> None:
    with shared.open() as store:
        changes, over = store.changes(), threading.Event()
        settle(changes)
        over.set()
        begun = time.monotonic()

        assert not changes.wait(over)

        assert time.monotonic() - begun < 3 * WAIT_SECONDS
        changes.close()


def test_lengths_are_those_of_the_logs_that_are_there(store: Store) -> None:
    case = store.add_case("head", image()).id
    empty, full = store.add_session(case).id, store.add_session(case).id
    store.append(full, 0, LESION)
    store.append(full, 1, CLICK)
    store.answer(full, 1, patch(1))

    assert store.lengths([empty, full, "none"]) == {empty: (0, 0), full: (2, 1)}
    assert store.lengths([]) == {}
