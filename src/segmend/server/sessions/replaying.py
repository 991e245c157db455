"""Answers worked out anew from the log alone, as they were when their events came; and whole logs replayed so.

An answer follows from the image, the events before it with their answers, and the weights. Two things that happened
while it was made are not in the log, so a replay tries them where an answer comes out otherwise than its hash says:
what the person had done meanwhile (a mark taken away before it was ever asked about), and that the answer was cut
short because a newer mark asked for all of it again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from segmend import methods
from segmend.core.image import Box, Image, LabelMap, MaskArray
from segmend.core.layers import flattened, stacked
from segmend.core.segmenter import Given, Workspace
from segmend.core.session import EMPTY, GIVEN, Asking, Canvas, Marked, Patch, Session, event_from_json
from segmend.editing.keeping import EditedVoxels
from segmend.errors import FileError, ShapeError, UserError
from segmend.results.provenance import FORMAT, FORMAT_VERSION, image_hash, map_hash, patch_hash, weights_hash
from segmend.runtime.engine import AUTO, Device
from segmend.server.sessions.answering import FilteredWorkspace, OpenWorkspace, Scene, answered_prompts, label_of, parts
from segmend.server.sessions.draft_map import Draft, DraftMap
from segmend.server.sessions.uncertainty import UncertaintyMap

# Later events that an answer is tried with, which a person may have added while it waited for its turn.
MEANWHILE = 8
Progress = Callable[[int, int], None]  # answers that are done, of how many


def answered_anew(
    session: Session, position: int, open_workspace: OpenWorkspace, image: Callable[[], Image], *, seen: int = 0
) -> Draft:
    """Return the answer to an event in the session as it was when the event came, or when it had `seen` events."""
    steps = answering_anew(session, position, open_workspace, image, seen=seen)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            draft: Draft = end.value
            return draft


def answering_anew(
    session: Session, position: int, open_workspace: OpenWorkspace, image: Callable[[], Image], *, seen: int = 0
) -> Generator[None, None, Draft]:
    """Work an answer out as `answered_anew` does, and pause after each part."""
    then = Session(
        session.shape,
        session.events[: max(seen, position + 1)],
        {i: patch for i, patch in session.answers.items() if i < position},
    )
    label = label_of(then, position)
    locked = tuple(value for value, other in then.labels.items() if other.locked and value != label)
    draft_map = DraftMap(then.shape)
    draft_map.follow(then)
    uncertainty_map = UncertaintyMap(position, label, answered_prompts(then, position))
    layer = then.layer_of(position)
    draft = Draft(then, position, label, locked, uncertainty_map, planes=np.zeros(0, bool), layer=layer)
    draft_map.draft = draft
    edited = EditedVoxels(then.shape, label).before(then, position)

    def mask_of(other: int) -> MaskArray:
        return draft_map.previous(other, then.labels[other].layer)

    scene = Scene(open_workspace, image, mask_of, edited)
    for part in parts(then, position, draft_map.previous(label, layer), scene):
        if not isinstance(part, float):
            draft_map.paint(draft, part)
        yield
    return draft


@dataclass(frozen=True, eq=False)
class Replayed:
    """What came of a replay."""

    session: Session
    map: LabelMap  # [z y x], one label a voxel
    maps: LabelMap  # the same, or [layer z y x] where labels share voxels
    different: tuple[int, ...]  # events whose answers came out otherwise than they were
    same: bool  # the map is the one that was recorded, bit for bit
    other_weights: tuple[str, ...]  # methods whose weights are not those that were recorded


class Provenance:
    """A file of `segmend.results.provenance`, read."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        if values.get("format") != FORMAT or values.get("version") != FORMAT_VERSION:
            raise FileError(
                f"A replay needs a file of {FORMAT}, version {FORMAT_VERSION}, as `segmend export` writes it."
            )
        try:
            _, z, y, x = (int(side) for side in values["image"]["shape"])
            self.affine = np.asarray(values["image"]["affine"], np.float64)
            self.image_hash, self.map_hash = str(values["image"]["sha256"]), str(values["mask"]["sha256"])
            self.weights = {str(name): one["weights"] for name, one in values["methods"].items()}
            session = Session((z, y, x))
            for entry in values["events"]:
                session = session.add(event_from_json(entry["event"]))
            self.session = session
            self.answers = {i: _recorded(entry["answer"]) for i, entry in enumerate(values["events"])}
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            if isinstance(error, UserError):
                raise
            raise FileError(f"This file of provenance is damaged: {type(error).__name__} {error}.") from None

    @classmethod
    def read(cls, path: Path) -> Provenance:
        """Return what a file says; FileError when it is none."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise FileError(f"{path.name} could not be read: {error.strerror}.") from None
        except ValueError:
            values = None
        return cls(values if isinstance(values, dict) else {})

    def replay(
        self,
        image: Image,
        *,
        weights: Mapping[str, Path] | None = None,
        device: Device = AUTO,
        progress: Progress | None = None,
    ) -> Replayed:
        """Return the label map worked out anew on the image that it was made on; FileError where it is another one."""
        if image.shape != self.session.shape:
            raise ShapeError(f"This log needs an image of shape {self.session.shape}; got {image.shape}.")
        if image_hash(image) != self.image_hash:
            raise FileError("This log was made on another image: the numbers of its voxels are not the same.")
        image = Image(image.voxels, self.affine, image.notes, axes="zyx")
        opened = _Opened(image, weights or {}, device)
        session, different = self.session, []
        asked = [i for i in session.done if isinstance(session.events[i], Asking) and self.answers.get(i) is not None]
        for count, position in enumerate(asked):
            wanted = self.answers[position]
            assert wanted is not None
            patch = EMPTY if wanted.empty else _answer(session, position, wanted, opened)
            if not wanted.is_of(patch):
                different.append(position)
            session = session.answered(position, patch)
            if progress is not None:
                progress(count + 1, len(asked))
        canvas = Canvas(session.shape)
        canvas.follow(session)
        now = {name: weights_hash(name, (weights or {}).get(name)) for name in opened.names}
        others = tuple(name for name, found in now.items() if self.weights.get(name) != found)
        flat, maps = flattened(canvas.layers, session.labels), stacked(canvas.layers)
        return Replayed(session, flat, maps, tuple(different), map_hash(maps) == self.map_hash, others)


@dataclass(frozen=True)
class _Recorded:
    """What a file says of an answer."""

    box: Box
    sha256: str

    @property
    def empty(self) -> bool:
        """True where nothing changed, as where the event was cancelled."""
        return self.box.size == 0

    def is_of(self, patch: Patch) -> bool:
        return patch.box == self.box and patch_hash(patch) == self.sha256


def _recorded(values: Mapping[str, Any] | None) -> _Recorded | None:
    if values is None:
        return None
    return _Recorded(Box.of(values["low"], values["high"]), str(values["sha256"]))


class _Opened:
    """The workspaces of an image, opened when they are asked for."""

    def __init__(self, image: Image, weights: Mapping[str, Path], device: Device) -> None:
        self.image = image
        self._weights = weights
        self._device = device
        self._workspaces: dict[str, Workspace] = {GIVEN: Given()}

    @property
    def names(self) -> list[str]:
        return [name for name in self._workspaces if name != GIVEN]

    def workspace(self, method: str) -> Workspace:
        if method not in self._workspaces:
            segmenter = methods.load_where_possible(method, self._weights.get(method), self._device)
            self._workspaces[method] = FilteredWorkspace(segmenter.open(self.image), methods.card(method))
        return self._workspaces[method]


def _answer(session: Session, position: int, wanted: _Recorded, opened: _Opened) -> Patch:
    """Return the answer to an event: as recorded in one of the ways that it may have come about, else the usual one."""
    usual: Patch | None = None
    for seen in _lengths(session, position):
        draft = answered_anew(session, position, opened.workspace, lambda: opened.image, seen=seen)
        patch = draft.patch()
        usual = usual or patch
        if wanted.is_of(patch):
            return patch
        for count in range(len(draft.changes) - 1, 0, -1):
            shorter = replace(draft, changes=draft.changes[:count]).patch()
            if wanted.is_of(shorter):
                return shorter
    assert usual is not None
    return usual


def _lengths(session: Session, position: int) -> Iterator[int]:
    """Yield how long the log may have been when an event was answered: with the events until then, or some more."""
    yield position + 1
    for length in range(position + 2, min(len(session.events), position + 1 + MEANWHILE) + 1):
        if isinstance(session.events[length - 1], Marked):
            continue  # a later mark changes nothing for an earlier one
        if position in Session(session.shape, session.events[:length]).done:
            yield length
