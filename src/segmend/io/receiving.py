"""Files that scanners and archives send by DICOM's own protocol (C-STORE), received from those who may send.

Who comes from elsewhere is not let in, and nothing of what they say is read.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from segmend.errors import SettingsError
from segmend.io.guarded import PACKED_SYNTAXES, PACKET_BYTES, PLAIN_SYNTAXES, Guards, checked_title, needed

# Seconds that a peer may be silent, and before it says who it is.
SILENT_SECONDS, GREETING_SECONDS = 60.0, 30.0
# Bytes of one file.
MOST_FILE_BYTES = 8 << 30
# Associations that are held at once.
MOST_PEERS = 16
# DICOM's status of a file that is not taken: no room, who sends may not, or what it is is not understood.
NO_ROOM, NOT_ALLOWED, NOT_UNDERSTOOD = 0xA700, 0x0124, 0xC000
# DICOM's question whether anybody is there (C-ECHO).
ECHO = "1.2.840.10008.1.1"
# Classes of files with images: CT, MR and their enhanced forms, and what else is drawn on.
IMAGES = tuple(
    f"1.2.840.10008.5.1.4.1.1.{end}"
    for end in (
        "1", "1.1", "1.1.1", "1.2", "1.2.1", "1.3", "1.3.1", "2", "2.1", "2.2", "3", "3.1", "4", "4.1", "4.3", "4.4",
        "6", "6.1", "6.2", "6.3", "7", "7.1", "7.2", "7.3", "7.4", "12.1", "12.1.1", "12.2", "12.2.1", "13.1.1",
        "13.1.2", "13.1.3", "13.1.4", "13.1.5", "14.1", "14.2", "20", "30", "77.1.1", "77.1.2", "77.1.4", "77.1.5.1",
        "77.1.5.2", "77.1.5.4", "77.1.6", "128", "128.1", "130", "481.2",
    )
)  # fmt: skip
Taken = Callable[[Path, str, str], int]  # told a file, who sent it and its host; returns DICOM's status


@dataclass(frozen=True)
class Peer:
    """Who may send: a title, any where it is empty, and where from."""

    title: str
    network: ipaddress.IPv4Network | ipaddress.IPv6Network

    @classmethod
    def of(cls, text: str) -> list[Peer]:
        """Return the peers that `CT1@10.0.0.5` is: a title, and a host or network; a name may stand for several."""
        title, at, host = text.rpartition("@")
        if not at or not host or not title:
            raise SettingsError(f"Who may send needs to be TITLE@HOST, such as CT1@10.0.0.5; got {text[:80]!r}.")
        with suppress(ValueError):
            return [cls(checked_title(title), ipaddress.ip_network(host, strict=False))]
        try:
            found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
        except OSError:
            raise SettingsError(f"The host {host[:80]!r} of who may send is not known.") from None
        return [
            cls(checked_title(title), ipaddress.ip_network(str(one).partition("%")[0]))
            for one in sorted(found, key=str)
        ]

    def is_at(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address) in self.network


@contextmanager
def listening(
    title: str,
    host: str,
    port: int,
    peers: Sequence[Peer],
    take: Taken,
    *,
    kinds: Sequence[str] = IMAGES,
    most_bytes: int = MOST_FILE_BYTES,
) -> Iterator[int]:
    """Receive files that peers send (C-STORE), in threads, as long as the context lasts; give the port.

    `take` is told each file, which is gone afterwards, with its sender's title and host; what it returns is what the
    sender is told.
    """
    needed()
    from pynetdicom import AE, evt
    from pynetdicom.transport import ThreadedAssociationServer

    guards = Guards(most_bytes)

    class Door(ThreadedAssociationServer):
        """Lets in only who comes from where a peer is, before anything is read."""

        def verify_request(self, request: Any, client_address: Any) -> bool:
            return any(peer.is_at(str(client_address[0])) for peer in peers)

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing: a peer that went is no fault of ours."""

    def store(event: Any) -> int:
        path = Path(event.dataset_path)
        try:
            sender = str(event.assoc.requestor.ae_title).strip()
            host = str(event.assoc.requestor.address)
            if not any(peer.is_at(host) and peer.title in ("", sender) for peer in peers):
                return NOT_ALLOWED
            return take(path, sender, host)
        finally:
            guards.gone(path)

    entity = AE(ae_title=checked_title(title))
    entity.maximum_pdu_size = PACKET_BYTES
    entity.maximum_associations = MOST_PEERS
    entity.acse_timeout, entity.dimse_timeout, entity.network_timeout = GREETING_SECONDS, SILENT_SECONDS, SILENT_SECONDS
    entity.require_called_aet = True
    entity.require_calling_aet = sorted({peer.title for peer in peers} - {""})
    if any(not peer.title for peer in peers):
        entity.require_calling_aet = []
    entity.add_supported_context(ECHO)
    for kind in kinds:
        entity.add_supported_context(kind, [*PLAIN_SYNTAXES, *PACKED_SYNTAXES])
    handlers: list[Any] = [
        (evt.EVT_CONN_OPEN, guards.opened),
        (evt.EVT_CONN_CLOSE, guards.closed),
        (evt.EVT_DIMSE_RECV, guards.heard),
        (evt.EVT_C_STORE, store),
    ]
    try:
        server = entity.make_server((host, port), evt_handlers=handlers, server_class=Door)
    except OSError as error:
        raise SettingsError(f"Nothing can be received at {host or '*'}:{port}: {error.strerror or error}.") from None
    entity._servers.append(server)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="segmend-dimse", daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        for association in entity.active_associations:
            association.abort()
        with suppress(OSError):
            server.server_close()
        thread.join()
        guards.sweep()
