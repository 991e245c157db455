"""How much memory this process may still take: of the machine, and of the container or service that it runs in."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

# What is taken where a system does not say.
UNKNOWN = 2**62
GROUPS = Path("/sys/fs/cgroup")


def free_memory(root: Path = Path("/")) -> int:
    """Return the bytes of memory, swap included, that are free or can be freed at once; a huge number if unknown.

    >>> free_memory() > 0
    True
    """
    if sys.platform == "win32":
        return _of_windows()
    try:
        lines = (line.partition(":") for line in (root / "proc/meminfo").read_text().splitlines())
        kilobytes = {name: int(rest.split()[0]) for name, _, rest in lines if rest}
        free = 1024 * (kilobytes["MemAvailable"] + kilobytes.get("SwapFree", 0))
    except (OSError, KeyError, ValueError, IndexError):  # macOS and others have no such file
        return _in_the_machine()
    return min(free, *_left_in_groups(root))


def _in_the_machine() -> int:
    try:
        return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError, AttributeError):
        return UNKNOWN


def _left_in_groups(root: Path) -> list[int]:
    """Return what each control group that holds this process leaves it; containers and services are such groups."""
    found = [UNKNOWN]
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return found
    top = root / GROUPS.relative_to("/")
    for line in groups:
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not controllers:
            found += _left_in(top, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            found += _left_in(
                top / "memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
            )
    return found


def _left_in(top: Path, path: str, most: str, used: str, freeable: str) -> list[int]:
    """Return what a group and those round it leave; in a container the path is that of the machine outside."""
    inner = top / path.lstrip("/")
    folders = [inner, *inner.parents] if path.strip("/") else [top]
    left = []
    for folder in (f for f in folders if f == top or top in f.parents):
        try:
            limit, usage = (folder / most).read_text().strip(), int((folder / used).read_text())
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            if limit != "max":
                left.append(max(0, int(limit) - usage + int(stat.get(freeable, 0))))
        except (OSError, ValueError):
            continue
    return left


def _of_windows() -> int:
    class Status(ctypes.Structure):
        _fields_ = [
            ("length", ctypes.c_uint32), ("load", ctypes.c_uint32), ("total", ctypes.c_uint64),
            ("free", ctypes.c_uint64), ("total_page", ctypes.c_uint64), ("free_page", ctypes.c_uint64),
            ("total_virtual", ctypes.c_uint64), ("free_virtual", ctypes.c_uint64), ("extended", ctypes.c_uint64),
        ]  # fmt: skip

    status = Status(length=ctypes.sizeof(Status))
    library = getattr(ctypes, "windll", None)
    if library is None or not library.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return UNKNOWN
    return int(status.free_page)
