"""What is kept: projects, cases, sessions with their events and answers, masks, users.

Rows live in a `Database`, voxels in `Blobs`. The order of writing keeps the two together:
blobs first, then the row that speaks for them; a row goes before its blobs go. What a crash
leaves in between is named in the table `leftovers` and swept when the store is opened, so
no blob is ever deleted that this database did not itself name as nobody's.

Thread-safe. Several processes and servers may share one store: a position in an event log
is given once, and whoever comes second gets ConflictError and loads the session again.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, Self
from uuid import uuid4

import numpy as np
from sqlalchemy import URL, Column, Connection, Row, delete, func, insert, select

from segmend.core.image import Box, Image, LabelMap
from segmend.core.session import Event, Patch, Session, event_from_json, event_to_json
from segmend.errors import ConflictError, NotFoundError, SettingsError, ShapeError, StoreError
from segmend.store import tables, voxels
from segmend.store.blobs import Blobs
from segmend.store.changes import Changes
from segmend.store.database import TIMEOUT_SECONDS, Database
from segmend.store.records import CaseRecord, EventRecord, Project, SavedMask, SessionRecord, User

DEFAULT_PROJECT = "default"

# States of a leftover: its blobs are being written, or are to be deleted.
WRITING, DELETING = "writing", "deleting"
# Age at which blobs without a row are taken for a killed server's: no upload takes longer.
ABANDONED = timedelta(hours=1)
# Least characters of a user's token.
TOKEN_LENGTH = 16


class Store:
    """Everything that outlives the process.

    >>> from tempfile import TemporaryDirectory
    >>> from segmend.core.session import Defined, Label, PALETTE
    >>> with TemporaryDirectory() as folder, Store.local(folder) as store:
    ...     case = store.add_case("head", Image(np.zeros((1, 4, 5, 6), np.int16)))
    ...     sitting = store.add_session(case.id)
    ...     store.append(sitting.id, 0, Defined(Label(1, "lesion", PALETTE[0])))
    ...     store.session(sitting.id).labels[1].name
    'lesion'
    """

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs

    @classmethod
    def open(
        cls,
        database_url: str | URL,
        blobs_url: str,
        *,
        storage: Mapping[str, Any] | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> Self:
        """Return the store, its tables brought up to date and its leftovers swept.

        `storage` are options for fsspec (credentials, endpoint) that should not be in a URL;
        `timeout_seconds` is how long to wait for a database that is locked or does not answer.
        """
        database = Database(database_url, timeout_seconds=timeout_seconds)
        try:
            store = cls(database, Blobs(blobs_url, storage))
            store.sweep()
        except BaseException:
            database.close()
            raise
        return store

    @classmethod
    def local(cls, folder: str | Path) -> Self:
        """Return the store in a local folder, made when there is none."""
        root = Path(folder).absolute()
        return cls.open(URL.create("sqlite", database=str(root / "segmend.db")), str(root / "blobs"))

    def close(self) -> None:
        self._database.close()

    def changes(self) -> Changes:
        """Return a watch over what other servers and commands change here."""
        return self._database.changes()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Projects

    def add_project(self, name: str) -> Project:
        """Return a new project; ConflictError when there is one of this name."""
        project = Project(_name("project", name), _now())
        with self._database.writing() as connection:
            if connection.scalar(select(tables.projects.c.name).where(tables.projects.c.name == name)):
                raise ConflictError(f"There is a project {name!r} already; choose another name.")
            connection.execute(insert(tables.projects).values(name=project.name, created=project.created))
        return project

    def projects(self) -> list[Project]:
        """Return all projects by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(tables.projects).order_by(tables.projects.c.name)).all()
        return [Project(row.name, row.created) for row in rows]

    # Cases

    def add_case(
        self,
        name: str,
        image: Image,
        *,
        project: str = DEFAULT_PROJECT,
        modality: str = "",
        source: str | Path | None = None,
    ) -> CaseRecord:
        """Return a new case; `source` is the file or folder of its original DICOM, which is copied."""
        affine = tuple(tuple(float(v) for v in row) for row in image.affine)
        case = CaseRecord(
            id=uuid4().hex,
            name=_name("case", name),
            project=project,
            shape=image.shape,
            channels=image.channels,
            affine=affine,
            modality=_short("modality", modality),
            notes=image.notes,
            source=source is not None,
            created=_now(),
        )
        self._row("project", tables.projects.c.name, project)
        with self._write_blobs(_folder(case.id)):
            with self._blobs.writer(_image_key(case.id)) as file:
                voxels.write(file, image.voxels)
            if source is not None:
                self._copy_source(Path(source), f"{_folder(case.id)}/source")
            with self._database.writing() as connection:
                connection.execute(insert(tables.cases).values(_case_values(case)))
                _remove_leftover(connection, _folder(case.id))
        return case

    def cases(self, project: str | None = None) -> list[CaseRecord]:
        """Return all cases, or those of one project, oldest first."""
        query = select(tables.cases).order_by(tables.cases.c.created, tables.cases.c.id)
        if project is not None:
            self._row("project", tables.projects.c.name, project)
            query = query.where(tables.cases.c.project == project)
        with self._database.reading() as connection:
            return [_case(row) for row in connection.execute(query).all()]

    def case(self, case_id: str) -> CaseRecord:
        return _case(self._row("case", tables.cases.c.id, case_id))

    def image(self, case_id: str) -> Image:
        """Return the case's image; from a local folder its voxels are read when they are looked at."""
        case = self.case(case_id)
        key = _image_key(case.id)
        path = self._blobs.path(key)
        if path is not None:
            array = voxels.open_mapped(path)
        else:
            with self._blobs.reader(key) as file:
                array = voxels.read(file, key)
        if array.shape != (case.channels, *case.shape):
            raise StoreError(
                f"The blob {key} is damaged: it needs shape {(case.channels, *case.shape)}, not {array.shape}."
            )
        return Image(array, np.asarray(case.affine), case.notes, axes="zyx")

    @contextmanager
    def source_of(self, case_id: str) -> Iterator[Path]:
        """Give a local folder with the case's original DICOM files, to read and not to change."""
        case = self.case(case_id)
        if not case.source:
            raise NotFoundError(f"The case {case.name!r} was added without its original files.")
        folder = f"{_folder(case.id)}/source"
        path = self._blobs.path(folder)
        if path is not None:
            yield path
            return
        with TemporaryDirectory() as temporary:
            for key in self._blobs.keys(folder):
                target = Path(temporary, key.removeprefix(f"{folder}/"))
                target.parent.mkdir(parents=True, exist_ok=True)
                with self._blobs.reader(key) as origin, target.open("wb") as copy:
                    shutil.copyfileobj(origin, copy, 1 << 20)
            yield Path(temporary)

    def delete_case(self, case_id: str) -> None:
        """Delete a case with its sessions, masks and blobs."""
        self.case(case_id)
        with self._database.writing() as connection:
            connection.execute(delete(tables.cases).where(tables.cases.c.id == case_id))
            _add_leftover(connection, _folder(case_id), DELETING)
        self._discard(_folder(case_id))

    # Sessions

    def add_session(self, case_id: str, *, user: str = "") -> SessionRecord:
        """Return a new, empty session of a case."""
        record = SessionRecord(uuid4().hex, case_id, _user(user), _now())
        self.case(case_id)
        values = {"id": record.id, "case": case_id, "user": user, "created": record.created}
        with self._database.writing() as connection:
            connection.execute(insert(tables.sessions).values(values))
        return record

    def sessions(self, case_id: str) -> list[SessionRecord]:
        """Return the sessions of a case, oldest first."""
        self.case(case_id)
        table = tables.sessions
        query = select(table).where(table.c.case == case_id).order_by(table.c.created, table.c.id)
        with self._database.reading() as connection:
            return [_session(row) for row in connection.execute(query).all()]

    def session_record(self, session_id: str) -> SessionRecord:
        return _session(self._row("session", tables.sessions.c.id, session_id))

    def session(self, session_id: str) -> Session:
        """Return the session as its events and answers tell it."""
        shape = self.case(self.session_record(session_id).case).shape
        answers = self._answers(session_id)  # before the events: no answer may lack its event
        events = tuple(record.event for record in self.history(session_id))
        return Session(shape, events, MappingProxyType(answers))

    def history(self, session_id: str) -> list[EventRecord]:
        """Return the events with who put them there and when, oldest first."""
        self.session_record(session_id)
        table = tables.events
        query = select(table).where(table.c.session == session_id).order_by(table.c.position)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return [EventRecord(row.position, _event(row), row.user, row.created) for row in rows]

    def lengths(self, session_ids: Collection[str]) -> dict[str, tuple[int, int]]:
        """Return how many events and answers each of these sessions has; those that are gone are left out."""
        sessions, events, answers = tables.sessions.c, tables.events.c, tables.answers.c
        last = select(func.max(events.position)).where(events.session == sessions.id).scalar_subquery()
        answered = select(func.count()).where(answers.session == sessions.id).scalar_subquery()
        query = select(sessions.id, last, answered).where(sessions.id.in_(session_ids))
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return {name: (0 if last is None else last + 1, answered) for name, last, answered in rows}

    def append(self, session_id: str, position: int, event: Event, *, user: str = "") -> None:
        """Add an event to the log; it is durable when this returns.

        ConflictError when the log is not `position` events long: another server has added
        to it, so load the session again.
        """
        table = tables.events
        values = {"session": session_id, "position": position, "json": event_to_json(event), "user": _user(user)}
        self.session_record(session_id)
        with self._database.writing() as connection:
            last = connection.scalar(select(func.max(table.c.position)).where(table.c.session == session_id))
            length = 0 if last is None else last + 1
            if position != length:
                raise ConflictError(f"The session has {length} events, so {position} is not the next; load it again.")
            connection.execute(insert(table).values(created=_now(), **values))

    def answer(self, session_id: str, position: int, patch: Patch) -> None:
        """Keep the answer to an event; it is durable when this returns.

        Saying the same again changes nothing; ConflictError when the answer was another one.
        """
        events, answers = tables.events.c, tables.answers
        self.session_record(session_id)
        here = (answers.c.session == session_id) & (answers.c.position == position)
        with self._database.writing() as connection:
            asked = (events.session == session_id) & (events.position == position)
            if connection.scalar(select(func.count()).where(asked)) == 0:
                raise NotFoundError(f"There is no event {position} in session {session_id!r} to answer.")
            row = connection.execute(select(answers).where(here)).one_or_none()
            if row is None:
                values = {"low": patch.box.low, "high": patch.box.high, "data": patch.data}
                connection.execute(insert(answers).values(session=session_id, position=position, **values))
                return
        if not _same(_patch(row), patch):
            raise ConflictError(f"Event {position} was answered otherwise by another server; load the session again.")

    # Masks

    def add_mask(self, session_id: str, name: str, label_map: LabelMap) -> SavedMask:
        """Return a label map kept under a name."""
        mask = SavedMask(uuid4().hex, session_id, _name("mask", name), _now())
        case = self.case(self.session_record(session_id).case)
        if label_map.shape != case.shape or label_map.dtype != np.uint16:
            came = f"{label_map.dtype} of shape {label_map.shape}"
            raise ShapeError(f"A mask of this session needs uint16 of shape {case.shape}; got {came}.")
        key = _mask_key(case.id, mask.id)
        with self._write_blobs(key):
            with self._blobs.writer(key) as file, gzip.GzipFile("", "wb", 1, file, mtime=0) as packed:
                voxels.write(packed, label_map[None])
            values = {"id": mask.id, "session": session_id, "name": mask.name, "created": mask.created}
            with self._database.writing() as connection:
                connection.execute(insert(tables.masks).values(values))
                _remove_leftover(connection, key)
        return mask

    def masks(self, session_id: str) -> list[SavedMask]:
        """Return the masks kept in a session, oldest first."""
        self.session_record(session_id)
        table = tables.masks
        query = select(table).where(table.c.session == session_id).order_by(table.c.created, table.c.id)
        with self._database.reading() as connection:
            return [_mask(row) for row in connection.execute(query).all()]

    def mask(self, mask_id: str) -> LabelMap:
        """Return the label map that `add_mask` kept."""
        key = _mask_key(self._case_of_mask(mask_id), mask_id)
        with self._blobs.reader(key) as file, gzip.open(file, "rb") as packed:
            array = voxels.read(packed, key)
        return np.asarray(array[0], np.uint16)

    def delete_mask(self, mask_id: str) -> None:
        """Delete one mask that `add_mask` kept."""
        key = _mask_key(self._case_of_mask(mask_id), mask_id)
        with self._database.writing() as connection:
            connection.execute(delete(tables.masks).where(tables.masks.c.id == mask_id))
            _add_leftover(connection, key, DELETING)
        self._discard(key)

    # Users

    def add_user(self, name: str, token: str) -> User:
        """Return a new user who is known by this token; only the token's hash is kept."""
        user = User(_name("user", name), _now())
        if len(token) < TOKEN_LENGTH:
            raise SettingsError(f"A token needs at least {TOKEN_LENGTH} characters; got {len(token)}.")
        table, hashed = tables.users, token_hash(token)
        with self._database.writing() as connection:
            if connection.scalar(select(func.count()).where((table.c.name == name) | (table.c.token_hash == hashed))):
                raise ConflictError(f"The user {name!r} or this token exists already; choose another.")
            connection.execute(insert(table).values(name=user.name, token_hash=hashed, created=user.created))
        return user

    def users(self) -> list[User]:
        """Return all users by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(tables.users).order_by(tables.users.c.name)).all()
        return [User(row.name, row.created) for row in rows]

    def user_of(self, token: str) -> str | None:
        """Return the name of the user with this token, None when there is none."""
        return self.user_with(token_hash(token))

    def user_with(self, hashed: str) -> str | None:
        """Return the name of the user whose token has this hash, None when there is none."""
        query = select(tables.users.c.name).where(tables.users.c.token_hash == hashed)
        with self._database.reading() as connection:
            name: str | None = connection.scalar(query)
        return name

    def delete_user(self, name: str) -> None:
        """Delete a user, whose token then opens nothing; what the user did stays."""
        self._row("user", tables.users.c.name, name)
        with self._database.writing() as connection:
            connection.execute(delete(tables.users).where(tables.users.c.name == name))

    # Blobs and rows together

    def sweep(self, *, abandoned: timedelta = ABANDONED) -> None:
        """Delete the blobs that a crash left without a row."""
        table = tables.leftovers
        old = (table.c.state == DELETING) | (table.c.created < _now() - abandoned)
        with self._database.reading() as connection:
            blobs = connection.scalars(select(table.c.blob).where(old)).all()
        for blob in blobs:
            self._discard(blob)

    @contextmanager
    def _write_blobs(self, blob: str) -> Iterator[None]:
        """Name blobs as nobody's while they are written; delete them when that fails."""
        with self._database.writing() as connection:
            _add_leftover(connection, blob, WRITING)
        try:
            yield
        except BaseException:
            self._discard(blob)
            raise

    def _discard(self, blob: str) -> None:
        with suppress(StoreError):  # the next sweep does what cannot be done now
            self._blobs.remove(blob)
            with self._database.writing() as connection:
                connection.execute(delete(tables.leftovers).where(tables.leftovers.c.blob == blob))

    def _copy_source(self, source: Path, folder: str) -> None:
        files = (
            sorted(p for p in source.rglob("*") if p.is_file() and not p.is_symlink()) if source.is_dir() else [source]
        )
        root = source if source.is_dir() else source.parent
        for path in files:
            try:
                origin = path.open("rb")
            except OSError as error:
                raise NotFoundError(f"The source file {path.name} cannot be read: {error.strerror}.") from error
            with origin, self._blobs.writer(f"{folder}/{path.relative_to(root).as_posix()}") as copy:
                shutil.copyfileobj(origin, copy, 1 << 20)

    def _row(self, kind: str, key: Column[str], value: str) -> Row[Any]:
        row = None
        if _readable(value):  # PostgreSQL takes no NUL, SQLite no half characters
            with self._database.reading() as connection:
                row = connection.execute(select(key.table).where(key == value)).one_or_none()
        if row is None:
            raise NotFoundError(f"There is no {kind} {value!r}.")
        return row

    def _answers(self, session_id: str) -> dict[int, Patch]:
        table = tables.answers
        query = select(table).where(table.c.session == session_id).order_by(table.c.position)
        with self._database.reading() as connection:
            return {row.position: _patch(row) for row in connection.execute(query).all()}

    def _case_of_mask(self, mask_id: str) -> str:
        mask = _mask(self._row("mask", tables.masks.c.id, mask_id))
        return self.session_record(mask.session).case


