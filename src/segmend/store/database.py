"""A door to SQL: SQLite (WAL, synchronous=FULL) or PostgreSQL, with every refusal as one sentence.

`reading` and `writing` are transactions. A write is on the disk when `writing` ends without
an error; when a PostgreSQL connection breaks at that very moment it may be there all the same,
so look before you repeat it. SQLite has one writer at a time: within this process they queue at a lock, other
processes are waited for up to `timeout_seconds`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from segmend.errors import ConflictError, DiskFullError, SettingsError, StoreError
from segmend.store.changes import Changes, PostgresChanges, SqliteChanges, announce
from segmend.store.private import make_folder, open_private

# The newest change in migrations/versions; a test keeps it true.
HEAD = "0002"
TIMEOUT_SECONDS = 10.0
# Key of the lock under which servers that share a PostgreSQL migrate it: any number, the same for all.
MIGRATION_LOCK = 7346363


class Database:
    """One database with its tables up to date."""

    def __init__(self, url: str | URL, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._url = _parse_url(url)
        self.sqlite = self._url.get_backend_name() == "sqlite"
        self._sender = uuid4().hex  # by which our own changes are known
        self._lock: AbstractContextManager[Any] = Lock() if self.sqlite else nullcontext()
        if self.sqlite:
            _prepare_file(Path(self._url.database or ""))
        with self._translate_errors():
            self._engine = _sqlite(self._url, timeout_seconds) if self.sqlite else _postgres(self._url, timeout_seconds)
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        """What to call this database in a sentence; never with its password."""
        if self.sqlite:
            return str(self._url.database)
        return f"{self._url.database} at {self._url.host or 'its socket'}"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection to read with."""
        with self._translate_errors(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection to write with; all of it is durable at the end, or none is there."""
        with self._translate_errors(), self._lock, self._engine.connect() as connection:
            connection = connection.execution_options(segmend_writes=True)
            with connection.begin():
                yield connection
                if not self.sqlite:
                    announce(connection, self._sender)

    def changes(self) -> Changes:
        """Return a watch over what others change here."""
        with self._translate_errors():
            return SqliteChanges(self._engine) if self.sqlite else PostgresChanges(self._engine, self._sender)

    def close(self) -> None:
        self._engine.dispose()

    def _migrate(self) -> None:
        with self.reading() as connection:
            version = _version(connection)
        if version == HEAD:
            return
        with self.writing() as connection:
            if not self.sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            _upgrade(connection, self.name)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise ConflictError("Somebody else changed this meanwhile; load it again and repeat.") from error
        except (SQLAlchemyError, OSError) as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> StoreError:
        cause = getattr(error, "orig", None) or error
        return _sqlite_refusal(cause, self.name) if self.sqlite else _postgres_refusal(cause, self.name)


def _parse_url(url: str | URL) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SettingsError("A database needs a URL such as sqlite:////data/segmend.db or postgresql://….") from None
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+pg8000")
    given = parsed.render_as_string(hide_password=True)
    raise SettingsError(f"A database needs a sqlite:///FILE or a postgresql:// URL; got {given}.")


def _prepare_file(path: Path) -> None:
    try:
        make_folder(path.parent)
        journal = path.with_name(path.name + "-wal")
        if path.is_file() and path.stat().st_size == 0 and journal.is_file() and journal.stat().st_size > 0:
            raise _damage_error(str(path), "it is empty but its journal is not")
        if not path.exists():  # its journal gets the same mode
            open(path, "ab", opener=open_private).close()
    except OSError as error:
        raise StoreError(f"The folder {path.parent} cannot be made or read: {error.strerror}.") from error


def _sqlite(url: URL, timeout_seconds: float) -> Engine:
    engine = create_engine(url, connect_args={"timeout": timeout_seconds, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def settle(connection: Any, _: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        _enable_wal(connection, timeout_seconds)
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("segmend_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _enable_wal(connection: Any, timeout_seconds: float) -> None:
    """Put a database into WAL mode, also while others do: SQLite does not wait by itself for a lock it must raise."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _postgres(url: URL, timeout_seconds: float) -> Engine:
    try:
        engine = create_engine(
            url, connect_args={"timeout": timeout_seconds}, pool_pre_ping=True, pool_size=10, max_overflow=20
        )
    except (ModuleNotFoundError, NoSuchModuleError):
        raise SettingsError("PostgreSQL needs the driver pg8000: pip install 'segmend[postgres]'.") from None

    @event.listens_for(engine, "handle_error")
    def forget(context: ExceptionContext) -> None:
        if isinstance(context.original_exception, engine.dialect.dbapi.InterfaceError):  # type: ignore[union-attr]
            context.is_disconnect = True  # what comes late must not be taken for the next reply

    return engine


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return version


def _upgrade(connection: Connection, name: str) -> None:
    from alembic import command  # a tenth of a second, for new and old databases only
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    version = _version(connection)
    try:
        ScriptDirectory.from_config(config).get_revision(version or HEAD)
    except CommandError:
        raise StoreError(
            f"The database {name} was written by a newer Segmend (its tables are at {version}); update Segmend."
        ) from None
    command.upgrade(config, "head")


def _damage_error(name: str, reason: str) -> StoreError:
    return StoreError(
        f"The database {name} is damaged ({reason}); nothing was changed: "
        "put it aside and restore a copy, or recover it with the sqlite3 program."
    )


def _sqlite_refusal(cause: BaseException, name: str) -> StoreError:
    code: str = getattr(cause, "sqlite_errorname", "")
    if code == "SQLITE_FULL":
        return DiskFullError(f"The disk of the database {name} is full; free some space and try again.")
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreError(f"The database {name} is locked by another program; close it or try again.")
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return _damage_error(name, str(cause))
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return StoreError(f"The database {name} cannot be written ({cause}); check the folder's permissions.")
    return StoreError(f"The database {name} refused: {cause}.")


def _postgres_refusal(cause: BaseException, name: str) -> StoreError:
    fields = cause.args[0] if cause.args and isinstance(cause.args[0], dict) else {}
    if fields.get("C") == "53100":
        return DiskFullError(f"The disk of the database {name} is full; free some space and try again.")
    if fields.get("M"):
        return StoreError(f"The database {name} refused: {fields['M']}.")
    return StoreError(f"The database {name} cannot be reached ({cause}); nothing saved is lost, try again.")
