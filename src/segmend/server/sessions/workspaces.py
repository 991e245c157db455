"""Workspaces that stay open between prompts, the least used closed first when memory runs out.

What a workspace holds counts here; features that networks keep in `segmend.runtime.budget` count there, in one budget.
Workspaces of methods that are answered in processes of their own are there (`processes`), and count here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from segmend import methods
from segmend.core.image import Image
from segmend.runtime.budget import Memory
from segmend.runtime.engine import AUTO, Device
from segmend.server.processes.held import array_bytes
from segmend.server.processes.processes import Processes
from segmend.server.sessions.answering import FilteredWorkspace

Key = tuple[str, str]  # session id, method id


class Workspaces:
    """A cache within a budget of memory; whatever is dropped is opened again when it is wanted."""

    def __init__(
        self,
        memory: Memory | int,
        weights: Mapping[str, Path] | None = None,
        device: Device = AUTO,
        *,
        processes: Processes | None = None,
    ) -> None:
        self._memory = Memory(memory) if isinstance(memory, int) else memory
        self._weights = weights or {}  # folders of a method's own weights, by its id
        self._device = device
        self._owner = object()
        self._processes = processes

    def load(self, method: str, dimensions: int) -> None:
        """Load a method and warm it for images of 2 or 3 dimensions, before somebody waits for it."""
        if (processes := self._apart(method)) is not None:
            processes.load(method, dimensions)
            return
        weights = self._weights.get(methods.family_of(method))
        methods.load_where_possible(method, weights, self._device, warm=[dimensions])

    def open(self, session_id: str, method: str, image: Callable[[], Image]) -> FilteredWorkspace:
        """Return the workspace of a method in a session; called by one thread a session at a time."""
        if (processes := self._apart(method)) is not None:
            return FilteredWorkspace(processes.open(session_id, method, image), methods.card(method))
        found: FilteredWorkspace | None = self._memory.get(self._owner, (session_id, method))
        if found is not None:
            return found
        dimensions = 2 if image().flat else 3
        weights = self._weights.get(methods.family_of(method))
        segmenter = methods.load_where_possible(method, weights, self._device, warm=[dimensions])
        workspace = FilteredWorkspace(segmenter.open(image()), methods.card(method))
        self._keep((session_id, method), workspace, image())
        return workspace

    def holds(self, session_id: str, method: str) -> bool:
        """Tell whether a session's workspace is open."""
        if (processes := self._apart(method)) is not None:
            return processes.holds(session_id, method)
        return self._memory.get(self._owner, (session_id, method)) is not None

    def measure(self, session_id: str, method: str, image: Image) -> None:
        """Look again how much memory a workspace holds, after it has answered."""
        workspace = self._memory.get(self._owner, (session_id, method))
        if workspace is not None:
            self._keep((session_id, method), workspace, image)

    def forget(self, session_id: str) -> None:
        """Close a session's workspaces."""
        self._memory.forget_where(self._owner, lambda key: key[0] == session_id)
        if self._processes is not None:
            self._processes.forget(session_id)

    def close(self) -> None:
        """Close all of them."""
        self._memory.forget(self._owner)
        if self._processes is not None:
            self._processes.close()

    @property
    def size_bytes(self) -> int:
        """What all of them hold together."""
        apart = 0 if self._processes is None else self._processes.size_bytes
        return self._memory.size_of(self._owner) + apart

    def _apart(self, method: str) -> Processes | None:
        """Return the processes that answer a method; None where this one does."""
        return None if self._processes is None or not self._processes.takes(method) else self._processes

    def _keep(self, key: Key, workspace: FilteredWorkspace, image: Image) -> None:
        self._memory.put(self._owner, key, workspace, array_bytes(workspace, image))
