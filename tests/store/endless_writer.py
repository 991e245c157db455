"""A process that writes to a store until it is killed, and prints what the store has taken.

`events` appends prompts and answers them, printing `event 3` and `answer 3`, each after the
call returned; it goes on where the log ends. `cases` adds cases and prints their ids.
"""

from __future__ import annotations

import sys
from itertools import count

from segmend.store import Store
from tests.store.drawn import CLICK, image, patch


def say(what: str, which: object) -> None:
    sys.stdout.write(f"{what} {which}\n")
    sys.stdout.flush()


def events(store: Store, session: str) -> None:
    for position in store.session(session).pending:
        store.answer(session, position, patch(position))
    for position in count(len(store.session(session).events)):
        store.append(session, position, CLICK)
        say("event", position)
        store.answer(session, position, patch(position))
        say("answer", position)


def cases(store: Store, source: str) -> None:
    while True:
        say("case", store.add_case("one of many", image(), source=source).id)


if __name__ == "__main__":
    what, folder, of = sys.argv[1:]
    with Store.local(folder) as opened:
        {"events": events, "cases": cases}[what](opened, of)
