"""Viewers that send all marks of an object with each request: what is new in their lists, and what is gone from them.

A mark that is in a list and not in the session is put down. One that a viewer has listed before and lists no longer is
taken away; marks that somebody put down elsewhere, such as in the annotator, stay. What was listed is kept in the
store, so that a server that was started since takes away the same marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from threading import Lock

from segmend import methods
from segmend.core.image import MaskArray, bounds
from segmend.core.prompts import Drawn, Prompt
from segmend.core.session import MAX_LABEL, PALETTE, Defined, Label, Prompted, Removed, Session
from segmend.errors import LimitError
from segmend.server.sessions.audience import Answer
from segmend.server.sessions.open_session import OpenSession
from segmend.store.visitors import Visitors


class Listed:
    """The marks that viewers have listed."""

    def __init__(self, visitors: Visitors) -> None:
        self._visitors = visitors
        self._lock = Lock()  # taken before that of a session

    def follow(
        self,
        opened: OpenSession,
        label: int,
        kind: type[Prompt] | tuple[type[Prompt], ...],
        wanted: Sequence[Prompt],
        method: str,
        who: str,
    ) -> list[Future[Answer]]:
        """Bring an object's marks of a kind to what a viewer lists; return the answers to be waited for."""
        if wanted:
            methods.card(method).check(list(wanted))
        with self._lock:
            before = self._visitors.listed(opened.id, label)
            there = {i: event.prompt for i, event in _marks(opened.session, label).items()}
            kept = {i for i, prompt in there.items() if prompt in wanted}
            gone = [i for i in before if i in there and i not in kept and isinstance(there[i], kind)]
            present = [there[i] for i in kept]
            new = [prompt for prompt in dict.fromkeys(wanted) if prompt not in present]
            answers = [opened.accept(Removed(i), user=who)[1] for i in sorted(gone)]
            put = [opened.accept(Prompted(prompt, label, method, overwrite=True), user=who) for prompt in new]
            others = {i for i in before if i in there and i not in gone}
            now = others | kept | {position for position, _ in put}
            if now != before:
                self._visitors.note_listed(opened.id, label, now)
        return answers + [future for _, future in put]

    def drawings(self, session: Session, label: int, inside: MaskArray, *, positive: bool) -> list[Prompt]:
        """Return the drawings whose union these voxels are: those that are there already and lie inside, and the rest.

        Viewers send all that was ever drawn on an object as one mask.
        """
        left, found = inside.copy(), list[Prompt]()
        for event in _marks(session, label).values():
            drawn = event.prompt
            if isinstance(drawn, Drawn) and drawn.positive == positive:
                place = drawn.box.slices
                if inside[place][drawn.inside].all():
                    found.append(drawn)
                    left[place] &= ~drawn.inside
        box = bounds(left)
        return found if box is None else [*found, Drawn(left[box.slices].copy(), box.low, positive)]


def label_named(opened: OpenSession, name: str, who: str) -> int:
    """Return the label of a session that is called so, a new one where none is."""
    labels = opened.session.labels
    for value, label in labels.items():
        if label.name == name:
            return value
    value = max(labels, default=0) + 1
    if value > MAX_LABEL:
        raise LimitError(f"A session may have {MAX_LABEL} labels.")
    opened.accept(Defined(Label(value, name, PALETTE[(value - 1) % len(PALETTE)])), user=who)
    return value


def _marks(session: Session, label: int) -> dict[int, Prompted]:
    """Return the prompts of a label that are in effect, by their events."""
    return {i: event for i in session.prompted(label) if isinstance(event := session.events[i], Prompted)}
