"""Series that are fetched from archives as cases, in the background: a few at a time, told how far they are, and
ended when somebody wants that.

All cases of a series or none: what comes incomplete, is another series, or is cancelled leaves nothing. An import lives
in memory alone; when the server ends it is gone, and can be begun again.
"""

from __future__ import annotations

import shutil
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Queue
from threading import Event, Lock, Thread
from typing import Literal
from uuid import uuid4

from segmend.errors import ArchiveError, LimitError, NotFoundError, SegmendError, SettingsError
from segmend.io.dicomweb import UID
from segmend.io.dimse import AnyArchive
from segmend.server.cases.reading import Reading
from segmend.server.cases.scratch import scratch_folder
from segmend.server.cases.uploads import add_found
from segmend.server.settings import ServerSettings
from segmend.server.told import Told
from segmend.server.work import log_failure
from segmend.store import CaseRecord, Store

# Imports that run at the same moment, that wait, and that are remembered after their end.
AT_ONCE, MOST_WAITING, MOST_REMEMBERED = 2, 200, 500
# Seconds that an ending server waits for them: one that asks a silent archive takes longer, and is left.
ENDING_SECONDS = 3.0
Stage = Literal["waiting", "fetching", "reading", "done", "failed", "cancelled"]
OVER: tuple[Stage, ...] = ("done", "failed", "cancelled")
UNFORESEEN = "The series could not be made a case; the server's log says more."


@dataclass(frozen=True)
class Import:
    """One series on its way, as it is now."""

    id: str
    archive: str
    study: str
    series: str
    project: str
    user: str
    stage: Stage = "waiting"
    files: int = 0
    size: int = 0  # bytes
    cases: tuple[str, ...] = ()
    error: str = ""  # why it failed


class CancelledImportError(Exception):
    """Somebody has ended an import."""


class Imports:
    """All imports of one server; every method may be called from any thread."""

    def __init__(self, store: Store, reading: Reading, settings: ServerSettings, told: Told) -> None:
        self._store = store
        self._reading = reading
        self._settings = settings
        self._told = told
        self._queue: Queue[str] = Queue()
        self._all: OrderedDict[str, Import] = OrderedDict()
        self._ends: dict[str, Event] = {}  # of those that are not over, set to end them
        self._threads: list[Thread] = []
        self._lock = Lock()

    @property
    def archives(self) -> Mapping[str, AnyArchive]:
        return self._settings.archives

    def archive(self, name: str) -> AnyArchive:
        """Return an archive that the server was started with; no other one is ever asked."""
        if name not in self.archives:
            raise NotFoundError(f"This server knows no archive {name[:80]!r}.")
        return self.archives[name]

    def begin(self, archive: str, study: str, series: str, project: str, user: str) -> Import:
        """Have a series fetched; LimitError when too many wait."""
        self.archive(archive)
        for uid in (study, series):
            if not UID.fullmatch(uid):
                raise SettingsError(f"A DICOM UID has up to 64 digits and dots; got {uid[:80]!r}.")
        self._store.project(project)
        with self._lock:
            if len(self._ends) >= MOST_WAITING:
                raise LimitError(f"{MOST_WAITING} series are being fetched, which is all that wait at once; try later.")
            one = Import(uuid4().hex, archive, study, series, project, user)
            self._all[one.id], self._ends[one.id] = one, Event()
            while len(self._all) > MOST_WAITING + MOST_REMEMBERED:
                self._all.pop(next(key for key, old in self._all.items() if old.stage in OVER))
            if len(self._threads) < AT_ONCE:
                thread = Thread(target=self._work, name=f"segmend-import-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._queue.put(one.id)
        return one

    def of(self, user: str) -> list[Import]:
        """Return the imports of a user, oldest first."""
        with self._lock:
            return [one for one in self._all.values() if one.user == user]

    def one(self, import_id: str, user: str) -> Import:
        with self._lock:
            found = self._all.get(import_id)
        if found is None or found.user != user:
            raise NotFoundError(f"There is no import {import_id[:80]!r}.")
        return found

    def cancel(self, import_id: str, user: str) -> None:
        """End an import; nothing where it is over already."""
        self.one(import_id, user)
        with self._lock:
            self._cancel(import_id)

    def _cancel(self, import_id: str) -> None:
        if (end := self._ends.pop(import_id, None)) is not None:
            end.set()
            self._all[import_id] = replace(self._all[import_id], stage="cancelled")

    def close(self) -> None:
        """End all of them."""
        with self._lock:
            for import_id in list(self._ends):
                self._cancel(import_id)
        for _ in self._threads:
            self._queue.put("")
        for thread in self._threads:
            thread.join(ENDING_SECONDS)

    # The work

    def _work(self) -> None:
        while import_id := self._queue.get():
            with self._lock:
                one, end = self._all.get(import_id), self._ends.get(import_id)
            if one is None or end is None:
                continue
            try:
                cases = self._fetch(one, end)
                self._over(import_id, stage="done", cases=tuple(case.id for case in cases))
            except CancelledImportError:
                pass
            except SegmendError as error:
                self._over(import_id, stage="failed", error=self._told(error))
            except Exception as error:
                log_failure("A series of an archive could not be imported", error)
                self._over(import_id, stage="failed", error=UNFORESEEN)

    def _over(self, import_id: str, *, stage: Stage, cases: tuple[str, ...] = (), error: str = "") -> None:
        with self._lock:
            if self._ends.pop(import_id, None) is not None:
                self._all[import_id] = replace(self._all[import_id], stage=stage, cases=cases, error=error)

    def _note(self, import_id: str, end: Event, stage: Stage, files: int, size: int) -> None:
        """Note how far an import is; CancelledImportError when it has been ended."""
        with self._lock:
            if end.is_set():
                raise CancelledImportError
            self._all[import_id] = replace(self._all[import_id], stage=stage, files=files, size=size)

    def _fetch(self, one: Import, end: Event) -> list[CaseRecord]:
        folder = scratch_folder(self._settings.data, "upload-")
        files = size = 0

        def progress(known: int, bytes_there: int) -> None:
            nonlocal files, size
            files, size = known, bytes_there
            self._note(one.id, end, "fetching", files, size)

        try:
            progress(0, 0)
            most = self._settings.max_upload_bytes
            self.archive(one.archive).fetch(one.study, one.series, folder, progress=progress, most_bytes=most)
            self._note(one.id, end, "reading", files, size)
            return self._add(one, end, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _add(self, one: Import, end: Event, folder: Path) -> list[CaseRecord]:
        """Return the new cases of the images that a series is, all or none."""
        cases: list[CaseRecord] = []
        store = self._store.by(one.user)
        try:
            with self._reading.cleaned(folder, store.project(one.project)) as cleaned:
                for found in self._reading.images(cleaned.place):
                    image = found.image()
                    if found.info.uid.partition("#")[0] != cleaned.uid(one.series):
                        raise ArchiveError(f"The archive sent other files than those of the series {one.series}.")
                    now = self._all.get(one.id, one)
                    self._note(one.id, end, "reading", now.files, now.size)
                    cases.append(add_found(store, found, image, cleaned, one.project))
            with self._lock:
                if end.is_set():
                    raise CancelledImportError
        except BaseException:
            for case in cases:
                store.delete_case(case.id)
            raise
        return cases
