"""Archives that speak DICOM's own protocol (DIMSE): studies are found, series fetched, masks sent.

It comes with the extra `segmend[dimse]`, which brings pynetdicom. Nothing that a peer says is believed: of a message no
more is read than may be sent (`segmend.io.guarded`). A series that comes incomplete is refused whole.

An archive's address is `dimse://ARCHIVE@pacs.example.org:104`: its title, host and port. Behind it may stand what this
side is called, `?as=SEGMEND`, and a port of this machine, `?receive=11112`: then the archive is asked to send series to
it (C-MOVE) and has to know that this title lives there; without it they come on the same connection (C-GET).
"""

from __future__ import annotations

import ipaddress
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from segmend.errors import ArchiveError, DiskFullError, LimitError, SegmendError, SettingsError
from segmend.io.dicom import load_header
from segmend.io.dicomweb import (
    MOST_BYTES,
    MOST_FILES,
    SILENT_SECONDS,
    Archive,
    ArchivedSeries,
    Progress,
    Sent,
    Study,
    as_date,
    checked_uid,
    plain,
)
from segmend.io.guarded import PACKED_SYNTAXES, PACKET_BYTES, PLAIN_SYNTAXES, Guards, checked_title, needed
from segmend.io.receiving import IMAGES, NO_ROOM, Peer, listening

if TYPE_CHECKING:
    from pydicom import Dataset

SCHEME = "dimse"
OWN_TITLE = "SEGMEND"
# Bytes of all answers of a search.
LIST_BYTES = 64 << 20
# What is asked for at once (presentation contexts).
MOST_CONTEXTS = 128
# Classes of masks: segmentations of two kinds, and structure sets.
MASKS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7", "1.2.840.10008.5.1.4.1.1.481.3")
# Entries that a search goes through.
MOST_LISTED = 10_000


