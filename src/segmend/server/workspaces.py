"""Workspaces that stay open between prompts, the least used closed first when memory runs out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from segmend import methods
from segmend.core.image import Image
from segmend.runtime.engine import AUTO, Device
from segmend.server.answering import FilteredWorkspace

Key = tuple[str, str]  # session id, method id


class Workspaces:
    """A cache bounded by bytes; whatever is dropped is opened again when it is wanted."""

    def __init__(self, limit_bytes: int, weights: Mapping[str, Path] | None = None, device: Device = AUTO) -> None:
        self._limit = limit_bytes
        self._weights = weights or {}  # folders of a method's own weights, by its id
        self._device = device
        self._kept: OrderedDict[Key, tuple[FilteredWorkspace, int]] = OrderedDict()
        self._lock = Lock()

    def open(self, session_id: str, method: str, image: Callable[[], Image]) -> FilteredWorkspace:
        """Return the workspace of a method in a session; called by one thread a session at a time."""
        key = (session_id, method)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]
        dimensions = 2 if image().flat else 3
        weights = self._weights.get(method)
        segmenter = methods.load_where_possible(method, weights, self._device, dimensions=[dimensions])
        workspace = FilteredWorkspace(segmenter.open(image()), methods.card(method))
        self._keep(key, workspace, array_bytes(workspace, image()))
        return workspace

    def measure(self, session_id: str, method: str, image: Image) -> None:
        """Look again how much memory a workspace holds, after it has answered."""
        key = (session_id, method)
        with self._lock:
            workspace = self._kept[key][0] if key in self._kept else None
        if workspace is not None:
            self._keep(key, workspace, array_bytes(workspace, image))

    def forget(self, session_id: str) -> None:
        """Close a session's workspaces."""
        with self._lock:
            for key in [key for key in self._kept if key[0] == session_id]:
                del self._kept[key]

    @property
    def size_bytes(self) -> int:
        """What all of them hold together."""
        with self._lock:
            return sum(size for _, size in self._kept.values())

    def _keep(self, key: Key, workspace: FilteredWorkspace, size: int) -> None:
        with self._lock:
            self._kept[key] = (workspace, size)
            total = sum(size for _, size in self._kept.values())
            while total > self._limit and len(self._kept) > 1:
                oldest = next(k for k in self._kept if k != key)
                total -= self._kept.pop(oldest)[1]


def array_bytes(thing: object, besides: Image) -> int:
    """Return the bytes of all arrays that an object holds, without those of the image itself.

    >>> image = Image(np.zeros((1, 2, 3, 4), np.int16))
    >>> array_bytes({"image": image, "features": np.zeros(10)}, image)
    80
    """
    known = {id(besides), id(_owner(besides.voxels))}
    total, waiting = 0, [thing]
    while waiting:
        item = waiting.pop()
        if isinstance(item, np.ndarray):
            item = _owner(item)
        if id(item) in known:
            continue
        known.add(id(item))
        if isinstance(item, np.ndarray):
            total += 0 if isinstance(item, np.memmap) else item.nbytes
        else:
            waiting += _inside(item)
    return total


def _owner(array: np.ndarray) -> Any:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _inside(item: object) -> list[Any]:
    if isinstance(item, dict):
        return list(item.values())
    if isinstance(item, (list, tuple, set, frozenset)):
        return list(item)
    if isinstance(item, (type, ModuleType, FunctionType, str, bytes, int, float)):
        return []
    slots = [getattr(item, name) for name in getattr(type(item), "__slots__", ()) if hasattr(item, name)]
    return slots + list(getattr(item, "__dict__", {}).values())
