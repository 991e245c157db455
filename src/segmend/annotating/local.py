"""An annotation that is answered in this process, by a method that is loaded here: no server, no store.

The log lives as long as the object. An event that a method cannot answer leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from threading import RLock

from segmend import methods
from segmend.annotating.annotation import Annotation, Levels
from segmend.core.image import Box, Image, Index, LabelMap, MaskArray
from segmend.core.segmenter import Given, Method, Workspace
from segmend.core.session import GIVEN, Arranging, Asking, Event, Prompted, Session
from segmend.editing.keeping import EditedVoxels
from segmend.errors import PromptError
from segmend.runtime.engine import Device
from segmend.server.sessions.answering import FilteredWorkspace, Scene, answered_prompts, label_of, parts
from segmend.server.sessions.draft_map import Draft, DraftMap
from segmend.server.sessions.uncertainty import UncertaintyMap


class LocalAnnotation(Annotation):
    """One image being annotated in this process.

    >>> import numpy as np
    >>> from segmend.core.prompts import Click
    >>> voxels = np.zeros((1, 1, 8, 9), np.uint8); voxels[..., 2:6, 3:7] = 200
    >>> annotation = LocalAnnotation(Image(voxels), method="geos")
    >>> lesion = annotation.add_label("lesion")
    >>> annotation.mark(Click((0, 3, 4)), lesion)
    Box(low=(0, 2, 3), high=(1, 6, 7))
    >>> annotation.undo() is None, int(annotation.map.sum())
    (False, 0)
    """

    def __init__(
        self, image: Image, *, method: str = "mend", weights: Path | None = None, device: str = "auto"
    ) -> None:
        self.image = image
        self.method = method
        self._card = methods.card(method, weights)
        self._weights = weights
        self._device = Device(device)
        self._check_dimension(method)
        self._session = Session(image.shape)
        self._draft_map = DraftMap(image.shape)
        self._edited: dict[int, EditedVoxels] = {}  # by label
        self._workspaces: dict[str, Workspace] = {GIVEN: Given()}
        self._qualities: dict[int, float | None] = {}  # by the event that was answered
        self._uncertainty_map: UncertaintyMap | None = None
        self._lock = RLock()

    @property
    def session(self) -> Session:
        return self._session

    @property
    def layers(self) -> Mapping[int, LabelMap]:
        with self._lock:
            return self._draft_map.without_draft()

    @property
    def quality(self) -> float | None:
        with self._lock:
            asked = [i for i in self._session.done if isinstance(self._session.events[i], Asking)]
            return self._known(self._card, asked[-1]) if asked else None

    def expected(self, event: int) -> float | None:
        with self._lock:
            asked = self._session.events[event]
            if not isinstance(asked, Prompted) or asked.method == GIVEN:
                return None
            card = self._card if asked.method == self.method else methods.card(asked.method)
            return self._known(card, event)

    def _known(self, card: Method, event: int) -> float | None:
        return self._qualities.get(event) if (2 if self.image.flat else 3) in card.calibrated else None

    @property
    def uncertainty(self) -> tuple[tuple[Box, Levels], ...]:
        with self._lock:
            return self._uncertainty_map.levels if self._uncertainty_map is not None else ()

    def uncertain_place(self, rank: int) -> Index | None:
        with self._lock:
            found = self._uncertainty_map
            return None if found is None else found.place(rank, self.image.spacing)

    def prepare(self) -> None:
        """Load the method and open the image, so that the first mark need not wait for it."""
        with self._lock:
            self._open(self.method).prepare()

    def do(self, event: Event) -> Box | None:
        with self._lock:
            before = self._session
            session = before.add(event)
            if isinstance(event, Prompted) and event.method != GIVEN:
                methods.card(event.method).check([event.prompt])
                self._check_dimension(event.method)
            uncertain = self._uncertainty_map
            if not isinstance(event, Arranging):
                self._uncertainty_map = None
            self._session = session
            boxes = list(self._draft_map.follow(session).values())
            try:
                for position in session.pending:
                    boxes += self._answer(position)
            except BaseException:
                self._draft_map.revert()
                self._session, self._uncertainty_map = before, uncertain
                self._draft_map.follow(before)
                raise
            return reduce(Box.union, boxes) if boxes else None

    def _answer(self, position: int) -> list[Box]:
        """Work out the answer to an event, and paint it; return the boxes that changed."""
        session = self._session
        label = label_of(session, position)
        locked = tuple(value for value, other in session.labels.items() if other.locked and value != label)
        uncertainty_map = UncertaintyMap(position, label, answered_prompts(session, position))
        layer = session.layer_of(position)
        draft = Draft(session, position, label, locked, uncertainty_map, layer=layer)
        self._draft_map.draft = draft
        voxels = self._edited.setdefault(label, EditedVoxels(session.shape, label))
        scene = Scene(self._open, lambda: self.image, self._mask_of, voxels.before(session, position))
        boxes = []
        for part in parts(session, position, self._draft_map.previous(label, layer), scene):
            if isinstance(part, float):
                continue
            boxes.append(self._draft_map.paint(draft, part))
            uncertainty_map.take(part.box, getattr(part, "uncertainty", None))
        patch = draft.patch()
        self._session = session.answered(position, patch)
        self._draft_map.hold(position, patch, layer)
        self._draft_map.draft = None
        self._qualities[position] = draft.told_quality(self._last_quality(position, label))
        self._uncertainty_map = uncertainty_map if uncertainty_map.known else None
        return [box for box in boxes if box is not None]

    def _last_quality(self, position: int, label: int) -> float | None:
        """Return what was told of the label's answer before this event; None where there was none."""
        session = self._session
        before = [i for i in session.done if i < position and isinstance(session.events[i], Asking)]
        mine = [i for i in before if label_of(session, i) == label]
        return self._qualities.get(mine[-1]) if mine else None

    def _mask_of(self, label: int) -> MaskArray:
        return self._draft_map.previous(label, self._session.labels[label].layer)

    def _open(self, method: str) -> Workspace:
        if method not in self._workspaces:
            weights = self._weights if method == self.method else None
            dimensions = [2 if self.image.flat else 3]
            segmenter = methods.load_where_possible(method, weights, self._device, warm=dimensions)
            self._workspaces[method] = FilteredWorkspace(segmenter.open(self.image), methods.card(method, weights))
        return self._workspaces[method]

    def _check_dimension(self, method: str) -> None:
        card, dimension = methods.card(method), 2 if self.image.flat else 3
        if dimension not in card.dimensions:
            takes = " and ".join(f"{n}D" for n in card.dimensions)
            raise PromptError(f"{card.title} takes {takes} images; this one is {dimension}D.")

    def close(self) -> None:
        """Forget what the methods keep of the image."""
        with self._lock:
            self._workspaces = {GIVEN: Given()}
