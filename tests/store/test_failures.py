"""Full disks, read-only folders, locked and damaged databases, lost servers: one sentence, nothing lost."""

from __future__ import annotations

import gc
import gzip
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from sqlalchemy import text

from segmend.core.image import Image
from segmend.core.session import PALETTE, Defined, Label
from segmend.errors import ConflictError, DiskFullError, ReadOnlyError, SettingsError, StoreError
from segmend.store import Store, tables
from tests.store.conftest import Place
from tests.store.drawn import CLICK, LESION, SHAPE, image, large_patch, patch
from tests.store.places import read_only, small_disk
from tests.store.servers import S3, Postgres

ROOT = Path(__file__).parents[2]


def begun(store: Store) -> str:
    """Return a session with one label, one prompt and its answer."""
    session = store.add_session(store.add_case("a", image()).id).id
    store.append(session, 0, LESION)
    store.append(session, 1, CLICK)
    store.answer(session, 1, patch(1))
    return session


def assert_as_begun(store: Store, session: str) -> None:
    found = store.session(session)
    assert found.events[:2] == (LESION, CLICK)
    assert found.answers[1] == patch(1)
    np.testing.assert_array_equal(store.image(store.cases()[0].id).voxels, image().voxels)


def files_of(folder: Path) -> set[tuple[str, int]]:
    """Return the names and lengths of all files in a folder."""
    return {(str(p.relative_to(folder)), p.stat().st_size) for p in folder.rglob("*") if p.is_file()}


def occupy(file: Path) -> None:
    """Take all that is free on a file's disk."""
    with suppress(OSError), file.open("wb", buffering=0) as ballast:
        while ballast.write(bytes(4096)):
            pass


def fill(store: Store, session: str, appended: list[int], *, rows: int = 100) -> NoReturn:
    """Append and answer until the store refuses."""
    for position in count(2):
        store.append(session, position, CLICK)
        appended.append(position)
        store.answer(session, position, large_patch(position, rows))
    raise AssertionError


class TestFullDisk:
    def test_a_full_disk_refuses_and_loses_nothing(self, tmp_path: Path) -> None:
        with small_disk(tmp_path / "disk") as disk:
            ballast = disk / "ballast"
            ballast.write_bytes(bytes(1 << 20))
            with Store.local(disk / "store") as store:
                session = begun(store)
                appended: list[int] = []

                with pytest.raises(DiskFullError, match=r"The disk of the database .*segmend\.db is full; free some"):
                    fill(store, session, appended)
                with pytest.raises(DiskFullError, match="is full; free some space and try again"):
                    store.add_mask(session, "large", np.zeros(SHAPE, np.uint16))
                assert_as_begun(store, session)
                kept = 2 + len(appended)
                assert len(store.session(session).events) == kept

                ballast.unlink()
                store.append(session, kept, CLICK)
            with Store.local(disk / "store") as store:
                assert_as_begun(store, session)
                assert len(store.session(session).events) == kept + 1

    def test_a_full_disk_can_be_read(self, tmp_path: Path) -> None:
        with small_disk(tmp_path / "disk") as disk:
            with Store.local(disk / "store") as store:
                session = begun(store)
            occupy(disk / "ballast")

            with Store.local(disk / "store") as store:
                assert "full" in str(store.read_only)
                assert_as_begun(store, session)
                with pytest.raises(DiskFullError, match=r"free some space .* can be seen and exported\."):
                    store.append(session, 2, CLICK)

            (disk / "ballast").unlink()
            with Store.local(disk / "store") as store:
                assert store.read_only is None
                store.append(session, 2, CLICK)

    def test_an_image_that_does_not_fit_leaves_nothing(self, tmp_path: Path) -> None:
        with small_disk(tmp_path / "disk") as disk, Store.local(disk / "store") as store:
            session = begun(store)

            with pytest.raises(DiskFullError, match=r"The disk of .*blobs is full; free some space and try again"):
                store.add_case("large", Image(np.ones((1, 8, 1000, 1000), np.int16)))

            assert [case.name for case in store.cases()] == ["a"]
            assert len([p for p in (disk / "store" / "blobs").rglob("*") if p.is_file()]) == 1
            assert_as_begun(store, session)
            store.append(session, 2, CLICK)

    def test_a_limit_on_the_size_of_files_loses_nothing(self, tmp_path: Path) -> None:
        with Store.local(tmp_path) as store:
            session = begun(store)
            limit = 8 * (1 << 16)
        command = [sys.executable, "-m", "tests.store.limited_writer", str(tmp_path), session, str(limit)]
        lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()

        assert lines[-2].startswith("StoreError The database "), lines
        assert lines[-2].endswith("segmend.db refused: disk I/O error."), lines
        assert lines[-1].startswith("DiskFullError The disk of "), lines
        with Store.local(tmp_path) as store:
            assert_as_begun(store, session)
            said = {line for line in lines if line.startswith("event")}
            assert len(said) > 1
            assert said <= {f"event {i}" for i in range(len(store.session(session).events))}


