"""The outermost layer: gives each request an id, counts and times it, and writes a line of it where that is wanted.

The id is the client's or proxy's `X-Request-ID` where it is a plain one, else a new one. It comes back in the reply,
and stands in every line of the log that is written for the request. A line tells the route, never the address, which
may hold a token or what somebody searched for.
"""

from __future__ import annotations

import logging
import re
import time
from contextvars import ContextVar
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segmend.runtime.tracing import span, told_by
from segmend.server.metrics import LIVE, REQUEST_SECONDS, REQUESTS

log = logging.getLogger("segmend.requests")
HEADER = "X-Request-ID"
# The ids of others that are taken over: nothing that could break a line of a log.
PLAIN = re.compile(r"[A-Za-z0-9._:/+=-]{1,100}")
# The methods that are counted by their name; a client may invent others without end.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class Observe:
    """See the module's text."""

    def __init__(self, app: ASGIApp, *, log_requests: bool) -> None:
        self._app = app
        self._log_requests = log_requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        own = given if PLAIN.fullmatch(given) else uuid4().hex
        request_id.set(own)  # each request has a context of its own
        status, begun = 0, time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = own
            elif message["type"] == "websocket.accept":
                status = 101
                LIVE.inc()
            await send(message)

        try:
            with span(
                "request", {"segmend.request_id": own}, kind="SERVER", within=told_by(Headers(scope=scope))
            ) as note:
                try:
                    await self._app(scope, receive, send_with_id)
                finally:
                    note(self._about(scope, status))
        finally:
            if status == 101:
                LIVE.dec()
            self._note(scope, status, time.perf_counter() - begun)

    def _about(self, scope: Scope, status: int) -> dict[str, str | int]:
        """Return what a trace tells of a request."""
        method, route = scope.get("method", "WS"), route_of(scope)
        method = method if method in METHODS or method == "WS" else "other"
        return {
            "name": f"{method} {route}",
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
        }

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope.get("method", "GET")
        method, route = method if method in METHODS else "other", route_of(scope)
        REQUESTS.labels(method, route, str(status or "none")).inc()
        if scope["type"] == "http":
            REQUEST_SECONDS.labels(route).observe(seconds)
        if self._log_requests:
            told = {"method": method, "route": route, "status": status, "milliseconds": round(seconds * 1000, 1)}
            user = scope.get("state", {}).get("user") or None
            log.info("%s %s %s %.1f ms", method, route, status or "-", seconds * 1000, extra={**told, "user": user})


def route_of(scope: Scope) -> str:
    """Return the route that answered, with its placeholders; "none" where nothing is there or nobody got in."""
    path = getattr(scope.get("route"), "path", None)
    if path is not None:
        return str(path)
    return "pages" if scope.get("endpoint") is not None else "none"
