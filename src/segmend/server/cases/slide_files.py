"""The slides that are open, and what was changed in each of their fields of view.

A slide is opened when it is first looked at; the few used last stay open. One that lies in a bucket is copied to this
machine first. What was changed in a field of view is worked out from its session's log and kept, packed, as long as the
log stays as it is.
"""

from __future__ import annotations

import shutil
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np

from segmend.core.session import Canvas, Label, Patch, Session
from segmend.core.slidemask import FieldChange
from segmend.io.slides import Slide, SlideFile
from segmend.server.cases.scratch import scratch_folder
from segmend.store import SessionRecord, Store

# Slides that are open at once, and fields of view that are kept as they are: some kilobytes each.
MOST_SLIDES, MOST_STATES = 4, 10_000


OpenSlide = Callable[[Path], Slide]


@dataclass(frozen=True, eq=False)
class FieldState:
    """A field of view as its log tells it: what was changed in it, its labels, and how many marks hold."""

    record: SessionRecord
    changes: Mapping[int, FieldChange]  # by layer of labels
    labels: Sequence[Label]
    marks: int
    version: tuple[int, int]  # how many events and answers its log has


class Slides:
    """The open slides and their fields of view; safe in any number of threads."""

    def __init__(self, store: Store, scratch: Path, open_slide: OpenSlide = SlideFile) -> None:
        self._store = store
        self._open_slide = open_slide
        self._scratch = scratch
        self._lock = Lock()
        self._opening = Lock()
        self._open: OrderedDict[str, tuple[Slide, Path | None]] = OrderedDict()
        self._states: OrderedDict[str, FieldState] = OrderedDict()

    def get(self, case_id: str) -> Slide:
        """Return the slide of a case, which is opened if need be; NotFoundError where the case is none."""
        with self._lock:
            if case_id in self._open:
                self._open.move_to_end(case_id)
                return self._open[case_id][0]
        with self._opening:  # one after the other: checking a file reads all of it
            with self._lock:
                if case_id in self._open:
                    return self._open[case_id][0]
            path, folder = self._local(case_id)
            try:
                slide = self._open_slide(path)
            except BaseException:
                _delete(folder)
                raise
            with self._lock:
                self._open[case_id] = slide, folder
                old = [self._open.popitem(last=False)[1] for _ in range(len(self._open) - MOST_SLIDES)]
            for one in old:
                _let_go(*one)
        return slide

    def states(self, case_id: str) -> list[FieldState]:
        """Return the fields of view of a slide, oldest first."""
        records = self._store.fields(case_id)
        lengths = self._store.lengths([record.id for record in records]) if records else {}
        return [self._state(record, lengths[record.id]) for record in records if record.id in lengths]

    def forget(self, case_id: str) -> None:
        with self._lock:
            known = self._open.pop(case_id, None)
            for session in [key for key, state in self._states.items() if state.record.case == case_id]:
                del self._states[session]
        if known is not None:
            _let_go(*known)

    def close(self) -> None:
        with self._lock:
            known = list(self._open.values())
            self._open.clear()
            self._states.clear()
        for one in known:
            _let_go(*one)

    def _local(self, case_id: str) -> tuple[Path, Path | None]:
        """Return the file of a slide, and the folder of a copy that was made."""
        path = self._store.slide_file(case_id)
        if path is not None:
            return path, None
        folder = scratch_folder(self._scratch, "export-", elsewhere=True)
        try:
            self._store.copy_slide(case_id, folder / "slide.tif")
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder / "slide.tif", folder

    def _state(self, record: SessionRecord, version: tuple[int, int]) -> FieldState:
        with self._lock:
            known = self._states.get(record.id)
            if known is not None and known.version == version:
                self._states.move_to_end(record.id)
                return known
        state = field_state(record, self._store.session(record.id), version)
        with self._lock:
            self._states[record.id] = state
            while len(self._states) > MOST_STATES:
                self._states.popitem(last=False)
        return state


def _let_go(slide: Slide, folder: Path | None) -> None:
    """Give up a slide; whoever still reads it goes on, and the file is closed when nobody does."""
    slide.forget()
    _delete(folder)


def _delete(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def field_state(record: SessionRecord, session: Session, version: tuple[int, int]) -> FieldState:
    """Return what a field of view's log tells."""
    assert record.field is not None
    field = record.field
    after = Canvas(session.shape)
    after.follow(session)
    before = Canvas(session.shape)
    before.follow(_begun(session, field.begun))
    found = {
        layer: FieldChange.between(field.level, field.low, before.layer(layer)[0], after.layer(layer)[0])
        for layer in (*after.layers, *(layer for layer in before.layers if layer not in after.layers))
    }
    changes = {layer: change for layer, change in found.items() if change is not None}
    marks = sum(position >= field.begun for position in session.marked())
    return FieldState(record, changes, tuple(session.labels.values()), marks, version)


def _begun(session: Session, events: int) -> Session:
    """Return a session as it began: with its first events alone, whatever became of them."""
    answers: dict[int, Patch] = {i: patch for i, patch in session.answers.items() if i < events}
    return Session(session.shape, session.events[:events], answers)


def marked_in(states: Sequence[FieldState]) -> dict[int, list[FieldChange]]:
    """Return what was changed in all fields of view, oldest first, by layer of labels."""
    found: dict[int, list[FieldChange]] = {}
    for state in states:
        for layer, change in state.changes.items():
            found.setdefault(layer, []).append(change)
    return found


def labels_of(states: Sequence[FieldState]) -> dict[int, Label]:
    """Return the labels of a slide by value: each as the field of view that was opened last has it."""
    found: dict[int, Label] = {}
    for state in states:
        for label in state.labels:
            found[label.value] = label
    return dict(sorted(found.items()))


def version_of(states: Sequence[FieldState]) -> str:
    """Return what names the state of a slide's mask.

    >>> version_of([])
    '0.0.0'
    """
    counts = np.array([state.version for state in states], int).reshape(-1, 2).sum(axis=0)
    return f"{len(states)}.{counts[0]}.{counts[1]}"
