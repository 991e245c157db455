"""One open session: its log, its label map, its audience, and the answers in the making.

The lock of an open session guards all of these. It is held to check and store an event, to paint one
part, to pack a frame; never while a method computes. Who holds it may use the store and the
workspaces, which have locks of their own and know nothing of open sessions.

Events are answered in the order of their places in the log, one at a time. The answer in the making
is a *draft*: it is painted on the `DraftMap` part by part, so that undoing or cancelling takes exactly
it away again. When the method has finished, the draft becomes the event's `Patch`, is stored, and
the `Audience` is told `answered`.

Two short cuts save work. A newer prompt on the same label and method, at a place that this
answer has already reached, will be answered with all prompts, so this answer ends with what
is painted. And an event that is undone or cancelled is left as soon as its method next yields.

Other servers may share the store. What they add is taken over when the store says so (`catch_up`), or when an event
of ours loses the race for a place in the log, and is then told as if it had happened here. An event
is answered by the server that accepted it; by another one only when it is left unanswered.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import closing
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from segmend import methods
from segmend.core.image import Box, Image, Index, LabelMap, MaskArray
from segmend.core.layers import flattened
from segmend.core.prompts import extent, is_positive
from segmend.core.segmenter import Given, Method, Workspace
from segmend.core.session import (
    EMPTY,
    GIVEN,
    Arranging,
    Asking,
    Edited,
    Event,
    Marked,
    Patch,
    Prompted,
    Removed,
    Session,
    Undone,
    label_gone,
)
from segmend.editing.keeping import EditedVoxels
from segmend.errors import (
    BusyError,
    ConflictError,
    MethodError,
    NotFoundError,
    PromptError,
    SegmendError,
    StoreError,
)
from segmend.runtime.tracing import here, span
from segmend.server.requests import request_id
from segmend.server.sessions.answering import EditPart, Part, RestoredPart, Scene, answered_prompts, label_of, parts
from segmend.server.sessions.audience import Answer, Audience, Changed, Listener, Person
from segmend.server.sessions.draft_map import Draft, DraftMap
from segmend.server.sessions.previews import Preview, check_preview, compared, previewed
from segmend.server.sessions.robots import Game, Step, check_game, played
from segmend.server.sessions.uncertainty import UncertaintyMap
from segmend.server.sessions.wire import full_state, light_state
from segmend.server.sessions.workspaces import Workspaces
from segmend.server.told import Told
from segmend.server.work import Pool, log_failure
from segmend.store import SessionRecord, Store

if TYPE_CHECKING:
    from opentelemetry.context import Context

Seen = TypeVar("Seen")
Looking = Callable[[Session], Generator[None, None, Any]]  # what works out something that is not stored
DELETED = "This case was deleted."
# What who marks an image of many times is told.
TIMED = (
    "This case has many times, and a mark belongs to one of them: "
    "make that time a case of its own (POST /api/cases/{id}/frames/{n}), and mark it there."
)
# Seconds that another server has to answer an event that it accepted before this one does.
OTHERS_SECONDS = 10.0
# What who waits is told when no event can be answered, for a reason that nobody foresaw.
UNANSWERED = "This event is stored, but could not be answered; the next one tries again, and the log has more."
# Events of a session that may wait for their answers.
MAX_WAITING = 500
# Refused events in a row after which the store is believed, though nobody else seems to have added anything.
FUTILE = 3


class OpenSession:
    """One open session; every public method may be called from any thread."""

    def __init__(
        self,
        record: SessionRecord,
        session: Session,
        image: Callable[[], Image],
        *,
        store: Store,
        pool: Pool,
        workspaces: Workspaces,
        max_waiting: int = MAX_WAITING,
        told: Told = str,
        timed: bool = False,
    ) -> None:
        self.id = record.id
        self.case = record.case
        self.record = record
        self._session = session
        self._image = image
        self._store = store
        self._pool = pool
        self._workspaces = workspaces
        self._max_waiting = max_waiting
        self._timed = timed  # its image is one of many times, of which a mark can mean only one
        self._lock = RLock()
        self._draft_map = DraftMap(session.shape)
        self._edited: dict[int, EditedVoxels] = {}  # by label
        self._uncertainty_map: UncertaintyMap | None = None  # of the last answer, while the mask is as it left it
        self._audience = Audience(record.id, record.case, told)
        self._working = False
        self._whose = record.id  # whose turn the pool takes for it: its own, or that of who marked here last
        self._stuck = False  # the store refused an answer; it is tried again after the next event
        self._closed = False
        self._qualities: dict[int, float | None] = {}  # that were told here, by the event that was answered
        self._looks: deque[tuple[Looking, Future[Any]]] = deque()  # what is looked at
        self._asked: dict[int, tuple[Context, str]] = {}  # requests that sent events, for traces
        self._others: dict[int, float] = {}  # events of other servers, and when they are answered here nevertheless
        self._draft_map.follow(session)
        with self._lock:
            self._start()

    # State

    @property
    def idle(self) -> bool:
        """True when nobody watches and nothing is in the making."""
        with self._lock:
            return not self._audience and not self._working

    @property
    def size_bytes(self) -> int:
        with self._lock:  # an answer in the making adds to what is counted here
            uncertain = self._uncertainty_map.size_bytes if self._uncertainty_map is not None else 0
            edited = sum(voxels.size_bytes for voxels in self._edited.values())
            return self._draft_map.size_bytes + edited + uncertain

    def state(self) -> dict[str, Any]:
        with self._lock:
            return full_state(self.id, self.case, self._session)

    def light_state(self) -> dict[str, Any]:
        with self._lock:
            return light_state(self._session)

    @property
    def session(self) -> Session:
        return self._session

    def frame(self, layer: int = 0) -> bytes:
        """Return the whole map of a layer as one frame."""
        with self._lock:
            return self._draft_map.whole_frame(max(0, len(self._session.events) - 1), layer)

    def frame_of(self, answer: Answer) -> bytes:
        """Return the frame of one answer's box as it is now; of its lowest layer where several changed."""
        with self._lock:
            return self._draft_map.frame(answer.position, answer.box, answer.layer)

    def layers(self) -> dict[int, LabelMap]:
        """Return copies of the label maps by layer, as the answered events made them."""
        with self._lock:
            return self._draft_map.without_draft()

    def map(self) -> LabelMap:
        """Return the label map as the answered events made it; `core.layers.FLAT` says what shared voxels are in it."""
        with self._lock:
            return flattened(self._draft_map.without_draft(), self._session.labels)

    def look(self, where: Callable[[Session], Box], label: int = 0) -> tuple[Session, Box, LabelMap]:
        """Return the log, a box that is chosen by it, and the map there as the answered events made it.

        Where labels may share voxels it is the map of this label's layer.
        """
        with self._lock:
            self._check_open()
            box = where(self._session)
            return self._session, box, self._draft_map.values(box, self._layer_of(label))

    def painted(self) -> tuple[Session, dict[int, tuple[Box, LabelMap]]]:
        """Return the log, and by layer a box round all that was ever painted, with the map there without a draft."""
        with self._lock:
            self._check_open()
            boxes = {layer: self._draft_map.painted(layer) for layer in self._draft_map.layers}
            return self._session, {layer: (box, self._draft_map.values(box, layer)) for layer, box in boxes.items()}

    def _layer_of(self, label: int) -> int:
        known = self._session.labels.get(label)
        return 0 if known is None else known.layer

    def uncertain_place(self, rank: int) -> tuple[UncertaintyMap, Index | None, bool | None]:
        """Return the last answer's uncertainty, its most uncertain place but `rank`, and whether the mask holds that.

        None where it is sure.
        """
        with self._lock:
            self._check_open()
            uncertainty_map = self._uncertainty_map
        if uncertainty_map is None:
            raise NotFoundError("The last answer does not say where it is uncertain.")
        place = uncertainty_map.place(rank, self._image().spacing)
        if place is None:
            return uncertainty_map, None, None
        z, y, x = place
        box = Box(place, (z + 1, y + 1, x + 1))
        [[[value]]] = self._values(box, self._layer_of(uncertainty_map.label)).tolist()
        return uncertainty_map, place, bool(value == uncertainty_map.label)

    def listen(self, listener: Listener) -> None:
        """Tell a listener the state and the map as they are, and from now on everything that happens."""
        with self._lock:
            self._check_open()
            newest = max(0, len(self._session.events) - 1)
            frames = [self._draft_map.whole_frame(newest, layer) for layer in self._draft_map.layers]
            frames += self._uncertainty_map.frames() if self._uncertainty_map is not None else ()
            self._audience.add(listener, self._session, frames)

    def introduce(self, listener: Listener, person: Person) -> None:
        """Show who listens to the others who said who they are."""
        with self._lock:
            self._audience.introduce(listener, person)

    def leave(self, listener: Listener) -> None:
        """Tell a listener nothing more; what it asked for is answered nevertheless."""
        with self._lock:
            self._audience.remove(listener)

    def close(self, message: str) -> None:
        """Stop working and tell everybody why."""
        with self._lock:
            self._closed = True
            self._draft_map.draft = None
            self._audience.dismiss(message)
            while self._looks:
                self._looks.popleft()[1].set_exception(NotFoundError(message))

    # Requests of clients

    def accept(
        self, event: Event, *, user: str = "", sender: Listener | None = None, number: int | None = None
    ) -> tuple[int, Future[Answer]]:
        """Store an event and see to its answer; returns its place and what will come of it.

        When this returns, the event is durable. An error means that nothing was stored.
        """
        with self._lock:
            self._check_open()
            self._check(event)
            position = self._append(event, user)
            self._whose = user or self.id
            if (context := here()) is not None:
                self._asked[position] = (context, request_id.get() or "")
            self._stuck = False
            answer = self._audience.tell_accepted(position, event, sender=sender, number=number)
            changed = self._settle()
            self._tell_frame(position, changed)
            if position not in self._session.pending:
                self._audience.tell_answered(position, self._session, changed)
            self._start()
            return position, answer

    def preview(self, event: Event) -> Future[Preview]:
        """Work out what an event would change; nothing is stored, and nobody else is told.

        ConflictError comes of it when the session changes meanwhile: marks are answered first.
        """
        with self._lock:
            self._check_open()
            check_preview(event)
            self._check(event)
        return self._look(lambda session: previewed(session, event, self._open_workspace, self._image, self._values))

    def compare(self, label: int, method: str) -> Future[Preview]:
        """Work out what another method makes of a label's marks, as for `preview`."""
        card = methods.card(method)
        with self._lock:
            self._check_open()
            self._check_dimension(card)
            if label not in self._session.labels:
                raise PromptError(f"Label {label} is not defined here; there are {sorted(self._session.labels)}.")
        return self._look(lambda session: compared(session, label, card, self._open_workspace, self._values))

    def play(self, game: Game) -> Future[Step]:
        """Let a robot put down its next mark in a game beside the session, as for `preview`."""
        with self._lock:
            self._check_open()
            self._check_dimension(game.method)
            check_game(game, self._session)
        return self._look(lambda session: played(session, game, self._open_workspace, self._values))

    def _look(self, steps: Callable[[Session], Generator[None, None, Seen]]) -> Future[Seen]:
        future: Future[Seen] = Future()
        with self._lock:
            self._check_open()
            self._looks.append((steps, future))
            self._start()
        return future

    def _values(self, box: Box, layer: int) -> LabelMap:
        with self._lock:
            return self._draft_map.values(box, layer)

    def cancel(self, position: int, *, user: str = "") -> None:
        """Take back an event that has no answer yet, so that it costs nothing more."""
        with self._lock:
            self._check_open()
            if position not in self._session.pending:
                raise PromptError(f"Event {position} does not wait for an answer; undo or remove it instead.")
            if label_gone(self._session.events[position]) is not None and self._session.done[-1] != position:
                raise PromptError("A label that is deleted or merged cannot be called off any longer; undo it instead.")
            self._withdraw(position, user)

    def curtail(self, position: int) -> None:
        """Let an answer that nobody waits for any longer end with its first part."""
        with self._lock:
            self._audience.abandon(position)

    def warm(self, method: str) -> None:
        """Open the image for a method before the first prompt, when there is nothing better to do."""

        def steps() -> Iterator[None]:
            with self._lock:
                if self._closed or self._working or self._workspaces.holds(self.id, method):
                    return  # who has been answered needs no preparing
                self._working = True
            try:
                self._workspaces.open(self.id, method, self._image).prepare()
            except Exception as error:  # the first prompt will say the same to somebody
                log_failure(f"Method {method} could not be opened ahead", error)
            yield
            yield from self._work()

        self._pool.submit(steps(), whose=self._whose, when_idle=True)

    def catch_up(self, events: int, answers: int) -> None:
        """Take over what other servers have added to the log, which has so many events and answers in the store."""
        with self._lock:
            if self._closed:
                return
            if events > len(self._session.events) or answers > len(self._session.answers):
                self._take_over()
            waiting = set(self._session.pending)
            self._others = {position: until for position, until in self._others.items() if position in waiting}
            self._start()

    @property
    def waits_for_others(self) -> bool:
        """True while an event waits for the answer of the server that accepted it."""
        return bool(self._others)

    # Events

    def _check_open(self) -> None:
        if self._closed:
            raise NotFoundError(f"There is no session {self.id!r}.")

    def _check(self, event: Event) -> None:
        """Raise unless this event makes sense now, before it is stored for good."""
        if isinstance(event, Marked):
            self.check_markable()
        if isinstance(event, Asking) and len(self._session.pending) >= self._max_waiting:
            raise BusyError(f"{self._max_waiting} events of this session wait for their answers; send others later.")
        self._session.add(event)
        field, done = self.record.field, self._session.done
        if field is not None and isinstance(event, Undone) and done[-1] < field.begun:
            raise PromptError("There is nothing to undo.")  # but the labels and the mask that it began with
        if isinstance(event, Prompted) and event.method != GIVEN:
            card = methods.card(event.method)
            card.check([event.prompt])
            self._check_dimension(card)

    def check_markable(self) -> None:
        """Raise PromptError where no mark can be put down: its image is one of many times."""
        if self._timed:
            raise PromptError(TIMED)

    def _check_dimension(self, card: Method) -> None:
        dimension = 2 if self._session.shape[0] == 1 else 3
        if dimension not in card.dimensions:
            takes = " and ".join(f"{n}D" for n in card.dimensions)
            raise PromptError(f"{card.title} takes {takes} images; this one is {dimension}D.")

    def _append(self, event: Event, user: str) -> int:
        """Store one more event and return its place, behind what other servers add meanwhile."""
        futile = 0
        while True:
            session = self._session.add(event)
            try:
                self._store.append(self.id, len(self._session.events), event, user=user)
                break
            except ConflictError:
                known = len(self._session.events)
                self._take_over()
                futile = 0 if len(self._session.events) > known else futile + 1
                if futile >= FUTILE:
                    raise
        self._session = session
        if not isinstance(event, Arranging):
            self._uncertainty_map = None
        return len(session.events) - 1

    def _take_over(self) -> None:
        """Take over what other servers have added to this session, and tell it as if it had happened here."""
        known = len(self._session.events)
        self._session = self._store.session(self.id)
        waiting = set(self._session.pending)
        until = time.monotonic() + OTHERS_SECONDS
        for position in range(known, len(self._session.events)):
            self._audience.tell_accepted(position, self._session.events[position])
            if position in waiting:
                self._others[position] = until
        changed = self._align()
        if changed:
            self._uncertainty_map = None
        self._tell_frame(max(0, len(self._session.events) - 1), changed)
        for position in self._audience.positions():
            if position not in waiting:
                event = self._session.events[position]
                withdrawn = isinstance(event, Asking) and position not in self._session.done
                self._audience.tell_answered(position, self._session, changed, withdrawn=withdrawn)

    def _align(self) -> Changed:
        """Bring map and draft in line with the log; return the box that changed of each layer that did."""
        changed: Changed = {}
        if self._draft_map.draft is not None and self._draft_map.draft.position not in self._session.pending:
            changed = self._draft_map.revert()
        return _union(changed, self._draft_map.follow(self._session))

    def _settle(self) -> Changed:
        """Bring map and draft in line with the log, and tell what was withdrawn; return what changed by layer."""
        changed = self._align()
        waiting = set(self._session.pending)
        for position in self._audience.positions():
            if position not in waiting and isinstance(self._session.events[position], Asking):
                withdrawn = position not in self._session.done
                self._audience.tell_answered(position, self._session, withdrawn=withdrawn)
        return changed

    def _withdraw(self, position: int, user: str = "") -> None:
        """Take back an unanswered event by events of its own, so that nothing waits any longer."""
        if self._session.done[-1] == position:
            self.accept(Undone(), user=user)
            return
        draft = self._draft_map.draft
        changed = self._draft_map.revert() if draft is not None and draft.position == position else {}
        self._tell_frame(position, changed)
        self._store_answer(position, EMPTY)
        event = self._session.events[position]
        if isinstance(event, Marked) and self._removable(position, event):
            removal = self._append(Removed(position), user)
            self._store_answer(removal, EMPTY)
            self._audience.tell_accepted(removal, self._session.events[removal])
            self._audience.tell_answered(removal, self._session)
        self._audience.tell_answered(position, self._session, changed, withdrawn=True)
        self._start()

    def _removable(self, position: int, event: Marked) -> bool:
        if label_gone(event) is not None:
            return False
        return position in self._session.marked() and not self._session.labels[event.label].locked

    # Answers

    def _start(self) -> None:
        if not self._working and (self._next() is not None or self._looks):
            self._working = True
            self._pool.submit(self._work(), whose=self._whose)

    def _next(self) -> int | None:
        pending = self._session.pending
        if not pending or self._closed or self._stuck:
            return None
        return pending[0] if self._others.get(pending[0], 0.0) <= time.monotonic() else None

    def _work(self) -> Iterator[None]:
        """Answer what is pending, one part a step, until nothing is; then what is only looked at."""
        try:
            while (begun := self._begin()) is not None:
                if not isinstance(begun, Draft):
                    yield from self._answer_look(*begun)
                    continue
                try:
                    yield from self._traced(begun)
                except Exception as error:
                    self._fail(begun, error)
        except BaseException as error:
            with self._lock:  # or nobody would ever work here again
                self._working = False
                if isinstance(error, Exception):
                    self._tell_waiting(MethodError(UNANSWERED))
            raise

    def _begin(self) -> Draft | tuple[Looking, Future[Any]] | None:
        """Begin the next answer, or take the next preview; None when there is none: this session no longer works."""
        with self._lock:
            position, session = self._next(), self._session
            if position is None and self._looks:
                return self._looks.popleft()
            if position is None:
                self._working = False
                return None
            label = label_of(session, position)
            locked = tuple(v for v, other in session.labels.items() if other.locked and v != label)
            uncertainty_map = UncertaintyMap(position, label, answered_prompts(session, position))
            planes = np.zeros(session.shape[0], bool)
            layer = session.layer_of(position)
            draft = Draft(session, position, label, locked, uncertainty_map, planes=planes, layer=layer)
            self._draft_map.draft = draft
            return draft

    def _traced(self, draft: Draft) -> Iterator[None]:
        """Answer an event, one part a step; each step is in the trace of the request that sent the event."""
        with self._lock:
            within, asked_by = self._asked.pop(draft.position, (None, ""))
        event = draft.session.events[draft.position]
        method = event.method if isinstance(event, Prompted) else type(event).__name__.lower()
        about = {"segmend.method": method, **({"segmend.request_id": asked_by} if asked_by else {})}
        steps = self._answer(draft)
        while True:
            with span("answer part", about, within=within):
                try:
                    next(steps)
                except StopIteration:
                    return
            yield

    def _answer(self, draft: Draft) -> Iterator[None]:
        session = draft.session
        with self._lock:
            previous = self._draft_map.previous(draft.label, draft.layer)
            voxels = self._edited.setdefault(draft.label, EditedVoxels(session.shape, draft.label))
            edited = voxels.before(session, draft.position)
        scene = Scene(self._open_workspace, self._image, self._mask_of, edited)
        with closing(parts(session, draft.position, previous, scene)) as stream:
            for part in stream:
                with self._lock:
                    if self._draft_map.draft is not draft:
                        return
                    self._paint(draft, part)
                    if self._is_enough(draft):
                        break
                if session.shape[0] > 1 or isinstance(part, float):
                    yield  # a picture's answer is one part: told at once, not after a part of everybody else's
        with self._lock:
            if self._draft_map.draft is draft:
                self._finish(draft)
        event = session.events[draft.position]
        if isinstance(event, Prompted) and event.method != GIVEN:
            self._workspaces.measure(self.id, event.method, self._image())

    def _answer_look(self, steps: Looking, future: Future[Any]) -> Iterator[None]:
        """Work out a preview, unless the session changes meanwhile."""
        if not future.set_running_or_notify_cancel():
            return
        with self._lock:
            session = self._session
        try:
            with closing(steps(session)) as working:
                while True:
                    if self._session is not session or session.pending:
                        raise ConflictError("The session has changed meanwhile; ask again.")
                    try:
                        next(working)
                    except StopIteration as end:
                        future.set_result(end.value)
                        return
                    yield
        except SegmendError as error:
            future.set_exception(error)
        except Exception as error:
            log_failure(f"A preview in session {self.id} failed", error)
            future.set_exception(MethodError("The method failed on this; the log has more."))

    def _open_workspace(self, method: str) -> Workspace:
        return Given() if method == GIVEN else self._workspaces.open(self.id, method, self._image)

    def _mask_of(self, label: int) -> MaskArray:
        with self._lock:
            return self._draft_map.previous(label, self._layer_of(label))

    def _paint(self, draft: Draft, part: Part | EditPart | RestoredPart | float) -> None:
        if isinstance(part, float):
            self._audience.tell_progress(draft.position, part)
            return
        box = self._draft_map.paint(draft, part)
        self._tell_frame(draft.position, {} if box is None else {draft.layer: box})
        if not isinstance(part, Part):
            return
        draft.uncertainty_map.take(part.box, part.uncertainty)
        for frame in draft.uncertainty_map.frames(-1) if self._audience else ():
            self._audience.tell_frame(frame)
        if draft.planes is not None and len(draft.planes) > 1:
            draft.planes[part.box.low[0] : part.box.high[0]] = True
            self._audience.tell_progress(draft.position, float(draft.planes.mean()))

    def _is_enough(self, draft: Draft) -> bool:
        """True when the parts so far will do: nobody waits for more, or a newer prompt asks for all of it again."""
        if not draft.parts:
            return False
        if not self._audience.waits_for(draft.position):
            return True
        return any(self._repeats(position, draft) for position in self._session.pending if position > draft.position)

    def _repeats(self, position: int, draft: Draft) -> bool:
        """True when a later event asks for this again: a removal, or a prompt where this answer has been."""
        mine, other = self._session.events[draft.position], self._session.events[position]
        if label_of(self._session, position) != draft.label:
            return False
        if isinstance(other, Removed):  # without an edit the answers before it are not worked out again
            return isinstance(self._session.events[other.event], Prompted)
        if isinstance(other, Prompted) and other.replaces is not None:
            return True
        if not isinstance(mine, Prompted) or not isinstance(other, Prompted):
            return False
        if is_positive(mine.prompt) and not is_positive(other.prompt):
            return False  # which only takes away, and would not find the rest
        if any(isinstance(self._session.events[i], Edited) for i in self._session.pending if i < position):
            return False  # which takes the mask as this answer leaves it
        place = extent(other.prompt)
        return mine.method == other.method and place is not None and place.intersection(draft.reached).size > 0

    def _finish(self, draft: Draft) -> None:
        patch = draft.patch()
        quality = self._quality_of(draft)
        self._store_answer(draft.position, patch, draft.layer, quality)
        self._draft_map.draft = None
        self._uncertainty_map = draft.uncertainty_map if draft.uncertainty_map.known else None
        self._qualities[draft.position] = quality
        self._audience.tell_answered(
            draft.position,
            self._session,
            {draft.layer: patch.box},
            quality,
            finetuned=draft.finetuned,
            covered_by=draft.covered_by,
        )

    def _quality_of(self, draft: Draft) -> float | None:
        """Return the Dice to tell of an answer."""
        before = [i for i in self._session.done if i < draft.position and self._asks(i, draft.label)]
        return draft.told_quality(self._qualities.get(before[-1]) if before else None)

    def _asks(self, position: int, label: int) -> bool:
        """True when an event is one whose answer changes the mask of this label."""
        return isinstance(self._session.events[position], Asking) and (label_of(self._session, position) == label)

    def _store_answer(self, position: int, patch: Patch, layer: int = 0, quality: float | None = None) -> None:
        self._store.answer(self.id, position, patch, quality=quality)
        self._session = self._session.answered(position, patch)
        self._draft_map.hold(position, patch, layer)

    def _fail(self, draft: Draft, error: Exception) -> None:
        """Say what went wrong to whom it concerns, and take the event back; the others go on."""
        with self._lock:
            if self._closed or self._draft_map.draft is not draft:
                return
            reason = error if isinstance(error, SegmendError) else None
            if reason is None:
                log_failure(f"An answer in session {self.id} failed", error)
                reason = MethodError("The method failed on this prompt, which was taken back; the log has more.")
            try:
                if isinstance(error, NotFoundError):  # the store has no such session any longer
                    self.close(DELETED)
                    return
                if isinstance(error, ConflictError):  # another server has answered it
                    self._take_over()
                    return
                self._audience.tell_error(draft.position, reason)
                if isinstance(error, StoreError):
                    self._stop(draft, error)
                else:
                    self._withdraw(draft.position)
            except SegmendError as refusal:
                log_failure(f"An event in session {self.id} could not be taken back", refusal)
                self._stop(draft, refusal)

    def _stop(self, draft: Draft, error: SegmendError) -> None:
        """Answer nothing until the next event comes, for the store refuses; say so to all whose events lie behind."""
        self._tell_frame(draft.position, self._draft_map.revert())
        self._stuck = True
        self._tell_waiting(error)

    def _tell_waiting(self, error: SegmendError) -> None:
        """Tell everybody whose event waits here why it is not answered now, so that nobody waits for ever."""
        for position in self._audience.unanswered():
            if position not in self._others:
                self._audience.tell_error(position, error)

    def _tell_frame(self, position: int, changed: Changed) -> None:
        """Tell the audience the label values of boxes as they are now."""
        for layer, box in changed.items() if self._audience else ():
            if box.size:
                self._audience.tell_frame(self._draft_map.frame(position, box, layer))


def _union(one: Changed, other: Changed) -> Changed:
    return {**one, **{layer: box.union(one.get(layer, box)) for layer, box in other.items()}}
