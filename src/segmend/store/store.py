"""What is kept: projects, cases, sessions with their events and answers, masks, users.

Rows live in a `Database`, voxels in `Blobs`. The order of writing keeps the two together:
blobs first, then the row that speaks for them; a row goes before its blobs go. What a crash
leaves in between is named in the table `leftovers` and swept when the store is opened, so
no blob is ever deleted that this database did not itself name as nobody's.

What is read is checked: blobs, cases, events and answers against the checksums they were written with, logs for gaps.
Damage is a StoreError that says what is damaged; `segmend.store.verify` looks for all of it.

Thread-safe. Several processes and servers may share one store: a position in an event log
is given once, and whoever comes second gets ConflictError and loads the session again.
"""

from __future__ import annotations

import gzip
import json
import shutil
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, Literal, Self, TypeVar
from uuid import uuid4

import numpy as np
from sqlalchemy import URL, Column, Connection, Row, Select, Text, delete, func, insert, select, type_coerce, update

from segmend.core.image import Box, Image, Index, LabelMap, whole
from segmend.core.related import check_related
from segmend.core.session import (
    Event,
    Label,
    Patch,
    Session,
    event_from_json,
    event_to_json,
    label_from_json,
    label_to_json,
)
from segmend.errors import ConflictError, NotFoundError, SettingsError, ShapeError, StoreError
from segmend.io.anonymise import PROFILES, Profile
from segmend.io.thumbnail import LOOKED_AT, thumbnail
from segmend.store import tables, voxels, worklist
from segmend.store.accounts import Accounts
from segmend.store.audit import Action, Audit, Deed, note
from segmend.store.blobs import Batch, Blobs
from segmend.store.changes import Changes
from segmend.store.checksums import Checksum, Summed, checksum_of, event_crc, file_checksum, patch_crc, values_crc
from segmend.store.comments import Comments
from segmend.store.database import TIMEOUT_SECONDS, UNREADABLE, Database
from segmend.store.originals import Originals
from segmend.store.quota import Quota, check_limit, size_of
from segmend.store.readings import Readings
from segmend.store.records import (
    STATUSES,
    CasePage,
    CaseRecord,
    Choices,
    EventRecord,
    Field,
    FirstMasks,
    LoadedSession,
    Project,
    SavedMask,
    SeriesRecord,
    SessionRecord,
    Status,
    readable,
)
from segmend.store.tables import DEFAULT_PROJECT
from segmend.store.visitors import Visitors
from segmend.store.voxels import Array
from segmend.store.worklist import EVERYTHING, OLDEST_FIRST, CaseFilter, CaseOrder

Record = TypeVar("Record")

# States of a leftover: its blobs are being written, or are to be deleted.
WRITING, DELETING = "writing", "deleting"
# Age at which blobs without a row are taken for a killed server's: no upload takes longer.
ABANDONED = timedelta(hours=1)
# What the audit calls the setting of a status.
_DEEDS: Mapping[str, Action] = {"done": "done", "rejected": "rejected", "accepted": "accepted", "open": "reopened"}
# Columns of a case that follow from the others.
DERIVED = frozenset({"crc32", "folded"})
# Series beside one case's image: more than that nobody looks at.
MAX_SERIES = 50
# Days that cases of a project may be kept, at most.
MAX_RETENTION_DAYS = 36_500
# Labels of a project's template.
MAX_TEMPLATE = 200


