"""Text that goes out is compressed: pages, scripts, styles and JSON, for whoever takes gzip. Voxels pack themselves.

A reply is gathered, compressed in a thread and sent as one. Files of the page are the same for everybody, so what they
were compressed to is kept by their tag.
"""

from __future__ import annotations

import gzip

from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TEXT = (
    "text/html",
    "text/css",
    "text/javascript",
    "text/plain",
    "application/json",
    "application/javascript",
    "image/svg",
)
# Bytes below which a reply goes out as it is: it fits in one packet.
LEAST_BYTES = 1400
# Of gzip: 6 for files, which are compressed once, 1 for what is made for each request.
FILE_LEVEL, REPLY_LEVEL = 6, 1
# Bytes of compressed files that are kept: those of the page, several times over.
KEPT_BYTES = 8 << 20


class PackText:
    """Compress the text of replies, where the client takes gzip and asked for the whole."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._kept: dict[tuple[str, str], bytes] = {}  # by path and tag

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = Headers(scope=scope) if scope["type"] == "http" else Headers()
        if "gzip" not in asked.get("accept-encoding", "") or "range" in asked:
            await self.app(scope, receive, send)
            return
        await self.app(scope, receive, _Gathered(send, scope["path"], self._kept))


class _Gathered:
    """One reply on its way out: its text is held back until all of it is there."""

    def __init__(self, send: Send, path: str, kept: dict[tuple[str, str], bytes]) -> None:
        self._send, self._path, self._kept = send, path, kept
        self._start: Message | None = None  # held back
        self._body: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_text(message):
            self._start = message
        elif message["type"] != "http.response.body" or self._start is None:
            await self._send(message)
        else:
            self._body.append(message.get("body", b""))
            if not message.get("more_body", False):
                await self._finish(self._start, b"".join(self._body))

    async def _finish(self, start: Message, body: bytes) -> None:
        if len(body) >= LEAST_BYTES:
            headers = MutableHeaders(raw=start["headers"])
            body = await self._packed(headers.get("etag"), body)
            headers["Content-Encoding"] = "gzip"
            headers["Content-Length"] = str(len(body))
            headers.add_vary_header("Accept-Encoding")
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})

    async def _packed(self, tag: str | None, body: bytes) -> bytes:
        if tag is None:
            return await run_in_threadpool(gzip.compress, body, REPLY_LEVEL)
        key = (self._path, tag)
        if key not in self._kept:
            packed = await run_in_threadpool(gzip.compress, body, FILE_LEVEL)
            if sum(map(len, self._kept.values())) + len(packed) > KEPT_BYTES:
                self._kept.clear()
            self._kept[key] = packed
        return self._kept[key]


def _is_text(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    kind = headers.get("content-type", "")
    return start["status"] == 200 and kind.startswith(TEXT) and "content-encoding" not in headers
