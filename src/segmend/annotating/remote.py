"""An annotation that a server of Segmend answers: the same session that its own page shows, live for both.

One thread holds the connection (`/api/sessions/{id}/live`) and takes in what the server tells, whoever did it. When
the server goes away, it is asked again until it is back; what was sent and is not in the log then is sent once more.
Nothing that the server accepted is lost, and nothing is done twice.
"""

from __future__ import annotations

import json
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from threading import Condition, Lock, Thread
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

import numpy as np
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from segmend.annotating.annotation import Annotation, Levels
from segmend.core.image import Box, Image, Index, LabelMap
from segmend.core.session import Arranging, Event, Prompted, Session, event_from_json, event_to_json
from segmend.errors import PromptError, ServerError
from segmend.io import write_image
from segmend.server.sessions.wire import unpack, unpack_uncertainty

Json = dict[str, Any]
# Seconds that a server may be away before what is asked of it fails.
PATIENCE_SECONDS = 60.0
# Seconds that one request may take; an image of gigabytes has to arrive.
REQUEST_SECONDS = 600.0
# Seconds between two attempts to reach a server that is away.
RETRY_SECONDS = 0.5
# Seconds for a connection to come about.
CONNECT_SECONDS = 10.0
ENDED = 4404  # the code with which the server closes a connection whose session is gone
USUAL = ""  # in place of a method's name: the one that the server uses


