"""The people of a store: each has a password, a token, or both, of which only hashes are kept.

A password is for a person at a login page (argon2id), a token for programs and viewers. Whoever is disabled gets in by
neither; what they did stays, with their name.

A person has a role in all projects, or other ones in single projects (`records.Roles`). Somebody who is invited has
neither password nor token until they choose a password with the code of their invitation, which works once.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from collections.abc import Mapping
from copy import copy
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from segmend.errors import ConflictError, ForbiddenError, NotFoundError, SettingsError
from segmend.store import tables
from segmend.store.audit import LOCAL, SERVER, UNKNOWN, Deed, note
from segmend.store.database import Database
from segmend.store.quota import check_limit
from segmend.store.records import EVERYTHING_ALLOWED, ROLES, Member, Role, Roles, User, readable

# Least characters of a user's token, and of a password; and the most that is hashed of what somebody sends.
TOKEN_LENGTH, PASSWORD_LENGTH, MOST = 16, 8, 1000

# Days after which an invitation opens nothing, and the most that somebody may ask for.
INVITATION_DAYS, MOST_DAYS = 7.0, 90.0

USERS, MEMBERS, INVITATIONS = tables.users, tables.members, tables.invitations


class Accounts:
    """The users of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by = ""  # who changes something
        self._hasher = PasswordHasher()
        self._nobodys = ""  # a hash that no password has, made when it is first needed

    def by(self, user: str) -> Self:
        """Return the same accounts for who changes them, as the audit is to say."""
        signed = copy(self)
        signed._by = user
        return signed

    def add(
        self,
        name: str,
        *,
        token: str | None = None,
        password: str | None = None,
        role: Role | None = "annotator",
        project: str | None = None,
    ) -> User:
        """Return a new user, with this role in one project, or in all; ConflictError where name or token is taken."""
        _check_name(name)
        _check_role(role)
        hashed, digest = self._hash(password), _token_digest(token)
        with self._database.writing() as connection:
            taken = USERS.c.name == name
            if digest is not None:
                taken |= USERS.c.token_hash == digest
            if connection.scalar(select(func.count()).where(taken)):
                raise ConflictError(f"The user {name!r} or this token exists already; choose another.")
            row = {"name": name, "token_hash": digest, "password_hash": hashed, "created": datetime.now(UTC)}
            everywhere = role if project is None else None
            connection.execute(insert(USERS).values(**row, disabled=False, role=everywhere))
            if project is not None and role is not None:
                _check_project(connection, project)
                connection.execute(insert(MEMBERS).values(project=project, user=name, role=role))
            ways = {"password": hashed is not None, "token": digest is not None}
            note(
                connection,
                Deed(self._by, "account", detail={"of": name, "what": "added", **ways}),
                Deed(self._by, "role", project or "", detail={"of": name, "role": role}),
            )
        return self.get(name)

    def everybody(self) -> list[User]:
        """Return all users by name."""
        with self._database.reading() as connection:
            return [_user(row) for row in connection.execute(select(USERS).order_by(USERS.c.name))]

    def get(self, name: str) -> User:
        """Return one user; NotFoundError where there is none of this name."""
        with self._database.reading() as connection:
            return _user(self._row(connection, name))

    def is_one(self, name: str) -> bool:
        """Tell whether there is a user of this name."""
        with self._database.reading() as connection:
            query = select(USERS.c.name).where(USERS.c.name == name)
            return readable(name) and connection.scalar(query) is not None

    def set_token(self, name: str, token: str | None) -> None:
        """Give a user another token, or none; the old one then opens nothing."""
        digest = _token_digest(token)
        with self._database.writing() as connection:
            self._row(connection, name)
            if digest is not None and connection.scalar(
                select(func.count()).where(USERS.c.token_hash == digest, USERS.c.name != name)
            ):
                raise ConflictError("Somebody has this token already; choose another.")
            connection.execute(update(USERS).where(USERS.c.name == name).values(token_hash=digest))
            note(connection, Deed(self._by, "account", detail={"of": name, "what": _what("token", digest)}))

    def set_password(self, name: str, password: str | None) -> None:
        """Give a user another password, or none; whoever logged in with the old one is logged out."""
        self._change(name, _what("password", password), password_hash=self._hash(password))

    def note_logins_ended(self, name: str, number: int) -> None:
        """Have the audit say that so many logins of a user were ended."""
        with self._database.writing() as connection:
            self._row(connection, name)
            note(connection, Deed(self._by, "account", detail={"of": name, "what": "logins ended", "logins": number}))

    def disable(self, name: str, *, disabled: bool = True) -> None:
        """Let a user in no longer, or again."""
        self._change(name, "disabled" if disabled else "enabled", disabled=disabled)

    def set_max_bytes(self, name: str, max_bytes: int | None) -> None:
        """Let the cases that a user adds have so many bytes; 0: any number, None: as everybody's."""
        check_limit(max_bytes)
        with self._database.writing() as connection:
            self._row(connection, name)
            connection.execute(update(USERS).where(USERS.c.name == name).values(max_bytes=max_bytes))
            note(connection, Deed(self._by, "account", detail={"of": name, "what": "limit", "max bytes": max_bytes}))

    def remove(self, name: str) -> None:
        """Delete a user, whose token and password then open nothing; what the user did stays."""
        with self._database.writing() as connection:
            self._row(connection, name)
            connection.execute(delete(USERS).where(USERS.c.name == name))
            note(connection, Deed(self._by, "account", detail={"of": name, "what": "removed"}))

    # Roles

    def roles(self, name: str) -> Roles:
        """Return what somebody is; the empty name is whoever uses the server without an account, and may everything."""
        if not name:
            return EVERYTHING_ALLOWED
        with self._database.reading() as connection:
            everywhere = connection.scalar(select(USERS.c.role).where(USERS.c.name == name))
            rows = connection.execute(select(MEMBERS).where(MEMBERS.c.user == name)).all()
        return Roles(everywhere, {row.project: row.role for row in rows})

    def set_role(self, name: str, role: Role | None, *, project: str | None = None) -> None:
        """Give a user a role in all projects, or in one; None takes it away."""
        _check_role(role)
        with self._database.writing() as connection:
            before = self._row(connection, name).role
            if project is None:
                connection.execute(update(USERS).where(USERS.c.name == name).values(role=role))
            else:
                _check_project(connection, project)
                here = (MEMBERS.c.user == name) & (MEMBERS.c.project == project)
                before = connection.scalar(select(MEMBERS.c.role).where(here))
                connection.execute(delete(MEMBERS).where(here))
                if role is not None:
                    connection.execute(insert(MEMBERS).values(project=project, user=name, role=role))
            note(connection, Deed(self._by, "role", project or "", detail={"of": name, "role": role, "before": before}))

    def roles_of_all(self) -> dict[str, Roles]:
        """Return what everybody is, by name."""
        with self._database.reading() as connection:
            users = connection.execute(select(USERS.c.name, USERS.c.role)).all()
            found: dict[str, dict[str, Role]] = {user.name: {} for user in users}
            for row in connection.execute(select(MEMBERS).order_by(MEMBERS.c.project)):
                found[row.user][row.project] = row.role
        return {user.name: Roles(user.role, found[user.name]) for user in users}

    def members(self, project: str) -> list[Member]:
        """Return who has a role in a project, by name."""
        with self._database.reading() as connection:
            _check_project(connection, project)
            rows = connection.execute(select(MEMBERS).where(MEMBERS.c.project == project)).all()
            own = {row.user: row.role for row in rows}
            users = [_user(row) for row in connection.execute(select(USERS).order_by(USERS.c.name))]
        found = [(user, Roles(user.role, {project: own[user.name]} if user.name in own else {})) for user in users]
        return [Member(user, role) for user, roles in found if (role := roles.at(project)) is not None]

    def are_there(self) -> bool:
        """Tell whether there are users at all."""
        with self._database.reading() as connection:
            return connection.scalar(select(USERS.c.name).limit(1)) is not None

    # People whom a provider of logins knows

    def with_subject(
        self, subject: str, name: str, everywhere: Role | None, projects: Mapping[str, Role] | None, *, link: bool
    ) -> tuple[str, str]:
        """Return the user whom a provider knows by this subject, made when there is none, with the key of a login.

        `projects` are all roles that the user then has; None leaves those of a user that is there as they are. With
        `link` a user of this name is theirs who is there already; ConflictError without, ForbiddenError for one who
        is disabled.
        """
        _check_name(name)
        deeds: list[Deed] = []
        with self._database.writing() as connection:
            row = connection.execute(select(USERS).where(USERS.c.subject == subject)).first()
            if row is None:
                row = connection.execute(select(USERS).where(USERS.c.name == name)).first()
                if row is not None and (not link or row.subject is not None):
                    raise ConflictError(f"There is another account {name!r} here; ask who runs this server.")
                if row is None:
                    values = {"name": name, "created": datetime.now(UTC), "disabled": False, "subject": subject}
                    connection.execute(insert(USERS).values(**values, role=everywhere))
                    deeds.append(
                        Deed(self._by, "account", detail={"of": name, "what": "added by a provider of logins"})
                    )
                    deeds.append(Deed(self._by, "role", detail={"of": name, "role": everywhere}))
                else:
                    connection.execute(update(USERS).where(USERS.c.name == name).values(subject=subject))
                    deeds.append(
                        Deed(self._by, "account", detail={"of": name, "what": "linked to a provider of logins"})
                    )
                row = connection.execute(select(USERS).where(USERS.c.name == name)).one()
            if row.disabled:
                raise ForbiddenError(f"{row.name} may not log in here any longer.")
            if projects is not None:
                deeds += self._take_roles(connection, row, everywhere, projects)
            note(connection, *deeds)
        return row.name, _subject_key(subject)

    def _take_roles(
        self, connection: Connection, row: Row[Any], everywhere: Role | None, projects: Mapping[str, Role]
    ) -> list[Deed]:
        """Make somebody's roles these; return what the audit is to say."""
        known = set(connection.scalars(select(tables.projects.c.name).where(tables.projects.c.name.in_(projects))))
        wanted: dict[str | None, Role | None] = {None: everywhere, **{name: projects[name] for name in known}}
        has: dict[str | None, Role | None] = {None: row.role}
        has |= {one.project: one.role for one in connection.execute(select(MEMBERS).where(MEMBERS.c.user == row.name))}
        deeds = []
        for project in sorted({*wanted, *has}, key=lambda name: name or ""):
            role, before = wanted.get(project), has.get(project)
            if role == before:
                continue
            if project is None:
                connection.execute(update(USERS).where(USERS.c.name == row.name).values(role=role))
            else:
                connection.execute(delete(MEMBERS).where(MEMBERS.c.user == row.name, MEMBERS.c.project == project))
                if role is not None:
                    connection.execute(insert(MEMBERS).values(project=project, user=row.name, role=role))
            deeds.append(Deed(self._by, "role", project or "", detail={"of": row.name, "role": role, "before": before}))
        return deeds

    # Invitations

    def invite(self, name: str, *, days: float = INVITATION_DAYS) -> str:
        """Return the code with which a user chooses a password, once; an earlier one opens nothing any more.

        ConflictError where the user has a password already: that is theirs alone to change.
        """
        if not 0 < days <= MOST_DAYS:
            raise SettingsError(f"An invitation lasts more than 0 and at most {MOST_DAYS:.0f} days; got {days:g}.")
        code = secrets.token_urlsafe(32)
        with self._database.writing() as connection:
            if self._row(connection, name).password_hash is not None:
                raise ConflictError(f"{name} has a password already; segmend user password {name} gives another one.")
            connection.execute(delete(INVITATIONS).where(INVITATIONS.c.user == name))
            expires = datetime.now(UTC) + timedelta(days=days)
            connection.execute(insert(INVITATIONS).values(user=name, code_hash=token_hash(code), expires=expires))
            note(connection, Deed(self._by, "account", detail={"of": name, "what": "invited"}))
        return code

    def invited(self, code: str) -> str | None:
        """Return whom the code of an invitation is for; None where it opens nothing, or not any longer."""
        with self._database.reading() as connection:
            return _invited(connection, code)

    def accept(self, code: str, password: str) -> str | None:
        """Give the user of an invitation this password and return their name; None where the code opens nothing."""
        hashed = self._hash(password)
        with self._database.writing() as connection:
            name = _invited(connection, code)
            if name is not None:
                connection.execute(update(USERS).where(USERS.c.name == name).values(password_hash=hashed))
                connection.execute(delete(INVITATIONS).where(INVITATIONS.c.user == name))
                note(connection, Deed(name, "account", detail={"of": name, "what": "invitation accepted"}))
        return name

    # Who is it

    def with_token(self, token: str) -> str | None:
        """Return the name of the user with this token; None when there is none, or not let in."""
        with self._database.reading() as connection:
            query = select(USERS.c.name).where(USERS.c.token_hash == token_hash(token), USERS.c.disabled.is_(False))
            name: str | None = connection.scalar(query)
        return name

    def with_password(self, name: str, password: str) -> str | None:
        """Return the key of a user's login where name and password are right, else None; it takes as long for both."""
        with self._database.reading() as connection:
            row = connection.execute(select(USERS).where(USERS.c.name == name)).first() if readable(name) else None
        known = row is not None and not row.disabled and row.password_hash is not None
        self._nobodys = self._nobodys or self._hasher.hash("")
        hashed = row.password_hash if row is not None and known else self._nobodys
        try:
            self._hasher.verify(hashed, _normal(password))
        except (VerificationError, InvalidHashError):
            return None
        return _password_key(hashed) if known else None

    def has_key(self, name: str, key: str) -> bool:
        """Tell whether a login that was begun with this key is still one of this user."""
        with self._database.reading() as connection:
            row = connection.execute(select(USERS).where(USERS.c.name == name)).first()
        if row is None or row.disabled:
            return False
        if row.subject is not None and key == _subject_key(row.subject):
            return True
        return key == row.token_hash or (row.password_hash is not None and key == _password_key(row.password_hash))

    def _change(self, name: str, what: str, **values: Any) -> None:
        with self._database.writing() as connection:
            self._row(connection, name)
            connection.execute(update(USERS).where(USERS.c.name == name).values(**values))
            note(connection, Deed(self._by, "account", detail={"of": name, "what": what}))

    def _row(self, connection: Connection, name: str) -> Row[Any]:
        row = connection.execute(select(USERS).where(USERS.c.name == name)).first() if readable(name) else None
        if row is None:
            raise NotFoundError(f"There is no user {name!r}.")
        return row

    def _hash(self, password: str | None) -> str | None:
        if password is None:
            return None
        if not PASSWORD_LENGTH <= len(password) <= MOST:
            raise SettingsError(f"A password needs {PASSWORD_LENGTH} to {MOST} characters; got {len(password)}.")
        return self._hasher.hash(_normal(password))


