"""A door to SQL: SQLite (WAL, synchronous=FULL) or PostgreSQL, with every refusal as one sentence.

`reading` and `writing` are transactions. A write is on the disk when `writing` ends without
an error; when a PostgreSQL connection breaks at that very moment it may be there all the same,
so look before you repeat it. SQLite has one writer at a time: within this process they queue at a lock, other
processes are waited for up to `timeout_seconds`.

A SQLite file that is there but cannot be written, because its folder is read-only or its disk full, is opened to be
read: `read_only` says why, `writing` raises that sentence, and looks every few seconds whether it can write again.
"""

from __future__ import annotations

import shutil
import sqlite3
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    ExceptionContext,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from segmend.errors import (
    ConflictError,
    DiskFullError,
    ReadOnlyError,
    SegmendError,
    SettingsError,
    StoreError,
)
from segmend.runtime.tracing import span
from segmend.store import tables
from segmend.store.changes import Changes, PostgresChanges, SqliteChanges, announce
from segmend.store.private import make_folder, open_private

# The newest change in migrations/versions; a test keeps it true.
HEAD = "0019"
TIMEOUT_SECONDS = 10.0
# Key of the lock under which servers that share a PostgreSQL migrate it: any number, the same for all.
MIGRATION_LOCK = 7346363
# How often a database that could not be written is tried again.
RETRY_SECONDS = 2.0
# Free space below which an I/O error is the disk's being full: a journal and its index need some pages.
FULL_BYTES = 256 << 10
# Where Alembic looks for the last migration that a database has seen.
VERSIONS = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
# What reading a row raises whose bytes are not what was written.
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class Database:
    """One database with its tables up to date."""

    def __init__(
        self, url: str | URL, *, timeout_seconds: float = TIMEOUT_SECONDS, refuse_new: Callable[[], None] = lambda: None
    ) -> None:
        """Open a database; `refuse_new` is asked before one is made, and raises when there must be one already."""
        self._url = _parse_url(url)
        self.sqlite = self._url.get_backend_name() == "sqlite"
        self._sender = uuid4().hex  # by which our own changes are known
        self._unwritable: StoreError | None = None  # why nothing can be written
        self._lock: AbstractContextManager[Any] = Lock() if self.sqlite else nullcontext()
        self._timeout_seconds = timeout_seconds
        self._refuse_new = refuse_new
        self._tried = time.monotonic()
        self._copy: Path | None = None  # of a database that cannot even be read where it is
        if self.sqlite:
            _prepare_file(Path(self._url.database or ""), refuse_new)
        try:
            self._engine = self._open()
        except StoreError as refusal:
            if not self._can_be_read(refusal):
                raise
            self._unwritable = refusal
            self._engine = self._open_to_read(refusal)

    @property
    def name(self) -> str:
        """What to call this database in a sentence; never with its password."""
        return self.name_of(self._url)

    @staticmethod
    def name_of(url: str | URL) -> str:
        """Return what to call the database of a URL."""
        parsed = _parse_url(url)
        if parsed.get_backend_name() == "sqlite":
            return str(parsed.database)
        return f"{parsed.database} at {parsed.host or 'its socket'}"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection to read with."""
        with (
            span("store read"),
            self._translate_errors(),
            self._note_damage(),
            self._engine.connect() as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Give a connection that reads everything as it is at one moment, however long that takes."""
        with self._translate_errors(), self._note_damage(), self._engine.connect() as connection:
            if not self.sqlite:  # which always reads so
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection to write with; all of it is durable at the end, or none is there."""
        self._check_writable()
        with span("store write"), self._translate_errors(), self._lock, self._engine.connect() as connection:
            connection = connection.execution_options(segmend_writes=True)
            with connection.begin():
                yield connection
                if not self.sqlite:
                    announce(connection, self._sender)

    def changes(self) -> Changes:
        """Return a watch over what others change here."""
        with self._translate_errors():
            return SqliteChanges(self._engine) if self.sqlite else PostgresChanges(self._engine, self._sender)

    def damage(self) -> list[str]:
        """Return what SQLite finds wrong with its file; PostgreSQL keeps checksums of its own pages."""
        if not self.sqlite:
            return []
        with self.reading() as connection:
            found = [str(line) for line in connection.execute(text("PRAGMA integrity_check")).scalars()]
            keys = connection.execute(text("PRAGMA foreign_key_check")).all()
        lost = [f"a row of {row[0]} belongs to none of {row[2]}" for row in keys]
        return [line for line in found if line != "ok"] + lost

    def rebuild_indexes(self) -> None:
        """Build all indexes of a SQLite file anew from its rows."""
        if self.sqlite:
            with self.writing() as connection:
                connection.execute(text("REINDEX"))

    def overwrite_what_goes(self, connection: Connection) -> None:
        """Have what this connection deletes from now on overwritten in the file, where the database can say so."""
        if self.sqlite:
            connection.exec_driver_sql("PRAGMA secure_delete=ON")

    def compact(self) -> bool:
        """Write a SQLite file anew without what was ever deleted from it; False where others do not let it now."""
        if not self.sqlite:
            return True
        with self._lock:
            connection = self._engine.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute("VACUUM")
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                return bool(cursor.fetchone()[0] == 0)  # type: ignore[index]
            except sqlite3.Error:
                return False
            finally:
                connection.close()

    def close(self) -> None:
        self._engine.dispose()
        if self._copy is not None:
            shutil.rmtree(self._copy, ignore_errors=True)

    # Opening

    def _open(self) -> Engine:
        with self._translate_errors():
            kind = _sqlite if self.sqlite else _postgres
            engine = kind(self._url, self._timeout_seconds)
        try:
            self._migrate(engine)
        except BaseException:
            engine.dispose()
            raise
        return engine

    def _migrate(self, engine: Engine) -> None:
        with self._translate_errors(), engine.connect() as connection, connection.begin():
            version = _version(connection)
        if version == HEAD:
            return
        with self._translate_errors(), self._lock, engine.connect() as connection:
            connection = connection.execution_options(segmend_writes=True)
            with connection.begin():
                if not self.sqlite:
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
                version = _version(connection)
                if version is None:
                    if self.sqlite and inspect(connection).get_table_names():
                        raise _damage_error(self.name, "it does not say which Segmend wrote it")
                    self._refuse_new()
                    _create(connection)
                elif version != HEAD:
                    _upgrade(connection, self.name)

    def _can_be_read(self, refusal: StoreError) -> bool:
        """Tell whether there is a file to read at least, and writing is what was refused."""
        file = Path(self._url.database or "")
        wanted = isinstance(refusal, DiskFullError | ReadOnlyError) or _is_io_error(refusal.__cause__)
        try:
            return self.sqlite and wanted and file.is_file() and file.stat().st_size > 0
        except OSError:
            return False

    def _open_to_read(self, refusal: StoreError) -> Engine:
        """Open a database as it lies there; where that does not go, because of its journal or its age, a copy of it."""
        file = Path(self._url.database or "")
        engine = _sqlite_to_read(file)
        try:
            with self._translate_errors(), engine.connect() as connection, connection.begin():
                if _version(connection) == HEAD:
                    return engine
        except StoreError as unreadable:
            if not self._can_be_read(unreadable):
                engine.dispose()
                raise
        engine.dispose()
        self._copy = Path(mkdtemp(prefix="segmend-read-"))
        try:
            for end in ("", "-wal"):
                if (origin := file.with_name(file.name + end)).is_file():
                    shutil.copyfile(origin, self._copy / (file.name + end))
            engine = _sqlite(URL.create("sqlite", database=str(self._copy / file.name)), self._timeout_seconds)
            self._migrate(engine)
        except BaseException as error:
            shutil.rmtree(self._copy, ignore_errors=True)
            if isinstance(error, StoreError | OSError):
                raise refusal from error
            raise
        return engine

    @property
    def read_only(self) -> StoreError | None:
        """Why nothing can be written, None when all is well; it is looked at anew every few seconds."""
        if self._unwritable is None or time.monotonic() - self._tried < RETRY_SECONDS:
            return self._unwritable
        self._tried = time.monotonic()
        try:
            engine = self._open()
        except StoreError as refusal:
            self._unwritable = refusal
        else:
            before, self._engine, self._unwritable = self._engine, engine, None
            before.dispose()
        return self._unwritable

    def _check_writable(self) -> None:
        if (reason := self.read_only) is not None:
            raise type(reason)(f"{reason} What is there can be seen and exported.")

    @contextmanager
    def _note_damage(self) -> Iterator[None]:
        """Raise what a row of other bytes than were written gives as a sentence."""
        try:
            yield
        except SegmendError:
            raise
        except UNREADABLE as error:
            raise _damage_error(self.name, f"a row of it cannot be read: {error}") from error

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise ConflictError("Somebody else changed this meanwhile; load it again and repeat.") from error
        except UnicodeDecodeError as error:  # SQLite quotes what it found in the file
            raise _damage_error(self.name, "it holds other bytes than were written") from error
        except (SQLAlchemyError, OSError) as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> StoreError:
        cause = getattr(error, "orig", None) or error
        if self.sqlite and _is_io_error(error) and _is_full(Path(self._url.database or "")):
            return DiskFullError(f"The disk of the database {self.name} is full; free some space and try again.")
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


def _prepare_file(path: Path, refuse_new: Callable[[], None]) -> None:
    """Make the folder of a SQLite file, and see that an absent one may be made."""
    try:
        make_folder(path.parent)
        if not _is_there(path):
            try:
                refuse_new()
            except StoreError:
                if not _is_there(path):  # another server may have made it meanwhile
                    raise
        journal = path.with_name(path.name + "-wal")
        if path.is_file() and path.stat().st_size == 0 and journal.is_file() and journal.stat().st_size > 0:
            raise _damage_error(str(path), "it is empty but its journal is not")
        if not path.exists():  # its journal gets the same mode
            open(path, "ab", opener=open_private).close()
    except OSError as error:
        raise StoreError(f"The folder {path.parent} cannot be made or read: {error.strerror}.") from error


def _is_there(path: Path) -> bool:
    return path.is_file() and (path.stat().st_size > 0 or path.with_name(path.name + "-wal").is_file())


def _sqlite_to_read(file: Path) -> Engine:
    """Return an engine that reads a database where it lies and writes nothing beside it, either."""
    journal = file.with_name(file.name + "-wal")
    alone = not journal.is_file() or journal.stat().st_size == 0  # nobody has it open, so nobody changes it
    place = f"{file.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(place, uri=True, check_same_thread=False)

    return create_engine("sqlite://", creator=connect, poolclass=QueuePool)


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

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _: object, arguments: list[Any], parameters: dict[str, Any]) -> Any:
        """Connect encrypted where the server can, as the driver does, which would read all of the system's certificates
        for each connection and check none."""
        try:
            return dialect.connect(*arguments, **parameters, ssl_context=_encrypted())
        except dialect.dbapi.InterfaceError as error:
            if str(error) != "Server refuses SSL":
                raise
            return dialect.connect(*arguments, **parameters, ssl_context=False)

    @event.listens_for(engine, "handle_error")
    def forget(context: ExceptionContext) -> None:
        if isinstance(context.original_exception, engine.dialect.dbapi.InterfaceError):  # type: ignore[union-attr]
            context.is_disconnect = True  # what comes late must not be taken for the next reply

    return engine


@cache
def _encrypted() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return version


def _create(connection: Connection) -> None:
    """Make the tables as all migrations one after the other make them, in a quarter of their time."""
    tables.metadata.create_all(connection, checkfirst=False)
    for sentence in tables.GUARDS[connection.dialect.name]:
        connection.exec_driver_sql(sentence)
    connection.execute(tables.projects.insert().values(name=tables.DEFAULT_PROJECT, created=datetime.now(UTC)))
    VERSIONS.create(connection)
    connection.execute(VERSIONS.insert().values(version_num=HEAD))


def _upgrade(connection: Connection, name: str) -> None:
    from alembic import command  # a tenth of a second, for old databases only
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
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or "Could not decode to UTF-8" in str(cause):
        return _damage_error(name, str(cause))
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return ReadOnlyError(f"The database {name} cannot be written ({cause}); check the folder's permissions.")
    return StoreError(f"The database {name} refused: {cause}.")


def _is_full(file: Path) -> bool:
    """Tell whether there is no room beside a file for what SQLite needs there."""
    try:
        return shutil.disk_usage(file.parent).free < FULL_BYTES
    except OSError:
        return False


def _is_io_error(error: BaseException | None) -> bool:
    """Tell whether SQLite met an I/O error, which is what it calls a disk with no room for its journal."""
    cause = getattr(error, "orig", None)
    return str(getattr(cause, "sqlite_errorname", "")).startswith("SQLITE_IOERR")


def _postgres_refusal(cause: BaseException, name: str) -> StoreError:
    fields = cause.args[0] if cause.args and isinstance(cause.args[0], dict) else {}
    if fields.get("C") == "53100":
        return DiskFullError(f"The disk of the database {name} is full; free some space and try again.")
    if fields.get("M"):
        return StoreError(f"The database {name} refused: {fields['M']}.")
    return StoreError(f"The database {name} cannot be reached ({cause}); nothing saved is lost, try again.")
