"""The methods, one paper or baseline a file; a new file here, or an entry point, is a new method.

A module of this folder is a method when it has `METHOD`, its card, and `load`, which returns
the Segmenter. A method that learns takes the folder of its weights, `load(weights=None)`, None for
those in the package; one that does not has `load()`. Neither importing the module nor reading its
card may load a heavy library. How a method learns is a recipe in `segmend.recipes`. Other
packages add methods through the `segmend.methods` entry point, which names such a module.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import entry_points
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import cast

from segmend.errors import SettingsError
from segmend.segmenter import Method, Segmenter


@cache
def _modules() -> dict[str, ModuleType]:
    names = [info.name for info in pkgutil.iter_modules(__path__)]
    found = [importlib.import_module(f"{__name__}.{name}") for name in names]
    found += [entry.load() for entry in entry_points(group="segmend.methods")]
    return {module.METHOD.id: module for module in found if hasattr(module, "METHOD")}


def cards() -> tuple[Method, ...]:
    """Return the cards of all installed methods, by id."""
    return tuple(cast(Method, module.METHOD) for _, module in sorted(_modules().items()))


def card(method: str) -> Method:
    """Return one method's card; SettingsError names the methods there are."""
    if method not in _modules():
        raise SettingsError(f"There is no method {method!r}; there are {', '.join(sorted(_modules()))}.")
    return cast(Method, _modules()[method].METHOD)


@cache
def load(method: str, weights: Path | None = None) -> Segmenter:
    """Return one method, ready to run, with its own weights or those in a folder; loaded once a process."""
    card(method)
    module = _modules()[method]
    if weights is None:
        return cast(Segmenter, module.load())
    if "weights" not in signature(module.load).parameters:
        raise SettingsError(f"The method {method!r} learns nothing, so it takes no weights; got {weights}.")
    return cast(Segmenter, module.load(weights))
