"""What the store remembers about a case, a session, an event, a mask and a project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Index
from segmend.core.session import Event, Session


@dataclass(frozen=True)
class Project:
    """A named group of cases."""

    name: str
    created: datetime  # UTC


@dataclass(frozen=True)
class CaseRecord:
    """One image in the store, without its voxels.

    >>> from datetime import UTC
    >>> affine = ((0., 0., 1., 0.), (0., 1., 0., 0.), (3., 0., 0., 0.), (0., 0., 0., 1.))
    >>> CaseRecord("a1", "head", "default", (9, 8, 7), 1, affine, "CT", (), False, datetime.now(UTC)).spacing
    (3.0, 1.0, 1.0)
    """

    id: str
    name: str
    project: str
    shape: Index
    channels: int
    affine: tuple[tuple[float, ...], ...]  # [4 4] (z, y, x, 1) -> RAS mm
    modality: str
    notes: tuple[str, ...]
    source: bool  # the original DICOM files are kept
    created: datetime  # UTC

    @property
    def spacing(self) -> tuple[float, float, float]:  # mm, (z, y, x)
        matrix: NDArray[np.float64] = np.asarray(self.affine)
        z, y, x = np.linalg.norm(matrix[:3, :3], axis=0).tolist()
        return z, y, x


@dataclass(frozen=True)
class SessionRecord:
    """One sitting at a case; its events are folded by `Store.session`."""

    id: str
    case: str
    user: str
    created: datetime  # UTC


@dataclass(frozen=True)
class EventRecord:
    """One event with its place in the log, who put it there and when."""

    position: int
    event: Event
    user: str
    created: datetime  # UTC


@dataclass(frozen=True, eq=False)
class LoadedSession:
    """A session as its log tells it, without those answers that are damaged in the store."""

    session: Session
    damaged: Mapping[int, int | None]  # CRC-32 that the answer to each of these events had; None where none was kept


@dataclass(frozen=True)
class SavedMask:
    """A label map kept under a name; `Store.mask` reads it."""

    id: str
    session: str
    name: str
    created: datetime  # UTC


@dataclass(frozen=True)
class User:
    """Somebody who may use the server; the token itself is not kept."""

    name: str
    created: datetime  # UTC
