"""What DICOM's own protocol (DIMSE) stands on here: pynetdicom, and connections of which only so much is read.

pynetdicom reads whatever a peer says that it sends: a packet of 4 GB into memory, a data set until the disk is full,
for as long as bytes drip. `Guarded` stands between it and the socket. Data sets go to files as they come; those that
nobody takes, and those that break off, are deleted (`Guards`).
"""

from __future__ import annotations

import logging
import shutil
import socket
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from segmend.errors import SettingsError

NEEDS_EXTRA = "DICOM's own protocol needs pynetdicom: pip install 'segmend[dimse]'."
# Bytes of one packet (PDU): what we say that we take, and at which a peer is cut off.
PACKET_BYTES, MOST_PACKET_BYTES = 64 << 10, 1 << 20
# Seconds in which a packet has to come whole.
PACKET_SECONDS = 60.0
# Bytes of a disk that are left free, and how many come between two looks at it.
FREE_BYTES, LOOK_BYTES = 1 << 30, 64 << 20
# States of a connection that is over, or about to be closed.
OVER = ("Sta1", "Sta13")
# Transfer syntaxes that are read here, the plain ones first.
PLAIN_SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
PACKED_SYNTAXES = tuple(
    f"1.2.840.10008.1.2.{end}" for end in ("4.70", "4.57", "4.90", "4.91", "5", "4.80", "4.81", "4.50", "4.51", "1.99")
)


def needed() -> None:
    """Raise SettingsError with the extra's name where pynetdicom is missing; set it up where it is there."""
    try:
        from pynetdicom import _config, transport
    except ImportError:
        raise SettingsError(NEEDS_EXTRA) from None
    setattr(transport.AssociationSocket, "_shutdown_socket", _shut)  # noqa: B010 - another class's method
    _config.STORE_RECV_CHUNKED_DATASET = True
    _config.STORE_SEND_CHUNKED_DATASET = True
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)  # it quotes what peers say


def _shut(holder: Any) -> None:
    """Close a connection, also one that came to nothing, which pynetdicom leaves open."""
    connection = holder.socket  # another thread of pynetdicom may take it away meanwhile
    if connection is not None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            connection.close()


def checked_title(text: str) -> str:
    """Return an application entity's title.

    >>> checked_title("CT1")
    'CT1'
    """
    said = text.strip()
    if not 0 < len(said) <= 16 or not said.isascii() or not said.isprintable() or "\\" in said:
        raise SettingsError(f"A title (AE title) has 1 to 16 ASCII characters; got {text[:40]!r}.")
    return said


class Guards:
    """What watches over the connections of one side, and over the files that come by them."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._written = set[Path]()
        self.connected = False
        self._lock = Lock()

    def opened(self, event: Any) -> None:
        """A connection begins: it is guarded, and ends with what pynetdicom does not expect, and at once."""
        self.connected = True
        association, provider = event.assoc, event.assoc.dul
        provider.socket.socket = Guarded(provider.socket.socket, self._most)
        act, hear = provider.state_machine.do_action, provider._is_transport_event

        def end() -> None:  # the thread would die of an error, and leave the connection open
            association.is_aborted, association.is_established = True, False
            association._kill = provider._kill_thread = True
            provider.socket.close()

        def act_or_end(what: str) -> None:
            try:
                act(what)
            except Exception:
                end()
            if association.is_acceptor and provider.state_machine.current_state in OVER:
                provider.to_user_queue.put(None)  # who waits for a greeting would wait on, and keep others out

        def hear_or_end() -> bool:
            try:
                return bool(hear())
            except Exception:
                end()
                return False

        provider._is_transport_event = hear_or_end
        provider.state_machine.do_action = act_or_end

    def heard(self, event: Any) -> None:
        """A message is whole: what it wrote is known, and the next one begins."""
        guarded = event.assoc.dul.socket.socket
        if isinstance(guarded, Guarded):
            guarded.message = 0
        path = getattr(event.message, "_data_set_path", None)
        if path is not None:
            with self._lock:
                self._written.add(Path(path))

    def closed(self, event: Any) -> None:
        """A connection has ended: what came of a message that was not whole goes."""
        message = event.assoc.dimse.message
        path = getattr(message, "_data_set_path", None)
        if path is not None:
            file = getattr(message, "_data_set_file", None)
            if file is not None:
                file.close()
            Path(path).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Delete files that nobody took."""
        with self._lock:
            for path in self._written:
                path.unlink(missing_ok=True)
            self._written.clear()

    def gone(self, path: Path) -> None:
        """A file was taken or refused."""
        with self._lock:
            self._written.discard(path)
        path.unlink(missing_ok=True)


class Guarded:
    """A connection of which no more is read than a peer may send: packets whole in time, and messages, of a size."""

    def __init__(self, connection: socket.socket, most_bytes: int) -> None:
        self._connection = connection
        self._most = most_bytes
        self._head = b""
        self._left = 0  # bytes of the packet that is being read
        self._end = 0.0  # until when it has to be whole
        self._looked = 0  # bytes since the disk was looked at
        self.message = 0  # bytes of the message so far

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def recv(self, size: int) -> bytes:
        now = time.monotonic()
        if not self._head and not self._left:
            self._end = now + PACKET_SECONDS
        self._connection.settimeout(max(0.01, self._end - now))
        piece = self._connection.recv(size)
        self._count(piece)
        return piece

    def _count(self, piece: bytes) -> None:
        self.message += len(piece)
        self._looked += len(piece)
        if self.message > self._most:
            raise ConnectionAbortedError("a message is larger than may be sent")
        if self._looked > LOOK_BYTES:
            self._looked = 0
            if shutil.disk_usage(tempfile.gettempdir()).free < FREE_BYTES:
                raise ConnectionAbortedError("the disk is full")
        while piece:
            if self._left:
                taken = min(self._left, len(piece))
                self._left -= taken
                piece = piece[taken:]
                continue
            needed = 6 - len(self._head)
            self._head, piece = self._head + piece[:needed], piece[needed:]
            if len(self._head) == 6:
                self._left = int.from_bytes(self._head[2:], "big")
                self._head = b""
                if self._left > MOST_PACKET_BYTES:
                    raise ConnectionAbortedError("a packet is larger than may be sent")
