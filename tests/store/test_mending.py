"""What `segmend check` finds and mends: from a backup, from what else is kept, or not at all; and never by guessing."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from segmend import io
from segmend.core.session import SlicesLocked
from segmend.errors import SettingsError, StoreError
from segmend.store import Store
from segmend.store.backup import backup
from segmend.store.mending import Mended, Mending
from segmend.store.verify import verify
from segmend.store.worklist import CaseFilter
from tests.server.dicom import slices
from tests.store.drawn import CLICK, LESION, SHAPE, patch
from tests.store.test_damage import filled, flip, sql


def mended(store: Store, **options: object) -> list[Mended]:
    """Mend all that is found; then nothing is found but what is lost."""

    def no_answers(session: str) -> None:
        raise StoreError(f"There is no method for {session}.")

    mending = Mending(store, **{"answers": no_answers, **options})  # type: ignore[arg-type]
    done = [one for finding in verify(store) if (one := mending.mend(finding)) is not None]
    lost = sum(one.lost for one in done)
    assert sum(finding.damage is not None for finding in verify(store)) == lost
    return done


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a case from DICOM, a session, a saved mask and a thumbnail; and its backup."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "ct").mkdir()
    slices(folder / "ct", planes=3, rows=4, columns=5)
    with Store.local(folder / "store") as store:
        case, session = filled(store)
        store.thumbnail(case)
        store.add_mask(session, "as it is", store_map(store, session))
        store.add_case("ct", io.read(folder / "ct"), source=folder / "ct")
        backup(store, folder / "backup")
    return folder


def store_map(store: Store, session: str) -> np.ndarray:
    found = np.zeros(SHAPE, np.uint16)
    for _, answer in sorted(store.session(session).answers.items()):
        found[answer.box.slices] ^= answer.values
    return found


@pytest.fixture
def data(kept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept / "store", tmp_path / "data"))


def blob(data: Path, ending: str) -> Path:
    return next(path for path in sorted((data / "blobs").rglob(f"*{ending}")) if path.parent.parent.name == "cases")


def test_a_sound_store_is_left_as_it_is(data: Path) -> None:
    with Store.local(data) as store:
        assert [one for one in verify(store) if one.damage] == []
        assert [one.said.split()[0] for one in mended(store)] == ["Made"]  # the thumbnail that nobody has looked at
        assert mended(store) == []


@pytest.mark.parametrize("how", ["flipped", "gone"])
def test_blobs_come_back_from_a_backup(kept: Path, data: Path, how: str) -> None:
    paths = [path for path in sorted((data / "blobs").rglob("*")) if path.is_file()]
    before = {path: path.read_bytes() for path in paths}
    for number, path in enumerate(paths):
        flip(path, random.Random(number)) if how == "flipped" else path.unlink()
    with Store.local(data) as store:
        done = mended(store, backup=kept / "backup")
        assert not any(one.lost for one in done)
    assert {path: path.read_bytes() for path in paths} == before


def test_without_one_from_what_else_is_kept(data: Path) -> None:
    with Store.local(data) as store:
        by_name = {case.name: case.id for case in store.cases()}
        session = store.sessions(by_name["a"])[0].id
        masks = {mask.name: mask.id for mask in store.masks(session)}
    cases = data / "blobs" / "cases"
    gone = [
        cases / by_name["a"] / "thumbnail.png",
        cases / by_name["ct"] / "image.npy",
        cases / by_name["a"] / "masks" / f"{masks['as it is']}.npy.gz",
    ]
    before = [path.read_bytes() for path in gone]
    for path in gone:
        path.unlink()
    with Store.local(data) as store:
        said = [one.said for one in mended(store)]
    assert [path.read_bytes() for path in gone] == before
    assert any("from the case's original files" in line for line in said)
    assert any("from the log of its session" in line for line in said)


def test_what_nothing_tells_is_lost_and_said_to_be(kept: Path, data: Path) -> None:
    with Store.local(data) as store:
        case = next(one.id for one in store.cases() if one.name == "a")
        session = store.sessions(case)[0].id
        mask = next(mask.id for mask in store.masks(session) if mask.name == "kept")  # which is not what the log tells
    flip(data / "blobs" / "cases" / case / "image.npy", random.Random(1))
    (data / "blobs" / "cases" / case / "masks" / f"{mask}.npy.gz").unlink()
    sql(data, "DELETE FROM events WHERE position = 4", "DELETE FROM answers WHERE position = 4")
    with Store.local(data) as store:
        lost = [one.said for one in mended(store) if one.lost]
        assert len(lost) == 3 and all(line.startswith("Lost: ") for line in lost)
        assert sum("name a backup with --from" in line for line in lost) == 2
        assert any("lacks event 4" in line and "`segmend restore`" in line for line in lost)
        with pytest.raises(SettingsError, match="is no backup"):
            Mending(store, answers=lambda session: None, backup=data)


def test_counts_follow_from_the_events(data: Path) -> None:
    with Store.local(data) as store:
        kept = next(one for one in store.cases() if one.name == "a")
    sql(
        data,
        "UPDATE cases SET interactions = 77, seconds = 5e4, folded = '?' WHERE name = 'a'",
        "DELETE FROM searched",
        "UPDATE labels SET name = 'another'",
    )
    with Store.local(data) as store:
        damage = [finding.damage for finding in verify(store) if finding.damage]
        told = f"Of the case {kept.id}, 77 marks in 50000 s are counted, and its events tell 10 in "
        assert any(line.startswith(told) for line in damage)
        assert len(mended(store)) == 3  # both cases, and a thumbnail
        again = store.case(kept.id)
        assert (again.interactions, round(again.seconds, 1)) == (kept.interactions, round(kept.seconds, 1))
        assert [one.id for one in store.found_cases(CaseFilter(text="a", label="lesion"))] == [kept.id]


def test_a_case_that_is_read_blind_is_not_counted(data: Path) -> None:
    with Store.local(data) as store:
        case = next(one.id for one in store.cases() if one.name == "a")
        store.readings.plan([case], ["ada", "eve"], each=2, how="all")
        session = store.readings.session_of(case, "ada", store.add_session(case, user="ada").id)
        store.append(session, 0, LESION)
        store.append(session, 1, CLICK)
        assert store.counts(case) is None
        assert [one for one in verify(store) if one.damage] == []


def test_indexes_are_built_anew(data: Path) -> None:
    """An index that misses a change: while the change was made it was one of another column."""
    named = "UPDATE sqlite_master SET sql = replace(sql, '{} ({}', '{} ({}') WHERE name = 'ix_cases_folded'"
    writable = "PRAGMA writable_schema = ON"
    sql(data, writable, named.format("cases", "folded", "cases", "comment"))
    sql(data, "UPDATE cases SET folded = 'zzz'")
    sql(data, writable, named.format("cases", "comment", "cases", "folded"))
    with Store.local(data) as store:
        (finding,) = [one for one in verify(store) if one.what == "database"]
        assert finding.damage is not None and finding.cure == "indexes"
        assert "Built the indexes of the database anew." in [one.said for one in mended(store)]


def test_what_is_nobodys_is_deleted_only_when_asked_for(data: Path) -> None:
    cases = data / "blobs" / "cases"
    case = next(path for path in sorted(cases.iterdir()))
    foreign, folder = case / "masks" / "0.npy.gz", cases / ("0" * 32) / "image.npy"
    part = case / f"{'f' * 32}.part"
    for path in (foreign, folder, part):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"nobody's")
    os.utime(part, (time.time() - 7200,) * 2)
    store = Store.open(f"sqlite:///{data / 'segmend.db'}", str(data / "blobs"), sweeping=False)
    with store:
        found = {finding.what for finding in verify(store) if finding.cure in ("unreferenced", "parts")}
        assert found == {"unreferenced", "leftover", "parts"} and part.exists()
        mended(store)
        assert foreign.exists() and folder.exists() and not part.exists()
        before = {path for path in cases.rglob("*") if path.is_file()}
        mended(store, delete_unreferenced=True)
        assert before - {path for path in cases.rglob("*") if path.is_file()} == {foreign, folder}


def test_what_is_being_written_is_somebodys(data: Path) -> None:
    """A server that adds a case, a mask or a series has named it before its blobs are there."""
    with Store.local(data) as store:
        case = next(one.id for one in store.cases() if one.name == "a")
        for name in (f"cases/{'1' * 32}", f"cases/{case}/masks/1.npy.gz"):
            with store._write_blobs(name):
                key = name if name.endswith(".gz") else f"{name}/image.npy"
                with store.blobs.writer(key) as file:
                    file.write(b"on its way")
                assert store.unreferenced([key]) == []
                assert not any(one.cure == "unreferenced" for one in verify(store))
            sql(data, "DELETE FROM leftovers")
            assert store.unreferenced([key]) == [key]
            store.discard(key)
            assert store.blobs.size(key) is None


def test_answers_that_cannot_be_worked_out_are_lost(data: Path) -> None:
    sql(data, "UPDATE answers SET data = x'00' WHERE position = 3")
    worked: list[str] = []
    with Store.local(data) as store:
        assert [one.lost for one in mended(store) if "answers" in one.said] == [True]

        def answers(session: str) -> None:
            store.answer(session, 3, patch(3))
            worked.append(session)

        assert not any(one.lost for one in mended(store, answers=answers)) and len(worked) == 1


@pytest.mark.long
def test_every_database_counts_alike(store: Store) -> None:
    case, session = filled(store)
    store.append(session, 11, SlicesLocked(0, (1,)))  # which is no mark
    before = store.case(case)
    both = store.counts(case)
    assert both is not None and both[0].same(both[1]) and both[0].marks == 10
    store.count_anew(case)
    assert store.case(case).interactions == before.interactions
    assert store.unreferenced(store.blobs.keys("cases")) == []
