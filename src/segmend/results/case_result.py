"""What came of one case: its image, its label map, and the log of how it was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from segmend.core.image import Image, LabelMap, MaskArray
from segmend.core.layers import flattened, label_mask, stacked
from segmend.core.measures import Measures, measure
from segmend.core.session import Arranging, Canvas, Label, Session
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
    layers: Mapping[int, LabelMap]  # by layer, each [z y x]

    @property
    def labels(self) -> list[Label]:
        """The labels by value, with those that have no voxels; an object's number is a part of its name here."""
        known = self.session.labels
        return [replace(known[value], name=known[value].title) for value in sorted(known)]

    @cached_property
    def map(self) -> LabelMap:  # [z y x]
        """One label a voxel: where labels share one, the one further down the list has it."""
        return flattened(self.layers, self.session.labels)

    @cached_property
    def maps(self) -> LabelMap:
        """All masks whole: the map, or the maps [layer z y x] where labels may share voxels."""
        return stacked(self.layers)

    @property
    def overlap(self) -> bool:
        """Do labels share a voxel, so that a file with one label a voxel cannot hold all of them."""
        if self.maps.ndim == 3:
            return False
        return bool((np.count_nonzero(self.maps, axis=0) > 1).any())

    def mask(self, label: int) -> MaskArray:  # [z y x]
        """Return all voxels of a label, shared ones among them."""
        return label_mask(self.maps, label)

    @cached_property
    def history(self) -> Sequence[EventRecord]:
        """The session's events with who put them there and when."""
        return self.store.history(self.record.id)[: len(self.session.events)]

    @cached_property
    def measures(self) -> dict[int, Measures]:
        """What is measured of each label, by its value."""
        return {label.value: measure(self.mask(label.value), self.image) for label in self.labels}

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
    return CaseResult(store, store.case(record.case), record, session, store.image(record.case), canvas.layers)


def newest_result(store: Store, case_id: str) -> CaseResult | None:
    """Return what came of the newest session of a case in which something was marked, None where nothing was."""
    for record in reversed(store.sessions(case_id)):
        session = store.session(record.id)
        if any(not isinstance(session.events[i], Arranging) for i in session.done):
            return result_of(store, record.id)
    return None
