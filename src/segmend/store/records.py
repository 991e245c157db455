"""What the store remembers about a case, a session, an event, a mask and a project."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Index
from segmend.core.session import Event, Label, Session
from segmend.io.anonymise import Profile
from segmend.io.axes import is_timed

Status = Literal["untouched", "begun", "done", "rejected", "accepted"]
# How far a case is, in the order of the work; the database keeps the place in this row.
STATUSES: tuple[Status, ...] = get_args(Status)
Role = Literal["annotator", "reviewer", "admin"]
# What somebody is in a project; each may do what those before it may.
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class FirstMasks:
    """Which method makes the first masks of a project's cases, and the Dice that it was measured to have."""

    method: str
    dice: float


@dataclass(frozen=True)
class Project:
    """A named group of cases."""

    name: str
    created: datetime  # UTC
    template: tuple[Label, ...] = ()  # labels that new sessions of its cases begin with, numbered from 1
    retention_days: int | None = None  # after which cases that nobody has changed are forgotten; None: never
    first: FirstMasks | None = None  # None: its cases begin without masks
    max_bytes: int | None = None  # that its cases may have; 0: any number; None: as those of all projects
    anonymise: Profile | None = None  # what comes in is, by this profile; None: as the server was started


@dataclass(frozen=True)
class CaseRecord:
    """One image in the store, without its voxels.

    >>> from datetime import UTC
    >>> affine = ((0., 0., 1., 0.), (0., 1., 0., 0.), (3., 0., 0., 0.), (0., 0., 0., 1.))
    >>> case = CaseRecord("a1", "head", "default", (9, 8, 7), 1, affine, "CT", (), False, datetime.now(UTC))
    >>> case.spacing, case.status
    ((3.0, 1.0, 1.0), 'untouched')
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
    patient: str = ""  # name and id as the DICOM files say; empty: unknown
    study_date: str = ""  # YYYY-MM-DD; empty: unknown
    description: str = ""  # of the study
    status: Status = "untouched"
    comment: str = ""  # on the status
    status_by: str = ""  # who set it; empty: whoever used the server without an account
    status_at: datetime | None = None  # UTC; None: never
    changed: datetime | None = None  # UTC, of the last event or status; None: not since it was added
    interactions: int = 0  # marks, removals, undos and redos in all sessions
    seconds: float = 0.0  # of work, in all sessions
    frame: str = ""  # DICOM's frame of reference; empty: unknown
    doubt: float = -1.0  # 1 - the Dice that the last answer expected; -1: no answer said one
    split: str = ""  # train, val, test or another of the data set that it came from; empty: none was said
    slide: bool = False  # it is a whole-slide image, of which the case's own image shows all at its coarsest level

    @property
    def spacing(self) -> tuple[float, float, float]:  # mm, (z, y, x)
        matrix: NDArray[np.float64] = np.asarray(self.affine)
        z, y, x = np.linalg.norm(matrix[:3, :3], axis=0).tolist()
        return z, y, x

    @property
    def timed(self) -> bool:
        """Are its channels one image at several times."""
        return self.channels > 1 and is_timed(self.notes)


@dataclass(frozen=True)
class SeriesRecord:
    """An image that is shown beside a case's own, on a grid of its own, without its voxels."""

    id: str
    case: str
    name: str
    shape: Index
    affine: tuple[tuple[float, ...], ...]  # [4 4] (z, y, x, 1) -> RAS mm
    modality: str
    notes: tuple[str, ...]
    lowest: float  # of its values
    created: datetime  # UTC


@dataclass(frozen=True)
class CasePage:
    """Some cases of a list that may be long, and how long it is."""

    cases: tuple[CaseRecord, ...]
    offset: int  # place of the first one in the list
    total: int  # of the whole list
    totals: Mapping[Status, int]  # of cases by status; the list's filter but for its statuses


@dataclass(frozen=True)
class Choices:
    """What a worklist can be filtered by: what there is, in order."""

    projects: tuple[str, ...]
    modalities: tuple[str, ...]
    labels: tuple[str, ...]  # the names used most, at most 200


