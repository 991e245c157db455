"""One contract for every kind of store: SQLite or PostgreSQL, a folder or S3."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from segmend.core.image import Image, scale_affine
from segmend.core.session import EMPTY, Canvas, Patch, Redone, Undone
from segmend.errors import ConflictError, NotFoundError, SegmendError, SettingsError, ShapeError, StoreError
from segmend.store import Store
from tests.store.conftest import Place
from tests.store.drawn import CLICK, LESION, SHAPE, image, patch
from tests.store.servers import S3

GONE = "0" * 32
ROOT = Path(__file__).parents[2]


class TestProjects:
    def test_a_new_store_has_the_default_project(self, store: Store) -> None:
        assert [project.name for project in store.projects()] == ["default"]

    def test_projects_group_cases(self, store: Store) -> None:
        project = store.add_project("livers")
        case = store.add_case("a", image(), project="livers")
        store.add_case("b", image())

        assert datetime.now(UTC) - project.created < timedelta(minutes=1)
        assert [p.name for p in store.projects()] == ["default", "livers"]
        assert store.cases("livers") == [case]
        assert [c.name for c in store.cases()] == ["a", "b"]

    def test_a_second_project_of_a_name_is_refused(self, store: Store) -> None:
        with pytest.raises(ConflictError, match="There is a project 'default' already; choose another name"):
            store.add_project("default")

    def test_unknown_projects_are_refused(self, store: Store) -> None:
        with pytest.raises(NotFoundError, match="There is no project 'lungs'"):
            store.cases("lungs")
        with pytest.raises(NotFoundError, match="There is no project 'lungs'"):
            store.add_case("a", image(), project="lungs")

    @pytest.mark.parametrize("name", ["", "  ", "x" * 301, "a\0b", "bad \udcff byte", "two\nlines"])
    def test_a_name_must_be_one_that_people_can_read(self, store: Store, name: str) -> None:
        words = "needs a name; got an empty one" if not name.strip() else "name needs at most 300 readable"
        with pytest.raises(SettingsError, match=f"A project.*{words}"):
            store.add_project(name)
        with pytest.raises(SettingsError, match=f"A case.*{words}"):
            store.add_case(name, image())
        assert store.cases() == []

    def test_other_texts_may_be_empty_but_not_unreadable(self, store: Store) -> None:
        case = store.add_case("a", image())
        session = store.add_session(case.id)
        with pytest.raises(SettingsError, match="A modality needs at most 300 readable characters; got 'C"):
            store.add_case("a", image(), modality="C\0T")
        with pytest.raises(SettingsError, match="A user's name needs at most 300 readable characters; got 'xxx"):
            store.add_session(case.id, user="x" * 301)
        with pytest.raises(SettingsError, match="A user's name needs at most 300 readable characters"):
            store.append(session.id, 0, LESION, user="\ud800")


class TestCases:
    @pytest.mark.parametrize("kind", ["uint8", "int16", ">i2", "uint16", "int32", "float32", "float64"])
    def test_an_image_comes_back_as_it_was(self, place: Place, kind: str) -> None:
        given = image(kind, channels=3)
        with place.open() as store:
            case = store.add_case("kopf ß 头 \u200c👩\u200d⚕️", given, modality="MR")
        with place.open() as store:
            found = store.image(case.id)
            assert store.case(case.id) == case

        assert found.voxels.dtype == given.voxels.dtype.newbyteorder("<")
        np.testing.assert_array_equal(found.voxels, given.voxels)
        np.testing.assert_array_equal(found.affine, given.affine)
        assert found.notes == given.notes
        assert not found.voxels.flags.writeable
        assert (case.name, case.shape, case.channels, case.spacing) == (
            "kopf ß 头 \u200c👩\u200d⚕️",
            SHAPE,
            3,
            (3.0, 2.0, 0.5),
        )
        assert (case.modality, case.source, case.project) == ("MR", False, "default")

    def test_an_image_with_turned_axes_keeps_its_order(self, store: Store) -> None:
        voxels = np.arange(60, dtype=np.int16).reshape(5, 4, 3).T[None][:, :, ::-1]
        case = store.add_case("turned", Image(voxels, scale_affine((3, 2, 1))))
        np.testing.assert_array_equal(store.image(case.id).voxels, voxels)

    def test_an_image_in_several_parts_arrives_whole(self, tmp_path: Path, s3: S3) -> None:
        voxels = np.random.default_rng(1).integers(-1000, 1000, (1, 40, 400, 401), np.int16)  # 12.8 MB
        storage = {**s3.storage, "default_block_size": 5 << 20}
        with Store.open(f"sqlite:///{tmp_path}/segmend.db", s3.bucket(), storage=storage) as store:
            case = store.add_case("large", Image(voxels))
            np.testing.assert_array_equal(store.image(case.id).voxels, voxels)

            with pytest.raises(KeyboardInterrupt):
                interrupted_upload(store, voxels.tobytes())
            assert store._blobs.keys("cases") == [f"cases/{case.id}/image.npy"]

    def test_deleting_takes_sessions_masks_and_blobs(self, store: Store) -> None:
        kept, case = store.add_case("kept", image()), store.add_case("gone", image())
        session = store.add_session(case.id)
        store.append(session.id, 0, LESION)
        store.answer(session.id, 0, EMPTY)
        store.add_mask(session.id, "first", np.zeros(SHAPE, np.uint16))

        store.delete_case(case.id)

        assert store.cases() == [kept]
        assert store._blobs.keys("cases") == [f"cases/{kept.id}/image.npy"]
        for act in refused_without(store, case.id, session.id):
            with pytest.raises(NotFoundError, match=r"There is no (case|session)"):
                act()

    @pytest.mark.parametrize("name", [GONE, "", "a\0b", "\ud800", "../../etc", "'; DROP TABLE cases"])
    def test_unknown_cases_are_refused(self, store: Store, name: str) -> None:
        for act in refused_without(store, name, name):
            with pytest.raises(NotFoundError, match="There is no (case|session) " + re.escape(repr(name))):
                act()

    def test_the_original_files_are_kept_when_asked(self, store: Store, tmp_path: Path) -> None:
        folder = tmp_path / "series"
        (folder / "deep").mkdir(parents=True)
        (folder / "1.dcm").write_bytes(b"one")
        (folder / "deep" / "2 ä.dcm").write_bytes(b"")
        (folder / "link.dcm").symlink_to("/etc/passwd")
        case = store.add_case("a", image(), source=folder)
        single = store.add_case("b", image(), source=str(folder / "1.dcm"))

        with store.source_of(case.id) as found:
            files = {str(p.relative_to(found)): p.read_bytes() for p in found.rglob("*") if p.is_file()}
        with store.source_of(single.id) as found:
            assert [p.name for p in found.iterdir()] == ["1.dcm"]

        assert case.source
        assert files == {"1.dcm": b"one", "deep/2 ä.dcm": b""}

    def test_a_case_without_its_files_says_so(self, store: Store) -> None:
        case = store.add_case("a", image())
        with pytest.raises(NotFoundError, match="'a' was added without its original files"), store.source_of(case.id):
            pass

    def test_a_source_that_is_not_there_adds_nothing(self, store: Store, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match=r"The source file none\.dcm cannot be read: No such file"):
            store.add_case("a", image(), source=tmp_path / "none.dcm")
        assert store.cases() == []
        assert store._blobs.keys("cases") == []


def interrupted_upload(store: Store, content: bytes) -> None:
    with store._blobs.writer("cases/interrupted/image.npy") as file:
        file.write(content)
        raise KeyboardInterrupt


def refused_without(store: Store, case: str, session: str) -> list[Callable[[], object]]:
    return [
        lambda: store.case(case),
        lambda: store.image(case),
        lambda: store.delete_case(case),
        lambda: store.add_session(case),
        lambda: store.sessions(case),
        lambda: store.source_of(case).__enter__(),
        lambda: store.session(session),
        lambda: store.session_record(session),
        lambda: store.history(session),
        lambda: store.append(session, 0, LESION),
        lambda: store.answer(session, 0, EMPTY),
        lambda: store.masks(session),
        lambda: store.add_mask(session, "m", np.zeros(SHAPE, np.uint16)),
    ]


class TestSessions:
    def test_a_session_is_its_events_and_answers(self, place: Place) -> None:
        with place.open() as store:
            record = store.add_session(store.add_case("a", image()).id, user="ada")
            for position, event in enumerate((LESION, CLICK, Undone(), Redone())):
                store.append(record.id, position, event, user="ada")
            store.answer(record.id, 1, patch(7))
        with place.open() as store:
            session = store.session(record.id)
            history = store.history(record.id)
            assert store.session_record(record.id) == record
            assert store.sessions(record.case) == [record]

        canvas = Canvas(session.shape)
        canvas.follow(session)
        assert session.events == (LESION, CLICK, Undone(), Redone())
        assert session.answers == {1: patch(7)}
        assert canvas.map[1, 3, 2] == 8
        assert [(entry.position, entry.user) for entry in history] == [(0, "ada"), (1, "ada"), (2, "ada"), (3, "ada")]
        assert all(datetime.now(UTC) - entry.created < timedelta(minutes=5) for entry in history)

    def test_a_new_session_is_empty(self, store: Store) -> None:
        session = store.session(store.add_session(store.add_case("a", image()).id).id)
        assert (session.shape, session.events, dict(session.answers)) == (SHAPE, (), {})

    @pytest.mark.parametrize("position", [0, 2, -1])
    def test_only_the_next_position_is_free(self, store: Store, position: int) -> None:
        session = store.add_session(store.add_case("a", image()).id).id
        store.append(session, 0, LESION)

        with pytest.raises(ConflictError, match=f"The session has 1 events, so {position} is not the next"):
            store.append(session, position, CLICK)

        assert store.session(session).events == (LESION,)

    def test_an_answer_said_twice_is_one_answer(self, store: Store) -> None:
        session = store.add_session(store.add_case("a", image()).id).id
        store.append(session, 0, LESION)
        store.append(session, 1, CLICK)

        store.answer(session, 1, patch(3))
        store.answer(session, 1, patch(3))

        assert store.session(session).answers == {1: patch(3)}

    def test_an_answer_compressed_otherwise_is_the_same_answer(self, store: Store) -> None:
        session = store.add_session(store.add_case("a", image()).id).id
        store.append(session, 0, CLICK)
        store.answer(session, 0, patch(3))

        store.answer(session, 0, Patch(patch(3).box, zlib.compress(zlib.decompress(patch(3).data), 0)))

        assert store.session(session).answers == {0: patch(3)}

    def test_another_answer_is_refused(self, store: Store) -> None:
        session = store.add_session(store.add_case("a", image()).id).id
        store.append(session, 0, CLICK)
        store.answer(session, 0, patch(3))

        with pytest.raises(ConflictError, match="Event 0 was answered otherwise by another server"):
            store.answer(session, 0, patch(4))

        assert store.session(session).answers == {0: patch(3)}

    def test_an_answer_needs_its_event(self, store: Store) -> None:
        session = store.add_session(store.add_case("a", image()).id).id
        with pytest.raises(NotFoundError, match="There is no event 0 in session"):
            store.answer(session, 0, EMPTY)

    def test_two_servers_never_share_a_position(self, place: Place) -> None:
        with place.open() as one, place.open() as other:
            session = one.add_session(one.add_case("a", image()).id).id
            won: list[tuple[int, str]] = []
            lost: list[SegmendError] = []

            def press(store: Store, user: str) -> None:
                for position in range(20):
                    try:
                        store.append(session, position, LESION, user=user)
                        won.append((position, user))
                    except ConflictError as error:
                        lost.append(error)
                        while len(store.history(session)) <= position:
                            pass

            threads = [threading.Thread(target=press, args=(s, u)) for s in (one, other) for u in ("a", "b")]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

            assert [(entry.position, entry.user) for entry in one.history(session)] == sorted(won)
            assert [position for position, _ in sorted(won)] == list(range(20))
            assert len(lost) == 60

    def test_a_damaged_event_is_named(self, store: Store) -> None:
        session = store.add_session(store.add_case("a", image()).id).id
        store.append(session, 0, LESION)
        with store._database.writing() as connection:
            connection.execute(text('UPDATE events SET json = \'{"event": "dreamt"}\''))

        with pytest.raises(StoreError, match=f"Event 0 of session {session} is damaged; restore a copy"):
            store.session(session)


class TestMasks:
    def test_masks_are_kept_by_name(self, place: Place) -> None:
        label_map = np.random.default_rng(2).integers(0, 65536, SHAPE).astype(np.uint16)
        with place.open() as store:
            session = store.add_session(store.add_case("a", image()).id).id
            mask = store.add_mask(session, "before lunch", label_map)
            store.add_mask(session, "empty", np.zeros(SHAPE, np.uint16))
        with place.open() as store:
            assert [m.name for m in store.masks(session)] == ["before lunch", "empty"]
            assert store.masks(session)[0] == mask
            np.testing.assert_array_equal(store.mask(mask.id), label_map)
            store.delete_mask(mask.id)
            assert [m.name for m in store.masks(session)] == ["empty"]
            with pytest.raises(NotFoundError, match="There is no mask"):
                store.mask(mask.id)
            with pytest.raises(NotFoundError, match="There is no mask"):
                store.delete_mask(mask.id)

    @pytest.mark.parametrize("wrong", [np.zeros((3, 5, 4), np.uint16), np.zeros(SHAPE, np.uint8)])
    def test_a_mask_must_fit(self, store: Store, wrong: np.ndarray) -> None:
        session = store.add_session(store.add_case("a", image()).id).id
        with pytest.raises(ShapeError, match=r"A mask of this session needs uint16 of shape \(3, 4, 5\); got"):
            store.add_mask(session, "wrong", wrong)


class TestUsers:
    def test_a_token_names_its_user_and_is_not_kept(self, store: Store) -> None:
        user = store.accounts.add("ada", token="correct horse battery")
        store.accounts.add("bob", token="another long token")

        assert store.accounts.with_token("correct horse battery") == "ada"
        assert store.accounts.with_token("correct horse batterx") is None
        assert store.accounts.with_token("\udcff") is None
        assert store.accounts.everybody()[0] == user
        with store._database.reading() as connection:
            assert "horse" not in str(connection.execute(text("SELECT * FROM users")).all())

    def test_a_deleted_user_opens_nothing(self, store: Store) -> None:
        store.accounts.add("ada", token="correct horse battery")
        store.accounts.remove("ada")
        assert store.accounts.with_token("correct horse battery") is None
        with pytest.raises(NotFoundError, match="There is no user 'ada'"):
            store.accounts.remove("ada")

    def test_names_and_tokens_are_unique(self, store: Store) -> None:
        store.accounts.add("ada", token="correct horse battery")
        for name, token in (("ada", "some other token!"), ("bob", "correct horse battery")):
            with pytest.raises(ConflictError, match="or this token exists already; choose another"):
                store.accounts.add(name, token=token)

    def test_a_short_token_is_refused(self, store: Store) -> None:
        with pytest.raises(SettingsError, match="A token needs at least 16 characters; got 6"):
            store.accounts.add("ada", token="secret")


def wait_for_blobs(store: Store, count: int) -> None:
    end = time.monotonic() + 120
    while len(store._blobs.keys("cases")) < count:
        assert time.monotonic() < end, f"no {count} blobs after 120 s"
        time.sleep(0.01)


class TestLeftovers:
    def test_a_crash_while_adding_leaves_nothing(self, place: Place) -> None:
        def half_of_a_case(store: Store) -> None:
            with store._write_blobs("cases/young"):
                with store._blobs.writer("cases/young/image.npy") as file:
                    file.write(b"half")
                raise KeyboardInterrupt

        with place.open() as store:
            with pytest.raises(KeyboardInterrupt):
                half_of_a_case(store)
            assert store._blobs.keys("cases") == []

    def test_blobs_of_a_killed_server_are_swept_once_old(self, place: Place, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with place.open() as store:
            where = [place.database, place.blobs, json.dumps(place.storage), str(tmp_path / "pipe")]
            child = subprocess.Popen([sys.executable, "-m", "tests.store.stuck_upload", *where], cwd=ROOT)
            wait_for_blobs(store, 1)
            child.kill()
            child.wait()
        with place.open() as store:
            assert len(store._blobs.keys("cases")) == 1  # perhaps another server is still at it
            assert store.cases() == []
            store.sweep(abandoned=timedelta(0))
            assert store._blobs.keys("cases") == []

    def test_an_upload_that_was_swept_does_not_become_a_case(self, place: Place, tmp_path: Path) -> None:
        slow = tmp_path / "slow"
        os.mkfifo(slow)
        with place.open() as store, place.open() as other:
            case = store.add_case("first", image())

            def sweep_meanwhile() -> None:
                wait_for_blobs(other, 2)
                other.sweep(abandoned=timedelta(0))
                slow.open("wb").close()  # now the source can be read

            sweeper = threading.Thread(target=sweep_meanwhile)
            sweeper.start()
            with pytest.raises(StoreError, match="taken for abandoned and swept; try again"):
                store.add_case("slow", image(), source=slow)
            sweeper.join()
            assert store.cases() == [case]
            assert store._blobs.keys("cases") == [f"cases/{case.id}/image.npy"]

    def test_blobs_of_another_database_are_left_alone(self, place: Place, tmp_path: Path) -> None:
        with place.open() as store:
            case = store.add_case("a", image())
        Store.open(f"sqlite:///{tmp_path}/new.db", str(tmp_path / "own")).close()
        new = Place(f"sqlite:///{tmp_path}/new.db", place.blobs, place.storage)
        with new.open() as empty:
            empty.sweep(abandoned=timedelta(0))
            assert empty.cases() == []
        with place.open() as store:
            assert store.image(case.id).shape == SHAPE