class RemoteAnnotation(Annotation):
    """One session of a server, used from here; `open` begins one with an image of one's own."""

    def __init__(
        self,
        address: str,
        session: str,
        *,
        token: str = "",
        method: str = USUAL,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.id = session
        self.method = method
        self._server = Connection(address, token)
        self._patience = patience_seconds
        self._calibrated = {one["id"]: tuple(one["calibrated"]) for one in self._server.ask("GET", "api/methods")}
        self._changed = Condition()
        self._session: Session | None = None
        self._layers: dict[int, LabelMap] = {}
        self._pending: tuple[int, ...] = ()
        self._quality: float | None = None
        self._method = ""  # that gave it
        self._expected: dict[int, float] = {}  # by the event that was answered since the connection began
        self._uncertain: dict[int, list[tuple[Box, Levels]]] = {}  # by the event that was answered
        self._socket: ClientConnection | None = None
        self._connections = 0  # how often the server was reached
        self._failure: ServerError | None = None  # for good
        self._accepted: dict[int, int] = {}  # places in the log by the numbers that events were sent under
        self._refused: dict[int, str] = {}  # sentences by these numbers
        self._answered: set[int] = set()  # places of events that the server said were answered
        self._told = 0  # events of the state that came with the connection
        self._withdrawn: dict[int, str] = {}  # and by places, of what was accepted and could not be answered
        self._boxes: dict[int, Box] = {}  # that changed, by the place of the event that changed them
        self._sent = 0
        self._closed = False
        self._turn = Lock()  # events are put down one at a time
        self._listeners: list[Callable[[], None]] = []
        self._thread = Thread(target=self._hold, name="segmend-remote", daemon=True)
        self._thread.start()
        with self._changed:
            self._wait(lambda: self._session is not None)

    @classmethod
    def open(
        cls,
        image: Image,
        address: str,
        *,
        token: str = "",
        name: str = "image",
        project: str = "default",
        method: str = USUAL,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> RemoteAnnotation:
        """Send an image to a server, and begin a session on it."""
        server = Connection(address, token)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "image.nii")
            write_image(path, image)
            [case] = server.upload(path, f"{name}.nii", project)
        if tuple(case["shape"]) != image.shape:
            raise ServerError(f"The server read an image of shape {case['shape']} where {image.shape} was sent.")
        session = server.ask("POST", f"api/cases/{case['id']}/sessions")["id"]
        return cls(address, session, token=token, method=method, patience_seconds=patience_seconds)

    # What there is

    @property
    def session(self) -> Session:
        assert self._session is not None
        return self._session

    @property
    def layers(self) -> Mapping[int, LabelMap]:
        with self._changed:
            return {layer: label_map.copy() for layer, label_map in self._layers.items()}

    @property
    def quality(self) -> float | None:
        dimension = 2 if self.shape[0] == 1 else 3
        return self._quality if dimension in self._calibrated.get(self._method, ()) else None

    def expected(self, event: int) -> float | None:
        asked = self.session.events[event]
        dimension = 2 if self.shape[0] == 1 else 3
        if not isinstance(asked, Prompted) or dimension not in self._calibrated.get(asked.method, ()):
            return None
        return self._expected.get(event)

    @property
    def uncertainty(self) -> tuple[tuple[Box, Levels], ...]:
        with self._changed:
            return tuple(self._uncertain[max(self._uncertain)]) if self._uncertain else ()

    @property
    def connected(self) -> bool:
        """True while the server is there."""
        return self._socket is not None

    def listen(self, listener: Callable[[], None]) -> None:
        """Call something, from a thread of its own, whenever the session has changed, whoever changed it."""
        self._listeners.append(listener)

    def uncertain_place(self, rank: int) -> Index | None:
        try:
            found = self._server.ask("GET", f"api/sessions/{quote(self.id)}/uncertain?rank={rank}")
        except NothingThereError:
            return None
        if found["place"] is None:
            return None
        z, y, x = found["place"]
        return z, y, x

    # What is done

    def do(self, event: Event) -> Box | None:
        self.session.add(event)  # says at once what makes no sense
        values = event_to_json(event)
        if values.get("event") == "prompted" and not values["method"]:
            del values["method"]
        with self._turn:
            return self._put(values)

    def _put(self, values: Json) -> Box | None:
        with self._changed:
            known = len(self.session.events)
            number, connection = self._send(values)
            while True:
                told = (self._refused, self._accepted)
                self._wait(lambda: any(number in one for one in told) or self._connections != connection)  # noqa: B023
                if number in self._refused:
                    raise PromptError(self._refused.pop(number))
                position = self._accepted.get(number)
                if position is None:  # the server went away; did it take the event?
                    position = self._found(values, known)
                if position is not None:
                    break
                number, connection = self._send(values)
            self._wait(lambda: self._is_answered(position) or position in self._withdrawn)
            if position in self._withdrawn:
                raise PromptError(self._withdrawn.pop(position))
            return self._boxes.get(position)

    def _is_answered(self, position: int) -> bool:
        return position in self._answered or (position < self._told and position not in self._pending)

    def _send(self, values: Json) -> tuple[int, int]:
        while True:
            self._wait(lambda: self._socket is not None)
            assert self._socket is not None
            self._sent += 1
            try:
                self._socket.send(json.dumps({"id": self._sent, "event": values}))
            except (ConnectionClosed, OSError):
                self._socket = None
                continue
            return self._sent, self._connections

    def _found(self, values: Json, known: int) -> int | None:
        """Return the place of an event in the log that came after so many, None where it did not arrive."""
        for position in range(known, len(self.session.events)):
            there = event_to_json(self.session.events[position])
            if {**there, "method": None} == {**values, "method": None}:  # the server may have said which one
                return position
        return None

    def _wait(self, true: Callable[[], bool]) -> None:
        end = None
        while not true():
            if self._failure is not None:
                raise self._failure
            if self._closed:
                raise ServerError("This annotation was closed.")
            if self._socket is None:
                end = end or time.monotonic() + self._patience
                if time.monotonic() > end:
                    raise ServerError(f"The server at {self._server.address} does not answer.")
            else:
                end = None
            self._changed.wait(RETRY_SECONDS)

    def close(self) -> None:
        """Leave the session; it stays on the server."""
        with self._changed:
            self._closed = True
            socket, self._socket = self._socket, None
            self._changed.notify_all()
        if socket is not None:
            socket.close()
        self._thread.join(CONNECT_SECONDS)

    # The connection

    def _hold(self) -> None:
        """Stay connected until it is closed, and take in what the server tells."""
        while not self._closed and self._failure is None:
            try:
                with self._server.live(self.id) as socket:
                    for message in socket:
                        with self._changed:
                            self._take(message, socket)
                            self._changed.notify_all()
                        self._tell()
            except InvalidStatus as refusal:
                status, body = refusal.response.status_code, bytes(refusal.response.body or b"")
                if status in (400, 401, 403, 404):
                    self._failure = ServerError(refused(status, body))
            except ConnectionClosed as closed:
                if closed.rcvd is not None and closed.rcvd.code == ENDED:
                    self._failure = ServerError(f"The session has ended: {closed.rcvd.reason}")
            except (InvalidHandshake, OSError):
                pass  # it is away, and may come back
            with self._changed:
                self._socket = None
                self._changed.notify_all()
                if not self._closed and self._failure is None:
                    self._changed.wait(RETRY_SECONDS)
        self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    def _take(self, message: str | bytes, socket: ClientConnection) -> None:
        if isinstance(message, bytes):
            self._take_frame(message)
            return
        values = json.loads(message)
        match values["type"]:
            case "state":
                self._begin(values["state"], socket)
            case "accepted":
                self._accept(values)
            case "answered":
                self._pending = tuple(values["state"]["pending"])
                self._answered.add(values["position"])
                event = self.session.events[values["position"]]
                if isinstance(event, Arranging):
                    return  # which changes no mask
                self._quality = values["quality"]
                self._method = event.method if isinstance(event, Prompted) else ""
                if values["quality"] is not None:
                    self._expected[values["position"]] = values["quality"]
            case "error" if "position" in values:
                self._withdrawn[values["position"]] = values["message"]
            case "error" if values.get("id") is not None:
                self._refused[values["id"]] = values["message"]

    def _begin(self, state: Json, socket: ClientConnection) -> None:
        z, y, x = state["shape"]
        self._session = Session((z, y, x), tuple(event_from_json(event) for event in state["events"]))
        self._layers = {0: np.zeros(self._session.shape, np.uint16)}  # the frames that follow hold all of it
        self._pending = tuple(state["pending"])
        self._uncertain.clear()
        self._quality = None
        self._expected.clear()
        self._accepted.clear()
        self._answered.clear()
        self._told = len(self._session.events)
        self._socket = socket
        self._connections += 1

    def _accept(self, values: Json) -> None:
        position, event = values["position"], event_from_json(values["event"])
        assert self._session is not None
        if position == len(self._session.events):
            self._session = Session(self._session.shape, (*self._session.events, event))
        if values["event"]["event"] not in ("defined", "ordered", "slices_locked"):
            self._uncertain.clear()
            self._quality = None
        if values["event"]["event"] in ("prompted", "edited", "removed", "deleted"):
            self._pending = (*self._pending, position)
        if values.get("id") is not None:
            self._accepted[values["id"]] = position

    def _take_frame(self, frame: bytes) -> None:
        if frame.startswith(b"SGD1"):
            position, box, levels = unpack_uncertainty(frame)
            self._uncertain.setdefault(position, []).append((box, levels))
            return
        patch = unpack(frame)
        if patch.layer not in self._layers:
            self._layers[patch.layer] = np.zeros(self.shape, np.uint16)
        patch.onto(self._layers[patch.layer])
        self._boxes = {patch.position: self._boxes.get(patch.position, patch.box).union(patch.box)}


class NothingThereError(ServerError):
    """What was asked for is not on the server."""


class Connection:
    """How a server is reached: its address and a token."""

    def __init__(self, address: str, token: str = "") -> None:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ServerError(f"The address of a server looks like http://localhost:8765; got {address!r}.")
        self.address = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def live(self, session: str) -> ClientConnection:
        """Return the live connection of a session."""
        url = f"ws{self.address[4:]}/api/sessions/{quote(session)}/live"
        options: Json = {"max_size": None, "compression": None, "open_timeout": CONNECT_SECONDS}
        return connect(url, additional_headers=self._headers, **options)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON that comes of a request."""
        data = None if body is None else json.dumps(body).encode()
        return self._send(method, path, data, {"Content-Type": "application/json"} if data else {})

    def upload(self, path: Path, name: str, project: str) -> list[Json]:
        """Send the file of an image, and return the cases that it became."""
        boundary = uuid.uuid4().hex
        name = "".join(letter if letter.isalnum() or letter in " .-_" else "_" for letter in name)
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="project"\r\n\r\n{project}\r\n--{boundary}\r\n'
            f'Content-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        )
        body = b"".join((head.encode(), path.read_bytes(), f"\r\n--{boundary}--\r\n".encode()))
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        cases: list[Json] = self._send("POST", "api/cases", body, kind)
        return cases

    def _send(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> Any:
        request = Request(f"{self.address}/{path}", data, {**self._headers, **headers}, method=method)  # noqa: S310 - http(s) alone, as checked above
        try:
            with urlopen(request, timeout=REQUEST_SECONDS) as reply:  # noqa: S310
                return json.loads(reply.read())
        except HTTPError as error:
            kind = NothingThereError if error.code == 404 else ServerError
            with error:
                raise kind(refused(error.code, error.read())) from None
        except (URLError, OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise ServerError(f"The server at {self.address} does not answer ({reason}).") from None
        except ValueError:
            raise ServerError(f"What answers at {self.address} is no server of Segmend.") from None


def refused(status: int, body: bytes) -> str:
    """Return why a server refused, in its own sentence where it has one.

    >>> refused(401, b""), refused(404, b'{"detail": "There is no session 4."}')
    ('The server needs another token.', 'There is no session 4.')
    """
    if status == 401:
        return "The server needs another token."
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError):
        detail = None
    return detail if isinstance(detail, str) else f"The server refused, with status {status}."
