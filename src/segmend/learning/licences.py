"""Which data sets may teach weights that are given away: what `licences.json` beside them says."""

from __future__ import annotations

import json
from pathlib import Path

from segmend.errors import FileError

FILE = "licences.json"


def may_ship(data: Path) -> frozenset[str] | None:
    """Return the names of the sets whose licence allows it; None where there is no such file."""
    path = data / FILE
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return frozenset(name for name, about in values.items() if about["may_ship"] is True)
    except (ValueError, AttributeError, TypeError, KeyError):
        raise FileError(
            f'{path} needs an entry such as {{"a set": {{"may_ship": true}}}} for every data set; it has others.'
        ) from None
