"""All sessions that are open, and the images they lie on.

A session is opened once, however many ask for it at the same time, and stays until nobody
uses it and room is needed; then it is opened again from the store. The lock here is taken
before a desk's lock, never while holding one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from segmend.core.image import Image
from segmend.runtime.engine import AUTO, Device
from segmend.server.desk import DELETED, Desk
from segmend.server.work import Pool
from segmend.server.workspaces import Workspaces
from segmend.store import Store


@dataclass(eq=False)
class Place:
    """A desk that is open or being opened, and how many hold on to it."""

    desk: Future[Desk] = field(default_factory=Future)
    holders: int = 0


class Images:
    """The images used last; one whose voxels are mapped from the disk costs next to nothing."""

    def __init__(self, store: Store, limit_bytes: int) -> None:
        self._store = store
        self._limit = limit_bytes
        self._kept: OrderedDict[str, Image] = OrderedDict()
        self._lock = Lock()

    def get(self, case_id: str) -> Image:
        """Return the image of a case."""
        with self._lock:
            if case_id in self._kept:
                self._kept.move_to_end(case_id)
                return self._kept[case_id]
        image = self._store.image(case_id)
        with self._lock:
            self._kept[case_id] = image
            total = sum(image.voxels.nbytes for image in self._kept.values())
            while total > self._limit and len(self._kept) > 1:
                total -= self._kept.popitem(last=False)[1].voxels.nbytes
        return image

    def forget(self, case_id: str) -> None:
        with self._lock:
            self._kept.pop(case_id, None)


class Desks:
    """The open sessions."""

    def __init__(
        self,
        store: Store,
        *,
        limit_bytes: int,
        open_sessions: int,
        workers: int,
        late_seconds: float = 60.0,
        weights: Mapping[str, Path] | None = None,
        device: Device = AUTO,
    ) -> None:
        self.pool = Pool(workers, late_seconds=late_seconds)
        self.images = Images(store, limit_bytes)
        self.workspaces = Workspaces(limit_bytes, weights, device)
        self._store = store
        self._limit = limit_bytes
        self._open_sessions = open_sessions
        self._places: OrderedDict[str, Place] = OrderedDict()
        self._lock = Lock()

    @contextmanager
    def using(self, session_id: str) -> Iterator[Desk]:
        """Give a session's desk, opened if need be; it stays open as long as somebody holds it."""
        with self._lock:
            place = self._places.get(session_id)
            first = place is None
            if place is None:
                place = self._places[session_id] = Place()
            place.holders += 1
            self._places.move_to_end(session_id)
        try:
            if first:
                self._open(session_id, place)
            yield place.desk.result()
        finally:
            with self._lock:
                place.holders -= 1
                dropped = self._crowded()
            for desk in dropped:
                self._drop(desk)

    def forget_case(self, case_id: str) -> None:
        """Close the sessions of a case that is gone."""
        self.images.forget(case_id)
        with self._lock:
            gone = [d for place in self._places.values() if (d := _ready(place)) is not None and d.case == case_id]
            for desk in gone:
                del self._places[desk.id]
        for desk in gone:
            self._drop(desk, DELETED)

    def close(self) -> None:
        """Finish the steps that run and close every session; what waits stays in the store."""
        self.pool.close()
        with self._lock:
            desks = [desk for place in self._places.values() if (desk := _ready(place)) is not None]
            self._places.clear()
        for desk in desks:
            desk.close("The server is shutting down.")

    def _open(self, session_id: str, place: Place) -> None:
        try:
            record = self._store.session_record(session_id)
            desk = Desk(
                record,
                self._store.session(session_id),
                lambda: self.images.get(record.case),
                store=self._store,
                pool=self.pool,
                workspaces=self.workspaces,
            )
        except BaseException as error:
            with self._lock:
                self._places.pop(session_id, None)
            place.desk.set_exception(error)
        else:
            place.desk.set_result(desk)

    def _crowded(self) -> list[Desk]:
        """Take out the sessions used least, as many as there are too many; nobody uses them."""
        idle = [
            desk
            for place in self._places.values()
            if not place.holders and (desk := _ready(place)) is not None and desk.idle
        ]
        total = sum(desk.size_bytes for desk in idle)
        dropped: list[Desk] = []
        while idle and (len(idle) > self._open_sessions or total > self._limit):
            desk = idle.pop(0)
            total -= desk.size_bytes
            del self._places[desk.id]
            dropped.append(desk)
        return dropped

    def _drop(self, desk: Desk, message: str = "This session was closed.") -> None:
        desk.close(message)
        self.workspaces.forget(desk.id)


def _ready(place: Place) -> Desk | None:
    return place.desk.result() if place.desk.done() and place.desk.exception() is None else None