class TestReadOnly:
    def test_a_read_only_folder_can_be_read_and_is_untouched(self, tmp_path: Path) -> None:
        with Store.local(tmp_path / "store") as store:
            session = begun(store)
            assert store.read_only is None
        before = files_of(tmp_path / "store")

        with read_only(tmp_path / "store"), Store.local(tmp_path / "store") as store:
            assert "segmend.db cannot be written" in str(store.read_only)
            assert_as_begun(store, session)
            with pytest.raises(ReadOnlyError, match=r"cannot be written .* can be seen and exported\."):
                store.append(session, 2, CLICK)
            with pytest.raises(ReadOnlyError, match=r"can be seen and exported\."):
                store.add_case("b", image())

        assert files_of(tmp_path / "store") == before
        with Store.local(tmp_path / "store") as store:
            assert_as_begun(store, session)
            store.append(session, 2, CLICK)

    def test_a_killed_servers_journal_is_read_in_a_read_only_folder(self, tmp_path: Path) -> None:
        with Store.local(tmp_path / "store") as store:
            session = begun(store)
            shutil.copytree(tmp_path / "store", tmp_path / "killed")  # with what is only in the journal yet
        assert (tmp_path / "killed" / "segmend.db-wal").stat().st_size > 0

        for shared_memory in (True, False):  # a copy that somebody made may lack it
            if not shared_memory:
                (tmp_path / "killed" / "segmend.db-shm").unlink()
            before = files_of(tmp_path / "killed")
            with read_only(tmp_path / "killed"), Store.local(tmp_path / "killed") as store:
                assert store.read_only is not None
                assert_as_begun(store, session)
            assert {name for name, _ in files_of(tmp_path / "killed")} == {name for name, _ in before}

    def test_a_store_of_an_earlier_version_is_read_in_a_read_only_folder(self, tmp_path: Path) -> None:
        landed = Path(shutil.copytree(ROOT / "tests" / "landed" / "store", tmp_path / "landed"))
        with read_only(landed), Store.local(landed) as store:
            assert sorted(case.name for case in store.cases()) == ["a head", "a spot"]
            assert store.image(store.cases()[0].id).channels == 3

    def test_a_folder_that_becomes_writable_is_written_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in ("database", "blobs"):
            monkeypatch.setattr(f"segmend.store.{module}.RETRY_SECONDS", 0.0)
        with Store.local(tmp_path / "store") as store:
            session = begun(store)
        with read_only(tmp_path / "store") as end, Store.local(tmp_path / "store") as store:
            assert_as_begun(store, session)
            end()
            store.append(session, 2, CLICK)

            assert store.read_only is None
            assert len(store.session(session).events) == 3

    def test_a_folder_that_cannot_be_made_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with read_only(tmp_path / "empty"), pytest.raises(StoreError, match="empty/new cannot be made or read: "):
            Store.local(tmp_path / "empty" / "new")
        (tmp_path / "file").touch()
        with pytest.raises(StoreError, match="file cannot be made or read: File exists"):
            Store.local(tmp_path / "file")

    def test_blobs_that_become_read_only_stop_only_what_needs_them(self, tmp_path: Path) -> None:
        with Store.local(tmp_path) as store:
            session = begun(store)
            case = store.cases()[0]

            with read_only(tmp_path / "blobs"):
                with pytest.raises(
                    StoreError, match=r"The blobs at .*blobs could not take cases/.*image\.npy: (Read-only|Permission)"
                ):
                    store.add_case("b", image())
                store.append(session, 2, CLICK)
                assert_as_begun(store, session)
                store.delete_case(case.id)  # its blobs go at the next opening
                assert store.cases() == []

            assert list((tmp_path / "blobs").rglob("*.npy")) != []
        with Store.local(tmp_path) as store:
            assert list((tmp_path / "blobs").rglob("*.npy")) == []
            assert store.cases() == []


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a database as another program does that writes to it."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


