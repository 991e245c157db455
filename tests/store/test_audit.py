"""Who did what: kept with what was done, in a chain that shows what was changed in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import text

from segmend.core.prompts import Click
from segmend.core.session import PALETTE, Defined, Label, Prompted
from segmend.errors import ConflictError, SettingsError, StoreError
from segmend.store import Store
from segmend.store.audit import BEGINNING, LOCAL, AuditFilter, Deed, entry_row
from segmend.store.backup import backup, restore
from tests.store.conftest import Place
from tests.store.drawn import image
from tests.store.older import drop_audit


def worked(store: Store) -> str:
    """Have ada and a person without an account work at a case, and return its id."""
    case = store.by("ada").add_case("head of Jane Doe", image(), patient="DOE^JANE").id
    session = store.add_session(case, user="ada").id
    store.append(session, 0, Defined(Label(1, "lesion", PALETTE[0])), user="ada")
    store.append(session, 1, Prompted(Click((0, 1, 2)), 1, "graphcut"), user="ben")
    store.set_status(case, "accepted", user="ben")
    return case


def told(store: Store, **wanted: object) -> list[tuple[str, str]]:
    return [(one.person, one.action) for one in store.audit.entries(AuditFilter(**wanted))]  # type: ignore[arg-type]


def refused(store: Store, sentence: str) -> bool:
    """Tell whether the database itself refuses a change of the audit."""
    with pytest.raises((StoreError, ConflictError)) as caught, store.database.writing() as connection:
        connection.execute(text(sentence))
    return "only ever added to" in str(caught.value.__cause__)


@pytest.mark.parametrize("kind", ["sqlite_place", "postgres_place"])
def test_what_is_done_is_told_in_order_and_can_be_searched(kind: str, request: pytest.FixtureRequest) -> None:
    place: Place = request.getfixturevalue(kind)
    with place.open() as store:
        case = worked(store)
        store.accounts.add("eve", token="eve's long token", role="annotator")
        store.by("ada").accounts.set_role("eve", "reviewer", project="default")
        store.by("ben").delete_case(case)

        assert told(store) == [
            ("ada", "added"), ("ada", "added"), ("ada", "marked"), ("ben", "marked"), ("ben", "accepted"),
            (LOCAL, "account"), (LOCAL, "role"), ("ada", "role"), ("ben", "deleted"),
        ]  # fmt: skip
        entries = list(store.audit.entries())
        assert [one.number for one in entries] == list(range(1, 10))
        assert entries[-2].detail == {"of": "eve", "role": "reviewer", "before": None}
        assert {one.case for one in entries if one.action == "marked"} == {case}
        assert "Doe" not in str([entry_row(one) for one in entries])
        assert "DOE" not in str([entry_row(one) for one in entries])

        assert told(store, person="ben", case=case) == [("ben", "marked"), ("ben", "accepted"), ("ben", "deleted")]
        assert told(store, action="role", project="default") == [("ada", "role")]
        there = entries[4].at.astimezone(timezone(timedelta(hours=5)))
        assert told(store, since=there)[0] == ("ben", "accepted")
        assert told(store, until=there)[-1] == ("ben", "marked")
        assert [one.number for one in store.audit.newest(limit=2, before=9)] == [8, 7]
        assert [one.number for one in store.audit.entries(after=2, limit=3)] == [3, 4, 5]
        assert store.audit.verify().damage == ()


def test_a_search_for_what_no_database_takes_is_refused(sqlite_place: Place) -> None:
    with sqlite_place.open() as store:
        with pytest.raises(SettingsError, match="readable characters"):
            list(store.audit.entries(AuditFilter(person="a\0")))
        with pytest.raises(SettingsError, match="a time of this era"):
            list(store.audit.entries(AuditFilter(since=datetime.min.replace(tzinfo=timezone(timedelta(hours=5))))))


def test_nothing_that_failed_is_told(sqlite_place: Place) -> None:
    with sqlite_place.open() as store:
        case = worked(store)
        session = store.sessions(case)[0].id
        before = store.audit.head()
        with pytest.raises(ConflictError):
            store.append(session, 0, Defined(Label(2, "late", PALETTE[1])), user="ada")
        with pytest.raises(ConflictError):
            store.by("ada").add_project("default")
        assert store.audit.head() == before


def test_names_that_the_audit_uses_are_nobodys(sqlite_place: Place) -> None:
    with sqlite_place.open() as store, pytest.raises(SettingsError, match="'Local' stands for nobody's account"):
        store.accounts.add("Local", password="long enough")


@pytest.mark.parametrize("kind", ["sqlite_place", "postgres_place"])
def test_the_database_itself_keeps_entries(kind: str, request: pytest.FixtureRequest) -> None:
    place: Place = request.getfixturevalue(kind)
    with place.open() as store:
        worked(store)
        sentences = ["UPDATE audit SET person = 'eve'", "DELETE FROM audit WHERE number = 5"]
        sentences += [] if kind == "sqlite_place" else ["TRUNCATE audit"]
        for sentence in sentences:
            assert refused(store, sentence)
        assert store.audit.verify().entries == 5


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("UPDATE audit SET person = 'eve' WHERE number = 3", "Entry 3 of the audit is not what was written"),
        ("UPDATE audit SET detail = '{}' WHERE number = 3", "Entry 3 of the audit is not what was written"),
        ("DELETE FROM audit WHERE number IN (2, 3)", "Behind entry 1 of the audit 2 are missing."),
        ("DELETE FROM audit WHERE number = 5", ""),
    ],
)
def test_who_writes_past_the_guards_is_found_out(sqlite_place: Place, sentence: str, said: str) -> None:
    with sqlite_place.open() as store:
        worked(store)
        head = store.audit.head()
        with store.database.writing() as connection:
            for guard in ("audit_no_update", "audit_no_delete"):
                connection.execute(text(f"DROP TRIGGER {guard}"))
            connection.execute(text(sentence))
        assert [line[: len(said)] for line in store.audit.verify().damage] == ([said] if said else [])
        found = store.audit.verify(head)
        assert len(found.damage) == 1
        if not said:
            assert found.damage[0].startswith("Entry 5 of the audit is not there any more: entries were taken away")


def test_a_head_tells_that_the_whole_chain_was_made_anew(sqlite_place: Place) -> None:
    with sqlite_place.open() as store:
        worked(store)
        number, digest = store.audit.head()
        assert store.audit.verify((number, digest)).damage == ()
        assert "has another hash" in store.audit.verify((number, BEGINNING)).damage[0]


@pytest.mark.parametrize("kind", ["sqlite_place", "postgres_place"])
def test_an_older_store_gets_an_audit(kind: str, request: pytest.FixtureRequest) -> None:
    place: Place = request.getfixturevalue(kind)
    with place.open() as store:
        case = worked(store)
        with store.database.writing() as connection:
            drop_audit(connection)
            connection.execute(text("UPDATE alembic_version SET version_num = '0013'"))
    with place.open() as store:
        assert store.audit.verify().entries == 0
        store.by("ada").delete_case(case)
        assert told(store) == [("ada", "deleted")]
        assert refused(store, "DELETE FROM audit")


def test_two_servers_make_one_chain(postgres_place: Place) -> None:
    with postgres_place.open() as one, postgres_place.open() as other:
        for number in range(3):
            one.audit.add(Deed("ada", "login", detail={"number": number}))
            other.audit.add(Deed("ben", "login", detail={"number": number}), Deed("ben", "logout"))
        assert one.audit.verify().entries == 9
        assert one.audit.verify().damage == ()


def test_a_backup_takes_new_entries_and_never_other_ones(sqlite_place: Place, tmp_path: Path) -> None:
    with sqlite_place.open() as store:
        worked(store)
        backup(store, tmp_path / "copy")
        store.audit.add(Deed("ada", "logout"))
        backup(store, tmp_path / "copy")
        head = store.audit.head()
    with Store.local(tmp_path / "copy") as copy:
        assert copy.audit.head() == head
        assert copy.audit.verify().damage == ()
    with Store.local(tmp_path / "other") as other:
        other.audit.add(Deed("ada", "login"))
        with pytest.raises(SettingsError, match="has an audit of its own"):
            restore(tmp_path / "copy", other)
    with Store.local(tmp_path / "new") as new:
        restore(tmp_path / "copy", new)
        assert new.audit.head() == head
        assert datetime.now(UTC) - next(new.audit.entries()).at < timedelta(hours=1)
