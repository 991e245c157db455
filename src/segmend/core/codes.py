"""Codes of SNOMED CT: what a label is, in words that other programs know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segmend.errors import PromptError

MAX_LENGTH = 64  # characters of a code or its meaning: DICOM's limit of a code's meaning


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


def codes_to_json(codes: SegmentCodes) -> dict[str, Any]:
    """Return codes as plain JSON values.

    >>> codes_to_json(SegmentCodes(Code("91723000", "Anatomical Structure"), Code("64033007", "Kidney")))["type"]
    {'value': '64033007', 'meaning': 'Kidney'}
    """
    side = None if codes.side is None else _to_json(codes.side)
    return {"category": _to_json(codes.category), "type": _to_json(codes.type), "side": side}


def codes_from_json(values: Mapping[str, Any]) -> SegmentCodes:
    """Return the codes that `codes_to_json` wrote; PromptError where they are none."""
    if not isinstance(values, Mapping) or not {"category", "type"} <= values.keys():
        raise PromptError("The codes of a label need a category and a type.")
    side = values.get("side")
    category, kind = _from_json(values["category"]), _from_json(values["type"])
    return SegmentCodes(category, kind, None if side is None else _from_json(side))


def _to_json(code: Code) -> dict[str, str]:
    return {"value": code.value, "meaning": code.meaning}


def _from_json(values: Any) -> Code:
    value, meaning = (values.get(name) if isinstance(values, Mapping) else None for name in ("value", "meaning"))
    if not isinstance(value, str) or not value.isascii() or not value.isdecimal() or len(value) > MAX_LENGTH:
        raise PromptError(f"A code of SNOMED CT needs digits; got {str(value)[:40]!r}.")
    if not isinstance(meaning, str) or not meaning.strip() or not meaning.isprintable() or len(meaning) > MAX_LENGTH:
        raise PromptError(f"A code needs a meaning of 1 to {MAX_LENGTH} printable characters.")
    return Code(value, meaning)
