"""Tables that people write: CSV from a spreadsheet, with commas, semicolons or tabs."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from segmend.errors import FileError

# What may stand between the columns.
SEPARATORS = ",;\t"


@dataclass(frozen=True)
class Row:
    """One row of a table: its texts by the names of the columns, in small letters, and the line it stands in."""

    texts: Mapping[str, str]
    line: int

    def text(self, *columns: str) -> str:
        """Return the text of the first of these columns that has one, "" where none has."""
        return next((self.texts[column] for column in columns if self.texts.get(column)), "")


def read_rows(path: Path, needed: str) -> list[Row]:
    """Return the rows of a table with a line of names at its top; those without a text are left out.

    `needed` says which columns the caller needs, for people.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FileError(f"The table {path} could not be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise FileError(f"The table {path} needs to be text in UTF-8; this is not.") from None
    separator = max(SEPARATORS, key=content.partition("\n")[0].count)
    reader = csv.reader(StringIO(content, newline=""), delimiter=separator, strict=True)
    try:
        names = [name.strip().casefold() for name in next(reader, [])]
        rows = [Row(dict(zip(names, map(str.strip, texts), strict=False)), reader.line_num) for texts in reader]
    except csv.Error as error:
        raise FileError(f"The table {path} could not be read: line {reader.line_num}, {error}.") from None
    if not any(names):
        raise FileError(f"The table {path} needs {needed}; it is empty.")
    return [row for row in rows if any(row.texts.values())]