class Store:
    """Everything that outlives the process.

    >>> from tempfile import TemporaryDirectory
    >>> from segmend.core.session import Defined, Label, PALETTE
    >>> with TemporaryDirectory() as folder, Store.local(folder) as store:
    ...     case = store.add_case("head", Image(np.zeros((1, 4, 5, 6), np.int16)))
    ...     sitting = store.add_session(case.id)
    ...     store.append(sitting.id, 0, Defined(Label(1, "lesion", PALETTE[0])))
    ...     store.session(sitting.id).labels[1].name
    'lesion'
    """

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self.accounts = Accounts(database)
        self.visitors = Visitors(database)
        self.originals = Originals(database)
        self.readings = Readings(database)
        self.comments = Comments(database)
        self.audit = Audit(database)
        self._database = database
        self._blobs = blobs
        self.quota = Quota()  # which a server sets
        self._user = ""  # who does what no method names a user for
        self._checked: dict[str, tuple[int, int, int]] = {}  # blobs that were read once, as their files were then

    @classmethod
    def open(
        cls,
        database_url: str | URL,
        blobs_url: str,
        *,
        storage: Mapping[str, Any] | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        sweeping: bool = True,
    ) -> Self:
        """Return the store, its tables brought up to date and, unless `sweeping` is False, its leftovers swept.

        `storage` are options for fsspec (credentials, endpoint) that should not be in a URL;
        `timeout_seconds` is how long to wait for a database that is locked or does not answer.
        A store whose disk is full or read-only is opened to be read: `read_only` then says why.
        """
        made: list[Blobs] = []

        def blobs() -> Blobs:
            made.extend([] if made else [Blobs(blobs_url, storage)])
            return made[0]

        def refuse_new() -> None:
            if blobs().holds_any("cases"):
                raise StoreError(
                    f"The database {Database.name_of(database_url)} is not there or empty, but the blobs at "
                    f"{blobs().name} hold cases: put the database back from a copy, or name other blobs to begin "
                    "a new store."
                )
            if (refusal := blobs().read_only) is not None:
                raise refusal

        database = Database(database_url, timeout_seconds=timeout_seconds, refuse_new=refuse_new)
        try:
            store = cls(database, blobs())
            if sweeping and store.read_only is None:
                store.sweep()
        except BaseException:
            database.close()
            raise
        return store

    @classmethod
    def local(cls, folder: str | Path) -> Self:
        """Return the store in a local folder, made when there is none."""
        root = Path(folder).absolute()
        return cls.open(URL.create("sqlite", database=str(root / "segmend.db")), str(root / "blobs"))

    def by(self, user: str) -> Self:
        """Return the same store for who does things in it, as the audit is to say; it need not be closed."""
        signed = copy(self)
        signed._user = _user(user)
        signed.accounts = self.accounts.by(user)
        return signed

    def close(self) -> None:
        self._database.close()

    def changes(self) -> Changes:
        """Return a watch over what other servers and commands change here."""
        return self._database.changes()

    @property
    def database(self) -> Database:
        """Where the rows are, for who copies a store as a whole."""
        return self._database

    @property
    def blobs(self) -> Blobs:
        """Where the voxels are, likewise."""
        return self._blobs

    @property
    def read_only(self) -> str | None:
        """The sentence that says why nothing can be written now; None when all is well."""
        refusal = self._database.read_only or self._blobs.read_only
        return None if refusal is None else str(refusal)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Projects

    def add_project(self, name: str) -> Project:
        """Return a new project; ConflictError when there is one of this name."""
        project = Project(_name("project", name), _now())
        with self._database.writing() as connection:
            if connection.scalar(select(tables.projects.c.name).where(tables.projects.c.name == name)):
                raise ConflictError(f"There is a project {name!r} already; choose another name.")
            connection.execute(insert(tables.projects).values(name=project.name, created=project.created))
            note(connection, Deed(self._user, "added", project.name, detail={"what": "project"}))
        return project

    def projects(self) -> list[Project]:
        """Return all projects by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(tables.projects).order_by(tables.projects.c.name)).all()
        return [_project(row) for row in rows]

    def project(self, name: str) -> Project:
        return _project(self._row("project", tables.projects.c.name, name))

    def set_template(self, name: str, labels: Sequence[Label]) -> Project:
        """Return a project whose new sessions begin with these labels, numbered from 1; those that are there stay."""
        if len(labels) > MAX_TEMPLATE:
            raise SettingsError(f"A template has at most {MAX_TEMPLATE} labels; got {len(labels)}.")
        names = [_short("label's name", label.name.strip()) for label in labels]
        if "" in names or len({one.casefold() for one in names}) < len(names):
            raise SettingsError("The labels of a template need names, each another one.")
        numbered = [
            replace(label, value=number, locked=False, layer=number if label.layer else 0)
            for number, label in enumerate(labels, start=1)
        ]
        return self._set(name, {"labels": len(labels)}, template=[label_to_json(label) for label in numbered])

    def set_retention(self, name: str, days: int | None) -> Project:
        """Return a project whose cases are forgotten when nobody has changed them for so many days; None: never."""
        if days is not None and not 1 <= days <= MAX_RETENTION_DAYS:
            raise SettingsError(f"Cases are kept for 1 to {MAX_RETENTION_DAYS} days; got {days}.")
        return self._set(name, {"retention days": days}, retention_days=days)

    def set_max_bytes(self, name: str, max_bytes: int | None) -> Project:
        """Return a project whose cases may have so many bytes; 0: any number, None: as those of all projects."""
        check_limit(max_bytes)
        return self._set(name, {"max bytes": max_bytes}, max_bytes=max_bytes)

    def set_anonymise(self, name: str, profile: Profile | None) -> Project:
        """Return a project whose cases are anonymised by a profile when they come; None: as the server was started."""
        if profile is not None and profile not in PROFILES:
            raise SettingsError(f"Cases are anonymised by {' or '.join(PROFILES)}; got {profile[:40]!r}.")
        return self._set(name, {"anonymise": profile or "none"}, anonymise=profile)

    def set_first_masks(self, name: str, first: FirstMasks | None) -> Project:
        """Return a project whose cases get their first masks from a method when they are first opened, or from none."""
        if first is not None and not 0 < first.dice <= 1:
            raise SettingsError(f"A measured Dice needs to be more than 0 and at most 1; got {first.dice:g}.")
        method = None if first is None else _short("method's id", first.method)
        dice = None if first is None else first.dice
        return self._set(name, {"first_masks": method or "none"}, first_method=method, first_dice=dice)

    def _set(self, name: str, told: Mapping[str, Any], **values: Any) -> Project:
        """Return a project with other settings, of which the audit is told so much."""
        self._row("project", tables.projects.c.name, name)
        with self._database.writing() as connection:
            table = tables.projects
            connection.execute(update(table).where(table.c.name == name).values(values))
            note(connection, Deed(self._user, "settings", name, detail=dict(told)))
        return self.project(name)

    # Cases

    def add_case(
        self,
        name: str,
        image: Image,
        *,
        project: str = DEFAULT_PROJECT,
        modality: str = "",
        source: str | Path | None = None,
        patient: str = "",
        study_date: str = "",
        description: str = "",
        frame: str = "",
        split: str = "",
        slide: Path | None = None,
    ) -> CaseRecord:
        """Return a new case; `source` is the file or folder of its original DICOM, which is copied.

        `slide` is the file of a whole-slide image that `image` shows all of at its coarsest level.
        """
        added = _now()
        affine = tuple(tuple(float(v) for v in row) for row in image.affine)
        case = CaseRecord(
            id=uuid4().hex,
            name=_name("case", name),
            project=project,
            shape=image.shape,
            channels=image.channels,
            affine=affine,
            modality=_short("modality", modality),
            notes=image.notes,
            source=source is not None,
            created=added,
            patient=_short("patient", patient),
            study_date=_day(study_date),
            description=_short("description", description),
            changed=added,
            frame=_short("frame of reference", frame),
            split=_short("split", split),
            slide=slide is not None,
        )
        self._row("project", tables.projects.c.name, project)
        coming = image.voxels.nbytes + size_of(source) + size_of(slide)
        self.quota.check(self._database, self._user, project, coming)
        with self._write_blobs(_folder(case.id)):
            with self._blobs.writer(_image_key(case.id)) as file:
                summed = Summed(file)
                voxels.write(summed, image.voxels)
            written = {_image_key(case.id): summed.checksum}
            if source is not None:
                written |= self._copy_source(Path(source), f"{_folder(case.id)}/source")
            if slide is not None:
                written |= self._copy_file(slide, _slide_key(case.id), self._blobs)
            with self._database.writing() as connection:
                connection.execute(insert(tables.cases).values(**_case_values(case), crc32=_case_crc(case)))
                worklist.keep_words(connection, case.id, case.name, case.patient, case.description)
                _add_checksums(connection, case.id, written)
                _remove_leftover(connection, _folder(case.id))
                note(connection, Deed(self._user, "added", project, case.id, detail={"what": "case"}))
        return case

    def cases(self, project: str | None = None) -> list[CaseRecord]:
        """Return all cases, or those of one project, oldest first."""
        query = select(tables.cases).order_by(tables.cases.c.created, tables.cases.c.id)
        if project is not None:
            self._row("project", tables.projects.c.name, project)
            query = query.where(tables.cases.c.project == project)
        return self._records(query, _case)

    def case_counts(self) -> dict[str, int]:
        """Return how many cases each project has that has any."""
        query = select(tables.cases.c.project, func.count()).group_by(tables.cases.c.project)
        with self._database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def case(self, case_id: str) -> CaseRecord:
        return self._record("case", tables.cases.c.id, case_id, _case)

    def found_cases(self, wanted: CaseFilter = EVERYTHING, order: CaseOrder = OLDEST_FIRST) -> list[CaseRecord]:
        """Return all cases that a filter finds."""
        self._check_search(wanted)
        with self._database.reading() as connection:
            conditions = worklist.Found(connection, wanted).conditions
            rows = connection.execute(select(tables.cases).where(*conditions).order_by(*order.clauses))
            return [_case(row) for row in rows]

    def case_page(
        self,
        wanted: CaseFilter = EVERYTHING,
        order: CaseOrder = OLDEST_FIRST,
        *,
        offset: int = 0,
        limit: int = 100,
        around: str | None = None,
    ) -> CasePage:
        """Return some cases of a list, from `offset` on or with the case `around` in their middle, and totals."""
        limit = min(limit, worklist.MAX_PAGE)
        self._check_search(wanted)
        with self._database.reading() as connection:
            listed = worklist.Found(connection, wanted)
            totals = worklist.count(connection, listed)
            if around is not None and (place := worklist.place_of(connection, around, listed, order)) is not None:
                offset = max(0, place - limit // 2)
            ids = worklist.ids_of_page(connection, listed, order, offset, limit)
            rows = connection.execute(select(tables.cases).where(tables.cases.c.id.in_(ids))).all()
            found = {row.id: _case(row) for row in rows}
        total = sum(number for status, number in totals.items() if status in (wanted.statuses or STATUSES))
        return CasePage(tuple(found[key] for key in ids if key in found), offset, total, totals)

    def _check_search(self, wanted: CaseFilter) -> None:
        """Refuse what no database takes: PostgreSQL no NUL, SQLite no half characters."""
        for text in (wanted.text, wanted.project or "", wanted.modality or "", wanted.label or ""):
            if not readable(text):
                raise SettingsError(f"A search needs readable characters; got {text[:40]!r}.")

    def place_of(self, case_id: str, wanted: CaseFilter = EVERYTHING, order: CaseOrder = OLDEST_FIRST) -> int | None:
        """Return a case's place in a list, None where the list does not show it."""
        with self._database.reading() as connection:
            return worklist.place_of(connection, case_id, worklist.Found(connection, wanted), order)

    def neighbour(
        self,
        case_id: str,
        wanted: CaseFilter = EVERYTHING,
        order: CaseOrder = OLDEST_FIRST,
        *,
        back: bool = False,
    ) -> CaseRecord | None:
        """Return the case behind this one in a list, or before it; None at its end.

        The list need not show the case itself, which may have been done meanwhile.
        """
        self.case(case_id)
        self._check_search(wanted)
        with self._database.reading() as connection:
            values = worklist.values_of(connection, case_id, order)
            listed = worklist.Found(connection, wanted)
            found = None if values is None else worklist.neighbour(connection, values, listed, order, back=back)
        return None if found is None else self.case(found)

    def choices(self, visible: Sequence[str] | None = None) -> Choices:
        """Return what the worklist can be filtered by, in these projects or in all."""
        with self._database.reading() as connection:
            return worklist.choices(connection, visible)

    def set_status(
        self, case_id: str, status: Status | Literal["open"], comment: str = "", *, user: str = ""
    ) -> CaseRecord:
        """Return the case after it was found done, or rejected, or opened again; the comment replaces the old one."""
        if len(comment) > worklist.MAX_COMMENT or not all(readable(line) for line in comment.splitlines()):
            raise SettingsError(f"A comment needs at most {worklist.MAX_COMMENT} readable characters.")
        project = self.case(case_id).project
        with self._database.writing() as connection:
            worklist.set_status(connection, case_id, status, comment, user=_user(user), at=_now())
            note(connection, Deed(user, _DEEDS[status], project, case_id))
        return self.case(case_id)

    def twin_of(self, case_id: str) -> CaseRecord | None:
        """Return the oldest other case of the same project whose voxels are the same, None where there is none."""
        case, key = self.case(case_id), _image_key(case_id)
        own, blobs, cases = self.checksum(key), tables.blobs.c, tables.cases.c
        if own is None:
            return None
        same = select(tables.cases).join_from(tables.blobs, tables.cases, blobs.case == cases.id)
        same = same.where(blobs.crc32 == own.crc32, blobs.size == own.size, blobs.key.endswith("/image.npy"))
        same = same.where(cases.project == case.project, cases.id != case_id).order_by(cases.created, cases.id)
        found = self._records(same.limit(1), _case)
        return found[0] if found else None

    def free_name(self, name: str, *, project: str = DEFAULT_PROJECT) -> str:
        """Return a name for a new case of a project that none has there: with a number behind it where one has."""
        with self._database.reading() as connection:
            taken = {one.casefold() for one in worklist.same_names(connection, project, name)}
        numbered = (f"{name} ({number})" for number in count(2))
        return name if name.casefold() not in taken else next(n for n in numbered if n.casefold() not in taken)

    def image(self, case_id: str) -> Image:
        """Return the case's image; from a local folder its voxels are read when they are looked at."""
        case = self.case(case_id)
        array = self._voxels(_image_key(case.id), (case.channels, *case.shape))
        return Image(array, np.asarray(case.affine), case.notes, axes="zyx")

    def _voxels(self, key: str, shape: tuple[int, ...]) -> Array:
        """Return the voxels [c z y x] of a blob, checked; from a local folder they are read when they are looked at."""
        path = self._blobs.path(key)
        if path is not None:
            array = voxels.open_mapped(path)
        else:
            with self._blobs.reader(key) as file:
                summed = Summed(file)
                array = voxels.read(summed, key)
        if array.shape != shape:
            raise StoreError(f"The blob {key} is damaged: it needs shape {shape}, not {array.shape}.")
        if path is not None:
            self._check_file(key, path)
        else:
            self._check(key, summed.checksum)
        return array

    # Slides and their fields of view

    def slide_file(self, case_id: str) -> Path | None:
        """Return the local file of a slide, None where it lies in a bucket; NotFoundError where the case is none."""
        key = self._slide_of(case_id)
        path = self._blobs.path(key)
        if path is not None:
            self._check_file(key, path)
        return path

    def copy_slide(self, case_id: str, target: Path) -> None:
        """Write a copy of a slide's file, checked."""
        key = self._slide_of(case_id)
        with self._blobs.reader(key) as origin, target.open("wb") as copy:
            summed = Summed(origin)
            shutil.copyfileobj(summed, copy, 1 << 20)
        self._check(key, summed.checksum)

    def _slide_of(self, case_id: str) -> str:
        case = self.case(case_id)
        if not case.slide:
            raise NotFoundError(f"The case {case.name!r} is a picture or a scan, not a slide.")
        return _slide_key(case_id)

    def add_field(self, case_id: str, field: Field, events: Sequence[Event] = (), *, user: str = "") -> SessionRecord:
        """Return a new session of a region of a slide, which begins with these events."""
        self._slide_of(case_id)
        project = self.case(case_id).project
        field = replace(field, begun=len(events))
        record = SessionRecord(uuid4().hex, case_id, _user(user), _now(), field)
        begun = Session(field.shape)
        values = []
        for position, event in enumerate(events):
            begun = begun.add(event)
            as_json = event_to_json(event)
            crc = event_crc(record.id, position, tables.to_text(as_json))
            shared = {"session": record.id, "position": position, "user": user, "created": record.created}
            values.append({**shared, "json": as_json, "crc32": crc})
        row = {"level": field.level, "low": field.low, "high": field.high, "begun": field.begun}
        with self._database.writing() as connection:
            session = {"id": record.id, "case": case_id, "user": user, "created": record.created}
            connection.execute(insert(tables.sessions).values(session))
            connection.execute(insert(tables.fields).values(session=record.id, crc32=_field_crc(record), **row))
            if values:
                connection.execute(insert(tables.events), values)
            labels = [{"session": record.id, "value": v, "name": one.name} for v, one in begun.labels.items()]
            if labels:
                connection.execute(insert(tables.labels), labels)
            begun_with = {"what": "field of view", "events": len(events)}
            note(connection, Deed(user, "added", project, case_id, record.id, begun_with))
        return record

    def fields(self, case_id: str) -> list[SessionRecord]:
        """Return the sessions of a slide's fields of view, oldest first."""
        self._slide_of(case_id)
        return [record for record in self.all_sessions(case_id) if record.field is not None]

    # Series beside a case's image

    def add_series(self, case_id: str, name: str, image: Image, *, modality: str = "", frame: str = "") -> SeriesRecord:
        """Return an image that is shown beside a case's own from now on; GeometryError where none tells how they lie.

        `frame` is DICOM's frame of reference; images of two that are known have no millimetres in common.
        """
        case = self.case(case_id)
        nothing = np.broadcast_to(np.uint8(0), (case.channels, *case.shape))
        grid = Image(nothing, np.asarray(case.affine), case.notes, axes="zyx")
        check_related(grid, case.frame, image, frame, name=name, photo=case.modality == "XC")
        if len(self.series(case_id)) >= MAX_SERIES:
            raise SettingsError(f"A case has at most {MAX_SERIES} series beside its image.")
        affine = tuple(tuple(float(v) for v in row) for row in image.affine)
        lowest = float(min(plane.min() for plane in image.voxels[0]))
        series = SeriesRecord(
            uuid4().hex,
            case_id,
            _name("series", name),
            image.shape,
            affine,
            _short("modality", modality),
            image.notes,
            lowest,
            _now(),
        )
        key = _series_key(case_id, series.id)
        self.quota.check(self._database, self._user, case.project, image.voxels.nbytes)
        with self._write_blobs(key):
            with self._blobs.writer(key) as file:
                summed = Summed(file)
                voxels.write(summed, image.voxels)
            with self._database.writing() as connection:
                connection.execute(insert(tables.series).values(**asdict(series), crc32=_series_crc(series)))
                _add_checksums(connection, case_id, {key: summed.checksum})
                _remove_leftover(connection, key)
                detail = {"what": "series", "series": series.id}
                note(connection, Deed(self._user, "added", case.project, case_id, detail=detail))
        return series

    def series(self, case_id: str) -> list[SeriesRecord]:
        """Return the images that are shown beside a case's own, oldest first."""
        self.case(case_id)
        table = tables.series
        query = select(table).where(table.c.case == case_id).order_by(table.c.created, table.c.id)
        return self._records(query, _series)

    def one_series(self, series_id: str) -> SeriesRecord:
        return self._record("series", tables.series.c.id, series_id, _series)

    def series_image(self, series_id: str) -> Image:
        """Return the image of a series, as `image` does that of a case."""
        series = self.one_series(series_id)
        array = self._voxels(_series_key(series.case, series.id), (1, *series.shape))
        return Image(array, np.asarray(series.affine), series.notes, axes="zyx")

    def delete_series(self, series_id: str) -> None:
        """Take an image away that was shown beside a case's own."""
        case = self.case(self.one_series(series_id).case)
        key = _series_key(case.id, series_id)
        with self._database.writing() as connection:
            connection.execute(delete(tables.series).where(tables.series.c.id == series_id))
            connection.execute(delete(tables.blobs).where(tables.blobs.c.key == key))
            _add_leftover(connection, key, DELETING)
            detail = {"what": "series", "series": series_id}
            note(connection, Deed(self._user, "deleted", case.project, case.id, detail=detail))
        self._discard(key)

    def thumbnail(self, case_id: str) -> bytes:
        """Return a small PNG of the case's middle slice: made when it is first asked for, and kept."""
        case, key = self.case(case_id), _thumbnail_key(case_id)
        if (wanted := self.checksum(key)) is not None:
            with suppress(StoreError), self._blobs.reader(key) as file:
                content = file.read()
                if Checksum(len(content), zlib.crc32(content)) == wanted:
                    return content
        image = _image_key(case_id)
        with self._blobs.reader(image) as file:
            plane = voxels.middle_slice(file, image, side=LOOKED_AT)
        content = thumbnail(plane, np.asarray(case.affine))
        with suppress(StoreError, ConflictError):  # of a store that can be read alone, or another server's
            self._keep_thumbnail(case_id, key, content)
        return content

    def thumbnail_checksum(self, case_id: str) -> Checksum | None:
        """Return the checksum of a case's thumbnail; None before it is made."""
        return self.checksum(_thumbnail_key(case_id))

    def _keep_thumbnail(self, case_id: str, key: str, content: bytes) -> None:
        with self._write_blobs(key):
            with self._blobs.writer(key) as file:
                file.write(content)
            with self._database.writing() as connection:
                connection.execute(delete(tables.blobs).where(tables.blobs.c.key == key))  # of one that was damaged
                _add_checksums(connection, case_id, {key: Checksum(len(content), zlib.crc32(content))})
                _remove_leftover(connection, key)

    @contextmanager
    def source_of(self, case_id: str) -> Iterator[Path]:
        """Give a local folder with the case's original DICOM files, to read and not to change."""
        case = self.case(case_id)
        if not case.source:
            raise NotFoundError(f"The case {case.name!r} was added without its original files.")
        folder = f"{_folder(case.id)}/source"
        path = self._blobs.path(folder)
        if path is not None:
            for key in self.blobs_of(case_id):
                if key.startswith(f"{folder}/"):
                    self._check_file(key, path / key.removeprefix(f"{folder}/"))
            yield path
            return
        with TemporaryDirectory() as temporary:
            for key in self._blobs.keys(folder):
                target = Path(temporary, key.removeprefix(f"{folder}/"))
                target.parent.mkdir(parents=True, exist_ok=True)
                with self._blobs.reader(key) as origin, target.open("wb") as copy:
                    summed = Summed(origin)
                    shutil.copyfileobj(summed, copy, 1 << 20)
                self._check(key, summed.checksum)
            yield Path(temporary)

    @contextmanager
    def source_file(self, case_id: str, name: str) -> Iterator[Path]:
        """Give one of a case's original files, by its name as `originals` has it, to read and not to change."""
        key = f"{_folder(case_id)}/source/{name}"
        path = self._blobs.path(key)
        if path is not None:
            self._check_file(key, path)
            yield path
            return
        with TemporaryDirectory() as temporary:
            copy = Path(temporary, "file")
            with self._blobs.reader(key) as origin, copy.open("wb") as file:
                summed = Summed(origin)
                shutil.copyfileobj(summed, file, 1 << 20)
            self._check(key, summed.checksum)
            yield copy

    def delete_case(self, case_id: str) -> None:
        """Delete a case with its sessions, masks and blobs."""
        project = self.case(case_id).project
        with self._database.writing() as connection:
            connection.execute(delete(tables.cases).where(tables.cases.c.id == case_id))
            _add_leftover(connection, _folder(case_id), DELETING)
            note(connection, Deed(self._user, "deleted", project, case_id, detail={"what": "case"}))
        self._discard(_folder(case_id))

    def delete_case_for_good(self, case_id: str, proof: Mapping[str, Any]) -> int:
        """Delete a case so that its bytes are overwritten; return the number of the entry that keeps the proof."""
        project = self.case(case_id).project
        with self._database.writing() as connection:
            self._database.overwrite_what_goes(connection)
            connection.execute(delete(tables.cases).where(tables.cases.c.id == case_id))
            _add_leftover(connection, _folder(case_id), DELETING)
            note(connection, Deed(self._user, "forgotten", project, case_id, detail=dict(proof)))
            entry: int = connection.scalar(select(func.max(tables.audit.c.number))) or 0
        self._discard(_folder(case_id))
        return entry

    # Sessions

    def add_session(self, case_id: str, *, user: str = "") -> SessionRecord:
        """Return a new, empty session of a case."""
        record = SessionRecord(uuid4().hex, case_id, _user(user), _now())
        project = self.case(case_id).project
        values = {"id": record.id, "case": case_id, "user": user, "created": record.created}
        with self._database.writing() as connection:
            connection.execute(insert(tables.sessions).values(values))
            note(connection, Deed(user, "added", project, case_id, record.id, {"what": "session"}))
        return record

    def sessions(self, case_id: str) -> list[SessionRecord]:
        """Return the sessions of a case's own image, oldest first; those of a slide's fields of view are `fields`."""
        self.case(case_id)
        return [record for record in self.all_sessions(case_id) if record.field is None]

    def all_sessions(self, case_id: str) -> list[SessionRecord]:
        """Return the sessions of a case and of its fields of view, oldest first."""
        table = tables.sessions
        query = _SESSIONS.where(table.c.case == case_id).order_by(table.c.created, table.c.id)
        return self._records(query, _session)

    def session_record(self, session_id: str) -> SessionRecord:
        query = _SESSIONS.where(tables.sessions.c.id == session_id)
        found = self._records(query, _session) if readable(session_id) else []
        if not found:
            raise NotFoundError(f"There is no session {session_id!r}.")
        return found[0]

    def session(self, session_id: str) -> Session:
        """Return the session as its events and answers tell it; StoreError where one of them is damaged."""
        loaded = self.load_session(session_id)
        if loaded.damaged:
            raise StoreError(
                f"The answer to event {min(loaded.damaged)} of session {session_id} is damaged; "
                "open the session in the annotator, which works it out again."
            )
        return loaded.session

    def load_session(self, session_id: str) -> LoadedSession:
        """Return the session with those answers that are sound, and which are not.

        StoreError where an event is damaged or missing: nothing can tell what it was.
        """
        record = self.session_record(session_id)
        shape = record.field.shape if record.field is not None else self.case(record.case).shape
        table = tables.answers
        columns = [
            type_coerce(column, Text) if column.name in ("low", "high") else column for column in table.c
        ]  # as they lie there: what is damaged is to be known one by one
        query = select(*columns).where(table.c.session == session_id).order_by(table.c.position)
        rows = self._records(query, _plain)  # before the events: no answer may lack its event
        events = tuple(record.event for record in self.history(session_id))
        answers: dict[int, Patch] = {}
        damaged: dict[int, int | None] = {}
        for row in rows:
            position = row[1]
            if not 0 <= position < len(events):
                raise StoreError(_gap(session_id, [position]))
            patch = _sound_patch(row, shape)
            if patch is None:
                damaged[position] = row[5] if isinstance(row[5], int) else None
            else:
                answers[position] = patch
        return LoadedSession(Session(shape, events, MappingProxyType(answers)), MappingProxyType(damaged))

    def history(self, session_id: str) -> list[EventRecord]:
        """Return the events with who put them there and when, oldest first; StoreError where one is missing."""
        self.session_record(session_id)
        table = tables.events
        columns = [table.c.session, table.c.position, table.c.user, table.c.created, table.c.crc32]
        query = select(*columns, type_coerce(table.c.json, Text).label("json")).where(table.c.session == session_id)
        records = self._records(query.order_by(table.c.position), _event)
        missing = sorted(set(range(1 + max((r.position for r in records), default=-1))) - {r.position for r in records})
        if missing:
            raise StoreError(_gap(session_id, missing))
        return records

    def lengths(self, session_ids: Collection[str]) -> dict[str, tuple[int, int]]:
        """Return how many events and answers each of these sessions has; those that are gone are left out."""
        sessions, events, answers = tables.sessions.c, tables.events.c, tables.answers.c
        last = select(func.max(events.position)).where(events.session == sessions.id).scalar_subquery()
        answered = select(func.count()).where(answers.session == sessions.id).scalar_subquery()
        query = select(sessions.id, last, answered).where(sessions.id.in_(session_ids))
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return {name: (0 if last is None else last + 1, answered) for name, last, answered in rows}

    def append(self, session_id: str, position: int, event: Event, *, user: str = "") -> None:
        """Add an event to the log; it is durable when this returns.

        ConflictError when the log is not `position` events long: another server has added
        to it, so load the session again.
        """
        table = tables.events
        values = {"session": session_id, "position": position, "json": event_to_json(event), "user": _user(user)}
        case, project = self._case_of_session(session_id)
        as_text = tables.to_text(values["json"])
        crc = event_crc(session_id, position, as_text)
        with self._database.writing() as connection:
            before = select(table.c.position, table.c.created).where(table.c.session == session_id)
            last = connection.execute(before.order_by(table.c.position.desc()).limit(1)).one_or_none()
            length = 0 if last is None else last.position + 1
            if position != length:
                raise ConflictError(f"The session has {length} events, so {position} is not the next; load it again.")
            at, earlier = _now(), None if last is None else last.created
            connection.execute(insert(table).values(created=at, crc32=crc, **values))
            worklist.note_event(connection, case, session_id, event, user=user, at=at, last=earlier)
            detail = {"event": position, "sha256": sha256(as_text.encode()).hexdigest()}
            note(connection, Deed(user, "marked", project, case, session_id, detail))

    def _case_of_session(self, session_id: str) -> tuple[str, str]:
        """Return the case of a session, and its project."""
        sessions, cases = tables.sessions.c, tables.cases.c
        query = select(sessions.case, cases.project).join_from(tables.sessions, tables.cases)
        found = self._records(query.where(sessions.id == session_id), _plain) if readable(session_id) else []
        if not found:
            raise NotFoundError(f"There is no session {session_id!r}.")
        case, project = found[0]
        return case, project

    def answer(self, session_id: str, position: int, patch: Patch, *, quality: float | None = None) -> None:
        """Keep the answer to an event; it is durable when this returns. `quality` is the Dice that it expects.

        Saying the same again changes nothing; ConflictError when the answer was another one. One that is damaged is
        replaced.
        """
        events, answers = tables.events.c, tables.answers
        self.session_record(session_id)
        here = (answers.c.session == session_id) & (answers.c.position == position)
        with self._database.writing() as connection:
            asked = (events.session == session_id) & (events.position == position)
            if connection.scalar(select(func.count()).where(asked)) == 0:
                raise NotFoundError(f"There is no event {position} in session {session_id!r} to answer.")
            texts = [type_coerce(c, Text) if c.name in ("low", "high") else c for c in answers.c]
            row = connection.execute(select(*texts).where(here)).one_or_none()
            kept = None if row is None else _sound_patch(tuple(row))
            if kept is None:
                values = {"low": patch.box.low, "high": patch.box.high, "data": patch.data}
                crc = patch_crc(session_id, position, patch)
                if row is not None:
                    connection.execute(delete(answers).where(here))
                connection.execute(insert(answers).values(session=session_id, position=position, crc32=crc, **values))
                if quality is not None:
                    worklist.note_doubt(connection, session_id, quality)
                return
        if not _same(kept, patch):
            raise ConflictError(f"Event {position} was answered otherwise by another server; load the session again.")

    def forget_answers(self, session_id: str, *, since: int) -> None:
        """Take away the answers to an event and all later ones, so that they are worked out again."""
        answers = tables.answers.c
        with self._database.writing() as connection:
            here = (answers.session == session_id) & (answers.position >= since)
            connection.execute(delete(tables.answers).where(here))

    # Masks

    def add_mask(self, session_id: str, name: str, label_map: LabelMap) -> SavedMask:
        """Return a label map kept under a name."""
        mask = SavedMask(uuid4().hex, session_id, _name("mask", name), _now())
        record = self.session_record(session_id)
        case = self.case(record.case)
        shape = record.field.shape if record.field is not None else case.shape
        if label_map.shape != shape or label_map.dtype != np.uint16:
            came = f"{label_map.dtype} of shape {label_map.shape}"
            raise ShapeError(f"A mask of this session needs uint16 of shape {shape}; got {came}.")
        key = _mask_key(case.id, mask.id)
        with self._write_blobs(key):
            with self._blobs.writer(key) as file:
                summed = Summed(file)
                voxels.write_packed(summed, label_map)
            values = {"id": mask.id, "session": session_id, "name": mask.name, "created": mask.created}
            with self._database.writing() as connection:
                connection.execute(insert(tables.masks).values(values))
                _add_checksums(connection, case.id, {key: summed.checksum})
                _remove_leftover(connection, key)
                note(connection, Deed(self._user, "kept", case.project, case.id, session_id, {"mask": mask.id}))
        return mask

    def masks(self, session_id: str) -> list[SavedMask]:
        """Return the masks kept in a session, oldest first."""
        self.session_record(session_id)
        table = tables.masks
        query = select(table).where(table.c.session == session_id).order_by(table.c.created, table.c.id)
        return self._records(query, _mask)

    def saved_mask(self, mask_id: str) -> SavedMask:
        """Return what is known of a label map that `add_mask` kept."""
        return self._record("mask", tables.masks.c.id, mask_id, _mask)

    def mask(self, mask_id: str) -> LabelMap:
        """Return the label map that `add_mask` kept."""
        key = _mask_key(self._case_of_mask(mask_id), mask_id)
        with self._blobs.reader(key) as file:
            content = file.read()
        self._check(key, Checksum(len(content), zlib.crc32(content)))
        with gzip.open(BytesIO(content), "rb") as packed:
            array = voxels.read(packed, key)
        return np.asarray(array[0], np.uint16)

    def delete_mask(self, mask_id: str) -> None:
        """Delete one mask that `add_mask` kept."""
        case = self.case(self._case_of_mask(mask_id))
        key = _mask_key(case.id, mask_id)
        with self._database.writing() as connection:
            connection.execute(delete(tables.masks).where(tables.masks.c.id == mask_id))
            connection.execute(delete(tables.blobs).where(tables.blobs.c.key == key))
            _add_leftover(connection, key, DELETING)
            detail = {"what": "mask", "mask": mask_id}
            note(connection, Deed(self._user, "deleted", case.project, case.id, detail=detail))
        self._discard(key)

    # Blobs and rows together

    def sweep(self, *, abandoned: timedelta = ABANDONED) -> None:
        """Delete the blobs that a crash left without a row."""
        for blob in self.abandoned(abandoned=abandoned):
            self._discard(blob)
        self._blobs.sweep_parts(older_seconds=abandoned.total_seconds())

    def abandoned(self, *, abandoned: timedelta = ABANDONED) -> list[str]:
        """Return the blobs, and folders of them, that a crash left half written or half deleted."""
        table = tables.leftovers
        old = (table.c.state == DELETING) | (table.c.created < _now() - abandoned)
        with self._database.reading() as connection:
            return list(connection.scalars(select(table.c.blob).where(old)).all())

    def parts(self) -> list[Path]:
        """Return what killed processes left of blobs that they were writing."""
        return self._blobs.parts(older_seconds=ABANDONED.total_seconds())

    @contextmanager
    def _write_blobs(self, blob: str) -> Iterator[None]:
        """Name blobs as nobody's while they are written; delete them when that fails."""
        with self._database.writing() as connection:
            _add_leftover(connection, blob, WRITING)
        try:
            yield
        except BaseException:
            self._discard(blob)
            raise

    def _discard(self, blob: str) -> None:
        with suppress(StoreError):  # the next sweep does what cannot be done now
            self._blobs.remove(blob)
            with self._database.writing() as connection:
                connection.execute(delete(tables.leftovers).where(tables.leftovers.c.blob == blob))

    def _copy_source(self, source: Path, folder: str) -> dict[str, Checksum]:
        written: dict[str, Checksum] = {}
        files = (
            sorted(p for p in source.rglob("*") if p.is_file() and not p.is_symlink()) if source.is_dir() else [source]
        )
        root = source if source.is_dir() else source.parent
        with self._blobs.batch() as batch:
            for path in files:
                written |= self._copy_file(path, f"{folder}/{path.relative_to(root).as_posix()}", batch)
        return written

    def _copy_file(self, path: Path, key: str, blobs: Blobs | Batch) -> dict[str, Checksum]:
        try:
            origin = path.open("rb")
        except OSError as error:
            raise NotFoundError(f"The source file {path.name} cannot be read: {error.strerror}.") from error
        with origin, blobs.writer(key) as copy:
            summed = Summed(copy)
            shutil.copyfileobj(origin, summed, 1 << 20)
        return {key: summed.checksum}

    # Reading and checking

    def _records(self, query: Select[Any], convert: Callable[[Any], Record]) -> list[Record]:
        """Return the rows of a query as records; StoreError where one cannot be read."""
        with self._database.reading() as connection:
            return [convert(row) for row in connection.execute(query).all()]

    def _record(self, kind: str, key: Column[str], value: str, convert: Callable[[Any], Record]) -> Record:
        """Return the row with this key as a record; NotFoundError when there is none."""
        found = self._records(select(key.table).where(key == value), convert) if readable(value) else []
        if not found:  # PostgreSQL takes no NUL, SQLite no half characters
            raise NotFoundError(f"There is no {kind} {value!r}.")
        return found[0]

    def _row(self, kind: str, key: Column[str], value: str) -> Any:
        return self._record(kind, key, value, lambda row: row)

    def checksum(self, key: str) -> Checksum | None:
        """Return the checksum that a blob was written with; None for one that an older Segmend wrote."""
        table = tables.blobs.c
        found = self._records(select(table.size, table.crc32).where(table.key == key), lambda row: Checksum(*row))
        return found[0] if found else None

    def blob_checksum(self, key: str) -> Checksum:
        """Return the checksum of a blob as it is now; StoreError when it is not there or does not come."""
        with self._blobs.reader(key) as file:
            return checksum_of(file)

    def blobs_of(self, case_id: str) -> dict[str, Checksum | None]:
        """Return the keys of all blobs of a case, those that are there and those that have a checksum."""
        table = tables.blobs.c
        rows = self._records(select(table.key, table.size, table.crc32).where(table.case == case_id), _plain)
        there = dict.fromkeys(self._blobs.keys(_folder(case_id)))
        wanted = {_image_key(case_id): None}  # which every case has
        return {**there, **wanted, **{key: Checksum(size, crc) for key, size, crc in rows}}

    def add_checksum(self, case_id: str, key: str, found: Checksum) -> None:
        """Keep the checksum of a blob that an older Segmend wrote without one."""
        with self._database.writing() as connection:
            _add_checksums(connection, case_id, {key: found})

    def case_ids(self) -> list[str]:
        """Return the ids of all cases, also of those whose row is damaged."""
        return self._records(select(tables.cases.c.id).order_by(tables.cases.c.id), lambda row: str(row[0]))

    def blob_owners(self) -> list[str]:
        """Return the ids of the cases that the blobs say they are of."""
        return sorted({key.split("/")[1] for key in self._blobs.keys("cases") if key.count("/") > 1})

    def unreferenced(self, keys: Collection[str]) -> list[str]:
        """Return those of some blobs that are there now and that nothing in the database speaks for.

        What is being written or deleted is named there, also by other servers, and so is none of them.
        """
        owners = sorted({key.split("/")[1] for key in keys})
        with self._database.snapshot() as connection:
            known = set(connection.scalars(select(tables.blobs.c.key).where(tables.blobs.c.case.in_(owners))))
            table = tables.cases.c
            rows = select(table.id, table.source, table.slide).where(table.id.in_(owners))
            cases = connection.execute(rows).all()

            joined = select(tables.sessions.c.case, tables.masks.c.id).join_from(tables.masks, tables.sessions)
            masks = connection.execute(joined.where(tables.sessions.c.case.in_(owners))).all()
            series = select(tables.series.c.case, tables.series.c.id).where(tables.series.c.case.in_(owners))
            known |= {_mask_key(*row) for row in masks} | {_series_key(*row) for row in connection.execute(series)}
            busy = connection.scalars(select(tables.leftovers.c.blob)).all()
        for case in cases:  # an older Segmend wrote no rows of blobs
            known |= {_image_key(case.id), _thumbnail_key(case.id)} | ({_slide_key(case.id)} if case.slide else set())
        sources = tuple(f"{_folder(case.id)}/source/" for case in cases if case.source)
        return [
            key
            for key in keys
            if key not in known
            and not key.startswith(sources)
            and not any(key == one or key.startswith(f"{one}/") for one in busy)
            and self._blobs.size(key) is not None
        ]

    def discard(self, key: str) -> None:
        """Delete a blob that nothing in the database speaks for."""
        if self.unreferenced([key]):
            self._blobs.remove(key)

    def put_back(self, key: str, wanted: Checksum | None, write: Callable[[Summed], object]) -> None:
        """Write a blob again that is damaged or gone; StoreError, and nothing changes, where it comes out otherwise."""
        with self._blobs.writer(key) as file:
            summed = Summed(file)
            write(summed)
            if wanted is not None and summed.checksum != wanted:
                raise StoreError(f"The blob {key} comes out otherwise than it was: {summed.checksum}, not {wanted}.")

    def counts(self, case_id: str) -> tuple[worklist.Counts, worklist.Counts] | None:
        """Return what is counted of a case's work, as it is kept and as its events tell; None where none can tell."""
        with self._database.snapshot() as connection:
            anew = worklist.counted_anew(connection, case_id)
            return None if anew is None else (worklist.counts(connection, case_id), anew)

    def count_anew(self, case_id: str) -> None:
        """Keep of a case's work what its events tell."""
        with self._database.writing() as connection:
            connection.execute(select(tables.cases.c.id).where(tables.cases.c.id == case_id).with_for_update())
            anew = worklist.counted_anew(connection, case_id)
            if anew is not None:
                worklist.keep_counts(connection, case_id, anew)

    def rebuild_indexes(self) -> list[str]:
        """Build the indexes of a SQLite file anew, and return what is still wrong with it."""
        self._database.rebuild_indexes()
        return self._database.damage()

    def database_damage(self) -> list[str]:
        """Return what the database itself finds wrong with its file: nothing where all is well."""
        return self._database.damage()

    def _check_file(self, key: str, path: Path) -> None:
        """Check a local blob, once as long as its file stays the same."""
        try:
            status = path.stat()
            known = (status.st_size, status.st_mtime_ns, status.st_ino)
            if self._checked.get(key) != known:
                self._check(key, file_checksum(path))
        except OSError as error:
            raise StoreError(f"The blob {path} cannot be read: {error.strerror or error}.") from error
        self._checked[key] = known

    def _check(self, key: str, found: Checksum) -> None:
        wanted = self.checksum(key)
        if wanted is not None and wanted != found:
            raise voxels.damage_error(key, f"it has {found}, not {wanted}")

    def _case_of_mask(self, mask_id: str) -> str:
        return self.session_record(self.saved_mask(mask_id).session).case


