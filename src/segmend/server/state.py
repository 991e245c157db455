"""What the routes of one app share, and how they get at it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from threading import Event
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from segmend.server.access.logins import Logins
from segmend.server.access.looks import Looks
from segmend.server.access.oidc import Provider
from segmend.server.access.rates import Rates
from segmend.server.cases.archived import Archived
from segmend.server.cases.imports import Imports
from segmend.server.cases.reading import Reading
from segmend.server.protocols.pictures import Pictures
from segmend.server.protocols.visits import Visits
from segmend.server.sessions.kept_measures import KeptMeasures
from segmend.server.sessions.open_sessions import OpenSessions
from segmend.server.settings import ServerSettings
from segmend.server.told import Told
from segmend.store import Store


@dataclass(frozen=True, eq=False)
class Shared:
    """The parts of a running server."""

    settings: ServerSettings
    store: Store
    sessions: OpenSessions
    reading: Reading
    logins: Logins
    looks: Looks  # for the audit
    rates: Rates
    told: Told  # what a client is told of an error
    visits: Visits  # viewers of others
    archived: Archived  # the store as an archive
    imports: Imports  # of series from other archives
    pictures: Pictures  # of Label Studio
    # taken to make a thumbnail: one at a time, so that a list that is scrolled through leaves threads to clicks
    drawing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    kept_measures: KeptMeasures = field(default_factory=KeptMeasures)
    # taken to measure masks: one at a time, likewise
    measuring: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    # taken to make a tile of a slide: two at a time, likewise
    tiling: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    # taken to ask an archive, which may be silent for long, so that threads are left to others
    asking: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(4))
    provider: Provider | None = None  # at which people may log in
    ready: Event = field(default_factory=Event)  # set when the usual method is loaded and warm, or cannot be


def shared(connection: HTTPConnection) -> Shared:
    return cast(Shared, connection.app.state.shared)


def user(connection: HTTPConnection) -> str:
    """Return who asks, as the gate found out; empty for the server's own token or none."""
    return cast(str, connection.scope.get("state", {}).get("user", ""))


SharedNow = Annotated[Shared, Depends(shared)]
UserNow = Annotated[str, Depends(user)]
