"""The methods: what there is, and how one is loaded.

`cards.toml` names every method of Segmend with its card and its module, so listing them imports none. Other packages
add methods through the `segmend.methods` entry point, which names a module with `METHOD`, its card. A method's module
has `load`, which returns the Segmenter: one that learns takes the folder of its weights, None for those in the package,
and perhaps the device that its networks run on, `load(weights=None, device=AUTO)`; one that does not has `load()`.
One whose card has variants also takes `variant=""`; the id of a variant, `METHOD.VARIANT`, serves wherever an id does.
Where the card depends on the weights, `card(weights)` returns that of a folder. How a method learns is a recipe
(`segmend.learning.recipe`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from inspect import signature
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import cast

from segmend.core.segmenter import Method, Segmenter
from segmend.errors import ModelError, SettingsError
from segmend.runtime import cards as own
from segmend.runtime import warming
from segmend.runtime.budget import trim
from segmend.runtime.calibrations import NONE, calibrations_of
from segmend.runtime.engine import Device, check_device, release_activations
from segmend.runtime.versions import in_use

_loading = RLock()  # two threads would load one method twice, and import one library at the same time


@cache
def _others() -> Mapping[str, ModuleType]:
    """Return the modules of other packages' methods, by id."""
    found = [entry.load() for entry in entry_points(group="segmend.methods")]
    return {module.METHOD.id: module for module in found if hasattr(module, "METHOD")}


def _module(method: str) -> ModuleType:
    card(method)
    family = family_of(method)
    return _others().get(family) or import_module(own.module_of(family))


def family_of(method: str) -> str:
    """Return the id of the method that a variant belongs to; any other id as it is.

    >>> family_of("bifseg.unweighted"), family_of("bifseg")
    ('bifseg', 'bifseg')
    """
    return method if method in _others() else method.partition(".")[0]


def _variant_of(method: str) -> str:
    return method.removeprefix(family_of(method)).removeprefix(".")


def variant_id(method: str, variant: str | None) -> str:
    """Return the id of a method's variant, or the method's own where none is named; SettingsError for a wrong one.

    >>> variant_id("bifseg", "unweighted")
    'bifseg.unweighted'
    """
    return method if variant is None else card(method).of_variant(variant).id


def cards() -> tuple[Method, ...]:
    """Return the cards of all installed methods, by id."""
    return tuple(_with_intervals(one, None) for one in _cards())


def _cards() -> tuple[Method, ...]:
    found = {**own.methods(), **{name: cast(Method, module.METHOD) for name, module in _others().items()}}
    return tuple(found[name] for name in sorted(found))


def _with_intervals(found: Method, weights: Path | None) -> Method:
    """Return a card with what is known of the Dice that the method expects, with its own weights or a folder's."""
    known = NONE if family_of(found.id) in _others() else calibrations_of(found.id, weights)
    intervals = tuple((dimensions, one.intervals) for dimensions, one in sorted(known.items()))
    return replace(found, calibrated=tuple(known), intervals=intervals) if known else found


def card(method: str, weights: Path | None = None) -> Method:
    """Return one method's card, perhaps with the weights in a folder; SettingsError names the methods there are."""
    found, family, variant = {one.id: one for one in _cards()}, family_of(method), _variant_of(method)
    if family not in found:
        raise SettingsError(f"There is no method {method!r}; there are {', '.join(found)}.")
    chosen = found[family]
    if weights is not None and hasattr(_module(family), "card"):
        chosen = cast(Method, _module(family).card(in_use(weights)))
    if variant:
        chosen = chosen.of_variant(variant)
    return _with_intervals(chosen, None if weights is None else in_use(weights))


