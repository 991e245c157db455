"""Series that scanners and archives send, as cases of the worklist: a file is on the disk before its sender is told so.

Files lie in the data folder, one folder a series, until the series is a case; a receiver that is killed goes on with
them when it is started again. DICOM never says that a series is complete: it is taken to be when nothing of it has come
for some seconds. What comes later makes the case anew with all files, and the earlier case goes unless somebody has
begun to work on it. What cannot be read stays in a folder `refused-...` beside, and the log says so.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Condition, Event

from segmend.errors import DiskFullError, NotFoundError, SegmendError
from segmend.io.dicom import load_header
from segmend.io.dicomweb import MOST_BYTES, MOST_FILES, UID
from segmend.io.originals import original_of
from segmend.io.receiving import NO_ROOM, NOT_UNDERSTOOD
from segmend.server.cases.reading import Reading
from segmend.server.cases.uploads import add_found
from segmend.server.work import log_failure
from segmend.store import CaseRecord, Store
from segmend.store.pseudonyms import Cleaned

log = logging.getLogger("segmend.server")
FOLDER, REFUSED = "received", "refused-"
# Names of what no longer belongs to a series.
STAMP = "%Y%m%d-%H%M%S"
TAKEN = 0x0000


class Received:
    """What has been received; every method may be called from any thread."""

    def __init__(self, store: Store, reading: Reading, data: Path, *, project: str, quiet_seconds: float) -> None:
        self._store = store
        self._reading = reading
        self._folder = data / FOLDER
        self._project = project
        self._quiet = quiet_seconds
        self._last: dict[str, float] = {}  # when something of a series came last, by its folder
        self._busy = ""  # the folder of which a case is being made
        self._changed = Condition()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.scratch = self._folder / "scratch"
        shutil.rmtree(self.scratch, ignore_errors=True)  # what broke off when the last receiver ended
        self.scratch.mkdir(mode=0o700)
        for folder in self._folder.iterdir():
            if folder != self.scratch and not folder.name.startswith(REFUSED):
                self._last[folder.name] = time.monotonic()

    def take(self, path: Path, sender: str, host: str) -> int:
        """Keep one file; return DICOM's status, for its sender."""
        try:
            header, _ = load_header(path)
        except SegmendError:
            return NOT_UNDERSTOOD
        series, uid = str(header.get("SeriesInstanceUID", "")), str(header.get("SOPInstanceUID", ""))
        if not UID.fullmatch(series) or not UID.fullmatch(uid):
            return NOT_UNDERSTOOD
        name = hashlib.sha256(series.encode()).hexdigest()[:32]
        folder = self._folder / name
        with self._changed:
            self._changed.wait_for(lambda: self._busy != name)  # a case is being made: what comes now is of the next
            try:
                folder.mkdir(mode=0o700, exist_ok=True)
                there = sum(1 for _ in folder.iterdir())
                if there >= MOST_FILES or path.stat().st_size > MOST_BYTES:
                    return NO_ROOM
                target = folder / f"{hashlib.sha256(uid.encode()).hexdigest()[:32]}.dcm"
                _sync(path)
                shutil.move(path, target)
                _sync(folder)
            except OSError as error:
                log_failure("A file that was sent could not be kept", DiskFullError(str(error.strerror)))
                return NO_ROOM
            self._last[name] = time.monotonic()
            return TAKEN

    def work(self, ending: Event, told: Callable[[CaseRecord], None]) -> None:
        """Make cases of series that are complete, until that ends; `told` each of them."""
        while not ending.wait(min(0.2, self._quiet / 4)):
            for case in self.turn():
                told(case)

    def turn(self) -> list[CaseRecord]:
        """Make cases of the series of which nothing has come for long enough; return them."""
        made: list[CaseRecord] = []
        while True:
            with self._changed:
                ripe = time.monotonic() - self._quiet
                name = next((name for name, last in self._last.items() if last <= ripe), None)
                if name is None:
                    return made
                self._busy = name
                del self._last[name]
            try:
                made += self._make(self._folder / name)
            except SegmendError as error:
                self._refuse(name, error)
            except Exception as error:
                log_failure("A series that was sent could not be made a case", error)
                self._refuse(name, error)
            finally:
                with self._changed:
                    self._busy = ""
                    self._changed.notify_all()

    def _refuse(self, name: str, error: Exception) -> None:
        """Keep files of which no case can be made, out of the way."""
        kept = f"{REFUSED}{time.strftime(STAMP)}-{name[:8]}"
        with suppress(OSError):
            (self._folder / name).rename(self._folder / kept)
        log.warning("A series that was sent is no case: %s Its files are in %s.", error, kept)

    def _make(self, folder: Path) -> list[CaseRecord]:
        """Return the new cases of a series, all or none."""
        if self._project not in {known.name for known in self._store.projects()}:
            self._store.add_project(self._project)
        with self._reading.cleaned(folder, self._store.project(self._project)) as cleaned:
            cases, earlier = self._make_of(cleaned)
        for case_id in earlier:
            if not self._store.sessions(case_id):
                with suppress(NotFoundError):  # somebody else was faster
                    self._store.delete_case(case_id)
        shutil.rmtree(folder, ignore_errors=True)
        return cases

    def _make_of(self, cleaned: Cleaned) -> tuple[list[CaseRecord], list[str]]:
        """Return the new cases of files as they may be kept, and the earlier ones of their series."""
        folder = cleaned.place
        header, _ = load_header(next(folder.iterdir()))
        earlier = self._earlier(str(header.SeriesInstanceUID), folder)
        cases: list[CaseRecord] = []
        try:
            for found in self._reading.images(folder):
                image = found.image()
                case = add_found(self._store, found, image, cleaned, self._project)
                cases.append(case)
                self._store.originals.keep(case.id, original_of(folder, image))
        except BaseException:
            for case in cases:
                self._store.delete_case(case.id)
            raise
        return cases, earlier

    def _earlier(self, series: str, folder: Path) -> list[str]:
        """Put the files of earlier cases of a series beside its new ones; return these cases."""
        found = [one.case for one in self._store.originals.known(series=series)]
        for case_id in found:
            with self._store.source_of(case_id) as source:
                for path in source.rglob("*"):
                    if path.is_file() and not (folder / path.name).exists():
                        shutil.copyfile(path, folder / path.name)
        return found


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