@dataclass(frozen=True)
class Field:
    """A field of view: the region of a slide, at one of its levels, that a session is of."""

    level: int
    low: tuple[int, int]  # (y, x) in pixels of the level, inside
    high: tuple[int, int]  # just outside
    begun: int = 0  # events that the session began with: labels, and the mask that was there

    @property
    def shape(self) -> Index:
        """Return the shape of the picture.

        >>> Field(2, (10, 20), (30, 50)).shape
        (1, 20, 30)
        """
        return 1, self.high[0] - self.low[0], self.high[1] - self.low[1]


@dataclass(frozen=True)
class SessionRecord:
    """One sitting at a case; its events are folded by `Store.session`."""

    id: str
    case: str
    user: str
    created: datetime  # UTC
    field: Field | None = None  # of a slide; None: the session is of the case's own image


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


ReadState = Literal["open", "finished", "decided"]
# How far a read is: readers are at work, all have finished, and it was decided.
READ_STATES: tuple[ReadState, ...] = get_args(ReadState)
ReadingState = Literal["assigned", "begun", "finished"]
READING_STATES: tuple[ReadingState, ...] = get_args(ReadingState)


@dataclass(frozen=True)
class Reading:
    """One reader's part in a read."""

    reader: str
    session: str | None  # None: not begun
    state: ReadingState
    assigned: datetime  # UTC
    finished: datetime | None  # UTC
    interactions: int
    seconds: float


@dataclass(frozen=True)
class Read:
    """A case that is to be read by one or several people."""

    case: str
    wanted: int  # readers
    blind: bool  # they see nothing of each other until it is decided
    state: ReadState
    session: str | None  # that decides; None: none yet
    decided_by: str
    decided: datetime | None  # UTC
    readings: tuple[Reading, ...]  # in the order in which they were assigned
    agreement: Any = None  # plain JSON values, of finished reads

    @property
    def is_over(self) -> bool:
        return self.state == "decided"

    def of(self, reader: str) -> Reading | None:
        """Return what somebody has to do with it; None where they are no reader of it."""
        return next((one for one in self.readings if reader and one.reader == reader), None)


@dataclass(frozen=True)
class Comment:
    """What somebody said of a case, or of a place in it."""

    id: str
    case: str
    user: str
    at: datetime  # UTC
    text: str
    place: Index | None


@dataclass(frozen=True)
class User:
    """Somebody who may use the server; neither token nor password is kept."""

    name: str
    created: datetime  # UTC
    disabled: bool = False
    has_password: bool = False
    has_token: bool = False
    role: Role | None = None  # in all projects
    linked: bool = False  # a provider of logins knows them
    max_bytes: int | None = None  # that the cases they add may have; 0: any number; None: as everybody's


@dataclass(frozen=True)
class Roles:
    """What somebody is: in all projects, and in single ones, where that is another role.

    >>> ada = Roles("annotator", {"lungs": "reviewer"})
    >>> ada.at("lungs"), ada.at("knees"), Roles(None, {}).at("lungs"), Roles("admin", {"lungs": "reviewer"}).at("lungs")
    ('reviewer', 'annotator', None, 'admin')
    >>> ada.may("reviewer", "lungs"), ada.may("reviewer", "knees"), ada.projects_as("reviewer", ["lungs", "knees"])
    (True, False, ('lungs',))
    """

    everywhere: Role | None
    projects: Mapping[str, Role]

    def at(self, project: str) -> Role | None:
        """Return the role in a project; whoever is admin of all of them is so in each."""
        return "admin" if self.everywhere == "admin" else self.projects.get(project, self.everywhere)

    def may(self, role: Role, project: str) -> bool:
        """Tell whether this is that role in a project, or a higher one."""
        return is_at_least(self.at(project), role)

    def projects_as(self, role: Role, projects: Iterable[str]) -> tuple[str, ...]:
        """Return those of some projects in which this is that role, or a higher one."""
        return tuple(project for project in projects if self.may(role, project))


# What the server's own token may, and whoever needs none.
EVERYTHING_ALLOWED = Roles("admin", {})


def is_at_least(role: Role | None, least: Role) -> bool:
    """Tell whether a role is this one or a higher one."""
    return role is not None and ROLES.index(role) >= ROLES.index(least)


@dataclass(frozen=True)
class Member:
    """Somebody who has a role in a project."""

    user: User
    role: Role


def readable(text: str) -> bool:
    """Return whether a text is free of control characters, halves of characters and line ends."""
    return not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text)