def token_hash(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _token_digest(token: str | None) -> str | None:
    if token is not None and len(token) < TOKEN_LENGTH:
        raise SettingsError(f"A token needs at least {TOKEN_LENGTH} characters; got {len(token)}.")
    return None if token is None else token_hash(token)


def _password_key(hashed: str) -> str:
    """Return what a login remembers of a password: it ends when the password becomes another."""
    return hashlib.sha256(hashed.encode()).hexdigest()


def _subject_key(subject: str) -> str:
    """Return what a login remembers of a provider's subject."""
    return hashlib.sha256(f"subject {subject}".encode()).hexdigest()


def _normal(password: str) -> bytes:
    """Return the bytes of a password, the same however a keyboard puts its accents together."""
    return unicodedata.normalize("NFKC", password[:MOST]).encode("utf-8", "surrogatepass")


def _what(kind: str, given: str | None) -> str:
    return f"{kind} {'set' if given is not None else 'taken away'}"


def _check_name(name: str) -> None:
    if name.strip().casefold() in (LOCAL, SERVER, UNKNOWN):
        raise SettingsError(f"The name {name.strip()!r} stands for nobody's account in the audit; choose another.")
    if not name.strip() or len(name) > tables.NAME_LENGTH or not readable(name):
        raise SettingsError(f"A user's name needs 1 to {tables.NAME_LENGTH} readable characters; got {name[:40]!r}.")


def _check_role(role: str | None) -> None:
    if role is not None and role not in ROLES:
        raise SettingsError(f"A role is {', '.join(ROLES[:-1])} or {ROLES[-1]}; got {role[:40]!r}.")


def _check_project(connection: Connection, project: str) -> None:
    known = readable(project) and connection.scalar(
        select(tables.projects.c.name).where(tables.projects.c.name == project)
    )
    if not known:
        raise NotFoundError(f"There is no project {project!r}.")


def _invited(connection: Connection, code: str) -> str | None:
    query = select(INVITATIONS.c.user).join_from(INVITATIONS, USERS, INVITATIONS.c.user == USERS.c.name)
    found = (INVITATIONS.c.code_hash == token_hash(code)) & (INVITATIONS.c.expires > datetime.now(UTC))
    name: str | None = connection.scalar(query.where(found, USERS.c.disabled.is_(False)))
    return name


def _user(row: Row[Any]) -> User:
    known = (row.password_hash is not None, row.token_hash is not None)
    return User(row.name, row.created, row.disabled, *known, row.role, row.subject is not None, row.max_bytes)
