"""A backup holds what the store held at one moment, bit for bit, whatever happens meanwhile."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from segmend.cli import run
from segmend.errors import SettingsError, StoreError
from segmend.store import Store
from segmend.store.backup import MARK, backup, restore
from segmend.store.blobs import Blobs
from segmend.store.verify import verify
from tests.store.conftest import Place
from tests.store.drawn import CLICK, LESION, SHAPE, image, patch

TOKEN = "a token of sixteen"


def fill(store: Store, folder: Path, name: str = "a") -> tuple[str, str]:
    """Return a case with its original file and a session of three answered clicks and a mask."""
    source = folder / "1.dcm"
    source.write_bytes(b"its original file")
    case = store.add_case(name, image(), source=source, patient="p1", study_date="2020-02-03").id
    session = store.add_session(case, user="ada").id
    store.append(session, 0, LESION, user="ada")
    for position in range(1, 4):
        store.append(session, position, CLICK, user="ada")
        store.answer(session, position, patch(position))
    store.add_mask(session, "kept", np.ones(SHAPE, np.uint16))
    store.set_status(case, "done", "all is well", user="ada")
    return case, session


def everything(store: Store) -> dict[str, object]:
    """Return all that a store can be asked for."""
    found: dict[str, object] = {
        "users": store.accounts.everybody(),
        "projects": store.projects(),
        "choices": store.choices(),
    }
    for case in store.cases():
        found[case.id] = case, store.image(case.id).voxels.tobytes(), store.thumbnail(case.id)
        with store.source_of(case.id) as folder:
            found[f"source {case.id}"] = [path.read_bytes() for path in sorted(folder.rglob("*.dcm"))]
        for session in store.sessions(case.id):
            masks = [(mask, store.mask(mask.id).tobytes()) for mask in store.masks(session.id)]
            found[session.id] = session, store.history(session.id), dict(store.session(session.id).answers), masks
    return found


def damage(store: Store) -> list[str]:
    return [finding.damage for finding in verify(store) if finding.damage is not None]


def test_a_store_comes_back_from_its_backup_in_any_place(place: Place, sqlite_place: Place, tmp_path: Path) -> None:
    with place.open() as store:
        store.add_project("brains")
        fill(store, tmp_path)
        store.accounts.add("ada", token=TOKEN)
        before = everything(store)
        copied = backup(store, tmp_path / "copy")

    shutil.rmtree(tmp_path / "data", ignore_errors=True)
    with Store.local(tmp_path / "copy") as kept:
        assert everything(kept) == before and damage(kept) == []
        assert kept.accounts.with_token(TOKEN) == "ada"
    with sqlite_place.open() as other:
        assert restore(tmp_path / "copy", other) == copied
        assert everything(other) == before and damage(other) == []
        assert other.found_cases() and other.neighbour(other.cases()[0].id) is None
    assert (copied.cases, copied.sessions, copied.events, copied.masks, copied.damage) == (1, 1, 4, 1, ())


def test_a_backup_is_restored_to_postgres_and_s3(
    sqlite_place: Place, postgres_place: Place, s3_place: Place, tmp_path: Path
) -> None:
    target = Place(postgres_place.database, s3_place.blobs, s3_place.storage)
    with sqlite_place.open() as store:
        fill(store, tmp_path)
        before = everything(store)
        backup(store, tmp_path / "copy")
    with target.open() as store:
        restore(tmp_path / "copy", store)
        assert everything(store) == before and damage(store) == []
        _, session = fill(store, tmp_path, "b")  # it goes on there
        assert len(store.session(session).events) == 4


def test_a_backup_is_renewed_by_what_is_new(sqlite_place: Place, tmp_path: Path) -> None:
    with sqlite_place.open() as store:
        first, _ = fill(store, tmp_path)
        assert backup(store, tmp_path / "copy").new_blobs == 3
        second, session = fill(store, tmp_path, "b")
        store.delete_case(first)
        again = backup(store, tmp_path / "copy")
        assert (again.cases, again.blobs, again.new_blobs) == (1, 3, 3)
        store.append(session, 4, CLICK)
        last = backup(store, tmp_path / "copy")
        assert (last.events, last.new_blobs) == (5, 0)
    with Store.local(tmp_path / "copy") as kept:
        assert [case.id for case in kept.cases()] == [second] and kept.blob_owners() == [second]
        assert len(kept.session(session).events) == 5


def test_what_people_do_meanwhile_does_not_tear_it(place: Place, tmp_path: Path) -> None:
    """Cases come and go and clicks are put down in each moment between two blobs; the copy is of its first moment."""
    with place.open() as store, place.open() as other:
        cases = [fill(store, tmp_path, name) for name in "abc"]
        kept, gone = cases[0], cases[1]

        def meanwhile(done: int, of: int) -> None:
            if done == 0:
                other.delete_case(gone[0])
            if done < of:
                other.append(kept[1], 4 + done, CLICK)
                fill(other, tmp_path, f"new {done}")

        copied = backup(store, tmp_path / "copy", meanwhile)
    with Store.local(tmp_path / "copy") as copy:
        assert sorted(case.name for case in copy.cases()) == ["a", "c"]
        assert len(copy.session(kept[1]).events) == 4
        assert damage(copy) == [] and copied.damage == () and copied.cases == 2


def test_a_damaged_blob_is_told_and_all_else_is_there(sqlite_place: Place, tmp_path: Path) -> None:
    with sqlite_place.open() as store:
        first, _ = fill(store, tmp_path)
        second, _ = fill(store, tmp_path, "b")
        store.thumbnail(first)
        for name in ("image.npy", "thumbnail.png"):
            path = Path(sqlite_place.blobs) / "cases" / first / name
            path.write_bytes(path.read_bytes()[:-1])
        copied = backup(store, tmp_path / "copy")
    assert [f"cases/{first}/image.npy is damaged" in sentence for sentence in copied.damage] == [True]
    with Store.local(tmp_path / "copy") as copy:
        copy.image(second)
        with pytest.raises(StoreError, match="No such file"):
            copy.image(first)
        assert len(copy.session(copy.sessions(first)[0].id).events) == 4


def test_damage_does_not_reach_what_was_copied_before(sqlite_place: Place, tmp_path: Path) -> None:
    with sqlite_place.open() as store:
        case, _ = fill(store, tmp_path)
        backup(store, tmp_path / "copy")
        (Path(sqlite_place.blobs) / "cases" / case / "image.npy").write_bytes(b"other bytes")
        backup(store, tmp_path / "copy")
    with Store.local(tmp_path / "copy") as copy:
        assert damage(copy) == []


class Killed(BaseException):
    pass


@pytest.mark.parametrize("when", ["blobs", "before the rows", "after the rows"])
def test_one_that_is_killed_leaves_the_one_before(
    when: str, sqlite_place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    with sqlite_place.open() as store:
        first, _ = fill(store, tmp_path)
        backup(store, copy)
        second, _ = fill(store, tmp_path, "b")
        store.delete_case(first)
        with monkeypatch.context() as patched:
            if when == "before the rows":
                patched.setattr("segmend.store.backup._copy_rows", killing)
            elif when == "after the rows":
                patched.setattr(Blobs, "remove", killing)
            with pytest.raises(Killed):
                backup(store, copy, killing_at(2) if when == "blobs" else lambda done, of: None)
        with Store.local(copy) as kept:
            assert [case.id for case in kept.cases()] == [second if when == "after the rows" else first]
            assert damage(kept) == []

        backup(store, copy)
        with Store.local(copy) as kept:
            assert [case.id for case in kept.cases()] == [second] == kept.blob_owners() and damage(kept) == []


def killing(*_: object) -> None:
    raise Killed


def killing_at(number: int) -> object:
    def progress(done: int, of: int) -> None:
        if done == number:
            raise Killed

    return progress


def test_a_first_one_that_is_killed_is_made_anew(sqlite_place: Place, tmp_path: Path) -> None:
    with sqlite_place.open() as store:
        fill(store, tmp_path)
        with pytest.raises(Killed):
            backup(store, tmp_path / "copy", killing_at(2))
        assert backup(store, tmp_path / "copy").cases == 1


def test_two_at_once_take_turns(sqlite_place: Place, tmp_path: Path) -> None:
    with sqlite_place.open() as store:
        fill(store, tmp_path)
        second = threading.Thread(target=backup, args=(store, tmp_path / "copy"))

        def start(done: int, of: int) -> None:
            if done == 1:
                second.start()

        backup(store, tmp_path / "copy", start)
        second.join()
        with Store.local(tmp_path / "copy") as copy:
            assert damage(copy) == [] and len(copy.cases()) == 1


class TestRefused:
    def test_a_folder_of_something_else(self, sqlite_place: Place, tmp_path: Path) -> None:
        (tmp_path / "thesis").mkdir()
        (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
        with sqlite_place.open() as store:
            case, _ = fill(store, tmp_path)
            with pytest.raises(SettingsError, match="holds something other than a backup"):
                backup(store, tmp_path / "thesis")
            with pytest.raises(SettingsError, match="holds something other than a backup"):
                backup(store, tmp_path / "data")  # the store itself
            assert [one.id for one in store.cases()] == [case]

    def test_another_stores_and_an_empty_one(self, sqlite_place: Place, tmp_path: Path) -> None:
        with sqlite_place.open() as store, Store.local(tmp_path / "other") as other:
            case, _ = fill(store, tmp_path)
            backup(store, tmp_path / "copy")
            fill(other, tmp_path)
            with pytest.raises(SettingsError, match="is the backup of .*data/segmend.db"):
                backup(other, tmp_path / "copy")
            store.delete_case(case)
            with pytest.raises(SettingsError, match="There is nothing in .*data/segmend.db"):
                backup(store, tmp_path / "copy")

    def test_one_in_which_somebody_has_worked(self, sqlite_place: Place, tmp_path: Path) -> None:
        with sqlite_place.open() as store:
            _, session = fill(store, tmp_path)
            backup(store, tmp_path / "copy")
            with Store.local(tmp_path / "copy") as copy:
                copy.append(session, 4, CLICK)
            with pytest.raises(SettingsError, match="Somebody has worked in the backup"):
                backup(store, tmp_path / "copy")
            with Store.local(tmp_path / "copy") as copy:
                assert len(copy.session(session).events) == 5
            (tmp_path / "copy" / MARK).write_text("{")
            with pytest.raises(SettingsError, match="cannot be read"):
                backup(store, tmp_path / "copy")

    def test_no_backup_and_no_empty_store_to_restore_into(self, sqlite_place: Place, tmp_path: Path) -> None:
        with sqlite_place.open() as store:
            with pytest.raises(SettingsError, match="is no backup"):
                restore(tmp_path, store)
            fill(store, tmp_path)
            backup(store, tmp_path / "copy")
            with pytest.raises(SettingsError, match="into an empty store, and this one holds cases"):
                restore(tmp_path / "copy", store)


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, copy, other = (str(tmp_path / name) for name in ("data", "copy", "other"))
    with Store.local(data) as store:
        case, _ = fill(store, tmp_path)

    assert run(["backup", copy, "--folder", data]) == 0
    assert "1 cases, 1 sessions, 4 events, 1 saved masks, 3 blobs; 3 blobs were new" in capsys.readouterr().out
    assert run(["verify", "--folder", copy]) == 0
    assert run(["restore", copy, "--folder", other, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.split("damaged.\n")[-1])["cases"] == 1
    with Store.local(other) as store:
        assert store.cases()[0].id == case
    assert run(["restore", copy, "--folder", other]) == 2
    assert "into an empty store" in capsys.readouterr().err

    (tmp_path / "data" / "blobs" / "cases" / case / "image.npy").write_bytes(b"")
    assert run(["backup", str(tmp_path / "second"), "--folder", data]) == 2
    said = capsys.readouterr()
    assert f"The blob cases/{case}/image.npy is damaged" in said.out
    assert "1 blob could not be copied, all else was; see above." in said.err


def test_an_older_store_without_checksums_gets_them_in_its_backup(sqlite_place: Place, tmp_path: Path) -> None:
    with sqlite_place.open() as store:
        fill(store, tmp_path)
        before = everything(store)
    with closing(sqlite3.connect(tmp_path / "data" / "segmend.db")) as connection:
        connection.execute("DELETE FROM blobs")
        connection.commit()
    with sqlite_place.open() as store:
        assert backup(store, tmp_path / "copy").new_blobs == 4  # and the thumbnail
    with Store.local(tmp_path / "copy") as copy:
        assert everything(copy) == before
        assert all(finding.checked for finding in verify(copy) if finding.what == "blob")
