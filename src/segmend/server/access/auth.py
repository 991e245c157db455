"""Who may talk to this server: checks of Host, Origin and token, before any route is reached.

Host stops DNS rebinding: a page of another site that has its name point to this machine
still says its own name. On localhost only loopback names are taken; beyond it also bare
addresses, which cannot be rebound, this machine's name, and the names in the settings.

Origin stops other sites' pages: a browser says where a page came from on every WebSocket
and every change, and it must be this server, or one that the settings name, which is then told so (CORS).
Programs say nothing and pass. Frames are stopped likewise, but in pages that the settings name.

The token is taken from `Authorization: Bearer` or, as the password, from `Basic`, or once from `?token=`, which begins
a login (`logins`) whose number goes into a cookie that scripts cannot read and other sites cannot send. Comparisons
take constant time, and who named wrong tokens waits (`guesses`). It is the server's own token, or that of a user
in the store, whose name then signs the events.

What is refused with 403 to somebody whose name is known, by whichever route, is noted in the audit as it passes here on
its way out.

Where the token was drawn, programs of the account that runs the server need none: the system says
whose a loopback connection is (`peers`). That counts only for a connection that comes straight from such
a program. A proxy of the same account speaks for others, so whatever shows one asks for the token: headers
that proxies add, HTTP/1.0, a Host that is no loopback name or names another port.
"""

from __future__ import annotations

import asyncio
import binascii
import hmac
import ipaddress
import socket
from base64 import b64decode
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segmend.errors import SegmendError
from segmend.server.access.guesses import FREE, PATIENCE_SECONDS, Guesses
from segmend.server.access.logins import LIFE_SECONDS, REVIEW_SECONDS, Logins
from segmend.server.access.looks import Looks, key_in
from segmend.server.access.peers import account_of, own_account
from segmend.server.access.proxies import PEER, path_of
from segmend.server.replies import problem, status_of
from segmend.server.settings import ServerSettings, is_loopback
from segmend.server.told import Told
from segmend.server.work import log_failure
from segmend.store.accounts import Accounts, token_hash

# The paths that need no token: they say that the server is there, ours and those of nnInteractive and ITK-SNAP; and the
# extension that OHIF's page imports, which can name none then.
OPEN = ("/api/health", "/readyz", "/healthz", "/status", "/auth/", "/ohif/segmend.js")
# Where a browser logs in.
LOGIN_PAGE = "/login"
# Where somebody who was invited chooses a password; the code of the invitation is all that is needed.
INVITATION_PAGE = "/invitation"
# Where a browser is sent to a provider of logins, and where it comes back.
OIDC_PAGE, OIDC_BACK = "/login/oidc", "/login/oidc/back"
# Where viewers that have their person log in send the token, as the password of a form: its route has it checked.
LOGIN = "/auth/token"
# Headers by which proxies say for whom they speak, beside all that begin with "x-forwarded".
PROXY_HEADERS = frozenset(
    {"forwarded", "via", "x-real-ip", "x-client-ip", "x-original-host", "true-client-ip", "cf-connecting-ip"}
)
# Wrong tokens that a proxy may pass on before all tokens that come by it are slowed.
FREE_BY_PROXY = 40 * FREE

# Headers that every reply gets unless it has its own.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
# What pages of other servers, where they are allowed, may send and read, beside what every page may.
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, DELETE",
    "Access-Control-Allow-Headers": "Accept, Authorization, Content-Type, X-Lease-Token, X-Meta",
    "Access-Control-Max-Age": "600",
}
EXPOSED = "Content-Disposition, X-Meta"
# Paths of files that are the same for everybody and may be kept by a browser; nothing else may.
STATIC = "/assets/"

NEEDS_TOKEN = "This server needs a token: open the address it printed."
# Where a link of another site leads, a browser does not send our cookie; it does when our own page asks once more.
ASK_AGAIN = (
    '<!doctype html><title>Segmend</title><meta http-equiv="refresh" content="0">'
    "<p>This server needs a token: open the address it printed."
)


