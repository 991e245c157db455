"""Every refusal as the right status and one sentence; no traceback ever leaves the server."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from segmend.errors import (
    BusyError,
    ConflictError,
    DiskFullError,
    ForbiddenError,
    LimitError,
    ModelError,
    NotFoundError,
    QuotaError,
    RateError,
    SegmendError,
    StoreError,
    UserError,
)
from segmend.server.access.proxies import path_of
from segmend.server.told import Told
from segmend.server.work import log_failure

# The HTTP status of each error; the first class that fits counts.
STATUSES: tuple[tuple[type[SegmendError], int], ...] = (
    (NotFoundError, 404),
    (ConflictError, 409),
    (LimitError, 413),
    (ForbiddenError, 403),
    (UserError, 422),
    (DiskFullError, 507),
    (QuotaError, 507),
    (RateError, 429),
    (StoreError, 503),
    (BusyError, 503),
    (ModelError, 503),
    (SegmendError, 500),
)
# Seconds after which who was told that the server is busy may ask again.
RETRY_SECONDS = 2
# Characters of a refusal.
MAX_DETAIL = 1000
# What a client reads when an error was not foreseen.
UNEXPECTED = "Something went wrong in the server; its log says where."


class Problem(BaseModel):
    """What every refusal looks like."""

    detail: str


class UnreadableError(Exception):
    """A body that is not what its type says; the text is one sentence for a person."""


# What the documents say of every refusal. The model is named once: FastAPI would prepare it anew for each status of
# each route, a tenth of the time that a server takes to start.
_PROBLEM = {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The body could not be read.", "model": Problem},
    401: {"description": "The token is missing or wrong.", **_PROBLEM},
    403: {"description": "The request came from another place than it says, or this is not allowed.", **_PROBLEM},
    404: {"description": "There is no such thing.", **_PROBLEM},
    409: {"description": "It exists already, or changed meanwhile.", **_PROBLEM},
    413: {"description": "It is larger than this server allows.", **_PROBLEM},
    422: {"description": "Something given is wrong; the sentence says what was needed.", **_PROBLEM},
    429: {
        "description": "Too much was asked for, or too many wrong tokens came from the same place; wait.",
        **_PROBLEM,
    },
    500: {"description": "A method failed; its prompt was taken back.", **_PROBLEM},
    503: {"description": "The store or a model is not there now, or too much waits to be worked out.", **_PROBLEM},
    507: {"description": "The disk is full, or somebody or a project keeps as much as it may.", **_PROBLEM},
}


def status_of(error: SegmendError) -> int:
    """Return the HTTP status of a refusal.

    >>> status_of(NotFoundError("There is no case 'x'."))
    404
    """
    return next(status for kind, status in STATUSES if isinstance(error, kind))


def problem(status: int, detail: str) -> JSONResponse:
    """Return a refusal; where its sentence quotes much of what came, the end is left out."""
    return JSONResponse({"detail": shorten(detail)}, status)


def refusal(error: SegmendError, sentence: str) -> JSONResponse:
    """Return the reply to an error; it says when to ask again where that may help."""
    reply = problem(status_of(error), sentence)
    if isinstance(error, BusyError | RateError):
        reply.headers["Retry-After"] = str(error.seconds if isinstance(error, RateError) else RETRY_SECONDS)
    return reply


def shorten(sentence: str) -> str:
    """Return a sentence of at most `MAX_DETAIL` characters.

    >>> shorten("A" * 5000)[-3:], len(shorten("A" * 5000))
    ('...', 1000)
    """
    return sentence if len(sentence) <= MAX_DETAIL else f"{sentence[: MAX_DETAIL - 4]} ..."


def add_handlers(app: FastAPI, tell: Told) -> None:
    """Make an app answer all errors in one way, with the sentences that `tell` makes of them."""

    @app.exception_handler(SegmendError)
    async def handle_segmend_error(connection: HTTPConnection, error: SegmendError) -> JSONResponse:
        reply = refusal(error, tell(error))
        if isinstance(connection, WebSocket):
            await connection.send_denial_response(reply)
        return reply

    @app.exception_handler(UnreadableError)
    async def handle_unreadable(_: Request, error: UnreadableError) -> JSONResponse:
        return problem(400, str(error))

    @app.exception_handler(RequestValidationError)
    async def handle_invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = " ".join(str(place) for place in first["loc"][1:]) or "body"
        return problem(422, f"The {first['loc'][0]} value {where!r} does not fit: {first['msg']}.")

    @app.exception_handler(HTTPException)
    async def handle_http(request: Request, error: HTTPException) -> JSONResponse:
        sentences = {404: "There is nothing at this address.", 405: "This address does not take this method."}
        detail = sentences.get(error.status_code, str(error.detail))
        headers = dict(error.headers or {})
        if error.status_code == 405 and (allowed := methods_at(app, path_of(request.scope))):
            headers["Allow"] = ", ".join(allowed)
        return JSONResponse({"detail": detail}, error.status_code, headers)


def methods_at(app: FastAPI, path: str) -> list[str]:
    """Return the methods that the document says of an address, of all its routes; Starlette names the first's alone."""
    found = [methods for place, methods in app.openapi()["paths"].items() if compile_path(place)[0].match(path)]
    return sorted({method.upper() for methods in found for method in methods})


class CatchErrors:
    """The outermost layer: an error nobody foresaw becomes a 500 with one sentence, and a line in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception as error:
            if scope["type"] == "lifespan":
                raise
            log_failure(f"A request to {scope.get('route', scope['type'])} failed", error)
            if scope["type"] == "http" and not started:
                await problem(500, UNEXPECTED)(scope, receive, send)
            elif scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1011, "reason": UNEXPECTED})
