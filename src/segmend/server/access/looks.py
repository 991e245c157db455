"""What people look at and take away, noted in the store's audit before they are given it.

Who scrolls through a case asks for it a hundred times; that is one entry in half an hour. What is exported is an entry
each time. A store that can only be read takes no entries, and is read all the same: the log says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from threading import Lock
from typing import Any

from starlette.types import Scope

from segmend.errors import NotFoundError
from segmend.store import Store
from segmend.store.audit import UNKNOWN, Action, Deed
from segmend.store.records import CaseRecord

log = logging.getLogger("segmend.server")
# Seconds in which looking at the same case again is no new entry.
LOOK_SECONDS = 1800.0
# Looks that are remembered.
MOST = 50_000

# Routes and live connections by which a case's voxels or masks are seen; thumbnails in lists are not counted.
OPENING = frozenset(
    {
        "GET /api/cases/{case}/volume.nii", "GET /api/cases/{case}/slices", "GET /api/cases/{case}/slide",
        "GET /api/cases/{case}/series/{series}/volume.nii", "GET /api/cases/{case}/series/{series}/slices",
        "GET /api/cases/{case}/slide/tiles/{level}/{row}/{column}",
        "GET /api/cases/{case}/slide/mask/{level}/{row}/{column}",
        "GET /api/cases/{case}/fields/{session}/slices", "GET /api/cases/{case}/fields/{session}/volume.nii",
        "GET /api/sessions/{session}", "GET /api/sessions/{session}/map", "GET /api/sessions/{session}/measures",
        "GET /api/sessions/{session}/surfaces/{label}", "WS /api/sessions/{session}/live",
    }
)  # fmt: skip


def key_in(scope: Scope) -> str:
    """Return the name of a request's route, with its placeholders."""
    path = getattr(scope.get("route"), "path", "")
    return f"{scope.get('method', 'WS')} {path}"


class Looks:
    """Who has looked at what lately."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = Lock()
        self._last: dict[tuple[str, ...], float] = {}

    def note_route(self, who: str, route: str, named: Mapping[str, str]) -> None:
        """Note that somebody opens what an address names, where its route shows a case."""
        if route in OPENING and self._is_new(who, "opened", named.get("case", ""), named.get("session", "")):
            with suppress(NotFoundError):  # which the route says itself
                session = named.get("session", "")
                case = named.get("case") or self._store.session_record(session).case
                self._add(Deed(who, "opened", self._store.case(case).project, case, session))

    def note_download(self, who: str, case: CaseRecord, *, kind: str) -> None:
        """Note that somebody fetches a case's files or masks, of which there may be hundreds."""
        if self._is_new(who, "downloaded", case.id, kind):
            self._add(Deed(who, "downloaded", case.project, case.id, detail={"kind": kind}))

    def note_taken(self, who: str, action: Action, *cases: CaseRecord, session: str = "", **detail: Any) -> None:
        """Note that somebody exports or sends what was annotated."""
        self._add(*(Deed(who, action, case.project, case.id, session, detail) for case in cases))

    def note_list(self, who: str, project: str, *, kind: str) -> None:
        """Note that somebody exports a table of a whole project."""
        self._add(Deed(who, "exported", project, detail={"kind": kind}))

    def note_login(self, who: str, way: str, peer: str) -> None:
        """Note that somebody logs in."""
        self._add(Deed(who, "login", detail={"with": way, "from": peer}))

    def is_new_program(self, who: str) -> bool:
        """Tell whether no program has named somebody's token lately, which programs do with every request."""
        return self._is_new(who, "login")

    def note_logout(self, who: str) -> None:
        """Note that somebody logs out."""
        self._add(Deed(who, "logout"))

    def note_failed_login(self, who: str, peer: str) -> None:
        """Note a wrong password or token; what was tried is not kept, for it may be somebody's password."""
        self._add(Deed(who or UNKNOWN, "login failed", detail={"from": peer}))

    def note_refusal(self, who: str, route: str, named: Mapping[str, str], project: str = "") -> None:
        """Note that somebody asked for what they may not have, in a project that the address need not name."""
        project = named.get("project") or project
        if self._is_new(who, "refused", route, project, *named.values()):
            case, session = named.get("case", ""), named.get("session", "")
            with suppress(NotFoundError):
                case = case or (self._store.session_record(session).case if session else "")
                project = project or (self._store.case(case).project if case else "")
            self._add(Deed(who, "refused", project[:300], case[:32], session[:32], {"route": route}))

    def _add(self, *deeds: Deed) -> None:
        if (refusal := self._store.audit.add_where_possible(*deeds)) is not None:
            log.warning("The audit lacks %d entries (%s): %s", len(deeds), deeds[0].action, refusal)

    def _is_new(self, *look: str) -> bool:
        now = time.monotonic()
        with self._lock:
            if now - self._last.get(look, -LOOK_SECONDS) < LOOK_SECONDS:
                return False
            if len(self._last) >= MOST:
                self._last = {key: at for key, at in self._last.items() if now - at < LOOK_SECONDS}
            if len(self._last) < MOST:
                self._last[look] = now
        return True