def _now() -> datetime:
    return datetime.now(UTC)


def _name(kind: str, name: str) -> str:
    if not name.strip():
        raise SettingsError(f"A {kind} needs a name; got an empty one.")
    return _short(f"{kind}'s name", name)


def _short(what: str, text: str) -> str:
    if len(text) > tables.NAME_LENGTH or not readable(text):
        raise SettingsError(f"A {what} needs at most {tables.NAME_LENGTH} readable characters; got {text[:40]!r}.")
    return text


def _day(text: str) -> str:
    """Return a day as it is kept; nothing where nobody knows it."""
    try:
        return date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        raise SettingsError(f"A study's date is written YYYY-MM-DD; got {text[:40]!r}.") from None


def _user(name: str) -> str:
    return _short("user's name", name)


def _folder(case_id: str) -> str:
    return f"cases/{case_id}"


def _image_key(case_id: str) -> str:
    return f"{_folder(case_id)}/image.npy"


def _slide_key(case_id: str) -> str:
    return f"{_folder(case_id)}/slide.tif"


def _series_key(case_id: str, series_id: str) -> str:
    return f"{_folder(case_id)}/series/{series_id}.npy"


def _thumbnail_key(case_id: str) -> str:
    return f"{_folder(case_id)}/thumbnail.png"


