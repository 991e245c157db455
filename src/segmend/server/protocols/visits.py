"""What viewers of others do here, whatever dialect they speak: a *visit* is one of them at one of its images.

A visit is an ordinary session: every prompt becomes an event of it, in the store before it is answered, and is seen at
once by whoever has the session open in the annotator. What says where a visitor is, the lease, is in the store, too
(`segmend.store.visitors`), so a server that is killed between two clicks is noticed by nobody.

A viewer works on one object at a time and knows nothing of the others. Its next object is the next label of the
session. What other labels mark is not this one; so an object that begins where an earlier one lies, because a person
starts it again or a tumour after the organ round it, begins in a new session of the case.

A viewer holds the mask of its object and wants to be sent what changed. `Visits` remembers, in memory only, which
answers each of them has seen; of one that it does not know it takes nothing for granted and sends all there is. What
was sent last is sent once more with the next answer, for nobody knows whether it arrived.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock

import numpy as np

from segmend import methods
from segmend.core.image import Box, Image, LabelMap, MaskArray, bounds, index_of
from segmend.core.marks import mark
from segmend.core.prompts import Mask, Prompt, extent, is_positive
from segmend.core.session import GIVEN, MAX_LABEL, PALETTE, Defined, Label, Prompted, Removed, Session, Undone
from segmend.errors import ConflictError, NotFoundError, PromptError, UserError
from segmend.server.protocols.listed import Listed
from segmend.server.sessions.audience import Answer
from segmend.server.sessions.open_session import OpenSession
from segmend.server.sessions.open_sessions import OpenSessions
from segmend.server.sessions.wire import EMPTY_BOX
from segmend.server.settings import ServerSettings
from segmend.server.work import log_failure
from segmend.store import Store
from segmend.store.audit import SERVER
from segmend.store.visitors import VIEWERS, Lease

# A lease ends when its person has done nothing for so long.
IDLE = timedelta(days=1)
# A viewer that was not heard of for so long gives its place to another, when there is no other place.
SILENT = timedelta(seconds=60)
# How often the visitors' old images are looked for.
SWEEP_SECONDS = 3600.0
Waiting = tuple[int, "Future[Answer]"]  # the place of an event, and what will come of it


class LeaseError(UserError):
    """A lease that is not there, or not any longer."""


class FullError(UserError):
    """So many viewers are connected that no other one is let in."""


@dataclass(frozen=True)
class Shown:
    """What a viewer's mask shows: the answers of a session that it has seen."""

    session: str
    answers: frozenset[int]
    wrong: Box = EMPTY_BOX  # where its mask may show something else


@dataclass(frozen=True, eq=False)
class Unseen:
    """What a viewer has not seen yet of its object's mask."""

    box: Box
    mask: MaskArray  # [z y x] of the box
    changed: bool  # False: nothing has changed, and the box is only sent once more


