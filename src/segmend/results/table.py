"""Measures as a table: one row a label, in CSV that spreadsheets and programs read.

Text is UTF-8 with the mark that Excel needs to see it; a text that a spreadsheet would take for a formula gets an
apostrophe before it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO

from segmend.results.case_result import CaseResult

Row = Mapping[str, str]
# What begins a formula in a spreadsheet.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def rows(result: CaseResult, *, anonymous: bool) -> list[Row]:
    """Return a row for each label of a case, with the patient only where it is asked for."""
    case = result.case
    about = {"case": _text(case.name), "case_id": case.id, "project": _text(case.project), "status": case.status}
    if not anonymous:
        about |= {"patient": _text(case.patient), "study_date": case.study_date}
    about |= {"session": result.record.id}
    return [{**about, **_measured(result, label.value), **_values(result, label.value)} for label in result.labels]


def _measured(result: CaseResult, value: int) -> dict[str, str]:
    found, label = result.measures[value], result.session.labels[value]
    long = found.diameters
    return {
        "label": _text(label.name),
        "object": "" if label.instance is None else str(label.instance),
        "value": str(value),
        "voxels": str(found.voxels),
        "volume_ml": _number(found.volume_ml),
        "area_mm2": _number(found.area_mm2),
        "longest_diameter": _number(None if long is None else long.longest),
        "long_axis": _number(None if long is None else long.long_axis),
        "short_axis": _number(None if long is None else long.short_axis),
        "axes_slice": "" if long is None else str(long.slice + 1),
        "unit": "" if long is None else long.unit,
    }


def _values(result: CaseResult, value: int) -> dict[str, str]:
    """Return the statistics of the image's values; those of further channels under names of their own."""
    found = result.measures[value]
    columns: dict[str, str] = {}
    for channel in range(max(1, len(found.means))):
        for name, values in (
            ("mean", found.means),
            ("sd", found.deviations),
            ("min", found.lows),
            ("max", found.highs),
        ):
            key = name if channel == 0 else f"{name}_{channel + 1}"
            columns[key] = _number(values[channel]) if values else ""
    return columns


def to_csv(found: Iterable[Row]) -> bytes:
    """Return rows as the bytes of a CSV file; each has the columns that any has.

    >>> to_csv([{"a": "1"}, {"a": "2", "b": "x, y"}]).decode("utf-8-sig").split()
    ['a,b', '1,', '2,"x,', 'y"']
    """
    table = list(found)
    columns: dict[str, None] = {}
    for row in table:
        columns |= dict.fromkeys(row)
    return _written(list(columns), table)


def _written(columns: Sequence[str], table: Sequence[Row]) -> bytes:
    file = StringIO()
    writer = csv.DictWriter(file, columns, restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(table)
    return file.getvalue().encode("utf-8-sig")


def _text(value: str) -> str:
    """Return a text that no spreadsheet takes for a formula.

    >>> _text("=1+1"), _text("liver")
    ("'=1+1", 'liver')
    """
    return f"'{value}" if value.startswith(FORMULA) else value


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