def _mask_key(case_id: str, mask_id: str) -> str:
    return f"{_folder(case_id)}/masks/{mask_id}.npy.gz"


def _add_leftover(connection: Connection, blob: str, state: str) -> None:
    connection.execute(insert(tables.leftovers).values(blob=blob, state=state, created=_now()))


def _remove_leftover(connection: Connection, blob: str) -> None:
    if not connection.execute(delete(tables.leftovers).where(tables.leftovers.c.blob == blob)).rowcount:
        raise StoreError("Writing took so long that it was taken for abandoned and swept; try again.")


def _add_checksums(connection: Connection, case_id: str, written: Mapping[str, Checksum]) -> None:
    rows = [{"key": key, "case": case_id, "size": one.size, "crc32": one.crc32} for key, one in written.items()]
    connection.execute(insert(tables.blobs), rows)


def _case_values(case: CaseRecord) -> dict[str, Any]:
    values = {column.name: getattr(case, column.name) for column in tables.cases.columns if column.name not in DERIVED}
    values["status"] = STATUSES.index(case.status)
    values["folded"] = case.name.casefold()[: tables.NAME_LENGTH]
    return values


def _case_crc(case: CaseRecord) -> int:
    """Return the CRC-32 of what a case says of its image, which nobody could see to be wrong."""
    names = ["id", "shape", "channels", "affine", "modality", "notes", "source"]
    names += [name for name in ("patient", "study_date", "frame", "slide") if getattr(case, name)]  # not in older rows
    return values_crc({name: getattr(case, name) for name in names})


