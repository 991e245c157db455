"""Who watches an open session, who waits for which answer, and what each of them is sent.

An audience has no lock of its own: the lock of its session guards it, so that everybody is sent the same
things in the same order. `Listener.tell` never waits, so nothing here does either.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from segmend.core.image import Box
from segmend.core.session import Colour, Event, Prompted, Session, event_to_json
from segmend.errors import NotFoundError, SegmendError
from segmend.server.metrics import ANSWER_SECONDS
from segmend.server.sessions.wire import EMPTY_BOX, full_state, light_state
from segmend.server.told import Told

# Progress messages of one answer are at least this far apart.
PROGRESS_SECONDS = 0.2


Changed = Mapping[int, Box]  # a box of each layer that changed


class Listener(Protocol):
    """Somebody who watches a session; `tell` may be called from any thread and never waits."""

    def tell(self, message: str | bytes) -> None: ...

    def end(self, message: str) -> None:
        """Tell the last message: there will be no more."""


@dataclass(frozen=True)
class Person:
    """How somebody who watches a session is shown to the others."""

    name: str
    colour: Colour


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of one event."""

    position: int
    box: Box
    milliseconds: float
    quality: float | None
    finetuned: bool  # by a network that was taught this image
    withdrawn: bool  # undone or cancelled before it was answered
    covered_by: int | None = None  # the label that keeps most of what was found
    layer: int = 0  # that the box is of


@dataclass(eq=False)
class Request:
    """Who asked for an event's answer, and since when."""

    begun: float = field(default_factory=time.perf_counter)
    answer: Future[Answer] = field(default_factory=Future)
    sender: Listener | None = None
    number: int | None = None  # the sender's own, repeated to it
    abandoned: bool = False  # nobody waits for it any longer

    def end(self, outcome: Answer | Exception) -> None:
        """Hand the outcome to whoever waits; only the first call counts."""
        with suppress(InvalidStateError):  # it has ended already, or nobody waits any longer
            if isinstance(outcome, Answer):
                self.answer.set_result(outcome)
            else:
                self.answer.set_exception(outcome)


