"""Whose pseudonyms they are: kept apart from the store, for who must find a patient again.

A database of its own, a file beside the data folder's or at any URL, so that neither a backup nor a copy of the store
holds it. It also keeps the key from which pseudonyms, UIDs and shifts of dates are worked out: the same patient has the
same pseudonym for as long as it is there. On a disk it is a file for its owner's eyes alone. Losing it loses who is
who, and nothing else.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Column,
    Engine,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    delete,
    event,
    insert,
    make_url,
    or_,
    select,
)
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from segmend.core.image import Image
from segmend.errors import SettingsError, StoreError
from segmend.io.anonymise import Patient, new_uid
from segmend.io.series import SeriesInfo
from segmend.store.private import make_folder, open_private
from segmend.store.records import readable
from segmend.store.tables import Moment

METADATA = MetaData()
KEYS = Table(
    "pseudonym_keys",
    METADATA,
    Column("name", String(20), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
PATIENTS = Table(
    "pseudonyms",
    METADATA,
    Column("pseudonym", String(40), primary_key=True),
    Column("patient", Text, nullable=False),  # id
    Column("issuer", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created", Moment, nullable=False),
)
# The file in a data folder.
PSEUDONYMS_FILE = "pseudonyms.db"
# Bytes of a key.
KEY_BYTES = 32


@dataclass(frozen=True)
class Pseudonym:
    """A pseudonym and whose it is."""

    pseudonym: str
    patient: str  # id
    issuer: str
    name: str
    created: datetime  # UTC


@dataclass(frozen=True)
class Cleaned:
    """Files that are to be read, as they came or without what names a patient."""

    place: Path
    anonymous: bool = False  # what they are called and say is not to be kept, either
    warnings: tuple[str, ...] = ()
    key: bytes = b""

    def uid(self, uid: str) -> str:
        """Return what a UID has become."""
        return new_uid(uid, self.key) if self.key else uid

    def name(self, info: SeriesInfo, usual: str) -> str:
        """Return what a case of an image is to be called."""
        if not self.anonymous:
            return usual
        return " ".join(part for part in (info.patient if self.key else "", info.modality) if part) or "image"

    def noted(self, image: Image) -> Image:
        """Return an image whose notes say what to look for."""
        return Image(image.voxels, image.affine, (*image.notes, *self.warnings), axes="zyx") if self.warnings else image


class Pseudonyms:
    """The pseudonyms of one site."""

    def __init__(self, url: str | URL) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise SettingsError("Pseudonyms need the URL of a database, such as sqlite:////safe/names.db.") from None
        backend = parsed.get_backend_name()
        if backend in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+pg8000")
        elif backend != "sqlite" or not parsed.database:
            raise SettingsError("Pseudonyms need a sqlite:///FILE or a postgresql:// URL.")
        self._url = parsed
        self._engine: Engine | None = None

    @classmethod
    def local(cls, folder: Path) -> Pseudonyms:
        """Return the pseudonyms of a data folder."""
        return cls(URL.create("sqlite", database=str(folder.absolute() / PSEUDONYMS_FILE)))

    @property
    def key(self) -> bytes:
        """The key from which they are worked out, drawn when it is first needed."""
        query = select(KEYS.c.value).where(KEYS.c.name == "key")
        try:
            with self._opened().begin() as connection:
                found = connection.scalar(query)
                if found is None:
                    connection.execute(insert(KEYS).values(name="key", value=secrets.token_bytes(KEY_BYTES)))
                    found = connection.scalar(query)
        except IntegrityError:  # another server drew it at the same moment
            return self.key
        except SQLAlchemyError as error:
            raise self._refusal(error) from error
        return bytes(found or b"")

    def keep(self, patients: Iterable[Patient]) -> None:
        """Note whose pseudonyms these are."""
        for one in patients:
            row = {"pseudonym": one.pseudonym, "patient": one.id, "issuer": one.issuer, "name": one.name}
            try:
                with self._opened().begin() as connection:
                    if not connection.scalar(select(PATIENTS.c.pseudonym).where(PATIENTS.c.pseudonym == one.pseudonym)):
                        connection.execute(insert(PATIENTS).values(**row, created=datetime.now(UTC)))
            except IntegrityError:
                continue
            except SQLAlchemyError as error:
                raise self._refusal(error) from error

    def find(self, text: str = "") -> list[Pseudonym]:
        """Return those of a pseudonym, a patient's id or a whole name; all without a text."""
        query = select(PATIENTS).order_by(PATIENTS.c.created, PATIENTS.c.pseudonym)
        if text:
            if not readable(text):
                return []
            columns = (PATIENTS.c.pseudonym, PATIENTS.c.patient, PATIENTS.c.name)
            query = query.where(or_(*(column == text for column in columns)))
        if not self.are_there():
            return []
        try:
            with self._opened().begin() as connection:
                return [Pseudonym(**row._asdict()) for row in connection.execute(query)]
        except SQLAlchemyError as error:
            raise self._refusal(error) from error

    def forget(self, pseudonym: str) -> None:
        """Delete whose pseudonym it is; the same patient would get the same one again."""
        try:
            with self._opened().begin() as connection:
                connection.execute(delete(PATIENTS).where(PATIENTS.c.pseudonym == pseudonym))
        except SQLAlchemyError as error:
            raise self._refusal(error) from error

    def are_there(self) -> bool:
        """Tell whether anything was ever kept; a file is not made for the question."""
        return self._url.get_backend_name() != "sqlite" or Path(self._url.database or "").is_file()

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()

    def _opened(self) -> Engine:
        if self._engine is None:
            if self._url.get_backend_name() == "sqlite":
                file = Path(self._url.database or "")
                make_folder(file.parent)
                open(file, "ab", opener=open_private).close()
                self._engine = create_engine(self._url, connect_args={"timeout": 10.0})

                @event.listens_for(self._engine, "connect")
                def settle(connection: Any, _: object) -> None:
                    connection.execute("PRAGMA secure_delete=ON").close()

            else:
                self._engine = create_engine(self._url, pool_pre_ping=True)
            METADATA.create_all(self._engine)
        return self._engine

    def _refusal(self, error: Exception) -> StoreError:
        return StoreError(f"The pseudonyms cannot be kept or read: {getattr(error, 'orig', error)}.")
