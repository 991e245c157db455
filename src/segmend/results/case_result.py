"""What came of one case: its image, its label map, and the log of how it was made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from segmend.core.image import Image, LabelMap
from segmend.core.measures import Measures, measure
from segmend.core.session import Canvas, Defined, Label, Ordered, Session
from segmend.store import Store
from segmend.store.records import CaseRecord, EventRecord, SessionRecord


@dataclass(frozen=True, eq=False)
class CaseResult:
    """A session's masks and log, and the image that they are of."""

    store: Store
    case: CaseRecord
    record: SessionRecord
    session: Session
    image: Image
    map: LabelMap  # [z y x]

    @property
    def labels(self) -> list[Label]:
        """The labels by value, with those that have no voxels."""
        return [self.session.labels[value] for value in sorted(self.session.labels)]

    @cached_property
    def history(self) -> Sequence[EventRecord]:
        """The session's events with who put them there and when."""
        return self.store.history(self.record.id)[: len(self.session.events)]

    @cached_property
    def measures(self) -> dict[int, Measures]:
        """What is measured of each label, by its value."""
        return {label.value: measure(np.asarray(self.map == label.value), self.image) for label in self.labels}

    @contextmanager
    def source(self) -> Iterator[Path | None]:
        """Give the folder of the case's DICOM files; None where it was added without."""
        if not self.case.source:
            yield None
            return
        with self.store.source_of(self.case.id) as folder:
            yield folder


def result_of(store: Store, session_id: str) -> CaseResult:
    """Return what came of a session, as its answered events made it."""
    record = store.session_record(session_id)
    session = store.session(session_id)
    canvas = Canvas(session.shape)
    canvas.follow(session)
    return CaseResult(store, store.case(record.case), record, session, store.image(record.case), canvas.map)


def newest_result(store: Store, case_id: str) -> CaseResult | None:
    """Return what came of the newest session of a case in which something was marked, None where nothing was."""
    for record in reversed(store.sessions(case_id)):
        session = store.session(record.id)
        if any(not isinstance(session.events[i], Defined | Ordered) for i in session.done):
            return result_of(store, record.id)
    return None