class TestLocked:
    def test_a_locked_database_refuses_writing_for_now(self, sqlite_place: Place) -> None:
        with sqlite_place.open(timeout_seconds=0.2) as store:
            session = begun(store)
            with locked(Path(sqlite_place.database.removeprefix("sqlite:///"))):
                with pytest.raises(
                    StoreError, match=r"segmend\.db is locked by another program; close it or try again"
                ):
                    store.append(session, 2, CLICK)
                with pytest.raises(StoreError, match="is locked by another program"):
                    store.add_case("b", image())
                assert_as_begun(store, session)
                with sqlite_place.open(timeout_seconds=0.2) as second:
                    assert_as_begun(second, session)
            store.append(session, 2, CLICK)
            assert len(store.session(session).events) == 3

    def test_a_short_lock_is_waited_for(self, sqlite_place: Place) -> None:
        with sqlite_place.open(timeout_seconds=10) as store:
            session = begun(store)
            held, over = threading.Event(), threading.Event()

            def hold() -> None:
                with locked(Path(sqlite_place.database.removeprefix("sqlite:///"))):
                    held.set()
                    over.wait(0.3)

            thread = threading.Thread(target=hold)
            thread.start()
            held.wait()
            store.append(session, 2, CLICK)
            thread.join()
            assert len(store.session(session).events) == 3

    def test_a_locked_new_database_is_refused(self, sqlite_place: Place) -> None:
        file = Path(sqlite_place.database.removeprefix("sqlite:///"))
        file.parent.mkdir()
        with locked(file), pytest.raises(StoreError, match="is locked by another program"):
            sqlite_place.open(timeout_seconds=0.2)

    def test_many_may_open_a_new_store_at_once(self, place: Place) -> None:
        stores: list[Store] = []
        errors: list[Exception] = []

        def enter() -> None:
            try:
                stores.append(place.open())
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=enter) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for store in stores:
            assert [project.name for project in store.projects()] == ["default"]
            store.close()
        assert errors == []


class TestDamaged:
    @pytest.fixture
    def file(self, sqlite_place: Place) -> Path:
        with sqlite_place.open() as store:
            session = begun(store)
            for position in range(2, 40):
                store.append(session, position, Defined(Label(1, "x" * 190, PALETTE[0])))
        return Path(sqlite_place.database.removeprefix("sqlite:///"))

    def test_an_overwritten_database_is_named_and_left_as_it_is(self, sqlite_place: Place, file: Path) -> None:
        rubbish = b"this is not a database, it is a letter. " * 500
        file.write_bytes(rubbish)
        blobs = sorted(Path(sqlite_place.blobs).rglob("*"))

        with pytest.raises(
            StoreError, match=r"segmend\.db is damaged \(file is not a database\); nothing was changed: put"
        ):
            sqlite_place.open()

        assert file.read_bytes() == rubbish
        assert sorted(Path(sqlite_place.blobs).rglob("*")) == blobs

    def test_damage_found_later_is_named_too(self, sqlite_place: Place, file: Path) -> None:
        content = bytearray(file.read_bytes())
        for page in range(4096, len(content), 4096):
            content[page : page + 200] = os.urandom(200)
        file.write_bytes(content)

        with pytest.raises(StoreError, match=r"segmend\.db is damaged \(.*malformed.*\); nothing was changed"):
            sqlite_place.open().sessions("0")

        assert file.read_bytes() == content

    def test_an_emptied_database_does_not_take_its_journal_along(self, sqlite_place: Place, file: Path) -> None:
        journal = file.with_name("segmend.db-wal")
        file.write_bytes(b"")
        journal.write_bytes(b"the last events")

        with pytest.raises(StoreError, match=r"is damaged \(it is empty but its journal is not\); nothing"):
            sqlite_place.open()

        assert journal.read_bytes() == b"the last events"

    def test_a_newer_database_asks_for_a_newer_segmend(self, sqlite_place: Place, file: Path) -> None:
        with closing(sqlite3.connect(file)) as other:
            other.execute("UPDATE alembic_version SET version_num = '9999'")
            other.commit()
        with pytest.raises(StoreError, match=r"written by a newer Segmend \(its tables are at 9999\); update Segmend"):
            sqlite_place.open()

    def test_a_damaged_image_is_named(self, place: Place) -> None:
        with place.open() as store:
            case = store.add_case("a", image())
            key = f"cases/{case.id}/image.npy"
            whole = b"".join(read(store, key))
            for content in (whole[:-2], whole[:60], b"", b"\x93NUMPY\x09\x00" + whole[8:], b"rubbish" * 30):
                with store._blobs.writer(key) as file:
                    file.write(content)
                with pytest.raises(StoreError, match=r"image\.npy is damaged \(.*\); put back a copy of it, or delete"):
                    store.image(case.id)
            store._blobs.remove(key)
            with pytest.raises(StoreError, match=r"image\.npy.*([Nn]o such file|it is not there)"):
                store.image(case.id)

    def test_an_image_of_another_case_is_refused(self, place: Place) -> None:
        with place.open() as store:
            case, other = store.add_case("a", image()), store.add_case("b", image(size=7))
            with store._blobs.writer(f"cases/{case.id}/image.npy") as file:
                file.writelines(read(store, f"cases/{other.id}/image.npy"))
            with pytest.raises(StoreError, match=r"damaged: it needs shape \(1, 3, 4, 5\), not \(1, 3, 4, 7\)"):
                store.image(case.id)

    def test_a_damaged_mask_is_named(self, place: Place) -> None:
        with place.open() as store:
            session = begun(store)
            mask = store.add_mask(session, "m", np.ones(SHAPE, np.uint16))
            key = f"cases/{store.cases()[0].id}/masks/{mask.id}.npy.gz"
            whole = b"".join(read(store, key))
            longer = gzip.compress(gzip.decompress(whole) + b"x")
            flipped = whole[:40] + bytes([whole[40] ^ 255]) + whole[41:]
            for content in (whole[:-12], whole[:12], flipped, longer, b"rubbish"):
                with store._blobs.writer(key) as file:
                    file.write(content)
                with pytest.raises(StoreError, match=r"npy\.gz is damaged|could not give .*npy\.gz"):
                    store.mask(mask.id)


