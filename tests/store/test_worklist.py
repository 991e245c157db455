"""The list of cases in SQL: filters, orders, search, neighbours; status, and work that is counted from events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from segmend.core.session import PALETTE, Defined, Event, Label, Redone, Removed, Undone
from segmend.errors import NotFoundError, SettingsError, StoreError
from segmend.store import Store, voxels, worklist
from segmend.store.accepted import accepted_cases
from segmend.store.verify import verify
from segmend.store.worklist import SORT_KEYS, CaseFilter, CaseOrder, SortKey
from tests.store.conftest import Place
from tests.store.drawn import CLICK, LESION, image, patch
from tests.store.older import drop_worklist
from tests.store.servers import Postgres

STEPS: tuple[Event, ...] = (LESION, CLICK)
LIVER = Defined(Label(2, "liver", PALETTE[1]))


@pytest.fixture(params=["sqlite_place", "postgres_place"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    place: Place = request.getfixturevalue(request.param)
    with place.open() as opened:
        yield opened


@pytest.fixture
def listed(store: Store) -> dict[str, str]:
    """Four cases of two projects; their ids by name."""
    return fill(store)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def looked_at(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with the four cases that no test changes."""
    folder = tmp_path_factory.mktemp("listed")
    server: Postgres | None = request.getfixturevalue("postgres") if request.param == "postgres" else None
    url = f"sqlite:///{folder}/segmend.db" if server is None else server.database()
    with Place(url, str(folder / "blobs")).open() as opened:
        fill(opened)
        yield opened
    if server is not None:
        server.drop(url)


def fill(store: Store) -> dict[str, str]:
    store.add_project("livers")
    added = [
        store.add_case("Thorax", image(), modality="CT", patient="ÖZ, ADA (1)", study_date="2024-05-01"),
        store.add_case("abdomen 10%", image(), modality="MR", project="livers", study_date="2023-01-31"),
        store.add_case("Abdomen 2", image(), modality="CT", patient="DOE, JANE (7)", description="Staging"),
        store.add_case("knee", image()),
    ]
    return {case.name: case.id for case in added}


def names(store: Store, wanted: CaseFilter = worklist.EVERYTHING, by: SortKey = "added") -> list[str]:
    return [case.name for case in store.case_page(wanted, CaseOrder(by)).cases]


@pytest.mark.parametrize(
    ("by", "wanted"),
    [
        ("added", ["Thorax", "abdomen 10%", "Abdomen 2", "knee"]),
        ("name", ["abdomen 10%", "Abdomen 2", "knee", "Thorax"]),
        ("patient", ["abdomen 10%", "knee", "Abdomen 2", "Thorax"]),
        ("study", ["Abdomen 2", "knee", "abdomen 10%", "Thorax"]),
    ],
)
def test_a_list_is_sorted_both_ways(looked_at: Store, by: SortKey, wanted: list[str]) -> None:
    assert names(looked_at, by=by) == wanted
    backwards = looked_at.case_page(order=CaseOrder(by, descending=True)).cases
    assert [case.name for case in backwards] == wanted[::-1]


def test_a_list_is_sorted_by_status_and_by_change(store: Store, listed: dict[str, str]) -> None:
    store.set_status(listed["Thorax"], "rejected", "breath")
    store.append(store.add_session(listed["knee"]).id, 0, LESION)

    assert names(store, by="status") == ["abdomen 10%", "Abdomen 2", "knee", "Thorax"]
    assert names(store, by="changed") == ["abdomen 10%", "Abdomen 2", "Thorax", "knee"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (CaseFilter(text="ABDOMEN"), ["abdomen 10%", "Abdomen 2"]),
        (CaseFilter(text="jane  abd"), ["Abdomen 2"]),
        (CaseFilter(text="öz"), ["Thorax"]),
        (CaseFilter(text="stag"), ["Abdomen 2"]),
        (CaseFilter(text="0%"), ["abdomen 10%"]),
        (CaseFilter(text="_"), []),
        (CaseFilter(project="livers"), ["abdomen 10%"]),
        (CaseFilter(modality="CT"), ["Thorax", "Abdomen 2"]),
        (CaseFilter(text="o", modality="CT"), ["Thorax", "Abdomen 2"]),
        (CaseFilter(date_of="study", until=date(2023, 1, 31)), ["abdomen 10%"]),
        (CaseFilter(date_of="study", since=date(2023, 2, 1)), ["Thorax"]),
        (CaseFilter(since=date(2999, 1, 1)), []),
        (CaseFilter(date_of="changed", until=date(2000, 1, 1)), []),
    ],
)
def test_a_filter_finds(looked_at: Store, wanted: CaseFilter, found: list[str]) -> None:
    page = looked_at.case_page(wanted)

    assert [case.name for case in page.cases] == found
    assert page.total == len(found)


