"""Small and read-only places on the disk, real ones: mounted by root, or limits of a process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _mount(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["mount", *options], capture_output=True, text=True)


@contextmanager
def small_disk(folder: Path, size: str = "4m") -> Iterator[Path]:
    """Give a file system of its own with little space."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder.mkdir()
    done = _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    if done.returncode:
        pytest.skip(f"this container may not mount a small file system: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # images may still be mapped from it


@contextmanager
def read_only(folder: Path) -> Iterator[Callable[[], None]]:
    """Make a folder read-only for a while: by its permissions, and for root by mounting it over itself.

    What it gives ends that while files in it are still open.
    """
    if os.geteuid() != 0:
        below = [folder, *(p for p in folder.rglob("*"))]
        modes = {p: p.stat().st_mode for p in below}

        def restore() -> None:
            for p in below:
                p.chmod(modes[p])

        for p in reversed(below):
            p.chmod(modes[p] & 0o555)
        try:
            yield restore
        finally:
            restore()
        return
    done = _mount("--bind", str(folder), str(folder))
    if done.returncode:
        pytest.skip(f"this container may not mount a folder read-only: {done.stderr.strip()}")
    try:
        assert _mount("-o", "remount,bind,ro", str(folder)).returncode == 0
        yield lambda: _mount("-o", "remount,bind,rw", str(folder)).check_returncode()
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # images may still be mapped from it