class DimseArchive:
    """An archive at an address of `dimse://`; every call is an association of its own."""

    def __init__(self, address: str, *, silent_seconds: float = SILENT_SECONDS) -> None:
        self._title, self._host, self._port, options = _split(address)
        self._own = checked_title(options.get("as", OWN_TITLE))
        self._receive = _port(options["receive"]) if "receive" in options else None
        self._silent = silent_seconds
        needed()

    # Lists

    def studies(self, *, limit: int = 100, offset: int = 0, **wanted: str) -> list[Study]:
        """Return studies; `wanted` are attributes and what they need to be, such as `PatientName="Doe*"`."""
        told = ("StudyInstanceUID", "PatientName", "PatientID", "StudyDate", "StudyDescription", "ModalitiesInStudy")
        asked = {**dict.fromkeys(told, ""), **wanted}
        return [
            Study(
                uid=_text(item, "StudyInstanceUID"),
                patient=_text(item, "PatientName"),
                patient_id=_text(item, "PatientID"),
                date=as_date(_text(item, "StudyDate")),
                description=_text(item, "StudyDescription"),
                modalities=tuple(_text(item, "ModalitiesInStudy").split("\\"))
                if _text(item, "ModalitiesInStudy")
                else (),
            )
            for item in self._find("STUDY", asked, offset + limit)[offset:]
        ]

    def series(self, study: str) -> list[ArchivedSeries]:
        """Return the series of a study."""
        told = ("SeriesInstanceUID", "Modality", "SeriesDescription", "NumberOfSeriesRelatedInstances")
        asked = {**dict.fromkeys(told, ""), "StudyInstanceUID": checked_uid(study)}
        return [_series(item, study) for item in self._find("SERIES", asked, MOST_LISTED)]

    def find_series(self, series: str) -> ArchivedSeries:
        """Return a series of which nobody says in which study it is; not every archive can tell."""
        told = ("StudyInstanceUID", "Modality", "SeriesDescription", "NumberOfSeriesRelatedInstances")
        try:
            found = self._find("SERIES", {**dict.fromkeys(told, ""), "SeriesInstanceUID": checked_uid(series)}, 2)
        except ArchiveError as error:
            raise ArchiveError(f"{error} Name the study, too.") from None
        items = [item for item in found if _text(item, "SeriesInstanceUID") == series]
        if not items or not _text(items[0], "StudyInstanceUID"):
            raise ArchiveError(f"The archive has no series {series}, or does not say in which study it is.")
        return _series(items[0], _text(items[0], "StudyInstanceUID"))

    def _find(self, level: str, asked: Mapping[str, str], most: int) -> list[Dataset]:
        """Return what an archive finds, of which no more is looked at than `most`."""
        from pydicom import Dataset
        from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as Find  # type: ignore[attr-defined]

        query = Dataset()
        query.SpecificCharacterSet = "ISO_IR 192"
        query.QueryRetrieveLevel = level
        for name, text in asked.items():
            setattr(query, name, text)
        found: list[Dataset] = []
        with self._association([(Find, list(PLAIN_SYNTAXES))], most_bytes=LIST_BYTES) as association:
            for status, item in association.send_c_find(query, Find):
                code = status.get("Status")
                if code is None:
                    raise self._silence()
                if code not in (0x0000, 0xFF00, 0xFF01, 0xFE00):
                    raise ArchiveError(f"The archive refused to search (status {code:04X}h). Its log says why.")
                if item is not None:
                    found.append(item)
                if len(found) >= most:
                    association.abort()
                    break
        return found

    # Files

    def fetch(
        self,
        study: str,
        series: str,
        folder: Path,
        *,
        progress: Progress = lambda files, size: None,
        most_bytes: int = MOST_BYTES,
    ) -> list[Path]:
        """Write the files of a series into an empty folder; whole, or ArchiveError."""
        asked = {"StudyInstanceUID": checked_uid(study), "SeriesInstanceUID": checked_uid(series)}
        told = {"SOPInstanceUID": "", "SOPClassUID": ""}
        listed = self._find("IMAGE", {**asked, **told}, MOST_FILES + 1)
        if len(listed) > MOST_FILES:
            raise LimitError(f"A series may have {MOST_FILES} files here; this one has more.")
        if not listed:
            raise ArchiveError("The archive sent no files.")
        kinds = sorted({_text(item, "SOPClassUID") for item in listed} - {""}) or [*IMAGES, *MASKS]
        incoming = _Incoming(folder, progress, most_bytes)
        bring = self._get if self._receive is None else self._move
        bring(asked, kinds, incoming)
        if incoming.error is not None:
            raise incoming.error
        if incoming.count < len(listed):
            raise ArchiveError(f"The archive sent {incoming.count} of {len(listed)} files.")
        return incoming.files

    def _get(self, asked: Mapping[str, str], kinds: Sequence[str], incoming: _Incoming) -> None:
        from pynetdicom import evt
        from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as Get  # type: ignore[attr-defined]

        # A context for each way of packing: an archive that cannot unpack needs one for what it has.
        ways = [list(PLAIN_SYNTAXES), *([syntax] for syntax in PACKED_SYNTAXES)]
        if len(kinds) * len(ways) > MOST_CONTEXTS - 1:  # too many: it chooses one of those that are packed
            ways = [list(PLAIN_SYNTAXES), list(PACKED_SYNTAXES)]
        contexts = [(Get, list(PLAIN_SYNTAXES)), *((kind, way) for way in ways for kind in kinds)][:MOST_CONTEXTS]
        handlers = [(evt.EVT_C_STORE, lambda event: incoming.take(Path(event.dataset_path)))]
        with self._association(contexts, incoming.most_bytes, handlers, gives=kinds) as association:
            self._follow(association.send_c_get(_query(asked), Get), incoming, association)

    def _move(self, asked: Mapping[str, str], kinds: Sequence[str], incoming: _Incoming) -> None:
        from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as Move  # type: ignore[attr-defined]

        def take(path: Path, title: str, host: str) -> int:
            return incoming.take(path)

        addresses = {text for *_, (text, *_) in socket.getaddrinfo(self._host, self._port)}
        peers = [Peer("", ipaddress.ip_network(text)) for text in addresses if isinstance(text, str)]
        receive = self._receive or 0
        host = "" if not all(peer.network.is_loopback for peer in peers) else "127.0.0.1"
        with (
            listening(self._own, host, receive, peers, take, kinds=kinds, most_bytes=incoming.most_bytes),
            self._association([(Move, list(PLAIN_SYNTAXES))], LIST_BYTES) as association,
        ):
            self._follow(association.send_c_move(_query(asked), self._own, Move), incoming, association)

    def _follow(self, responses: Iterator[tuple[Any, Any]], incoming: _Incoming, association: Any) -> None:
        """Wait until an archive has sent all of a series; ArchiveError when it did not."""
        for status, _ in responses:
            code = status.get("Status")
            if incoming.error is not None:
                association.abort()
                raise incoming.error
            if code is None:
                raise self._silence()
            failed = status.get("NumberOfFailedSuboperations") or 0
            if code in (0xFF00, 0xFF01):
                continue
            if code == 0xA801:
                raise ArchiveError(f"The archive does not know where {self._own} receives; its operator enters that.")
            if code != 0x0000 or failed:
                raise ArchiveError(f"The archive did not send the series (status {code:04X}h, {failed} files failed).")

    def send(self, files: Sequence[Path], study: str = "") -> Sent:
        """Send DICOM files to the archive; return which of them it keeps and which it refused."""
        headers = [load_header(path)[0] for path in files]
        kinds: dict[tuple[str, str], None] = {}
        for header in headers:
            kinds[str(header.get("SOPClassUID", "")), str(header.file_meta.TransferSyntaxUID)] = None
        stored, refused = list[str](), dict[str, int]()
        with self._association([(kind, [syntax]) for kind, syntax in kinds][:MOST_CONTEXTS], LIST_BYTES) as association:
            for path, header in zip(files, headers, strict=True):
                uid = str(header.get("SOPInstanceUID", ""))
                try:
                    code = association.send_c_store(path).get("Status")
                except ValueError:  # the archive takes no such files
                    code = 0x0122
                if code is None:
                    raise self._silence()
                if code == 0 or 0xB000 <= code <= 0xBFFF:
                    stored.append(uid)
                else:
                    refused[uid] = code
        return Sent(tuple(stored), refused)

    # The connection

    @contextmanager
    def _association(
        self,
        contexts: Sequence[tuple[str, list[str]]],
        most_bytes: int,
        handlers: Sequence[Any] = (),
        *,
        gives: Sequence[str] = (),
    ) -> Iterator[Any]:
        """Give an association with the archive; ArchiveError where there is none."""
        from pynetdicom import AE, build_context, build_role, evt

        needed()
        entity = AE(ae_title=self._own)
        entity.maximum_pdu_size = PACKET_BYTES
        entity.connection_timeout = entity.acse_timeout = min(30.0, self._silent)
        entity.dimse_timeout = entity.network_timeout = self._silent
        roles: list[Any] = [build_role(kind, scp_role=True) for kind in gives]
        guard = Guards(most_bytes)
        watching = [*handlers, (evt.EVT_CONN_OPEN, guard.opened), (evt.EVT_DIMSE_RECV, guard.heard)]
        try:
            association = entity.associate(
                self._host,
                self._port,
                contexts=[build_context(kind, syntaxes) for kind, syntaxes in contexts],
                ae_title=self._title,
                max_pdu=PACKET_BYTES,
                ext_neg=roles,
                evt_handlers=watching,
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise ArchiveError(f"The archive at {self._host} does not answer: {error}.") from None
        try:
            if association.is_rejected:
                raise ArchiveError(f"The archive {self._title} does not know {self._own}, or is called otherwise.")
            if not association.is_established:
                where = f"The archive at {self._host}, port {self._port},"
                if guard.connected:
                    raise ArchiveError(f"{where} broke off; it may not know {self._own}, or be called otherwise.")
                raise ArchiveError(f"{where} does not answer.")
            if not association.accepted_contexts:
                raise ArchiveError(f"The archive {self._title} does nothing of what it was asked for.")
            try:
                yield association
            except ValueError as error:
                if isinstance(error, SegmendError):
                    raise
                raise ArchiveError(f"The archive {self._title} does not do this: {error}.") from None
        finally:
            if association.is_established:
                association.release()
            elif association.is_alive():
                association.abort()
            if association.dul.socket is not None:  # what ended badly may have left it open
                association.dul.socket.close()
            guard.sweep()

    def _silence(self) -> ArchiveError:
        return ArchiveError(f"The archive {self._title} broke off, or was silent for too long.")


# What comes


@dataclass
class _Incoming:
    """The files of a series, moved into a folder as they come."""

    folder: Path
    progress: Progress
    most_bytes: int
    files: list[Path] = field(default_factory=list)
    size: int = 0
    error: BaseException | None = None
    _known: set[str] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    @property
    def count(self) -> int:
        return len(self._known)

    def take(self, path: Path) -> int:
        """Move one file into the folder; return DICOM's status."""
        with self._lock:
            if self.error is not None:
                return NO_ROOM
            try:
                self.size += path.stat().st_size
                if self.size > self.most_bytes:
                    raise LimitError(f"A series may have {self.most_bytes} bytes here; this one is larger.")
                if len(self.files) >= MOST_FILES:
                    raise LimitError(f"A series may have {MOST_FILES} files here; this one has more.")
                header, _ = load_header(path)
                uid = str(header.get("SOPInstanceUID", ""))
                target = self.folder / f"{len(self.files):05}.dcm"
                shutil.move(path, target)
                if uid not in self._known:
                    self._known.add(uid)
                    self.files.append(target)
                self.progress(len(self.files), self.size)
                return 0x0000
            except OSError as error:
                self.error = DiskFullError(f"The series could not be written: {error.strerror or 'the disk refused'}.")
            except BaseException as error:  # also that somebody has cancelled it
                self.error = error
            return NO_ROOM


# An archive, whichever way it is spoken to.
AnyArchive = Archive | DimseArchive


def archive_at(address: str, credentials: str = "") -> AnyArchive:
    """Return the archive at an address of `https://`, `http://` or `dimse://`."""
    if not is_dimse(address):
        return Archive(address, credentials=credentials)
    if credentials.strip():
        raise SettingsError("An archive at dimse:// takes no credentials: it knows who asks by title and address.")
    return DimseArchive(address)


# Small things


def is_dimse(address: str) -> bool:
    """Tell whether an address is that of an archive that speaks DIMSE.

    >>> is_dimse("dimse://PACS@localhost:104"), is_dimse("https://pacs.example.org/dicom-web")
    (True, False)
    """
    return address.lower().startswith(f"{SCHEME}://")


def _split(address: str) -> tuple[str, str, int, dict[str, str]]:
    """Return the title, the host and the port in an address, and its options."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme != SCHEME or not parts.hostname or not port or not parts.username or parts.password:
        raise SettingsError(f"An archive needs an address such as dimse://PACS@pacs.example.org:104; got {address!r}.")
    if set(options) - {"as", "receive"} or parts.path not in ("", "/") or parts.fragment:
        raise SettingsError("Behind an archive's address may stand ?as=TITLE and &receive=PORT, nothing else.")
    return checked_title(unquote(parts.username)), parts.hostname, port, options


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise SettingsError(f"A port needs a number of 1 to 65535; got {text[:40]!r}.")
    return int(text)


def _query(asked: Mapping[str, str]) -> Dataset:
    from pydicom import Dataset

    query = Dataset()
    query.QueryRetrieveLevel = "SERIES"
    for name, text in asked.items():
        setattr(query, name, text)
    return query


def _series(item: Dataset, study: str) -> ArchivedSeries:
    count = _text(item, "NumberOfSeriesRelatedInstances")
    return ArchivedSeries(
        uid=_text(item, "SeriesInstanceUID"),
        study=study,
        modality=_text(item, "Modality"),
        description=_text(item, "SeriesDescription"),
        instances=int(count) if count.isdecimal() and len(count) < 9 else None,
    )


def _text(item: Dataset, name: str) -> str:
    """Return an attribute as text; several values with a backslash between them, as DICOM has it."""
    try:
        value = item.get(name)
    except Exception:  # damaged values make the parser raise almost anything
        return ""
    if value is None:
        return ""
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        return plain(str(value))
    if type(value).__name__ == "PersonName":
        return plain(str(value).partition("=")[0])
    return plain("\\".join(str(one) for one in value))
