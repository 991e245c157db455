"""Who may talk to this server: checks of Host, Origin and token, before any route is reached.

Host stops DNS rebinding: a page of another site that has its name point to this machine
still says its own name. On localhost only loopback names are taken; beyond it also bare
addresses, which cannot be rebound, this machine's name, and the names in the settings.

Origin stops other sites' pages: a browser says where a page came from on every WebSocket
and every change, and it must be this server. Programs say nothing and pass.

The token is taken from `Authorization: Bearer`, or once from `?token=`, which sets a cookie
that scripts cannot read and other sites cannot send. Comparisons take constant time. It is
the server's own token, or that of a user in the store, whose name then signs the events.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segmend.errors import SegmendError
from segmend.server.replies import problem, status_of
from segmend.server.settings import ServerSettings, is_loopback

# The one path that needs no token.
OPEN = "/api/health"

# Headers that every reply gets unless it has its own.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}


class Gate:
    """The layer that lets a request through or answers it with 401 or 403."""

    def __init__(self, app: ASGIApp, settings: ServerSettings, user_of: Callable[[str], str | None]) -> None:
        self._app = app
        self._settings = settings
        self._user_of = user_of
        self._cookie = f"segmend_{settings.port}"  # cookies do not tell ports apart

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = await self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send_with_headers)
        elif scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
            await refusal(scope, receive, send_with_headers)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})

    async def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        scope.setdefault("state", {})["user"] = ""
        host = headers.get("host", "")
        if not host_allowed(host, self._settings):
            return problem(403, "This server is not known by the name in this request's Host header.")
        if not origin_allowed(headers, host, self._settings):
            return problem(403, "This request came from a page of another site.")
        if self._settings.token is None or scope["path"] == OPEN:
            return None
        try:
            return await self._check_token(scope, headers)
        except SegmendError as error:
            return problem(status_of(error), str(error))

    async def _check_token(self, scope: Scope, headers: Headers) -> Response | None:
        query = scope.get("query_string", b"").decode("latin-1")
        in_query = dict(parse_qsl(query)).get("token")
        token = in_query or bearer(headers.get("authorization", "")) or self._cookie_of(headers)
        user = await self._find_user(token) if token else None
        if user is None:
            detail = "The token is wrong." if token else "This server needs a token: open the address it printed."
            return JSONResponse({"detail": detail}, 401, {"WWW-Authenticate": "Bearer"})
        scope["state"]["user"] = user
        if in_query and scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            return self._move_token_to_cookie(scope, query, in_query)
        return None

    async def _find_user(self, token: str) -> str | None:
        own = self._settings.token or ""
        if hmac.compare_digest(token.encode("utf-8", "replace"), own.encode()):
            return ""
        return await run_in_threadpool(self._user_of, token)

    def _move_token_to_cookie(self, scope: Scope, query: str, token: str) -> Response:
        """Return to the same address without the token in it, which goes into a cookie."""
        rest = urlencode([(name, value) for name, value in parse_qsl(query) if name != "token"])
        path = "/" + quote(scope["path"].lstrip("/\\"))  # never to //another.site
        response = RedirectResponse(path + (f"?{rest}" if rest else ""), 303)
        response.set_cookie(
            self._cookie, token, httponly=True, samesite="lax", secure=scope["scheme"] == "https", path="/"
        )
        return response

    def _cookie_of(self, headers: Headers) -> str | None:
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return None
        return cookies[self._cookie].value if self._cookie in cookies else None


def bearer(header: str) -> str | None:
    """Return the token of an Authorization header.

    >>> bearer("Bearer abc"), bearer("Basic abc")
    ('abc', None)
    """
    scheme, _, token = header.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def host_allowed(host: str, settings: ServerSettings) -> bool:
    """True when a Host header names this server.

    >>> from pathlib import Path
    >>> own = ServerSettings(Path("data"))
    >>> host_allowed("localhost:8765", own), host_allowed("evil.example:8765", own)
    (True, False)
    """
    name = _name(host)
    if name is None:
        return False
    if is_loopback(name) or name == settings.host.lower() or "*" in settings.allowed_hosts:
        return True
    if name in {allowed.lower() for allowed in settings.allowed_hosts}:
        return True
    return not settings.local and (_is_address(name) or name == socket.gethostname().lower())


def origin_allowed(headers: Headers, host: str, settings: ServerSettings) -> bool:
    """True unless a browser says that a page of another site sent this."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site") != "cross-site" or headers.get("sec-fetch-mode") == "navigate"
    if origin in settings.allowed_origins:
        return True
    scheme, _, place = origin.partition("://")  # "null" has no place
    return scheme in ("http", "https") and _same_place(place, host, scheme)


def _same_place(one: str, other: str, scheme: str) -> bool:
    default = {"http": ":80", "https": ":443"}[scheme]
    return one.lower().removesuffix(default) == other.lower().removesuffix(default)


def _name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