@pytest.mark.parametrize(("few", "some"), [(500, 1000), (0, 1000), (0, 0)])
def test_labels_and_statuses_are_filters(
    store: Store, listed: dict[str, str], monkeypatch: pytest.MonkeyPatch, few: int, some: int
) -> None:
    """By the ids of what is found, by looking them up, and by walking the list."""
    monkeypatch.setattr(worklist, "FEW", few)
    monkeypatch.setattr(worklist, "SOME", some)
    first, second = store.add_session(listed["knee"]).id, store.add_session(listed["Thorax"]).id
    store.append(first, 0, LESION)
    store.append(first, 1, CLICK)
    store.append(second, 0, LESION)
    store.append(second, 1, Defined(Label(1, "liver", PALETTE[0])))
    store.set_status(listed["Thorax"], "done")

    assert names(store, CaseFilter(label="lesion")) == ["knee"]
    assert names(store, CaseFilter(label="liver")) == ["Thorax"]
    assert names(store, CaseFilter(statuses=("begun", "done"))) == ["Thorax", "knee"]
    page = store.case_page(CaseFilter(text="n", statuses=("untouched",)))
    assert [case.name for case in page.cases] == ["abdomen 10%", "Abdomen 2"]
    assert (page.total, dict(page.totals)) == (2, {"untouched": 2, "begun": 1, "done": 0, "rejected": 0, "accepted": 0})
    choices = store.choices()
    assert (choices.projects, choices.modalities) == (("default", "livers"), ("CT", "MR"))
    assert set(choices.labels) == {"lesion", "liver"}


def test_pages_make_the_list_whatever_it_is_sorted_by(store: Store) -> None:
    ids = {store.add_case("the same", image()).id for _ in range(5)}

    for by in SORT_KEYS:
        for descending in (False, True):
            order = CaseOrder(by, descending)
            pages = [store.case_page(order=order, offset=offset, limit=2).cases for offset in (0, 2, 4)]
            whole = [case.id for page in pages for case in page]
            assert [len(page) for page in pages] == [2, 2, 1] and set(whole) == ids
            assert [store.place_of(one, order=order) for one in whole] == list(range(5))
            following = [store.neighbour(one, order=order) for one in whole]
            assert [case.id if case else None for case in following] == [*whole[1:], None]
            before = [store.neighbour(one, order=order, back=True) for one in whole]
            assert [case.id if case else None for case in before] == [None, *whole[:-1]]


def test_a_page_round_a_case_holds_it(looked_at: Store) -> None:
    knee = next(case.id for case in looked_at.cases() if case.name == "knee")
    page = looked_at.case_page(limit=2, around=knee)
    assert (page.offset, [case.name for case in page.cases]) == (2, ["Abdomen 2", "knee"])

    hidden = looked_at.case_page(CaseFilter(modality="CT"), limit=2, around=knee)
    assert hidden.offset == 0 and looked_at.place_of(knee, CaseFilter(modality="CT")) is None


def test_the_next_open_case_follows_one_that_the_list_hides(store: Store, listed: dict[str, str]) -> None:
    to_do = CaseFilter(statuses=("untouched", "begun"))
    store.set_status(listed["abdomen 10%"], "done")
    store.set_status(listed["Thorax"], "done")

    following = store.neighbour(listed["Thorax"], to_do)
    assert following is not None and following.name == "Abdomen 2"
    assert store.neighbour(listed["knee"], to_do) is None
    with pytest.raises(NotFoundError, match="no case"):
        store.neighbour("nobody", to_do)


def test_the_first_mark_begins_a_case_and_a_status_says_who(store: Store, listed: dict[str, str]) -> None:
    case = listed["knee"]
    session = store.add_session(case).id
    store.append(session, 0, LESION, user="ada")
    assert store.case(case).status == "untouched"
    store.append(session, 1, CLICK, user="ada")
    begun = store.case(case)
    assert (begun.status, begun.status_by, begun.interactions) == ("begun", "ada", 1)

    done = store.set_status(case, "done", "all of it", user="ben")
    assert (done.status, done.comment, done.status_by) == ("done", "all of it", "ben")
    assert done.status_at is not None and done.changed == done.status_at
    assert names(store, CaseFilter(text="ALL of")) == ["knee"]

    assert store.set_status(case, "open").status == "begun"
    assert store.set_status(listed["Thorax"], "rejected").status == "rejected"
    assert store.set_status(listed["Thorax"], "open").status == "untouched"


def test_a_mark_on_a_case_that_is_done_begins_it_again(store: Store, listed: dict[str, str]) -> None:
    session = store.add_session(listed["knee"]).id
    for position, event in enumerate(STEPS):
        store.append(session, position, event)
    store.set_status(listed["knee"], "done", "fine")

    store.append(session, 2, LIVER)
    assert store.case(listed["knee"]).status == "done"  # a name changes no mask
    store.append(session, 3, Undone())

    again = store.case(listed["knee"])
    assert (again.status, again.comment) == ("begun", "fine")


