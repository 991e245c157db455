"""Pictures of Label Studio's tasks: in the request itself, or fetched from the Label Studio that the server knows.

Addresses in tasks may lead anywhere, also to what only this machine can reach. So no other place is asked than the one
that the server was started with, redirects are not followed, and Label Studio's token goes nowhere else.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import ssl
from collections import OrderedDict
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Lock
from urllib.parse import urlsplit

from segmend.errors import ArchiveError, LimitError, NotFoundError, SettingsError
from segmend.server.cases.reading import Reading
from segmend.server.cases.scratch import scratch_folder
from segmend.server.protocols.visits import Visits
from segmend.server.replies import UnreadableError
from segmend.server.settings import ServerSettings
from segmend.store import Store

# Bytes of a picture that is fetched, and seconds that its server may be silent.
MOST_BYTES, SILENT_SECONDS = 256 << 20, 30.0
# Pictures whose cases are remembered by their addresses.
MOST_KNOWN = 1000
INLINE = re.compile(r"data:image/[a-z0-9.+-]+;base64,", re.IGNORECASE)


class Pictures:
    """The pictures of tasks, as visitors' cases: fetched once, known by their addresses while that is remembered."""

    def __init__(self, store: Store, visits: Visits, reading: Reading, settings: ServerSettings) -> None:
        self._store = store
        self._visits = visits
        self._reading = reading
        self._settings = settings
        self.token = ""  # by which Label Studio gives them out, as it says; the settings' own comes first
        self._pass = ""  # what it gave for a personal access token, for some minutes
        self._known: OrderedDict[str, str] = OrderedDict()
        self._lock = Lock()

    def case_of(self, address: str, who: str) -> str:
        """Return the case of the picture at an address, or in it."""
        inline = INLINE.match(address)
        with self._lock:
            case = None if inline else self._known.get(address)
        if case is not None:
            try:
                return self._store.case(case).id
            except NotFoundError:  # it was swept
                pass
        content = _decoded(address[inline.end() :]) if inline else self._fetch(address)
        case = self._read(content, who)
        if not inline:
            with self._lock:
                self._known[address] = case
                while len(self._known) > MOST_KNOWN:
                    self._known.popitem(last=False)
        return case

    def _read(self, content: bytes, who: str) -> str:
        folder = scratch_folder(self._settings.data, "upload-")
        try:
            (folder / "picture").write_bytes(content)
            for found in self._reading.images(folder / "picture"):
                image = found.image()
                if not image.flat:
                    raise UnreadableError("Label Studio's tasks need pictures here; this one is a volume.")
                return self._visits.case_of(image, who=who)
            raise UnreadableError("The task's picture holds no image.")
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _fetch(self, address: str) -> bytes:
        """Return what lies at an address of the Label Studio that is named; no other is asked."""
        home = self._settings.label_studio
        if home is None:
            raise SettingsError("Pictures are fetched only from where --label-studio says that Label Studio is.")
        try:
            parts, own = urlsplit(address), urlsplit(home)
            elsewhere = bool(parts.netloc or parts.scheme) and parts[:2] != own[:2]
        except ValueError:
            elsewhere = True
        if elsewhere or not address.isascii() or not address.isprintable() or " " in address:
            raise SettingsError(f"A task's picture lies elsewhere than at {home}, where it would be fetched from.")
        path = (parts.path if parts.netloc else f"/{parts.path.lstrip('/')}") or "/"
        target = path + (f"?{parts.query}" if parts.query else "")
        status, content = _asked(home, "GET", target, self._authorization(home))
        if status == 401 and self._pass:  # it has run out
            self._pass = ""
            status, content = _asked(home, "GET", target, self._authorization(home))
        if status in (401, 403):
            raise ArchiveError(
                f"Label Studio did not give the picture out (status {status}): start Segmend with an access token of "
                "Label Studio's account page in SEGMEND_LABEL_STUDIO_TOKEN."
            )
        if status != 200:
            raise ArchiveError(f"Label Studio did not give the picture out (status {status}).")
        if len(content) > MOST_BYTES:
            raise LimitError(f"A task's picture may have {MOST_BYTES} bytes here; this one has more.")
        return content

    def _authorization(self, home: str) -> dict[str, str]:
        """Return the header by which Label Studio gives pictures out: of a legacy token, or a personal access token."""
        token = self._settings.label_studio_token or self.token
        if token.count(".") != 2:
            return {"Authorization": f"Token {token}"} if token else {}
        if not self._pass:  # a personal one (JWT) buys others that last some minutes
            body = json.dumps({"refresh": token})
            status, content = _asked(home, "POST", "/api/token/refresh/", {"Content-Type": "application/json"}, body)
            with suppress(ValueError, KeyError, TypeError):
                self._pass = str(json.loads(content)["access"])
            if status != 200 or not self._pass.isascii() or not self._pass.isprintable() or not self._pass:
                self._pass = ""
                raise ArchiveError(f"Label Studio does not take the token in SEGMEND_LABEL_STUDIO_TOKEN ({status}).")
        return {"Authorization": f"Bearer {self._pass}"}


def _asked(home: str, method: str, target: str, headers: dict[str, str], body: str | None = None) -> tuple[int, bytes]:
    """Return the status and the content that Label Studio answers with; ArchiveError when it does not."""
    own = urlsplit(home)
    connection: HTTPConnection
    if own.scheme == "https":
        context = ssl.create_default_context()
        connection = HTTPSConnection(own.hostname or "", own.port, timeout=SILENT_SECONDS, context=context)
    else:
        connection = HTTPConnection(own.hostname or "", own.port, timeout=SILENT_SECONDS)
    try:
        connection.request(method, target, body, headers)
        with connection.getresponse() as reply:
            return reply.status, reply.read(MOST_BYTES + 1)
    except (OSError, HTTPException) as error:
        raise ArchiveError(f"Label Studio at {home} does not answer: {error or type(error).__name__}.") from None
    finally:
        connection.close()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise UnreadableError("The task's picture is no base64.") from None