class Visits:
    """All visits at one server; every method may be called from any thread, and may wait for the database."""

    def __init__(self, store: Store, sessions: OpenSessions, settings: ServerSettings) -> None:
        self._store = store
        self._sessions = sessions
        self._settings = settings
        self._shown: OrderedDict[str, Shown] = OrderedDict()  # by the hash of a lease's token
        self._swept = time.monotonic()
        self._lock = Lock()
        self.listed = Listed(store.visitors)

    # Leases

    def claim(self, dialect: str, who: str) -> str:
        """Return the token of a new lease; FullError when no other viewer can be let in."""
        if time.monotonic() > self._swept + SWEEP_SECONDS:
            self.sweep()
        most = self._settings.viewers_at_once
        token = self._store.visitors.claim(dialect, who, most=most, idle=IDLE, silent=SILENT)
        if token is None:
            raise _full(most)
        return token

    def lease(self, token: str | None, who: str, *, used: bool = True) -> Lease:
        """Return a lease, which is its owner's alone, and note that its viewer is there; LeaseError without one."""
        lease = self._store.visitors.lease(token, idle=IDLE) if token else None
        if lease is None or lease.user != who:
            raise LeaseError("This connection has ended; connect again.")
        self._store.visitors.note(lease, used=used)
        return lease

    def lease_named(self, dialect: str, name: str, who: str) -> Lease:
        """Return the lease of a viewer that knows no leases, a new one when it has none; FullError as for others."""
        token = f"{dialect} {name}"
        with suppress(LeaseError):
            return self.lease(token, who)
        most = self._settings.viewers_at_once
        if self._store.visitors.claim(dialect, who, most=most, idle=IDLE, silent=SILENT, token=token) is None:
            raise _full(most)
        return self.lease(token, who)

    def release(self, token: str | None, who: str) -> None:
        """End a lease, if there is one; an image on which nothing was done goes with it."""
        with suppress(LeaseError):
            lease = self.lease(token, who, used=False)
            self._store.visitors.release(lease)
            self._forget(lease)
            if lease.session is not None:
                self._drop_untouched(lease.session)

    def send_as(self, lease: Lease, buffer: str) -> Lease:
        """Send masks as numbers of another type, into a mask of which nothing is known."""
        self._forget(lease)
        return lease if buffer == lease.buffer else self._store.visitors.send_as(lease, buffer)

    # Images

    def bring(self, lease: Lease, image: Image, who: str) -> Lease:
        """Begin with an image, which is a new case unless it was here before; return the lease as it is then."""
        case_id = self.case_of(image, who=who)
        session_id = self._empty_session(lease, case_id) or self._store.add_session(case_id, user=who).id
        turned = self._store.visitors.turn_to(lease, session=session_id, label=1)
        self._remember(lease, Shown(session_id, frozenset()))
        if lease.session not in (None, session_id):
            self._drop_untouched(str(lease.session))
        with self._sessions.open(session_id) as opened:
            opened.warm(self._settings.method)
        return turned

    def case_of(self, image: Image, name: str = "", *, who: str = "") -> str:
        """Return the case of a visitor's image, a new one unless it was here before, under this name if it has one."""
        digest = digest_of(image)
        if name:
            digest = hashlib.sha256(f"{digest} {name}".encode("utf-8", "replace")).hexdigest()
        there = self._store.visitors.case_with(digest)
        return there or self._add_case(image, digest, name or f"Image {digest[:8]}", who)

    def session_at(self, case_id: str, who: str) -> str:
        """Return the session that somebody began last at a case, a new one where there is none."""
        own = [record.id for record in self._store.sessions(case_id) if record.user == who]
        return own[-1] if own else self._store.add_session(case_id, user=who).id

    def _add_case(self, image: Image, digest: str, name: str, who: str) -> str:
        if VIEWERS not in {project.name for project in self._store.projects()}:
            with suppress(ConflictError):
                self._store.by(SERVER).add_project(VIEWERS)
        case = self._store.by(who).add_case(name, image, project=VIEWERS)
        self._store.visitors.add_image(case.id, digest)
        return case.id

    def _empty_session(self, lease: Lease, case_id: str) -> str | None:
        """Return the session that a lease has already, where it is one of this case in which nothing has happened."""
        if lease.session is None or self._store.session_record(lease.session).case != case_id:
            return None
        with self._sessions.open(lease.session) as opened:
            return None if opened.session.events else lease.session

    def _drop_untouched(self, session_id: str) -> None:
        """Delete the case of a visitor that was only looked at, unless somebody watches it."""
        case_id = self._store.visitors.untouched(session_id)
        if case_id is not None:
            with self._sessions.open(session_id) as opened:
                watched = not opened.idle
            if not watched:
                self._delete(case_id)

    def sweep(self) -> None:
        """Delete visitors' images on which nobody has worked for days."""
        self._swept = time.monotonic()
        for case_id in self._store.visitors.stale(timedelta(days=self._settings.keep_visitors_days)):
            self._delete(case_id)

    def _delete(self, case_id: str) -> None:
        with suppress(NotFoundError):  # somebody else was faster
            self._store.by(SERVER).delete_case(case_id)
        self._sessions.forget_case(case_id)

    # Objects and prompts

    def next_object(self, lease: Lease) -> Lease:
        """Begin another object, whose mask is empty; return the lease as it is then."""
        if lease.session is None:
            return lease
        with self._sessions.open(lease.session) as opened:
            session = opened.session
        if session.marked(lease.label):
            label = max(session.labels) + 1
            if label > MAX_LABEL:
                return self._begin_again(lease, lease.user)
            lease = self._store.visitors.turn_to(lease, session=lease.session, label=label)
        self._remember(lease, Shown(lease.session or "", _answered(session)))
        return lease

    def place(self, lease: Lease, prompt: Prompt, who: str) -> Lease:
        """Return the lease to put a prompt down with: in a new session where it begins an object on an earlier one."""
        with self._sessions.open(session_of(lease)) as opened:
            if opened.session.marked(lease.label) or not is_positive(prompt):
                return lease
            if not _on_another(opened, prompt, lease.label):
                return lease
        return self._begin_again(lease, who)

    def put(self, opened: OpenSession, lease: Lease, prompt: Prompt, method: str, who: str) -> Waiting:
        """Put a prompt down on the label of a lease."""
        event = Prompted(prompt, lease.label, method, overwrite=True)  # viewers know nothing of other objects
        if method != GIVEN:
            methods.card(method).check([prompt])
        if lease.label not in opened.session.labels:
            label = Label(lease.label, f"Object {lease.label}", PALETTE[(lease.label - 1) % len(PALETTE)])
            defined = opened.session.add(Defined(label))
            defined.add(event)  # refuses what makes no sense before anything is stored
            opened.accept(Defined(label), user=who)
        return opened.accept(event, user=who)

    def begin_with(self, lease: Lease, inside: MaskArray, who: str) -> tuple[Lease, Mask | None]:
        """Begin an object with a mask that the viewer has; return the lease as it is then, and what to put down.

        The mask of an earlier object means that object, with all its marks: then there is nothing to put down.
        """
        with self._sessions.open(session_of(lease)) as opened:
            label = _label_with(opened, inside)
            session = opened.session
        if label is not None:
            self._remember(lease, Shown(opened.id, _answered(session)))
            return self._store.visitors.turn_to(lease, session=lease.session, label=label), None
        lease = self.next_object(lease)
        box = bounds(inside)
        if box is None:
            return lease, None
        seed = Mask(inside[box.slices].copy(), box.low)
        lease = self.place(lease, seed, who)
        self._show_besides(lease, seed.box)
        return lease, seed

    def seed_method(self, *, predict: bool) -> str:
        """Return by which method a mask that an object begins with is answered: as it is, or improved."""
        card = methods.card(self._settings.method)
        return card.id if predict and "mask" in card.prompts else GIVEN

    def undo(self, opened: OpenSession, lease: Lease, who: str) -> Waiting | None:
        """Take back the newest prompt of the object; None when it has none."""
        session = opened.session
        prompts = session.marked(lease.label)
        if not prompts:
            return None
        newest = prompts[-1]
        return opened.accept(Undone() if session.done[-1] == newest else Removed(newest), user=who)

    def _begin_again(self, lease: Lease, who: str) -> Lease:
        """Go on in a new session of the same image."""
        case_id = self._store.session_record(session_of(lease)).case
        record = self._store.add_session(case_id, user=who)
        self._remember(lease, Shown(record.id, frozenset()))
        return self._store.visitors.turn_to(lease, session=record.id, label=1)

    # What a viewer has not seen

    def unseen(self, opened: OpenSession, lease: Lease) -> Unseen:
        """Return where the object's mask may differ from what its viewer shows; now the viewer is taken to show it."""
        with self._lock:
            shown = self._shown.get(lease.token_hash)
        wrong = EMPTY_BOX if shown is None else shown.wrong
        session, box, values = opened.look(
            lambda session: wrong.union(_changed(session, shown, opened.id, lease.label)), lease.label
        )
        changed = _changed(session, shown, opened.id, lease.label)
        self._remember(lease, Shown(opened.id, _answered(session), changed))
        return Unseen(box, values == lease.label, changed.size > 0)

    def _show_besides(self, lease: Lease, wrong: Box) -> None:
        """Note that a viewer may show something else in a box, because it has painted there itself."""
        with self._lock:
            shown = self._shown.get(lease.token_hash)
            if shown is not None:
                self._shown[lease.token_hash] = Shown(shown.session, shown.answers, shown.wrong.union(wrong))

    def _remember(self, lease: Lease, shown: Shown) -> None:
        with self._lock:
            self._shown[lease.token_hash] = shown
            self._shown.move_to_end(lease.token_hash)
            while len(self._shown) > 2 * self._settings.viewers_at_once:  # of leases that have ended
                self._shown.popitem(last=False)

    def _forget(self, lease: Lease) -> None:
        with self._lock:
            self._shown.pop(lease.token_hash, None)