def load(
    method: str,
    weights: Path | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    warm: Collection[int] = (),
) -> Segmenter:
    """Return one method, ready to run, with its own weights or those in a folder; loaded once a process and device.

    Its networks run on `device`: "cpu", "cuda", "mps", or the quickest of them that is there, in the `precision`
    "float32" or "bfloat16", or that which is best for the device. A method without networks runs on the processor.

    `warm` names dimensions (2, 3) for whose images it is used once before, so that its first answer takes as long as
    any: a server does so ahead of whom it serves, while a script would only wait. Methods of other packages warm
    themselves.

    Of a folder that keeps versions those in use are loaded, as they are at this moment. Safe to call from
    several threads: one loads, the others wait for it.
    """
    folder = None if weights is None else in_use(weights)
    where = Device(device, precision)
    with _loading:
        segmenter = _loaded(method, folder, where)
        for dimension in card(method).dimensions:
            if dimension in warm:
                _warm(method, folder, where, dimension)
        return segmenter


@cache
def _loaded(method: str, weights: Path | None, device: Device) -> Segmenter:
    options: dict[str, object] = {}
    if weights is not None:
        check_weights(method, weights)
        options["weights"] = weights
    check_runs_on(method, device)
    if takes_device(method):
        options["device"] = device
    if variant := _variant_of(method):
        options["variant"] = variant
    segmenter = cast(Segmenter, _module(method).load(**options))
    with suppress(AttributeError, TypeError):  # another package's may allow no attribute
        given = (method, None if weights is None else weights.absolute(), device)
        object.__setattr__(segmenter, "loaded_by", (_load_again, given))
        if family_of(method) not in _others():
            object.__setattr__(segmenter, "calibrations", calibrations_of(method, weights))
    return segmenter


def _load_again(method: str, weights: Path | None, device: Device) -> Segmenter:
    return load(method, weights, device=device.name, precision=device.precision)


def is_built_in(method: str) -> bool:
    """Tell whether a method is mend or a classical one: Segmend's own, without torch, tried on all kinds of images."""
    family = family_of(method)
    return family not in _others() and own.module_of(family).startswith(("segmend.mend.", "segmend.classical."))


def load_where_possible(method: str, weights: Path | None, device: Device, *, warm: Collection[int] = ()) -> Segmenter:
    """Return one method as `load` does, on the device if it runs networks, on the processor if it runs none."""
    where = device if takes_device(method) else Device()
    return load(method, weights, device=where.name, precision=where.precision, warm=warm)


def check_runs_on(method: str, device: Device) -> None:
    """Refuse a device that is not there or that a method cannot run on, without loading the method."""
    if takes_device(method):
        check_device(device.name)
    elif device.name not in ("auto", "cpu") or device.precision != "auto":
        wanted = " in ".join(word for word in (device.name, device.precision) if word != "auto")
        raise SettingsError(f"The method {method!r} runs no network, so it takes no device or precision; got {wanted}.")


def takes_device(method: str) -> bool:
    """Tell whether a method runs networks that may run on another device than the processor."""
    return "device" in signature(_module(method).load).parameters


@cache
def _warm(method: str, weights: Path | None, device: Device, dimension: int) -> None:
    if _module(method).__name__.startswith("segmend."):
        with suppress(Exception):  # whatever is wrong, the first prompt will say it to whom it concerns
            warming.warm(_loaded(method, weights, device), card(method, weights), dimension)
        release_activations()  # hundreds of megabytes for all methods together, until somebody needs them
        trim()


def check_weights(method: str, weights: Path) -> None:
    """Refuse a folder of weights that cannot be the method's, without loading them."""
    if "weights" not in signature(_module(method).load).parameters:
        raise SettingsError(f"The method {method!r} learns nothing, so it takes no weights; got {weights}.")
    if not weights.is_dir():
        raise ModelError(f"There is no folder {weights} with weights of {method}.")
    try:
        about = json.loads((in_use(weights) / "run.json").read_text(encoding="utf-8"))
        trained = about.get("method", method)
    except FileNotFoundError:  # files that somebody copied
        return
    except (OSError, ValueError, AttributeError):
        raise ModelError(f"The run.json in {weights} is damaged, so it does not say whose weights these are.") from None
    family = family_of(method)
    if trained != family and not str(trained).startswith(f"{family}_"):  # a part of it, such as mend_slabs
        raise ModelError(f"The weights in {weights} are of the method {trained!r}, not of {family!r}.")
