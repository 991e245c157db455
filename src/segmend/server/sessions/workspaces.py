"""Workspaces that stay open between prompts, the least used closed first when memory runs out.

What a workspace holds counts here; features that networks keep in `segmend.runtime.budget` count there, in one budget.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from segmend import methods
from segmend.core.image import Image
from segmend.runtime.budget import Memory
from segmend.runtime.engine import AUTO, Device
from segmend.server.sessions.answering import FilteredWorkspace

Key = tuple[str, str]  # session id, method id


class Workspaces:
    """A cache within a budget of memory; whatever is dropped is opened again when it is wanted."""

    def __init__(self, memory: Memory | int, weights: Mapping[str, Path] | None = None, device: Device = AUTO) -> None:
        self._memory = Memory(memory) if isinstance(memory, int) else memory
        self._weights = weights or {}  # folders of a method's own weights, by its id
        self._device = device
        self._owner = object()

    def open(self, session_id: str, method: str, image: Callable[[], Image]) -> FilteredWorkspace:
        """Return the workspace of a method in a session; called by one thread a session at a time."""
        found: FilteredWorkspace | None = self._memory.get(self._owner, (session_id, method))
        if found is not None:
            return found
        dimensions = 2 if image().flat else 3
        weights = self._weights.get(methods.family_of(method))
        segmenter = methods.load_where_possible(method, weights, self._device, dimensions=[dimensions])
        workspace = FilteredWorkspace(segmenter.open(image()), methods.card(method))
        self._keep((session_id, method), workspace, image())
        return workspace

    def holds(self, session_id: str, method: str) -> bool:
        """Tell whether a session's workspace is open."""
        return self._memory.get(self._owner, (session_id, method)) is not None

    def measure(self, session_id: str, method: str, image: Image) -> None:
        """Look again how much memory a workspace holds, after it has answered."""
        workspace = self._memory.get(self._owner, (session_id, method))
        if workspace is not None:
            self._keep((session_id, method), workspace, image)

    def forget(self, session_id: str) -> None:
        """Close a session's workspaces."""
        self._memory.forget_where(self._owner, lambda key: key[0] == session_id)

    def close(self) -> None:
        """Close all of them."""
        self._memory.forget(self._owner)

    @property
    def size_bytes(self) -> int:
        """What all of them hold together."""
        return self._memory.size_of(self._owner)

    def _keep(self, key: Key, workspace: FilteredWorkspace, image: Image) -> None:
        self._memory.put(self._owner, key, workspace, array_bytes(workspace, image))


def array_bytes(thing: object, besides: Image | None = None) -> int:
    """Return the bytes of all arrays that an object holds, without those mapped from files and of the image itself.

    >>> image = Image(np.zeros((1, 2, 3, 4), np.int16))
    >>> array_bytes({"image": image, "features": np.zeros(10)}, image)
    80
    """
    known = set() if besides is None else {id(besides), id(_owner(besides.voxels))}
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