def _case(row: Row[Any]) -> CaseRecord:
    values = dict(row._mapping)
    crc = values["crc32"]
    values = {name: value for name, value in values.items() if name not in DERIVED}
    values["status"] = STATUSES[values["status"]]
    values["shape"] = tuple(values["shape"])
    values["affine"] = tuple(tuple(line) for line in values["affine"])
    values["notes"] = tuple(values["notes"])
    case = CaseRecord(**values)
    if crc is not None and crc != _case_crc(case):
        raise StoreError(f"Case {case.id} is damaged in the database; restore a copy, or add it again.")
    return case


def _project(row: Row[Any]) -> Project:
    try:
        template = tuple(label_from_json(label) for label in row.template)
        first = None if row.first_method is None else FirstMasks(row.first_method, float(row.first_dice))
        profile = None if row.anonymise is None else PROFILES[PROFILES.index(row.anonymise)]
        return Project(row.name, row.created, template, row.retention_days, first, row.max_bytes, profile)
    except UNREADABLE as error:
        raise StoreError(f"The settings of the project {row.name!r} are damaged; set them again: {error}.") from error


def _series(row: Row[Any]) -> SeriesRecord:
    values = dict(row._mapping)
    crc = values.pop("crc32")
    values["shape"] = tuple(values["shape"])
    values["affine"] = tuple(tuple(line) for line in values["affine"])
    values["notes"] = tuple(values["notes"])
    series = SeriesRecord(**values)
    if crc != _series_crc(series):
        raise StoreError(f"Series {series.id} is damaged in the database; delete it and add it again.")
    return series


