"""Processes that write to a store until they are killed, and print what the store has taken.

They are forked from one that has imported everything already: `python -m tests.store.endless_writer` reads what each
is to do, a JSON list a line: a pipe to print to, a function, the store's folder, and of what. Its number comes first.

`events` appends prompts and answers them, printing `event 3` and `answer 3`, each after the
call returned; it goes on where the log ends. `cases` adds cases and prints their ids.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from itertools import count
from pathlib import Path

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


def write(pipe: str, what: str, folder: str, of: str) -> None:
    with Path(pipe).open("w") as sys.stdout, Store.local(folder) as store:
        say("process", os.getpid())
        {"events": events, "cases": cases}[what](store, of)


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that who was killed is gone at once
    for line in sys.stdin:
        if os.fork() == 0:
            sys.stdin.close()
            try:
                write(*json.loads(line))
            finally:
                os._exit(1)