def _full(most: int) -> FullError:
    return FullError(f"This server is used by {most} viewers, which is all it takes at once; try again later.")


def sweep_quietly(visits: Visits) -> None:
    """Delete old images of visitors when a server starts; what goes wrong is for the log."""
    try:
        visits.sweep()
    except Exception as error:
        log_failure("Visitors' old images could not be deleted", error)


def digest_of(image: Image) -> str:
    """Return what an image is known by: its voxels, their type and grid."""
    digest = hashlib.sha256(f"{image.voxels.dtype.str} {image.voxels.shape} {image.affine.tolist()}".encode())
    for channel in image.voxels:
        for plane in channel:
            digest.update(np.ascontiguousarray(plane).data)
    return digest.hexdigest()


def session_of(lease: Lease) -> str:
    """Return the session of a lease; LeaseError when it was deleted, PromptError when there was no image yet."""
    if lease.session is not None:
        return lease.session
    if lease.label:
        raise LeaseError("The image was deleted here; connect again and send it.")
    raise PromptError("There is no image yet; send it first.")


def _answered(session: Session) -> frozenset[int]:
    """Return the events in effect that have an answer."""
    return frozenset(i for i in session.done if i in session.answers)


def _changed(session: Session, shown: Shown | None, session_id: str, label: int) -> Box:
    """Return a box round all voxels that may have changed since a viewer was last sent something."""
    if shown is None or shown.session != session_id:
        boxes = [patch.box for patch in session.answers.values()]
        boxes += [_extent_of(session, i) for i in session.prompted(label)]  # a viewer paints its own masks itself
    else:
        boxes = [session.answers[i].box for i in shown.answers ^ _answered(session)]
    found = EMPTY_BOX
    for box in boxes:
        found = found.union(box)
    return found


