"""Who works beside made-up requests: one person in the annotator, another in a viewer of others.

Whatever else the server is asked, their marks are answered as ever, their masks are what they would be if nobody else
were there, and they stay connected.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from tests.server.protocols.viewer import Viewer
from tests.server.running import Client, clicked, defined, http, rooms

MARK = (1, 2, 2)
MARKED = rooms().voxels[0] == rooms().voxels[0][MARK]


class Beside:
    """Two people at a server, each at an image of their own."""

    def __init__(self, server: Any) -> None:
        self._store = server.config.app.state.shared.store
        self._case = self._store.add_case("beside", rooms()).id
        with http(server) as client:
            self.session = client.post(f"/api/cases/{self._case}/sessions").json()["id"]
        self._annotator = Client(server.address, self.session)
        self._annotator.do(defined(1))
        self.viewer = Viewer(server.address)
        self.viewer.show(rooms().voxels)
        self._events = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._annotator.close()
        self.viewer.http.post("/release")
        self.viewer.http.close()
        self._store.delete_case(self._case)

    def disturbed(self) -> list[str]:
        """Have each put a mark down and take it back; return what was not as it should be."""
        try:
            return [f"{who} beside has {what}" for who, what in (*self._in_annotator(), *self._in_viewer())]
        except Exception as error:
            return [f"beside: {type(error).__name__} {error}"]

    def _in_annotator(self) -> list[tuple[str, str]]:
        wrong = []
        for event, expected in ((clicked(MARK), MARKED), ({"event": "undone"}, np.zeros_like(MARKED))):
            position = self._annotator.do(event)["position"]
            if position != self._events:
                wrong.append(("the annotator", f"event {position} where {self._events} comes next"))
            self._events = position + 1
            if not np.array_equal(self._annotator.map == 1, expected) or self._annotator.map.max(initial=0) > 1:
                wrong.append(("the annotator", "another mask than was marked"))
        return wrong

    def _in_viewer(self) -> list[tuple[str, str]]:
        wrong = []
        for answer, expected in (
            (lambda: self.viewer.point(*MARK), MARKED),
            (self.viewer.undo, np.zeros_like(MARKED)),
        ):
            answer()
            if not np.array_equal(self.viewer.mask == 1, expected):
                wrong.append(("the viewer", "another mask than was marked"))
        return wrong
