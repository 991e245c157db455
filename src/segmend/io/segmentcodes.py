"""SNOMED CT codes of segments by their names: what a label called "kidney_left" is, in words that other programs know.

segment_codes.csv lists common organs, tissues and lesions with the codes of the DICOM standard's context groups; a
test holds every line to pydicom's copy of them. A name that is not there is "Tissue", which is true of most segments
and claims nothing.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from segmend.core.codes import Code, SegmentCodes
from segmend.core.session import Label

TABLE = Path(__file__).with_name("segment_codes.csv")
# Words that no two structures differ by.
FILLERS = frozenset({"of", "the", "and"})


@dataclass(frozen=True)
class Structure:
    """A line of the table, as a label of its own would be called and coded."""

    name: str
    codes: SegmentCodes


CATEGORIES: Mapping[str, Code] = {  # by the first column of the table; context group 7150
    "structure": Code("91723000", "Anatomical Structure"),
    "tissue": Code("85756007", "Tissue"),
    "abnormality": Code("49755003", "Morphologically Abnormal Structure"),
    "substance": Code("91720002", "Body Substance"),
}
UNKNOWN = SegmentCodes(CATEGORIES["tissue"], CATEGORIES["tissue"])
LEFT, RIGHT = Code("7771000", "Left"), Code("24028007", "Right")  # context group 244
BOTH = Code("51440002", "Bilateral")
SIDES = {"left": {LEFT}, "right": {RIGHT}, "both": {LEFT, RIGHT}, "bilateral": {LEFT, RIGHT}}
# Abbreviations that count at either end of a name only.
SHORT_SIDES = {"l": "left", "lt": "left", "r": "right", "rt": "right"}


def codes_of(name: str) -> SegmentCodes:
    """Return the codes of a segment by its name, in any order of words; `UNKNOWN` where the table has none.

    >>> codes_of("kidney_left").type.meaning, codes_of("Kidney (L)").side.meaning
    ('Kidney', 'Left')
    >>> codes_of("Left ventricle").side is None, codes_of("something") == UNKNOWN
    (True, True)
    """
    words = [word for word in re.split(r"[\W_]+", name.casefold()) if word and word not in FILLERS]
    numbered = list(words)
    while numbered and numbered[-1].isdecimal():
        numbered.pop()
    for tried in (words, numbered):
        if found := _table().get(_key(tried)):
            return found
    ends = {0, len(numbered) - 1}
    plain = [SHORT_SIDES.get(word, word) if k in ends else word for k, word in enumerate(numbered)]
    sides = set[Code]().union(*(SIDES.get(word, set()) for word in plain))
    found = _table().get(_key([word for word in plain if word not in SIDES]))
    if not found or not sides:
        return UNKNOWN
    return SegmentCodes(found.category, found.type, BOTH if len(sides) > 1 else sides.pop())


def codes_of_label(label: Label) -> SegmentCodes:
    """Return what a label is: its own codes, else those of its name.

    >>> codes_of_label(Label(1, "GTV", (0, 0, 0), codes=codes_of("kidney"))).type.meaning
    'Kidney'
    """
    return label.codes if label.codes is not None else codes_of(label.name)


def structures(text: str, limit: int = 50) -> list[Structure]:
    """Return the lines of the table that a search finds, those whose name begins with it first.

    All words of the search are beginnings of words of the name; one that says a side is that of what is found.

    >>> [found.name for found in structures("left kid")], structures("kid left")[0].codes.side.meaning
    (['Left kidney'], 'Left')
    """
    words = [word for word in re.split(r"[\W_]+", text.casefold()) if word and word not in FILLERS]
    whole = [found for _, names, found in _rows() if _ranked(words, names) is not None]
    if whole or not (sides := [word for word in words if word in SIDES]):
        return _best(words, "", None)[:limit]
    both = len(set[Code]().union(*(SIDES[word] for word in sides))) > 1
    side = BOTH if both else next(iter(SIDES[sides[0]]))
    return _best([word for word in words if word not in SIDES], "both" if both else sides[0], side)[:limit]


def _best(words: Sequence[str], prefix: str, side: Code | None) -> list[Structure]:
    ranked = []
    for name, names, codes in _rows():
        rank = _ranked(words, names)
        if rank is not None:
            called = f"{prefix} {name}".strip()
            ranked.append((rank, called, SegmentCodes(codes.category, codes.type, side)))
    return [
        Structure(called[0].upper() + called[1:], codes) for _, called, codes in sorted(ranked, key=lambda r: r[:2])
    ]


def _ranked(words: Sequence[str], names: Sequence[str]) -> int | None:
    """Return how well a search fits a line: 0 for a name of just its words, 1 for one that begins so, 2 for others."""
    fitting = [name for name in names if all(any(part.startswith(word) for part in name.split()) for word in words)]
    if not fitting:
        return None
    if any(len(name.split()) == len(words) for name in fitting):
        return 0
    return 1 if any(name.startswith(" ".join(words)) for name in fitting) else 2


@cache
def _rows() -> tuple[tuple[str, tuple[str, ...], SegmentCodes], ...]:
    """Return the lines of the table: the first name, all names, and the codes."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(
            (names[0], names, SegmentCodes(CATEGORIES[row["category"]], Code(row["code"], row["meaning"])))
            for row in csv.DictReader(file)
            for names in [tuple(row["names"].split("; "))]
        )


@cache
def _table() -> Mapping[tuple[str, ...], SegmentCodes]:
    """Return the codes of the table by the words of each name."""
    return {_key(re.split(r"\W+", name)): codes for _, names, codes in _rows() for name in names}


def _key(words: Sequence[str]) -> tuple[str, ...]:
    """Return words in an order of their own, singular and plural alike."""
    return tuple(sorted(word.removesuffix("s") for word in words if word not in FILLERS))
