"""Roles of people in projects, and invitations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text, update

from segmend.errors import ConflictError, NotFoundError, SettingsError
from segmend.store import Store, tables
from tests.store.conftest import Place
from tests.store.older import drop_roles


def test_a_role_is_for_all_projects_or_for_one(place: Place) -> None:
    with place.open() as store:
        store.add_project("lungs")
        accounts = store.accounts
        accounts.add("ada", role="reviewer")
        accounts.add("eve", role="annotator", project="lungs")
        accounts.set_role("ada", "admin", project="lungs")

        assert accounts.roles("ada").at("lungs") == "admin" and accounts.roles("ada").at("default") == "reviewer"
        assert accounts.roles("eve").at("lungs") == "annotator" and accounts.roles("eve").at("default") is None
        assert accounts.roles("").at("lungs") == "admin" and accounts.roles("who").at("lungs") is None
        assert [(one.user.name, one.role) for one in accounts.members("lungs")] == [
            ("ada", "admin"), ("eve", "annotator"),
        ]  # fmt: skip
        accounts.set_role("ada", None, project="lungs")
        accounts.set_role("eve", None, project="lungs")
        assert [(one.user.name, one.role) for one in accounts.members("lungs")] == [("ada", "reviewer")]
        accounts.remove("ada")
        assert accounts.roles("ada").everywhere is None and accounts.members("lungs") == []


def test_what_is_no_role_or_no_project_is_refused(sqlite_place: Place) -> None:
    with sqlite_place.open() as store:
        store.accounts.add("ada")
        with pytest.raises(SettingsError, match="A role is annotator, reviewer or admin; got 'king'"):
            store.accounts.set_role("ada", "king")  # type: ignore[arg-type]
        with pytest.raises(NotFoundError, match="There is no project 'moon'"):
            store.accounts.set_role("ada", "admin", project="moon")
        with pytest.raises(NotFoundError, match="There is no project 'moon'"):
            store.accounts.add("eve", project="moon")
        assert [user.name for user in store.accounts.everybody()] == ["ada"]


def test_an_invitation_sets_a_password_once(place: Place) -> None:
    with place.open() as store:
        accounts = store.accounts
        accounts.add("ada")
        first, code = accounts.invite("ada"), accounts.invite("ada")

        assert accounts.invited(first) is None and accounts.invited(code) == "ada" and accounts.invited("") is None
        with pytest.raises(SettingsError, match="8 to 1000 characters"):
            accounts.accept(code, "short")
        assert accounts.accept(code, "long enough") == "ada"
        assert accounts.with_password("ada", "long enough") is not None
        assert accounts.accept(code, "another one") is None
        with pytest.raises(ConflictError, match="ada has a password already"):
            accounts.invite("ada")


def test_an_invitation_ends(tmp_path: Path) -> None:
    with Store.local(tmp_path) as store:
        store.accounts.add("ada")
        code = store.accounts.invite("ada", days=1)
        with pytest.raises(SettingsError, match="at most 90 days; got 91"):
            store.accounts.invite("ada", days=91)
        store.accounts.disable("ada")
        assert store.accounts.invited(code) is None
        store.accounts.disable("ada", disabled=False)
        with store.database.writing() as connection:
            connection.execute(update(tables.invitations).values(expires=datetime.now(UTC) - timedelta(seconds=1)))
        assert store.accounts.invited(code) is None and store.accounts.accept(code, "long enough") is None


def test_who_was_a_user_before_may_still_do_everything(tmp_path: Path) -> None:
    with Store.local(tmp_path) as store:
        store.accounts.add("ada")
        with store.database.writing() as connection:
            drop_roles(connection)
            connection.execute(text("UPDATE alembic_version SET version_num = '0009'"))
    with Store.local(tmp_path) as store:
        assert store.accounts.get("ada").role == "admin"
        assert store.accounts.add("eve").role == "annotator"