class Gate:
    """The layer that lets a request through or answers it with 401, 403 or 429."""

    def __init__(
        self, app: ASGIApp, settings: ServerSettings, accounts: Accounts, logins: Logins, looks: Looks, tell: Told
    ) -> None:
        self._app = app
        self._settings = settings
        self._accounts = accounts
        self._logins = logins
        self._looks = looks
        self._tell = tell
        self._guesses = Guesses()
        self._account = own_account() if settings.own_account_enters else None
        self._cookie = cookie_name(settings)
        self._headers = headers_of(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        page = page_of(Headers(scope=scope), self._settings)

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in {**self._headers, **(for_page(page) if page else {})}.items():
                    headers.setdefault(name, value)
                if not path_of(scope).startswith(STATIC):
                    headers["Cache-Control"] = "no-store"
                if message["status"] == 403 or scope["state"].get("forbidden"):
                    await self._note_refusal(scope)
            await send(message)

        known = host_allowed(Headers(scope=scope).get("host", ""), self._settings)
        if page and known and is_preflight(scope):  # it names no token, and is told nothing else
            await Response(status_code=204, headers=PREFLIGHT)(scope, receive, send_with_headers)
            return
        refusal = await self._refusal(scope)
        if refusal is None:
            login = scope["state"].get("login")
            if scope["type"] == "websocket" and login is not None:
                receive = self._receive_while_logged_in(login, receive, send)
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
        if self._settings.token is None or path_of(scope) in OPEN:
            return None
        if path_of(scope) == LOGIN:
            scope["state"]["check_token"] = partial(self._check_token, scope)
            return None
        if path_of(scope) in (LOGIN_PAGE, INVITATION_PAGE, OIDC_PAGE, OIDC_BACK):
            scope["state"]["gate"] = self
            return None
        try:
            return await self._check_who(scope, headers)
        except SegmendError as error:
            return problem(status_of(error), self._tell(error))

    async def _check_who(self, scope: Scope, headers: Headers) -> Response | None:
        query = scope.get("query_string", b"").decode("latin-1")
        in_query = dict(parse_qsl(query)).get("token")
        token = in_query or token_in(headers.get("authorization", ""))
        if token:
            refusal = await self._check_token(scope, token)
            if refusal is None and in_query and scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
                return await self._move_token_to_cookie(scope, query, token)
            if refusal is None and self._looks.is_new_program(scope["state"]["user"]):
                await self.note_login(scope, scope["state"]["user"], "token")
            return refusal
        login = self._login_of(headers)
        user = await run_in_threadpool(self._logins.find, login) if login else None
        if user is not None:
            scope["state"].update(user=user, login=login)
            return None
        return None if await self._is_own_account(scope, headers) else needs_token(scope, headers)

    # Tokens

    async def check_login(self, scope: Scope, name: str, secret: str) -> Response | tuple[str, str]:
        """Return who names this password or token, with the key of a login; or the refusal, ever more slowly."""
        found: list[tuple[str, str]] = []

        async def find() -> str | None:
            key = await run_in_threadpool(self._accounts.with_password, name, secret) if name else None
            user = name if key is not None else await self._find_user(secret)
            if user is None or (name and user not in ("", name)):
                return None
            found.append((user, key or token_hash(secret)))
            return user

        refusal = await self._check_secret(scope, find, name)
        return found[0] if refusal is None else refusal

    async def _check_token(self, scope: Scope, token: str) -> Response | None:
        return await self._check_secret(scope, partial(self._find_user, token))

    async def note_login(self, scope: Scope, user: str, way: str) -> None:
        """Have the audit say that somebody logs in."""
        peer = (await peer_names(scope))[0]
        await run_in_threadpool(self._looks.note_login, user, way, peer)

    async def note_failure(self, scope: Scope) -> None:
        """Have the audit say that somebody failed to log in at a provider."""
        await self._note_failure("", (await peer_names(scope))[0])

    async def _note_refusal(self, scope: Scope) -> None:
        """Have the audit say that somebody was refused something."""
        if who := scope["state"].get("user"):
            project = next(iter(scope["state"].get("refused", ())), "")
            named = scope.get("path_params", {})
            try:
                await run_in_threadpool(self._looks.note_refusal, who, key_in(scope), named, project)
            except SegmendError as error:  # it is refused all the same
                log_failure("A refusal could not be noted in the audit", error)

    async def _note_failure(self, name: str, peer: str) -> None:
        known = bool(name) and await run_in_threadpool(self._accounts.is_one, name)
        await run_in_threadpool(self._looks.note_failed_login, name if known else "", peer)

    async def _check_secret(
        self, scope: Scope, find: Callable[[], Awaitable[str | None]], name: str = ""
    ) -> Response | None:
        names = await peer_names(scope) if self._guesses else []
        waits = [self._guesses.wait(name, free=free) for name, free in zip(names, (FREE, FREE_BY_PROXY), strict=False)]
        if None in waits:
            detail = "Too many wrong tokens came from where this request came from; try again later."
            return JSONResponse({"detail": detail}, 429, {"Retry-After": str(int(PATIENCE_SECONDS))})
        if any(waits):
            await asyncio.sleep(max(wait or 0.0 for wait in waits))
        user = await find()
        names = names or ([] if user is not None else await peer_names(scope))
        if user is None:
            for peer in names:
                self._guesses.add(peer)
            await self._note_failure(name, names[0])
            return JSONResponse({"detail": "The token is wrong."}, 401, {"WWW-Authenticate": "Bearer"})
        for peer in names[:1]:
            self._guesses.forgive(peer)
        scope["state"]["user"] = user
        return None

    async def _find_user(self, token: str) -> str | None:
        own = self._settings.token or ""
        if hmac.compare_digest(token.encode("utf-8", "replace"), own.encode()):
            return ""
        return await run_in_threadpool(self._accounts.with_token, token)

    # Logins

    async def _move_token_to_cookie(self, scope: Scope, query: str, token: str) -> Response:
        """Begin a login, and return to the same address without the token in it."""
        user = scope["state"]["user"]
        await self.note_login(scope, user, "token in an address")
        login = await run_in_threadpool(self._logins.begin, user, token_hash(token))
        rest = urlencode([(name, value) for name, value in parse_qsl(query) if name != "token"])
        path = "/" + quote(scope["path"].lstrip("/\\"))  # never to //another.site
        response = RedirectResponse(path + (f"?{rest}" if rest else ""), 303)
        self.set_cookie(response, login, scope["scheme"])
        return response

    def set_cookie(self, response: Response, login: str, scheme: str) -> None:
        """Give a browser its login."""
        response.set_cookie(
            self._cookie,
            login,
            max_age=LIFE_SECONDS,
            httponly=True,
            samesite="strict",
            secure=scheme == "https",
            path=f"{self._settings.root_path}/",
        )

    def _login_of(self, headers: Headers) -> str | None:
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return None
        return cookies[self._cookie].value if self._cookie in cookies else None

    def _receive_while_logged_in(self, login: str, receive: Receive, send: Send) -> Receive:
        """Return a `receive` for a live connection that ends with its login."""

        async def receive_or_end() -> Message:
            waiting = asyncio.ensure_future(receive())
            try:
                while True:
                    done, _ = await asyncio.wait({waiting}, timeout=REVIEW_SECONDS)
                    if await self._has_ended(login, used=bool(done)):
                        await send({"type": "websocket.close", "code": 1008, "reason": "logged out"})
                        return {"type": "websocket.disconnect", "code": 1008}
                    if done:
                        return waiting.result()
            finally:
                waiting.cancel()

        return receive_or_end

    async def _has_ended(self, login: str, *, used: bool) -> bool:
        def find() -> str | None:
            return self._logins.find(login, used=used)

        try:
            return await run_in_threadpool(find) is None
        except SegmendError:  # the database cannot be asked now: nobody is sent away for that
            return False

    # The account that runs the server

    async def _is_own_account(self, scope: Scope, headers: Headers) -> bool:
        """True when a program of the account that runs the server is connected, and speaks for itself."""
        client, server = scope.get(PEER), scope.get("server")
        if self._account is None or client is None or server is None:
            return False
        if scope.get("http_version") == "1.0" or any(is_proxy_header(name) for name in headers):
            return False
        if not is_this_port(headers.get("host", ""), server[1]):
            return False
        return await run_in_threadpool(account_of, client, server) == self._account


def cookie_name(settings: ServerSettings) -> str:
    """Return the name of a login's cookie; cookies do not tell ports apart, and one of another path may come, too."""
    return f"segmend_{settings.port}{settings.root_path.replace('/', '_')}"


def is_page_request(scope: Scope, headers: Headers) -> bool:
    """True when a person's browser asks for a page, not a program or a script for what is in one."""
    if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
        return False
    return headers.get("sec-fetch-mode", "navigate") == "navigate" and "text/html" in headers.get("accept", "")


def needs_token(scope: Scope, headers: Headers) -> Response:
    """Return the reply to who named no token."""
    told = {"WWW-Authenticate": "Bearer"}
    came_by_link = headers.get("sec-fetch-site") in ("cross-site", "same-site")
    if scope["type"] == "http" and came_by_link and headers.get("sec-fetch-mode") == "navigate":
        return HTMLResponse(ASK_AGAIN, 401, told)
    if is_page_request(scope, headers):
        to = urlencode({"to": quote(scope["path"], safe="/")})
        return RedirectResponse(f"{scope.get('root_path', '')}{LOGIN_PAGE}?{to}", 303)
    return JSONResponse({"detail": NEEDS_TOKEN}, 401, told)


async def peer_names(scope: Scope) -> Sequence[str]:
    """Return by what a peer is remembered: its account on this machine or its address; behind a proxy, both."""
    peer, client, server = scope.get(PEER, scope.get("client")), scope.get("client"), scope.get("server")
    if peer is None:
        return ["somebody"]
    account = await run_in_threadpool(account_of, peer, server) if server is not None else None
    name = network_of(peer[0]) if account is None else f"account {account}"
    return [name] if client is None or client == peer else [f"{network_of(client[0])} by {name}", name]


def network_of(host: str) -> str:
    """Return an address, and of IPv6 the network, for there whoever has one address has many.

    >>> network_of("192.0.2.7"), network_of("2001:db8::7:1"), network_of("unknown")
    ('192.0.2.7', '2001:db8::', 'unknown')
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host[:100]
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False).network_address)


def is_proxy_header(name: str) -> bool:
    """True for a header, in lower case, by which a proxy tells for whom it speaks."""
    return name.startswith("x-forwarded") or name in PROXY_HEADERS


def is_this_port(host: str, port: int) -> bool:
    """True when a Host header has a loopback name, and no other port than this.

    >>> is_this_port("localhost:8765", 8765), is_this_port("localhost:9000", 8765), is_this_port("me.org:8765", 8765)
    (True, False, False)
    """
    try:
        parts = urlsplit(f"//{host}")
        return is_loopback(parts.hostname or "") and parts.port in (None, port)
    except ValueError:
        return False


def token_in(header: str) -> str | None:
    """Return the token of an Authorization header; viewers that know users send it as a password, with any name.

    >>> token_in("Bearer abc"), token_in("Basic YWRhOmFiYw=="), token_in("Digest abc")
    ('abc', 'abc', None)
    """
    scheme, _, said = header.partition(" ")
    if scheme.lower() == "bearer":
        return said.strip() or None
    if scheme.lower() != "basic":
        return None
    try:
        return b64decode(said.strip(), validate=True).decode("utf-8").partition(":")[2] or None
    except (binascii.Error, ValueError):
        return None


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
        other = headers.get("sec-fetch-site") in ("cross-site", "same-site")  # the same site: another port of this host
        return not other or headers.get("sec-fetch-mode") == "navigate"
    if origin in settings.allowed_origins:
        return True
    scheme, _, place = origin.partition("://")  # "null" has no place
    return scheme in ("http", "https") and _same_place(place, host, scheme)


def page_of(headers: Headers, settings: ServerSettings) -> str | None:
    """Return the page of another server that this comes from, where it is an allowed one."""
    origin = headers.get("origin")
    return origin if origin in settings.allowed_origins else None


def is_preflight(scope: Scope) -> bool:
    """True for a browser's question whether a page may ask what it wants to."""
    return (
        scope["type"] == "http"
        and scope["method"] == "OPTIONS"
        and "access-control-request-method" in Headers(scope=scope)
    )


def for_page(origin: str) -> dict[str, str]:
    """Return the headers by which a browser lets a page of another server read a reply.

    Cookies are not among what it may send: it names a token, or is let in as its browser is.
    """
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": EXPOSED,
        "Vary": "Origin",
    }


def headers_of(settings: ServerSettings) -> dict[str, str]:
    """Return the headers of every reply; where pages of other servers may frame ours, they are named.

    >>> from pathlib import Path
    >>> headers_of(ServerSettings(Path("data"), allowed_frames=("https://lab.org",)))["Content-Security-Policy"][-38:]
    "frame-ancestors 'self' https://lab.org"
    """
    if not settings.allowed_frames:
        return HEADERS
    frames = " ".join(("frame-ancestors 'self'", *settings.allowed_frames))
    policy = HEADERS["Content-Security-Policy"].replace("frame-ancestors 'none'", frames)
    kept = {name: value for name, value in HEADERS.items() if name != "X-Frame-Options"}  # it knows no names
    return {**kept, "Content-Security-Policy": policy}


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