def _series_crc(series: SeriesRecord) -> int:
    """Return the CRC-32 of what a series says of its image."""
    return values_crc({name: getattr(series, name) for name in ("id", "case", "shape", "affine", "notes", "lowest")})


_SESSIONS = select(
    tables.sessions,
    *(column.label(f"field_{column.name}") for column in tables.fields.c if column.name != "session"),
).outerjoin(tables.fields, tables.fields.c.session == tables.sessions.c.id)


def _session(row: Row[Any]) -> SessionRecord:
    plain = SessionRecord(row.id, row.case, row.user, row.created)
    if row.field_level is None:
        return plain
    (y0, x0), (y1, x1) = row.field_low, row.field_high
    record = replace(plain, field=Field(row.field_level, (y0, x0), (y1, x1), row.field_begun))
    if row.field_crc32 != _field_crc(record):
        raise StoreError(f"The field of view {record.id} is damaged in the database; restore a copy of it.")
    return record


def _field_crc(record: SessionRecord) -> int:
    """Return the CRC-32 of where on its slide a session is."""
    assert record.field is not None
    return values_crc({"session": record.id, **asdict(record.field)})


def _mask(row: Row[Any]) -> SavedMask:
    return SavedMask(**row._mapping)


def _event(row: Row[Any]) -> EventRecord:
    where = f"Event {row.position} of session {row.session}"
    if row.crc32 is not None and row.crc32 != event_crc(row.session, row.position, row.json):
        raise StoreError(f"{where} is damaged; restore a copy of the database, or begin a new session of the case.")
    try:
        event = event_from_json(json.loads(row.json))
    except UNREADABLE as error:
        raise StoreError(f"{where} is damaged or of a newer Segmend and cannot be read: {error}.") from error
    return EventRecord(row.position, event, row.user, row.created)


