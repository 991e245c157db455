"""All sessions that are open, and the images they lie on.

A session is opened once, however many ask for it at the same time, and stays until nobody
uses it and room is needed; then it is opened again from the store. The lock here is taken
before the lock of an open session, never while holding one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock

from segmend.core.image import Image
from segmend.core.segmenter import Given, Workspace
from segmend.core.session import GIVEN
from segmend.errors import SegmendError
from segmend.io.slides import SlideFile
from segmend.runtime.budget import MEMORY, Memory
from segmend.runtime.engine import AUTO, Device
from segmend.server.cases.scratch import scratch_folder
from segmend.server.cases.slide_files import OpenSlide, Slides
from segmend.server.processes.held import array_bytes
from segmend.server.processes.processes import Apart, Processes
from segmend.server.sessions.open_session import DELETED, OpenSession
from segmend.server.sessions.repairs import repair
from segmend.server.sessions.workspaces import Workspaces
from segmend.server.told import Told
from segmend.server.work import Pool, log_failure
from segmend.store import SessionRecord, Store
from segmend.store.records import SeriesRecord

NONE = Apart(0, 0.0)  # all methods are answered in this process


@dataclass(eq=False)
class Slot:
    """A session that is open or being opened, and how many use it."""

    session: Future[OpenSession] = field(default_factory=Future)
    users: int = 0


class Images:
    """The images used last; one whose voxels are mapped from the disk costs next to nothing."""

    def __init__(self, store: Store, memory: Memory, slides: Slides) -> None:
        self._store = store
        self._memory = memory
        self._slides = slides
        self._owner = object()

    def get(self, case_id: str) -> Image:
        """Return the image of a case."""
        image: Image | None = self._memory.get(self._owner, case_id)
        if image is None:
            image = self._store.image(case_id)
            self._memory.put(self._owner, case_id, image, array_bytes(image.voxels))
        return image

    def of(self, record: SessionRecord) -> Image:
        """Return the image that a session is of: its case's, or a field of view of a slide."""
        if record.field is None:
            return self.get(record.case)
        key = (record.case, record.id)
        image: Image | None = self._memory.get(self._owner, key)
        if image is None:
            field = record.field
            image = self._slides.get(record.case).image(field.level, field.low, field.high)
            self._memory.put(self._owner, key, image, array_bytes(image.voxels))
        return image

    def series(self, series: SeriesRecord) -> Image:
        """Return the image of a series beside a case's own."""
        key = (series.case, series.id)
        image: Image | None = self._memory.get(self._owner, key)
        if image is None:
            image = self._store.series_image(series.id)
            self._memory.put(self._owner, key, image, array_bytes(image.voxels))
        return image

    def forget(self, case_id: str) -> None:
        self._memory.forget_where(self._owner, lambda key: case_id in (key, key[0]))

    def close(self) -> None:
        """Forget all of them."""
        self._memory.forget(self._owner)


