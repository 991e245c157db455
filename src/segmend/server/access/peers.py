"""Which account of this machine is at the other end of a connection, where the system tells it.

Linux lists every TCP socket of a network namespace with its owner in /proc/net/tcp and tcp6. The
socket at the other end of a loopback connection is in the same list, under the same two addresses the
other way round, so its owner can be looked up. Only an open socket counts: one that is closing has
lost its owner, and is listed as root's.

Nothing is known of a connection from another machine or network namespace (a container, a virtual
machine), on macOS and Windows, and where /proc is not mounted. An account that this user namespace has
no number for is listed under one number with all others like it, so that number tells nothing either.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from segmend.server.settings import is_loopback

# The lists of sockets: of IPv4, and of IPv6, where an IPv4 connection may be listed, too.
TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
OVERFLOW = Path("/proc/sys/kernel/overflowuid")
# The state of an open connection in these lists.
ESTABLISHED = "01"
Address = tuple[str, int]


def account_of(client: Address, server: Address, tables: tuple[Path, ...] = TABLES) -> int | None:
    """Return the number of the account whose program opened a connection; None where it cannot be known."""
    if sys.platform != "linux" or not (is_loopback(client[0]) and is_loopback(server[0])):
        return None
    for table, family in zip(tables, (socket.AF_INET, socket.AF_INET6), strict=True):
        try:
            sought = f" {_listed(client, family)} {_listed(server, family)} {ESTABLISHED} "
            listed = table.read_text(encoding="ascii")
        except OSError:  # no such table, or an IPv6 address sought among those of IPv4
            continue
        if (at := listed.find(sought)) >= 0:
            return _owner(listed[listed.rfind("\n", 0, at) + 1 : listed.find("\n", at)])
    return None


def own_account() -> int | None:
    """Return the number of the account that runs this process; None where it is no account's alone."""
    if sys.platform != "linux" or not os.access(TABLES[0], os.R_OK):
        return None
    number = os.geteuid()
    try:
        return None if number == int(OVERFLOW.read_text()) else number
    except (OSError, ValueError):
        return None


def _owner(row: str) -> int | None:
    """Return the owner in a row; None for a socket that no program holds any longer."""
    fields = row.split()
    return int(fields[7]) if fields[9] != "0" else None


def _listed(address: Address, family: socket.AddressFamily) -> str:
    """Return an address as these lists have it: words of 32 bits in the machine's order, and the port.

    >>> _listed(("127.0.0.1", 8765), socket.AF_INET)[8:]
    ':223D'
    """
    host, port = address
    if family == socket.AF_INET6 and ":" not in host:
        host = f"::ffff:{host}"
    packed = socket.inet_pton(family, host)
    words = (packed[i : i + 4] for i in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words) + f":{port:04X}"