def test_pauses_are_no_work(store: Store, listed: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    case, now = listed["knee"], datetime(2030, 1, 1, tzinfo=UTC)
    session, other = store.add_session(case).id, store.add_session(case).id
    script: list[tuple[str, int, Event, int]] = [
        (session, 0, LESION, 0), (session, 1, CLICK, 10), (other, 0, LESION, 15), (session, 2, Removed(1), 40),
        (session, 3, Undone(), 101), (session, 4, Redone(), 161),
    ]  # fmt: skip
    for where, position, event, second in script:
        monkeypatch.setattr("segmend.store.store._now", lambda second=second: now + timedelta(seconds=second))
        store.append(where, position, event)

    found = store.case(case)
    assert found.seconds == pytest.approx(10 + 30 + 60)  # from 40 to 101 somebody was elsewhere
    assert found.interactions == 4
    assert found.changed == now + timedelta(seconds=161)


def test_what_cannot_be_kept_is_refused(store: Store, listed: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="done, rejected, accepted or open; got 'begun'"):
        store.set_status(listed["knee"], "begun")
    with pytest.raises(SettingsError, match="at most 1000 readable characters"):
        store.set_status(listed["knee"], "done", "x" * 1001)
    with pytest.raises(SettingsError, match="search needs readable"):
        store.case_page(CaseFilter(text="a\0"))
    with pytest.raises(SettingsError, match="YYYY-MM-DD; got 'May'"):
        store.add_case("a", image(), study_date="May")
    with pytest.raises(NotFoundError, match="no case"):
        store.set_status("nobody", "done")


def test_a_name_that_is_taken_gets_a_number(store: Store, listed: dict[str, str]) -> None:
    assert store.free_name("KNEE") == "KNEE (2)"
    store.add_case("knee (2)", image())
    assert store.free_name("knee") == "knee (3)"
    assert store.free_name("knee", project="livers") == "knee"
    assert store.free_name("kn") == "kn"


def test_of_a_case_that_is_done_all_labels_are_accepted(store: Store, listed: dict[str, str]) -> None:
    session = store.add_session(listed["knee"]).id
    for position, event in enumerate(STEPS):
        store.append(session, position, event)
    store.answer(session, 1, patch(0))
    assert accepted_cases(store) == ()

    store.set_status(listed["knee"], "done")
    (found,) = accepted_cases(store)
    assert found.read().labels[0, 0, 0] == 1

    store.set_status(listed["knee"], "rejected")
    assert accepted_cases(store) == ()


def test_an_older_store_gets_a_worklist_from_its_events(store: Store, listed: dict[str, str]) -> None:
    session = store.add_session(listed["knee"]).id
    for position, event in enumerate((*STEPS, CLICK)):
        store.append(session, position, event, user="ada")
    before = store.case(listed["knee"])
    with store._database.writing() as connection:
        drop_worklist(connection)
        connection.execute(text("UPDATE cases SET crc32 = NULL"))  # it was of the patient, too
        connection.execute(text("UPDATE alembic_version SET version_num = '0003'"))

    store._database._migrate(store._database._engine)

    after = store.case(listed["knee"])
    assert (after.status, after.status_by, after.interactions) == ("begun", "ada", 2)
    assert after.seconds == pytest.approx(before.seconds) and after.changed == before.changed
    assert store.case(listed["Thorax"]).status == "untouched" and store.case(listed["Thorax"]).patient == ""
    assert names(store, CaseFilter(text="thor")) == ["Thorax"]
    assert names(store, CaseFilter(label="lesion")) == ["knee"]
    assert names(store, by="name") == ["abdomen 10%", "Abdomen 2", "knee", "Thorax"]


@pytest.mark.parametrize("kind", ["sqlite_place", "s3_place"])
def test_a_thumbnail_is_kept_and_made_again_when_it_is_damaged(kind: str, request: pytest.FixtureRequest) -> None:
    place: Place = request.getfixturevalue(kind)
    with place.open() as store:
        case = store.add_case("a", image(channels=3)).id
        first = store.thumbnail(case)
        key = f"cases/{case}/thumbnail.png"
        assert store.thumbnail_checksum(case) == store.blob_checksum(key)
        assert [finding.damage for finding in verify(store) if finding.damage] == []

        with store._blobs.writer(key) as file:
            file.write(b"not what was written")

        assert store.thumbnail(case) == first
        assert store.thumbnail_checksum(case) == store.blob_checksum(key)
        store.delete_case(case)
        assert store._blobs.keys(f"cases/{case}") == []


@pytest.mark.parametrize("shape", [(1, 900, 40), (5, 30, 2000)])
def test_of_a_large_slice_a_part_is_read(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    array = np.arange(np.prod(shape), dtype=np.int32).reshape(1, *shape)
    with (tmp_path / "a.npy").open("wb") as file:
        voxels.write(file, array)
    step = max(shape) // 100

    with (tmp_path / "a.npy").open("rb") as read:
        found = voxels.middle_slice(read, "a.npy", side=100)

    np.testing.assert_array_equal(found, array[:, shape[0] // 2, ::step, ::step])
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:2000])
    with (tmp_path / "a.npy").open("rb") as cut, pytest.raises(StoreError, match="a.npy is damaged"):
        voxels.middle_slice(cut, "a.npy", side=100)
