"""What a disk gives back that is not what was written: noticed, named, and never a traceback."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from sqlalchemy import text

from segmend.core.atomic import flush_folder
from segmend.core.image import Image
from segmend.core.session import Undone
from segmend.errors import SegmendError, StoreError
from segmend.store import Store
from segmend.store.blobs import Blobs
from segmend.store.checksums import Checksum, file_checksum
from segmend.store.verify import Finding, verify
from tests.store.conftest import Place
from tests.store.drawn import CLICK, LESION, SHAPE, image, patch
from tests.store.servers import Postgres

Result = TypeVar("Result")
FLIPS = 20  # bytes
SEEDS = 15


def filled(store: Store, source: Path | None = None) -> tuple[str, str]:
    """Return a case and a session with ten answered clicks and a mask that was kept."""
    case = store.add_case("a", image(), source=source).id
    session = store.add_session(case, user="ada").id
    store.append(session, 0, LESION)
    for position in range(1, 11):
        store.append(session, position, CLICK)
        store.answer(session, position, patch(position))
    store.add_mask(session, "kept", np.ones(SHAPE, np.uint16))
    return case, session


def sql(place: Place | Path, *statements: str) -> None:
    """Change a SQLite database behind the store's back."""
    file = place / "segmend.db" if isinstance(place, Path) else Path(place.database.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(file)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def flip(path: Path, generator: random.Random, count: int = 1, *, since: int = 0) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(count):
        content[generator.randrange(since, len(content))] ^= 1 << generator.randrange(8)
    path.write_bytes(content)


def damage_of(store: Store) -> list[str]:
    return [finding.damage for finding in verify(store) if finding.damage is not None]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with its original file, to be copied."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "1.dcm").write_bytes(b"its original file" * 20)
    with Store.local(folder / "store") as store:
        filled(store, folder / "1.dcm")
    return folder / "store"


class TestBlobs:
    @pytest.mark.parametrize(
        ("blob", "read"),
        [
            ("image.npy", lambda store, case: store.image(case)),
            ("source/1.dcm", lambda store, case: store.source_of(case).__enter__()),
            ("masks", lambda store, case: store.mask(store.masks(store.sessions(case)[0].id)[0].id)),
        ],
    )
    def test_one_flipped_bit_is_noticed(
        self, kept: Path, tmp_path: Path, blob: str, read: Callable[[Store, str], object]
    ) -> None:
        data = Path(shutil.copytree(kept, tmp_path / "data"))
        with Store.local(data) as store:
            case = store.cases()[0].id
            read(store, case)
            assert damage_of(store) == []
        path = data / "blobs" / "cases" / case / blob
        path = next(path.iterdir()) if path.is_dir() else path
        flip(path, random.Random(3), since=path.stat().st_size - 20)  # voxels, not the header

        with Store.local(data) as store:
            with pytest.raises(StoreError, match=rf"{path.name} is damaged \(it has \d+ bytes, checksum .*put back"):
                read(store, case)
            assert len(damage_of(store)) == 1

    def test_every_byte_of_every_blob_is_checked(self, place: Place) -> None:
        with place.open() as store:
            case, _ = filled(store)
            keys = sorted(store.blobs_of(case))
            for key in keys:
                with store._blobs.reader(key) as file:
                    whole = file.read()
                for at in range(0, len(whole), 9):
                    with store._blobs.writer(key) as file:
                        file.write(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
                    if at % 45 == 0:  # a bucket is slow
                        (damage,) = [found.damage for found in verify(store) if found.name == key]
                        assert damage is not None and f"The blob {key} is damaged: it has {len(whole)} bytes" in damage
                with store._blobs.writer(key) as file:
                    file.write(whole)
            assert damage_of(store) == []
        assert len(keys) == 2

    def test_a_blob_that_is_gone_is_found(self, kept: Path, tmp_path: Path) -> None:
        data = Path(shutil.copytree(kept, tmp_path / "data"))
        with Store.local(data) as store:
            case = store.cases()[0].id
            (data / "blobs" / "cases" / case / "source" / "1.dcm").unlink()

            (damage,) = damage_of(store)
            assert "could not give cases/" in damage and "1.dcm: No such file" in damage
            with pytest.raises(StoreError, match=r"1\.dcm cannot be read: No such file"), store.source_of(case):
                pass

    def test_a_blob_is_read_once_to_be_checked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        read: list[Path] = []

        def sum_up(path: Path) -> Checksum:
            read.append(path)
            return file_checksum(path)

        monkeypatch.setattr("segmend.store.store.file_checksum", sum_up)
        with Store.local(tmp_path) as store:
            case, _ = filled(store)
            for _ in range(3):
                store.image(case)
        assert len(read) == 1

    def test_blobs_of_an_older_version_get_checksums_when_asked_for(self, kept: Path, tmp_path: Path) -> None:
        data = Path(shutil.copytree(kept, tmp_path / "data"))
        sql(data, "DELETE FROM blobs")
        with Store.local(data) as store:
            found = list(verify(store))
            assert [one for one in found if one.damage] == []
            assert sum(one.what == "blob" and not one.checked for one in found) == 3
            list(verify(store, add_checksums=True))
            assert all(one.checked for one in verify(store))
            flip(next(data.rglob("image.npy")), random.Random(3), since=200)
            assert len(damage_of(store)) == 1

    def test_blobs_that_belong_to_no_case_are_told(self, tmp_path: Path) -> None:
        with Store.local(tmp_path) as store:
            case, _ = filled(store)
            shutil.copytree(tmp_path / "blobs" / "cases" / case, tmp_path / "blobs" / "cases" / ("0" * 32))
            assert list(verify(store))[-1] == Finding(
                "leftover", f"cases/{'0' * 32}", checked=False, cure="unreferenced"
            )


class TestLostDatabase:
    def test_a_missing_database_beside_full_blobs_is_no_new_store(self, tmp_path: Path) -> None:
        with Store.local(tmp_path) as store:
            filled(store)
        (tmp_path / "segmend.db").rename(tmp_path / "aside.db")

        for content in (None, b""):
            if content is not None:
                (tmp_path / "segmend.db").write_bytes(content)
            with pytest.raises(
                StoreError,
                match=r"segmend\.db is not there or empty, but the blobs at .*blobs hold cases: put the database back",
            ):
                Store.local(tmp_path)
            (tmp_path / "segmend.db").unlink(missing_ok=True)

        (tmp_path / "aside.db").rename(tmp_path / "segmend.db")
        with Store.local(tmp_path) as store:
            assert len(store.cases()) == 1

    def test_a_new_file_beside_full_blobs_is_refused_and_not_made(self, place: Place, tmp_path: Path) -> None:
        with place.open() as store:
            filled(store)
        new = Place(f"sqlite:///{tmp_path}/new.db", place.blobs, place.storage)
        with pytest.raises(StoreError, match=r"new\.db is not there or empty, but the blobs at .* hold cases"):
            new.open()
        assert not (tmp_path / "new.db").exists()

    def test_an_empty_postgres_beside_full_blobs_is_refused(self, postgres_place: Place, postgres: Postgres) -> None:
        with postgres_place.open() as store:
            filled(store)
        other = postgres.database()
        with pytest.raises(StoreError, match=r"at 127\.0\.0\.1 is not there or empty, but the blobs at"):
            Store.open(other, postgres_place.blobs)
        postgres.drop(other)

    def test_an_empty_folder_of_blobs_is_a_new_store(self, tmp_path: Path) -> None:
        (tmp_path / "blobs" / "cases").mkdir(parents=True)
        with Store.local(tmp_path) as store:
            assert store.cases() == []

    def test_tables_without_their_version_are_damage(self, tmp_path: Path) -> None:
        with Store.local(tmp_path) as store:
            filled(store)
        sql(tmp_path, "DROP TABLE alembic_version")
        with pytest.raises(StoreError, match=r"is damaged \(it does not say which Segmend wrote it\)"):
            Store.local(tmp_path)


class TestLogs:
    @pytest.fixture
    def data(self, tmp_path: Path) -> tuple[Path, str]:
        with Store.local(tmp_path) as store:
            return tmp_path, filled(store)[1]

    @pytest.mark.parametrize(("gone", "told"), [("3", "event 3"), ("3, 7", "events 3, 7"), ("0", "event 0")])
    def test_a_missing_event_is_told_and_renumbers_nothing(self, data: tuple[Path, str], gone: str, told: str) -> None:
        folder, session = data
        sql(folder, f"DELETE FROM events WHERE position IN ({gone})")
        with Store.local(folder) as store:
            for read in (store.session, store.history, store.load_session):
                with pytest.raises(
                    StoreError, match=f"The log of session {session} lacks {told}, so nothing tells its"
                ):
                    read(session)
            assert any(f"lacks {told}" in damage for damage in damage_of(store))

    def test_an_answer_to_no_event_says_that_the_event_is_missing(self, data: tuple[Path, str]) -> None:
        folder, session = data
        sql(folder, "DELETE FROM events WHERE position = 10")  # the last one
        with Store.local(folder) as store, pytest.raises(StoreError, match="lacks event 10"):
            store.session(session)

    def test_a_changed_event_is_noticed_where_it_still_reads_well(self, data: tuple[Path, str]) -> None:
        folder, session = data
        sql(folder, "UPDATE events SET json = replace(json, '[1,2,3]', '[1,2,2]') WHERE position = 4")
        with Store.local(folder) as store, pytest.raises(StoreError, match=f"Event 4 of session {session} is damaged;"):
            store.session(session)

    def test_events_that_changed_places_are_noticed(self, data: tuple[Path, str]) -> None:
        folder, session = data
        with Store.local(folder) as store:
            store.append(session, 11, Undone())
        moves = [
            f"UPDATE events SET position = {to} WHERE position = {at}" for at, to in ((99, 11), (11, 10), (10, 99))
        ]
        sql(folder, "PRAGMA foreign_keys=OFF", *reversed(moves))
        with Store.local(folder) as store, pytest.raises(StoreError, match=r"Event 10 of session \w+ is damaged"):
            store.session(session)

    def test_a_changed_case_is_noticed(self, data: tuple[Path, str]) -> None:
        folder, _ = data
        sql(folder, "UPDATE cases SET affine = replace(affine, '0.5', '0.6')")
        with Store.local(folder) as store:
            with pytest.raises(StoreError, match=r"Case \w+ is damaged in the database; restore a copy"):
                store.cases()
            assert any("is damaged in the database" in damage for damage in damage_of(store))

    @pytest.mark.parametrize(
        "change",
        [
            "data = x'00'",
            "data = substr(data, 1, length(data) - 1)",
            "low = '[0,0]'",
            "high = 'no'",
            "high = '[9,9,9]'",
        ],
    )
    @pytest.mark.parametrize("checked", [True, False])
    def test_a_damaged_answer_costs_only_itself(self, data: tuple[Path, str], change: str, checked: bool) -> None:
        folder, session = data
        sql(
            folder,
            f"UPDATE answers SET {change} WHERE position = 5",
            *([] if checked else ["UPDATE answers SET crc32 = NULL"]),
        )
        with Store.local(folder) as store:
            loaded = store.load_session(session)
            assert list(loaded.damaged) == [5] and loaded.session.pending == (5,)
            assert (loaded.damaged[5] is not None) == checked
            with pytest.raises(StoreError, match=f"The answer to event 5 of session {session} is damaged; open the"):
                store.session(session)
            assert any("the answers to these events are damaged: 5;" in damage for damage in damage_of(store))

            store.answer(session, 5, patch(5))  # takes its place

            assert store.session(session).answers[5] == patch(5)
            assert damage_of(store) == []

    def test_forgotten_answers_are_pending(self, data: tuple[Path, str]) -> None:
        folder, session = data
        with Store.local(folder) as store:
            store.forget_answers(session, since=8)
            assert store.session(session).pending == (8, 9, 10)


class TestFlippedBytes:
    """Whatever bytes are flipped, the store gives what was written or one sentence."""

    @pytest.mark.parametrize("seed", range(SEEDS))
    def test_of_the_database(self, kept: Path, tmp_path: Path, seed: int) -> None:
        data = Path(shutil.copytree(kept, tmp_path / "data"))
        flip(data / "segmend.db", random.Random(seed), FLIPS)
        assert_as_it_was_or_refused(data)

    @pytest.mark.parametrize("seed", range(5))
    def test_of_the_blobs(self, kept: Path, tmp_path: Path, seed: int) -> None:
        data = Path(shutil.copytree(kept, tmp_path / "data"))
        for number, path in enumerate(sorted(p for p in (data / "blobs").rglob("*") if p.is_file())):
            flip(path, random.Random(100 * seed + number), FLIPS)
        assert_as_it_was_or_refused(data)
        with Store.local(data) as store:
            assert len(damage_of(store)) == 3


def assert_as_it_was_or_refused(data: Path) -> None:
    """Read all of a store as a server does: each thing is what it was, or refused by a sentence."""
    with suppress(SegmendError), Store.local(data) as store:
        list(verify(store))
        for case in attempt(store.cases) or []:
            read = attempt(partial(store.image, case.id))
            if read is not None:
                np.testing.assert_array_equal(read.voxels, image().voxels)
                np.testing.assert_array_equal(read.affine, image().affine)
            for record in attempt(partial(store.sessions, case.id)) or []:
                loaded = attempt(partial(store.load_session, record.id))
                if loaded is not None:
                    assert loaded.session.events == (LESION, *[CLICK] * (len(loaded.session.events) - 1))
                    assert all(answer == patch(i) for i, answer in loaded.session.answers.items())
                for mask in attempt(partial(store.masks, record.id)) or []:
                    found = attempt(partial(store.mask, mask.id))
                    assert found is None or (found == 1).all()


def attempt(act: Callable[[], Result]) -> Result | None:
    """Return what a call returns, None where it is refused by a sentence."""
    with suppress(SegmendError):
        return act()
    return None


class TestParts:
    def test_old_parts_of_this_program_are_swept_at_opening(self, tmp_path: Path) -> None:
        with Store.local(tmp_path) as store:
            case, _ = filled(store)
        masks = tmp_path / "blobs" / "cases" / case / "masks"
        old, young = masks / f"{'a' * 32}.part", masks / f"{'b' * 32}.part"
        others = tmp_path / "blobs" / "a download.part"
        for path in (old, young, others):
            path.write_bytes(b"half")
        for path in (old, others):
            os.utime(path, (time.time() - 7200,) * 2)

        with Store.local(tmp_path) as store:
            assert (old.exists(), young.exists(), others.exists()) == (False, True, True)
            assert damage_of(store) == []

    def test_names_are_durable_when_a_blob_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        flushed: list[Path] = []

        def flush(folder: Path) -> None:
            flushed.append(folder)
            flush_folder(folder)

        monkeypatch.setattr("segmend.store.blobs.flush_folder", flush)
        blobs = Blobs(str(tmp_path / "blobs"))
        flushed.clear()
        with blobs.writer("cases/a/image.npy") as file:
            file.write(b"x")
        root = tmp_path / "blobs"
        assert flushed == [root / "cases" / "a", root / "cases", root]

    def test_blobs_of_a_batch_are_durable_at_its_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        flushed: list[Path] = []
        synced: list[str] = []
        real = os.fsync

        def flush(folder: Path) -> None:
            flushed.append(folder)
            assert len(synced) == 3  # a name behind what it names
            flush_folder(folder)

        def sync(descriptor: int) -> None:
            name = Path(f"/dev/fd/{descriptor}").resolve().name
            if name.endswith(".dcm"):
                synced.append(name)
            real(descriptor)

        root = tmp_path / "blobs"
        blobs = Blobs(str(root))
        monkeypatch.setattr("segmend.store.blobs.flush_folder", flush)
        monkeypatch.setattr(os, "fsync", sync)
        with blobs.batch() as batch:
            for name in ("one/1.dcm", "one/2.dcm", "3.dcm"):
                with batch.writer(f"cases/a/{name}") as file:
                    file.write(name.encode())
                assert blobs.size(f"cases/a/{name}") == len(name)
            assert not flushed and not synced
        folder = root / "cases" / "a"
        assert sorted(synced) == ["1.dcm", "2.dcm", "3.dcm"]
        assert flushed == [folder / "one", folder, root / "cases", root]
        flushed.clear()
        synced.clear()
        with pytest.raises(KeyError), blobs.batch() as batch, batch.writer("cases/b/1.dcm"):
            raise KeyError  # of what writes
        assert not flushed and blobs.keys("cases/b") == []


def test_a_checksum_costs_little_beside_reading(tmp_path: Path) -> None:
    with Store.local(tmp_path) as store:
        case = store.add_case("large", Image(np.zeros((1, 64, 512, 512), np.int16))).id  # 33 MB
        begun = time.process_time()
        store.image(case)
        assert time.process_time() - begun < 1.0  # 10 ms; 1 s is a busy machine


def test_rows_of_this_version_have_checksums(store: Store) -> None:
    filled(store)
    with store._database.reading() as connection:
        for table in ("cases", "events", "answers"):
            assert connection.scalar(text(f"SELECT count(*) FROM {table} WHERE crc32 IS NULL")) == 0