def _gap(session_id: str, missing: Sequence[int]) -> str:
    """Return the sentence that says which events of a log are missing."""
    shown = ", ".join(map(str, missing[:5])) + (" ..." if len(missing) > 5 else "")
    one = len(missing) == 1
    return (
        f"The log of session {session_id} lacks {'event' if one else 'events'} {shown}, so nothing tells its masks; "
        "restore a copy of the database, or begin a new session of the case."
    )


def _sound_patch(row: Sequence[Any], shape: Index | None = None) -> Patch | None:
    """Return a stored answer, None where it is damaged; `row` is a row of `tables.answers` with its texts as text."""
    session, position, low, high, data, crc = row
    try:
        (a, b, c), (d, e, f) = json.loads(low), json.loads(high)
        patch = Patch(Box((a, b, c), (d, e, f)), bytes(data))
        if crc is not None:
            return patch if crc == patch_crc(session, position, patch) else None
        inside = shape is None or patch.box.size == 0 or patch.box.clipped(whole(shape).high) == patch.box
        return patch if inside and patch.values.shape == patch.box.shape else None
    except (*UNREADABLE, zlib.error):
        return None


def _plain(row: Row[Any]) -> tuple[Any, ...]:
    return tuple(row)


def _same(one: Patch, other: Patch) -> bool:
    return one.box == other.box and (one.data == other.data or np.array_equal(one.values, other.values))
