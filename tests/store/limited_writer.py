"""A process that may write no file larger than its limit, and goes on until the store refuses.

Prints `event N` after every append that returned, then the name and words of the refusal.
"""

from __future__ import annotations

import resource
import signal
import sys
from itertools import count

from segmend.errors import StoreError
from segmend.store import Store
from tests.store.drawn import CLICK, image, large_patch

if __name__ == "__main__":
    folder, session, limit = sys.argv[1:]
    with Store.local(folder) as store:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
        try:
            for position in count(2):
                store.append(session, position, CLICK)
                sys.stdout.write(f"event {position}\n")
                store.answer(session, position, large_patch(position))
        except StoreError as refusal:
            sys.stdout.write(f"{type(refusal).__name__} {refusal}\n")
        try:
            store.add_case("large", image(size=100_000))
        except StoreError as refusal:
            sys.stdout.write(f"{type(refusal).__name__} {refusal}\n")
