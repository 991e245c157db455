"""What there is, from `cards.toml`: methods with their cards, recipes, and the papers' experiments.

Nothing that is listed here is imported.

>>> method("graphcut").title
'Graph cut'
>>> recipes()["mend"]
'segmend.mend.learning.recipe'
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from segmend.core.segmenter import Method


@dataclass(frozen=True)
class PaperCard:
    """A paper's experiment before it is loaded; `sets` are the names of the data sets that it can use."""

    id: str
    title: str
    sets: tuple[str, ...]
    module: str


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads((files("segmend") / "cards.toml").read_text(encoding="utf-8"))


@cache
def methods() -> Mapping[str, Method]:
    """Return the cards of Segmend's own methods, by id."""
    return MappingProxyType({name: _card(name, values) for name, values in _tables()["methods"].items()})


def _card(name: str, values: Mapping[str, Any]) -> Method:
    fields: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in values.items() if key not in ("module", "variants")
    }
    fields["variants"] = tuple(values.get("variants", {}).items())
    return Method(id=name, **fields)


def method(name: str) -> Method:
    """Return the card of one of Segmend's own methods."""
    return methods()[name]


def module_of(name: str) -> str:
    """Return the module that holds one of Segmend's own methods."""
    return str(_tables()["methods"][name]["module"])


@cache
def recipes() -> Mapping[str, str]:
    """Return the module of everything that can be trained, by name."""
    return MappingProxyType(dict(_tables()["recipes"]))


@cache
def papers() -> Mapping[str, PaperCard]:
    """Return the cards of the papers' experiments, by name."""
    return MappingProxyType(
        {
            name: PaperCard(name, values["title"], tuple(values["sets"]), values["module"])
            for name, values in _tables()["papers"].items()
        }
    )
