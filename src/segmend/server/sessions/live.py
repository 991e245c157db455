"""The WebSocket of a session: events in, answers out as they are painted.

A client sends text, `{"id": n, "event": {...}}` or `{"id": n, "cancel": position}`, and
receives, in this order for each event:

    {"type": "accepted", "id": n, "position": p, "event": {...}}    the event is durable
    binary patch frames and uncertainty frames, and {"type": "progress", "position": p, "fraction": f}
    {"type": "answered", "position": p, "milliseconds": t, "quality": q, "finetuned": false, "withdrawn": false,
     "covered_by": null, "state": {...}}

Everybody who watches the session receives the same, with `"id": null` for what others did.
An event that is undone or cancelled first is answered with `"withdrawn": true`. What is
refused is sent to who asked: `{"type": "error", "id": n, "message": one sentence}`; when
the event had been accepted, with its `"position"`, and it is then taken back by an event
of its own. On connecting, a client receives `{"type": "state", "state": {...}}` and the
whole map as one frame, and the last answer's uncertainty. What another server on the same store
did to the session is told as if it had happened here, without progress and in one frame.
A client may say who it is: `{"id": n, "here": {"name": "Anna", "colour": [60, 160, 230]}}`. An account's own name
stands before any other. All who did are told who is there, whenever that changes:
`{"type": "people", "people": [{"name": ..., "colour": ..., "you": true}, ...]}`. Another server on the same store knows
its own people alone.
When the session ends, because its case was deleted, an error with `"id": null` says so and the connection is closed
with code 4404.
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from fastapi.concurrency import run_in_threadpool

from segmend.errors import ForbiddenError, PromptError, SegmendError
from segmend.server.access.looks import key_in
from segmend.server.access.rights import MESSAGES, check_message
from segmend.server.bodies import event_of, json_object
from segmend.server.replies import UNEXPECTED, UnreadableError, refusal, shorten
from segmend.server.sessions.audience import Person
from segmend.server.sessions.open_session import OpenSession
from segmend.server.sessions.sessions import open_session
from segmend.server.state import Shared, shared, user
from segmend.server.work import log_failure

router = APIRouter()
log = logging.getLogger("segmend.server")
# Bytes that may wait for a client; one that reads more slowly is disconnected and may connect again.
MAX_WAITING_BYTES = 256 << 20


# Characters of a name that somebody goes by.
MAX_NAME = 40
# The code with which a connection is closed whose session ends: it was closed here, or its case was deleted.
ENDED = 4404


@dataclass(frozen=True)
class Farewell:
    """How a connection is closed."""

    code: int
    reason: str  # at most 123 bytes


BEHIND = Farewell(1013, "too far behind; connect again")


class Outbox:
    """What waits to be sent to one client; filled by any thread, emptied by the event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Queue[str | bytes | Farewell] = asyncio.Queue()
        self._size = 0

    def tell(self, message: str | bytes) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is there any longer
            self._loop.call_soon_threadsafe(self._put, message)

    def end(self, message: str) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._waiting.put_nowait, Farewell(ENDED, message))

    def _put(self, message: str | bytes) -> None:
        self._size += len(message)
        self._waiting.put_nowait(BEHIND if self._size > MAX_WAITING_BYTES else message)

    async def send_to(self, socket: WebSocket) -> None:
        """Send everything as it comes, for ever, or until the session ends or the client is too far behind."""
        while not isinstance(message := await self._waiting.get(), Farewell):
            self._size -= len(message)
            if isinstance(message, bytes):
                await socket.send_bytes(message)
            else:
                await socket.send_text(message)
        await socket.close(message.code, message.reason)


@router.websocket("/api/sessions/{session}/live")
async def live(socket: WebSocket, session: str) -> None:
    here, who = shared(socket), user(socket)
    try:
        with here.rates.connected(who):
            await _serve(socket, session, here, who)
    except SegmendError as error:
        await socket.send_denial_response(refusal(error, here.told(error)))


async def _serve(socket: WebSocket, session: str, here: Shared, who: str) -> None:
    async with open_session(here, session) as opened:
        await socket.accept()
        outbox = Outbox()
        sending = asyncio.create_task(outbox.send_to(socket))
        try:
            await run_in_threadpool(opened.listen, outbox)
            opened.warm(here.settings.method)
            await _receive(socket, opened, outbox, here, who)
        finally:
            opened.leave(outbox)
            sending.cancel()
            with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await sending


async def _receive(socket: WebSocket, session: OpenSession, outbox: Outbox, here: Shared, who: str) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        number: Any = None
        try:
            if message.get("text") is None:
                raise UnreadableError("This connection takes text; got bytes.")
            values = await run_in_threadpool(json_object, message["text"])
            number = values.get("id")
            await run_in_threadpool(_do, session, values, outbox, here, who)
        except (SegmendError, UnreadableError) as error:
            if isinstance(error, ForbiddenError) and who:
                await run_in_threadpool(here.looks.note_refusal, who, key_in(socket.scope), socket.path_params)
            outbox.tell(json.dumps({"type": "error", "id": number, "message": shorten(here.told(error))}))
        except Exception as error:
            log_failure("A message could not be answered", error)
            outbox.tell(json.dumps({"type": "error", "id": number, "message": UNEXPECTED}))


def _do(session: OpenSession, values: dict[str, Any], outbox: Outbox, here: Shared, who: str) -> None:
    number = values.get("id")
    if not (number is None or isinstance(number, int)):
        raise PromptError("A message's id needs a whole number.")
    kind = next((key for key in MESSAGES if _fits(key, values.get(key))), None)
    if kind is not None:
        check_message(here, who, session.id, kind)
    if kind == "event":
        event = event_of(values["event"], session.session.shape, method=here.settings.method)
        session.accept(event, user=who, sender=outbox, number=number)
    elif kind == "cancel":
        session.cancel(values["cancel"], user=who)
    elif kind == "here":
        session.introduce(outbox, _person(values["here"], who))
    else:
        raise PromptError("A message needs an 'event', the position to 'cancel', or who is 'here'.")


def _fits(key: str, value: Any) -> bool:
    return type(value) is (int if key == "cancel" else dict)


def _person(values: dict[str, Any], who: str) -> Person:
    name, colour = values.get("name"), values.get("colour")
    if not isinstance(name, str) or not (said := " ".join(name.split())) or len(said) > MAX_NAME:
        raise PromptError(f"Who is 'here' needs a 'name' of 1 to {MAX_NAME} characters.")
    if not isinstance(colour, list) or len(colour) != 3 or not all(type(part) is int for part in colour):
        raise PromptError("Who is 'here' needs a 'colour' of three whole numbers.")
    if not all(0 <= part <= 255 for part in colour):
        raise PromptError(f"A colour needs three numbers of 0 to 255; got {colour}.")
    return Person(who or said, (colour[0], colour[1], colour[2]))