class Audience:
    """The listeners of one session and the requests that wait for its answers."""

    def __init__(self, session_id: str, case_id: str, told: Told = str) -> None:
        self._session_id = session_id
        self._case_id = case_id
        self._told = told
        self._listeners: list[Listener] = []
        self._people: dict[Listener, Person] = {}  # those who said who they are
        self._requests: dict[int, Request] = {}  # by the position of the event
        self._progress_at = (-1, 0.0)  # the position of the last progress message, and when it was sent

    def __bool__(self) -> bool:
        """True while somebody watches."""
        return bool(self._listeners)

    def add(self, listener: Listener, session: Session, frames: Iterable[bytes]) -> None:
        """Tell a listener the state and these frames, and from now on everything that happens."""
        self._listeners.append(listener)
        listener.tell(json.dumps(self._state(session)))
        for frame in frames:
            listener.tell(frame)

    def introduce(self, listener: Listener, person: Person) -> None:
        """Show a listener to the others who said who they are, and these to it."""
        if any(other is listener for other in self._listeners):
            self._people[listener] = person
            self._tell_people()

    def remove(self, listener: Listener) -> None:
        """Tell a listener nothing more; what it asked for is answered nevertheless."""
        self._listeners = [other for other in self._listeners if other is not listener]
        if self._people.pop(listener, None) is not None:
            self._tell_people()
        for request in self._requests.values():
            if request.sender is listener:
                request.sender = None

    def dismiss(self, message: str) -> None:
        """Tell everybody why the session ends, and forget them."""
        self._tell({"type": "error", "id": None, "message": message})
        for listener in self._listeners:
            listener.end(message)
        self._listeners, self._people = [], {}
        for request in self._requests.values():
            request.end(NotFoundError(message))
        self._requests = {}

    # Requests

    def positions(self) -> list[int]:
        """Return the events whose answers are waited for."""
        return list(self._requests)

    def unanswered(self) -> list[int]:
        """Return the events of which nobody was told yet what came of them."""
        return [position for position, request in self._requests.items() if not request.answer.done()]

    def abandon(self, position: int) -> None:
        """Note that whoever asked for this answer has gone."""
        if position in self._requests:
            self._requests[position].abandoned = True

    def waits_for(self, position: int) -> bool:
        """False when whoever asked for this answer has gone, and nobody else watches."""
        request = self._requests.get(position)
        return request is None or not request.abandoned or bool(self._listeners)

    # Messages

    def tell_accepted(
        self, position: int, event: Event, *, sender: Listener | None = None, number: int | None = None
    ) -> Future[Answer]:
        """Tell that an event is stored, and return what will come of it; only the sender gets its number."""
        request = self._requests[position] = Request(sender=sender, number=number)
        message = {"type": "accepted", "position": position, "event": event_to_json(event)}
        others = json.dumps({**message, "id": None})
        for listener in self._listeners:
            own = listener is sender
            listener.tell(json.dumps({**message, "id": number}) if own else others)
        return request.answer

    def tell_frame(self, frame: bytes) -> None:
        """Send a frame of the map or of the uncertainty."""
        self._tell(frame)

    def tell_progress(self, position: int, fraction: float) -> None:
        """Tell how much of an answer is done, unless a message about it went out a moment ago."""
        now = time.perf_counter()
        last_position, last_time = self._progress_at
        if position != last_position or now - last_time >= PROGRESS_SECONDS:
            self._progress_at = (position, now)
            self._tell({"type": "progress", "position": position, "fraction": round(fraction, 3)})

    def tell_answered(
        self,
        position: int,
        session: Session,
        changed: Changed | None = None,
        quality: float | None = None,
        *,
        finetuned: bool = False,
        withdrawn: bool = False,
        covered_by: int | None = None,
    ) -> None:
        """Tell that an event is answered or withdrawn, and end its request."""
        request = self._requests.pop(position, None) or Request()
        milliseconds = round((time.perf_counter() - request.begun) * 1000, 3)
        if self._listeners:
            message = {"type": "answered", "position": position, "milliseconds": milliseconds, "quality": quality}
            message |= {"finetuned": finetuned, "withdrawn": withdrawn, "covered_by": covered_by}
            message["state"] = light_state(session)
            self._tell(message)
        outcome = "withdrawn" if withdrawn else "answered"
        ANSWER_SECONDS.labels(_asked(session.events[position]), outcome).observe(milliseconds / 1000)
        layer, box = min((changed or {}).items(), default=(0, EMPTY_BOX), key=lambda item: item[0])
        request.end(Answer(position, box, milliseconds, quality, finetuned, withdrawn, covered_by, layer))

    def tell_error(self, position: int, error: SegmendError) -> None:
        """Tell who asked for an answer, or else everybody, why there is none."""
        request = self._requests.get(position, Request())
        request.end(error)
        message = {"type": "error", "id": request.number, "position": position, "message": self._told(error)}
        listeners = self._listeners if request.sender is None else [request.sender]
        for listener in listeners:
            listener.tell(json.dumps(message))

    def _tell_people(self) -> None:
        """Tell everybody who said who they are who else is there; programs that did not are told nothing."""
        for listener in self._people:
            people = [
                {"name": person.name, "colour": list(person.colour), "you": other is listener}
                for other, person in self._people.items()
            ]
            listener.tell(json.dumps({"type": "people", "people": people}))

    def _tell(self, message: dict[str, Any] | bytes) -> None:
        text = message if isinstance(message, bytes) else json.dumps(message)
        for listener in self._listeners:
            listener.tell(text)

    def _state(self, session: Session) -> dict[str, Any]:
        return {"type": "state", "state": full_state(self._session_id, self._case_id, session)}


def _asked(event: Event) -> str:
    """Return which method an event asks, or what it is."""
    return event.method if isinstance(event, Prompted) else type(event).__name__.lower()
