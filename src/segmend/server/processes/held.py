"""How much memory something holds in arrays."""

from __future__ import annotations

from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from segmend.core.image import Image


def array_bytes(thing: object, besides: Image | None = None) -> int:
    """Return the bytes of all arrays that an object holds, without those mapped from files and of the image itself.

    >>> image = Image(np.zeros((1, 2, 3, 4), np.int16))
    >>> array_bytes({"image": image, "features": np.zeros(10)}, image)
    80
    """
    known = set() if besides is None else {id(besides), id(_owner(besides.voxels))}
    total, waiting = 0, [thing]
    while waiting:
        item = waiting.pop()
        if isinstance(item, np.ndarray):
            item = _owner(item)
        if id(item) in known:
            continue
        known.add(id(item))
        if isinstance(item, np.ndarray):
            total += 0 if isinstance(item, np.memmap) else item.nbytes
        else:
            waiting += _inside(item)
    return total


def _owner(array: np.ndarray) -> Any:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _inside(item: object) -> list[Any]:
    if isinstance(item, dict):
        return list(item.values())
    if isinstance(item, (list, tuple, set, frozenset)):
        return list(item)
    if isinstance(item, (type, ModuleType, FunctionType, str, bytes, int, float)):
        return []
    slots = [getattr(item, name) for name in getattr(type(item), "__slots__", ()) if hasattr(item, name)]
    return slots + list(getattr(item, "__dict__", {}).values())
