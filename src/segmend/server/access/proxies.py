"""The outermost layer of all: what a proxy in front says, and the path that this server lies under.

A proxy speaks for others, so what it says of them (`X-Forwarded-For`, `-Proto` and `-Host`) decides who is slowed for
wrong tokens, whether a cookie is sent over https alone, and which name a page was asked for by. It is believed of the
proxies that the settings name, by the address that is really connected, and of nobody else. Of a list the last value
is taken, which the named proxy itself added; of addresses the last one that is no named proxy's.

A server may lie under a path (`root_path`), which a proxy passes on or takes off. Behind this layer a request has it
either way, as ASGI wants it: `path` begins with `root_path`. `path_of` is the rest, which routes and checks go by.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger("segmend.server")
# The key under which a scope says who is connected, whatever a proxy's headers say.
PEER = "segmend.peer"
FORWARDED = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host")
# Characters of an address that is none, such as "unknown".
MAX_ADDRESS = 100


class Proxies:
    """Addresses and networks of proxies; "*" is everybody.

    >>> named = Proxies(["10.0.0.0/8", "::1"])
    >>> "10.1.2.3" in named, "::ffff:10.1.2.3" in named, "192.0.2.1" in named, "unknown" in named
    (True, True, False, False)
    """

    def __init__(self, named: Sequence[str]) -> None:
        self._all = "*" in named
        self._networks = [ipaddress.ip_network(name) for name in named if name != "*"]

    def __contains__(self, host: str) -> bool:
        if self._all:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        plain = getattr(address, "ipv4_mapped", None) or address
        return any(plain in network for network in self._networks)

    def client_of(self, told: Sequence[str]) -> str:
        """Return for whom the last of some proxies speaks, by what they told one after the other.

        >>> Proxies(["10.0.0.0/8"]).client_of(["1.1.1.1", "192.0.2.7", "10.0.0.2"])
        '192.0.2.7'
        """
        others = [host for host in map(host_of, told) if self._all or host not in self]
        return (others[0] if self._all else others[-1]) if others else host_of(told[0])


def host_of(told: str) -> str:
    """Return an address without the port that some proxies add.

    >>> host_of("192.0.2.7:5000"), host_of("[2001:db8::1]:5000"), host_of("2001:db8::1"), host_of("unknown")
    ('192.0.2.7', '2001:db8::1', '2001:db8::1', 'unknown')
    """
    bare = told.strip()
    if bare.startswith("[") or bare.count(":") == 1:
        try:
            return urlsplit(f"//{bare}").hostname or bare[:MAX_ADDRESS]
        except ValueError:
            return bare[:MAX_ADDRESS]
    return bare[:MAX_ADDRESS]


class Behind:
    """See the module's text."""

    def __init__(self, app: ASGIApp, *, proxies: Sequence[str], root_path: str) -> None:
        self._app = app
        self._proxies = Proxies(proxies)
        self._root = root_path
        self._warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        peer, headers = scope.get("client"), Headers(scope=scope)
        scope = {**scope, PEER: peer}
        if ("" if peer is None else peer[0]) in self._proxies:
            scope.update(self._told(scope, headers))
        elif not self._warned and any(name in headers for name in FORWARDED):
            self._warned = True
            log.warning(
                "Something that speaks for others (X-Forwarded-...) asks this server and is not believed; if it is "
                "your proxy, name it with --proxy ADDRESS."
            )
        if self._root:
            if scope["type"] == "http" and scope["path"] == self._root:
                await RedirectResponse(f"{self._root}/", 308)(scope, receive, send)
                return
            scope.update(self._under_root(scope))
        await self._app(scope, receive, send)

    def _told(self, scope: Scope, headers: Headers) -> dict[str, Any]:
        """Return what of a request is otherwise by what its proxy says."""
        found: dict[str, Any] = {}
        addresses, schemes, hosts = (_listed(headers, name) for name in FORWARDED)
        if addresses:
            found["client"] = (self._proxies.client_of(addresses), 0)
        if schemes and schemes[-1] in ("http", "https", "ws", "wss"):
            secure = schemes[-1] in ("https", "wss")
            plain = "http" if scope["type"] == "http" else "ws"
            found["scheme"] = plain + "s" * secure
        if hosts:
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            found["headers"] = [*others, (b"host", hosts[-1].encode("latin-1"))]
        return found

    def _under_root(self, scope: Scope) -> dict[str, Any]:
        """Return a request's path with the root that its proxy may have taken off."""
        path, raw = scope["path"], scope.get("raw_path")
        if path.startswith(f"{self._root}/"):
            return {"root_path": self._root}
        whole = None if raw is None else self._root.encode() + raw
        return {"root_path": self._root, "path": self._root + path, "raw_path": whole}


def path_of(scope: Scope) -> str:
    """Return a request's path within this server, wherever that lies.

    >>> path_of({"path": "/segmend/api/cases", "root_path": "/segmend"}), path_of({"path": "/api/cases"})
    ('/api/cases', '/api/cases')
    """
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _listed(headers: Headers, name: str) -> list[str]:
    """Return the values of a header that proxies add to, oldest first."""
    return [one.strip() for value in headers.getlist(name) for one in value.split(",") if one.strip()]
