"""The tables, their migrations, and what SQLite is asked to promise."""

from __future__ import annotations

import mmap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, inspect, text

import segmend.store.migrations
from segmend.core.image import Image
from segmend.core.prompts import Adjust, Click
from segmend.core.session import PALETTE, Defined, Event, Label, Prompted, Redone, Removed, Session, Undone
from segmend.errors import SegmendError, StoreError
from segmend.store import database, tables
from tests.store.conftest import Place
from tests.store.drawn import SHAPE, image, patch
from tests.store.older import drop_worklist


def test_the_named_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(segmend.store.migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [database.HEAD]


def described(connection: Connection) -> dict[str, Any]:
    """Return all that can be told of the tables of a database: columns in their order, keys and indexes by name."""
    about = inspect(connection)
    return {
        name: (
            [{**column, "type": repr(column["type"])} for column in about.get_columns(name)],
            about.get_pk_constraint(name),
            *(
                sorted(map(repr, told(name)))
                for told in (about.get_foreign_keys, about.get_indexes, about.get_unique_constraints)
            ),
        )
        for name in about.get_table_names()
    }


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a database may be made."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/new.db"
        return
    server = request.getfixturevalue("postgres")
    made = server.database()
    yield made
    server.drop(made)


@pytest.fixture
def by_migrations(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Let new databases be made by all migrations one after the other, as those of older versions were."""
    with monkeypatch.context() as patched:
        patched.setattr(database, "_create", lambda connection: database._upgrade(connection, "new"))
        yield patched


def test_migrations_make_the_tables_that_the_code_expects(url: str, by_migrations: pytest.MonkeyPatch) -> None:
    migrated = database.Database(url)
    with migrated.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
        found = inspect(connection).get_table_names()
    assert sorted(found) == sorted([*tables.metadata.tables, "alembic_version"])
    migrated.close()


def test_a_new_database_is_what_all_migrations_make_of_an_empty_one(
    url: str, by_migrations: pytest.MonkeyPatch
) -> None:
    found = []
    for _ in range(2):
        opened = database.Database(url)
        with opened.reading() as connection:
            versions = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
            projects = connection.execute(text("SELECT name FROM projects")).scalars().all()
            found.append((described(connection), versions, projects))
        with opened.writing() as connection:
            tables.metadata.drop_all(connection)
            database.VERSIONS.drop(connection)
        opened.close()
        by_migrations.undo()

    assert found[0][0].keys() == {*tables.metadata.tables, "alembic_version"}
    assert found[0] == found[1]
    assert found[1][1:] == ([database.HEAD], ["default"])


def test_a_new_database_that_breaks_in_the_making_is_none(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(database.VERSIONS, "create", refuse)  # all other tables are there by then
        with pytest.raises(KeyboardInterrupt):
            place.open()
    with place.open() as store:
        assert [project.name for project in store.projects()] == ["default"]


def test_a_migration_that_breaks_leaves_the_database_as_it_was(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with place.open() as store:
        kept = store.add_case("a", image()).id
        with store._database.writing() as connection:
            drop_worklist(connection)
            connection.execute(text("UPDATE alembic_version SET version_num = '0003'"))
            before = described(connection)

    with monkeypatch.context() as patched:
        patched.setattr("alembic.op.create_index", refuse)  # columns and tables are there by then
        with pytest.raises(KeyboardInterrupt):
            place.open()
    with monkeypatch.context() as patched:
        patched.setattr(database, "HEAD", "0003")  # so that it is opened as it is
        opened = database.Database(place.database)
        with opened.reading() as connection:
            assert described(connection) == before
        opened.close()
    with place.open() as store:
        assert [case.id for case in store.cases()] == [kept]


def test_adjustments_of_an_earlier_version_keep_their_meaning(place: Place) -> None:
    events: tuple[Event, ...] = (
        Defined(Label(1, 'a "adjust" label', PALETTE[0])),
        Prompted(Click((0, 1, 1)), 1, "mend"),
        Prompted(Adjust(-0.25), 1, "mend"),  # then: too small by a quarter
    )
    with place.open() as store:
        kept = store.add_session(store.add_case("a", image()).id).id
        for position, event in enumerate(events):
            store.append(kept, position, event)
        with store._database.writing() as connection:
            drop_worklist(connection)
            connection.execute(text("DROP TABLE blobs"))
            for table in ("cases", "events", "answers"):
                connection.execute(text(f"ALTER TABLE {table} DROP COLUMN crc32"))
            connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))

    with place.open() as store:
        after = store.session(kept).events

    assert after == (*events[:2], Prompted(Adjust(0.25), 1, "mend"))


def test_sqlite_keeps_its_promise_on_every_connection(sqlite_place: Place) -> None:
    with sqlite_place.open() as store, store._database.reading() as one, store._database.reading() as other:
        for connection in (one, other):
            found = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")]
            assert found == ["wal", 2]  # 2 is FULL
            assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1


def test_opening_a_large_image_reads_none_of_its_voxels(sqlite_place: Place) -> None:
    with sqlite_place.open() as store:
        case = store.add_case("a", image())
        base: object = store.image(case.id).voxels
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, mmap.mmap)


def test_an_image_can_be_looked_at_after_its_case_was_deleted(place: Place) -> None:
    with place.open() as store:
        case = store.add_case("a", image())
        opened = store.image(case.id)
        store.delete_case(case.id)
        np.testing.assert_array_equal(opened.voxels, image().voxels)


LABELS = st.builds(Label, st.integers(0, 3), st.text(min_size=0, max_size=5), st.sampled_from(PALETTE), st.booleans())
CLICKS = st.builds(Click, st.tuples(*(st.integers(0, n) for n in SHAPE)), st.booleans())
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(Defined, LABELS),
    st.builds(Prompted, CLICKS, st.integers(1, 3), st.just("mend")),
    st.builds(Removed, st.integers(0, 12)),
    st.just(Undone()),
    st.just(Redone()),
)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("played")
    return Place(f"sqlite:///{folder}/segmend.db", str(folder))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(EVENTS, st.booleans()), max_size=25))
def test_any_session_comes_back_as_it_was(played: Place, script: list[tuple[Event, bool]]) -> None:
    session = Session(SHAPE, (Defined(Label(1, "first", PALETTE[0])),))
    with played.open() as store:
        kept = store.add_session(store.add_case("a", Image(np.zeros((1, *SHAPE), np.uint8))).id).id
        store.append(kept, 0, session.events[0])
        for event, answered in script:
            try:
                session = session.add(event)
            except SegmendError:
                continue
            position = len(session.events) - 1
            store.append(kept, position, event)
            if answered and position in session.pending:
                session = session.answered(position, patch(position))
                store.answer(kept, position, patch(position))
        found = store.session(kept)

    assert (found.shape, found.events, found.answers) == (session.shape, session.events, session.answers)
    assert (found.done, found.undone, found.pending) == (session.done, session.undone, session.pending)
    assert found.labels == session.labels


def test_many_may_open_new_files_at_once(tmp_path: Path) -> None:
    errors: list[StoreError] = []

    def enter(url: str) -> None:
        try:
            database.Database(url).close()
        except StoreError as error:
            errors.append(error)

    for number in range(20):  # one round in forty failed while nobody waited for the switch to WAL
        url = f"sqlite:///{tmp_path}/{number}.db"
        threads = [threading.Thread(target=enter, args=(url,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert errors == []