def _extent_of(session: Session, position: int) -> Box:
    event = session.events[position]
    mask = event.prompt if isinstance(event, Prompted) and isinstance(event.prompt, Mask) else None
    return (extent(mask) if mask is not None else None) or EMPTY_BOX


def _on_another(opened: OpenSession, prompt: Prompt, label: int) -> bool:
    """Tell whether a prompt that begins an object lies, for the most part, in other objects."""
    place = extent(prompt)
    if place is None:
        return False
    if isinstance(prompt, Box):
        middle = index_of((low + high - 1) // 2 for low, high in zip(place.low, place.high, strict=True))
        place = Box(middle, index_of(i + 1 for i in middle))
    _, _, values = opened.look(lambda _: place, label)
    others = (values != 0) & (values != label)
    marked = mark(prompt)
    if marked is not None:
        at = tuple((marked[0] - place.low).T)
        return bool(others[at].mean() > 0.5)
    if isinstance(prompt, Mask):
        inside = prompt.inside[place.moved(np.negative(prompt.low).tolist()).slices]
        return bool(others[inside].mean() > 0.5)
    return bool(others.mean() > 0.5)


def _label_with(opened: OpenSession, inside: MaskArray) -> int | None:
    """Return the label whose mask is exactly this one."""
    box = bounds(inside)
    if box is None:
        return None

    def everything(session: Session) -> Box:
        found = box
        for patch in session.answers.values():
            found = found.union(patch.box)
        return found

    session, everywhere, values = opened.look(everything)
    first = index_of(np.argwhere(inside[box.slices])[0] + box.low)
    label = int(values[tuple(np.subtract(first, everywhere.low))])
    if label == 0 or not session.marked(label):
        return None
    same: LabelMap = values == label
    return label if np.array_equal(same, inside[everywhere.slices]) else None
