"""Try some damaged files of a kind in a process of its own, which says on standard output which is next and what fell.

python -m tests.fuzz.batch KIND FROM TO SEED FOLDER
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from tests.fuzz import readers


def main(kind: str, first: int, last: int, seed: int, folder: Path) -> None:
    found = readers.fuzz(kind, range(first, last), seed, folder, watch=say)
    for fault in found.faults:
        say(f"FAULT {fault!r}")
    say(f"DONE {json.dumps([found.outcomes, found.slowest, found.largest])}")


def say(words: object) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    main(sys.argv[1], *map(int, sys.argv[2:5]), Path(sys.argv[5]))
