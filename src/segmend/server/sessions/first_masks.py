"""First masks of a case by the method that its project trusts: ordinary marks, put down when it is first opened.

The method is one that finds its labels without a mark. Its masks are answered in the background like any other, are
undone in one step, and the project says the Dice that was measured for it.
"""

from __future__ import annotations

from collections.abc import Iterator

from segmend import methods
from segmend.core.segmenter import FIRST, Method, label_meant
from segmend.core.session import PALETTE, Defined, Event, Label, Prompted, Session
from segmend.errors import PromptError
from segmend.server.state import Shared
from segmend.store import CaseRecord


def first_mask_events(session: Session, card: Method) -> list[Event]:
    """Return the events that ask a method for a first mask of each label that it finds and that has no mark yet.

    The labels that a session lacks are defined: those that the method has learned, where it has none at all.

    >>> card = Method("organs", "Organs", "", ("mask",), (3,), "", guesses=True, labels=((1, "liver"), (2, "spleen")))
    >>> [type(event).__name__ for event in first_mask_events(Session((4, 8, 8)), card)]
    ['Defined', 'Defined', 'Prompted', 'Prompted']
    """
    learned = dict(card.labels)
    events: list[Event] = []
    if not session.labels:
        names = learned or {1: "Object 1"}
        for value, name in names.items():
            label = Label(value, name, PALETTE[(value - 1) % len(PALETTE)])
            events.append(Defined(label, joined=bool(events)))
            session = session.add(events[-1])
    marked = {event.label for i in session.marked() if isinstance(event := session.events[i], Prompted)}
    free = [label for label in session.labels.values() if label.value not in marked and not label.locked]
    wanted = [label for label in free if _is_meant(label, learned)] if learned else free[:1]
    for number, label in enumerate(wanted):
        events.append(Prompted(FIRST, label.value, card.id, joined=number > 0))
    return events


def _is_meant(label: Label, learned: dict[int, str]) -> bool:
    """Tell whether a label is one that a method has learned: by its name, or the only one."""
    found = label_meant(learned, label.name, label.value)
    return found is not None and (len(learned) == 1 or learned[found].casefold() == label.name.casefold())


def first_method(here: Shared, case: CaseRecord) -> Method | None:
    """Return the card of the method that makes the first masks of a case; None where its project names none."""
    first = here.store.project(case.project).first
    if first is None or case.timed or case.slide:
        return None
    card = methods.card(first.method, here.settings.weights.get(methods.family_of(first.method)))
    return card if (2 if case.shape[0] == 1 else 3) in card.dimensions else None


def asked_first_masks(here: Shared, session: Session, case: CaseRecord) -> Iterator[Event]:
    """Yield the events that ask for first masks in a session; PromptError where there is nothing to ask for."""
    card = first_method(here, case)
    if card is None:
        raise PromptError("The project of this case names no method that makes first masks of such images.")
    events = first_mask_events(session, card)
    if not any(isinstance(event, Prompted) for event in events):
        raise PromptError(f"{card.title} finds none of the labels here that have no marks yet.")
    yield from events