def read(store: Store, key: str) -> list[bytes]:
    with store._blobs.reader(key) as file:
        return [file.read()]


class TestPostgres:
    def test_a_full_disk_refuses_and_loses_nothing(self, tmp_path: Path, postgres: Postgres) -> None:
        with small_disk(postgres.folder / "small", "20m") as disk:
            url = postgres.database(on=disk)
            with Store.open(url, str(tmp_path)) as store:
                session = begun(store)
                appended: list[int] = []

                with pytest.raises(DiskFullError, match=r"The disk of the database segmend_\w+ at 127.* is full"):
                    fill(store, session, appended, rows=1500)

                assert_as_begun(store, session)
                assert len(store.session(session).events) == 2 + len(appended)
            postgres.drop(url)

    def test_the_second_of_two_at_one_position_is_told(self, postgres_place: Place, postgres: Postgres) -> None:
        with postgres_place.open() as store, postgres_place.open() as other:
            session = begun(store)
            conflicts: list[ConflictError] = []

            def append() -> None:
                try:
                    store.append(session, 2, CLICK, user="second")
                except ConflictError as error:
                    conflicts.append(error)

            with other._database.writing() as connection:
                values = {"session": session, "position": 2, "json": {"event": "undone"}, "user": "first"}
                connection.execute(tables.events.insert().values(created=datetime.now(UTC), **values))
                second = threading.Thread(target=append)
                second.start()
                while not connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                    time.sleep(0.01)
            second.join()

            assert [str(error) for error in conflicts] == [
                "Somebody else changed this meanwhile; load it again and repeat."
            ]
            assert store.history(session)[2].user == "first"

    def test_its_driver_is_asked_for_by_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pg8000", None)
        with pytest.raises(SettingsError, match=r"needs the driver pg8000: pip install 'segmend\[postgres\]'"):
            Store.open("postgresql://ada@127.0.0.1/name", str(tmp_path))