class OpenSessions:
    """The open sessions."""

    def __init__(
        self,
        store: Store,
        *,
        limit_bytes: int,
        open_sessions: int,
        workers: int,
        max_waiting: int,
        scratch: Path,
        late_seconds: float = 60.0,
        apart: Apart = NONE,
        weights: Mapping[str, Path] | None = None,
        device: Device = AUTO,
        told: Told = str,
        open_slide: OpenSlide = SlideFile,
    ) -> None:
        self.pool = Pool(workers, late_seconds=late_seconds)
        self.memory = MEMORY  # that networks keep their features in, too
        self.memory.limit_bytes = limit_bytes
        self.slides = Slides(store, scratch, open_slide)
        self.images = Images(store, self.memory, self.slides)
        self.processes = Processes(
            apart,
            self.memory,
            folder=partial(scratch_folder, scratch, "answering-", elsewhere=True),
            weights=weights,
            device=device,
            waiting=self.pool.waiting_outside,
            when_idle=partial(self.pool.submit, when_idle=True),
        )
        self.workspaces = Workspaces(self.memory, weights, device, processes=self.processes)
        self._store = store
        self._told = told
        self._open_sessions = open_sessions
        self._max_waiting = max_waiting
        self._slots: OrderedDict[str, Slot] = OrderedDict()
        self._lock = Lock()

    @property
    def count(self) -> int:
        """How many sessions are open."""
        return len(self._slots)

    @contextmanager
    def open(self, session_id: str) -> Iterator[OpenSession]:
        """Lend an open session, opening it if need be; it stays open as long as somebody uses it."""
        with self._lock:
            slot = self._slots.get(session_id)
            first = slot is None
            if slot is None:
                slot = self._slots[session_id] = Slot()
            slot.users += 1
            self._slots.move_to_end(session_id)
        try:
            if first:
                self._load(session_id, slot)
            yield slot.session.result()
        finally:
            with self._lock:
                slot.users -= 1
                dropped = self._evict()
            for session in dropped:
                self._drop(session)
            self._weigh(session_id, slot)
            self.memory.give_back(least_bytes=0)  # an answer frees what it needed for itself, too

    def forget_case(self, case_id: str) -> None:
        """Close the sessions of a case that is gone."""
        self.images.forget(case_id)
        self.slides.forget(case_id)
        with self._lock:
            gone = [s for slot in self._slots.values() if (s := _session_of(slot)) is not None and s.case == case_id]
            for session in gone:
                del self._slots[session.id]
        for session in gone:
            self._drop(session, DELETED)

    def catch_up(self) -> None:
        """Take over what other servers have added to the open sessions; close those whose case is gone."""
        with self._lock:
            there = [session for slot in self._slots.values() if (session := _session_of(slot)) is not None]
        lengths = self._store.lengths([session.id for session in there]) if there else {}
        for session in there:
            if session.id not in lengths:
                self.forget_case(session.case)
                continue
            try:
                session.catch_up(*lengths[session.id])
            except SegmendError as error:  # of this one alone: the others go on
                log_failure(f"What another server did in session {session.id} cannot be read", error)

    def waits_for_others(self) -> bool:
        """True while an event waits for another server's answer, which may never come."""
        with self._lock:
            there = [session for slot in self._slots.values() if (session := _session_of(slot)) is not None]
        return any(session.waits_for_others for session in there)

    def close(self) -> None:
        """Finish the steps that run and close every session; what waits stays in the store."""
        self.pool.close()
        with self._lock:
            sessions = [session for slot in self._slots.values() if (session := _session_of(slot)) is not None]
            self._slots.clear()
        for session in sessions:
            session.close("The server is shutting down.")
        self.workspaces.close()
        self.images.close()
        self.slides.close()
        self.memory.forget(self)
        self.memory.give_back()

    def _load(self, session_id: str, slot: Slot) -> None:
        try:
            record = self._store.session_record(session_id)
            loaded = self._store.load_session(session_id)

            image = partial(self.images.of, record)

            def open_workspace(method: str) -> Workspace:
                return Given() if method == GIVEN else self.workspaces.open(session_id, method, image)

            session = OpenSession(
                record,
                repair(self._store, session_id, loaded, open_workspace, image),
                image,
                store=self._store,
                pool=self.pool,
                workspaces=self.workspaces,
                max_waiting=self._max_waiting,
                told=self._told,
                timed=self._store.case(record.case).timed,
            )
        except BaseException as error:
            with self._lock:
                self._slots.pop(session_id, None)
            slot.session.set_exception(error)
        else:
            slot.session.set_result(session)

    def _evict(self) -> list[OpenSession]:
        """Take out the sessions used least, as many as there are too many; nobody uses them."""
        idle = [
            session
            for slot in self._slots.values()
            if not slot.users and (session := _session_of(slot)) is not None and session.idle
        ]
        dropped: list[OpenSession] = []
        over = self.memory.size_bytes - self.memory.limit_bytes  # features and the like have gone already
        while idle and (len(idle) > self._open_sessions or over > 0):
            session = idle.pop(0)
            over -= session.size_bytes
            del self._slots[session.id]
            dropped.append(session)
        return dropped

    def _weigh(self, session_id: str, slot: Slot) -> None:
        """Count what a session holds, which nobody can drop but here."""
        session = _session_of(slot)
        with self._lock:
            known = session is not None and self._slots.get(session_id) is slot
        if known and session is not None:
            self.memory.put(self, session_id, None, session.size_bytes, droppable=False)

    def _drop(self, session: OpenSession, message: str = "This session was closed.") -> None:
        session.close(message)
        self.workspaces.forget(session.id)
        self.memory.forget_where(self, lambda key: bool(key == session.id))


def _session_of(slot: Slot) -> OpenSession | None:
    return slot.session.result() if slot.session.done() and slot.session.exception() is None else None
