"""What came of many cases as two files beside their masks: a line of JSON a case, and a table.

Lines are added to `results.jsonl` as cases are done, so a process that is killed loses none of them; several processes
add to one file. Of a case the newest line counts. `results.csv` is made of it at the end: a row a label, a row a
case that failed.
"""

from __future__ import annotations

import csv
import errno
import json
import os
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from segmend.batch.job import Outcome
from segmend.core.atomic import write_bytes
from segmend.errors import FileError

LINES, TABLE = "results.jsonl", "results.csv"
COLUMNS = (
    "case", "status", "label", "value", "voxels", "volume_ml", "area_mm2", "expected_dice", "seconds", "method",
    "image", "out", "error",
)  # fmt: skip
# What begins a formula in a spreadsheet.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Results:
    """The two files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._lines, self._table = folder / LINES, folder / TABLE
        self._torn = not _ends_a_line(self._lines)

    def add(self, outcome: Outcome) -> None:
        """Add what came of a case."""
        line = ("\n" * self._torn + json.dumps(outcome.to_json()) + "\n").encode()
        self._torn = False
        try:
            handle = os.open(self._lines, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                if os.write(handle, line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(handle)
        except OSError as error:
            raise FileError(f"{self._lines} could not be written: {error.strerror}.") from None

    def known(self) -> dict[str, dict[str, Any]]:
        """Return the newest line of each case; one that a killed process did not end is left out."""
        found: dict[str, dict[str, Any]] = {}
        if not self._lines.is_file():
            return found
        for line in self._lines.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                values = json.loads(line)
                found[values["case"]] = values
            except (ValueError, KeyError, TypeError):
                continue
        return found

    def write_table(self) -> Path:
        """Write the table of all cases that are known."""
        file = StringIO()
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\r\n")
        writer.writeheader()
        for values in self.known().values():
            writer.writerows(_rows(values))
        write_bytes(self._table, file.getvalue().encode("utf-8-sig"))
        return self._table


def _ends_a_line(path: Path) -> bool:
    """Tell whether a file ends with a whole line, as one does that is not there."""
    if not path.is_file() or not (size := path.stat().st_size):
        return True
    with path.open("rb") as file:
        file.seek(size - 1)
        return file.read() == b"\n"


def _rows(values: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    seconds = values.get("seconds", {})
    about = {
        "case": _text(values["case"]),
        "status": values.get("status", ""),
        "seconds": _number(sum(seconds.get(part, 0) for part in ("open", "answer")) if seconds else None),
        "method": values.get("method", ""),
        "image": _text(" ".join(values.get("image", []))),
        "out": _text(values.get("out", "")),
        "error": _text(values.get("error", "")),
    }
    for label in values.get("labels", []) or [{}]:
        yield {
            **about,
            "label": _text(label.get("name", "")),
            "value": str(label.get("value", "")),
            "voxels": str(label.get("voxels", "")),
            "volume_ml": _number(label.get("millilitres")),
            "area_mm2": _number(label.get("square_millimetres")),
            "expected_dice": _number(label.get("quality")),
        }


def _text(value: str) -> str:
    return f"'{value}" if value.startswith(FORMULA) else value


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