def _now() -> datetime:
    return datetime.now(UTC)


def _name(kind: str, name: str) -> str:
    if not name.strip():
        raise SettingsError(f"A {kind} needs a name; got an empty one.")
    return _short(f"{kind}'s name", name)


def _short(what: str, text: str) -> str:
    if len(text) > tables.NAME_LENGTH or not _readable(text):
        raise SettingsError(f"A {what} needs at most {tables.NAME_LENGTH} readable characters; got {text[:40]!r}.")
    return text


def _readable(text: str) -> bool:
    """Return whether a text is free of control characters, halves of characters and line ends."""
    return not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text)


def _user(name: str) -> str:
    return _short("user's name", name)


def token_hash(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _folder(case_id: str) -> str:
    return f"cases/{case_id}"


def _image_key(case_id: str) -> str:
    return f"{_folder(case_id)}/image.npy"


def _mask_key(case_id: str, mask_id: str) -> str:
    return f"{_folder(case_id)}/masks/{mask_id}.npy.gz"


def _add_leftover(connection: Connection, blob: str, state: str) -> None:
    connection.execute(insert(tables.leftovers).values(blob=blob, state=state, created=_now()))


def _remove_leftover(connection: Connection, blob: str) -> None:
    if not connection.execute(delete(tables.leftovers).where(tables.leftovers.c.blob == blob)).rowcount:
        raise StoreError("Writing took so long that it was taken for abandoned and swept; try again.")


def _case_values(case: CaseRecord) -> dict[str, Any]:
    return {column.name: getattr(case, column.name) for column in tables.cases.columns}


def _case(row: Row[Any]) -> CaseRecord:
    values = dict(row._mapping)
    values["shape"] = tuple(values["shape"])
    values["affine"] = tuple(tuple(line) for line in values["affine"])
    values["notes"] = tuple(values["notes"])
    return CaseRecord(**values)


def _session(row: Row[Any]) -> SessionRecord:
    return SessionRecord(**row._mapping)


def _mask(row: Row[Any]) -> SavedMask:
    return SavedMask(**row._mapping)


def _event(row: Row[Any]) -> Event:
    try:
        return event_from_json(row.json)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        where = f"Event {row.position} of session {row.session}"
        raise StoreError(f"{where} is damaged or of a newer Segmend and cannot be read: {error}.") from error


def _patch(row: Row[Any]) -> Patch:
    (a, b, c), (d, e, f) = row.low, row.high
    return Patch(Box((a, b, c), (d, e, f)), bytes(row.data))


def _same(one: Patch, other: Patch) -> bool:
    return one.box == other.box and (one.data == other.data or np.array_equal(one.values, other.values))
