"""A process that starts to add a case and never finishes: its source is a pipe nobody writes to."""

from __future__ import annotations

import json
import sys

from segmend.store import Store
from tests.store.drawn import image

if __name__ == "__main__":
    database, blobs, storage, pipe = sys.argv[1:]
    with Store.open(database, blobs, storage=json.loads(storage)) as store:
        store.add_case("stuck", image(), source=pipe)
