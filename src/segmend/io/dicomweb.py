"""An archive (PACS) that speaks DICOMweb: studies and series are listed and fetched, masks are sent back.

Nothing that an archive says is believed. Its redirects are not followed, and no address that it names is asked: all
are built from the one that a person gave, so it cannot send us anywhere else. Everything is counted while it comes, and
a series that ends too early, or is another one, is refused whole. Whoever may enter is said by a header, never by the
address, which ends up in logs.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import quote, urlencode, urlsplit

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from segmend.errors import ArchiveError, DiskFullError, LimitError, SettingsError

JSON = "application/dicom+json"
DICOM = "application/dicom"
# Files of a series as the archive has them: what is packed in them is unpacked here.
FILES = f'multipart/related; type="{DICOM}"; transfer-syntax=*'
# Characters of names and wildcards, which Orthanc compares as they come.
PLAIN = "*^?,"
UID = re.compile(r"[0-9.]{1,64}")
# Seconds that an archive may be silent.
SILENT_SECONDS = 60.0
# Bytes of a list, and that are read at once.
LIST_BYTES, PIECE_BYTES = 64 << 20, 1 << 20
# Of one series.
MOST_FILES, MOST_BYTES = 20_000, 16 << 30
Progress = Callable[[int, int], None]  # told how many files and bytes of a series are there


@dataclass(frozen=True)
class Study:
    """A study as an archive lists it."""

    uid: str
    patient: str  # name
    patient_id: str
    date: str  # YYYY-MM-DD; empty: unknown
    description: str
    modalities: tuple[str, ...]


@dataclass(frozen=True)
class ArchivedSeries:
    """A series as an archive lists it."""

    uid: str
    study: str
    modality: str
    description: str
    instances: int | None  # None: the archive does not say


@dataclass(frozen=True)
class Sent:
    """What an archive says of files that were sent to it."""

    stored: tuple[str, ...]  # the SOP instance UIDs
    refused: Mapping[str, int]  # those that it did not take, with DICOM's number for why


class Archive:
    """An archive at an address such as `https://pacs.example.org/dicom-web`; every call is a connection of its own.

    `credentials` are what it lets us in by: `name:password`, or `Bearer` and a token.
    """

    def __init__(self, address: str, *, credentials: str = "", silent_seconds: float = SILENT_SECONDS) -> None:
        parts = _split(address)
        self._secure = parts.scheme == "https"
        self._host, self._port, self._root = parts.hostname or "", parts.port, parts.path.rstrip("/")
        self._silent = silent_seconds
        self._entry = _authorization(credentials)

    # Lists

    def studies(self, *, limit: int = 100, offset: int = 0, **wanted: str) -> list[Study]:
        """Return studies; `wanted` are attributes and what they need to be, such as `PatientName="Doe*"`."""
        extra = [("includefield", name) for name in ("StudyDescription", "ModalitiesInStudy")]
        query = [*wanted.items(), ("limit", str(limit)), ("offset", str(offset)), *extra]
        return [
            Study(
                uid=_text(item, "0020000D"),
                patient=_text(item, "00100010"),
                patient_id=_text(item, "00100020"),
                date=as_date(_text(item, "00080020")),
                description=_text(item, "00081030"),
                modalities=tuple(_texts(item, "00080061")),
            )
            for item in self._list("/studies", query)
        ]

    def series(self, study: str) -> list[ArchivedSeries]:
        """Return the series of a study."""
        query = [("includefield", name) for name in ("SeriesDescription", "NumberOfSeriesRelatedInstances")]
        return [_series(item, study) for item in self._list(f"/studies/{checked_uid(study)}/series", query)]

    def find_series(self, series: str) -> ArchivedSeries:
        """Return a series of which nobody says in which study it is; not every archive can tell."""
        try:
            found = self._list("/series", [("SeriesInstanceUID", checked_uid(series))])
        except ArchiveError as error:
            raise ArchiveError(f"{error} Name the study, too.") from None
        items = [item for item in found if _text(item, "0020000E") == series]
        if not items or not _text(items[0], "0020000D"):
            raise ArchiveError(f"The archive has no series {series}, or does not say in which study it is.")
        return _series(items[0], _text(items[0], "0020000D"))

    def _list(self, path: str, query: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        with self._ask("GET", path, query, accept=JSON) as reply:
            if reply.status == 204:
                return []
            content = reply.read(LIST_BYTES + 1)
        if len(content) > LIST_BYTES:
            raise LimitError(f"A list of an archive may have {LIST_BYTES} bytes; this one is longer.")
        found = _json(content)
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise ArchiveError("The archive's list is none of DICOMweb.")
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
        with self._ask("GET", f"/studies/{checked_uid(study)}/series/{checked_uid(series)}", (), accept=FILES) as reply:
            kind, options = parse_options_header(reply.getheader("content-type", ""))
            if kind != b"multipart/related" or not options.get(b"boundary"):
                raise ArchiveError(f"The archive sent no files but {kind.decode('latin-1')[:80] or 'nothing'}.")
            with _Parts(folder, options[b"boundary"], progress, most_bytes) as parts:
                while piece := reply.read(PIECE_BYTES):
                    parts.take(piece)
            return parts.finished()

    def send(self, files: Sequence[Path], study: str = "") -> Sent:
        """Send DICOM files to the archive; return which of them it keeps and which it refused."""
        limit = secrets.token_hex(16)
        head = f"--{limit}\r\nContent-Type: {DICOM}\r\n\r\n".encode()
        end = f"--{limit}--\r\n".encode()
        sizes = [path.stat().st_size for path in files]

        def body() -> Iterator[bytes]:
            for path in files:
                yield head
                with path.open("rb") as file:
                    while piece := file.read(PIECE_BYTES):
                        yield piece
                yield b"\r\n"
            yield end

        headers = {
            "Content-Type": f'multipart/related; type="{DICOM}"; boundary={limit}',
            "Content-Length": str(sum(sizes) + len(files) * (len(head) + 2) + len(end)),
        }
        path = f"/studies/{checked_uid(study)}" if study else "/studies"
        with self._ask("POST", path, (), accept=JSON, headers=headers, body=body(), taken=(200, 202, 409)) as reply:
            said = _json(reply.read(LIST_BYTES))
        if isinstance(said, list):
            said = said[0] if said else {}
        if not isinstance(said, dict):
            raise ArchiveError("The archive does not say what it kept; look there.")
        stored = [_text(item, "00081155") for item in _items(said, "00081199")]
        refused = {_text(item, "00081155"): _number(item, "00081197") or 0 for item in _items(said, "00081198")}
        if not stored and not refused:
            raise ArchiveError("The archive does not say what it kept; look there.")
        return Sent(tuple(stored), refused)

    # The connection

    @contextmanager
    def _ask(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        *,
        accept: str,
        headers: Mapping[str, str] | None = None,
        body: Iterator[bytes] | None = None,
        taken: Sequence[int] = (200, 204, 206),
    ) -> Iterator[HTTPResponse]:
        """Give the reply to a request; ArchiveError for one that is none."""
        said = {"Accept": accept, **self._entry, **(headers or {})}
        target = f"{self._root}{path}" + (f"?{urlencode(query, safe=PLAIN, quote_via=quote)}" if query else "")
        connection = self._connect()
        try:
            connection.request(method, target, body=body, headers=said)
            reply = connection.getresponse()
            if reply.status not in taken:
                raise ArchiveError(_refusal(reply.status))
            yield reply
        except ssl.SSLError as error:
            raise ArchiveError(f"The archive's certificate is not trusted: {error.reason or error}.") from None
        except (OSError, HTTPException) as error:
            words = str(error) or type(error).__name__
            raise ArchiveError(f"The archive at {self._host} does not answer: {words}.") from None
        finally:
            connection.close()

    def _connect(self) -> HTTPConnection:
        if self._secure:
            return HTTPSConnection(self._host, self._port, timeout=self._silent, context=ssl.create_default_context())
        return HTTPConnection(self._host, self._port, timeout=self._silent)


def _split(address: str) -> Any:
    try:
        parts = urlsplit(address)
        port_is_one = parts.port != 0
    except ValueError:
        port_is_one = False
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_one:
        raise SettingsError(f"An archive needs an address such as https://pacs.example.org/dicom-web; got {address!r}.")
    if parts.username or parts.password:
        raise SettingsError("An archive's address may not hold a password: put it into a file or the environment.")
    if parts.query or parts.fragment or not address.isascii() or not address.isprintable() or " " in address:
        raise SettingsError("An archive's address needs to end with its path, without ? or #.")
    return parts


def _authorization(credentials: str) -> dict[str, str]:
    said = credentials.strip()
    if not said:
        return {}
    if not said.isprintable():
        raise SettingsError("Credentials need to be one line: name:password, or Bearer and a token.")
    if said.lower().startswith("bearer "):
        return {"Authorization": f"Bearer {said[7:].strip()}"}
    if ":" not in said:
        raise SettingsError("Credentials need to be name:password, or Bearer and a token.")
    return {"Authorization": f"Basic {base64.b64encode(said.encode()).decode()}"}


def _refusal(status: int) -> str:
    if 300 <= status < 400:
        return f"The archive sends us elsewhere (status {status}), where nobody said to go; use the right address."
    reasons = {401: "It wants other credentials", 403: "It does not let these in", 404: "It has no such thing"}
    return f"The archive refused (status {status}). {reasons.get(status, 'Its log says why')}."


def checked_uid(text: str) -> str:
    """Return a UID of DICOM; SettingsError for what is none."""
    if not UID.fullmatch(text):
        raise SettingsError(f"A DICOM UID has up to 64 digits and dots; got {text[:80]!r}.")
    return text


class _Parts:
    """The parts of a multipart body, each written to a file as it comes."""

    def __init__(self, folder: Path, boundary: bytes, progress: Progress, most_bytes: int) -> None:
        self._folder, self._progress, self._most = folder, progress, most_bytes
        self._files: list[Path] = []
        self._file: IO[bytes] | None = None
        self._size = 0
        self._complete = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._note_end,
            },
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def take(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._most:
            raise LimitError(f"A series may have {self._most} bytes here; this one is larger.")
        try:
            self._parser.write(piece)
        except MultipartParseError:
            raise ArchiveError("What the archive sent is damaged.") from None
        self._progress(len(self._files), self._size)

    def finished(self) -> list[Path]:
        """Return the files, when all are there."""
        if not self._complete:
            raise ArchiveError("What the archive sent ends too early.")
        if not self._files:
            raise ArchiveError("The archive sent no files.")
        return self._files

    def _begin(self) -> None:
        if len(self._files) >= MOST_FILES:
            raise LimitError(f"A series may have {MOST_FILES} files here; this one has more.")
        path = self._folder / f"{len(self._files):05}.dcm"
        try:
            self._file = path.open("xb")
        except OSError as error:
            raise _unwritten(error) from None
        self._files.append(path)

    def _data(self, data: bytes, start: int, end: int) -> None:
        assert self._file is not None
        try:
            self._file.write(data[start:end])
        except OSError as error:
            raise _unwritten(error) from None

    def _end(self) -> None:
        assert self._file is not None
        try:
            self._file.close()
        except OSError as error:
            raise _unwritten(error) from None
        self._file = None

    def _note_end(self) -> None:
        self._complete = True


def _unwritten(error: OSError) -> DiskFullError:
    return DiskFullError(f"The series could not be written: {error.strerror or 'the disk refused'}.")


# What lists say


def _json(content: bytes) -> Any:
    try:
        return json.loads(content or b"[]")
    except (ValueError, RecursionError):
        raise ArchiveError("The archive's answer is not JSON, as DICOMweb has it.") from None


def _series(item: dict[str, Any], study: str) -> ArchivedSeries:
    return ArchivedSeries(
        uid=_text(item, "0020000E"),
        study=study,
        modality=_text(item, "00080060"),
        description=_text(item, "0008103E"),
        instances=_number(item, "00201209"),
    )


def _items(item: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    return [value for value in _values(item, tag) if isinstance(value, dict)]


def _values(item: dict[str, Any], tag: str) -> list[Any]:
    held = item.get(tag)
    values = held.get("Value") if isinstance(held, dict) else None
    return values if isinstance(values, list) else []


def _texts(item: dict[str, Any], tag: str) -> list[str]:
    found = [value.get("Alphabetic") if isinstance(value, dict) else value for value in _values(item, tag)]
    return [plain(value) for value in found if isinstance(value, str)]


def plain(text: str) -> str:
    """Return a text as a terminal may be given it: what an archive says could steer it."""
    return "".join(c for c in text if c.isprintable())[:200].strip()


def _text(item: dict[str, Any], tag: str) -> str:
    return next(iter(_texts(item, tag)), "")


def _number(item: dict[str, Any], tag: str) -> int | None:
    value = next(iter(_values(item, tag)), None)
    try:
        return int(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
    except ValueError:
        return None


def as_date(text: str) -> str:
    """Return a date of DICOM as YYYY-MM-DD; empty where it is none."""
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}" if len(text) == 8 and text.isdecimal() else ""
