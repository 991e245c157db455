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

TABLE = Path(__file__).with_name("segment_codes.csv")
# Words that no two structures differ by.
FILLERS = frozenset({"of", "the", "and"})


@dataclass(frozen=True)
class Code:
    """A concept of SNOMED CT."""

    value: str
    meaning: str


@dataclass(frozen=True)
class SegmentCodes:
    """What a segment is: its category, its type, and the side that its name says."""

    category: Code
    type: Code
    side: Code | None = None


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


@cache
def _table() -> Mapping[tuple[str, ...], SegmentCodes]:
    """Return the codes of the table by the words of each name."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return {
            _key(re.split(r"\W+", name)): SegmentCodes(CATEGORIES[row["category"]], Code(row["code"], row["meaning"]))
            for row in csv.DictReader(file)
            for name in row["names"].split("; ")
        }


def _key(words: Sequence[str]) -> tuple[str, ...]:
    """Return words in an order of their own, singular and plural alike."""
    return tuple(sorted(word.removesuffix("s") for word in words if word not in FILLERS))