@pytest.mark.filterwarnings(  # aiohttp and pg8000 leave sockets to a server that is lost to the collector
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
class TestLostServers:
    @pytest.fixture(autouse=True)
    def collected(self) -> Iterator[None]:
        """Let the collector find them here, not in a test that comes later."""
        yield
        gc.collect()

    def test_postgres_stopped_and_started_again(self, postgres_place: Place, postgres: Postgres) -> None:
        with postgres_place.open() as store:
            session = begun(store)
            postgres.stop()
            try:
                for act in (lambda: store.append(session, 2, CLICK), lambda: store.session(session), store.cases):
                    with pytest.raises(
                        StoreError, match=r"The database segmend_\w+ at 127\.0\.0\.1 (cannot be reached|ref)"
                    ):
                        act()
                with pytest.raises(StoreError, match="cannot be reached"):
                    postgres_place.open()
            finally:
                postgres.start()
            assert_as_begun(store, session)
            store.append(session, 2, CLICK)
            assert len(store.session(session).events) == 3

    def test_postgres_restarted_while_writing(self, postgres_place: Place, postgres: Postgres) -> None:
        with postgres_place.open() as store:
            session = begun(store)
            kept: list[int] = []
            refused: list[StoreError] = []
            done = threading.Event()

            def write() -> None:
                position = 2
                while not done.is_set():
                    try:
                        store.append(session, position, CLICK)
                        kept.append(position)
                        position += 1
                    except StoreError as error:
                        refused.append(error)
                        done.wait(0.02)
                    except ConflictError:  # it was taken, but the word of it was lost with the connection
                        position = len(store.session(session).events)

            writer = threading.Thread(target=write)
            writer.start()
            for _ in range(2):
                wait_for_more(kept)
                postgres.stop()
                postgres.start()
            wait_for_more(kept)
            done.set()
            writer.join()

            assert refused
            events = store.session(session).events
            assert events[:2] == (LESION, CLICK)
            assert set(kept) <= set(range(len(events)))

    def test_postgres_that_hangs_is_not_waited_for_without_end(self, postgres_place: Place, postgres: Postgres) -> None:
        with postgres_place.open(timeout_seconds=1) as store:
            session = begun(store)
            postgres.freeze()
            try:
                with pytest.raises(StoreError, match="cannot be reached"):
                    store.append(session, 2, CLICK)
            finally:
                postgres.thaw()
            for position in range(len(store.session(session).events), 20):
                store.append(session, position, CLICK)
                assert len(store.session(session).events) == position + 1
            assert_as_begun(store, session)

    def test_s3_stopped(self, tmp_path: Path) -> None:
        server = S3()
        try:
            place = Place(f"sqlite:///{tmp_path}/segmend.db", server.bucket(), server.storage)
            with place.open() as store:
                session = begun(store)
                server.stop()
                with pytest.raises(StoreError, match=r"The blobs at s3://.* could not take cases/.*image\.npy: "):
                    store.add_case("b", image())
                store.append(session, 2, CLICK)
                assert [case.name for case in store.cases()] == ["a"]
                with pytest.raises(StoreError, match="could not be opened"):
                    place.open()
        finally:
            server.stop()


def wait_for_more(kept: list[int]) -> None:
    before, end = len(kept), time.monotonic() + 120
    while len(kept) < before + 20:
        assert time.monotonic() < end, "the store did not come back in 120 s"
        time.sleep(0.005)


class TestSettings:
    @pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://root:secret@host/name", "oracle://x"])
    def test_only_known_databases_are_opened(self, url: str, tmp_path: Path) -> None:
        with pytest.raises(
            SettingsError, match=r"A database needs a sqlite:///FILE or a postgresql:// URL; got"
        ) as caught:
            Store.open(url, str(tmp_path))
        assert "secret" not in str(caught.value)

    def test_a_database_that_is_no_url_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=r"A database needs a URL such as sqlite:////data/segmend\.db or"):
            Store.open("segmend.db", str(tmp_path))

    def test_a_password_is_not_repeated(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match=r"The database name at 127\.0\.0\.1 cannot be reached") as caught:
            Store.open("postgresql://ada:secret@127.0.0.1:1/name", str(tmp_path))
        assert "secret" not in str(caught.value)

    def test_unknown_blobs_are_refused(self, tmp_path: Path) -> None:
        database = f"sqlite:///{tmp_path}/segmend.db"
        with pytest.raises(SettingsError, match="Blobs need a folder or a URL with known options; dream:// said"):
            Store.open(database, "dream://a/b")
        with pytest.raises(SettingsError, match="Blobs at gs:// need a package"):
            Store.open(database, "gs://bucket")

    def test_a_bucket_that_is_not_there_is_named(self, tmp_path: Path, s3: S3) -> None:
        with pytest.raises(StoreError, match="The blobs at s3://no-such-bucket/x could not be opened: "):
            Store.open(f"sqlite:///{tmp_path}/segmend.db", "s3://no-such-bucket/x", storage=s3.storage)

    def test_credentials_may_stand_in_the_url(self, tmp_path: Path, s3: S3) -> None:
        query = "&".join(f"{name}={value}" for name, value in s3.storage.items())
        with Store.open(f"sqlite:///{tmp_path}/segmend.db", f"{s3.bucket()}?{query}") as store:
            case = store.add_case("a", image())
            np.testing.assert_array_equal(store.image(case.id).voxels, image().voxels)
