"""Cases and what is made of them in files, so that a data set larger than memory can be learned from.

With a folder to keep them in (`segmend train --cache DIR`), a case's voxels and labels are written there once, as they
are, and from then on mapped: only what is looked at is read, the system drops it when memory runs short, and all
processes of a run share it. What takes long to make of a case, such as a volume on a network's grid, is kept likewise.
Files are named by what they hold: by the case's own files with their sizes and times, and by how it was made; whatever
changes is made anew. A cluster may fill the folder before anything is learned (`segmend train --cluster`): each process
reads a case at a time. Without a folder everything is as it was read, in memory.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmend.errors import FileError, SettingsError
from segmend.runtime.cluster import Cluster

_FOLDER: ContextVar[Path | None] = ContextVar("folder", default=None)
_CLUSTER: ContextVar[Cluster | None] = ContextVar("cluster", default=None)


@contextmanager
def kept_in(folder: Path | None, cluster: Cluster | None = None) -> Iterator[None]:
    """Keep arrays in a folder meanwhile, which a cluster may fill; None keeps none."""
    if cluster is not None and folder is None:
        raise SettingsError(
            "A cluster prepares cases in a folder that all of its machines share; name it with --cache."
        )
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"The folder {folder} could not be made: {error.strerror}.") from None
    before, cluster_before = _FOLDER.set(folder), _CLUSTER.set(cluster)
    try:
        yield
    finally:
        _FOLDER.reset(before)
        _CLUSTER.reset(cluster_before)


def keeping() -> bool:
    """Tell whether there is a folder to keep arrays in."""
    return _FOLDER.get() is not None


def folder() -> Path | None:
    """Return where arrays are kept."""
    return _FOLDER.get()


def cluster() -> Cluster | None:
    """Return the cluster that fills the folder."""
    return _CLUSTER.get()


def are_kept(*names: str) -> bool:
    """Tell whether these arrays are all in files."""
    there = _FOLDER.get()
    return there is not None and all((there / f"{name}.npy").exists() for name in names)


def name_of(files: Iterable[Path], *how: object) -> str:
    """Return a name for what is made of these files in this way.

    >>> name_of([], "grid", (1, 2)) == name_of([], "grid", (1, 2)) != name_of([], "grid", (1, 3))
    True
    """
    facts = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr((facts, how)).encode()).hexdigest()[:32]


def kept(name: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """Return an array from its file, mapped, made and written first where there is none; as made without a folder."""
    there = _FOLDER.get()
    if there is None:
        return make()
    path = there / f"{name}.npy"
    if not path.exists():
        array = np.ascontiguousarray(make())
        partial = there / f"{name}.{platform.node()}.{os.getpid()}.partial"
        try:
            with partial.open("wb") as file:
                np.save(file, array, allow_pickle=False)
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise FileError(f"What is kept of a case could not be written to {there}: {error.strerror}.") from None
    mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped
